/**
 * `upsert`: tables that are empty are loaded whole, the others are compared and get only what differs. Main thread.
 *
 * Differences are found range by range and fetched as they are found; a lane asks for the next piece of work when
 * it is free, and the comparison goes on no faster than that. Nothing grows with the rows that differ.
 */
import type { Ledger } from '../checkpoint/ledger.js';
import type { Config } from '../config/schema.js';
import { type ErrorData, toErrorData } from '../errors.js';
import { laneMemoryBytes, MAIN_CONNECTIONS, type Sizes } from '../host/sizes.js';
import type { Partition, TablePlan } from '../plan/model.js';
import { retryPolicy } from '../plan/retry.js';
import { type ReaderControl, type ReadWork, StopFlags, type WriterControl } from '../plan/work.js';
import { tableLabel } from '../source/model.js';
import type { TargetConnection } from '../target/connection.js';
import { interleave } from '../verify/interleave.js';
import type { Verifier } from '../verify/verifier.js';
import { cancellation } from './abort.js';
import { DifferenceWork, NO_CHANGES } from './differenceWork.js';
import type { RowChanges, RunEventHandler } from './events.js';
import { runLanes } from './lanes.js';
import { emptyTables, fillRowHashes } from './targetRows.js';
import type { Threads } from './threads.js';
import { type TransferOptions, type Transferred, transfer } from './transfer.js';
import { comparisonOf } from './verifyRun.js';
import { incomplete, type TableWork } from './workQueue.js';

export interface SynchronizeOptions {
  config: Config;
  plans: TablePlan[];
  partitions: Partition[][];
  sizes: Sizes;
  threads: Threads;
  /** For what is asked and deleted while the lanes work. */
  target: TargetConnection;
  ledger: Ledger;
  signal: AbortSignal;
  shutdownMs: number;
  failFast: boolean;
  onEvent: RunEventHandler;
  onChunk: TransferOptions['onChunk'];
}

/** A table that is brought up to date. */
interface SyncedTable extends TableWork {
  changes: RowChanges;
  /** Everything that differs was handed out. */
  compared: boolean;
  /** By partition under way: rows that were asked for by key. */
  expectedRows: Map<number, number>;
  /** Rows that were found to differ and were not there any more when they were read. */
  rowsGone: number;
}

/** Brings every table up to date; does not throw: what went wrong is in the result, beside what went right. */
export async function synchronize(options: SynchronizeOptions): Promise<Transferred> {
  const { plans, partitions } = options;
  let loaded: Transferred = { tables: [], error: null };
  try {
    const empty = await emptyTables(options.target, plans);
    loaded = await load(
      options,
      plans.filter((plan) => empty.has(plan)),
      partitions.filter((_, i) => empty.has(plans[i]!)),
    );
    const rest = plans.filter((plan) => !empty.has(plan));
    if (loaded.error !== null || rest.length === 0) {
      return { tables: inOrder(plans, [...loaded.tables, ...rest.map(waitingTable)]), error: loaded.error };
    }
    const synced = await bringDifferences(options, rest);
    return { tables: inOrder(plans, [...loaded.tables, ...synced.tables]), error: synced.error };
  } catch (error) {
    const done = new Set(loaded.tables.map(({ plan }) => tableLabel(plan.source)));
    const undone = plans.filter(({ source }) => !done.has(tableLabel(source)));
    return { tables: inOrder(plans, [...loaded.tables, ...undone.map(waitingTable)]), error };
  }
}

function inOrder(plans: readonly TablePlan[], tables: readonly TableWork[]): TableWork[] {
  const byLabel = new Map(tables.map((table) => [table.label, table]));
  return plans.flatMap((plan) => byLabel.get(tableLabel(plan.source)) ?? []);
}

/** A first load is a full load; the transfer numbers its tables from 0. */
function load(
  options: SynchronizeOptions,
  plans: TablePlan[],
  partitions: Partition[][],
): Promise<Transferred> {
  if (plans.length === 0) return Promise.resolve({ tables: [], error: null });
  return transfer({
    ...options,
    // Tables that an earlier process has loaded in part are compared.
    earlier: [],
    retry: retryPolicy(options.config.migration),
    plans: plans.map((plan, index) => ({ ...plan, index })),
    partitions: partitions.map((ranges, table) => ranges.map((range) => ({ ...range, table }))),
  });
}

