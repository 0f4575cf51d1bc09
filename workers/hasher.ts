/**
 * Hash worker: piscina's entry for `src/hash/hashLane.ts`; one task is one lane, until every ring is closed.
 * It blocks its thread while there is nothing to hash, so it has no control port: abort the lane to end it.
 */
import { type ErrorData, toErrorData } from '../src/errors.js';
import { type HashLaneResult, hashLane } from '../src/hash/hashLane.js';
import { nameThread } from '../src/host/threadName.js';
import type { LaneLayout } from '../src/ring/layout.js';

nameThread('hasher');

/** What a hash worker is started with. */
export interface HasherTask {
  lane: LaneLayout;
}

/** How its task ended; errors as data, since structured clone drops an error's class and code. */
export interface HasherEnd {
  error: ErrorData | null;
  done: HashLaneResult | null;
}

export default function hasher({ lane }: HasherTask): HasherEnd {
  try {
    return { error: null, done: hashLane(lane) };
  } catch (error) {
    return { error: toErrorData(error), done: null };
  }
}
