/**
 * A source of small tables with every kind of key, and a target whose rows are compared with an undisturbed run's.
 *
 * Runs on the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { type Scene, startScene, succeeded } from './endToEnd.js';

const CRASH_ROWS = 1200;
const SMALL_ROWS = 240;
const series = `FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${CRASH_ROWS} AS bigint)) AS s`;
const pad = `REPLICATE(N'x', CAST(20 + s.value % 60 AS int))`;

const script = `CREATE TABLE dbo.by_int (id int NOT NULL PRIMARY KEY, pad nvarchar(100) NULL, price decimal(9,2) NULL);
GO
INSERT INTO dbo.by_int (id, pad, price) SELECT s.value * 3 - 500, ${pad}, CAST(s.value AS decimal(9,2)) / 8 ${series};
GO
CREATE TABLE dbo.by_pair (b nvarchar(20) NOT NULL, a int NOT NULL, pad nvarchar(100) NULL, PRIMARY KEY (b, a));
GO
INSERT INTO dbo.by_pair (b, a, pad) SELECT CONCAT(N'k\u00e9 ', s.value % 7), s.value, ${pad} ${series};
GO
CREATE TABLE dbo.by_text (code nvarchar(30) NOT NULL PRIMARY KEY, pad nvarchar(100) NULL);
GO
INSERT INTO dbo.by_text (code, pad) SELECT CONCAT(CHAR(CAST(97 + s.value % 26 AS int)), N'-\u00fc', s.value), ${pad} ${series};
GO
CREATE TABLE dbo.by_guid (id uniqueidentifier NOT NULL PRIMARY KEY, pad nvarchar(100) NULL);
GO
INSERT INTO dbo.by_guid (id, pad) SELECT CONVERT(uniqueidentifier, HASHBYTES('MD5', CONCAT(N'g', s.value))), ${pad} ${series};
GO
CREATE TABLE dbo.by_moment (at datetime2(7) NOT NULL PRIMARY KEY, pad nvarchar(100) NULL);
GO
INSERT INTO dbo.by_moment (at, pad) SELECT DATEADD(microsecond, s.value * 7919, CAST('1969-12-31T23:59:59.1234567' AS datetime2(7))), ${pad} ${series};
GO
CREATE TABLE dbo.keyless (n int NULL, pad nvarchar(100) NULL);
GO
INSERT INTO dbo.keyless (n, pad) SELECT s.value % 100, ${pad} ${series};`;

/** Further types of key, in small tables: a chunk's last key is given as text by the wire, and read by the source. */
const smallKeys: Record<string, [type: string, value: string]> = {
  by_bigint: ['bigint', 's.value * 1234567890123 - 100000000000000'],
  by_binary: ['varbinary(8)', 'CONVERT(varbinary(8), s.value * 7919)'],
  by_date: ['date', "DATEADD(day, s.value * 37, CAST('1899-12-30' AS date))"],
  by_datetime: ['datetime', "DATEADD(millisecond, s.value * 1237, CAST('1969-12-31T23:59:00' AS datetime))"],
  by_decimal: ['decimal(38,10)', 'CAST(s.value AS decimal(38,10)) / 7 - 3'],
  by_float: ['float', 'CAST(s.value AS float) / 7 - 3'],
  by_money: ['money', 'CAST(s.value AS money) / 16 - 3'],
  by_offset: [
    'datetimeoffset(7)',
    "DATEADD(second, s.value * 977, CAST('2020-02-28T22:00:00.1234567+05:30' AS datetimeoffset(7)))",
  ],
  by_real: ['real', 'CAST(CAST(s.value AS float) / 7 - 3 AS real)'],
  by_smallmoney: ['smallmoney', 'CAST(CAST(s.value AS money) / 16 - 3 AS smallmoney)'],
  by_time: ['time(3)', "DATEADD(millisecond, s.value * 1237, CAST('01:02:03.004' AS time(3)))"],
};

const smallScript = Object.entries(smallKeys)
  .map(
    ([
      table,
      [type, value],
    ]) => `CREATE TABLE dbo.${table} (k ${type} NOT NULL PRIMARY KEY, pad nvarchar(100) NULL);
GO
INSERT INTO dbo.${table} (k, pad) SELECT ${value}, ${pad}
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${SMALL_ROWS} AS bigint)) AS s;`,
  )
  .join('\nGO\n');

