/** Many tables: what is asked about all of them takes time by their number, not by its square; and limits are named. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Ledger } from '../src/checkpoint/ledger.js';
import { beginRun, readTables } from '../src/checkpoint/runs.js';
import { ensureLedger } from '../src/checkpoint/schema.js';
import type { RunEvent } from '../src/engine/events.js';
import { WorkQueue } from '../src/engine/workQueue.js';
import { AppError, toErrorData } from '../src/errors.js';
import { type TableSnapshot, Tally } from '../src/observe/tally.js';
import type { TablePlan } from '../src/plan/model.js';
import { transferMode } from '../src/plan/modes/index.js';
import { tableLabel } from '../src/source/model.js';
import { existingRelations, foreignKeysAt, relationsNamed, uniqueKeys } from '../src/target/catalog.js';
import type { TargetConnection } from '../src/target/connection.js';
import { dependents } from '../src/target/dependents.js';
import { targetError } from '../src/target/errors.js';
import { refused } from './support/modes.js';
import { randomFrom } from './support/random.js';
import { ordersAndUsers } from './support/sourceTables.js';
import { withTarget } from './support/target.js';

const FEW = 50;
const MANY = 4 * FEW;
const QUESTIONS = [existingRelations, uniqueKeys, foreignKeysAt, relationsNamed, dependents];

let target: TargetConnection;
withTarget(['app'], (scene) => {
  target = scene.target;
});

test('four times the tables are four times the work for PostgreSQL', async (t) => {
  // The few come first: what is looked through in vain is there of all tables.
  const few = await askAll(FEW);
  const many = await askAll(MANY);
  for (const [i, { name }] of QUESTIONS.entries()) {
    await t.test(name, () => {
      // By the square it would be 16 times.
      assert.ok(many[i]! < 8 * few[i]!, `${few[i]} rows for ${FEW} tables, ${many[i]} for ${MANY}`);
    });
  }
});

test('too many tables for the locks of one transaction: says what to set, and that another try is of no use', async () => {
  const hint = { hint: 'You might need to increase "max_locks_per_transaction".' };
  const full = Object.assign(new Error('out of shared memory'), {
    ...{ code: '53200', severity: 'ERROR', ...hint },
  });
  const error = targetError(full);
  assert.equal(error.code, 'TARGET_TRANSIENT');
  assert.match(error.remedy!, /max_locks_per_transaction/);
  const preparing = transferMode('drop_recreate').prepare(target, ordersAndUsers(), () =>
    Promise.reject(error),
  );
  const named = await refused(
    preparing,
    'TARGET_QUERY',
    /^2 tables .* about 8 \(max_locks_per_transaction is 64/,
  );
  assert.match(named.remedy!, /max_locks_per_transaction to 128 .*include_tables/);
});

test('the ledger takes many tables by as many statements as few, and enters those that are loaded together', async () => {
  await ensureLedger(target);
  await transferMode('drop_recreate').prepare(target, someTables(12));
  // Each ends the one before it.
  const [_, few, many] = [await beginning(1), await beginning(3), await beginning(12)];
  assert.equal(many.statements.length, few.statements.length);
  const [first, second, ...others] = many.plans as [TablePlan, TablePlan, ...TablePlan[]];
  many.statements.length = 0;
  const ledger = new Ledger(many.session, {
    ...{ runId: many.runId, attempt: 1, unlogged: new Set([tableLabel(second.source)]), stallMs: 0 },
    ...{ connect: () => assert.fail('one is there'), retry: { retries: 0, delayMs: 0 } },
    ...{ ended: () => false, onRetry: () => {} },
  });
  const loaded = (plan: TablePlan, rows: number) => ledger.loaded(plan, { rows, chunks: rows });
  const found = await Promise.all([loaded(first, 1), ...[second, ...others].map((plan) => loaded(plan, 0))]);
  assert.deepEqual(
    found.map((missing) => missing?.code ?? null),
    ['TARGET_TRANSIENT', ...Array.from({ length: 11 }, () => null)],
  );
  assert.equal(many.statements.filter((sql) => sql === 'BEGIN').length, 1);
  const failed = toErrorData(new AppError('TARGET_QUERY', 'a reason'));
  await ledger.tables(others.slice(1).map((plan) => ({ plan, status: 'failed', error: failed })));
  const tables = await readTables(target, many.runId);
  assert.deepEqual(
    many.plans.map((plan) => {
      const { status, error, partitions } = tables.find(({ table }) => table === tableLabel(plan.source))!;
      return [status, error?.message ?? null, partitions.map(({ upper }) => upper)];
    }),
    many.plans.map((_, i) => {
      const status = i < 2 ? 'pending' : i === 2 ? 'loaded' : 'failed';
      return [status, i < 3 ? null : 'a reason', [[String(i)], null]];
    }),
  );
});

test('many tables are made ready by as many statements as few, whether they are there or not', async () => {
  for (const name of ['drop_recreate', 'truncate', 'upsert'] as const) {
    const counts: number[] = [];
    for (const tables of [3, 12]) {
      const plans = someTables(tables).map((plan) => ({ ...plan, unlogged: name === 'truncate' }));
      await target.query('DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app');
      const { session, statements } = listening();
      for (const rowHashColumn of [null, 'row_hash']) {
        const given = plans.map((plan) => ({ ...plan, rowHashColumn }));
        // The second time, tables are there and lack a column, and their unique key.
        await transferMode(name).prepare(session, given);
        await target.query(
          `ALTER TABLE app."${plans[1]!.target.name.replaceAll('"', '""')}" ADD UNIQUE ("Id")`,
        );
      }
      counts.push(
        statements.filter((sql) => !sql.includes('ADD PRIMARY KEY') && !sql.includes('UNIQUE INDEX')).length,
      );
    }
    assert.equal(counts[1], counts[0], name);
  }
});

test('tables are begun in their order, no more than may be at a time, and what comes back is first', async () => {
  const [plan] = someTables(1);
  const plans = Array.from({ length: 4 }, (_, index) => ({ ...plan!, index }));
  const partitions = plans.map(({ index: table }) =>
    [0, 1, 2].map((partition) => ({ table, partition, lower: null, upper: null })),
  );
  const silent = { started() {}, committed() {}, complete() {}, finished() {}, failed() {} };
  const queue = new WorkQueue(plans, partitions, { tables: 2, readersPerTable: 2 }, silent);
  const given: string[] = [];
  const take = (readers: number): void => {
    for (let i = 0; i < readers; i++) {
      void queue.next().then((one) => given.push(one === null ? 'none' : `${one.table}.${one.partition}`));
    }
  };
  const settled = async (): Promise<string> => {
    await setImmediate();
    return given.splice(0).join(' ');
  };
  const read = (table: number, partition: number): void =>
    queue.read({ table, partition, rows: 1, chunks: 1 });
  take(5);
  assert.equal(await settled(), '0.0 0.1 1.0 1.1');
  read(1, 0);
  assert.equal(await settled(), '1.2');
  take(2);
  read(0, 0);
  read(0, 1);
  assert.equal(await settled(), '0.2');
  read(1, 1);
  read(1, 2);
  assert.equal(await settled(), '2.0');
  take(2);
  queue.again({ table: 0, partition: 3, lower: null, upper: null }, { rows: 1 });
  assert.equal(await settled(), '2.1 0.3');
  queue.failed(2, toErrorData(new AppError('TARGET_QUERY', 'a reason')), true);
  queue.failed(0, toErrorData(new AppError('TARGET_QUERY', 'a reason')), true);
  take(3);
  assert.equal(await settled(), '');
  read(0, 2);
  assert.equal(await settled(), '3.0 3.1');
  queue.drain();
  assert.equal(await settled(), 'none');
});

test('what is counted of all tables on the way is what they have together', () => {
  const random = randomFrom(7);
  const tally = new Tally(() => 0);
  const names = Array.from({ length: 20 }, (_, i) => `dbo.t${i}`);
  const tables = names.map((table, i) => ({ table, approximateRows: 10 * i }));
  tally.consume({ kind: 'run-started', runId: 'one', tables });
  const error = toErrorData(new AppError('TARGET_QUERY', 'a reason'));
  for (let i = 0; i < 300; i++) {
    const table = names[random(names.length)]!;
    const rows = random(300);
    const counts = { table, rows, bytes: 8 * rows };
    const events: RunEvent[] = [
      { kind: 'table-started', table, partitions: 1 },
      { kind: 'rows', ...counts, chunks: i },
      { kind: 'retry', table, error },
      { kind: 'table-finished', ...counts, durationMs: 1 },
      { kind: 'table-failed', table, error },
    ];
    tally.consume(events[random(events.length)]!);
    const { tables, running, ...all } = tally.snapshot();
    const sum = (value: (table: TableSnapshot) => number) => tables.reduce((so, t) => so + value(t), 0);
    const having = (status: string) => tables.filter((t) => t.status === status);
    assert.deepEqual(
      running.map((t) => t.table).sort(),
      having('running')
        .map((t) => t.table)
        .sort(),
    );
    const together = {
      ...{ tablesTotal: names.length, tablesCompleted: having('completed').length },
      ...{ tablesFailed: having('failed').length, retries: sum((t) => t.retries) },
      ...{ rowsCommitted: sum((t) => t.rowsCommitted), bytesCommitted: sum((t) => t.bytesCommitted) },
      ...{ chunks: sum((t) => t.chunks), rows: sum((t) => t.rows), bytes: sum((t) => t.bytes) },
      approximateRows: sum((t) => (t.status === 'completed' ? t.rows : Math.max(t.approximateRows, t.rows))),
    };
    assert.deepEqual({ ...all, ...together }, all);
  }
});

function someTables(tables: number): TablePlan[] {
  const [plan] = ordersAndUsers();
  return Array.from({ length: tables }, (_, index) => {
    const name = `t"${index}, {}\\`;
    const notes = index === 0 ? ['a note', 'one more'] : [];
    return {
      ...{ ...plan!, index, notes, primaryKeyName: null },
      ...{ source: { schema: 'dbo', name }, target: { schema: 'app', name } },
    };
  });
}

/** The target's session, and the statements that are sent to it. */
function listening(): { session: TargetConnection; statements: string[] } {
  const statements: string[] = [];
  const query: TargetConnection['query'] = (sql, values) => {
    statements.push(sql);
    return target.query(sql, values);
  };
  return { session: Object.assign(Object.create(target) as TargetConnection, { query }), statements };
}

