/**
 * The hash tier's work on one lane: takes every published slot, fills in the row hashes of chunks that want
 * them, and passes the slot on to its writer. Runs on a hash thread, which it blocks until the lane is closed.
 */
import { AppError } from '../errors.js';
import type { ChunkHash } from '../plan/chunk.js';
import { HashConsumer, type HashSlot } from '../ring/hashConsumer.js';
import { type LaneLayout, SLOT_KIND } from '../ring/layout.js';
import { createRowHasher, type RowHasher } from './rowHasher.js';

/** What the hash thread reads of the JSON in a BEGIN slot. */
export interface HashedChunk {
  /** How the chunk's rows are hashed; null: they carry no row hash and pass through. */
  hash: ChunkHash | null;
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
  /** Per ring: the chunk's hasher, null where it is not hashed, undefined between chunks. */
  const hashers: (RowHasher | null | undefined)[] = new Array(layout.rings).fill(undefined);
  const result: HashLaneResult = { rowsHashed: 0, bytesHashed: 0, slots: 0 };
  for (let slot = consumer.next(); slot !== null; slot = consumer.next()) {
    let rows = 0;
    if (slot.kind === SLOT_KIND.DATA) {
      const hasher = hashers[slot.ring];
      if (hasher === undefined) throw new AppError('INTERNAL', 'rows came to be hashed outside of a chunk');
      if (hasher !== null) {
        rows = hashData(hasher, view, slot);
        result.rowsHashed += rows;
        result.bytesHashed += slot.bytes;
      }
    } else if (slot.kind === SLOT_KIND.BEGIN) {
      const spec = readSpec(consumer.buffer, slot);
      hashers[slot.ring] = spec === null ? null : createRowHasher(spec.fields);
    } else {
      if (slot.kind === SLOT_KIND.END && hashers[slot.ring]?.atRowEnd === false) {
        throw new AppError('INTERNAL', 'a chunk ended inside a row');
      }
      hashers[slot.ring] = undefined;
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

/** @returns the hash description in a BEGIN slot. */
function readSpec(buffer: Buffer, slot: HashSlot): ChunkHash | null {
  const chunk = JSON.parse(
    buffer.toString('utf8', slot.offset, slot.offset + slot.bytes),
  ) as Partial<HashedChunk>;
  if (chunk.hash === null) return null;
  // A chunk that forgets to say must not pass for one that wants no hash.
  if (chunk.hash === undefined || !Array.isArray(chunk.hash.fields)) {
    throw new AppError('INTERNAL', 'a chunk does not say how its rows are hashed');
  }
  return chunk.hash;
}