async function bringDifferences(options: SynchronizeOptions, plans: TablePlan[]): Promise<Transferred> {
  const { config, sizes, signal, onEvent } = options;
  const { migration } = config;
  const tables = plans.map(waitingTable);
  const stopFlags = StopFlags.forTables(Math.max(...plans.map(({ index }) => index)) + 1);
  const labels: string[] = [];
  for (const { index, source } of plans) labels[index] = tableLabel(source);
  const account = new Account(tables, stopFlags, onEvent);
  const { lanes, writersPerLane, compared } = shareOut(config, sizes);
  const { verifier, streamer, parallel } = comparisonOf(config, compared, { trustRowHash: false, signal });
  const cut = (): void => void verifier.close();
  signal.addEventListener('abort', cut, { once: true });
  const feed = interleave(tables, Math.max(1, Math.min(sizes.workers, parallel)), (table) =>
    tableWork(table, verifier, options, account),
  );
  try {
    signal.throwIfAborted();
    for (const text of await verifier.prepare(plans)) onEvent({ kind: 'note', text });
    // Threads are only worth starting once something differs.
    let first: IteratorResult<ReadWork, void> | null = await feed.next();
    if (first.done) {
      account.assertComplete();
      return { tables, error: null };
    }
    await runLanes(
      {
        threads: options.threads,
        lanes,
        lanesAtFirst: Math.min(lanes, sizes.lanesAtFirst),
        writersPerLane,
        writersAtFirst: Math.min(writersPerLane, sizes.writersAtFirst),
        slotsPerRing: sizes.slotsPerRing,
        slotBytes: sizes.slotBytes,
        hashed: plans.some(({ rowHashColumn }) => rowHashColumn !== null),
        reader: {
          source: config.source,
          nul: migration.on_nul,
          binaryCopy: migration.use_binary_copy,
          // Rows that were merged already are merged once more, to no effect.
          retry: retryPolicy(migration),
        },
        writer: { target: config.target, retry: retryPolicy(migration) },
        stopFlags,
        signal,
        onSample: (lanes) => onEvent({ kind: 'sample', lanes, tables: labels }),
      },
      account.reader(async () => {
        const next = first ?? feed.next();
        first = null;
        const { value, done } = await next;
        return done ? null : value;
      }),
      account.writer(),
    );
    account.assertComplete();
    return { tables, error: null };
  } catch (error) {
    // A closed connection is how the comparison hears of it.
    return { tables, error: signal.aborted ? cancellation(signal) : error };
  } finally {
    signal.removeEventListener('abort', cut);
    await verifier.close();
    await feed.return().catch(() => {});
    await streamer.close();
  }
}

/**
 * Lanes and writers for the merges, and connections for the comparison that runs beside them: together no more than
 * the configuration allows, in the memory that lanes may take.
 */
function shareOut(
  { migration }: Config,
  sizes: Sizes,
): { lanes: number; writersPerLane: number; compared: Sizes } {
  const { upsert_parallel_tasks: merges } = migration;
  const ofSource = (migration.max_mssql_connections ?? Number.POSITIVE_INFINITY) - MAIN_CONNECTIONS;
  const ofTarget = (migration.max_pg_connections ?? Number.POSITIVE_INFINITY) - MAIN_CONNECTIONS;
  const lanes = Math.max(1, Math.min(sizes.lanes, merges, Math.floor(ofSource / 2)));
  let writersPerLane = Math.max(1, Math.floor(Math.min(merges, ofTarget / 2) / lanes));
  const memory = () => laneMemoryBytes({ ...sizes, lanes, writersPerLane });
  while (writersPerLane > 1 && memory() > sizes.memoryBudgetBytes / 2) writersPerLane--;
  // comparisonOf leaves one of these for rows that are streamed.
  const compared = {
    ...sizes,
    maxSourceConnections: ofSource - lanes + 1,
    maxTargetConnections: ofTarget - lanes * writersPerLane + 1,
  };
  return { lanes, writersPerLane, compared };
}

/** Compares one table and yields what is to be read of it. A comparison that fails fails its table only. */
async function* tableWork(
  table: SyncedTable,
  verifier: Verifier,
  options: SynchronizeOptions,
  account: Account,
): AsyncGenerator<ReadWork, void, void> {
  account.started(table);
  try {
    await verifier.pool.use(({ target }) => fillRowHashes(target, table.plan, options.onEvent));
    const { comparison, exactKeys, notes } = await verifier.compare({ ...table.plan, rowHashColumn: null });
    table.plan.notes.push(...notes);
    const work = new DifferenceWork(table.plan, options.config, options.target, exactKeys);
    for await (const difference of comparison.differences()) {
      for (const { read, expectedRows } of await work.of(difference)) {
        account.handedOut(table, read.partition, expectedRows);
        yield read;
      }
      table.changes = work.changes;
    }
    table.changes = work.changes;
    const { inserted, updated, deleted, extra } = work.changes;
    if (inserted + updated + deleted + extra > 0)
      table.plan.notes.push(
        `differences: ${inserted} inserted, ${updated} updated, ${deleted} deleted, ${extra} only in the target and left there`,
      );
    account.compared(table);
  } catch (error) {
    if (options.signal.aborted) throw error;
    account.failed(table.plan.index, toErrorData(error));
  }
}

