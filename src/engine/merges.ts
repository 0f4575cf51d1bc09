/**
 * Keeps account of the rows that are brought into tables that have rows: what was handed out, read and merged, and
 * what is to be read again. Main thread.
 *
 * A batch whose chunk could not be written for a passing reason is read again as a whole, once it was read to its
 * end: rows that were merged already are merged once more, to no effect.
 */
import type { Ledger } from '../checkpoint/ledger.js';
import { type ErrorData, fromErrorData, isRetryable, toErrorData } from '../errors.js';
import type { ChunkDone, ChunkEnd } from '../plan/chunk.js';
import type { TablePlan } from '../plan/model.js';
import { Retries, type RetryPolicy } from '../plan/retry.js';
import type { ChunkPlace, ReaderControl, ReadWork, StopFlags, WriterControl } from '../plan/work.js';
import { tableLabel } from '../source/model.js';
import { type DifferenceRead, NO_CHANGES } from './differenceWork.js';
import type { RowChanges, RunEventHandler } from './events.js';
import type { TransferOptions } from './transfer.js';
import { incomplete, type TableWork } from './workQueue.js';

/** A table that is brought up to date. */
export interface SyncedTable extends TableWork {
  changes: RowChanges;
  /** Everything that differs was handed out. */
  compared: boolean;
  /** What was handed out and is not merged yet, by partition. */
  readonly batches: Map<number, Batch>;
  /** The lowest partition number that is not taken. */
  nextPartition: number;
  /** Rows that were found to differ and were not there any more when they were read. */
  rowsGone: number;
}

interface Batch extends DifferenceRead {
  /** Rows and chunks it gave; null while it is read. */
  done: { rows: number; chunks: number } | null;
  /** Chunks that were committed or have failed. */
  settled: number;
  /** Why a chunk of it has to be read again, and the partition it will be read as. */
  again: { error: ErrorData; partition: number } | null;
}

export interface MergesOptions {
  ledger: Ledger;
  retry: RetryPolicy;
  stopFlags: StopFlags;
  failFast: boolean;
  onEvent: RunEventHandler;
  /** Ends the lanes: the ledger can't be written any more. */
  onLedgerLost: (error: unknown) => void;
  /** Told of every chunk once it is in the target. */
  onChunk: NonNullable<TransferOptions['onChunk']>;
}

export function waitingTable(plan: TablePlan, nextPartition = 0): SyncedTable {
  return {
    plan,
    label: tableLabel(plan.source),
    partitions: 0,
    state: 'waiting',
    rowsRead: 0,
    rowsCommitted: 0,
    bytesCommitted: 0,
    chunksCommitted: 0,
    startedMs: 0,
    endedMs: 0,
    error: null,
    changes: { ...NO_CHANGES },
    compared: false,
    batches: new Map(),
    nextPartition,
    rowsGone: 0,
  };
}

