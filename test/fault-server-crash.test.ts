/**
 * The target server crashes in the middle of a run and comes back: nothing is lost, nothing doubled, also of
 * UNLOGGED tables, which it empties.
 *
 * Run by the main thread of the test process, with a PostgreSQL server of its own.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { runCli } from './support/cli.js';
import { type CrashScene, crashMigration, startCrashScene } from './support/crashScene.js';
import { type Migration, oneLineOfJson, succeeded } from './support/endToEnd.js';
import { startPostgres, type TestPostgres } from './support/postgres.js';
import { assertVerified } from './support/upserting.js';

let scene: CrashScene;
let server: TestPostgres;
before(async () => {
  // Flags of its own keep it from being a server from outside, which can't be crashed.
  server = await startPostgres({ flags: ['-c', 'synchronous_commit=off'] });
  scene = await startCrashScene('server_crash', { target: server });
});
after(() => scene?.stop());

/** Chunks of a schema that are in the ledger: those that were loaded, or merges. */
const entered = (merges: boolean) => `SELECT count(*) FROM (SELECT * FROM mssql_pg_migrate.chunks UNION ALL
    SELECT * FROM mssql_pg_migrate.unlogged_chunks) AS c
  JOIN mssql_pg_migrate.tables USING (run_id, table_name)
  WHERE target_schema = $1 AND (inserted IS NOT NULL) = ${merges}`;

/** A client that is made again after a crash. */
async function ask(text: string, values: unknown[]): Promise<number> {
  const client = new pg.Client(server.connection);
  client.on('error', () => {});
  await client.connect();
  try {
    return Number(
      Object.values((await client.query<Record<string, unknown>>(text, values)).rows[0] ?? {})[0],
    );
  } finally {
    await client.end();
  }
}

/** Migrates into `schema`, and crashes the server each time so many chunks are in. */
async function crashed(
  schema: string,
  chunks: readonly number[],
  migration: Record<string, unknown>,
  options: { signal?: 'SIGQUIT' | 'SIGKILL'; pauseMs?: number; merges?: boolean } = {},
): Promise<Migration> {
  const { signal = 'SIGQUIT', pauseMs = 0, merges = false } = options;
  let over = false;
  const changes = { migration: { ...crashMigration, ...migration }, target: { schema } };
  const args = ['--verbosity', 'warn', '--state-file', `${scene.directory}/${schema}.state`];
  const running = runCli(['-c', scene.config(changes), '--output-json', ...args, 'run'], {
    timeoutMs: 120_000,
  }).finally(() => {
    over = true;
  });
  let crashes = 0;
  for (const wanted of chunks) {
    while (!over && (await ask(entered(merges), [schema]).catch(() => 0)) < wanted)
      await new Promise((resolve) => setTimeout(resolve, 5));
    if (over) break;
    await server.crash!(signal, pauseMs);
    crashes++;
  }
  const done = await running;
  assert.ok(crashes > 0, 'the server was crashed');
  // The scene's own connection went with the server.
  await scene.reconnect();
  return { ...done, result: oneLineOfJson(done.stdout) as Migration['result'] };
}

for (const [name, migration, signal] of [
  ['logged', {}, 'SIGQUIT'],
  ['unlogged', { use_unlogged_tables: true }, 'SIGQUIT'],
  ['killed', { use_unlogged_tables: true, target_mode: 'truncate', use_hash_detection: true }, 'SIGKILL'],
] as const) {
  test(`${name} tables: the run goes on when the server is back`, async () => {
    const schema = `back_${name}`;
    const done = await crashed(schema, [40, 60], { ...migration, max_retries: 6 }, { signal });
    assert.equal(done.code, 0, `${done.stdout}\n${done.stderr}`);
    await scene.assertExact(schema);
  });
}

test('in the middle of merges: the upsert goes on when the server is back, and verify finds nothing', async () => {
  const schema = 'merging';
  const upsert = { target_mode: 'upsert', upsert_batch_size: 60, exclude_tables: ['keyless'] };
  const migration = { ...crashMigration, ...upsert, max_retries: 6 };
  const changes = { migration, target: { schema } };
  succeeded(await scene.migrate(changes));
  for (const change of [
    ...[`UPDATE ${schema}.by_int SET pad = 'other'`, `UPDATE ${schema}.by_text SET pad = NULL`],
    ...[
      `UPDATE ${schema}.by_pair SET pad = pad || '!' WHERE a % 2 = 0`,
      `DELETE FROM ${schema}.by_guid WHERE id::text < '8'`,
    ],
    `DELETE FROM ${schema}.by_moment WHERE to_char(at, 'US')::int % 3 = 0`,
  ]) {
    await scene.rows(change);
  }
  const done = await crashed(schema, [5, 40], migration, { merges: true });
  assert.equal(done.code, 0, `${done.stdout}\n${done.stderr}`);
  await scene.assertKeyed(schema);
  await assertVerified(scene, changes);
});

test('a server that stays away: exit code 2, the state file says so, and resume completes', async () => {
  const schema = 'away';
  const impatient = { use_unlogged_tables: true, max_retries: 1 };
  const done = await crashed(schema, [60], impatient, { pauseMs: 4000 });
  assert.deepEqual([done.code, done.result.error?.code], [2, 'TARGET_UNREACHABLE'], done.stdout);
  assert.equal(done.result.error?.recoverable, true);
  const file = `${scene.directory}/${schema}.state`;
  const state = JSON.parse(readFileSync(file, 'utf8'));
  assert.deepEqual([state.run_id, state.status], [done.result.run_id, 'failed']);
  const config = scene.config({ migration: { ...crashMigration, ...impatient }, target: { schema } });
  const resumed = await runCli(['-c', config, '--state-file', file, '--output-json', 'resume']);
  assert.equal(resumed.code, 0, `${resumed.stdout}\n${resumed.stderr}`);
  assert.equal((oneLineOfJson(resumed.stdout) as Migration['result']).run_id, state.run_id);
  await scene.assertExact(schema);
  const verified = await runCli(['-c', config, 'verify'], { timeoutMs: 60_000 });
  assert.equal(verified.code, 0, verified.stdout);
});
