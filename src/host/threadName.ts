/**
 * Names threads for `top -H`, `perf` and the benchmark. Runs on the thread that is named.
 */
import { writeFileSync } from 'node:fs';

export type WorkerTier = 'reader' | 'hasher' | 'writer';

/** What the operating system calls a worker of a tier: 15 bytes at most. */
export function threadName(tier: WorkerTier): string {
  return `mpm-${tier}`;
}

/** Gives the calling thread its tier's name, on Linux; elsewhere it keeps the one it has. */
export function nameThread(tier: WorkerTier): void {
  if (process.platform !== 'linux') return;
  try {
    writeFileSync('/proc/thread-self/comm', threadName(tier));
  } catch {
    // A hardened container may not let it; the name is only there for people.
  }
}
