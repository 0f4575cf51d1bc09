/** A whole run of the tool as users start it: SQL Server in, PostgreSQL out, every type, key and name, two schemas. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { everyTypeScript, everyTypeTables } from './fixtures/everyType.js';
import { typeCaseScript, typeCases, typeCaseTable } from './fixtures/typeCases.js';
import { runCli } from './support/cli.js';
import { writeConfig } from './support/config.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';
import { compareRows } from './support/rowCounts.js';
import {
  runTsql,
  type SqlServerConnection,
  startSqlServer,
  type TestSqlServer,
} from './support/sqlserver.js';
import { stackOverflowScripts } from './support/stackOverflow.js';
import { checkTypeCases } from './support/typeCheck.js';

const stackOverflow = stackOverflowScripts(20_000);
const directory = mkdtempSync(join(tmpdir(), 'mpm-whole-run-'));
let server: TestSqlServer;
let source: SqlServerConnection;

before(async () => {
  server = await startSqlServer();
  source = await server.createDatabase('whole_run');
  for (const { script } of stackOverflow) await runTsql(source, script);
  await runTsql(source, typeCaseScript());
  await runTsql(source, everyTypeScript());
});
after(async () => {
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const expected = [
  ...stackOverflow.map(({ table, rows }) => ({ schema: 'public', name: table, rows })),
  ...typeCases.map((one) => ({ schema: 'public', name: typeCaseTable(one), rows: one.values.length + 1 })),
  ...everyTypeTables.map(({ schema, name, rows }) => ({
    schema: schema === 'dbo' ? 'public' : schema,
    name,
    rows,
  })),
];

/** Both schemas, into an empty database of its own; then everything that can be said about the result. */
async function migrateAndCheck(target: TestPostgres, migration: Record<string, unknown>): Promise<void> {
  const config = writeConfig(directory, { source, target: target.connection, migration });
  const schemas = [[], ['--source-schema', 'sales', '--target-schema', 'sales']];
  for (const schema of schemas) {
    const run = await runCli(['-c', config, '--output-json', 'run', ...schema], { timeoutMs: 180_000 });
    assert.equal(run.code, 0, run.stderr);
    assert.equal(run.stdout.trimEnd().split('\n').length, 1, 'the result is one line on stdout');
    assert.equal(typeof JSON.parse(run.stdout), 'object');
  }
  const validate = await runCli(['-c', config, 'validate']);
  assert.equal(validate.code, 0, validate.stderr);
  const client = await target.client();
  try {
    const wrong = (await compareRows(client, expected)).filter(({ rows, found }) => rows !== found);
    assert.deepEqual(wrong, []);
    const types = await checkTypeCases(client, 'public');
    assert.deepEqual(types.differences, []);
    assert.equal(
      types.checked,
      typeCases.reduce((sum, one) => sum + one.values.length + 1, 0),
    );
  } finally {
    await client.end();
  }
}

for (const migration of [
  // Small chunks and partitions: every kind of key is cut into ranges, and no row is lost or doubled at a boundary.
  {
    target_mode: 'drop_recreate',
    chunk_size: 1000,
    large_table_threshold: 1000,
    min_rows_per_partition: 1000,
    max_partitions: 8,
    parallel_readers: 2,
    write_ahead_writers: 2,
    use_unlogged_tables: true,
  },
  { target_mode: 'drop_recreate', use_binary_copy: false },
]) {
  test(`everything arrives with ${JSON.stringify(migration)}`, async () => {
    const target = await sharedPostgres();
    try {
      await migrateAndCheck(target, migration);
    } finally {
      await target.stop();
    }
  });
}

test('everything arrives by default; truncate fills the tables that are there then', async () => {
  const target = await sharedPostgres();
  try {
    await migrateAndCheck(target, { target_mode: 'drop_recreate' });
    await migrateAndCheck(target, { target_mode: 'truncate' });
  } finally {
    await target.stop();
  }
});
