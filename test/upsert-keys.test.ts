/**
 * Every kind of key through `upsert`: rows found by it in the source, merged by it in the target, deleted by it where
 * that was asked for.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Scene, startScene, succeeded, tableError } from './support/endToEnd.js';
import {
  assertLikeSource,
  assertVerified,
  changesOf,
  upsert,
  verify,
  versions,
  written,
} from './support/upserting.js';

const ROWS = 40;
/** A key by its number, where it follows from it. */
const numbered = (expression: (n: number) => string) =>
  Array.from({ length: ROWS }, (_, n) => expression(n + 1));
const two = (n: number) => String(n).padStart(2, '0');
/** Texts some order or comparison takes for nearly the same. */
const words = [
  ...[
    'a',
    'ä',
    'á',
    'z',
    'Ž',
    'ß',
    'ss',
    'æ',
    'ae',
    'Ж',
    'ж1',
    '中',
    '😀',
    '_',
    '%',
    '-a',
    "o'clock",
    ' lead',
    '[x]',
    '\\',
  ],
  ...Array.from({ length: ROWS - 20 }, (_, n) => `Word ${n}`),
];
const quote = (text: string) => `N'${text.replaceAll("'", "''")}'`;

/** Table, type of K, and K of each row as T-SQL. */
const keys: readonly (readonly [name: string, type: string, values: readonly string[]])[] = [
  ['K_int', 'int', numbered((n) => String(n * 7 - 100))],
  ['K_bigint', 'bigint', numbered((n) => String(BigInt(n) * 9007199254740993n - 180143985094819860n))],
  ['K_tinyint', 'tinyint', numbered((n) => String(n + 200))],
  ['K_decimal', 'decimal(20,3)', numbered((n) => `CAST('${n - 20}.${n % 10}50' AS decimal(20,3))`)],
  ['K_money', 'money', numbered((n) => `CAST('${n - 20}.00${two(n)}' AS money)`)],
  ['K_float', 'float', numbered((n) => `${n - 20}.1E${(n % 7) - 3}`)],
  ['K_date', 'date', numbered((n) => `'${1990 + n}-02-28'`)],
  ['K_datetime', 'datetime', numbered((n) => `'2024-02-29T12:34:${two(n)}.997'`)],
  ['K_datetime2', 'datetime2(7)', numbered((n) => `'1969-12-31T23:59:59.99${two(n)}999'`)],
  ['K_offset', 'datetimeoffset(3)', numbered((n) => `'2024-02-29T12:00:${two(n)}.125+0${n % 9}:30'`)],
  ['K_time', 'time(3)', numbered((n) => `'12:00:${two(n)}.001'`)],
  ['K_guid', 'uniqueidentifier', numbered((n) => `'6F9619FF-8B86-D011-${two(n)}2D-00C04FC964${two(n)}'`)],
  ['K_binary', 'binary(4)', numbered((n) => `0x${two(n)}00`)],
  ['K_varbinary', 'varbinary(8)', numbered((n) => `0x00${two(n)}FF`)],
  ['K_char', 'char(8)', numbered((n) => `'c${n}'`)],
  ['K_nvarchar', 'nvarchar(20)', words.map(quote)],
  ['K_cyrillic', 'varchar(20) COLLATE Cyrillic_General_CI_AS', numbered((n) => `N'Ключ Ё${n}'`)],
  // A character that two pairs of bytes are: its keys can't be asked for by their bytes.
  ['K_japanese', 'varchar(20) COLLATE Japanese_BIN2', numbered((n) => `N'${n % 3 === 0 ? '纊' : 'キ'}${n}'`)],
  ['K_path', 'hierarchyid', numbered((n) => `CAST('/${n}/${n % 5}/' AS hierarchyid)`)],
];

const scripts = keys.map(
  ([
    name,
    type,
    values,
  ]) => `CREATE TABLE dbo.${name} (N int NOT NULL, K ${type} NOT NULL, V nvarchar(20) NULL, CONSTRAINT PK_${name} PRIMARY KEY (K));
GO
${values.map((value, i) => `INSERT INTO dbo.${name} (N, K, V) VALUES (${i + 1}, ${value}, N'v${i + 1}');`).join('\n')}`,
);
const composite = `CREATE TABLE dbo.K_three (N int NOT NULL, A nvarchar(5) NOT NULL, B date NOT NULL, C smallint NOT NULL,
  V nvarchar(20) NULL, CONSTRAINT PK_K_three PRIMARY KEY (C DESC, A, B));
GO
CREATE TABLE dbo.K_index (N int NOT NULL, K bigint NOT NULL, J int NOT NULL, V nvarchar(20) NULL);
CREATE UNIQUE INDEX UX_K_index ON dbo.K_index (J, K);
GO
${numbered(
  (
    n,
  ) => `INSERT INTO dbo.K_three (N, A, B, C, V) VALUES (${n}, N'${'aÄb'[n % 3]}', '2024-01-${two(1 + (n % 28))}', ${n % 4}, N'v');
INSERT INTO dbo.K_index (N, K, J, V) VALUES (${n}, ${n % 6}, ${Math.floor(n / 6)}, N'v');`,
).join('\n')}`;
const names = [...keys.map(([name]) => name), 'K_three', 'K_index'];

/** Small tiers: many ranges and buckets for few rows. */
const migration = { include_tables: ['K_*'], batch_verify: { tier1_batch_size: 16, tier2_batch_size: 5 } };

let scene: Scene;
before(async () => {
  scene = await startScene('upsert_keys', [...scripts, composite].join('\nGO\n'));
});
after(() => scene?.stop());

