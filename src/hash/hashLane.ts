/**
 * The hash tier's work on one lane: takes every published slot, fills in the row hashes of chunks that want
 * them, and passes the slot on to its writer. Runs on a hash thread, which it blocks until the lane is closed.
 */
import { HashConsumer } from '../ring/hashConsumer.js';
import type { LaneLayout } from '../ring/layout.js';
import { LaneHasher } from './laneHasher.js';

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
  const hasher = new LaneHasher(layout);
  let slots = 0;
  for (let slot = consumer.next(); slot !== null; slot = consumer.next()) {
    const sent = hasher.pass(slot);
    consumer.done(hasher.rowsHashed, sent);
    slots++;
  }
  return { rowsHashed: hasher.rowsHashed, bytesHashed: hasher.bytesHashed, slots };
}
