/**
 * Several processes share a run (`run --join`): some are killed, some are told to stop, and the rows are all there once.
 *
 * Runs on the main thread of the test process.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { claimPartition } from '../src/checkpoint/claims.js';
import { Ledger } from '../src/checkpoint/ledger.js';
import { ensureLedger } from '../src/checkpoint/schema.js';
import { type Job, Jobs } from '../src/engine/shared/jobs.js';
import type { TablePlan } from '../src/plan/model.js';
import { connectTarget } from '../src/target/connection.js';
import { type CliResult, runCli } from './support/cli.js';
import { type CrashScene, crashMigration, startCrashScene } from './support/crashScene.js';
import { oneLineOfJson } from './support/endToEnd.js';

let scene: CrashScene;

before(async () => {
  scene = await startCrashScene('shared');
});
after(async () => {
  await scene?.stop();
});

// biome-ignore lint/suspicious/noExplicitAny: a result as a scheduler sees it, field by field
type Joined = CliResult & { json: any };

/** Starts a process that joins the run of this name. */
function join(
  schema: string,
  name: string,
  changes: { migration?: object; args?: string[]; onStart?: (child: ChildProcess) => void } = {},
): Promise<Joined> {
  const migration = { ...crashMigration, ...changes.migration };
  const config = scene.config({ migration, target: { schema } });
  const args = ['-c', config, '--output-json', 'run', '--join', name, ...(changes.args ?? [])];
  return runCli(args, { timeoutMs: 120_000, ...(changes.onStart && { onStart: changes.onStart }) }).then(
    (done) => ({
      ...done,
      json: done.stdout === '' ? null : oneLineOfJson(done.stdout),
    }),
  );
}

async function chunksIn(schema: string): Promise<number> {
  const [row] =
    await scene.rows(`SELECT CASE WHEN to_regclass('mssql_pg_migrate.tables') IS NULL THEN 0 ELSE (
    SELECT count(*) FROM (SELECT * FROM mssql_pg_migrate.chunks UNION ALL SELECT * FROM mssql_pg_migrate.unlogged_chunks) AS c
      JOIN mssql_pg_migrate.tables USING (run_id, table_name) WHERE target_schema = '${schema}') END`);
  return Number(row?.[0]);
}

async function whenChunks(schema: string, atLeast: number, then: () => void): Promise<void> {
  while ((await chunksIn(schema)) < atLeast) await new Promise((resolve) => setTimeout(resolve, 5));
  then();
}

test('four processes, one killed and one told to stop: the others complete the run, every chunk once', async () => {
  const children: ChildProcess[] = [];
  const onStart = (child: ChildProcess): void => void children.push(child);
  const running = [0, 1, 2, 3].map(() => join('four', 'four hosts', { onStart }));
  await whenChunks('four', 10, () => children[0]!.kill('SIGKILL'));
  await whenChunks('four', 25, () => children[1]!.kill('SIGTERM'));
  const [killed, stopped, ...others] = await Promise.all(running);
  assert.equal(killed!.code, 137);
  // It may have had its share by the time it was told.
  assert.ok([0, 5].includes(stopped!.code), stopped!.stderr);
  for (const other of others) assert.equal(other.code, 0, other.stderr);
  const ids = new Set(others.map(({ json }) => json.run_id));
  assert.equal(ids.size, 1);
  await scene.assertExact('four');
  const config = scene.config({ migration: crashMigration, target: { schema: 'four' } });
  const verified = await runCli(['-c', config, 'verify']);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  const finishers = others.filter(({ json }) => json.steps.length > 0);
  assert.ok(finishers.length <= 1, 'one process finishes the tables');

  const [run] = await scene.rows(
    `SELECT name, status FROM mssql_pg_migrate.runs WHERE run_id = '${[...ids][0]}'`,
  );
  assert.deepEqual(run, ['four hosts', 'completed']);
  const late = await join('four', 'four hosts');
  assert.deepEqual([late.code, late.json.run_id], [0, [...ids][0]], 'who joins too late has nothing to do');
  assert.deepEqual(
    await scene.rows(`SELECT count(*) FROM mssql_pg_migrate_jobs.queue WHERE name = '${[...ids][0]}'`),
    [['0']],
  );
});

test('all of them are killed: the next one goes on where they ended; UNLOGGED tables as well', async () => {
  const migration = { use_unlogged_tables: true, target_mode: 'truncate' };
  const children: ChildProcess[] = [];
  const onStart = (child: ChildProcess): void => void children.push(child);
  const running = [0, 1].map(() => join('again', 'killed', { migration, onStart }));
  await whenChunks('again', 20, () => {
    for (const child of children) child.kill('SIGKILL');
  });
  await Promise.all(running);
  const before = await chunksIn('again');
  const done = await join('again', 'killed', { migration });
  assert.equal(done.code, 0, done.stderr);
  assert.ok(before >= 20 && before < (await chunksIn('again')));
  await scene.assertExact('again');
});