test('rows missing, changed and extra, by every kind of key', async () => {
  succeeded(await upsert(scene, migration));
  await scene.tsql(
    names
      .map(
        (name) => `UPDATE dbo.${name} SET V = N'changed here' WHERE N IN (3, 17);
DELETE FROM dbo.${name} WHERE N IN (1, 20, 40);`,
      )
      .join('\n'),
  );
  for (const name of names) {
    await scene.client.query(`UPDATE "${name}" SET "V" = 'changed there' WHERE "N" IN (5, 17);
      DELETE FROM "${name}" WHERE "N" IN (8, 39)`);
  }
  const found = await verify(scene, { migration });
  const before = new Map<string, Map<string, string>>();
  for (const name of names) {
    const table = found.tables.get(`public.${name}`)!;
    assert.deepEqual(
      [name, table.inserts_needed, table.updates_needed, table.deletes_needed],
      [name, 2, 3, 3],
      JSON.stringify(table),
    );
    before.set(name, await versions(scene, `"${name}"`, '"N"'));
  }

  const synced = changesOf(await upsert(scene, migration));
  for (const name of names) {
    const table = `public.${name}`;
    assert.deepEqual({ name, ...synced[table] }, { name, inserted: 2, updated: 3, deleted: 0, extra: 3 });
    const now = await versions(scene, `"${name}"`, '"N"');
    assert.deepEqual([name, written(before.get(name)!, now)], [name, ['17', '3', '39', '5', '8']]);
    assert.deepEqual([name, now.size], [name, ROWS]);
  }

  const deleting = changesOf(await upsert(scene, { ...migration, delete_extra_rows: true }));
  for (const name of names) {
    assert.deepEqual(
      { name, ...deleting[`public.${name}`] },
      { name, inserted: 0, updated: 0, deleted: 3, extra: 0 },
    );
  }
  await assertLikeSource(scene, 'public', migration);
});

test('a key changed by case, accent or form only is another key', async () => {
  await scene.tsql(`UPDATE dbo.K_nvarchar SET K = N'WORD 3' WHERE K = N'Word 3';
UPDATE dbo.K_nvarchar SET K = N'Wörd 4' WHERE K = N'Word 4';
UPDATE dbo.K_char SET K = 'C7' WHERE N = 7;`);
  const only = { ...migration, include_tables: ['K_nvarchar', 'K_char'], delete_extra_rows: true };
  const synced = changesOf(await upsert(scene, only));
  assert.deepEqual(synced['public.K_nvarchar'], { inserted: 2, updated: 0, deleted: 2, extra: 0 });
  assert.deepEqual(synced['public.K_char'], { inserted: 1, updated: 0, deleted: 1, extra: 0 });
  await assertLikeSource(scene, 'public', only);
});

test('a target that allows longer keys loses only the rows the source has not', async () => {
  await scene.client.query(`ALTER TABLE "K_decimal" ALTER COLUMN "K" TYPE numeric;
    ALTER TABLE "K_nvarchar" ALTER COLUMN "K" TYPE text;
    ALTER TABLE "K_char" ALTER COLUMN "K" TYPE text USING rpad("K", 8);
    INSERT INTO "K_decimal" ("N", "K", "V") SELECT 100, "K" + 0.0001, 'near' FROM "K_decimal" WHERE "N" = 2;
    INSERT INTO "K_nvarchar" ("N", "K", "V") SELECT 100, rpad("K", 20) || 'x', 'near' FROM "K_nvarchar" WHERE "N" = 2;
    INSERT INTO "K_char" ("N", "K", "V") SELECT 100, 'long enough', 'near'`);
  const only = {
    ...migration,
    include_tables: ['K_decimal', 'K_nvarchar', 'K_char'],
    delete_extra_rows: true,
  };
  const synced = changesOf(await upsert(scene, only));
  for (const name of only.include_tables) assert.equal(synced[`public.${name}`]?.deleted, 1, name);
  for (const name of only.include_tables) {
    assert.deepEqual(
      await scene.rows(`SELECT count(*), max("N") FROM "${name}"`),
      [[String(ROWS - 3), '39']],
      name,
    );
  }
  await assertVerified(scene, { migration: only });
});

test('keys that are the same in the target fail their table, rather than one row winning', async () => {
  await scene.tsql(`CREATE TABLE dbo.Near (At datetime2(7) NOT NULL CONSTRAINT PK_Near PRIMARY KEY, V int NOT NULL);
INSERT INTO dbo.Near (At, V) VALUES ('2024-01-01T00:00:00.0000001', 1), ('2024-01-01T00:00:01', 5);
GO
CREATE TABLE dbo.Beside (Id int NOT NULL CONSTRAINT PK_Beside PRIMARY KEY);
INSERT INTO dbo.Beside (Id) VALUES (1);`);
  const both = { include_tables: ['Near', 'Beside'] };
  succeeded(await upsert(scene, both));
  await scene.tsql(`INSERT INTO dbo.Near (At, V) VALUES ('2024-01-01T00:00:00.0000002', 2);
INSERT INTO dbo.Beside (Id) VALUES (2);`);
  const done = await upsert(scene, both);
  assert.deepEqual([done.code, done.result.failed_tables], [3, ['dbo.Near']], done.stderr);
  const error = tableError(done.result, 'dbo.Near');
  assert.equal(error.code, 'VALUE_UNREPRESENTABLE');
  assert.match(
    error.message,
    /Two rows of dbo\.Near have keys that are the same.*At=2024-01-01.00:00:00\.000000[12]/,
  );
  assert.deepEqual(await scene.rows('SELECT "V" FROM "Near" ORDER BY 1'), [['1'], ['5']]);
  assert.deepEqual(await scene.rows('SELECT count(*) FROM "Beside"'), [['2']]);
});
