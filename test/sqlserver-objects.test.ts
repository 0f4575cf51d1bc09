/**
 * What the stand-in catalogues beside tables, by what Microsoft documents for its catalog views.
 *
 * Runs on the main thread of the test process, against an embedded PostgreSQL.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Engine, type EngineSession, SqlError } from './sqlserver/contract.js';
import { createEngine } from './sqlserver/engine/index.js';
import { results, rowsAffected } from './sqlserver/engine/testing.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';

let postgres: TestPostgres;
let engine: Engine;
let sa: EngineSession;

before(async () => {
  postgres = await sharedPostgres();
  engine = await createEngine({ pgUrl: postgres.url, password: 'objects' });
  sa = await engine.login('sa', 'objects', 'master');
  for (const batch of SCHEMA) await rowsAffected(sa, batch);
});
after(async () => {
  await engine?.close();
  await postgres?.stop();
});

const SCHEMA = [
  'CREATE SCHEMA app',
  `CREATE TABLE app.T (Id int NOT NULL CONSTRAINT PK_T PRIMARY KEY, N nvarchar(10) NULL, Q int NULL);
   CREATE INDEX IX_Q ON app.T (Q);
   CREATE TABLE app.C (Id int NOT NULL PRIMARY KEY, TId int NULL);
   INSERT INTO app.T (Id, N, Q) VALUES (1, N'a', 5), (2, N'b', -5);
   INSERT INTO app.C (Id, TId) VALUES (1, 99)`,
  'CREATE VIEW app.Big (Id, Twice) WITH SCHEMABINDING AS SELECT Id, Q * 2 FROM app.T WHERE Q > 0',
  'CREATE VIEW app.Bigger AS SELECT b.Twice + 1 AS More FROM app.Big AS b WITH CHECK OPTION',
  "CREATE PROCEDURE app.P @a int AS BEGIN SET NOCOUNT ON; EXEC dbo.whatever @a; SELECT 'x'; END",
  'CREATE FUNCTION app.F (@a int) RETURNS int AS BEGIN RETURN @a + 1; END',
  'CREATE FUNCTION app.FI (@a int) RETURNS TABLE AS RETURN (SELECT @a AS a)',
  'CREATE FUNCTION app.FT (@a int) RETURNS @t TABLE (a int) AS BEGIN INSERT @t VALUES (1); RETURN; END',
  'CREATE SYNONYM app.S FOR other.dbo.[T 2]',
  `CREATE SEQUENCE app.Up START WITH 10 INCREMENT BY 5 MAXVALUE 21 CYCLE CACHE 3;
   CREATE SEQUENCE app.Plain NO CACHE; CREATE SEQUENCE app.Down AS tinyint INCREMENT BY -1`,
  'ALTER TABLE app.C WITH NOCHECK ADD CONSTRAINT FK_C FOREIGN KEY (TId) REFERENCES app.T (Id)',
  'ALTER TABLE app.C WITH NOCHECK ADD CONSTRAINT CK_C CHECK (TId < 50)',
  'ALTER INDEX IX_Q ON app.T DISABLE',
];

async function texts(sql: string): Promise<(string | null)[][]> {
  const { rows } = (await results(sa, sql))[0] ?? { rows: [] };
  return rows.map((row) => row.map((field) => field?.toString('utf8') ?? null));
}

function fails(sql: string, number: number): Promise<void> {
  return assert.rejects(rowsAffected(sa, sql), (error) => {
    assert.ok(error instanceof SqlError, String(error));
    assert.equal(error.info.number, number, error.message);
    return true;
  });
}

test('modules and synonyms are objects of their types, and views are tables to a query', async () => {
  assert.deepEqual(
    await texts(
      `SELECT name, RTRIM(type) + ' ' + type_desc FROM sys.objects WHERE schema_id = SCHEMA_ID('app') AND type IN ('V', 'P', 'FN', 'IF', 'TF', 'SN', 'SO') ORDER BY name`,
    ),
    [
      ['Big', 'V VIEW'],
      ['Bigger', 'V VIEW'],
      ['Down', 'SO SEQUENCE_OBJECT'],
      ['F', 'FN SQL_SCALAR_FUNCTION'],
      ['FI', 'IF SQL_INLINE_TABLE_VALUED_FUNCTION'],
      ['FT', 'TF SQL_TABLE_VALUED_FUNCTION'],
      ['P', 'P SQL_STORED_PROCEDURE'],
      ['Plain', 'SO SEQUENCE_OBJECT'],
      ['S', 'SN SYNONYM'],
      ['Up', 'SO SEQUENCE_OBJECT'],
    ],
  );
  assert.deepEqual(await texts('SELECT CONVERT(varchar(9), More) FROM app.Bigger'), [['11']]);
  assert.deepEqual(
    await texts(
      `SELECT c.name, t.name FROM sys.columns AS c JOIN sys.types AS t ON t.user_type_id = c.user_type_id
        WHERE c.object_id = OBJECT_ID('app.Big') ORDER BY c.column_id`,
    ),
    [
      ['Id', 'int'],
      ['Twice', 'int'],
    ],
  );
  assert.deepEqual(await texts('SELECT base_object_name FROM sys.synonyms'), [['other.dbo.[T 2]']]);
  assert.match(
    (await texts(`SELECT definition FROM sys.sql_modules WHERE object_id = OBJECT_ID('app.P')`))[0]?.[0] ??
      '',
    /^CREATE PROCEDURE app\.P @a/,
  );
  assert.deepEqual(
    await texts(
      `SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = 'VIEW' ORDER BY TABLE_NAME`,
    ),
    [['Big'], ['Bigger']],
  );
  await fails('SELECT 1 AS a; CREATE VIEW app.Late AS SELECT 1 AS a', 111);
  await fails('CREATE VIEW app.Nameless AS SELECT 1', 4511);
  await fails('CREATE VIEW app.Big AS SELECT 1 AS a', 2714);
  await fails('EXEC app.P 1', 2812);
  await fails('DROP VIEW app.P', 3701);
});

test('a trigger is the child of its table, which is not changed any more', async () => {
  await rowsAffected(sa, 'CREATE TABLE app.W (Id int NOT NULL)');
  await rowsAffected(sa, 'CREATE TRIGGER TR_W ON app.W AFTER INSERT AS BEGIN PRINT 1 END');
  assert.deepEqual(
    await texts(
      `SELECT o.type, s.name, t.name FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
        JOIN sys.triggers AS t ON t.object_id = o.object_id WHERE t.parent_id = OBJECT_ID('app.W')`,
    ),
    [['TR', 'app', 'TR_W']],
  );
  await fails('INSERT INTO app.W (Id) VALUES (1)', 50000);
  await rowsAffected(sa, 'DROP TRIGGER app.TR_W; INSERT INTO app.W (Id) VALUES (1); DROP TABLE app.W');
});

test('sequences count, cycle and end, and say where they are', async () => {
  const state = (name: string) =>
    texts(`SELECT CONVERT(varchar(30), start_value), CONVERT(varchar(30), increment), CONVERT(varchar(30), minimum_value), CONVERT(varchar(30), maximum_value),
      CONVERT(varchar(1), is_cycling), CONVERT(varchar(1), is_cached), CONVERT(varchar(9), cache_size), CONVERT(varchar(30), current_value),
      CONVERT(varchar(30), last_used_value), CONVERT(varchar(1), is_exhausted) FROM sys.sequences WHERE name = '${name}'`);
  const max = '9223372036854775807';
  assert.deepEqual(await state('Up'), [
    ['10', '5', '-9223372036854775808', '21', '1', '1', '3', '10', null, '0'],
  ]);
  assert.deepEqual(await state('Plain'), [
    [
      '-9223372036854775808',
      '1',
      '-9223372036854775808',
      max,
      '0',
      '0',
      null,
      '-9223372036854775808',
      null,
      '0',
    ],
  ]);
  assert.deepEqual(await state('Down'), [['255', '-1', '0', '255', '0', '1', null, '255', null, '0']]);
  const next = 'SELECT CONVERT(varchar(30), NEXT VALUE FOR app.Up)';
  assert.deepEqual([await texts(next), await texts(next), await texts(next)], [[['10']], [['15']], [['20']]]);
  assert.deepEqual((await state('Up'))[0]?.slice(7), ['20', '20', '0']);
  // It begins again at the minimum, not at the start.
  assert.deepEqual(await texts(next), [['-9223372036854775808']]);
  await rowsAffected(
    sa,
    `CREATE SEQUENCE app.Two AS int START WITH 1 MAXVALUE 2 MINVALUE 1;
     CREATE TABLE app.Numbered (Id int NOT NULL CONSTRAINT DF_Id DEFAULT (NEXT VALUE FOR app.Two), A int NULL);
     INSERT INTO app.Numbered (A) VALUES (7), (8)`,
  );
  assert.deepEqual(await texts('SELECT CONVERT(varchar(9), Id) FROM app.Numbered ORDER BY A'), [
    ['1'],
    ['2'],
  ]);
  assert.deepEqual(await texts(`SELECT definition FROM sys.default_constraints WHERE name = 'DF_Id'`), [
    ['(NEXT VALUE FOR [app].[Two])'],
  ]);
  assert.equal((await state('Two'))[0]?.at(-1), '1');
  await fails('INSERT INTO app.Numbered (A) VALUES (9)', 11728);
  await fails('CREATE SEQUENCE app.Bad START WITH 5 MAXVALUE 4', 11703);
  await fails('CREATE SEQUENCE app.Bad INCREMENT BY 0', 11700);
  await fails('CREATE SEQUENCE app.Bad AS float', 11702);
  await fails('SELECT NEXT VALUE FOR app.T', 208);
});

test('extended properties have the class, the object and the part they describe', async () => {
  const add = (value: string, ...levels: string[]) =>
    rowsAffected(
      sa,
      `EXEC sys.sp_addextendedproperty @name = N'MS_Description', @value = N'${value}'${levels
        .map((level, i) => `, @level${i >> 1}${i % 2 === 0 ? 'type' : 'name'} = N'${level}'`)
        .join('')}`,
    );
  await add('database');
  await add('schema', 'SCHEMA', 'app');
  await add('table', 'SCHEMA', 'app', 'TABLE', 'T');
  await add('column', 'SCHEMA', 'app', 'TABLE', 'T', 'COLUMN', 'N');
  await add('index', 'SCHEMA', 'app', 'TABLE', 'T', 'INDEX', 'IX_Q');
  await add('key', 'SCHEMA', 'app', 'TABLE', 'T', 'CONSTRAINT', 'PK_T');
  await add('view', 'SCHEMA', 'app', 'VIEW', 'Big');
  assert.deepEqual(
    await texts(
      `SELECT p.class_desc, COALESCE(OBJECT_NAME(p.major_id), '-'), CONVERT(varchar(9), p.minor_id), CONVERT(nvarchar(max), p.value)
        FROM sys.extended_properties AS p WHERE p.name = 'MS_Description' ORDER BY p.class, p.major_id, p.minor_id`,
    ),
    [
      ['DATABASE', '-', '0', 'database'],
      ['OBJECT_OR_COLUMN', 'T', '0', 'table'],
      ['OBJECT_OR_COLUMN', 'T', '2', 'column'],
      ['OBJECT_OR_COLUMN', 'PK_T', '0', 'key'],
      ['OBJECT_OR_COLUMN', 'Big', '0', 'view'],
      ['SCHEMA', '-', '0', 'schema'],
      ['INDEX', 'T', '2', 'index'],
    ],
  );
  await fails(`EXEC sp_addextendedproperty 'MS_Description', 'x', 'SCHEMA', 'app', 'TABLE', 'T'`, 15233);
  await fails(`EXEC sp_addextendedproperty 'a', 'x', 'SCHEMA', 'app', 'TABLE', 'Nowhere'`, 15135);
  await fails(`EXEC sp_addextendedproperty @nonsense = 'a'`, 8145);
});

test('NOCHECK constraints are not trusted, and disabled indexes are said to be so', async () => {
  assert.deepEqual(
    await texts(
      `SELECT name, CONVERT(varchar(1), is_not_trusted), CONVERT(varchar(1), is_disabled) FROM sys.foreign_keys WHERE name = 'FK_C'
       UNION ALL SELECT name, CONVERT(varchar(1), is_not_trusted), CONVERT(varchar(1), is_disabled) FROM sys.check_constraints WHERE name = 'CK_C'`,
    ),
    [
      ['FK_C', '1', '0'],
      ['CK_C', '1', '0'],
    ],
  );
  await fails('INSERT INTO app.C (Id, TId) VALUES (2, 98)', 547);
  await fails('INSERT INTO app.C (Id, TId) VALUES (2, 60)', 547);
  assert.deepEqual(
    await texts(
      `SELECT name, CONVERT(varchar(1), is_disabled) FROM sys.indexes WHERE object_id = OBJECT_ID('app.T') ORDER BY index_id`,
    ),
    [
      ['PK_T', '0'],
      ['IX_Q', '1'],
    ],
  );
});

test('INFORMATION_SCHEMA says of columns and keys what other programs ask it for', async () => {
  await rowsAffected(
    sa,
    `CREATE TABLE app.[Odd.Name]]s] (Id int IDENTITY(1, 1) NOT NULL, Price decimal(9, 2) NULL, Fee money NULL, Ratio float NULL,
       Word varchar(20) COLLATE Latin1_General_CI_AS NULL, Letters nvarchar(max) NULL, Doc xml NULL, At datetime NULL,
       Stamp datetime2(4) NULL, Blob varbinary(7) NULL, Yes bit NULL, CONSTRAINT UQ_Odd UNIQUE (Ratio, Price));
     CREATE TABLE app.Asks (A decimal(9, 2) NULL, B float NULL,
       CONSTRAINT FK_Asks FOREIGN KEY (B, A) REFERENCES app.[Odd.Name]]s] (Ratio, Price) ON DELETE CASCADE)`,
  );
  assert.deepEqual(
    await texts(
      `SELECT c.COLUMN_NAME, CONCAT(c.DATA_TYPE, ' ', c.CHARACTER_MAXIMUM_LENGTH, '|', c.NUMERIC_PRECISION, ',', c.NUMERIC_SCALE, ',',
         c.NUMERIC_PRECISION_RADIX, '|', c.DATETIME_PRECISION, '|', c.CHARACTER_SET_NAME),
         CONCAT('', COLUMNPROPERTY(OBJECT_ID(c.TABLE_SCHEMA + '.' + QUOTENAME(c.TABLE_NAME), 'U'), c.COLUMN_NAME, 'IsIdentity'))
       FROM INFORMATION_SCHEMA.COLUMNS c JOIN INFORMATION_SCHEMA.TABLES t
         ON c.table_schema = t.table_schema AND c.table_name = t.table_name
       WHERE c.TABLE_CATALOG = 'master' AND c.TABLE_NAME = 'Odd.Name]s' ORDER BY c.ordinal_position`,
    ),
    [
      ['Id', 'int |10,0,10||', '1'],
      ['Price', 'decimal |9,2,10||', '0'],
      ['Fee', 'money |19,4,10||', '0'],
      ['Ratio', 'float |53,,2||', '0'],
      ['Word', 'varchar 20|,,||iso_1', '0'],
      ['Letters', 'nvarchar -1|,,||UNICODE', '0'],
      ['Doc', 'xml -1|,,||', '0'],
      ['At', 'datetime |,,|3|', '0'],
      ['Stamp', 'datetime2 |,,|4|', '0'],
      ['Blob', 'varbinary 7|,,||', '0'],
      ['Yes', 'bit |,,||', '0'],
    ],
  );
  assert.deepEqual(
    await texts(
      `SELECT r.CONSTRAINT_NAME AS 'fk', f.COLUMN_NAME, u.TABLE_NAME, u.COLUMN_NAME AS 'of', r.UPDATE_RULE, r.DELETE_RULE
       FROM INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS r
         JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE f
           ON f.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA AND f.CONSTRAINT_NAME = r.CONSTRAINT_NAME
         JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE u
           ON u.CONSTRAINT_SCHEMA = r.UNIQUE_CONSTRAINT_SCHEMA AND u.CONSTRAINT_NAME = r.UNIQUE_CONSTRAINT_NAME
       WHERE f.ORDINAL_POSITION = u.ORDINAL_POSITION AND f.TABLE_NAME = 'Asks' ORDER BY f.ORDINAL_POSITION`,
    ),
    [
      ['FK_Asks', 'B', 'Odd.Name]s', 'Ratio', 'NO ACTION', 'CASCADE'],
      ['FK_Asks', 'A', 'Odd.Name]s', 'Price', 'NO ACTION', 'CASCADE'],
    ],
  );
  await fails(`SELECT COLUMNPROPERTY(1, 'a', 'IsBeautiful')`, 50000);
});
