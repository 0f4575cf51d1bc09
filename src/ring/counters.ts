/**
 * Progress counters in a lane's shared memory: each has one writing thread; any thread may read them.
 *
 * Counts pass 2^31, and 64-bit atomics would mean BigInts, so a large count is three words
 * (high, low, high again) that a reader accepts only when both highs agree.
 */
import { LANE_WORD, type LaneLayout, laneWords, RING_WORD, ringWord } from './layout.js';

const LOW = 2 ** 30;

/** Stores a non-negative integer below 2^53; only the counter's one writing thread may call it. */
export function storeCount(words: Int32Array, index: number, value: number): void {
  const high = Math.floor(value / LOW);
  Atomics.store(words, index, high);
  Atomics.store(words, index + 1, value - high * LOW);
  Atomics.store(words, index + 2, high);
}

/** @returns the count stored by `storeCount`, never a torn one. */
export function loadCount(words: Int32Array, index: number): number {
  for (;;) {
    // Against the order of the stores: equal highs around the low mean nothing was stored in between.
    const after = Atomics.load(words, index + 2);
    const low = Atomics.load(words, index + 1);
    if (Atomics.load(words, index) === after) return after * LOW + low;
  }
}

/** What names a chunk. */
export interface ChunkName {
  table: number;
  partition: number;
  /** Its number in the partition. */
  chunk: number;
}

/** A chunk that a writer has begun and the run has not counted yet. */
export interface OpenChunk extends ChunkName {
  /** Rows and COPY bytes of it that have left for the target. */
  rows: number;
  bytes: number;
}

/** Words of an open chunk: an odd serial number while it is written, 0 in `OPEN` where there is none. */
const CHUNK_WORD = { SERIAL: 0, OPEN: 1, TABLE: 2, PARTITION: 3, NUMBER: 4, ROWS: 5, BYTES: 8 } as const;

/** Enters the chunk that a ring's writer begins; `rows` and `bytes` are what it had written before. */
export function storeChunk(
  words: Int32Array,
  index: number,
  { table, partition, chunk }: ChunkName,
  rows: number,
  bytes: number,
): void {
  Atomics.add(words, index + CHUNK_WORD.SERIAL, 1);
  Atomics.store(words, index + CHUNK_WORD.OPEN, 1);
  Atomics.store(words, index + CHUNK_WORD.TABLE, table);
  Atomics.store(words, index + CHUNK_WORD.PARTITION, partition);
  Atomics.store(words, index + CHUNK_WORD.NUMBER, chunk);
  storeCount(words, index + CHUNK_WORD.ROWS, rows);
  storeCount(words, index + CHUNK_WORD.BYTES, bytes);
  Atomics.add(words, index + CHUNK_WORD.SERIAL, 1);
}

/** The ring's writer has no open chunk any more. */
export function clearChunk(words: Int32Array, index: number): void {
  Atomics.store(words, index + CHUNK_WORD.OPEN, 0);
}

/** @returns the writer's open chunk, all of it of one moment; null where there is none or it is just changing. */
function loadChunk(words: Int32Array, base: number): OpenChunk | null {
  const word = (index: number) => Atomics.load(words, base + RING_WORD.CHUNK + index);
  const serial = word(CHUNK_WORD.SERIAL);
  const count = (index: number) => loadCount(words, base + index);
  const chunk = {
    table: word(CHUNK_WORD.TABLE),
    partition: word(CHUNK_WORD.PARTITION),
    chunk: word(CHUNK_WORD.NUMBER),
    rows: count(RING_WORD.ROWS_WRITTEN) - count(RING_WORD.CHUNK + CHUNK_WORD.ROWS),
    bytes: count(RING_WORD.BYTES_WRITTEN) - count(RING_WORD.CHUNK + CHUNK_WORD.BYTES),
  };
  const open = word(CHUNK_WORD.OPEN) === 1 && serial % 2 === 0 && word(CHUNK_WORD.SERIAL) === serial;
  return open ? chunk : null;
}

/** What a ring's writer has done, and who waited for whom; waits under way are counted up to now. */
export interface RingProgress {
  writerThread: number;
  rowsWritten: number;
  /** COPY bytes released by the writer, that is, flushed to its socket. */
  bytesWritten: number;
  /** Slots published and not yet released, and those of them that are not hashed yet. */
  slotsInUse: number;
  slotsUnhashed: number;
  readerWaits: number;
  readerWaitedForWriterMs: number;
  readerWaitedForHasherMs: number;
  writerWaits: number;
  writerWaitedForReaderMs: number;
  writerWaitedForHasherMs: number;
  chunk: OpenChunk | null;
}

