/**
 * Piscina entry of the hash tier: one task is one lane, from its first slot until every ring is closed.
 * Runs on a hash thread, which it blocks while there is nothing to hash; abort the lane to end it early.
 */
import { type HashLaneResult, hashLane } from '../src/hash/hashLane.js';
import type { LaneLayout } from '../src/ring/layout.js';

export interface HasherTask {
  lane: LaneLayout;
}

export default function hasher({ lane }: HasherTask): HashLaneResult {
  return hashLane(lane);
}
