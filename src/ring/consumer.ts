/**
 * The writer's end of a ring. Runs on a writer thread, which never blocks.
 *
 * Reading and freeing are two cursors: `advance()` goes on to the next slot while earlier ones are still
 * queued in a socket, `release(n)` frees the oldest `n` once their bytes have really left. A slot released
 * too early is overwritten by the reader while the kernel has yet to copy it.
 */
import { threadId } from 'node:worker_threads';
import { AppError } from '../errors.js';
import { type ChunkName, clearChunk, storeChunk, storeCount, WaitClock } from './counters.js';
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
import { throwIfAborted, waitForChange } from './waiting.js';

/** One ring, as its writer empties it. The accessors speak of the slot at the read cursor, after `tryPeek()` said true. */
export class RingConsumer {
  readonly layout: LaneLayout;
  /** Which ring of the lane. */
  readonly index: number;
  /** The lane's memory; slot offsets count from its start. */
  readonly buffer: Buffer;
  readonly #words: Int32Array;
  readonly #base: number;
  readonly #headers: number;
  readonly #slots: number;
  readonly #stride: number;
  readonly #mask: number;
  /** The sequence that says how far this consumer may read: `hashed`, or `published` without a hash thread. */
  readonly #ready: number;
  readonly #readerClock: WaitClock;
  readonly #hasherClock: WaitClock;
  #cursor: number;
  #released: number;
  /** The PART slots that were passed since the last slot of another kind. */
  #parts: Buffer[] = [];
  #rowsWritten = 0;
  #bytesWritten = 0;

