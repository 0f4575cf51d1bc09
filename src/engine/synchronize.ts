/**
 * `upsert`: tables that are empty are loaded whole, the others are compared and get only what differs. Main thread.
 *
 * Differences are found range by range and fetched as they are found; a lane asks for the next piece of work when
 * it is free, and the comparison is a few pieces ahead at most. Nothing grows with the rows that differ.
 */
import type { Ledger } from '../checkpoint/ledger.js';
import { plannedAsBefore } from '../checkpoint/runs.js';
import type { Config } from '../config/schema.js';
import { cancellation, toErrorData } from '../errors.js';
import { logged } from '../finalize/logged.js';
import { laneMemoryBytes, MAIN_CONNECTIONS, type Sizes } from '../host/sizes.js';
import type { Partition, TablePlan } from '../plan/model.js';
import { retryPolicy, withRetries } from '../plan/retry.js';
import { type ReadWork, StopFlags } from '../plan/work.js';
import { tableLabel } from '../source/model.js';
import { connectTarget, type TargetConnection } from '../target/connection.js';
import { TargetSession } from '../target/session.js';
import { interleave } from '../verify/interleave.js';
import type { Verifier } from '../verify/verifier.js';
import { stopOf } from './abort.js';
import { tellsOf } from './connecting.js';
import { type DifferenceRead, DifferenceWork } from './differenceWork.js';
import type { RunEventHandler } from './events.js';
import { laneSettings } from './laneSettings.js';
import { runLanes } from './lanes.js';
import { Merges, type SyncedTable, waitingTable } from './merges.js';
import { readAhead } from './readAhead.js';
import { emptyTables, fillRowHashes, noteOldRowHashes } from './targetRows.js';
import type { Threads } from './threads.js';
import { type TransferOptions, type Transferred, transfer } from './transfer.js';
import { comparisonOf } from './verifyRun.js';
import type { EarlierWork, TableWork } from './workQueue.js';

/** Pieces of work the comparison may be ahead of the lanes: they are compared with their next rows meanwhile. */
const READS_AHEAD = 8;

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
  /** What earlier processes of the run have done of each table. */
  earlier: readonly EarlierWork[];
  onChunk: NonNullable<TransferOptions['onChunk']>;
}

/** Brings every table up to date; does not throw: what went wrong is in the result, beside what went right. */
export async function synchronize(options: SynchronizeOptions): Promise<Transferred> {
  const { config, plans, partitions, failFast } = options;
  const session = new TargetSession(() => connectTarget(config.target, stopOf(options)), options.target);
  let loaded: Transferred = { tables: [], error: null };
  try {
    const empty = await again(options, () => session.use((target) => emptyTables(target, plans)));
    loaded = await load(
      options,
      plans.flatMap((plan, i) => (empty.has(plan) ? [i] : [])),
    );
    const rest = plans.flatMap((plan, i) =>
      empty.has(plan) ? [] : [waitingTable(plan, firstFree(options.earlier[i], partitions[i]!))],
    );
    const ended = failFast && loaded.tables.some(({ state }) => state === 'failed');
    if (loaded.error !== null || ended || rest.length === 0) {
      return { tables: inOrder(plans, [...loaded.tables, ...rest]), error: loaded.error };
    }
    await setLogged(options, session, rest);
    const error = await bringDifferences(options, session, rest);
    return { tables: inOrder(plans, [...loaded.tables, ...rest]), error };
  } catch (error) {
    const done = new Set(loaded.tables.map(({ plan }) => tableLabel(plan.source)));
    const undone = plans.filter(({ source }) => !done.has(tableLabel(source)));
    return { tables: inOrder(plans, [...loaded.tables, ...undone.map((plan) => waitingTable(plan))]), error };
  } finally {
    await session.close();
  }
}

/** @returns the lowest partition number that is taken neither by an earlier process nor by the plan. */
function firstFree(earlier: EarlierWork | undefined, planned: readonly Partition[]): number {
  return (earlier?.nextPartition ?? 0) + planned.length;
}

