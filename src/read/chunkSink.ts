/**
 * Where rows go: slots of the lane's rings, cut into chunks. Reader thread.
 *
 * Nothing here waits. What can't be done because a ring is full returns false, and the caller awaits
 * `waitForRoom()` and tries again.
 */
import type { ChunkAbort, ChunkBegin, ChunkEnd } from '../plan/chunk.js';
import { SLOT_FLAG, SLOT_KIND } from '../ring/layout.js';
import type { LaneProducer, RingProducer } from '../ring/producer.js';
import type { SlotRoom } from './rowStream.js';

/**
 * COPY bytes after which a chunk ends, however few its rows. PostgreSQL keeps up to 1000 tuples of a COPY in memory
 * before it inserts them, and of a binary one it does not count the bytes: rows of 50 MB would cost it 50 GB.
 */
const MAX_CHUNK_BYTES = 128 * 1024 * 1024;
/** Fewer are not worth a transaction, however small the rings are. */
const MIN_ENOUGH_BYTES = 16 * 1024 * 1024;

export class ChunkSink {
  /** The free part of the open slot; `position === end` where none is open. */
  readonly room: SlotRoom;
  readonly view: DataView;
  /** Rows of the chunk so far. */
  rows = 0;
  /** COPY bytes of the chunk in slots already handed on. */
  bytes = 0;
  /** COPY bytes after which it had better end, if it can. */
  enoughBytes = Number.POSITIVE_INFINITY;
  readonly #lane: LaneProducer;
  #ring: RingProducer | null = null;
  /** A BEGIN that is longer than a slot, parts of which are in this ring already: what is left of it. */
  #opening: { ring: RingProducer; rest: Buffer } | null = null;
  #slotStart = -1;
  #slotRows = 0;
  #startsInRow = false;
  #firstRowOffset = -1;

  constructor(lane: LaneProducer) {
    this.#lane = lane;
    this.room = { bytes: lane.bytes, position: 0, end: 0 };
    this.view = new DataView(lane.layout.buffer);
  }

  get chunkOpen(): boolean {
    return this.#ring !== null;
  }

  get slotOpen(): boolean {
    return this.#slotStart >= 0;
  }

  /** True where the open slot holds nothing yet: a row that does not fit now never will. */
  get slotEmpty(): boolean {
    return this.room.position === this.#slotStart;
  }

  /** Starts a chunk in the ring with the most room; false where all are full, and then it goes on with the same chunk. */
  begin(chunk: ChunkBegin): boolean {
    const ring = this.#opening?.ring ?? this.#lane.roomiest();
    const { slotBytes } = this.#lane.layout;
    let rest = this.#opening?.rest ?? Buffer.from(JSON.stringify(chunk));
    while (rest.length > slotBytes) {
      if (!ring.publishBytes(SLOT_KIND.PART, rest.subarray(0, slotBytes))) return false;
      rest = rest.subarray(slotBytes);
      this.#opening = { ring, rest };
    }
    if (!ring.publishBytes(SLOT_KIND.BEGIN, rest)) return false;
    this.#opening = null;
    this.#ring = ring;
    this.rows = 0;
    this.bytes = 0;
    this.enoughBytes = Math.min(MAX_CHUNK_BYTES, Math.max(MIN_ENOUGH_BYTES, this.#lane.chunkBytes));
    return true;
  }

  /** Opens the next slot of the chunk; false where its ring is full. `inRow` where a row goes on in it. */
  openSlot(inRow: boolean): boolean {
    const offset = this.#ring!.tryReserve();
    if (offset < 0) return false;
    this.#slotStart = offset;
    this.#slotRows = 0;
    this.#startsInRow = inRow;
    this.#firstRowOffset = inRow ? -1 : 0;
    this.room.position = offset;
    this.room.end = offset + this.#lane.layout.slotBytes;
    return true;
  }

  /** Counts rows the transcoder has written; the last one ends at `room.position`. */
  count(rows: number): void {
    this.rows += rows;
    this.#slotRows += rows;
  }

  /** Notes that the row that came over from the slot before has ended: the next one begins here. */
  rowEnded(): void {
    if (this.#firstRowOffset < 0) this.#firstRowOffset = this.room.position - this.#slotStart;
  }

  /** Hands the open slot on. `inRow` where its last row goes on in the next slot. */
  publish(inRow: boolean): void {
    const bytes = this.room.position - this.#slotStart;
    const flags = (this.#startsInRow ? SLOT_FLAG.STARTS_IN_ROW : 0) | (inRow ? SLOT_FLAG.CONTINUES_ROW : 0);
    if (bytes > 0) {
      const first = this.#firstRowOffset < 0 ? bytes : this.#firstRowOffset;
      this.#ring!.publish(SLOT_KIND.DATA, bytes, this.#slotRows, flags, first);
      this.bytes += bytes;
    }
    this.#closeSlot();
  }

  /** Ends the chunk, every slot of it published, its last key `upper`; false where the ring is full. */
  end(upper: string[] | null): boolean {
    const end: ChunkEnd = { rows: this.rows, bytes: this.bytes, upper };
    if (!this.#ring!.publishJson(SLOT_KIND.END, end)) return false;
    this.#ring = null;
    return true;
  }

  /** Gives up the open chunk, if any, and what its open slot holds. */
  async abort(reason: string): Promise<void> {
    const ring = this.#ring ?? this.#opening?.ring ?? null;
    this.#closeSlot();
    this.#ring = null;
    this.#opening = null;
    const abort: ChunkAbort = { reason };
    if (ring !== null) await ring.sendJson(SLOT_KIND.ABORT, abort);
  }

  /** Waits until what returned false may succeed. */
  async waitForRoom(): Promise<void> {
    const ring = this.#ring ?? this.#opening?.ring;
    await (ring === undefined ? this.#lane.waitForRoom() : ring.waitForSpace());
  }

  #closeSlot(): void {
    this.#slotStart = -1;
    this.room.position = 0;
    this.room.end = 0;
  }
}
