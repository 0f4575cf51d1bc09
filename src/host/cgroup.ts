/**
 * CPU and memory limits of the Linux control group this process runs in (a container, usually).
 *
 * Runs on the main thread only. Reads cgroup v2 and v1 files; outside Linux there are none, and no limits.
 */
import { readFileSync } from 'node:fs';

export interface GroupLimits {
  /** CPUs' worth of time per period, fractions included; undefined without a quota. */
  cpus?: number;
  memoryBytes?: number;
}

/** @returns a file's text, or undefined if it can't be read. */
export type ReadFile = (path: string) => string | undefined;

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** cgroup v1 says "no limit" with a number near 2^63; anything over this is taken for that. */
const UNLIMITED_BYTES = 2 ** 60;

/** @returns the tightest limits of this process's group and the groups around it. */
export function readGroupLimits(readFile: ReadFile = readIfThere): GroupLimits {
  const cpus: number[] = [];
  const memory: number[] = [];
  for (const line of (readFile('/proc/self/cgroup') ?? '0::/').trim().split('\n')) {
    const [hierarchy, controllers, path] = splitOnce(line);
    for (const folder of upwards(path)) {
      if (hierarchy === '0' && controllers === '') {
        const base = `/sys/fs/cgroup${folder}`;
        push(cpus, cpuMax(readFile(`${base}/cpu.max`)));
        push(memory, bytes(readFile(`${base}/memory.max`)));
        continue;
      }
      const names = controllers.split(',');
      if (names.includes('cpu')) {
        const base = `/sys/fs/cgroup/cpu${folder}`;
        const quota = Number(readFile(`${base}/cpu.cfs_quota_us`) ?? -1);
        const period = Number(readFile(`${base}/cpu.cfs_period_us`) ?? 0);
        if (quota > 0 && period > 0) cpus.push(quota / period);
      }
      if (names.includes('memory')) {
        push(memory, bytes(readFile(`/sys/fs/cgroup/memory${folder}/memory.limit_in_bytes`)));
      }
    }
  }
  return {
    ...(cpus.length > 0 && { cpus: Math.min(...cpus) }),
    ...(memory.length > 0 && { memoryBytes: Math.min(...memory) }),
  };
}

/** `4:cpu,cpuacct:/a/b` in its three parts; the path may hold colons. */
function splitOnce(line: string): [string, string, string] {
  const match = /^(\d+):([^:]*):(.*)$/.exec(line);
  return match === null ? ['', '', '/'] : [match[1] ?? '', match[2] ?? '', match[3] ?? '/'];
}

/** `/a/b` gives `/a/b`, `/a` and the root as ``. A container often sees its own group mounted as the root. */
function upwards(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '');
  return Array.from({ length: parts.length + 1 }, (_, up) =>
    parts
      .slice(0, parts.length - up)
      .map((part) => `/${part}`)
      .join(''),
  );
}

/** `cpu.max`: quota and period in microseconds, or `max` for no quota. */
function cpuMax(text: string | undefined): number | undefined {
  const [quota, period] = (text ?? '').trim().split(/\s+/).map(Number);
  return quota !== undefined && period !== undefined && quota > 0 && period > 0 ? quota / period : undefined;
}

function bytes(text: string | undefined): number | undefined {
  const value = Number((text ?? '').trim() || Number.NaN);
  return value > 0 && value < UNLIMITED_BYTES ? value : undefined;
}

function push(list: number[], value: number | undefined): void {
  if (value !== undefined) list.push(value);
}
