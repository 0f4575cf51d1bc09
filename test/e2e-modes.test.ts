/**
 * Transfer modes and what a run may be told: what becomes of tables that are there, what is chosen, what is kept.
 *
 * Run by the main thread of the test process. Every test writes to a target schema of its own.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { type Scene, startScene, succeeded, tableError } from './support/endToEnd.js';

const role = `mpm_e2e_${randomBytes(4).toString('hex')}`;
let scene: Scene;

before(async () => {
  scene = await startScene(
    'modes',
    `CREATE TABLE dbo.item (id int NOT NULL CONSTRAINT pk_item PRIMARY KEY, name nvarchar(30) NULL, price decimal(9,2) NULL);
GO
INSERT INTO dbo.item (id, name, price)
SELECT s.value, CASE WHEN s.value % 5 = 0 THEN NULL ELSE CONCAT(N'item \u00e9 ', s.value) END, CAST(s.value AS decimal(9,2)) / 8
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(500 AS bigint)) AS s;
GO
CREATE TABLE dbo.pair (a int NOT NULL, b nvarchar(10) NOT NULL, note varchar(10) NULL, CONSTRAINT pk_pair PRIMARY KEY (b, a));
GO
INSERT INTO dbo.pair (a, b, note) VALUES (1, N'x', 'one'), (2, N'x', NULL), (1, N'y', '');
GO
CREATE TABLE dbo.item_history (id int NOT NULL PRIMARY KEY);
GO
CREATE TABLE dbo.faulty (id int NOT NULL PRIMARY KEY, word nvarchar(20) NULL);
GO
INSERT INTO dbo.faulty (id, word) VALUES (1, N'good'), (2, CONCAT(N'a', NCHAR(0), N'b', NCHAR(0))), (3, N'fine');
GO
CREATE TABLE dbo.broken (id int NOT NULL PRIMARY KEY, word nvarchar(20) NULL);
GO
INSERT INTO dbo.broken (id, word) VALUES (7, CONCAT(N'half ', NCHAR(55357), N' a pair'));
GO
CREATE SCHEMA sales;
GO
CREATE TABLE sales.item (id int NOT NULL PRIMARY KEY);
GO
INSERT INTO sales.item (id) VALUES (41), (42);`,
  );
  await scene.client.query(`CREATE ROLE ${role}`);
});

after(async () => {
  await scene?.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`).catch(() => {});
  await scene?.stop();
});

const sound = { include_tables: ['item', 'pair'] };
/** item as it must look, whatever the schema. */
const items = Array.from({ length: 500 }, (_, i) => {
  const id = i + 1;
  const thousandths = (id * 1000) / 8;
  // decimal(9,2) is what the column holds: half a cent is rounded away from zero.
  return [
    String(id),
    id % 5 === 0 ? null : `item \u00e9 ${id}`,
    (Math.round(thousandths / 10) / 100).toFixed(2),
  ];
});

/** The canonical row hash of item, computed by PostgreSQL from the values it holds. */
const itemHash = `md5(coalesce(int4send(octet_length(name)) || convert_to(name, 'UTF8'), '\\xffffffff')
  || coalesce(int4send(octet_length(price::text)) || convert_to(price::text, 'UTF8'), '\\xffffffff'))`;

async function relations(schema: string): Promise<(string | null)[][]> {
  return scene.rows(`SELECT c.relname, c.relkind, c.relpersistence FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = '${schema}' ORDER BY 1`);
}

test('drop_recreate makes the schema, tables and keys, and a second run replaces them', async () => {
  const changes = { target: { schema: 'recreated' }, migration: sound };
  assert.deepEqual(await scene.rows(`SELECT 1 FROM pg_namespace WHERE nspname = 'recreated'`), []);
  const first = succeeded(await scene.migrate(changes));
  assert.deepEqual([first.tables_success, first.rows_transferred], [2, 503]);
  assert.deepEqual(await scene.rows('SELECT * FROM recreated.item ORDER BY id'), items);
  const keys = `SELECT c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c
    WHERE c.connamespace = 'recreated'::regnamespace AND c.contype = 'p' ORDER BY 1`;
  const expectedKeys = [
    ['pk_item', 'PRIMARY KEY (id)'],
    ['pk_pair', 'PRIMARY KEY (b, a)'],
  ];
  assert.deepEqual(await scene.rows(keys), expectedKeys);

  await scene.client.query(`UPDATE recreated.item SET name = 'changed'; DELETE FROM recreated.pair;
    ALTER TABLE recreated.item ADD COLUMN extra int, ALTER COLUMN price TYPE text`);
  succeeded(await scene.migrate(changes));
  assert.deepEqual(await scene.rows('SELECT * FROM recreated.item ORDER BY id'), items);
  assert.deepEqual(await scene.rows('SELECT * FROM recreated.pair ORDER BY b, a'), [
    ['1', 'x', 'one'],
    ['2', 'x', null],
    ['1', 'y', ''],
  ]);
  assert.deepEqual(await scene.rows(keys), expectedKeys);
});