/** Tries what may be repeated until it succeeds, fails for good, or has been tried often enough. */
function again<T>(
  { config, signal, onEvent }: SynchronizeOptions,
  work: () => Promise<T>,
  onRetry = tellsOf('comparison', onEvent),
): Promise<T> {
  return withRetries(retryPolicy(config.migration), work, { ended: () => signal.aborted, onRetry });
}

/** @returns what tells of a table's failure that is tried again */
function retryOf({ onEvent }: SynchronizeOptions, table: string): (error: unknown) => void {
  return (error) => onEvent({ kind: 'retry', table, error: toErrorData(error) });
}

/**
 * A table that an earlier process of the run has loaded in part, UNLOGGED: rows found to be as they should be must
 * not go in a crash of the server afterwards.
 */
async function setLogged(
  options: SynchronizeOptions,
  session: TargetSession,
  tables: readonly SyncedTable[],
): Promise<void> {
  const { ledger } = options;
  const onLogged = (target: TargetConnection, plan: TablePlan) => ledger.becomesLogged(target, plan, false);
  for (const { plan, label } of tables) {
    for (const name of logged.names(plan)) {
      await again(
        options,
        () => session.use((target) => logged.run(target, plan, name, { onLogged })),
        retryOf(options, label),
      );
      ledger.isLoggedNow(plan);
    }
  }
}

function inOrder(plans: readonly TablePlan[], tables: readonly TableWork[]): TableWork[] {
  const byLabel = new Map(tables.map((table) => [table.label, table]));
  return plans.flatMap((plan) => byLabel.get(tableLabel(plan.source)) ?? []);
}

/** A first load is a full load; the transfer numbers its tables from 0. */
function load(options: SynchronizeOptions, which: readonly number[]): Promise<Transferred> {
  if (which.length === 0) return Promise.resolve({ tables: [], error: null });
  const { plans, partitions, earlier } = options;
  return transfer({
    ...options,
    // Tables that an earlier process has loaded in part are compared: of these it has left no rows.
    earlier: which.map((i) => ({
      ...(earlier[i] ?? { rows: 0, bytes: 0, chunks: 0 }),
      nextPartition: firstFree(earlier[i], partitions[i]!),
    })),
    retry: retryPolicy(options.config.migration),
    plans: which.map((i, index) => ({ ...plans[i]!, index })),
    partitions: which.map((i, table) => partitions[i]!.map((range) => ({ ...range, table }))),
  });
}

