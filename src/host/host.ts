/**
 * What this process may use of the machine: cores and memory, and who set the limit.
 *
 * Runs on the main thread only, once, before a run is sized.
 */
import systeminformation from 'systeminformation';
import { readGroupLimits } from './cgroup.js';
import { smallest, usableCores } from './cores.js';

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

  const cores = usableCores(limits);
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
