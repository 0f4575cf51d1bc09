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

/** What a ring's writer has done, and who waited for whom. */
export interface RingProgress {
  rowsWritten: number;
  /** COPY bytes released by the writer, that is, flushed to its socket. */
  bytesWritten: number;
  /** Slots published and not yet released. */
  slotsInUse: number;
  readerWaits: number;
  readerWaitedForWriterMs: number;
  readerWaitedForHasherMs: number;
  writerWaits: number;
  writerWaitedForReaderMs: number;
  writerWaitedForHasherMs: number;
}

/** What a lane has done so far. */
export interface LaneProgress {
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
    rings.push({
      rowsWritten: loadCount(words, base + RING_WORD.ROWS_WRITTEN),
      bytesWritten: loadCount(words, base + RING_WORD.BYTES_WRITTEN),
      slotsInUse: (word(RING_WORD.PUBLISHED) - word(RING_WORD.RELEASED)) | 0,
      readerWaits: word(RING_WORD.READER_WAITS),
      readerWaitedForWriterMs: word(RING_WORD.READER_WAIT_WRITER_MS),
      readerWaitedForHasherMs: word(RING_WORD.READER_WAIT_HASHER_MS),
      writerWaits: word(RING_WORD.WRITER_WAITS),
      writerWaitedForReaderMs: word(RING_WORD.WRITER_WAIT_READER_MS),
      writerWaitedForHasherMs: word(RING_WORD.WRITER_WAIT_HASHER_MS),
    });
  }
  return {
    rowsRead: loadCount(words, LANE_WORD.ROWS_READ),
    bytesRead: loadCount(words, LANE_WORD.BYTES_READ),
    rowsHashed: loadCount(words, LANE_WORD.ROWS_HASHED),
    readerWaits: Atomics.load(words, LANE_WORD.READER_WAITS),
    readerWaitMs: Atomics.load(words, LANE_WORD.READER_WAIT_MS),
    hasherWaits: Atomics.load(words, LANE_WORD.HASHER_WAITS),
    hasherWaitMs: Atomics.load(words, LANE_WORD.HASHER_WAIT_MS),
    rings,
  };
}

/** Adds up the milliseconds spent waiting in one word, keeping the fractions the word can't hold. */
export class WaitClock {
  readonly #words: Int32Array;
  readonly #index: number;
  #totalMs: number;

  constructor(words: Int32Array, index: number) {
    this.#words = words;
    this.#index = index;
    this.#totalMs = Atomics.load(words, index);
  }

  /** Adds the time since `startedMs` (of `performance.now()`). */
  add(startedMs: number): void {
    this.#totalMs += performance.now() - startedMs;
    Atomics.store(this.#words, this.#index, Math.floor(this.#totalMs) | 0);
  }
}
