/** Writer worker: piscina's entry for `src/write/writeLane.ts`. */
import { nameThread } from '../src/host/threadName.js';
import { type JoiningWriterControl, StopFlags } from '../src/plan/work.js';
import { type WriterTask, writeLane } from '../src/write/writeLane.js';
import { runTask, type WorkerEnd } from './entry.js';

nameThread('writer');

export default function writer({ control, stopFlags, ...task }: WriterTask): Promise<WorkerEnd> {
  return runTask<JoiningWriterControl>(control, (remote) =>
    writeLane(task, remote, new StopFlags(stopFlags)),
  );
}
