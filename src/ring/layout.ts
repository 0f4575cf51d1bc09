/**
 * Where everything lies in a lane's shared memory, and how a lane is made and aborted.
 *
 * A lane is one reader and its rings, one ring per writer. The reader is the only producer of every ring;
 * ring `i` has one consumer, writer `i`; where a hash thread does the hashing it stands between them and
 * serves all rings. The main thread makes the lane and sends the `LaneLayout` (plain data, structured clone keeps the
 * memory shared) to the workers. Runs on every thread.
 *
 * ```
 * lane words   state, open rings | published total | released total | reader counters | hasher counters
 * ring words   published | hashed | released | reader waits | writer counters | open chunk    (a cache line each)
 * slot headers ring 0 slot 0, slot 1, ... ring 1 ...                                            (a cache line each)
 * slots        [prefix 64 bytes | slotBytes] ...
 * input        what the reader was sent and has not transcoded yet: in this memory, since WebAssembly works on one
 * checksum     where tuples are reduced to their CRC-32
 * hashing      what is put together of rows to hash them (lanes whose rows are hashed)
 * ```
 *
 * Sequences are free-running Int32 counts of slots; only their wrapped difference (`(a - b) | 0`) means
 * anything. Slot of sequence `s` is `s & (slotsPerRing - 1)`.
 */
import { AppError } from '../errors.js';
import { adopt, allocateShared, type SharedMemory } from '../wasm/memory.js';
import { CHECKSUM_BYTES } from './checksum.js';

/** Smallest slot: below 16 KiB the per-slot cost shows. */
export const MIN_SLOT_BYTES = 64 * 1024;

/**
 * Bytes in front of each slot's data that the slot's current owner may write: room for the frame header
 * (`d` and length) that turns the slot into one CopyData message without copying it.
 */
export const SLOT_PREFIX_BYTES = 64;

/** Bytes of the reader's own, behind the slots. */
export const INPUT_BYTES = 2 * 1024 * 1024 + 64 * 1024;

/** Bytes for hashing, behind the reader's; only in lanes whose rows are hashed. */
export const HASH_BYTES = 320 * 1024;

/** What a slot holds. */
export const SLOT_KIND = {
  /** Binary COPY tuples (no COPY header, no trailer). */
  DATA: 1,
  /** JSON: a chunk starts; describes it. */
  BEGIN: 2,
  /** JSON: the chunk is complete and may be committed. */
  END: 3,
  /** JSON: the chunk can't be completed and must be rolled back. */
  ABORT: 4,
  /** Nothing follows in this ring. */
  CLOSE: 5,
  /** What no slot holds of the JSON in the BEGIN slot that follows, or the ABORT slot that takes its place. */
  PART: 6,
} as const;
export type SlotKind = (typeof SLOT_KIND)[keyof typeof SLOT_KIND];

/** Bits of a DATA slot's flags. */
export const SLOT_FLAG = {
  /** The slot's first bytes belong to a row that began in an earlier slot. */
  STARTS_IN_ROW: 1,
  /** The slot's last row goes on in the next slot. */
  CONTINUES_ROW: 2,
} as const;

const LINE_WORDS = 16;
const WORD_BYTES = 4;

/** Lane-wide word indexes. */
export const LANE_WORD = {
  STATE: 0,
  /** Rings the reader may begin chunks in: those whose writer was begun. */
  OPEN_RINGS: 1,
  /** Slots published in any ring; what the hash thread waits on. */
  PUBLISHED_TOTAL: LINE_WORDS,
  /** Slots released in any ring; what a reader waits on that would take any ring. */
  RELEASED_TOTAL: 2 * LINE_WORDS,
  ROWS_READ: 3 * LINE_WORDS,
  BYTES_READ: 3 * LINE_WORDS + 3,
  READER_WAITS: 3 * LINE_WORDS + 6,
  READER_WAIT_MS: 3 * LINE_WORDS + 7,
  /** Thread id of the reader, and 1 + the table it reads, 0 while it has no work. */
  READER_THREAD: 3 * LINE_WORDS + 9,
  READER_TABLE: 3 * LINE_WORDS + 10,
  ROWS_HASHED: 4 * LINE_WORDS,
  HASHER_WAITS: 4 * LINE_WORDS + 3,
  HASHER_WAIT_MS: 4 * LINE_WORDS + 4,
} as const;
/** A clock of waiting takes two words: the sum, and since when (`WaitClock`). */
const LANE_WORDS = 5 * LINE_WORDS;

