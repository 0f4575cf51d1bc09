/**
 * What keeps two processes of a run apart, and rows from being there without their entry in the ledger: each fence by
 * itself, on a real PostgreSQL, in the order of statements that would break it.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { claimPartition } from '../src/checkpoint/claims.js';
import { Ledger } from '../src/checkpoint/ledger.js';
import { beginRun, claimRun, findRun, readTables } from '../src/checkpoint/runs.js';
import { ensureLedger } from '../src/checkpoint/schema.js';
import type { State } from '../src/checkpoint/stateFile.js';
import { chooseRun, takeOver } from '../src/engine/checkpoint.js';
import type { LedgerEntry } from '../src/plan/chunk.js';
import type { TablePlan } from '../src/plan/model.js';
import { tableLabel } from '../src/source/model.js';
import { connectTarget, inTransaction, type TargetConnection } from '../src/target/connection.js';
import { copyStatement } from '../src/target/ddl.js';
import { CopyChunk } from '../src/write/copyChunk.js';
import { framed, tuple } from './support/copyBinary.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';
import { planOf } from './support/transcode.js';

let postgres: TestPostgres;
/** Where tests look, and hold what others are to wait for. */
let own: TargetConnection;
const open: { close(): Promise<void> }[] = [];
before(async () => {
  postgres = await sharedPostgres();
  own = await connect();
  await ensureLedger(own);
});
after(async () => {
  for (const one of open) await one.close();
  await postgres?.stop();
});

async function connect(): Promise<TargetConnection> {
  const options = { ssl_mode: 'disable', connect_timeout_seconds: 10, lock_timeout_seconds: 10 } as const;
  const connection = await connectTarget({ ...postgres.connection, ...options });
  open.push(connection);
  return connection;
}

interface Begun {
  plan: TablePlan;
  runId: string;
  unlogged: Set<string>;
}

/** A run of one table, which has one partition and no rows yet. */
async function begun(name: string, unlogged = false): Promise<Begun> {
  const plan: TablePlan = {
    ...planOf([{ name: 'id', pgType: 'integer', key: true }]),
    source: { schema: 'dbo', name },
    target: { schema: 'public', name },
    unlogged,
  };
  await own.query(`CREATE ${unlogged ? 'UNLOGGED' : ''} TABLE ${name} (id integer)`);
  return { plan, ...(await beginAgain(plan)) };
}

async function beginAgain(plan: TablePlan): Promise<Pick<Begun, 'runId' | 'unlogged'>> {
  const run = { runId: randomUUID(), configHash: 'x', mode: 'truncate', toolVersion: '' };
  const whole = [{ table: 0, partition: 0, lower: null, upper: null }];
  return { runId: run.runId, unlogged: await inTransaction(own, () => beginRun(own, run, [plan], [whole])) };
}

async function ledgerOf({ runId, unlogged }: Begun, attempt = 1, shared = false): Promise<Ledger> {
  const once = { retry: { retries: 0, delayMs: 0 }, stallMs: 0, ended: () => false, onRetry: () => {} };
  const ledger = new Ledger(await connect(), { runId, attempt, unlogged, connect, shared, ...once });
  open.push(ledger);
  return ledger;
}

interface Written {
  chunk?: number;
  lower?: string[] | null;
  upper?: string[] | null;
  ids?: number[];
  /** Rows the reader says there are. */
  rows?: number;
}

/** Writes a chunk as a writer does, up to its COMMIT or to why there is none. */
async function write(plan: TablePlan, ledger: LedgerEntry, written: Written = {}): Promise<void> {
  const { chunk = 0, lower = null, upper = null, ids = [1, 2] } = written;
  const session = await connect();
  const copy = new CopyChunk(session.client, {
    ...{ table: 0, label: tableLabel(plan.source), partition: 0, chunk, lower, retries: 0, ledger },
    ...{ before: [], copy: copyStatement(plan), text: null, hash: null },
  });
  await copy.begin();
  const tuples = Buffer.concat(
    ids.map((id) => {
      const field = Buffer.alloc(4);
      field.writeInt32BE(id);
      return tuple([framed(field)]);
    }),
  );
  await copy.write(tuples, 0, tuples.length, 0);
  try {
    await copy.commit({ rows: written.rows ?? ids.length, bytes: tuples.length, upper });
  } catch (error) {
    await copy.abort('refused');
    throw error;
  }
}