  constructor(layout: LaneLayout, ring: number) {
    this.layout = layout;
    this.index = ring;
    this.buffer = laneBuffer(layout);
    this.#words = laneWords(layout);
    this.#base = ringWord(ring);
    this.#headers = firstSlotWord(layout, ring);
    this.#slots = firstSlotOffset(layout, ring);
    this.#stride = slotStride(layout);
    this.#mask = layout.slotsPerRing - 1;
    this.#ready = this.#base + (layout.hashing === 'hasher' ? RING_WORD.HASHED : RING_WORD.PUBLISHED);
    this.#readerClock = new WaitClock(this.#words, this.#base + RING_WORD.WRITER_WAIT_READER_MS);
    this.#hasherClock = new WaitClock(this.#words, this.#base + RING_WORD.WRITER_WAIT_HASHER_MS);
    this.#released = Atomics.load(this.#words, this.#base + RING_WORD.RELEASED);
    this.#cursor = this.#released;
    Atomics.store(this.#words, this.#base + RING_WORD.WRITER_THREAD, threadId);
  }

  /**
   * @returns whether a slot is there to read at the cursor.
   * @throws AppError CANCELLED where the lane was aborted.
   */
  tryPeek(): boolean {
    throwIfAborted(this.#words);
    return ((Atomics.load(this.#words, this.#ready) - this.#cursor) | 0) > 0;
  }

  get kind(): SlotKind {
    return this.#header(SLOT_WORD.KIND) as SlotKind;
  }

  /** Bytes of data in the slot. */
  get bytes(): number {
    return this.#header(SLOT_WORD.BYTES);
  }

  /** Rows whose last byte lies in the slot. */
  get rows(): number {
    return this.#header(SLOT_WORD.ROWS);
  }

  /** Bits of `SLOT_FLAG`. */
  get flags(): number {
    return this.#header(SLOT_WORD.FLAGS);
  }

  /** Where the first row that begins in the slot begins, from `offset`; `bytes` where none does. */
  get firstRowOffset(): number {
    return this.#header(SLOT_WORD.FIRST_ROW_OFFSET);
  }

  /** CRC-32 of the chunk's tuples up to this slot's last byte, of a slot with tuples. */
  get checksum(): number {
    return this.#header(SLOT_WORD.CHECKSUM) >>> 0;
  }

  /** Byte offset of the slot's data in the lane; the `SLOT_PREFIX_BYTES` in front may be written, too. */
  get offset(): number {
    return this.#slots + (this.#cursor & this.#mask) * this.#stride;
  }

  /** @returns the JSON value of a BEGIN, END or ABORT slot; the caller checks its shape. */
  json(): unknown {
    const parts = this.kind === SLOT_KIND.BEGIN ? this.#parts : [];
    return JSON.parse(Buffer.concat([...parts, this.#slot()]).toString());
  }

  #slot(): Buffer {
    return this.buffer.subarray(this.offset, this.offset + this.bytes);
  }

  /** Slots passed by `advance()` and not yet released. */
  get held(): number {
    return (this.#cursor - this.#released) | 0;
  }

  /** Goes on to the next slot, keeping the one left behind. Only after `tryPeek()` said true. */
  advance(): void {
    if (((Atomics.load(this.#words, this.#ready) - this.#cursor) | 0) <= 0) {
      throw new AppError('INTERNAL', 'the writer went past the last slot of its ring');
    }
    if (this.kind === SLOT_KIND.PART) this.#parts.push(Buffer.from(this.#slot()));
    else if (this.#parts.length > 0) this.#parts = [];
    this.#cursor = (this.#cursor + 1) | 0;
  }

  /** Frees the oldest `count` held slots and counts their rows and bytes as written. */
  release(count: number): void {
    if (count === 0) return;
    if (count < 0 || count > this.held) {
      throw new AppError('INTERNAL', `${count} slots were released where ${this.held} are held`);
    }
    const words = this.#words;
    for (let i = 0; i < count; i++) {
      const header = this.#headers + ((this.#released + i) & this.#mask) * SLOT_HEADER_WORDS;
      if (words[header + SLOT_WORD.KIND] !== SLOT_KIND.DATA) continue;
      this.#rowsWritten += words[header + SLOT_WORD.ROWS]!;
      this.#bytesWritten += words[header + SLOT_WORD.BYTES]!;
    }
    storeCount(words, this.#base + RING_WORD.ROWS_WRITTEN, this.#rowsWritten);
    storeCount(words, this.#base + RING_WORD.BYTES_WRITTEN, this.#bytesWritten);
    this.#released = (this.#released + count) | 0;
    Atomics.store(words, this.#base + RING_WORD.RELEASED, this.#released);
    Atomics.notify(words, this.#base + RING_WORD.RELEASED);
    Atomics.add(words, LANE_WORD.RELEASED_TOTAL, count);
    Atomics.notify(words, LANE_WORD.RELEASED_TOTAL);
  }

  /** Rows released from here on are under way to the target with this chunk, until `chunkEnds()`. */
  chunkBegins(chunk: ChunkName): void {
    storeChunk(this.#words, this.#base + RING_WORD.CHUNK, chunk, this.#rowsWritten, this.#bytesWritten);
  }

  /** The chunk was committed and counted, or is given up. */
  chunkEnds(): void {
    clearChunk(this.#words, this.#base + RING_WORD.CHUNK);
  }

  /**
   * Waits until a slot is there at the cursor.
   * @throws AppError CANCELLED where the lane was aborted.
   */
  async waitForSlot(): Promise<void> {
    const words = this.#words;
    let seen = Atomics.load(words, this.#ready);
    if (seen !== this.#cursor) return;
    Atomics.add(words, this.#base + RING_WORD.WRITER_WAITS, 1);
    const unhashed = (Atomics.load(words, this.#base + RING_WORD.PUBLISHED) - this.#cursor) | 0;
    const clock = this.layout.hashing === 'hasher' && unhashed > 0 ? this.#hasherClock : this.#readerClock;
    clock.begin();
    try {
      while (seen === this.#cursor) {
        await waitForChange(words, this.#ready, seen);
        seen = Atomics.load(words, this.#ready);
      }
    } finally {
      clock.end();
    }
  }

  #header(word: number): number {
    return this.#words[this.#headers + (this.#cursor & this.#mask) * SLOT_HEADER_WORDS + word]!;
  }
}