/** Begins a run of so many tables, each of two partitions. */
async function beginning(tables: number) {
  const plans = someTables(tables);
  const { session, statements } = listening();
  const runId = randomUUID();
  const entry = { runId, configHash: 'one', mode: 'truncate', toolVersion: '1' };
  const partitions = plans.map((_, table) => [
    { table, partition: 0, lower: null, upper: [String(table)] },
    { table, partition: 1, lower: [String(table)], upper: null },
  ]);
  await beginRun(session, entry, plans, partitions);
  return { plans, statements, session, runId };
}

/** @returns the rows looked at for each question about so many tables with keys and foreign keys */
async function askAll(tables: number): Promise<number[]> {
  const schema = `tables_${tables}`;
  const each = Array.from(
    { length: tables },
    (_, i) => `CREATE TABLE ${schema}.t${i} (id int PRIMARY KEY, parent int UNIQUE, name text);
      ALTER TABLE ${schema}.t${i} ADD FOREIGN KEY (parent) REFERENCES ${schema}.t${i - (i % 2)} (id);`,
  );
  await target.query(`CREATE SCHEMA ${schema}; ${each.join('\n')}`);
  await target.query('ANALYZE');
  const rows: number[] = [];
  for (const ask of QUESTIONS) rows.push(await rowsLookedAt(ask, tables));
  return rows;
}

/** @returns the rows that all parts of the statement's plan went through, together. */
async function rowsLookedAt(
  ask: (target: TargetConnection, names: { schema: string; name: string }[]) => Promise<unknown>,
  tables: number,
): Promise<number> {
  const schema = `tables_${tables}`;
  const names = Array.from({ length: tables }, (_, i) => ({ schema, name: `t${i}` }));
  let rows = 0;
  const explaining = {
    query: async (sql: string, values: readonly unknown[]) => {
      const [plan] = await target.query<Record<string, [{ Plan: PlanNode }]>>(
        `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${sql}`,
        values,
      );
      rows += rowsOf(plan!['QUERY PLAN']![0].Plan);
      return [];
    },
  };
  await ask(Object.assign(Object.create(target) as TargetConnection, explaining), names);
  return rows;
}

interface PlanNode {
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Join Filter'?: number;
  Plans?: PlanNode[];
}

function rowsOf(node: PlanNode): number {
  const each =
    node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Join Filter'] ?? 0);
  return each * node['Actual Loops'] + (node.Plans ?? []).reduce((sum, part) => sum + rowsOf(part), 0);
}