test('a table that fails is named by every process; the others arrive, and the name can be joined again', async () => {
  await scene.tsql(`CREATE TABLE dbo.faulty (id int NOT NULL PRIMARY KEY, word nvarchar(20) NULL);
GO
INSERT INTO dbo.faulty (id, word) VALUES (1, N'good'), (2, CONCAT(N'a', NCHAR(0)));`);
  const migration = { include_tables: ['faulty', 'by_int'] };
  const done = await Promise.all([0, 1].map(() => join('faulty', 'with a fault', { migration })));
  for (const { code, json, stderr } of done) {
    assert.equal(code, 3, stderr);
    assert.deepEqual(json.failed_tables, ['dbo.faulty']);
    const [fault] = json.tables.filter(({ table }: { table: string }) => table === 'dbo.faulty');
    assert.equal(fault.error.code, 'VALUE_UNREPRESENTABLE');
  }
  assert.deepEqual(await scene.rows('SELECT count(*) FROM faulty.by_int'), [['1200']]);
  await scene.tsql(`UPDATE dbo.faulty SET word = N'mended' WHERE id = 2`);
  const again = await join('faulty', 'with a fault', { migration });
  assert.equal(again.code, 0, again.stderr);
  assert.deepEqual(await scene.rows('SELECT id, word FROM faulty.faulty ORDER BY id'), [
    ['1', 'good'],
    ['2', 'mended'],
  ]);
});

test('a partition is handed on where its host ends before it claims it, though the one that gave it back is there', async () => {
  const options = { ssl_mode: 'disable', connect_timeout_seconds: 10, lock_timeout_seconds: 10 } as const;
  const connect = () => connectTarget({ ...scene.target.connection, ...options });
  const runId = randomUUID();
  const session = await connect();
  const older =
    'ALTER TABLE mssql_pg_migrate.claims DROP COLUMN claimed_at; UPDATE mssql_pg_migrate.version SET version = 3';
  await session.query(older);
  await ensureLedger(session);
  await session.query(`INSERT INTO mssql_pg_migrate.runs (run_id, attempt, config_hash, mode, status, tool_version)
      VALUES ('${runId}', 1, '', 'truncate', 'running', '');
    INSERT INTO mssql_pg_migrate.tables VALUES ('${runId}', 'dbo.one', 'public', 'one', 0, '', false, 'failed', 0, '[]')`);
  const retry = { retries: 0, delayMs: 0 };
  // One after the other, as hosts do.
  const open = () => Jobs.open({ runId, connect, retry, ended: () => true });
  const jobs = await open();
  const ending = await open();
  const idle = {
    unlogged: new Set<string>(),
    stallMs: 0,
    ended: () => true,
    onRetry: () => {},
    shared: true,
  };
  const ledger = new Ledger(session, { runId, attempt: 1, connect, retry, ...idle });
  try {
    await jobs.publish([{ table: 'dbo.one', partition: 0 }]);
    const plan = { source: { schema: 'dbo', name: 'one' } } as unknown as TablePlan;
    const claim = async ({ partition, id }: Job) => {
      await claimPartition(ledger, plan, partition, id);
      const claims = await scene.rows(`SELECT claim FROM mssql_pg_migrate.claims WHERE run_id = '${runId}'`);
      return Number(claims[0]?.[0]);
    };
    const first = (await jobs.fetch())!;
    assert.equal(await claim(first), 1);
    assert.equal(await jobs.handOn(), 0, 'its host is there, and has claimed it');
    await jobs.giveBack(first, 'its host stops');
    const second = (await ending.fetch())!;
    assert.deepEqual(second, first);
    assert.equal(await jobs.handOn(), 0, 'its host is there, and may claim it yet');
    await ending.close();
    let handedOn = 0;
    for (const until = Date.now() + 20_000; handedOn === 0 && Date.now() < until; ) {
      handedOn = await jobs.handOn();
    }
    assert.equal(handedOn, 1);
    assert.equal(await claim((await jobs.fetch())!), 2);
    assert.equal(await jobs.handOn(), 0, 'claimed anew');
    await jobs.remove();
  } finally {
    await Promise.all([jobs.close(), ending.close(), ledger.close()]);
  }
});

test('what does not go together with a shared run is refused', async () => {
  const refused = async (code: number, error: string, joined: Promise<Joined>): Promise<void> => {
    const done = await joined;
    assert.deepEqual([done.code, done.json.error.code], [code, error], done.stderr);
  };
  // One after the other: they share a configuration file.
  await refused(1, 'USAGE', join('x', 'x', { args: ['--state-file', 'x.state'] }));
  await refused(1, 'USAGE', join('x', 'x', { args: ['--fresh'] }));
  await refused(1, 'UNSUPPORTED', join('x', 'x', { migration: { target_mode: 'upsert' } }));
  const other = { migration: { use_hash_detection: true } };
  await refused(6, 'STATE_INVALID', join('four', 'four hosts', other));
});
