/**
 * Which partition is read next, and how far each table is. Main thread.
 *
 * Tables are begun largest first, at most `tables` at a time, each by at most `readersPerTable` readers. A table
 * is finished when every partition was read and every row read was committed. Until every table is finished or has
 * failed, readers are kept waiting: a chunk that could not be written comes back as a partition of its own.
 */
import { AppError, type ErrorData, toErrorData } from '../errors.js';
import type { ChunkEnd } from '../plan/chunk.js';
import type { Partition, TablePlan } from '../plan/model.js';
import type { ReadDone } from '../plan/work.js';
import { tableLabel } from '../source/model.js';
import type { RowChanges } from './events.js';

/** `checking`: every row seems to be there, and the ledger is asked. */
export type TableState = 'waiting' | 'running' | 'checking' | 'finished' | 'failed';

/** Rows that an earlier process of the run has committed. */
export interface EarlierWork {
  rows: number;
  bytes: number;
  chunks: number;
  /** The lowest partition number that is not taken. */
  nextPartition: number;
}

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
  partitions: number;
  pending: Partition[];
  reading: number;
  unread: number;
  chunksRead: number;
  nextPartition: number;
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
  /** Everything was read and committed: `finished` or `reload` of the queue follows. */
  complete(table: TableWork): void;
  finished(table: TableWork): void;
  failed(table: TableWork): void;
}

export class WorkQueue {
  readonly #entries: Entry[];
  /** Tables that are neither finished nor failed. */
  readonly #open: Set<Entry>;
  /** Tables that readers are at. */
  readonly #read = new Set<Entry>();
  /** Nothing is pending of the tables before this one. */
  #first = 0;
  readonly #limits: WorkLimits;
  readonly #listener: WorkListener;
  /** Lanes waiting for a partition that the limits hold back. */
  #waiting: ((partition: Partition | null) => void)[] = [];
  #draining = false;

