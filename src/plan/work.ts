/**
 * What the orchestrator and a lane's threads say to each other over comlink: work and outcomes, never rows.
 */
import type { ErrorData } from '../errors.js';
import type { ChunkBegin, ChunkEnd, ChunkStatements } from './chunk.js';
import type { SourceQuery, TablePlan } from './model.js';

/** One partition to read. */
export interface ReadWork {
  plan: TablePlan;
  partition: number;
  query: SourceQuery;
  /** What is done with each chunk of its rows. */
  statements: ChunkStatements;
}

/** A partition was read to its end: that many rows went into the rings. */
export interface ReadDone {
  table: number;
  partition: number;
  rows: number;
  chunks: number;
}

/** What a reader asks of the orchestrator. */
export interface ReaderControl {
  /** @returns the next partition, or null when there is none left for this lane. */
  next(): Promise<ReadWork | null>;
  read(done: ReadDone): Promise<void>;
  /** The partition could not be read to its end; nothing more of it will come. */
  failed(table: number, partition: number, error: ErrorData): Promise<void>;
}

/** What a writer tells the orchestrator. */
export interface WriterControl {
  committed(chunk: Pick<ChunkBegin, 'table' | 'partition' | 'chunk'>, end: ChunkEnd): Promise<void>;
  failed(chunk: Pick<ChunkBegin, 'table' | 'partition' | 'chunk'>, error: ErrorData): Promise<void>;
}

/**
 * One word a table in shared memory: set where the table has failed, so that every thread drops what it still
 * has of it.
 */
export class StopFlags {
  readonly #words: Int32Array;

  constructor(readonly buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  static forTables(count: number): StopFlags {
    return new StopFlags(new SharedArrayBuffer(Math.max(1, count) * Int32Array.BYTES_PER_ELEMENT));
  }

  stop(table: number): void {
    Atomics.store(this.#words, table, 1);
  }

  isStopped(table: number): boolean {
    return Atomics.load(this.#words, table) !== 0;
  }
}
