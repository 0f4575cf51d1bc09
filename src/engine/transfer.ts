/**
 * Moves the rows: hands partitions to the lanes and keeps account of what was committed. Main thread.
 */
import type { Ledger } from '../checkpoint/ledger.js';
import type { CommittedRows } from '../checkpoint/tableEntries.js';
import type { Config } from '../config/schema.js';
import { type AppError, type ErrorData, fromErrorData, isRetryable, toErrorData } from '../errors.js';
import type { Sizes } from '../host/sizes.js';
import type { ChunkDone, ChunkEnd, LedgerEntry } from '../plan/chunk.js';
import type { Partition, TablePlan } from '../plan/model.js';
import { readQuery } from '../plan/queries.js';
import { Retries, type RetryPolicy } from '../plan/retry.js';
import {
  type ChunkPlace,
  type ReaderControl,
  type ReadWork,
  StopFlags,
  type WriterControl,
} from '../plan/work.js';
import { copyStatement } from '../target/ddl.js';
import { type Rest, restOf } from './checkpoint.js';
import type { RunEventHandler } from './events.js';
import { laneSettings } from './laneSettings.js';
import { runLanes } from './lanes.js';
import type { Threads } from './threads.js';
import { type EarlierWork, type TableWork, WorkQueue } from './workQueue.js';

export interface TransferOptions {
  config: Config;
  plans: TablePlan[];
  partitions: Partition[][];
  /** What an earlier process of the run has done of each table. */
  earlier?: readonly EarlierWork[];
  sizes: Sizes;
  threads: Threads;
  /** Where chunks are entered; without one, a chunk that fails is not tried again. */
  ledger?: Ledger;
  retry?: RetryPolicy;
  /** True where the first table that fails ends the run. */
  failFast?: boolean;
  /** Its abort lets chunks that are under way end, for `shutdownMs` at most. */
  signal: AbortSignal;
  shutdownMs?: number;
  onEvent: RunEventHandler;
  /** Told of every chunk once it is in the target. */
  onChunk?: (plan: TablePlan, chunk: ChunkPlace, end: Pick<ChunkEnd, 'rows' | 'upper'>) => void;
  /** Told where chunks that were committed are gone, with what is left of their table. */
  onReload?: (table: Rest['table']) => void;
}

export interface Transferred {
  tables: readonly TableWork[];
  /** Why the transfer ended before all tables were through, or null. A failed table alone does not end it. */
  error: unknown;
}

/** What a reader is told of a partition to load. */
export function loadWork(
  config: Config,
  plan: TablePlan,
  partition: Partition,
  ledger: LedgerEntry | undefined,
): ReadWork {
  const format = config.migration.use_binary_copy ? 'binary' : 'text';
  return {
    plan,
    partition: partition.partition,
    query: readQuery(plan, partition, config.source),
    range: { lower: partition.lower, upper: partition.upper },
    retries: partition.retries ?? 0,
    statements: { before: [], copy: copyStatement(plan, format), ...(ledger !== undefined && { ledger }) },
  };
}

/** Transfers every partition; does not throw: what went wrong is in the result, beside what went right. */
export async function transfer(options: TransferOptions): Promise<Transferred> {
  return new Transfer(options).run();
}

class Transfer {
  readonly #options: TransferOptions;
  readonly #policy: RetryPolicy;
  readonly #stopFlags: StopFlags;
  readonly #queue: WorkQueue;
  /** Failures in a row of writing a table. */
  readonly #failures: Retries[];
  /** Ends the lanes at once. */
  readonly #abort = new AbortController();
  /** Looks into the ledger that nobody waits for yet. */
  readonly #entries: Promise<void>[] = [];
  #cancelled: unknown = null;

  constructor(options: TransferOptions) {
    const { plans, partitions, sizes, earlier } = options;
    this.#options = options;
    this.#policy = options.retry ?? { retries: 0, delayMs: 0 };
    this.#stopFlags = StopFlags.forTables(plans.length);
    this.#failures = plans.map(() => new Retries(this.#policy));
    const limits = { tables: sizes.workers, readersPerTable: sizes.parallelReaders };
    this.#queue = new WorkQueue(plans, partitions, limits, this, earlier);
  }

