/**
 * The commands against a source and a target: what they print, and their exit codes.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runCli } from './support/cli.js';
import { writeConfig } from './support/config.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';
import {
  runTsql,
  type SqlServerConnection,
  startSqlServer,
  type TestSqlServer,
} from './support/sqlserver.js';

let folder: string;
let target: TestPostgres;
let server: TestSqlServer;
let source: SqlServerConnection;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cli-servers-'));
  target = await sharedPostgres();
  server = await startSqlServer();
  source = await server.createDatabase('cli');
  await runTsql(
    source,
    `CREATE TABLE dbo.customers (id int NOT NULL PRIMARY KEY, name nvarchar(50) NULL, balance money NULL);
GO
INSERT INTO dbo.customers (id, name, balance) VALUES (1, N'Ada', 12.5), (2, NULL, NULL), (3, N'\u00d8rsted', -0.0001);
GO
CREATE TABLE dbo.orders (id int NOT NULL PRIMARY KEY, at datetimeoffset NULL);
GO
INSERT INTO dbo.orders (id, at) VALUES (1, '2024-02-29T12:00:00+02:00');
`,
  );
});

after(async () => {
  await server?.stop();
  await target?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function config(keys: { source?: Record<string, unknown>; target?: Record<string, unknown> } = {}): string {
  return writeConfig(folder, {
    source,
    target: target.connection,
    sourceKeys: keys.source ?? {},
    targetKeys: keys.target ?? {},
  });
}

async function count(sql: string): Promise<number> {
  const client = await target.client();
  try {
    return Number((await client.query<{ n: string }>(sql)).rows[0]?.n);
  } finally {
    await client.end();
  }
}

test('health-check shows both sides', async () => {
  const file = config();
  const json = await runCli(['-c', file, 'health-check', '--output-json']);
  assert.equal(json.code, 0, json.stderr);
  const result = JSON.parse(json.stdout);
  assert.deepEqual(
    [result.status, result.command, result.source.ok, result.target.ok],
    ['success', 'health-check', true, true],
  );
  assert.match(result.source.server_version, /^\d+\./);
  assert.match(result.target.server_version, /^\d+\.\d+/);
  assert.equal(result.source.facts['tables visible'], 2);
  assert.equal(result.source.facts['may see the whole catalog'], true);
  assert.ok(result.source.latency_ms > 0 && result.target.latency_ms > 0);
  const people = await runCli(['-c', file, 'health-check']);
  assert.equal(people.code, 0);
  assert.match(
    people.stdout,
    /Source \(SQL Server\): ok[\s\S]*tables visible: 2[\s\S]*Target \(PostgreSQL\): ok/,
  );
});

test('health-check: one side failing is exit code 2, and the other is still shown', async () => {
  const password = await runCli([
    '-c',
    config({ target: { password: 'wrong-password' } }),
    'health-check',
    '--output-json',
  ]);
  const result = JSON.parse(password.stdout);
  // A server that trusts local connections takes any password.
  if (password.code !== 0) {
    assert.deepEqual([password.code, result.source.ok, result.target.ok], [2, true, false]);
    assert.equal(result.error.code, 'TARGET_LOGIN_FAILED');
  }
  const database = await runCli([
    '-c',
    config({ target: { database: 'no_such_db' } }),
    'health-check',
    '--output-json',
  ]);
  const unknown = JSON.parse(database.stdout);
  assert.deepEqual(
    [database.code, unknown.source.ok, unknown.error.code],
    [2, true, 'TARGET_DATABASE_UNKNOWN'],
  );

  const login = await runCli([
    '-c',
    config({ source: { password: 'wrong-password' } }),
    'health-check',
    '--output-json',
  ]);
  const refused = JSON.parse(login.stdout);
  assert.deepEqual([login.code, refused.target.ok, refused.error.code], [2, true, 'SOURCE_LOGIN_FAILED']);
  assert.doesNotMatch(login.stdout + login.stderr, /wrong-password/);
});

test('a dry run shows the plan and touches nothing', async () => {
  const file = config({ target: { schema: 'dry' } });
  const result = await runCli(['-c', file, 'plan']);
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stdout, /^Nothing was changed\. A run with target_mode drop_recreate would do this:/);
  assert.match(result.stdout, /dbo\.customers -> dry\.customers, about \d rows/);
  assert.match(result.stdout, /balance +money +numeric\(19,4\)/);
  assert.match(result.stdout, /id +int +integer +primary key/);
  assert.match(result.stdout, /lanes/);
  const json = await runCli(['-c', file, 'run', '--dry-run', '--output-json', '--workers', '2']);
  const plan = JSON.parse(json.stdout);
  assert.deepEqual(plan.dry_run.tables.map((t: { table: string }) => t.table).sort(), [
    'dbo.customers',
    'dbo.orders',
  ]);
  const workers = plan.dry_run.sizes.find((size: { name: string }) => size.name === 'workers');
  assert.deepEqual([workers.value, workers.reason], [2, 'given as migration.workers']);
  assert.equal(await count("SELECT count(*) AS n FROM pg_namespace WHERE nspname = 'dry'"), 0);
});

test('run, then validate, then a difference', async () => {
  const file = config();
  const run = await runCli(['-c', file, 'run', '--output-json', '--progress']);
  assert.equal(run.code, 0, run.stderr);
  const result = JSON.parse(run.stdout);
  assert.deepEqual(
    [
      result.status,
      result.tables_total,
      result.tables_success,
      result.tables_failed,
      result.rows_transferred,
    ],
    ['success', 2, 2, 0, 4],
  );
  assert.deepEqual(result.failed_tables, []);
  assert.equal(result.error, null);
  const customers = result.tables.find((t: { table: string }) => t.table === 'dbo.customers');
  assert.deepEqual([customers.target, customers.status, customers.rows], ['public.customers', 'success', 3]);
  assert.ok(customers.bytes > 0);
  const progress = run.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.ok(progress.some((line) => line.table === 'dbo.customers' && line.table_status === 'completed'));

  const same = await runCli(['-c', file, 'validate']);
  assert.equal(same.code, 0, same.stderr);
  assert.match(same.stdout, /dbo\.customers +public\.customers +3 +3 +match/);
  assert.match(same.stdout, /All 2 tables hold the same number of rows/);

  const client = await target.client();
  try {
    await client.query('DELETE FROM public.customers WHERE id = 2; DROP TABLE public.orders');
  } finally {
    await client.end();
  }
  const differs = await runCli(['-c', file, 'validate', '--output-json']);
  assert.equal(differs.code, 4);
  const counts = JSON.parse(differs.stdout);
  assert.deepEqual(
    [counts.status, counts.tables_differing, counts.error.code],
    ['failed', 2, 'ROW_COUNT_MISMATCH'],
  );
  assert.deepEqual(
    counts.tables
      .map((t: { table: string; status: string; difference: number | null }) => [
        t.table,
        t.status,
        t.difference,
      ])
      .sort(),
    [
      ['dbo.customers', 'differs', -1],
      ['dbo.orders', 'missing', null],
    ],
  );
  assert.equal((await runCli(['-c', file, 'validate'])).code, 4);
});

test('run for people: a table on stdout, the log on stderr', async () => {
  const run = await runCli(['-c', config(), 'run', '--target-schema', 'people']);
  assert.equal(run.code, 0, run.stderr);
  assert.match(run.stdout, /dbo\.customers +people\.customers +success +3 /);
  assert.match(run.stdout, /Done: 2 of 2 tables, 4 rows/);
  assert.match(run.stderr, /info .*dbo\.customers: 3 rows/);
  assert.equal(await count('SELECT count(*) AS n FROM people.customers'), 3);
});

test('a schema that is not there is refused before anything is touched', async () => {
  const run = await runCli(['-c', config(), 'run', '--source-schema', 'nowhere', '--output-json']);
  assert.equal(run.code, 1, run.stderr);
  assert.equal(JSON.parse(run.stdout).error.code, 'TABLE_NOT_FOUND');
});