function waitingTable(plan: TablePlan): SyncedTable {
  return {
    plan,
    label: tableLabel(plan.source),
    partitions: 0,
    state: 'waiting',
    rowsRead: 0,
    rowsCommitted: 0,
    bytesCommitted: 0,
    chunksCommitted: 0,
    retries: 0,
    startedMs: 0,
    endedMs: 0,
    error: null,
    changes: { ...NO_CHANGES },
    compared: false,
    expectedRows: new Map(),
    rowsGone: 0,
  };
}

/** Keeps count of what was handed out, read and committed, and tells of it. */
class Account {
  readonly #byIndex: Map<number, SyncedTable>;
  readonly #reading = new Map<number, number>();

  constructor(
    tables: readonly SyncedTable[],
    private readonly stopFlags: StopFlags,
    private readonly onEvent: RunEventHandler,
  ) {
    this.#byIndex = new Map(tables.map((table) => [table.plan.index, table]));
  }

  reader(next: ReaderControl['next']): ReaderControl {
    return {
      next,
      read: async ({ table, partition, rows }) => {
        const entry = this.#byIndex.get(table)!;
        this.#count(table, -1);
        entry.rowsRead += rows;
        entry.rowsGone += Math.max(0, (entry.expectedRows.get(partition) ?? 0) - rows);
        entry.expectedRows.delete(partition);
        this.#settle(entry);
      },
      failed: async (table, _partition, error, again) => {
        if (again) {
          const entry = this.#byIndex.get(table)!;
          entry.retries++;
          this.onEvent({ kind: 'retry', table: entry.label, error });
          return;
        }
        this.#count(table, -1);
        this.failed(table, error);
      },
    };
  }

  writer(): WriterControl {
    return {
      committed: async ({ table }, { rows, bytes }) => {
        const entry = this.#byIndex.get(table)!;
        entry.rowsCommitted += rows;
        entry.bytesCommitted += bytes;
        entry.chunksCommitted++;
        this.onEvent({
          kind: 'rows',
          table: entry.label,
          rows: entry.rowsCommitted,
          bytes: entry.bytesCommitted,
          chunks: entry.chunksCommitted,
        });
        this.#settle(entry);
      },
      failed: async ({ table }, _end, error) => this.failed(table, error),
    };
  }

  started(table: SyncedTable): void {
    table.state = 'running';
    table.startedMs = performance.now();
    this.onEvent({ kind: 'table-started', table: table.label, partitions: 1 });
  }

  /** @param expectedRows rows the partition must give, or null where nobody knows */
  handedOut(table: SyncedTable, partition: number, expectedRows: number | null): void {
    this.#count(table.plan.index, 1);
    if (expectedRows !== null) table.expectedRows.set(partition, expectedRows);
  }

  compared(table: SyncedTable): void {
    table.compared = true;
    this.#settle(table);
  }

  failed(index: number, error: ErrorData): void {
    const table = this.#byIndex.get(index)!;
    if (table.state === 'failed') return;
    table.state = 'failed';
    table.error = error;
    table.endedMs = performance.now();
    this.stopFlags.stop(index);
    this.onEvent({ kind: 'table-failed', table: table.label, error });
  }

  /** @throws AppError INTERNAL naming a table whose rows went missing on the way */
  assertComplete(): void {
    for (const table of this.#byIndex.values()) {
      if (table.state !== 'finished' && table.state !== 'failed') throw incomplete(table);
    }
  }

  #count(index: number, by: number): void {
    this.#reading.set(index, (this.#reading.get(index) ?? 0) + by);
  }

  #settle(table: SyncedTable): void {
    const { plan, state, compared, rowsRead, rowsCommitted } = table;
    if (
      state !== 'running' ||
      !compared ||
      (this.#reading.get(plan.index) ?? 0) > 0 ||
      rowsRead !== rowsCommitted
    ) {
      return;
    }
    table.state = 'finished';
    table.endedMs = performance.now();
    if (table.rowsGone > 0) {
      plan.notes.push(
        `${table.rowsGone} rows that differed were gone when they were read: the source is being written to; run again`,
      );
    }
    this.onEvent({
      kind: 'table-finished',
      table: table.label,
      rows: rowsCommitted,
      bytes: table.bytesCommitted,
      durationMs: table.endedMs - table.startedMs,
    });
  }
}
