/**
 * What the lanes of every load have in common, whoever hands them work. Main thread.
 */
import type { Config } from '../config/schema.js';
import type { Sizes } from '../host/sizes.js';
import type { TablePlan } from '../plan/model.js';
import type { RetryPolicy } from '../plan/retry.js';
import type { Hashing } from '../ring/layout.js';
import { tableLabel } from '../source/model.js';
import type { RunEventHandler } from './events.js';
import type { LanesOptions } from './lanes.js';

/** @returns which thread hashes rows that are hashed. */
export function hashingOf({ hashersPerLane }: Pick<Sizes, 'hashersPerLane'>): Hashing {
  return hashersPerLane > 0 ? 'hasher' : 'reader';
}

/** @returns both ends of the lanes, and how they tell what they do. */
export function laneSettings(
  { source, target, migration }: Config,
  plans: readonly TablePlan[],
  sizes: Pick<Sizes, 'hashersPerLane'>,
  retry: RetryPolicy,
  onEvent: RunEventHandler,
): Pick<LanesOptions, 'hashing' | 'reader' | 'writer' | 'onGrowth' | 'onLimit' | 'onSample'> {
  const tables = plans.map((plan) => tableLabel(plan.source));
  return {
    hashing: plans.some(({ rowHashColumn }) => rowHashColumn !== null) ? hashingOf(sizes) : 'none',
    reader: { source, nul: migration.on_nul, binaryCopy: migration.use_binary_copy, retry },
    writer: { target, retry },
    onGrowth: (message) => onEvent({ kind: 'log', level: 'info', message }),
    onLimit: (message) => onEvent({ kind: 'log', level: 'warn', message }),
    onSample: (lanes) => onEvent({ kind: 'sample', lanes, tables }),
  };
}
