/** Counting rows on both sides at once: exact numbers, missing tables, failures and cancellation. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AppError } from '../src/errors.js';
import type { TablePlan } from '../src/plan/model.js';
import { planTables } from '../src/plan/tables.js';
import type { SourceConnection } from '../src/source/connection.js';
import { connectTarget, type TargetConnection, type TargetOptions } from '../src/target/connection.js';
import { countRows } from '../src/verify/counts.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';
import { sourceTable } from './support/sourceTables.js';
import { targetOptions } from './support/target.js';

let server: TestPostgres;
let options: TargetOptions;
let target: TargetConnection;
let plans: TablePlan[];

before(async () => {
  server = await sharedPostgres();
  options = targetOptions(server.connection, { lock_timeout_seconds: 0 });
  target = await connectTarget(options);
  await target.query(`CREATE TABLE "A" (i int); INSERT INTO "A" VALUES (1), (2); CREATE TABLE "B" (i int)`);
  plans = planTables(
    ['A', 'B', 'C'].map((name) => sourceTable({ name })),
    {
      naming: { identifierCase: 'preserve', schemaOf: () => 'public' },
      chunkRows: 1,
      rowHashColumn: null,
      hashTextColumns: false,
      unlogged: false,
    },
  );
});
after(async () => {
  await target?.close();
  await server?.stop();
});

/** A source that answers every count with `rows`, and knows whether it was closed. */
function fakeSource(rows: (sql: string) => Promise<string>): {
  connect: () => Promise<SourceConnection>;
  open: () => number;
} {
  let open = 0;
  const connect = async (): Promise<SourceConnection> => {
    let closed = false;
    open++;
    const source: Pick<SourceConnection, 'query' | 'close'> = {
      query: async (sql) => [{ row_count: await rows(sql) }],
      close: async () => {
        if (!closed) open--;
        closed = true;
      },
    };
    return source as SourceConnection;
  };
  return { connect, open: () => open };
}

test('counts beyond the range of a number, and tables that are not there', async () => {
  const source = fakeSource(async (sql) => (sql.includes('[dbo].[A]') ? '9007199254740993' : '0'));
  const counts = await countRows(source.connect, () => connectTarget(options), plans, {
    parallel: 8,
    isolation: 'read_committed',
  });
  assert.deepEqual(
    counts.map(({ table, target: name, sourceRows, targetRows }) => [table, name, sourceRows, targetRows]),
    [
      ['dbo.A', 'public.A', 9_007_199_254_740_993n, 2n],
      ['dbo.B', 'public.B', 0n, 0n],
      ['dbo.C', 'public.C', 0n, null],
    ],
  );
  assert.equal(source.open(), 0, 'every connection is closed');
});

test('a failure on one side ends a count that waits on the other', async () => {
  const holder = await server.client();
  await holder.query('BEGIN; LOCK TABLE "A", "B"');
  try {
    const source = fakeSource(async () => {
      throw new AppError('SOURCE_PERMISSION', 'denied');
    });
    const counting = countRows(source.connect, () => connectTarget(options), plans, {
      parallel: 2,
      isolation: 'read_committed',
    });
    await assert.rejects(counting, { code: 'SOURCE_PERMISSION' });
    assert.equal(source.open(), 0);
  } finally {
    await holder.end();
  }
});

test('cancelling ends counts that are still running', async () => {
  const holder = await server.client();
  await holder.query('BEGIN; LOCK TABLE "A", "B"');
  try {
    const source = fakeSource(async () => '1');
    const stop = new AbortController();
    const counting = countRows(source.connect, () => connectTarget(options), plans, {
      parallel: 1,
      isolation: 'read_committed',
      signal: stop.signal,
    });
    setTimeout(() => stop.abort(), 100);
    await assert.rejects(counting, { code: 'CANCELLED' });
    assert.equal(source.open(), 0);
  } finally {
    await holder.end();
  }
});