  async run(): Promise<Transferred> {
    const { signal, shutdownMs = 0 } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const onSignal = (): void => {
      this.#cancelled = signal.reason;
      this.#drain();
      timer = setTimeout(() => this.#abort.abort(signal.reason), shutdownMs);
    };
    signal.addEventListener('abort', onSignal, { once: true });
    if (signal.aborted) onSignal();
    try {
      this.#queue.begin();
      do await this.#lanes();
      while (await this.#emptied());
      this.#queue.assertComplete();
      return { tables: this.#queue.tables, error: this.#cancelled };
    } catch (error) {
      await Promise.allSettled(this.#entries);
      return { tables: this.#queue.tables, error };
    } finally {
      signal.removeEventListener('abort', onSignal);
      clearTimeout(timer);
    }
  }

  /** Reads and writes until nothing is left to do. */
  async #lanes(): Promise<void> {
    const { config, plans, sizes, threads, onEvent } = this.#options;
    await runLanes(
      {
        ...sizes,
        threads,
        workWaits: () => this.#queue.waits,
        ...laneSettings(config, plans, sizes, this.#policy, onEvent),
        stopFlags: this.#stopFlags,
        signal: this.#abort.signal,
      },
      this.#reader(),
      this.#writer(),
    );
    await Promise.all(this.#entries);
  }

  /** @returns whether UNLOGGED tables were emptied after they were complete, and are to be read again. */
  async #emptied(): Promise<boolean> {
    const { ledger } = this.#options;
    if (ledger === undefined) return false;
    let again = false;
    const unlogged = this.#queue.tables.filter(
      ({ state, plan }) => state === 'finished' && ledger.isUnlogged(plan),
    );
    if (unlogged.length === 0) return false;
    const missing = await ledger.missingNow(
      unlogged.map((table) => ({ plan: table.plan, expected: committedOf(table) })),
    );
    for (const table of unlogged) {
      const error = missing.get(table.plan);
      if (error !== undefined && (await this.#bringBack(table, ledger, error))) again = true;
    }
    return again;
  }

  #drain(): void {
    this.#stopFlags.drain();
    this.#queue.drain();
  }

  #reader(): ReaderControl {
    return {
      next: async () => {
        const partition = await this.#queue.next();
        return partition === null ? null : this.#work(partition);
      },
      read: async (done) => this.#queue.read(done),
      failed: async (table, _partition, error, again) => {
        if (again) this.#tryingAgain(table, error);
        else this.#queue.failed(table, error, true);
      },
    };
  }

  #work(partition: Partition): ReadWork {
    const { config, plans, ledger } = this.#options;
    const plan = plans[partition.table]!;
    return loadWork(config, plan, partition, ledger?.chunkEntry(plan));
  }

  #writer(): WriterControl {
    return {
      committed: async (chunk, done) => this.#committed(chunk, done),
      failed: async (chunk, end, error, session) => {
        try {
          await this.#notWritten(chunk, end, error, session);
        } catch (failure) {
          // comlink would drop its code: this way it is the run's error.
          this.#abort.abort(failure);
        }
      },
    };
  }

  #committed(chunk: ChunkPlace, done: Omit<ChunkDone, 'digest'>): void {
    this.#failures[chunk.table]!.reset();
    this.#options.onChunk?.(this.#options.plans[chunk.table]!, chunk, done);
    this.#queue.committed(chunk.table, done);
  }

  /** A chunk failed, or the answer to its COMMIT got lost: the ledger knows which, and its rows are read again. */
  async #notWritten(
    chunk: ChunkPlace,
    end: ChunkEnd | null,
    error: ErrorData,
    session: number | null,
  ): Promise<void> {
    const { ledger, plans } = this.#options;
    const { table } = chunk;
    if (!isRetryable(fromErrorData(error)) || ledger === undefined) {
      this.#queue.failed(table, error, false);
      return;
    }
    // The reader has given the chunk up as well, and reads it again by itself.
    if (end === null) return;
    const range = { lower: chunk.lower, upper: end.upper };
    const retries = 1;
    const partition: Partition = { table, partition: this.#queue.newPartition(table), ...range, retries };
    if (!(await ledger.move(plans[table]!, chunk, range, partition, session))) {
      this.#committed(chunk, end);
      return;
    }
    const failures = this.#failures[table]!;
    if (!failures.mayRetry(fromErrorData(error))) {
      this.#queue.failed(table, error, false);
      return;
    }
    this.#tryingAgain(table, error);
    await failures.pause(() => this.#stopFlags.isDraining);
    this.#queue.again(partition, end);
  }

  #tryingAgain(table: number, error: ErrorData): void {
    this.#options.onEvent({ kind: 'retry', table: this.#queue.tables[table]!.label, error });
  }

  started(table: TableWork): void {
    const { label, partitions } = table;
    if (table.chunksCommitted > 0) this.committed(table);
    this.#options.onEvent({ kind: 'table-started', table: label, partitions });
  }

  committed({ label, rowsCommitted, bytesCommitted, chunksCommitted }: TableWork): void {
    this.#options.onEvent({
      kind: 'rows',
      table: label,
      rows: rowsCommitted,
      bytes: bytesCommitted,
      chunks: chunksCommitted,
    });
  }

  complete(table: TableWork): void {
    const { ledger } = this.#options;
    if (ledger === undefined) {
      this.#queue.finished(table.plan.index);
      return;
    }
    const check = this.#check(table, ledger).catch((error) => {
      this.#abort.abort(error);
      throw error;
    });
    check.catch(() => {});
    this.#entries.push(check);
  }

  /** Asks the ledger whether every chunk is still there: a crash of the server empties UNLOGGED tables. */
  async #check(table: TableWork, ledger: Ledger): Promise<void> {
    const missing = await ledger.loaded(table.plan, committedOf(table));
    if (missing === null) this.#queue.finished(table.plan.index);
    else await this.#bringBack(table, ledger, missing);
  }

  /** @returns whether the chunks that are missing are read again */
  async #bringBack({ plan }: TableWork, ledger: Ledger, missing: AppError): Promise<boolean> {
    const { index } = plan;
    if (this.#stopFlags.isDraining) return false;
    if (!this.#failures[index]!.mayRetry(missing)) {
      this.#queue.failed(index, toErrorData(missing), false);
      return false;
    }
    this.#tryingAgain(index, toErrorData(missing));
    const rest = await restOf(ledger, plan, () => this.#queue.newPartition(index));
    this.#options.onReload?.(rest.table);
    this.#queue.reload(index, rest, rest.partitions);
    return true;
  }

  finished(table: TableWork): void {
    this.#options.onEvent({
      kind: 'table-finished',
      table: table.label,
      rows: table.rowsCommitted,
      bytes: table.bytesCommitted,
      durationMs: table.endedMs - table.startedMs,
    });
  }

  failed(table: TableWork): void {
    this.#stopFlags.stop(table.plan.index);
    this.#options.onEvent({ kind: 'table-failed', table: table.label, error: table.error! });
    if (this.#options.failFast === true) this.#drain();
  }
}

function committedOf({ rowsCommitted, chunksCommitted }: TableWork): CommittedRows {
  return { rows: rowsCommitted, chunks: chunksCommitted };
}
