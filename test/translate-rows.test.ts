/**
 * Conditions of checks on rows of all sorts: what the source says of each row, and what the target says of the
 * migrated one by the translation.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CatalogType, columnType, translateCondition } from '../src/translate/translate.js';
import { type Scene, startScene, succeeded } from './support/endToEnd.js';
import { queryTsql } from './support/sqlserver.js';

const CI = 'SQL_Latin1_General_CP1_CI_AS';
const CS = 'Latin1_General_CS_AS';
const BIN = 'Latin1_General_BIN2';
type Column = [tsql: string, type: string, maxLengthBytes: number, scale: number, collation: string | null];
const COLUMNS: Record<string, Column> = {
  i: ['int', 'int', 4, 0, null],
  z: ['int', 'int', 4, 0, null],
  d: ['decimal(10, 2)', 'decimal', 9, 2, null],
  m: ['money', 'money', 8, 4, null],
  f: ['float', 'float', 8, 0, null],
  r: ['real', 'real', 4, 0, null],
  flag: ['bit', 'bit', 1, 0, null],
  s: ['varchar(20)', 'varchar', 20, 0, CI],
  n: ['nvarchar(20)', 'nvarchar', 40, 0, CI],
  c: ['char(5)', 'char', 5, 0, CI],
  cs: [`varchar(20) COLLATE ${CS}`, 'varchar', 20, 0, CS],
  bin: [`varchar(20) COLLATE ${BIN}`, 'varchar', 20, 0, BIN],
  day: ['date', 'date', 3, 0, null],
  t: ['datetime2(7)', 'datetime2', 8, 7, null],
  dt: ['datetime', 'datetime', 8, 3, null],
  sd: ['smalldatetime', 'smalldatetime', 4, 0, null],
  tm: ['time(3)', 'time', 5, 3, null],
};
const TEXTS = `'' ' ' 'a' 'A ' 'ab' 'AB  ' 'é' '100%' '10_x' '[x' '12a' 'x]y' 'Z'`.match(/'[^']*'/g) ?? [];

const rows = [...TEXTS, 'NULL'].map((text, k) => {
  const wide = text === 'NULL' ? text : `N${text}`;
  const numbers = [
    k % 5 === 4 ? 'NULL' : k - 8,
    ((k * 7) % 5) - 2,
    `${k - 9}.${(k % 4) * 25}`,
    `${k - 9}.005${k}`,
  ];
  const moments = [
    `DATEADD(day, ${k * 97 - 900}, CAST('20000229' AS date))`,
    `DATEADD(second, ${k * 98_765}, CAST('1999-12-31T23:59:59.9999990' AS datetime2(7)))`,
    `DATEADD(minute, ${k * 4001}, '20000131 23:59:59.997')`,
    `DATEADD(hour, ${k * 31}, '20000131 11:30')`,
    `DATEADD(second, ${k * 4321}, CAST('00:00:00.999' AS time(3)))`,
  ];
  return [
    k,
    ...numbers,
    (k - 7) / 4,
    (k - 5) / 10,
    k % 3 === 2 ? 'NULL' : k % 2,
    text,
    wide,
    text,
    text,
    text,
    ...moments,
  ];
});

/** As the catalog stores them. */
const CONDITIONS = `
([s] like 'a')|([s] like 'a ')|([s] like '%b')|([s] like '')|([s] like '%[0-9]')|([s] like '1__[%]')|([s] like '10!_x' escape '!')
([s] like '[[]x')|([s] like 'x]y')|(NOT [s] like '%[^0-9]%')|([n] like N'a')|([n] like N'AB  ')|([c] like 'ab')|([c] like 'ab   ')
([c] like '%b')|([cs] like 'A')|([bin] like '[a-z]%')|([s]='')|([s]='A')|([s] in ('É','100%'))|([n]=N'É')|([cs]='A')|([bin]='a')
([c]=[s])|([s]=[n])|(upper([cs])=[cs])|(ltrim(rtrim([cs]))='A')|(len([s]+'|')=(3))|(len([c])=(2))|(isnull([s],'a')='a')
(isnull([c],'q')='q')|(nullif([s],'a') IS NULL)|(charindex(N'B',[n])>(0))|(right([n],(2))=N'ab')|(replace([bin],'a','z')='z')
([i]/(2)=(0))|([i]%(3)=(1))|(-[i]/(2)>(0))|([i]&(4)=(4))|(~[i]<(0))|([i]^[z]>(0))|([d]*(2)>[i])|([f]=[d])|([r]=(0.1))|([f]>[r])
([m]=(0.0055))|(round([m],(2))=[m])|([f]=[i]/(4))|([flag]=(2))|([flag]=(0) OR [flag] IS NULL)|(NOT ([i]=(1) AND [z]=(2)))
(case when [i]>(0) then (1) else (0) end=(1))|(coalesce([z],[d])>(0.5))|(CONVERT([int],[f])=[i])|(CONVERT([decimal](5,1),[d])=[d])
([day]>='20000101' AND [day]<'20010101')|([dt]=[sd])|([t]>[dt])|([tm]>='08:00' AND [tm]<'18:00:00.5')|(datediff(month,[day],[dt])=(0))
(datediff(hour,[t],[dt])<>(0))|(datediff(week,[day],[dt])>(3))|(dateadd(month,(1),[day])>'20000330')|(datepart(quarter,[day])=(1))
(CONVERT([time](0),[dt])='00:00:00')|(CONVERT([smalldatetime],[dt])=[sd])|(case when [flag]=(1) then [sd] else [dt] end=[dt])
(CONVERT([varchar](10),[dt],(120)) like '2000-02%')|(CONVERT([date],[t])=CONVERT([date],[dt]))`
  .trim()
  .split(/[|\n](?=\()/);

let scene: Scene;
before(async () => {
  const columns = Object.entries(COLUMNS).map(([name, [tsql]]) => `${name} ${tsql} NULL`);
  scene = await startScene(
    'rows',
    `CREATE TABLE dbo.R (id int NOT NULL PRIMARY KEY, ${columns.join(', ')})
GO
INSERT INTO dbo.R VALUES ${rows.map((row) => `(${row.join(', ')})`).join(',\n')}`,
  );
});
after(() => scene?.stop());

function translated(condition: string): string {
  const found = translateCondition(condition, {
    column(name) {
      const [, type = '', maxLengthBytes = 0, scale = 0, collation = null] = COLUMNS[name] ?? [];
      const column: CatalogType = { type, maxLengthBytes, precision: 10, scale, collation };
      return { sql: `"${name}"`, type: columnType(column) };
    },
    sequence: () => null,
    databaseCollation: CI,
    pgVersion: 180_000,
  });
  return 'sql' in found ? found.sql : assert.fail(`${condition}: ${found.untranslated}`);
}

test(`${CONDITIONS.length} conditions on ${rows.length} rows`, async () => {
  succeeded(await scene.migrate());
  const asked = (list: readonly string[]): string =>
    list.map((one, k) => `CASE WHEN ${one} THEN 1 WHEN NOT (${one}) THEN 0 END AS x${k}`).join(', ');
  const source = await queryTsql(scene.source, `SELECT ${asked(CONDITIONS)} FROM dbo.R ORDER BY id`);
  const target = await scene.rows(
    `SELECT ${asked(CONDITIONS.map((one) => `(${translated(one)})`))} FROM "R" ORDER BY id`,
  );
  for (const [k, condition] of CONDITIONS.entries()) {
    assert.deepEqual(
      target.map((row) => row[k] ?? null),
      source.map((row) => (row[`x${k}`] === null ? null : String(row[`x${k}`]))),
      `${condition}: ${translated(condition)}`,
    );
  }
});
