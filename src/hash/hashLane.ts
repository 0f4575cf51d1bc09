/**
 * The hash tier's work on one lane: takes every published slot, fills in the row hashes of chunks that want
 * them, and passes the slot on to its writer. Runs on a hash thread, which it blocks until the lane is closed.
 */
import { AppError } from '../errors.js';
import type { ChunkHash } from '../plan/chunk.js';
import { HashConsumer, type HashSlot } from '../ring/hashConsumer.js';
import { hashingOffset, type LaneLayout, SLOT_KIND } from '../ring/layout.js';
import { createRowHasher, type RowHasher } from './rowHasher.js';
import { RowKernel } from './rowKernel.js';
import { writeSlotTotals } from './slotTotals.js';

/** What the hash thread reads of the JSON in a BEGIN slot. */
export interface HashedChunk {
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

export interface HashLaneResult {
  rowsHashed: number;
  /** COPY bytes of the slots that were hashed. */
  bytesHashed: number;
  /** Slots of any kind that passed. */
  slots: number;
}

/**
 * Hashes a lane's rows until every ring has been closed.
 * @throws AppError CANCELLED where the lane is aborted; INTERNAL where a slot does not hold what it says.
 *   The lane is not aborted by that: whoever runs this does it, as for any worker that fails.
 */
export function hashLane(layout: LaneLayout): HashLaneResult {
  const consumer = new HashConsumer(layout);
  const view = new DataView(layout.buffer);
  const kernel = RowKernel.over(layout.buffer, hashingOffset(layout));
  /** Per ring; undefined between chunks. */
  const chunks: (OpenChunk | undefined)[] = new Array(layout.rings).fill(undefined);
  const result: HashLaneResult = { rowsHashed: 0, bytesHashed: 0, slots: 0 };
  for (let slot = consumer.next(); slot !== null; slot = consumer.next()) {
    let rows = 0;
    if (slot.kind === SLOT_KIND.DATA) {
      const chunk = chunks[slot.ring];
      if (chunk === undefined) throw new AppError('INTERNAL', 'rows came to be hashed outside of a chunk');
      const { hasher } = chunk;
      if (hasher !== null) {
        rows = hashData(hasher, view, slot);
        if (chunk.totalsOnly) writeSlotTotals(view, slot.offset, { rows, ...hasher.takeSums() });
        result.rowsHashed += rows;
        result.bytesHashed += slot.bytes;
      }
      if (!chunk.totalsOnly) consumer.checksum();
    } else if (slot.kind === SLOT_KIND.BEGIN) {
      consumer.chunkBegins();
      chunks[slot.ring] = openChunk(consumer.buffer, slot, kernel);
    } else {
      if (slot.kind === SLOT_KIND.END && chunks[slot.ring]?.hasher?.atRowEnd === false) {
        throw new AppError('INTERNAL', 'a chunk ended inside a row');
      }
      chunks[slot.ring] = undefined;
    }
    result.slots++;
    consumer.done(rows);
  }
  return result;
}

function hashData(hasher: RowHasher, view: DataView, slot: HashSlot): number {
  const rows = hasher.hashSlot(view, slot.offset, slot.bytes);
  if (rows !== slot.rows) {
    throw new AppError('INTERNAL', `a slot said to complete ${slot.rows} rows completes ${rows}`);
  }
  return rows;
}

/** @returns what a BEGIN slot asks for. */
function openChunk(buffer: Buffer, slot: HashSlot, kernel: RowKernel | null): OpenChunk {
  const chunk = JSON.parse(
    buffer.toString('utf8', slot.offset, slot.offset + slot.bytes),
  ) as Partial<HashedChunk>;
  const totalsOnly = chunk.totalsOnly === true;
  if (chunk.hash === null && !totalsOnly) return { hasher: null, totalsOnly };
  // A chunk that forgets to say must not pass for one that wants no hash.
  if (!Array.isArray(chunk.hash?.fields)) {
    throw new AppError('INTERNAL', 'a chunk does not say how its rows are hashed');
  }
  return { hasher: createRowHasher(chunk.hash.fields, kernel), totalsOnly };
}
