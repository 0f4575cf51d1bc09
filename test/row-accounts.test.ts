/** Who counts the rows of a run: where fewer are committed than were read, the table is not called complete. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Ledger } from '../src/checkpoint/ledger.js';
import { Merges, waitingTable } from '../src/engine/merges.js';
import { type TableWork, WorkQueue } from '../src/engine/workQueue.js';
import { StopFlags } from '../src/plan/work.js';
import { planOf } from './support/transcode.js';

const plan = planOf([{ name: 'id', pgType: 'integer', key: true }]);
const missing = { code: 'INTERNAL', message: 'dbo.t: 10 rows were read and 9 committed' };
const whole = { table: 0, partition: 0, lower: null, upper: null };

test('a table that is loaded', async () => {
  const heard: string[] = [];
  const hears = (what: string) => (table: TableWork) => void heard.push(`${what} ${table.rowsCommitted}`);
  const queueOf = () =>
    new WorkQueue(
      [plan],
      [[whole]],
      { tables: 1, readersPerTable: 1 },
      {
        ...{ started: () => {}, committed: () => {}, finished: hears('finished') },
        ...{ complete: hears('complete'), failed: hears('failed') },
      },
    );
  const queue = queueOf();
  assert.deepEqual(await queue.next(), whole);
  queue.committed(0, { rows: 9, bytes: 90 });
  assert.deepEqual(heard, []);
  queue.read({ table: 0, partition: 0, rows: 10, chunks: 1 });
  assert.deepEqual(heard, ['failed 9']);
  assert.equal(queue.tables[0]?.error?.message, missing.message);
  assert.equal(await queue.next(), null);
  queue.assertComplete();

  // A chunk that went missing altogether: nobody hears of it, and the lanes end.
  const silent = queueOf();
  await silent.next();
  silent.committed(0, { rows: 9, bytes: 90 });
  silent.read({ table: 0, partition: 0, rows: 10, chunks: 2 });
  assert.throws(() => silent.assertComplete(), missing);
  silent.drain();
  silent.assertComplete();

  // What the ledger finds to be gone is read again, and the rest counts.
  const emptied = queueOf();
  await emptied.next();
  emptied.committed(0, { rows: 10, bytes: 100 });
  emptied.read({ table: 0, partition: 0, rows: 10, chunks: 1 });
  const rest = { ...whole, partition: emptied.newPartition(0) };
  assert.equal(rest.partition, 1);
  emptied.reload(0, { rows: 4, bytes: 40, chunks: 1 }, [rest]);
  assert.deepEqual(await emptied.next(), rest);
  emptied.reload(0, { rows: 0, bytes: 0, chunks: 0 }, []);
  emptied.committed(0, { rows: 6, bytes: 60 });
  emptied.read({ table: 0, partition: 1, rows: 6, chunks: 1 });
  emptied.finished(0);
  assert.deepEqual(heard.slice(1), ['complete 10', 'complete 10', 'finished 10']);
});

test('a table that is brought up to date', async () => {
  const begun = () => {
    const table = waitingTable(plan);
    const merges = new Merges([table], {
      ...{ ledger: {} as Ledger, retry: { retries: 0, delayMs: 0 }, stopFlags: StopFlags.forTables(1) },
      ...{
        failFast: false,
        onEvent: () => {},
        onLedgerLost: () => assert.fail('the ledger is there'),
        onChunk: () => {},
      },
    });
    merges.started(table);
    const read = {
      plan,
      partition: 0,
      query: { sql: '', parameters: [] },
      statements: { before: [], copy: '' },
    };
    merges.handedOut(table, { read, expectedRows: 10 });
    const reader = merges.reader(async () => null);
    const place = { table: 0, partition: 0, chunk: 0, lower: null };
    const commit = (rows: number) =>
      merges
        .writer()
        .committed(place, { rows, bytes: 0, upper: null, digest: '', merged: { inserted: 1, updated: 2 } });
    return { table, merges, reader, commit };
  };
  const { table, merges, reader, commit } = begun();
  await commit(9);
  merges.compared(table);
  assert.throws(() => merges.assertComplete(), { code: 'INTERNAL' });
  assert.equal(table.state, 'running', 'of what was handed out nothing was read yet');
  await reader.read({ table: 0, partition: 0, rows: 10, chunks: 1 });
  assert.equal(table.state, 'failed');
  assert.equal(table.error?.message, missing.message);

  const two = begun();
  two.merges.compared(two.table);
  await two.reader.read({ table: 0, partition: 0, rows: 10, chunks: 2 });
  await two.commit(4);
  assert.equal(two.table.state, 'running', 'one chunk of two');
  await two.commit(6);
  assert.deepEqual([two.table.state, two.table.changes.updated], ['finished', 4]);
});
