/**
 * Hashes the slots of one lane in place, whichever thread they pass on: the hash thread (`hashLane.ts`), or the reader's
 * own where cores are few (`workers/reader.ts`).
 */
import { AppError } from '../errors.js';
import type { ChunkHash } from '../plan/chunk.js';
import { hashingOffset, type LaneLayout, laneBuffer, SLOT_KIND } from '../ring/layout.js';
import type { PassingSlot, SlotStage } from '../ring/stage.js';
import { createRowHasher, type RowHasher } from './rowHasher.js';
import { RowKernel } from './rowKernel.js';
import { writeSlotTotals } from './slotTotals.js';

/** What is read here of the JSON in a BEGIN slot. */
interface HashedChunk {
  /** How the chunk's rows are hashed; null: they carry no row hash and pass through. */
  hash: ChunkHash | null;
  /** Nobody wants its rows: each slot is left with the sums of its rows' hashes. */
  totalsOnly?: boolean;
}

/** The chunk at hand in one ring. */
interface OpenChunk {
  hasher: RowHasher | null;
  totalsOnly: boolean;
}

export class LaneHasher implements SlotStage {
  rowsHashed = 0;
  /** COPY bytes of the slots that were hashed. */
  bytesHashed = 0;
  readonly #buffer: Buffer;
  readonly #view: DataView;
  readonly #kernel: RowKernel | null;
  /** Per ring; undefined between chunks. */
  readonly #chunks: (OpenChunk | undefined)[];
  /** Per ring: the parts so far of a BEGIN that is longer than a slot. */
  readonly #parts: Buffer[][];

  constructor(layout: LaneLayout) {
    this.#buffer = laneBuffer(layout);
    this.#view = new DataView(layout.buffer);
    this.#kernel = RowKernel.over(layout.buffer, hashingOffset(layout));
    this.#chunks = new Array(layout.rings).fill(undefined);
    this.#parts = Array.from({ length: layout.rings }, () => []);
  }

  /**
   * Hashes the rows of a DATA slot as the BEGIN slot before it in its ring says.
   * @returns false where the slot is left with totals in place of rows
   * @throws AppError INTERNAL where the slot does not hold what it says
   */
  pass(slot: PassingSlot): boolean {
    const chunk = this.#chunks[slot.ring];
    if (slot.kind === SLOT_KIND.PART) {
      this.#parts[slot.ring]!.push(Buffer.from(this.#bytesOf(slot)));
    } else if (slot.kind === SLOT_KIND.BEGIN) {
      this.#chunks[slot.ring] = this.#open(slot);
      this.#parts[slot.ring] = [];
    } else if (slot.kind !== SLOT_KIND.DATA) {
      this.#parts[slot.ring] = [];
      if (slot.kind === SLOT_KIND.END && chunk?.hasher?.atRowEnd === false) {
        throw new AppError('INTERNAL', 'a chunk ended inside a row');
      }
      this.#chunks[slot.ring] = undefined;
    } else if (chunk === undefined) {
      throw new AppError('INTERNAL', 'rows came to be hashed outside of a chunk');
    } else if (chunk.hasher !== null) {
      this.#hash(slot, chunk.hasher, chunk.totalsOnly);
      return !chunk.totalsOnly;
    }
    return true;
  }

  #hash({ offset, bytes, rows: announced }: PassingSlot, hasher: RowHasher, totalsOnly: boolean): void {
    const rows = hasher.hashSlot(this.#view, offset, bytes);
    if (rows !== announced) {
      throw new AppError('INTERNAL', `a slot said to complete ${announced} rows completes ${rows}`);
    }
    if (totalsOnly) writeSlotTotals(this.#view, offset, { rows, ...hasher.takeSums() });
    this.rowsHashed += rows;
    this.bytesHashed += bytes;
  }

  /** @returns what a BEGIN slot asks for. */
  #open(slot: PassingSlot): OpenChunk {
    const json = Buffer.concat([...this.#parts[slot.ring]!, this.#bytesOf(slot)]).toString();
    const chunk = JSON.parse(json) as Partial<HashedChunk>;
    const totalsOnly = chunk.totalsOnly === true;
    if (chunk.hash === null && !totalsOnly) return { hasher: null, totalsOnly };
    // A chunk that forgets to say must not pass for one that wants no hash.
    if (!Array.isArray(chunk.hash?.fields)) {
      throw new AppError('INTERNAL', 'a chunk does not say how its rows are hashed');
    }
    return { hasher: createRowHasher(chunk.hash.fields, this.#kernel), totalsOnly };
  }

  #bytesOf({ offset, bytes }: PassingSlot): Buffer {
    return this.#buffer.subarray(offset, offset + bytes);
  }
}