test('truncate keeps what the table has beside its rows, and adds the row hash', async () => {
  await scene.client.query(`CREATE SCHEMA kept;
    CREATE TABLE kept.item (extra text NOT NULL DEFAULT 'kept', price numeric(9,2), name text, id integer CONSTRAINT own_key PRIMARY KEY);
    CREATE INDEX item_name ON kept.item (name);
    GRANT SELECT ON kept.item TO ${role};
    INSERT INTO kept.item VALUES ('old', 1, 'old', 1), ('old', 1, 'old', 999)`);
  const changes = {
    target: { schema: 'kept' },
    migration: { ...sound, target_mode: 'truncate', use_hash_detection: true },
  };
  for (const attempt of [1, 2]) {
    const result = succeeded(await scene.migrate(changes));
    assert.equal(result.rows_transferred, 503, `attempt ${attempt}`);
    assert.deepEqual(await scene.rows('SELECT id, name, price FROM kept.item ORDER BY id'), items);
    assert.deepEqual(await scene.rows(`SELECT count(*) FROM kept.item WHERE extra = 'kept'`), [['500']]);
    const wrong = await scene.rows(
      `SELECT id, row_hash FROM kept.item WHERE row_hash IS DISTINCT FROM ${itemHash}`,
    );
    assert.deepEqual(wrong, []);
    assert.deepEqual(
      await scene.rows(
        `SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'kept.item'::regclass ORDER BY 1`,
      ),
      [['kept.item_name'], ['kept.own_key']],
    );
    assert.deepEqual(await scene.rows(`SELECT has_table_privilege('${role}', 'kept.item', 'SELECT')`), [
      ['t'],
    ]);
  }
});

test('a table that cannot take the rows is refused before any is emptied', async () => {
  await scene.client.query(`CREATE SCHEMA narrow; CREATE TABLE narrow.item (id int, name varchar(5), price numeric(9,2));
    CREATE TABLE narrow.pair (a int, b text, note text); INSERT INTO narrow.pair VALUES (0, 'stays', NULL)`);
  const { code, result } = await scene.migrate({
    target: { schema: 'narrow' },
    migration: { ...sound, target_mode: 'truncate' },
  });
  assert.deepEqual([code, result.error?.code], [3, 'SCHEMA_CONFLICT']);
  assert.match(result.error?.message ?? '', /narrow\.item\.name \(character varying\(5\)\)/);
  assert.deepEqual(await scene.rows('SELECT b FROM narrow.pair'), [['stays']]);
});

test('UNLOGGED tables are LOGGED at the end, those of failed tables too', async () => {
  const { code, result } = await scene.migrate({
    target: { schema: 'unlogged' },
    migration: { include_tables: ['item', 'pair', 'faulty'], use_unlogged_tables: true },
  });
  assert.deepEqual([code, result.tables_success, result.failed_tables], [3, 2, ['dbo.faulty']]);
  const found = (await relations('unlogged')).filter(([, kind]) => kind === 'r');
  assert.deepEqual(found, [
    ['faulty', 'r', 'p'],
    ['item', 'r', 'p'],
    ['pair', 'r', 'p'],
  ]);
  assert.deepEqual(
    result.steps
      .filter(({ step }) => step === 'logged')
      .map(({ table }) => table)
      .sort(),
    ['dbo.faulty', 'dbo.item', 'dbo.pair'],
  );
});

test('rows that a crash has emptied by the time their table is set LOGGED are missed', async () => {
  // As the crash does, which empties the table as well.
  await scene.client.query(`CREATE FUNCTION emptied() RETURNS event_trigger LANGUAGE plpgsql AS
      $$ BEGIN DELETE FROM mssql_pg_migrate.unlogged_chunks; END $$;
    CREATE EVENT TRIGGER emptied ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION emptied()`);
  const { code, result } = await scene.migrate({
    target: { schema: 'emptied' },
    migration: { include_tables: ['pair'], use_unlogged_tables: true, max_retries: 0 },
  });
  await scene.client.query('DROP EVENT TRIGGER emptied');
  assert.deepEqual([code, result.failed_tables], [3, ['dbo.pair']]);
  assert.match(tableError(result, 'dbo.pair').message, /3 rows were committed, and the ledger has 0/);
});

