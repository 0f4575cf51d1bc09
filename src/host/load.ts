/** How busy the cores are, by this process and everything beside it. Main thread. */
import { cpus } from 'node:os';

/** Looks at the machine's cores again and again; each look covers the time since the one before. */
export class CoreLoad {
  #last = times();

  /** @returns the share of the cores' time that was used, 0 to 1; 0 where the system does not say. */
  look(): number {
    const now = times();
    const all = now.all - this.#last.all;
    const idle = now.idle - this.#last.idle;
    this.#last = now;
    return all > 0 ? 1 - idle / all : 0;
  }
}

function times(): { all: number; idle: number } {
  let all = 0;
  let idle = 0;
  for (const { times } of cpus()) {
    all += times.user + times.nice + times.sys + times.irq + times.idle;
    idle += times.idle;
  }
  return { all, idle };
}