const crashTables = [
  ...['by_int', 'by_pair', 'by_text', 'by_guid', 'by_moment', 'keyless'],
  ...Object.keys(smallKeys),
];
const rowsOf = (table: string) => String(table in smallKeys ? SMALL_ROWS : CRASH_ROWS);

/** Many small chunks in several partitions, lanes and writers. */
export const crashMigration = {
  chunk_size: 30,
  large_table_threshold: 200,
  min_rows_per_partition: 120,
  max_partitions: 4,
  parallel_readers: 2,
  write_ahead_writers: 2,
  workers: 3,
  retry_delay_ms: 100,
};

export interface CrashScene extends Scene {
  /** Asserts that every table that upsert can take has the rows it should have. */
  assertKeyed(schema: string): Promise<void>;
  /** Asserts that every table of `schema` is as it should be, and the newest run's ledger agrees. */
  assertExact(schema: string): Promise<void>;
}

/** Makes the source, and migrates it undisturbed into the schema `reference`. */
export async function startCrashScene(
  name: string,
  options: Parameters<typeof startScene>[2] = {},
): Promise<CrashScene> {
  const scene = await startScene(name, `${script}\nGO\n${smallScript}`, options);
  try {
    const content = (schema: string) => contentOf(scene, schema, crashTables);
    const changes = { migration: crashMigration, target: { schema: 'reference' } };
    succeeded(await scene.migrate(changes));
    const reference = await content('reference');
    assert.deepEqual(
      reference.map(([table, rows]) => [table, rows]),
      crashTables.map((table) => [table, rowsOf(table)]),
    );
    const keyed = crashTables.filter((table) => table !== 'keyless');
    const assertKeyed = async (schema: string) => {
      const expected = reference.filter(([table]) => table !== 'keyless');
      assert.deepEqual(await contentOf(scene, schema, keyed), expected);
    };
    const keys = await keysOf(scene, 'reference');
    const assertExact = async (schema: string) => {
      assert.deepEqual(await content(schema), reference);
      const ledger = await scene.rows(`SELECT t.target_name, t.status, sum(c.rows), count(c.digest)
        FROM mssql_pg_migrate.tables t
        JOIN (SELECT run_id FROM mssql_pg_migrate.runs r WHERE status = 'completed' ORDER BY started_at DESC LIMIT 1) AS r USING (run_id)
        JOIN (SELECT * FROM mssql_pg_migrate.chunks UNION ALL SELECT * FROM mssql_pg_migrate.unlogged_chunks) AS c USING (run_id, table_name)
        WHERE t.target_schema = '${schema}' AND c.moved_to IS NULL GROUP BY 1, 2 ORDER BY 1`);
      assert.deepEqual(
        ledger.map(([table, status, rows]) => [table, status, rows]),
        [...crashTables].sort().map((table) => [table, 'completed', rowsOf(table)]),
      );
      const unlogged =
        await scene.rows(`SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = '${schema}' AND c.relpersistence = 'u'`);
      assert.deepEqual(unlogged, []);
      assert.deepEqual(await keysOf(scene, schema), keys);
    };
    return { ...scene, assertExact, assertKeyed };
  } catch (error) {
    await scene.stop();
    throw error;
  }
}

/** Primary keys of a schema, by table. */
function keysOf(scene: Scene, schema: string): Promise<(string | null)[][]> {
  return scene.rows(`SELECT t.relname, pg_get_constraintdef(k.oid) FROM pg_constraint k
    JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE n.nspname = '${schema}' AND k.contype = 'p' ORDER BY 1`);
}

async function contentOf(
  scene: Scene,
  schema: string,
  tables: readonly string[],
): Promise<(string | null)[][]> {
  const all: (string | null)[][] = [];
  for (const table of tables) {
    const [row] = await scene.rows(
      `SELECT count(*), md5(string_agg(j.line, E'\\n' ORDER BY j.line COLLATE "C")) FROM (SELECT (to_jsonb(t) - 'row_hash')::text AS line FROM "${schema}"."${table}" AS t) AS j`,
    );
    all.push([table, ...(row ?? [])]);
  }
  return all;
}
