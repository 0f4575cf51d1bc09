/**
 * What `upsert` makes of targets and settings: tables missing, empty, without key or row hash; what is refused; and
 * every option it has.
 *
 * Run by the main thread of the test process. Every test writes to a target schema of its own.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Scene, startScene, succeeded } from './support/endToEnd.js';
import {
  assertLikeSource,
  assertSameRows,
  assertVerified,
  changesOf,
  migrateTruth,
  upsert,
  versions,
  written,
} from './support/upserting.js';

let scene: Scene;
before(async () => {
  scene = await startScene(
    'upsert_modes',
    `CREATE TABLE dbo.item (id int NOT NULL CONSTRAINT pk_item PRIMARY KEY, name nvarchar(30) NULL, body nvarchar(max) NULL, price decimal(9,2) NULL);
GO
INSERT INTO dbo.item (id, name, body, price) SELECT CAST(s.value AS int), CONCAT(N'item ', s.value), CONCAT(N'body ', s.value), CAST(s.value AS decimal(9,2)) / 4
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(600 AS bigint)) AS s;
GO
CREATE TABLE dbo.coded (a int NOT NULL, code varchar(10) NOT NULL, v int NULL);
CREATE UNIQUE INDEX ux_coded ON dbo.coded (code, a);
GO
INSERT INTO dbo.coded (a, code, v) VALUES (1, 'x', 1), (2, 'x', 2), (1, 'y', NULL);
GO
CREATE SCHEMA keyless;
GO
CREATE TABLE keyless.first_one (a int NULL);
GO
CREATE TABLE keyless.keyed (a int NOT NULL PRIMARY KEY);
GO
CREATE TABLE keyless.other_one (a int NOT NULL, b int NULL);
GO
CREATE SCHEMA odd;
GO
CREATE TABLE odd.varied (v sql_variant NOT NULL CONSTRAINT pk_varied PRIMARY KEY, n int NULL);`,
  );
});
after(() => scene?.stop());

const none = { inserted: 0, updated: 0, deleted: 0, extra: 0 };
const keysOf = (schema: string) =>
  scene.rows(`SELECT indexrelid::regclass::text, indisprimary FROM pg_index JOIN pg_class c ON c.oid = indexrelid
    WHERE c.relnamespace = '${schema}'::regnamespace ORDER BY 1`);

test('missing and empty tables are loaded whole, and get their keys', async () => {
  const target = { schema: 'fresh' };
  await scene.client.query(`CREATE SCHEMA fresh;
    CREATE TABLE fresh.item (id integer PRIMARY KEY, name varchar(30), body text, price numeric(9,2), note text DEFAULT 'mine')`);
  const dry = await scene.migrate({ target, migration: { target_mode: 'upsert' } }, ['--dry-run']);
  assert.match(dry.stdout, /creates table fresh\.coded/);
  assert.match(dry.stdout, /adds column row_hash/);
  const first = succeeded(await upsert(scene, {}, { target }));
  assert.deepEqual(first.tables.map(({ table, rows, changes }) => [table, rows, changes]).sort(), [
    ['dbo.coded', 3, undefined],
    ['dbo.item', 600, undefined],
  ]);
  assert.deepEqual(await keysOf('fresh'), [
    ['fresh.item_pkey', 't'],
    ['fresh.ux_coded', 'f'],
  ]);
  await assertLikeSource(scene, 'fresh');
  const again = changesOf(await upsert(scene, {}, { target }));
  assert.deepEqual(again, { 'fresh.item': none, 'fresh.coded': none });
  assert.deepEqual(await scene.rows(`SELECT count(*) FROM fresh.item WHERE note = 'mine'`), [['600']]);
});

test('tables that are there without key and row hash get both, and keep their rows', async () => {
  const target = { schema: 'bare' };
  succeeded(await scene.migrate({ target }));
  await scene.client.query(`ALTER TABLE bare.item DROP CONSTRAINT pk_item;
    UPDATE bare.item SET name = 'stale' WHERE id = 9; DELETE FROM bare.item WHERE id = 10`);
  const synced = await upsert(scene, { row_hash_column: 'digest' }, { target });
  assert.deepEqual(changesOf(synced)['bare.item'], { ...none, inserted: 1, updated: 1 });
  const item = synced.result.tables.find(({ table }) => table === 'dbo.item');
  assert.match(item?.notes.join('\n') ?? '', /digest filled in for the rows that were there/);
  assert.deepEqual(await keysOf('bare'), [
    ['bare.pk_item', 't'],
    ['bare.ux_coded', 'f'],
  ]);
  await assertLikeSource(scene, 'bare', { row_hash_column: 'digest' });
  await assertVerified(scene, { target, migration: { row_hash_column: 'digest' } });
});

test('rows of the target that have the same key are named', async () => {
  const target = { schema: 'doubled' };
  succeeded(await scene.migrate({ target }));
  await scene.client.query(`ALTER TABLE doubled.item DROP CONSTRAINT pk_item;
    INSERT INTO doubled.item SELECT * FROM doubled.item WHERE id = 17`);
  const { code, result } = await upsert(scene, {}, { target });
  assert.equal(code, 3);
  assert.match(result.error?.message ?? '', /Key \(id\)=\(17\) is duplicated/);
  assert.equal(result.error?.table, 'doubled.item');
  assert.match(result.error?.remedy ?? '', /[Dd]elete/);
});

test('tables without a key, or with one that can not be asked for, are all named and refused', async () => {
  // A dry run looks for every obstacle before it says that the run could not work.
  for (const [args, expected] of [
    [[], 'UNSUPPORTED'],
    [['--dry-run'], 'RUN_IMPOSSIBLE'],
  ] as const) {
    const { code, result } = await scene.migrate(
      { source: { schema: 'keyless' }, target: { schema: 'keyless' }, migration: { target_mode: 'upsert' } },
      [...args],
    );
    assert.deepEqual([code, result.error?.code], [1, expected]);
    assert.match(result.error?.message ?? '', /keyless\.first_one, keyless\.other_one\b/);
    assert.match(result.error?.remedy ?? '', /primary key.*exclude_tables.*truncate/s);
  }
  const odd = await upsert(scene, {}, { source: { schema: 'odd' }, target: { schema: 'odd' } });
  assert.deepEqual([odd.code, odd.result.error?.code], [1, 'UNSUPPORTED']);
  assert.match(odd.result.error?.message ?? '', /odd\.varied \(v\)/);
  assert.deepEqual(
    await scene.rows(`SELECT nspname FROM pg_namespace WHERE nspname IN ('keyless', 'odd')`),
    [],
  );
});

test('a table that was left UNLOGGED is LOGGED before its rows are compared and merged', async () => {
  await scene.client.query(`CREATE SCHEMA half;
    CREATE UNLOGGED TABLE half.coded (a integer NOT NULL, code varchar(10) NOT NULL, v integer, UNIQUE (code, a));
    INSERT INTO half.coded VALUES (1, 'x', 9);
    CREATE FUNCTION half.lasting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF (SELECT relpersistence = 'u' FROM pg_class WHERE oid = TG_RELID) THEN RAISE 'it is UNLOGGED'; END IF;
      RETURN NEW; END $$;
    CREATE TRIGGER lasting BEFORE INSERT ON half.coded FOR EACH ROW EXECUTE FUNCTION half.lasting()`);
  const changes = { include_tables: ['coded'], use_unlogged_tables: true, use_hash_detection: false };
  const done = await upsert(scene, changes, { target: { schema: 'half' } });
  assert.deepEqual(changesOf(done)['half.coded'], { ...none, inserted: 2, updated: 1 });
});

const settings: Record<string, { migration: Record<string, unknown>; source?: Record<string, unknown> }> = {
  plain: { migration: { use_hash_detection: false } },
  single: { migration: { upsert_batch_size: 7, upsert_parallel_tasks: 1 } },
  many: { migration: { upsert_batch_size: 50, upsert_parallel_tasks: 8, workers: 2, max_pg_connections: 6 } },
  text: { migration: { use_binary_copy: false, use_unlogged_tables: true } },
  snapshot: {
    migration: { batch_verify: { tier1_batch_size: 100, tier2_batch_size: 20 } },
    source: { isolation: 'snapshot' },
  },
};

test('every setting brings the same rows', async () => {
  await scene.tsql(`ALTER DATABASE [${scene.source.database}] SET ALLOW_SNAPSHOT_ISOLATION ON`);
  const tables = await migrateTruth(scene, 'truth');
  for (const [schema, { migration, source = {} }] of Object.entries(settings)) {
    const changes = { target: { schema }, source };
    succeeded(await upsert(scene, migration, changes));
    await scene.client.query(`UPDATE ${schema}.item SET body = 'gone' WHERE id % 50 = 3;
      DELETE FROM ${schema}.item WHERE id BETWEEN 101 AND 180; UPDATE ${schema}.coded SET v = 7 WHERE code = 'y'`);
    const before = await versions(scene, `${schema}.item`, 'id');
    const synced = changesOf(await upsert(scene, migration, changes));
    assert.deepEqual(synced[`${schema}.item`], { ...none, inserted: 80, updated: 10 }, schema);
    assert.deepEqual(synced[`${schema}.coded`], { ...none, updated: 1 }, schema);
    assert.equal(written(before, await versions(scene, `${schema}.item`, 'id')).length, 90, schema);
    const columns = await scene.rows(
      `SELECT count(*) FROM pg_attribute WHERE attrelid = '${schema}.item'::regclass AND attnum > 0`,
    );
    assert.deepEqual(columns, [[schema === 'plain' ? '4' : '5']], schema);
    for (const name of tables) await assertSameRows(scene, name, { truth: 'truth', schema });
  }
});

test('hash_text_columns: false does not see long text, and says so', async () => {
  const target = { schema: 'long_text' };
  const blind = { hash_text_columns: false };
  succeeded(await upsert(scene, blind, { target }));
  await scene.client.query(`UPDATE long_text.item SET body = 'changed' WHERE id IN (4, 5)`);
  const unseen = await upsert(scene, blind, { target });
  assert.deepEqual(changesOf(unseen)['long_text.item'], none);
  const item = unseen.result.tables.find(({ table }) => table === 'dbo.item');
  assert.match(item?.notes.join('\n') ?? '', /not covered by the row hash: body/);
  const unhashed = await upsert(scene, { ...blind, use_hash_detection: false }, { target });
  assert.deepEqual(changesOf(unhashed)['long_text.item'], none);
  assert.match(
    unhashed.result.tables.find(({ table }) => table === 'dbo.item')?.notes.join('\n') ?? '',
    /not compared \(hash_text_columns: false\): body\nrow_hash is left as it is/,
  );
  const seen = await upsert(scene, {}, { target });
  assert.deepEqual(changesOf(seen)['long_text.item'], { ...none, updated: 2 });
  assert.deepEqual(await scene.rows(`SELECT body FROM long_text.item WHERE id IN (4, 5) ORDER BY id`), [
    ['body 4'],
    ['body 5'],
  ]);
  const again = seen.result.tables.find(({ table }) => table === 'dbo.item');
  assert.match(again?.notes.join('\n') ?? '', /row_hash filled in .*: it was missing, or of other columns/);
  await assertLikeSource(scene, 'long_text');
});

test('row hashes that a run without them has left out or behind are computed by the next one with them, once', async () => {
  const target = { schema: 'without' };
  succeeded(await upsert(scene, {}, { target }));
  await scene.client.query(`DELETE FROM without.item WHERE id = 300; UPDATE without.item SET name = 'x' WHERE id = 400;
    UPDATE without.coded SET row_hash = 'of nobody' WHERE code = 'y'`);
  const run = changesOf(await upsert(scene, { use_hash_detection: false }, { target }));
  assert.deepEqual(run['without.item'], { ...none, inserted: 1, updated: 1 });
  const before = await versions(scene, 'without.item', 'id');
  assert.deepEqual(changesOf(await upsert(scene, {}, { target }))['without.item'], none);
  const after = await versions(scene, 'without.item', 'id');
  assert.deepEqual(written(before, after), ['300']);
  await assertLikeSource(scene, 'without');
  assert.deepEqual(changesOf(await upsert(scene, {}, { target }))['without.item'], none);
  assert.deepEqual(written(after, await versions(scene, 'without.item', 'id')), []);
});
