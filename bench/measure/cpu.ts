/**
 * CPU time by thread and by PostgreSQL process, read from Linux's /proc; elsewhere there is none. Any process.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { threadName } from '../../src/host/threadName.js';

/** Seconds of CPU by what a thread is for; `runtime` is V8's and libuv's own threads. */
export type TierSeconds = Record<'main' | 'reader' | 'hasher' | 'writer' | 'runtime', number>;

/** Threads that are alive, by tier. */
export type TierThreads = Record<'reader' | 'hasher' | 'writer', number>;

/** Seconds of CPU of a PostgreSQL server. */
export interface ServerSeconds {
  /** Client backends, those that have ended included. */
  backends: number;
  /** Everything: also the checkpointer, the WAL writer and so on. */
  all: number;
}

/** @returns this process's threads that are alive and their CPU seconds, or null where there is no /proc. */
export function threadTimes(): { seconds: TierSeconds; threads: TierThreads } | null {
  const seconds: TierSeconds = { main: 0, reader: 0, hasher: 0, writer: 0, runtime: 0 };
  const threads: TierThreads = { reader: 0, hasher: 0, writer: 0 };
  const names = new Map(
    (['reader', 'hasher', 'writer'] as const).map((tier) => [threadName(tier), tier] as const),
  );
  let tasks: string[];
  try {
    tasks = readdirSync('/proc/self/task');
  } catch {
    return null;
  }
  for (const task of tasks) {
    try {
      const name = readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim();
      // Nanoseconds on a CPU, where the kernel keeps them.
      const [spent] = readFileSync(`/proc/self/task/${task}/schedstat`, 'utf8').split(' ');
      const tier = Number(task) === process.pid ? 'main' : (names.get(name) ?? 'runtime');
      seconds[tier] += Number(spent) / 1e9;
      if (tier !== 'main' && tier !== 'runtime') threads[tier]++;
    } catch {
      // The thread has just ended.
    }
  }
  return { seconds, threads };
}

/** Kernel ticks a second in /proc/PID/stat: 100 on every Linux there is. */
const TICKS = 100;
/** Processes of PostgreSQL that serve no client. */
const AUXILIARY =
  /^postgres: .*(checkpointer|background writer|walwriter|autovacuum launcher|autovacuum worker|logical replication|io worker|archiver|startup)/;

/** @returns CPU seconds of a server on this host, or null where it is not to be seen. */
export function serverSeconds(postmaster: number | null): ServerSeconds | null {
  if (postmaster === null) return null;
  try {
    const own = times(postmaster);
    let backends = own.children;
    let all = own.self + own.children;
    const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8').trim();
    for (const child of children.split(' ')) {
      try {
        const { self } = times(Number(child));
        all += self;
        if (!AUXILIARY.test(readFileSync(`/proc/${child}/cmdline`, 'utf8'))) backends += self;
      } catch {
        // The backend has just ended; it is in its parent's account the next time.
      }
    }
    return { backends, all };
  } catch {
    return null;
  }
}

/** @returns CPU seconds of this process's children that have ended; 0 where there is no /proc. */
export function childrenSeconds(): number {
  try {
    return times(process.pid).children;
  } catch {
    return 0;
  }
}

/** CPU seconds of a process, and of its children that have ended. */
function times(pid: number): { self: number; children: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold anything; the 14th field is the 12th behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = (field: number) => Number(fields[field]);
  return { self: (ticks(11) + ticks(12)) / TICKS, children: (ticks(13) + ticks(14)) / TICKS };
}