/** @returns why it ended before every table was through, or null */
async function bringDifferences(
  options: SynchronizeOptions,
  session: TargetSession,
  tables: readonly SyncedTable[],
): Promise<unknown> {
  const { config, sizes, signal, shutdownMs, ledger, failFast, onEvent } = options;
  const { migration } = config;
  const plans = tables.map(({ plan }) => plan);
  const retry = retryPolicy(migration);
  const stopFlags = StopFlags.forTables(Math.max(...plans.map(({ index }) => index)) + 1);
  const labels: string[] = [];
  for (const { index, source } of plans) labels[index] = tableLabel(source);
  const abort = new AbortController();
  const onLedgerLost = (error: unknown): void => abort.abort(error);
  const { onChunk } = options;
  const merges = new Merges(tables, { ledger, retry, stopFlags, failFast, onEvent, onLedgerLost, onChunk });
  const { lanes, writersPerLane, compared } = shareOut(config, sizes);
  const { verifier, streamer, parallel } = comparisonOf(config, compared, {
    trustRowHash: false,
    looksAgain: 'before deleting',
    signal,
    threads: options.threads,
  });
  let timer: NodeJS.Timeout | undefined;
  // What is being merged may end; the comparison hears of it by its closed connections.
  const onSignal = (): void => {
    merges.drain();
    void verifier.close();
    timer = setTimeout(() => abort.abort(signal.reason), shutdownMs);
  };
  signal.addEventListener('abort', onSignal, { once: true });
  let onWanted = (): void => {};
  const wanted = new Promise<{ done: false }>((resolve) => {
    onWanted = () => resolve({ done: false });
  });
  let asBefore: ReadonlySet<string> = new Set();
  const found = interleave(tables, Math.max(1, Math.min(sizes.workers, parallel)), (table) =>
    tableWork(table, { verifier, options, session, merges, onWanted, asBefore }),
  );
  const feed = readAhead(found, READS_AHEAD);
  try {
    signal.throwIfAborted();
    for (const text of await again(options, () => verifier.prepare(plans))) onEvent({ kind: 'note', text });
    asBefore = await again(options, () => session.use((target) => plannedAsBefore(target, ledger.runId)));
    // Lanes are only worth beginning once something differs, and then at once: there is more to come.
    let first: Promise<IteratorResult<ReadWork, void>> | null = feed.next();
    first.catch(() => {});
    const { done } = await Promise.race([first, wanted]);
    if (!done) {
      await runLanes(
        {
          threads: options.threads,
          lanes,
          lanesAtFirst: Math.min(lanes, sizes.lanesAtFirst),
          writersPerLane,
          writersAtFirst: Math.min(writersPerLane, sizes.writersAtFirst),
          slotsPerRing: sizes.slotsPerRing,
          slotBytes: sizes.slotBytes,
          // Tried again, rows that were merged already are merged once more, to no effect.
          ...laneSettings(config, plans, sizes, retry, onEvent),
          stopFlags,
          signal: abort.signal,
        },
        merges.reader(async () => {
          const next = first ?? feed.next();
          first = null;
          const { value, done } = await next;
          return done ? null : value;
        }),
        merges.writer(),
      );
    }
    merges.assertComplete();
    return signal.aborted ? cancellation(signal) : null;
  } catch (error) {
    return signal.aborted ? cancellation(signal) : error;
  } finally {
    signal.removeEventListener('abort', onSignal);
    clearTimeout(timer);
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

interface Comparing {
  verifier: Verifier;
  /** Told that there will be rows to read. */
  onWanted: () => void;
  /** Tables of which the runs before had the same plan. */
  asBefore: ReadonlySet<string>;
  options: SynchronizeOptions;
  session: TargetSession;
  merges: Merges;
}

/**
 * Compares one table and yields what is to be read of it. Where a connection is lost it begins again: what was brought
 * over meanwhile is found to be there. A comparison that fails for good fails its table only.
 */
async function* tableWork(table: SyncedTable, comparing: Comparing): AsyncGenerator<ReadWork, void, void> {
  const { options, merges } = comparing;
  for (;;) {
    try {
      merges.started(table);
      yield* differencesOf(table, comparing);
      merges.compared(table);
      return;
    } catch (error) {
      if (options.signal.aborted) throw error;
      if (await merges.comparesAgain(table, error)) continue;
      if (!merges.isDraining) merges.failed(table.plan.index, toErrorData(error));
      return;
    }
  }
}

async function* differencesOf(
  table: SyncedTable,
  { verifier, options, session, merges, onWanted, asBefore }: Comparing,
): AsyncGenerator<ReadWork, void, void> {
  const { config, ledger, signal } = options;
  const { plan, changes } = table;
  const serverVersion = await verifier.pool.use(async ({ target }) => {
    const current = asBefore.has(table.label);
    const unhashable = verifier.unhashableTarget(plan);
    await fillRowHashes(target, verifier.inTarget(plan), { current, unhashable }, options.onEvent);
    await noteOldRowHashes(target, plan, config.migration.row_hash_column, options.onEvent);
    return target.serverVersion;
  });
  const { comparison, exactKeys, notes } = await verifier.compare({ ...plan, rowHashColumn: null }, null);
  for (const note of notes) if (!plan.notes.includes(note)) plan.notes.push(note);
  const newPartition = (): number => table.nextPartition++;
  const work = new DifferenceWork(plan, {
    config,
    session,
    ledger,
    serverVersion,
    exactKeys,
    newPartition,
    changes,
    signal,
    onRetry: retryOf(options, table.label),
  });
  const handOut = (found: DifferenceRead): ReadWork => {
    merges.handedOut(table, found);
    return found.read;
  };
  for await (const difference of comparison.differences()) {
    if (difference.changes.some(({ change }) => change !== 'delete')) onWanted();
    for (const found of await work.of(difference)) yield handOut(found);
  }
  for (const found of work.rest()) yield handOut(found);
}
