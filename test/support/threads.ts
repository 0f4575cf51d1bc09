/** Worker threads that outlive the runs of a test process, which would otherwise spend most of their time on beginning them. */
import { Threads } from '../../src/engine/threads.js';

class LastingThreads extends Threads {
  override async end(): Promise<void> {}
}

/** Idle threads do not keep the process alive. */
export const threads = new LastingThreads();
