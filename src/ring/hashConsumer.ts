/**
 * The hash thread's view of a lane: every ring's slots in order, between the reader and the writers.
 * Runs on a hash thread, which owns no sockets and may block.
 */
import { ChunkChecksum } from './chunkChecksum.js';
import { storeCount, WaitClock } from './counters.js';
import {
  firstSlotOffset,
  firstSlotWord,
  LANE_WORD,
  type LaneLayout,
  laneBuffer,
  laneWords,
  RING_WORD,
  ringWord,
  SLOT_HEADER_WORDS,
  SLOT_KIND,
  SLOT_WORD,
  type SlotKind,
  slotStride,
} from './layout.js';
import type { PassingSlot } from './stage.js';
import { blockForChange, throwIfAborted } from './waiting.js';

/** All rings of a lane, as its one hash thread works through them. */
export class HashConsumer {
  readonly layout: LaneLayout;
  /** The lane's memory; slot offsets count from its start. */
  readonly buffer: Buffer;
  readonly #words: Int32Array;
  readonly #cursors: Int32Array;
  readonly #closed: Uint8Array;
  /** Per ring. */
  readonly #checksums: ChunkChecksum[];
  readonly #clock: WaitClock;
  readonly #slot: PassingSlot = { ring: 0, kind: SLOT_KIND.CLOSE, offset: 0, bytes: 0, rows: 0 };
  #open: number;
  #turn = 0;

  constructor(layout: LaneLayout) {
    this.layout = layout;
    this.buffer = laneBuffer(layout);
    this.#words = laneWords(layout);
    this.#cursors = new Int32Array(layout.rings);
    for (let ring = 0; ring < layout.rings; ring++) {
      this.#cursors[ring] = Atomics.load(this.#words, ringWord(ring) + RING_WORD.HASHED);
    }
    this.#closed = new Uint8Array(layout.rings);
    this.#checksums = Array.from({ length: layout.rings }, () => new ChunkChecksum(layout));
    this.#open = layout.rings;
    this.#clock = new WaitClock(this.#words, LANE_WORD.HASHER_WAIT_MS);
  }

  /**
   * Blocks until a ring has a slot to hash; rings take turns.
   * @returns the slot, valid until the next call; null once every ring has been closed.
   * @throws AppError CANCELLED where the lane was aborted.
   */
  next(): PassingSlot | null {
    const words = this.#words;
    while (this.#open > 0) {
      throwIfAborted(words);
      const seen = Atomics.load(words, LANE_WORD.PUBLISHED_TOTAL);
      const { rings } = this.layout;
      for (let i = 0; i < rings; i++) {
        const ring = this.#turn;
        this.#turn = ring + 1 === rings ? 0 : ring + 1;
        if (this.#closed[ring] === 1) continue;
        if (Atomics.load(words, ringWord(ring) + RING_WORD.PUBLISHED) !== this.#cursors[ring]) {
          return this.#load(ring);
        }
      }
      Atomics.add(words, LANE_WORD.HASHER_WAITS, 1);
      this.#clock.begin();
      try {
        blockForChange(words, LANE_WORD.PUBLISHED_TOTAL, seen);
      } finally {
        this.#clock.end();
      }
    }
    return null;
  }

  /**
   * Hands the slot `next()` gave on to its ring's writer.
   * @param rowsHashed all so far
   * @param sent whether its bytes are tuples that the writer sends on
   */
  done(rowsHashed: number, sent: boolean): void {
    const { ring, kind } = this.#slot;
    const words = this.#words;
    this.#checksums[ring]!.pass(this.#slot, this.#header(ring), sent);
    storeCount(words, LANE_WORD.ROWS_HASHED, rowsHashed);
    if (kind === SLOT_KIND.CLOSE) {
      this.#closed[ring] = 1;
      this.#open--;
    }
    const cursor = (this.#cursors[ring]! + 1) | 0;
    this.#cursors[ring] = cursor;
    const hashed = ringWord(ring) + RING_WORD.HASHED;
    Atomics.store(words, hashed, cursor);
    Atomics.notify(words, hashed);
  }

  #load(ring: number): PassingSlot {
    const place = this.#cursors[ring]! & (this.layout.slotsPerRing - 1);
    const header = this.#header(ring);
    const words = this.#words;
    const slot = this.#slot;
    slot.ring = ring;
    slot.kind = words[header + SLOT_WORD.KIND] as SlotKind;
    slot.offset = firstSlotOffset(this.layout, ring) + place * slotStride(this.layout);
    slot.bytes = words[header + SLOT_WORD.BYTES]!;
    slot.rows = words[header + SLOT_WORD.ROWS]!;
    return slot;
  }

  /** @returns the first header word of the slot at the ring's cursor. */
  #header(ring: number): number {
    const place = this.#cursors[ring]! & (this.layout.slotsPerRing - 1);
    return firstSlotWord(this.layout, ring) + place * SLOT_HEADER_WORDS;
  }
}