/** What a lane has done so far. */
export interface LaneProgress {
  readerThread: number;
  /** Number of the table that is read, or null. */
  readerTable: number | null;
  rowsRead: number;
  /** COPY bytes put into the rings. */
  bytesRead: number;
  rowsHashed: number;
  /** Times and milliseconds the reader waited for room in any ring. */
  readerWaits: number;
  readerWaitMs: number;
  hasherWaits: number;
  hasherWaitMs: number;
  rings: RingProgress[];
}

/** @returns the lane's counters as they stand now; any thread. */
export function readProgress(layout: LaneLayout): LaneProgress {
  const words = laneWords(layout);
  const rings: RingProgress[] = [];
  for (let ring = 0; ring < layout.rings; ring++) {
    const base = ringWord(ring);
    const word = (index: number) => Atomics.load(words, base + index);
    const published = word(RING_WORD.PUBLISHED);
    rings.push({
      writerThread: word(RING_WORD.WRITER_THREAD),
      rowsWritten: loadCount(words, base + RING_WORD.ROWS_WRITTEN),
      bytesWritten: loadCount(words, base + RING_WORD.BYTES_WRITTEN),
      slotsInUse: (published - word(RING_WORD.RELEASED)) | 0,
      slotsUnhashed: layout.hashing === 'hasher' ? (published - word(RING_WORD.HASHED)) | 0 : 0,
      readerWaits: word(RING_WORD.READER_WAITS),
      readerWaitedForWriterMs: loadWait(words, base + RING_WORD.READER_WAIT_WRITER_MS),
      readerWaitedForHasherMs: loadWait(words, base + RING_WORD.READER_WAIT_HASHER_MS),
      writerWaits: word(RING_WORD.WRITER_WAITS),
      writerWaitedForReaderMs: loadWait(words, base + RING_WORD.WRITER_WAIT_READER_MS),
      writerWaitedForHasherMs: loadWait(words, base + RING_WORD.WRITER_WAIT_HASHER_MS),
      chunk: loadChunk(words, base),
    });
  }
  const table = Atomics.load(words, LANE_WORD.READER_TABLE);
  return {
    readerThread: Atomics.load(words, LANE_WORD.READER_THREAD),
    readerTable: table === 0 ? null : table - 1,
    rowsRead: loadCount(words, LANE_WORD.ROWS_READ),
    bytesRead: loadCount(words, LANE_WORD.BYTES_READ),
    rowsHashed: loadCount(words, LANE_WORD.ROWS_HASHED),
    readerWaits: Atomics.load(words, LANE_WORD.READER_WAITS),
    readerWaitMs: loadWait(words, LANE_WORD.READER_WAIT_MS),
    hasherWaits: Atomics.load(words, LANE_WORD.HASHER_WAITS),
    hasherWaitMs: loadWait(words, LANE_WORD.HASHER_WAIT_MS),
    rings,
  };
}

/** Milliseconds on a clock that all threads share, as an Int32 that wraps; never 0. */
function sharedNow(): number {
  return Math.floor(performance.timeOrigin + performance.now()) | 0 || 1;
}

/** @returns the milliseconds a `WaitClock` has counted, those of a wait under way among them. */
function loadWait(words: Int32Array, index: number): number {
  const since = Atomics.load(words, index + 1);
  const total = Atomics.load(words, index);
  return since === 0 ? total : total + Math.max(0, (sharedNow() - since) | 0);
}

/**
 * Adds up the milliseconds spent waiting in one word, keeping the fractions the word can't hold; the word behind it
 * says since when a wait is under way, so that other threads see it before it ends.
 */
export class WaitClock {
  readonly #words: Int32Array;
  readonly #index: number;
  #totalMs: number;
  #startedMs = 0;

  constructor(words: Int32Array, index: number) {
    this.#words = words;
    this.#index = index;
    this.#totalMs = Atomics.load(words, index);
  }

  /** A wait begins. */
  begin(): void {
    this.#startedMs = performance.now();
    Atomics.store(this.#words, this.#index + 1, sharedNow());
  }

  /** The wait is over. */
  end(): void {
    this.#totalMs += performance.now() - this.#startedMs;
    // In this order a look in between sees too little for a moment, never too much.
    Atomics.store(this.#words, this.#index + 1, 0);
    Atomics.store(this.#words, this.#index, Math.floor(this.#totalMs) | 0);
  }
}
