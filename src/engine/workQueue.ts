/**
 * Which partition is read next, and how far each table is. Main thread.
 *
 * Tables are begun largest first, at most `tables` at a time, each by at most `readersPerTable` readers. A table
 * is finished when every partition was read and every row read was committed.
 */
import { AppError, type ErrorData } from '../errors.js';
import type { ChunkEnd } from '../plan/chunk.js';
import type { Partition, TablePlan } from '../plan/model.js';
import type { ReadDone } from '../plan/work.js';
import { tableLabel } from '../source/model.js';
import type { RowChanges } from './events.js';

export type TableState = 'waiting' | 'running' | 'finished' | 'failed';

/** One table's way through the run. */
export interface TableWork {
  readonly plan: TablePlan;
  readonly label: string;
  readonly partitions: number;
  state: TableState;
  rowsRead: number;
  rowsCommitted: number;
  bytesCommitted: number;
  chunksCommitted: number;
  startedMs: number;
  endedMs: number;
  error: ErrorData | null;
  /** Where differences were brought over: what was found. */
  changes?: RowChanges;
}

interface Entry extends TableWork {
  pending: Partition[];
  reading: number;
  unread: number;
}

export interface WorkLimits {
  /** Tables read at the same time. */
  tables: number;
  /** Readers on one table at the same time. */
  readersPerTable: number;
}

/** What the queue tells of tables that begin, move on, finish or fail. */
export interface WorkListener {
  started(table: TableWork): void;
  committed(table: TableWork): void;
  finished(table: TableWork): void;
  failed(table: TableWork): void;
}

export class WorkQueue {
  readonly #entries: Entry[];
  readonly #limits: WorkLimits;
  readonly #listener: WorkListener;
  /** Lanes waiting for a partition that the limits hold back. */
  #waiting: ((partition: Partition | null) => void)[] = [];

  constructor(
    plans: readonly TablePlan[],
    partitions: readonly Partition[][],
    limits: WorkLimits,
    listener: WorkListener,
  ) {
    this.#limits = limits;
    this.#listener = listener;
    this.#entries = plans.map((plan, i) => ({
      plan,
      label: tableLabel(plan.source),
      partitions: partitions[i]!.length,
      state: 'waiting',
      rowsRead: 0,
      rowsCommitted: 0,
      bytesCommitted: 0,
      chunksCommitted: 0,
      startedMs: 0,
      endedMs: 0,
      error: null,
      pending: [...partitions[i]!],
      reading: 0,
      unread: partitions[i]!.length,
    }));
  }

  /** Every table, in plan order. */
  get tables(): readonly TableWork[] {
    return this.#entries;
  }

  /** @returns the next partition for a lane, as soon as the limits allow one; null when there is none left. */
  next(): Promise<Partition | null> {
    const partition = this.#take();
    if (partition !== undefined) return Promise.resolve(partition);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** A partition was read to its end. */
  read({ table, rows }: ReadDone): void {
    const entry = this.#entries[table]!;
    entry.reading--;
    entry.unread--;
    entry.rowsRead += rows;
    this.#settle(entry);
    this.#wake();
  }

  /** A chunk was committed. */
  committed(table: number, { rows, bytes }: ChunkEnd): void {
    const entry = this.#entries[table]!;
    entry.rowsCommitted += rows;
    entry.bytesCommitted += bytes;
    entry.chunksCommitted++;
    this.#listener.committed(entry);
    this.#settle(entry);
  }

  /**
   * A table failed: nothing more of it is handed out. The first error is the table's.
   *
   * @param readerFreed true where a reader gave its partition back
   */
  failed(table: number, error: ErrorData, readerFreed: boolean): void {
    const entry = this.#entries[table]!;
    if (readerFreed) entry.reading--;
    if (entry.state !== 'failed') {
      entry.state = 'failed';
      entry.error = error;
      entry.endedMs = performance.now();
      entry.pending = [];
      this.#listener.failed(entry);
    }
    this.#wake();
  }

  /**
   * After all lanes have ended: every row that was read must have been committed.
   *
   * @throws AppError INTERNAL naming the table whose rows went missing on the way
   */
  assertComplete(): void {
    for (const { state, label, rowsRead, rowsCommitted } of this.#entries) {
      if (state === 'finished' || state === 'failed') continue;
      throw new AppError('INTERNAL', `${label}: ${rowsRead} rows were read and ${rowsCommitted} committed`, {
        table: label,
        remedy: 'The target table is not complete. Report this as a bug.',
      });
    }
  }

  #settle(entry: Entry): void {
    if (entry.state !== 'running' || entry.unread > 0 || entry.rowsCommitted !== entry.rowsRead) return;
    entry.state = 'finished';
    entry.endedMs = performance.now();
    this.#listener.finished(entry);
  }

  /** @returns a partition, null where none is left at all, undefined where the limits hold one back. */
  #take(): Partition | null | undefined {
    let left = false;
    let busy = 0;
    for (const entry of this.#entries) if (entry.reading > 0) busy++;
    for (const entry of this.#entries) {
      if (entry.pending.length === 0) continue;
      left = true;
      if (entry.reading >= this.#limits.readersPerTable) continue;
      if (entry.reading === 0 && busy >= this.#limits.tables) continue;
      if (entry.state === 'waiting') {
        entry.state = 'running';
        entry.startedMs = performance.now();
        this.#listener.started(entry);
      }
      entry.reading++;
      return entry.pending.shift()!;
    }
    return left ? undefined : null;
  }

  #wake(): void {
    while (this.#waiting.length > 0) {
      const partition = this.#take();
      if (partition === undefined) return;
      this.#waiting.shift()!(partition);
    }
  }
}
