/** Reader worker: piscina's entry for `src/read/readLane.ts`. */
import { nameThread } from '../src/host/threadName.js';
import { type ReaderControl, StopFlags } from '../src/plan/work.js';
import { type ReaderTask, readLane } from '../src/read/readLane.js';
import { runTask, type WorkerEnd } from './entry.js';

nameThread('reader');

export default function reader({ control, stopFlags, ...task }: ReaderTask): Promise<WorkerEnd> {
  return runTask<ReaderControl>(control, (remote) => readLane(task, remote, new StopFlags(stopFlags)));
}
