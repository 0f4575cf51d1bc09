/** SQL Server's hashes are the hash tier's: known answers, and real rows of every type on their way through a run. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { planTables } from '../src/plan/tables.js';
import { readCatalog } from '../src/source/catalog.js';
import { connectSource, type SourceConnection } from '../src/source/connection.js';
import { quoteTable } from '../src/source/sql.js';
import { connectTarget, type TargetConnection } from '../src/target/connection.js';
import { qualified } from '../src/target/identifiers.js';
import { keyHashSql, rowHashSql } from '../src/verify/hashSql.js';
import { testKnownAnswers } from '../src/verify/knownAnswer.js';
import { everyTypeScript } from './fixtures/everyType.js';
import { typeCaseScript } from './fixtures/typeCases.js';
import { runCli } from './support/cli.js';
import { writeConfig } from './support/config.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';
import {
  runTsql,
  type SqlServerConnection,
  startSqlServer,
  type TestSqlServer,
} from './support/sqlserver.js';

const directory = mkdtempSync(join(tmpdir(), 'mpm-verify-'));
let server: TestSqlServer;
let database: SqlServerConnection;
let postgres: TestPostgres;
let source: SourceConnection;
let target: TargetConnection;

before(async () => {
  server = await startSqlServer();
  database = await server.createDatabase('verify');
  await runTsql(database, typeCaseScript());
  await runTsql(database, everyTypeScript());
  postgres = await sharedPostgres();
  source = await connectSource({
    ...database,
    trust_server_cert: true,
    authentication: 'sql',
    isolation: 'read_committed',
    connect_timeout_seconds: 10,
    request_timeout_seconds: 60,
    packet_size_bytes: 4096,
  });
  target = await connectTarget({
    ...postgres.connection,
    ssl_mode: 'disable',
    connect_timeout_seconds: 10,
    lock_timeout_seconds: 0,
  });
});
after(async () => {
  await source?.close();
  await target?.close();
  await postgres?.stop();
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
});

test('SQL Server knows the hash of every type', async () => {
  const tables = await readCatalog(source, { schemas: ['dbo'] });
  const plans = planTables(tables, {
    naming: { identifierCase: 'preserve', schemaOf: () => 'public' },
    chunkRows: 1000,
    rowHashColumn: null,
    hashTextColumns: true,
    unlogged: false,
  });
  const answers = await testKnownAnswers(source, target, plans);
  assert.deepEqual([...answers.source], []);
  assert.deepEqual([...answers.target], []);
});

test('after a run every table of every type and key matches, by values and by row hashes', async () => {
  const config = writeConfig(directory, {
    source: database,
    target: postgres.connection,
    migration: { use_hash_detection: true, hash_text_columns: true },
  });
  const run = await runCli(['-c', config, 'run'], { timeoutMs: 120_000 });
  assert.equal(run.code, 0, run.stderr);
  for (const flags of [
    [],
    ['--trust-row-hash'],
    // Many ranges and many buckets in both tiers.
    ['--tier1-size', '500', '--tier2-size', '50'],
  ]) {
    const verify = await runCli(['-c', config, '--output-json', 'verify', '--details', '3', ...flags]);
    const result = JSON.parse(verify.stdout);
    const wrong = result.tables.filter((t: { status: string }) => t.status !== 'match');
    assert.deepEqual(wrong, [], verify.stderr);
    assert.equal(verify.code, 0, verify.stderr);
    assert.ok(result.tables_total >= 60);
    const streamed = result.tables.filter((t: { notes: string[] }) =>
      t.notes.some((n) => n.includes('streamed')),
    );
    assert.deepEqual(streamed.map((t: { table: string }) => t.table).sort(), [
      'dbo.AllTypes',
      'dbo.AllTypesNotNull',
      'dbo.Type_sql_variant',
    ]);
  }
});

test('row hashes and key hashes as SQL are those in the tables, on both sides', async () => {
  const plans = planTables(await readCatalog(source, { schemas: ['dbo'] }), {
    naming: { identifierCase: 'preserve', schemaOf: () => 'public' },
    chunkRows: 1000,
    rowHashColumn: 'row_hash',
    hashTextColumns: true,
    unlogged: false,
  });
  let rows = 0;
  for (const plan of plans) {
    const { name } = plan.source;
    const stored = await target.query<{ all: string; wrong: string }>(
      `SELECT count(*) AS all, count(*) FILTER (WHERE t.row_hash <> ${rowHashSql(plan, 'target', 'error')}) AS wrong
        FROM ${qualified(plan.target)} AS t`,
    );
    assert.equal(Number(stored[0]!.wrong), 0, name);
    rows += Number(stored[0]!.all);
    if (plan.keyColumns.length === 0) continue;
    const inTarget = await target.query<{ key: string; row: string }>(
      `SELECT ${keyHashSql(plan, 'target', 'error')} AS key, t.row_hash AS row FROM ${qualified(plan.target)} AS t
        ORDER BY 1`,
    );
    const [key, row] = [keyHashSql(plan, 'source', 'error'), rowHashSql(plan, 'source', 'error')];
    assert.notEqual(key, null);
    if (row === null) continue;
    const inSource = await source.query(
      `SELECT x.[key], x.[row] FROM (SELECT ${key} AS [key], ${row} AS [row] FROM ${quoteTable(plan.source)} AS t) AS x`,
    );
    const digests = inSource.map((one) => ({ key: String(one.key), row: String(one.row) }));
    assert.deepEqual(
      digests.sort((a, b) => (a.key < b.key ? -1 : 1)),
      inTarget,
      name,
    );
  }
  assert.ok(rows > 20_000);
});
