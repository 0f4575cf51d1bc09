/**
 * The reader's end of a lane's rings. Runs on the reader thread, which never blocks: a full ring makes it
 * stop reading its socket, and so the source server stops sending.
 *
 * ```ts
 * const lane = new LaneProducer(layout);
 * await lane.waitForRoom();
 * const ring = lane.roomiest();
 * await ring.sendJson(SLOT_KIND.BEGIN, chunk);
 * let offset = ring.tryReserve();          // -1: full, await ring.waitForSpace() and try again
 * lane.bytes.writeInt16BE(6, offset);      // fill from `offset`, at most `layout.slotBytes`
 * ring.publish(SLOT_KIND.DATA, bytes, rows, 0);
 * ```
 */
import { threadId } from 'node:worker_threads';
import { AppError } from '../errors.js';
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
  SLOT_FLAG,
  SLOT_HEADER_WORDS,
  SLOT_KIND,
  SLOT_WORD,
  type SlotKind,
  slotStride,
} from './layout.js';
import type { PassingSlot, SlotStage } from './stage.js';
import { throwIfAborted, waitForChange } from './waiting.js';

/** All rings of one lane, as its reader sees them. One per reader thread and lane. */
export class LaneProducer {
  readonly layout: LaneLayout;
  /** The lane's memory; slot offsets count from its start. */
  readonly bytes: Buffer;
  readonly rings: readonly RingProducer[];
  readonly #words: Int32Array;
  readonly #clock: WaitClock;
  readonly #stage: SlotStage | null;
  #rowsRead = 0;
  #bytesRead = 0;