for (const binary of [true, false]) {
  test(`a value that can't be kept fails its table alone (${binary ? 'binary' : 'text'} COPY)`, async () => {
    const schema = binary ? 'nul_binary' : 'nul_text';
    const { code, result } = await scene.migrate({
      target: { schema },
      migration: { use_binary_copy: binary },
    });
    assert.deepEqual([code, result.error?.code], [3, 'TABLES_FAILED']);
    assert.deepEqual([...result.failed_tables].sort(), ['dbo.broken', 'dbo.faulty']);
    const nul = tableError(result, 'dbo.faulty');
    assert.deepEqual(
      [nul.code, nul.table, nul.column, nul.key],
      ['VALUE_UNREPRESENTABLE', 'dbo.faulty', 'word', 'id=2'],
    );
    assert.match(nul.message, /Table dbo\.faulty, column word, row id=2: .*NUL/);
    assert.match(nul.remedy ?? '', /on_nul/);
    const half = tableError(result, 'dbo.broken');
    assert.deepEqual([half.code, half.column, half.key], ['VALUE_UNREPRESENTABLE', 'word', 'id=7']);
    assert.match(half.message, /surrogate/);
    assert.deepEqual(await scene.rows(`SELECT * FROM ${schema}.item ORDER BY id`), items);
    assert.deepEqual(await scene.rows(`SELECT count(*) FROM ${schema}.faulty`), [['0']]);
  });
}

test('on_nul strip and replace', async () => {
  for (const [on_nul, word] of [
    ['strip', 'ab'],
    ['replace', 'a\ufffdb\ufffd'],
  ] as const) {
    const schema = `nul_${on_nul}`;
    succeeded(await scene.migrate({ target: { schema }, migration: { include_tables: ['faulty'], on_nul } }));
    assert.deepEqual(await scene.rows(`SELECT word FROM ${schema}.faulty ORDER BY id`), [
      ['good'],
      [word],
      ['fine'],
    ]);
  }
});

test('tables are chosen by patterns, schemas and workers by options', async () => {
  const globs = await scene.migrate({
    target: { schema: 'chosen' },
    migration: { include_tables: ['item*', 'dbo.p?ir'], exclude_tables: ['*_history', 'itms'] },
  });
  assert.deepEqual(
    succeeded(globs)
      .tables.map(({ table }) => table)
      .sort(),
    ['dbo.item', 'dbo.pair'],
  );
  const unmatched = globs.result.notes.filter((note) => note.includes('exclude_tables'));
  assert.deepEqual(unmatched, ['migration.exclude_tables: itms matches no source table']);
  const options = ['--source-schema', 'sales', '--target-schema', 'sold', '--workers', '1'];
  const result = succeeded(await scene.migrate({ target: { schema: 'chosen' } }, options));
  assert.deepEqual(
    result.tables.map(({ table, target }) => [table, target]),
    [['sales.item', 'sold.item']],
  );
  assert.deepEqual(await scene.rows('SELECT id FROM sold.item ORDER BY 1'), [['41'], ['42']]);
  assert.deepEqual(await scene.rows('SELECT count(*) FROM chosen.item'), [['500']]);
});

test('a dry run touches nothing', async () => {
  await scene.client.query(
    'CREATE SCHEMA dry; CREATE TABLE dry.item (id int); INSERT INTO dry.item VALUES (1)',
  );
  // Not reltuples: autovacuum may count the rows of earlier tests at any time.
  const everything = `SELECT oid, relname, relfilenode, relpersistence, xmin FROM pg_class
    WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace) ORDER BY oid`;
  const schemas = 'SELECT oid, nspname FROM pg_namespace ORDER BY oid';
  const look = async () => [await scene.rows(everything), await scene.rows(schemas)];
  const before = await look();
  for (const target_mode of ['drop_recreate', 'truncate']) {
    for (const schema of ['dry', 'not_made']) {
      const { code, result, stderr } = await scene.migrate(
        {
          target: { schema },
          migration: { ...sound, target_mode, use_unlogged_tables: true, use_hash_detection: true },
        },
        ['--dry-run'],
      );
      // A table with one column is nothing TRUNCATE could fill: that is said without touching it.
      const refused = target_mode === 'truncate' && schema === 'dry';
      assert.deepEqual([code, result.error?.code], refused ? [1, 'RUN_IMPOSSIBLE'] : [0, undefined], stderr);
    }
  }
  assert.deepEqual(await look(), before);
  assert.deepEqual(await scene.rows('SELECT id FROM dry.item'), [['1']]);
});

test('source.isolation', async () => {
  const snapshot = { source: { isolation: 'snapshot' }, target: { schema: 'isolated' }, migration: sound };
  const refused = await scene.migrate(snapshot);
  assert.deepEqual([refused.code, refused.result.error?.server_code], [3, '3952']);
  const { database } = scene.source;
  assert.ok(
    refused.result.error?.remedy?.includes(`ALTER DATABASE [${database}] SET ALLOW_SNAPSHOT_ISOLATION ON`),
  );
  await scene.tsql(`ALTER DATABASE [${database}] SET ALLOW_SNAPSHOT_ISOLATION ON`);
  succeeded(await scene.migrate(snapshot));
  assert.deepEqual(await scene.rows('SELECT * FROM isolated.item ORDER BY id'), items);

  const dirty = succeeded(await scene.migrate({ ...snapshot, source: { isolation: 'read_uncommitted' } }));
  assert.match(dirty.notes.join('\n'), /read_uncommitted: rows may be missing/);
  assert.deepEqual(await scene.rows('SELECT * FROM isolated.item ORDER BY id'), items);
});