  constructor(
    plans: readonly TablePlan[],
    partitions: readonly Partition[][],
    limits: WorkLimits,
    listener: WorkListener,
    earlier: readonly EarlierWork[] = [],
  ) {
    this.#limits = limits;
    this.#listener = listener;
    this.#entries = plans.map((plan, i) => ({
      plan,
      label: tableLabel(plan.source),
      partitions: partitions[i]!.length,
      state: 'waiting',
      rowsRead: earlier[i]?.rows ?? 0,
      rowsCommitted: earlier[i]?.rows ?? 0,
      bytesCommitted: earlier[i]?.bytes ?? 0,
      chunksRead: earlier[i]?.chunks ?? 0,
      chunksCommitted: earlier[i]?.chunks ?? 0,
      startedMs: 0,
      endedMs: 0,
      error: null,
      pending: [...partitions[i]!],
      reading: 0,
      unread: partitions[i]!.length,
      nextPartition: earlier[i]?.nextPartition ?? partitions[i]!.length,
    }));
    this.#open = new Set(this.#entries);
  }

  /** Every table, in plan order. */
  get tables(): readonly TableWork[] {
    return this.#entries;
  }

  /** True where a lane that asked now would be given a partition. */
  get waits(): boolean {
    return this.#find() !== undefined;
  }

  /** Finishes the tables of which nothing is left to read. */
  begin(): void {
    for (const entry of this.#entries) {
      if (entry.unread > 0) continue;
      this.#start(entry);
      this.#settle(entry);
    }
  }

  /** @returns the next partition for a lane, as soon as the limits allow one; null when there is none left. */
  next(): Promise<Partition | null> {
    const partition = this.#take();
    if (partition !== undefined) return Promise.resolve(partition);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** A partition was read to its end. */
  read({ table, rows, chunks }: ReadDone): void {
    const entry = this.#entries[table]!;
    this.#leave(entry);
    entry.unread--;
    entry.rowsRead += rows;
    entry.chunksRead += chunks;
    this.#settle(entry);
    this.#wake();
  }

  /** A chunk was committed. */
  committed(table: number, { rows, bytes }: Pick<ChunkEnd, 'rows' | 'bytes'>): void {
    const entry = this.#entries[table]!;
    entry.rowsCommitted += rows;
    entry.bytesCommitted += bytes;
    entry.chunksCommitted++;
    this.#listener.committed(entry);
    this.#settle(entry);
    this.#wake();
  }

  /** @returns a partition number of a table that was not used before. */
  newPartition(table: number): number {
    return this.#entries[table]!.nextPartition++;
  }

  /** A chunk that was read is not committed and must be read again, as a partition of its own. */
  again(partition: Partition, { rows }: Pick<ChunkEnd, 'rows'>): void {
    const entry = this.#entries[partition.table]!;
    entry.rowsRead -= rows;
    entry.chunksRead--;
    entry.unread++;
    entry.partitions++;
    if (entry.state !== 'failed' && !this.#draining) this.#put(entry, [partition]);
    this.#wake();
  }

  /** A table that was complete is. */
  finished(table: number): void {
    const entry = this.#entries[table]!;
    if (entry.state !== 'checking') return;
    entry.state = 'finished';
    this.#open.delete(entry);
    entry.endedMs = performance.now();
    this.#listener.finished(entry);
    this.#wake();
  }

  /** A table that was complete is not: so much of it is left, and these partitions are read again. */
  reload(table: number, left: Omit<EarlierWork, 'nextPartition'>, partitions: readonly Partition[]): void {
    const entry = this.#entries[table]!;
    if (entry.state !== 'checking' && entry.state !== 'finished') return;
    entry.state = 'running';
    entry.rowsRead = entry.rowsCommitted = left.rows;
    entry.chunksRead = entry.chunksCommitted = left.chunks;
    entry.bytesCommitted = left.bytes;
    entry.partitions += partitions.length;
    entry.unread = partitions.length;
    this.#open.add(entry);
    if (!this.#draining) this.#put(entry, partitions);
    this.#settle(entry);
    this.#wake();
  }

  /**
   * A table failed: nothing more of it is handed out. The first error is the table's.
   *
   * @param readerFreed true where a reader gave its partition back
   */
  failed(table: number, error: ErrorData, readerFreed: boolean): void {
    const entry = this.#entries[table]!;
    if (readerFreed) this.#leave(entry);
    this.#fail(entry, error);
    this.#wake();
  }

  /** Nothing more is handed out. */
  drain(): void {
    this.#draining = true;
    for (const entry of this.#entries) entry.pending = [];
    this.#wake();
  }

  /**
   * After all lanes have ended: every row that was read must have been committed.
   *
   * @throws AppError INTERNAL naming the table whose rows went missing on the way
   */
  assertComplete(): void {
    for (const entry of this.#entries) {
      if (entry.state === 'finished' || entry.state === 'failed' || this.#draining) continue;
      throw incomplete(entry);
    }
  }

  #start(entry: Entry): void {
    if (entry.state !== 'waiting') return;
    entry.state = 'running';
    entry.startedMs = performance.now();
    this.#listener.started(entry);
  }

  #settle(entry: Entry): void {
    if (entry.state !== 'running' || entry.unread > 0 || entry.chunksCommitted !== entry.chunksRead) return;
    if (entry.rowsCommitted !== entry.rowsRead) {
      this.#fail(entry, toErrorData(incomplete(entry)));
      return;
    }
    entry.state = 'checking';
    this.#listener.complete(entry);
  }

  #fail(entry: Entry, error: ErrorData): void {
    if (entry.state === 'failed') return;
    entry.state = 'failed';
    this.#open.delete(entry);
    entry.error = error;
    entry.endedMs = performance.now();
    entry.pending = [];
    this.#listener.failed(entry);
  }

  /** @returns a partition, null where none is left at all, undefined where one may still come. */
  #take(): Partition | null | undefined {
    if (this.#draining) return null;
    const entry = this.#find();
    if (entry === undefined) {
      return this.#open.size === 0 ? null : undefined;
    }
    // Taken before anybody hears of it: who hears that the table begins may drain the queue.
    const partition = entry.pending.shift()!;
    entry.reading++;
    this.#read.add(entry);
    this.#start(entry);
    return partition;
  }

  /** @returns the first table of which another partition may be read now. */
  #find(): Entry | undefined {
    const { tables, readersPerTable } = this.#limits;
    let found: Entry | undefined;
    for (const entry of this.#read) {
      const mayBeRead = entry.pending.length > 0 && entry.reading < readersPerTable;
      if (mayBeRead && entry.plan.index < (found?.plan.index ?? Number.POSITIVE_INFINITY)) found = entry;
    }
    if (this.#read.size >= tables) return found;
    while (this.#entries[this.#first]?.pending.length === 0) this.#first++;
    for (let i = this.#first; i < (found?.plan.index ?? this.#entries.length); i++) {
      const entry = this.#entries[i]!;
      if (entry.pending.length > 0 && entry.reading === 0) return entry;
    }
    return found;
  }

  /** A reader is no longer at the table. */
  #leave(entry: Entry): void {
    entry.reading--;
    if (entry.reading === 0) this.#read.delete(entry);
  }

  /** Has these read as well. */
  #put(entry: Entry, partitions: readonly Partition[]): void {
    entry.pending.push(...partitions);
    this.#first = Math.min(this.#first, entry.plan.index);
  }

  #wake(): void {
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting.shift()!;
      const partition = this.#take();
      if (partition === undefined) {
        this.#waiting.unshift(waiting);
        return;
      }
      waiting(partition);
    }
  }
}

/** @returns the error for a table whose rows went missing on the way. */
export function incomplete({ label, rowsRead, rowsCommitted }: TableWork): AppError {
  return new AppError('INTERNAL', `${label}: ${rowsRead} rows were read and ${rowsCommitted} committed`, {
    table: label,
    remedy: 'The target table is not complete. Report this as a bug.',
  });
}