/** Rows in the table, and the chunks that are entered. */
async function there({ plan, runId }: Begun): Promise<[rows: number, chunks: string]> {
  const [rows] = await own.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${plan.target.name}`);
  const [table] = await readTables(own, runId);
  return [rows!.n, table!.chunks.map(({ chunk, rows: n, movedTo }) => `${chunk}:${movedTo ?? n}`).join(' ')];
}

/** Enters a chunk, and leaves its transaction open. */
async function entering(plan: TablePlan, { sql, values }: LedgerEntry, chunk = 0): Promise<TargetConnection> {
  const session = await connect();
  await session.query('BEGIN');
  await session.query(`INSERT INTO ${plan.target.name} VALUES (7)`);
  const entry = [tableLabel(plan.source), 0, chunk, null, null, 1, 6, 'digest', 0, 0, null, null, false];
  await session.query(sql, [...values, ...entry]);
  return session;
}

/** @returns what `work` comes to once it was seen to wait for a lock and `release` has let it go on */
async function afterWaiting<T>(work: Promise<T>, release: () => Promise<unknown>): Promise<T> {
  let ended = false;
  const done = work.finally(() => {
    ended = true;
  });
  done.catch(() => {});
  const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  while ((await own.query(waiting)).length === 0) {
    assert.ok(!ended, 'it did not wait');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await release();
  return done;
}

test('a chunk of which PostgreSQL counts other rows than were read is not committed', async () => {
  const run = await begun('counted');
  const entry = (await ledgerOf(run)).chunkEntry(run.plan);
  const told = (rows: number) => write(run.plan, entry, { rows });
  await assert.rejects(told(1), { code: 'INTERNAL', message: /counted 2 rows in a chunk of 1$/ });
  await assert.rejects(told(3), { code: 'TARGET_QUERY', message: /took 2 rows of a chunk of 3/ });
  assert.deepEqual(await there(run), [0, '']);
  await told(2);
  assert.deepEqual(await there(run), [2, '0:2']);
});

test('who takes a run over waits for chunks that are being entered, and the former process enters nothing more', async () => {
  const run = await begun('taken');
  const former = await ledgerOf(run);
  const entry = former.chunkEntry(run.plan);
  const session = await entering(run.plan, entry);
  const attempt = await afterWaiting(
    connect().then((next) => claimRun(next, run.runId)),
    () => session.query('COMMIT'),
  );
  assert.equal(attempt, 2);
  assert.deepEqual(await there(run), [1, '0:1']);
  const over = { code: 'STATE_INVALID', message: /taken this run over/ };
  await assert.rejects(write(run.plan, entry, { chunk: 1 }), over);
  await assert.rejects(former.table(run.plan, 'loaded'), over);
  await assert.rejects(
    former.move(run.plan, { partition: 0, chunk: 1 }, { lower: null, upper: null }, { partition: 1 }),
    over,
  );
  const keys = { first: ['7'], last: ['7'] };
  const removing = former.deletion(await connect(), run.plan, { partition: 1, keys }, () =>
    assert.fail('deleted'),
  );
  await assert.rejects(removing, over);
  assert.deepEqual(await there(run), [1, '0:1']);
  await assert.rejects(former.end('failed', null), over);
  assert.equal((await findRun(own, run.runId))?.status, 'running');
  await write(run.plan, (await ledgerOf(run, attempt)).chunkEntry(run.plan), { chunk: 1 });
  assert.deepEqual(await there(run), [3, '0:1 1:2']);
});

test('a chunk is committed or moved, whoever comes first', async () => {
  const run = await begun('moved');
  const ledger = await ledgerOf(run);
  const entry = ledger.chunkEntry(run.plan);
  const session = await entering(run.plan, entry);
  const range = { lower: null, upper: ['5'] };
  const to = (partition: number) => ({ partition, retries: 1 });
  const move = ledger.move(run.plan, { partition: 0, chunk: 0 }, range, to(1));
  assert.equal(await afterWaiting(move, () => session.query('COMMIT')), false);
  assert.equal(await ledger.move(run.plan, { partition: 0, chunk: 1 }, range, to(2)), true);
  await assert.rejects(write(run.plan, entry, { chunk: 1 }), /duplicate key/);
  // The answer to its COMMIT may have been lost.
  assert.equal(await ledger.move(run.plan, { partition: 0, chunk: 1 }, range, to(2)), true);
  assert.equal(await ledger.move(run.plan, { partition: 0, chunk: 1 }, range, to(3)), false);
  assert.deepEqual(await there(run), [1, '0:1 1:2']);
  const [table] = await readTables(own, run.runId);
  const partitions = table!.partitions.map(({ partition, of, upper }) => [partition, of?.chunk, upper?.[0]]);
  assert.deepEqual(partitions, [
    [0, undefined, undefined],
    [2, 1, '5'],
  ]);
});

test('a deletion whose answer was lost is not made again', async () => {
  const run = await begun('deleted');
  const ledger = await ledgerOf(run);
  const session = await connect();
  const deleting = { partition: 4, keys: { first: ['7'], last: ['9'] } };
  assert.equal(await ledger.deletion(session, run.plan, deleting, async () => 3), 3);
  assert.equal(await ledger.deletion(session, run.plan, deleting, () => assert.fail('deleted again')), 3);
  const [table] = await readTables(own, run.runId);
  assert.deepEqual(
    table!.chunks.map(({ partition, lower, upper, deleted, byKey }) => [
      partition,
      lower,
      upper,
      deleted,
      byKey,
    ]),
    [[4, ['7'], ['9'], 3, true]],
  );
});

test('of a shared partition only the newest claimant enters chunks, and no two hosts take one number', async () => {
  const run = await begun('shared');
  const ledger = await ledgerOf(run, 1, true);
  const claim = async () => (await claimPartition(ledger, run.plan, 0, randomUUID()))!;
  const first = await claim();
  assert.deepEqual(first.pieces, [{ table: 0, partition: 0, lower: null, upper: null, retries: 0 }]);
  const session = await entering(run.plan, ledger.chunkEntry(run.plan, first.claim));
  const second = await afterWaiting(claim(), () => session.query('ROLLBACK'));
  const late = write(run.plan, ledger.chunkEntry(run.plan, first.claim));
  await assert.rejects(late, {
    code: 'TARGET_TRANSIENT',
    message: /another host has taken this partition over/,
  });
  assert.deepEqual(await there(run), [0, '']);
  await write(run.plan, ledger.chunkEntry(run.plan, second.claim), { upper: ['2'] });
  assert.deepEqual(await there(run), [2, '0:2']);
  const other = await connect();
  await other.query(`BEGIN; SELECT FROM mssql_pg_migrate.tables WHERE run_id = '${run.runId}' FOR UPDATE`);
  const third = await afterWaiting(claim(), () => other.query('ROLLBACK'));
  assert.deepEqual(third.pieces, [{ table: 0, partition: 1, lower: ['2'], upper: null, retries: 1 }]);
  await ledger.table(run.plan, 'completed');
  assert.deepEqual((await claim()).pieces, []);
  await ledger.table(run.plan, 'failed');
  assert.equal(await claimPartition(ledger, run.plan, 0, randomUUID()), null);
});

test('rows of an UNLOGGED table count as loaded once it is LOGGED, and only where every chunk is there', async () => {
  for (const unlogged of [false, true]) {
    const run = await begun(unlogged ? 'not_lasting' : 'lasting', unlogged);
    const ledger = await ledgerOf(run);
    const status = async () => (await readTables(own, run.runId))[0]!.status;
    await write(run.plan, ledger.chunkEntry(run.plan), { upper: ['2'] });
    for (const expected of [
      { rows: 3, chunks: 1 },
      { rows: 2, chunks: 2 },
    ]) {
      assert.equal((await ledger.loaded(run.plan, expected))?.code, 'TARGET_TRANSIENT');
    }
    assert.equal(await status(), 'pending');
    assert.equal(await ledger.loaded(run.plan, { rows: 2, chunks: 1 }), null);
    assert.equal(await status(), unlogged ? 'pending' : 'loaded');
    if (!unlogged) continue;
    await ledger.becomesLogged(own, run.plan, false);
    assert.equal(await status(), 'pending', 'what is LOGGED need not be all there');
    await ledger.becomesLogged(own, run.plan, true);
    assert.equal(await status(), 'loaded');
    assert.deepEqual(await own.query('SELECT FROM mssql_pg_migrate.unlogged_chunks'), []);
    assert.equal((await readTables(own, run.runId))[0]?.unlogged, false);
  }
});

test('a run goes on only with the tables it began with, as it left them', async () => {
  const run = await begun('kept', true);
  const { plan } = run;
  await write(plan, (await ledgerOf(run)).chunkEntry(plan), { upper: ['2'] });
  const next = await connect();
  const goesOn = (plans: TablePlan[] = [plan]) => takeOver(next, run.runId, plans);
  const [column] = plan.columns;
  const changed = (changes: object): TablePlan[] => [{ ...plan, columns: [{ ...column!, ...changes }] }];
  for (const plans of [
    ...[changed({ sourceType: 'bigint' }), changed({ pgType: 'bigint' }), changed({ hashed: true })],
    ...[
      changed({ generated: '1' }),
      [{ ...plan, rowHashColumn: 'row_hash' }],
      [{ ...plan, primaryKey: ['id'] }],
    ],
    [{ ...plan, target: { schema: 'other', name: 'kept' } }],
  ]) {
    await assert.rejects(goesOn(plans), { code: 'SCHEMA_CONFLICT', message: /other columns or another key/ });
  }
  await assert.rejects(goesOn([]), { code: 'SCHEMA_CONFLICT', message: /is not there any more/ });
  const found = await goesOn([{ ...plan, source: { schema: 'dbo', name: 'new' } }, plan]);
  assert.deepEqual(found.earlier, [{ rows: 2, bytes: 20, chunks: 1, nextPartition: 1 }]);
  assert.deepEqual([found.tables[0]?.unlogged, found.ignored], [true, ['dbo.new']]);

  // Merges are entered under numbers that no partition has.
  await own.query(`UPDATE mssql_pg_migrate.unlogged_chunks SET partition = 8; ALTER TABLE kept SET LOGGED`);
  const logged = await goesOn();
  assert.equal(logged.earlier[0]?.nextPartition, 9);
  assert.equal(logged.tables[0]?.unlogged, false, 'what is entered from here on lasts as long as the rows');
  const entered = `SELECT count(*)::int AS n FROM mssql_pg_migrate.chunks WHERE run_id = '${run.runId}'`;
  assert.deepEqual(await own.query(entered), [{ n: 1 }]);

  await own.query('TRUNCATE kept');
  await assert.rejects(goesOn(), { code: 'STATE_INVALID', message: /public\.kept was emptied since/ });
  await own.query('DROP TABLE kept; CREATE TABLE kept (id integer); INSERT INTO kept VALUES (1), (2)');
  await assert.rejects(goesOn(), { code: 'STATE_INVALID', message: /public\.kept was dropped since/ });
});

test('a run whose tables a later one has loaded never goes on', async () => {
  const run = await begun('again');
  const entry = (await ledgerOf(run)).chunkEntry(run.plan);
  await beginAgain(run.plan);
  await assert.rejects(write(run.plan, entry), { code: 'STATE_INVALID' });
  assert.deepEqual(await there(run), [0, '']);
  const request = { configHash: 'x', stateFile: null, resume: true, unfinished: 'refuse' } as const;
  const now = new Date().toISOString();
  const head = { run_id: run.runId, config_hash: 'x', started_at: now, updated_at: now };
  const state: State = { ...head, status: 'running', tables: {} };
  await assert.rejects(chooseRun(own, request, state), { code: 'STATE_INVALID', message: /a later run/ });
  const newest = await chooseRun(own, request, null);
  assert.notEqual(newest.runId, run.runId);
});
