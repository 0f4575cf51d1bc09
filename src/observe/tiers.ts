/**
 * What the tiers' time went into, added up from samples, and who waits for whom.
 *
 * Pure; runs on the main thread.
 */
import { type LaneSample, noTime, SAMPLE_MS, TIME_KINDS, type TierTimes } from '../engine/sampler.js';

/** Milliseconds of all threads of each tier, by what they went into. */
export interface Tiers {
  reader: TierTimes;
  hasher: TierTimes;
  writer: TierTimes;
}

/** What rows wait for: a server, or one of our tiers, which then works as fast as it can. */
export type Limit = 'source' | 'reader' | 'hasher' | 'writer' | 'target';

/** A limit in words. */
export const LIMIT_TEXT: Record<Limit, string> = {
  source: 'waiting for SQL Server',
  reader: 'reading',
  hasher: 'hashing',
  writer: 'writing',
  target: 'waiting for PostgreSQL',
};

/** Half of what a look back takes in is younger than this. */
const HALF_LIFE_MS = 1_500;

export class TierClock {
  /** Since the beginning. */
  readonly total: Tiers = noTiers();
  /** The last seconds: older time counts less and less. */
  readonly recent: Tiers = noTiers();

  /** Time passes, in which old samples lose weight. */
  fade(): void {
    const weight = 0.5 ** (SAMPLE_MS / HALF_LIFE_MS);
    for (const times of Object.values(this.recent)) {
      for (const kind of TIME_KINDS) times[kind] *= weight;
    }
  }

  add(tier: keyof Tiers, times: TierTimes): void {
    for (const kind of TIME_KINDS) {
      this.total[tier][kind] += times[kind];
      this.recent[tier][kind] += times[kind];
    }
  }

  /** @returns what rows wait for now, or null where nothing moves. */
  get limit(): Limit | null {
    return limitOf(this.recent);
  }
}

export function noTiers(): Tiers {
  return { reader: noTime(), hasher: noTime(), writer: noTime() };
}

/** @returns what most of the time went into, seen from the reader; from the writer once everything is read. */
export function limitOf({ reader, writer }: Tiers): Limit | null {
  const behindWriter: Limit = writer.target >= writer.working ? 'target' : 'writer';
  const most = largest(reader, ['working', 'source', 'hasher', 'writer']);
  switch (most) {
    case 'working':
      return 'reader';
    case 'writer':
      return behindWriter;
    case null:
      return sum(writer) < 1 ? null : behindWriter;
    default:
      return most;
  }
}

/** @returns the part of its time that a tier worked, from 0 to 1; null where it had nothing to do. */
export function busy(times: TierTimes): number | null {
  const all = sum(times);
  return all < 1 ? null : times.working / all;
}

/** @returns how full the rings are, from 0 to 1. */
export function ringFill(lanes: readonly LaneSample[]): number {
  let used = 0;
  let slots = 0;
  for (const writer of lanes.flatMap(({ writers }) => writers)) {
    used += writer.slotsInUse;
    slots += writer.slots;
  }
  return slots === 0 ? 0 : used / slots;
}

function sum(times: TierTimes): number {
  return TIME_KINDS.reduce((all, kind) => all + times[kind], 0);
}

function largest<Kind extends keyof TierTimes>(times: TierTimes, kinds: readonly Kind[]): Kind | null {
  let most: Kind | null = null;
  for (const kind of kinds)
    if (times[kind] >= 1 && times[kind] > (most === null ? 0 : times[most])) most = kind;
  return most;
}