  /**
   * @param stage hashes what is published, in a lane whose reader does that
   * @throws AppError INTERNAL where there is none in such a lane, or one in another
   */
  constructor(layout: LaneLayout, stage: SlotStage | null = null) {
    if ((layout.hashing === 'reader') !== (stage !== null)) {
      throw new AppError(
        'INTERNAL',
        `a lane whose hashing is '${layout.hashing}' got ${stage === null ? 'no' : 'a'} hasher`,
      );
    }
    this.layout = layout;
    this.#stage = stage;
    this.bytes = laneBuffer(layout);
    this.#words = laneWords(layout);
    this.#clock = new WaitClock(this.#words, LANE_WORD.READER_WAIT_MS);
    Atomics.store(this.#words, LANE_WORD.READER_THREAD, threadId);
    this.rings = Array.from({ length: layout.rings }, (_, ring) => new RingProducer(this, ring));
  }

  /** @returns the open ring with the most free slots, of equals the one with the lowest number; it may be full. */
  roomiest(): RingProducer {
    const open = Atomics.load(this.#words, LANE_WORD.OPEN_RINGS);
    let best = this.rings[0]!;
    for (let i = 1; i < open; i++) {
      const ring = this.rings[i]!;
      if (ring.freeSlots() > best.freeSlots()) best = ring;
    }
    return best;
  }

  /**
   * @returns the bytes after which a chunk had better end, lest writers wait: once a ring is full its chunk comes no faster
   *   than its writer takes it, and meanwhile the others have what is in theirs
   */
  get chunkBytes(): number {
    const others = Atomics.load(this.#words, LANE_WORD.OPEN_RINGS) - 1;
    const { slotsPerRing, slotBytes } = this.layout;
    return others === 0 ? Number.POSITIVE_INFINITY : (slotsPerRing * slotBytes * (others + 1)) / others;
  }

  /**
   * Waits until `roomiest` has a free slot.
   * @throws AppError CANCELLED where the lane was aborted.
   */
  async waitForRoom(): Promise<void> {
    for (;;) {
      throwIfAborted(this.#words);
      const seen = Atomics.load(this.#words, LANE_WORD.RELEASED_TOTAL);
      if (this.roomiest().freeSlots() > 0) return;
      Atomics.add(this.#words, LANE_WORD.READER_WAITS, 1);
      this.#clock.begin();
      try {
        await waitForChange(this.#words, LANE_WORD.RELEASED_TOTAL, seen);
      } finally {
        this.#clock.end();
      }
    }
  }

  /** Notes what is read from here on: a table's number, or null while there is nothing to read. */
  reads(table: number | null): void {
    Atomics.store(this.#words, LANE_WORD.READER_TABLE, table === null ? 0 : table + 1);
  }

  /** Tells the last word in every ring, those not opened too: CLOSE, waiting for room where needed. */
  async closeAll(): Promise<void> {
    await Promise.all(this.rings.map((ring) => ring.close()));
  }

  /** @returns whether the slot's bytes are tuples that a writer sends on, row hashes and all; for the rings of this lane. */
  complete(slot: PassingSlot): boolean {
    if (this.#stage === null) return true;
    const sent = this.#stage.pass(slot);
    storeCount(this.#words, LANE_WORD.ROWS_HASHED, this.#stage.rowsHashed);
    return sent;
  }

  /** Counts what a slot brought; for the rings of this lane. */
  count(rows: number, bytes: number): void {
    this.#rowsRead += rows;
    this.#bytesRead += bytes;
    storeCount(this.#words, LANE_WORD.ROWS_READ, this.#rowsRead);
    storeCount(this.#words, LANE_WORD.BYTES_READ, this.#bytesRead);
  }
}

/** One ring, as the reader fills it: reserve a slot, write into it, publish it. */
export class RingProducer {
  readonly lane: LaneProducer;
  /** Which ring of the lane, and so which writer. */
  readonly index: number;
  readonly #words: Int32Array;
  readonly #base: number;
  readonly #headers: number;
  readonly #slots: number;
  readonly #stride: number;
  readonly #mask: number;
  /** A hash thread stands behind this end. */
  readonly #hashedLater: boolean;
  readonly #slot: PassingSlot;
  readonly #checksum: ChunkChecksum;
  readonly #writerClock: WaitClock;
  readonly #hasherClock: WaitClock;
  #published: number;

  constructor(lane: LaneProducer, ring: number) {
    const layout = lane.layout;
    this.lane = lane;
    this.index = ring;
    this.#words = laneWords(layout);
    this.#base = ringWord(ring);
    this.#headers = firstSlotWord(layout, ring);
    this.#slots = firstSlotOffset(layout, ring);
    this.#stride = slotStride(layout);
    this.#mask = layout.slotsPerRing - 1;
    this.#hashedLater = layout.hashing === 'hasher';
    this.#slot = { ring, kind: SLOT_KIND.CLOSE, offset: 0, bytes: 0, rows: 0 };
    this.#checksum = new ChunkChecksum(layout);
    this.#writerClock = new WaitClock(this.#words, this.#base + RING_WORD.READER_WAIT_WRITER_MS);
    this.#hasherClock = new WaitClock(this.#words, this.#base + RING_WORD.READER_WAIT_HASHER_MS);
    this.#published = Atomics.load(this.#words, this.#base + RING_WORD.PUBLISHED);
  }

  /** @returns the number of slots that may be published before the writer releases another. */
  freeSlots(): number {
    const used = (this.#published - Atomics.load(this.#words, this.#base + RING_WORD.RELEASED)) | 0;
    return this.#mask + 1 - used;
  }

  /**
   * @returns the byte offset in the lane of the next slot's data, the same one until it is published;
   *   -1 where the ring is full.
   * @throws AppError CANCELLED where the lane was aborted.
   */
  tryReserve(): number {
    throwIfAborted(this.#words);
    if (this.freeSlots() === 0) return -1;
    return this.#slots + (this.#published & this.#mask) * this.#stride;
  }

  /**
   * Hands the reserved slot on. Only after `tryReserve` gave an offset.
   * @param bytes bytes written from that offset, at most the lane's `slotBytes`.
   * @param rows rows whose last byte lies in this slot.
   * @param flags bits of `SLOT_FLAG`.
   * @param firstRowOffset where the first row that begins in this slot begins, from the offset; needed only
   *   with `STARTS_IN_ROW` (`bytes` where no row begins here).
   */
  publish(kind: SlotKind, bytes: number, rows: number, flags: number, firstRowOffset?: number): void {
    if (bytes < 0 || bytes > this.lane.layout.slotBytes || this.freeSlots() === 0) {
      throw new AppError(
        'INTERNAL',
        `a slot of ${bytes} bytes was published with ${this.freeSlots()} slots free`,
      );
    }
    const words = this.#words;
    const header = this.#headers + (this.#published & this.#mask) * SLOT_HEADER_WORDS;
    words[header + SLOT_WORD.KIND] = kind;
    words[header + SLOT_WORD.BYTES] = bytes;
    words[header + SLOT_WORD.ROWS] = rows;
    words[header + SLOT_WORD.FLAGS] = flags;
    words[header + SLOT_WORD.FIRST_ROW_OFFSET] =
      firstRowOffset ?? ((flags & SLOT_FLAG.STARTS_IN_ROW) === 0 ? 0 : bytes);
    if (kind === SLOT_KIND.DATA) this.lane.count(rows, bytes);
    // A hash thread changes the tuples yet.
    if (!this.#hashedLater) this.#complete(kind, bytes, rows, header);
    this.#published = (this.#published + 1) | 0;
    Atomics.store(words, this.#base + RING_WORD.PUBLISHED, this.#published);
    // The hash thread waits for any ring, a writer without one before it for its own.
    if (this.#hashedLater) {
      Atomics.add(words, LANE_WORD.PUBLISHED_TOTAL, 1);
      Atomics.notify(words, LANE_WORD.PUBLISHED_TOTAL);
    } else {
      Atomics.notify(words, this.#base + RING_WORD.PUBLISHED);
    }
  }

  /** Does what the writer finds done. */
  #complete(kind: SlotKind, bytes: number, rows: number, header: number): void {
    const slot = this.#slot;
    slot.kind = kind;
    slot.offset = this.#slots + (this.#published & this.#mask) * this.#stride;
    slot.bytes = bytes;
    slot.rows = rows;
    this.#checksum.pass(slot, header, this.lane.complete(slot));
  }

  /**
   * Publishes a slot with `value` as UTF-8 JSON. A half-filled reserved slot must be published before.
   * @returns false where the ring is full.
   * @throws AppError INTERNAL where the JSON is larger than a slot.
   */
  publishJson(kind: SlotKind, value: unknown): boolean {
    return this.publishBytes(kind, Buffer.from(JSON.stringify(value)));
  }

  /** Publishes a slot with these bytes, as `publishJson`. */
  publishBytes(kind: SlotKind, bytes: Buffer): boolean {
    const offset = this.tryReserve();
    if (offset < 0) return false;
    const { slotBytes } = this.lane.layout;
    if (bytes.length > slotBytes) {
      throw new AppError('INTERNAL', `${bytes.length} bytes do not fit a slot of ${slotBytes}`);
    }
    bytes.copy(this.lane.bytes, offset);
    this.publish(kind, bytes.length, 0, 0);
    return true;
  }

  /** `publishJson`, waiting for room. */
  async sendJson(kind: SlotKind, value: unknown): Promise<void> {
    while (!this.publishJson(kind, value)) await this.waitForSpace();
  }

  /** Says that nothing follows in this ring, waiting for room. */
  async close(): Promise<void> {
    while (this.tryReserve() < 0) await this.waitForSpace();
    this.publish(SLOT_KIND.CLOSE, 0, 0, 0);
  }

  /**
   * Waits until the ring has a free slot.
   * @throws AppError CANCELLED where the lane was aborted.
   */
  async waitForSpace(): Promise<void> {
    const words = this.#words;
    const released = this.#base + RING_WORD.RELEASED;
    let seen = Atomics.load(words, released);
    if (this.freeSlots() > 0) return;
    Atomics.add(words, this.#base + RING_WORD.READER_WAITS, 1);
    const unhashed = this.#hashedLater
      ? (this.#published - Atomics.load(words, this.#base + RING_WORD.HASHED)) | 0
      : 0;
    const clock = unhashed > this.#mask >> 1 ? this.#hasherClock : this.#writerClock;
    clock.begin();
    try {
      while (this.freeSlots() === 0) {
        await waitForChange(words, released, seen);
        seen = Atomics.load(words, released);
      }
    } finally {
      clock.end();
    }
  }
}
