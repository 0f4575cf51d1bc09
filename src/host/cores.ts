/**
 * The cores this process may keep busy. Main thread; apart from `host.ts`, since threads begin by it before anything
 * large is loaded.
 */
import { availableParallelism } from 'node:os';
import { type GroupLimits, readGroupLimits } from './cgroup.js';

/** A limit, and who set it. */
export interface Limit {
  from: string;
  value: number;
}

/** @returns the whole cores this process may keep busy, at least 1. */
export function usableCores(limits: GroupLimits = readGroupLimits()): Limit {
  const { from, value } = smallest([
    ['the cores the system gives this process', availableParallelism()],
    ["the container's CPU quota", limits.cpus],
  ]);
  // A quota of half a core still runs; one of 2.5 keeps 2 busy all the time.
  return { from, value: Math.max(1, Math.floor(value)) };
}

/** @returns the smallest of the limits that there are. */
export function smallest(candidates: [string, number | undefined][]): Limit {
  let best = { from: '', value: Number.POSITIVE_INFINITY };
  for (const [from, value] of candidates) {
    if (value !== undefined && value < best.value) best = { from, value };
  }
  return best;
}
