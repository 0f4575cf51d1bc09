/**
 * Reader worker: piscina's entry for `src/read/readLane.ts`, and for `src/hash/laneHasher.ts` in a lane that has no hash
 * worker.
 */
import { nameThread } from '../src/host/threadName.js';
import { type ReaderControl, StopFlags } from '../src/plan/work.js';
import { type ReaderTask, readLane } from '../src/read/readLane.js';
import type { LaneLayout } from '../src/ring/layout.js';
import type { SlotStage } from '../src/ring/stage.js';
import { runTask, type WorkerEnd } from './entry.js';

nameThread('reader');

export default function reader({ control, stopFlags, ...task }: ReaderTask): Promise<WorkerEnd> {
  return runTask<ReaderControl>(control, async (remote) =>
    readLane(task, remote, new StopFlags(stopFlags), await hasherOf(task.lane)),
  );
}

/** Loaded only where it is needed. */
async function hasherOf(lane: LaneLayout): Promise<SlotStage | null> {
  if (lane.hashing !== 'reader') return null;
  const { LaneHasher } = await import('../src/hash/laneHasher.js');
  return new LaneHasher(lane);
}