export class Merges {
  readonly #options: MergesOptions;
  readonly #byIndex: Map<number, SyncedTable>;
  /** Failures in a row of each table. */
  readonly #failures = new Map<number, Retries>();
  #waiting: ReadWork[] = [];
  /** Batches that come back after a pause. */
  #pausing = 0;
  #draining = false;
  #onDrain: (nothing: null) => void = () => {};
  readonly #drained = new Promise<null>((resolve) => {
    this.#onDrain = resolve;
  });
  #onChange: () => void = () => {};
  #change: Promise<void>;

  constructor(tables: readonly SyncedTable[], options: MergesOptions) {
    this.#options = options;
    this.#byIndex = new Map(tables.map((table) => [table.plan.index, table]));
    for (const index of this.#byIndex.keys()) this.#failures.set(index, new Retries(options.retry));
    this.#change = this.#nextChange();
  }

  /** True once nothing more is handed out. */
  get isDraining(): boolean {
    return this.#draining;
  }

  /** @param next the next batch that the comparison has found, or null after the last one */
  reader(next: () => Promise<ReadWork | null>): ReaderControl {
    return {
      next: () => this.#next(next),
      read: async ({ table, partition, rows, chunks }) => {
        const entry = this.#byIndex.get(table)!;
        const batch = entry.batches.get(partition);
        // Its table has failed meanwhile.
        if (batch === undefined) return;
        entry.rowsRead += rows;
        batch.done = { rows, chunks };
        this.#settleBatch(entry, partition, batch);
      },
      failed: async (table, partition, error, again) => {
        const entry = this.#byIndex.get(table)!;
        if (again) {
          this.#tryingAgain(entry, error);
          return;
        }
        entry.batches.delete(partition);
        this.failed(table, error);
      },
    };
  }

  writer(): WriterControl {
    return {
      committed: async (chunk, done) => this.#committed(chunk, done),
      failed: async (chunk, end, error, session) => {
        try {
          await this.#notWritten(chunk, end, error, session);
        } catch (failure) {
          this.#options.onLedgerLost(failure);
        }
      },
    };
  }

  /** A comparison begins, or begins again. */
  started(table: SyncedTable): void {
    table.changes.extra = 0;
    if (table.state !== 'waiting') return;
    table.state = 'running';
    table.startedMs = performance.now();
    this.#options.onEvent({ kind: 'table-started', table: table.label, partitions: 1 });
  }

  handedOut(table: SyncedTable, work: DifferenceRead): void {
    table.batches.set(work.read.partition, { ...work, done: null, settled: 0, again: null });
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
    table.batches.clear();
    const { stopFlags, failFast, onEvent } = this.#options;
    stopFlags.stop(index);
    onEvent({ kind: 'table-failed', table: table.label, error });
    if (failFast) this.drain();
    this.#changed();
  }

  /** What is under way ends at the next chunk's end, and nothing more begins. */
  drain(): void {
    this.#draining = true;
    this.#options.stopFlags.drain();
    this.#onDrain(null);
    this.#changed();
  }

  /** Something of a table is tried again. */
  #tryingAgain(table: SyncedTable, error: ErrorData): void {
    this.#options.onEvent({ kind: 'retry', table: table.label, error });
  }

  /** The comparison of a table failed for a passing reason. @returns whether it may begin again, after a pause */
  async comparesAgain(table: SyncedTable, error: unknown): Promise<boolean> {
    const failures = this.#failures.get(table.plan.index)!;
    if (table.state === 'failed' || this.#draining || !failures.mayRetry(error)) return false;
    this.#tryingAgain(table, toErrorData(error));
    await failures.pause(() => this.#draining);
    return !this.#draining;
  }

  /** @throws AppError INTERNAL naming a table whose rows went missing on the way */
  assertComplete(): void {
    for (const table of this.#byIndex.values()) {
      if (table.state !== 'finished' && table.state !== 'failed' && !this.#draining) throw incomplete(table);
    }
  }

  /** Batches that come back go first; after the last one of the comparison, they are waited for. */
  async #next(next: () => Promise<ReadWork | null>): Promise<ReadWork | null> {
    let exhausted = false;
    for (;;) {
      if (this.#draining) return null;
      const again = this.#waiting.shift();
      if (again !== undefined) return again;
      const changed = this.#change;
      if (exhausted) {
        if (this.#isDone) return null;
        await changed;
        continue;
      }
      const found = next();
      found.catch(() => {});
      const work = await Promise.race([found, this.#drained]);
      if (work === null) exhausted = true;
      else return work;
    }
  }

  get #isDone(): boolean {
    if (this.#pausing > 0) return false;
    for (const { batches } of this.#byIndex.values()) if (batches.size > 0) return false;
    return true;
  }

  #nextChange(): Promise<void> {
    return new Promise((resolve) => {
      this.#onChange = resolve;
    });
  }

  /** Wakes the readers that wait for what comes back. */
  #changed(): void {
    this.#onChange();
    this.#change = this.#nextChange();
  }

  #committed(chunk: ChunkPlace, done: Omit<ChunkDone, 'digest'>): void {
    const { table, partition } = chunk;
    const { rows, bytes, merged } = done;
    const entry = this.#byIndex.get(table)!;
    this.#options.onChunk(entry.plan, chunk, done);
    this.#failures.get(table)!.reset();
    entry.rowsCommitted += rows;
    entry.bytesCommitted += bytes;
    entry.chunksCommitted++;
    entry.changes.inserted += merged?.inserted ?? 0;
    entry.changes.updated += merged?.updated ?? 0;
    const event = { rows: entry.rowsCommitted, bytes: entry.bytesCommitted };
    this.#options.onEvent({ kind: 'rows', table: entry.label, ...event });
    const batch = entry.batches.get(partition);
    if (batch === undefined) return;
    batch.settled++;
    this.#settleBatch(entry, partition, batch);
  }

  /** A chunk failed, or the answer to its COMMIT got lost: the ledger knows which. */
  async #notWritten(
    chunk: ChunkPlace,
    end: ChunkEnd | null,
    error: ErrorData,
    session: number | null,
  ): Promise<void> {
    const { ledger } = this.#options;
    const entry = this.#byIndex.get(chunk.table)!;
    if (!isRetryable(fromErrorData(error))) {
      this.failed(chunk.table, error);
      return;
    }
    const batch = entry.batches.get(chunk.partition);
    // The reader has given the chunk up as well, and reads it again by itself.
    if (end === null || batch === undefined) return;
    const range = { lower: chunk.lower, upper: end.upper };
    const partition = batch.again?.partition ?? entry.nextPartition++;
    const to = { partition, retries: (batch.read.retries ?? 0) + 1 };
    if (!(await ledger.move(entry.plan, chunk, range, to, session))) {
      this.#committed(chunk, { ...end, merged: await ledger.merged(entry.plan, chunk) });
      return;
    }
    batch.again = { error, partition };
    entry.rowsRead -= end.rows;
    batch.settled++;
    this.#settleBatch(entry, chunk.partition, batch);
  }

  /** Ends a batch that was read and of which every chunk has had its end. */
  #settleBatch(table: SyncedTable, partition: number, batch: Batch): void {
    const { done, settled, again, expectedRows } = batch;
    if (done === null || settled < done.chunks || !table.batches.delete(partition)) return;
    if (again === null) {
      table.rowsGone += Math.max(0, (expectedRows ?? 0) - done.rows);
      this.#settle(table);
    } else void this.#again(table, batch, again);
    this.#changed();
  }

  async #again(
    table: SyncedTable,
    batch: Batch,
    { error, partition }: NonNullable<Batch['again']>,
  ): Promise<void> {
    const failures = this.#failures.get(table.plan.index)!;
    if (!failures.mayRetry(fromErrorData(error))) {
      this.failed(table.plan.index, error);
      return;
    }
    this.#tryingAgain(table, error);
    const read = { ...batch.read, partition, retries: (batch.read.retries ?? 0) + 1 };
    this.handedOut(table, { read, expectedRows: batch.expectedRows });
    this.#pausing++;
    await failures.pause(() => this.#draining);
    this.#pausing--;
    if (table.state !== 'failed') this.#waiting.push(read);
    this.#changed();
  }

  #settle(table: SyncedTable): void {
    const { plan, state, compared, batches, rowsRead, rowsCommitted } = table;
    if (state !== 'running' || !compared || batches.size > 0) return;
    if (rowsRead !== rowsCommitted) {
      this.failed(plan.index, toErrorData(incomplete(table)));
      return;
    }
    table.state = 'finished';
    table.endedMs = performance.now();
    if (table.rowsGone > 0) {
      plan.notes.push(
        `${table.rowsGone} rows that differed were gone when they were read: the source is being written to; run again`,
      );
    }
    const { inserted, updated, deleted, extra } = table.changes;
    if (inserted + updated + deleted + extra > 0) {
      plan.notes.push(
        `differences: ${inserted} inserted, ${updated} updated, ${deleted} deleted, ${extra} only in the target and left there`,
      );
    }
    this.#options.onEvent({
      kind: 'table-finished',
      table: table.label,
      rows: rowsCommitted,
      bytes: table.bytesCommitted,
      durationMs: table.endedMs - table.startedMs,
    });
  }
}
