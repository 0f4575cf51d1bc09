/**
 * What the orchestrator and a lane's threads say to each other over comlink: work and outcomes, never rows.
 */
import type { ErrorData } from '../errors.js';
import type { ChunkBegin, ChunkDone, ChunkEnd, ChunkStatements, KeySpan } from './chunk.js';
import type { KeyRange, SourceQuery, TablePlan } from './model.js';

/** One partition to read. */
export interface ReadWork {
  plan: TablePlan;
  partition: number;
  query: SourceQuery;
  /**
   * The keys `query` reads, in their order: after a break the reader goes on behind the last chunk that was ended.
   * Left out where it is not such a range: then the query is run again from its beginning.
   */
  range?: KeyRange;
  /** The keys it asks for, where it names single ones. */
  keys?: KeySpan;
  /** How often these rows were tried before, where they were. */
  retries?: number;
  /** What is done with each chunk of its rows. */
  statements: ChunkStatements;
}

/** A partition was read to its end: that many rows went into the rings. */
export interface ReadDone {
  table: number;
  partition: number;
  /** Rows and chunks of it, those of broken off and repeated chunks left out. */
  rows: number;
  chunks: number;
}

/** What a reader asks of the orchestrator. */
export interface ReaderControl {
  /** @returns the next partition, or null when there is none left for this lane. */
  next(): Promise<ReadWork | null>;
  read(done: ReadDone): Promise<void>;
  /**
   * The partition could not be read to its end.
   *
   * @param again true where this reader tries again; else nothing more of the partition will come
   */
  failed(table: number, partition: number, error: ErrorData, again: boolean): Promise<void>;
}

/** What names a chunk, and where its keys begin. */
export type ChunkPlace = Pick<ChunkBegin, 'table' | 'partition' | 'chunk' | 'lower'>;

/** What a writer tells the orchestrator. */
export interface WriterControl {
  committed(chunk: ChunkPlace, done: ChunkDone): Promise<void>;
  /**
   * The chunk is not in the target and will not come there.
   *
   * @param end its rows and where its keys end; null where the reader has given it up as well
   * @param session process id of its PostgreSQL session where the connection was lost: it may still hold locks
   */
  failed(chunk: ChunkPlace, end: ChunkEnd | null, error: ErrorData, session: number | null): Promise<void>;
}

/** What a writer tells that may be added while others work. */
export interface JoiningWriterControl extends WriterControl {
  /** It has its connection; told where it was to connect first. */
  connected(): Promise<void>;
}

/**
 * Words in shared memory: one for the run, set where it is to stop at the next chunk's end, and one a table, set
 * where the table has failed, so that every thread drops what it still has of it.
 */
export class StopFlags {
  readonly #words: Int32Array;

  constructor(readonly buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  static forTables(count: number): StopFlags {
    return new StopFlags(new SharedArrayBuffer((1 + count) * Int32Array.BYTES_PER_ELEMENT));
  }

  /** Readers stop where a chunk ends; what they have read is still committed. */
  drain(): void {
    Atomics.store(this.#words, 0, 1);
  }

  get isDraining(): boolean {
    return Atomics.load(this.#words, 0) !== 0;
  }

  stop(table: number): void {
    Atomics.store(this.#words, 1 + table, 1);
  }

  isStopped(table: number): boolean {
    return Atomics.load(this.#words, 1 + table) !== 0;
  }
}