/** Word indexes of a ring, relative to `ringWord(ring)`. */
export const RING_WORD = {
  PUBLISHED: 0,
  HASHED: LINE_WORDS,
  RELEASED: 2 * LINE_WORDS,
  /** Written by the reader: it found this ring full and waited for its writer or the hash thread. */
  READER_WAITS: 3 * LINE_WORDS,
  READER_WAIT_WRITER_MS: 3 * LINE_WORDS + 1,
  READER_WAIT_HASHER_MS: 3 * LINE_WORDS + 3,
  /** Written by the writer. */
  ROWS_WRITTEN: 4 * LINE_WORDS,
  BYTES_WRITTEN: 4 * LINE_WORDS + 3,
  WRITER_WAITS: 4 * LINE_WORDS + 6,
  WRITER_WAIT_READER_MS: 4 * LINE_WORDS + 7,
  WRITER_WAIT_HASHER_MS: 4 * LINE_WORDS + 9,
  WRITER_THREAD: 4 * LINE_WORDS + 11,
  /** The writer's open chunk (`storeChunk`). */
  CHUNK: 5 * LINE_WORDS,
} as const;
const RING_WORDS = 6 * LINE_WORDS;

/** Word indexes of a slot's header, relative to `slotWord(...)`. */
export const SLOT_WORD = {
  KIND: 0,
  /** Bytes used from the slot's data offset on. */
  BYTES: 1,
  /** Rows whose last byte lies in this slot. */
  ROWS: 2,
  FLAGS: 3,
  /** Where, from the data offset, the first row that begins here begins; `bytes` where none does. */
  FIRST_ROW_OFFSET: 4,
  /** CRC-32 of the chunk's tuples up to this slot's last byte. */
  CHECKSUM: 5,
} as const;

/** Values of the lane's state word. */
export const LANE_STATE = { RUNNING: 0, ABORTED: 1 } as const;

/** Who fills in the row hashes: nobody, the reader before it hands a slot on, or a hash thread between it and the writers. */
export type Hashing = 'none' | 'reader' | 'hasher';

/** A lane as plain data; structured clone keeps `buffer` shared. */
export interface LaneLayout extends SharedMemory {
  rings: number;
  /** A power of two. */
  slotsPerRing: number;
  /** Data bytes of one slot; a multiple of 8. */
  slotBytes: number;
  hashing: Hashing;
}

export interface LaneOptions {
  rings: number;
  /** Rounded up to a power of two, at least 2. */
  slotsPerRing: number;
  /** Rounded up to a multiple of 64, at least `MIN_SLOT_BYTES`. */
  slotBytes: number;
  hashing: Hashing;
  /** Rings that are open from the beginning; left out, all. */
  openRings?: number;
  /** For tests: where the sequences start, to reach their wrap-around at once. */
  firstSequence?: number;
}

/** @returns the bytes of shared memory a lane of this shape takes. */
export function laneBytes(options: LaneOptions): number {
  const slots = options.rings * slotsOf(options);
  const slotBytes = slots * (SLOT_PREFIX_BYTES + slotBytesOf(options));
  const ownBytes = INPUT_BYTES + CHECKSUM_BYTES + (options.hashing === 'none' ? 0 : HASH_BYTES);
  return headBytes(options.rings, slotsOf(options)) + slotBytes + ownBytes;
}

/**
 * Makes a lane, all rings empty.
 * @throws AppError INTERNAL where the shape is senseless or exceeds 2 GiB (offsets are Int32).
 */
export function createLane(options: LaneOptions): LaneLayout {
  const bytes = laneBytes(options);
  if (!(options.rings >= 1) || !(bytes > 0) || bytes >= 2 ** 31) {
    throw new AppError(
      'INTERNAL',
      `a lane of ${options.rings} rings with ${options.slotsPerRing} slots of ${options.slotBytes} bytes takes ${bytes} bytes; the limit is 2 GiB`,
      { remedy: 'lower read_ahead_buffers or write_ahead_writers' },
    );
  }
  const layout: LaneLayout = {
    ...allocateShared(bytes),
    rings: options.rings,
    slotsPerRing: slotsOf(options),
    slotBytes: slotBytesOf(options),
    hashing: options.hashing,
  };
  const first = (options.firstSequence ?? 0) | 0;
  const words = laneWords(layout);
  Atomics.store(words, LANE_WORD.OPEN_RINGS, options.openRings ?? options.rings);
  for (let ring = 0; ring < layout.rings; ring++) {
    const base = ringWord(ring);
    Atomics.store(words, base + RING_WORD.PUBLISHED, first);
    Atomics.store(words, base + RING_WORD.HASHED, first);
    Atomics.store(words, base + RING_WORD.RELEASED, first);
  }
  return layout;
}

