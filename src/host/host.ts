/**
 * What this process may use of the machine: cores and memory, and who set the limit.
 *
 * Runs on the main thread only, once, before a run is sized.
 */
import { availableParallelism } from 'node:os';
import systeminformation from 'systeminformation';
import { type GroupLimits, readGroupLimits } from './cgroup.js';

export interface Host {
  /** Whole cores this process may keep busy, at least 1. */
  cores: number;
  coresFrom: string;
  /** Memory this process may use in all. */
  memoryBytes: number;
  memoryFrom: string;
  /** Memory free for use at this moment, page cache that can be given up included. */
  availableBytes: number;
}

/** Looks at the machine and at the container around the process; the smallest limit wins. */
export async function inspectHost(): Promise<Host> {
  const limits = readGroupLimits();
  const memory = await systeminformation.mem();
  const constrained = process.constrainedMemory() ?? 0;

  const cores = coresOf(limits);
  const total = smallest([
    ["the machine's memory", memory.total],
    ["the container's memory limit", limits.memoryBytes],
    ['the memory limit the runtime sees', constrained > 0 ? constrained : undefined],
  ]);
  return {
    cores: cores.value,
    coresFrom: cores.from,
    memoryBytes: total.value,
    memoryFrom: total.from,
    availableBytes: Math.min(memory.available, total.value),
  };
}

/** @returns the whole cores this process may keep busy, at least 1. */
export function coreCount(): number {
  return coresOf(readGroupLimits()).value;
}

function coresOf(limits: GroupLimits): { from: string; value: number } {
  const { from, value } = smallest([
    ['the cores the system gives this process', availableParallelism()],
    ["the container's CPU quota", limits.cpus],
  ]);
  // A quota of half a core still runs; one of 2.5 keeps 2 busy all the time.
  return { from, value: Math.max(1, Math.floor(value)) };
}

function smallest(candidates: [string, number | undefined][]): { from: string; value: number } {
  let best = { from: '', value: Number.POSITIVE_INFINITY };
  for (const [from, value] of candidates) {
    if (value !== undefined && value < best.value) best = { from, value };
  }
  return best;
}