/** @returns the control words and slot headers of a lane. */
export function laneWords(layout: LaneLayout): Int32Array {
  return new Int32Array(layout.buffer, 0, headBytes(layout.rings, layout.slotsPerRing) / WORD_BYTES);
}

/** @returns the whole lane as bytes, known to this thread's kernels from now on; slot offsets count from its start. */
export function laneBuffer(layout: LaneLayout): Buffer {
  adopt(layout);
  return Buffer.from(layout.buffer);
}

/** @returns the index of ring `ring`'s first control word. */
export function ringWord(ring: number): number {
  return LANE_WORDS + ring * RING_WORDS;
}

/** @returns the index of the first header word of ring `ring`'s slot 0; slot `n` is `n * SLOT_HEADER_WORDS` further. */
export function firstSlotWord(layout: LaneLayout, ring: number): number {
  return LANE_WORDS + layout.rings * RING_WORDS + ring * layout.slotsPerRing * SLOT_HEADER_WORDS;
}
export const SLOT_HEADER_WORDS = LINE_WORDS;

/** @returns the byte offset of the data of ring `ring`'s slot 0; slot `n` is `n * slotStride(layout)` further. */
export function firstSlotOffset(layout: LaneLayout, ring: number): number {
  const head = headBytes(layout.rings, layout.slotsPerRing);
  return head + ring * layout.slotsPerRing * slotStride(layout) + SLOT_PREFIX_BYTES;
}

/** @returns the byte offset of the reader's `INPUT_BYTES`. */
export function inputOffset(layout: LaneLayout): number {
  return firstSlotOffset(layout, layout.rings) - SLOT_PREFIX_BYTES;
}

/** @returns the byte offset of the `CHECKSUM_BYTES` of the thread that hands slots to the writers. */
export function checksumOffset(layout: LaneLayout): number {
  return inputOffset(layout) + INPUT_BYTES;
}

/** @returns the byte offset of the `HASH_BYTES`, a multiple of 64; they belong to the thread that hashes. */
export function hashingOffset(layout: LaneLayout): number {
  return checksumOffset(layout) + CHECKSUM_BYTES;
}

/** @returns the bytes from one slot's data to the next one's. */
export function slotStride(layout: LaneLayout): number {
  return SLOT_PREFIX_BYTES + layout.slotBytes;
}

/** Lets the reader begin chunks in one more ring. Its writer may begin before or after. */
export function openNextRing(layout: LaneLayout): void {
  const words = laneWords(layout);
  if (Atomics.load(words, LANE_WORD.OPEN_RINGS) >= layout.rings) {
    throw new AppError('INTERNAL', `all ${layout.rings} rings of a lane are open`);
  }
  Atomics.add(words, LANE_WORD.OPEN_RINGS, 1);
  // A reader that waits for room in any ring has it now.
  Atomics.notify(words, LANE_WORD.RELEASED_TOTAL);
}

/** Ends a lane for everybody: each wait and each look at its rings throws CANCELLED from now on. Any thread, any number of times. */
export function abortLane(layout: LaneLayout): void {
  const words = laneWords(layout);
  Atomics.store(words, LANE_WORD.STATE, LANE_STATE.ABORTED);
  // Every word anybody waits on, whatever its value: a waiter registers first and looks at the state after.
  Atomics.notify(words, LANE_WORD.PUBLISHED_TOTAL);
  Atomics.notify(words, LANE_WORD.RELEASED_TOTAL);
  for (let ring = 0; ring < layout.rings; ring++) {
    const base = ringWord(ring);
    Atomics.notify(words, base + RING_WORD.PUBLISHED);
    Atomics.notify(words, base + RING_WORD.HASHED);
    Atomics.notify(words, base + RING_WORD.RELEASED);
  }
}

/** @returns whether the lane was aborted. */
export function isLaneAborted(layout: LaneLayout): boolean {
  return Atomics.load(laneWords(layout), LANE_WORD.STATE) !== LANE_STATE.RUNNING;
}

function slotsOf(options: LaneOptions): number {
  let slots = 2;
  while (slots < options.slotsPerRing) slots *= 2;
  return slots;
}

function slotBytesOf(options: LaneOptions): number {
  return Math.ceil(Math.max(options.slotBytes, MIN_SLOT_BYTES) / 64) * 64;
}

function headBytes(rings: number, slotsPerRing: number): number {
  return (LANE_WORDS + rings * (RING_WORDS + slotsPerRing * SLOT_HEADER_WORDS)) * WORD_BYTES;
}
