/**
 * What the lanes of every load have in common, whoever hands them work. Main thread.
 */
import type { Config } from '../config/schema.js';
import type { TablePlan } from '../plan/model.js';
import type { RetryPolicy } from '../plan/retry.js';
import { tableLabel } from '../source/model.js';
import type { RunEventHandler } from './events.js';
import type { LanesOptions } from './lanes.js';

/** @returns both ends of the lanes, and how they tell what they do. */
export function laneSettings(
  { source, target, migration }: Config,
  plans: readonly TablePlan[],
  retry: RetryPolicy,
  onEvent: RunEventHandler,
): Pick<LanesOptions, 'hashed' | 'reader' | 'writer' | 'onGrowth' | 'onSample'> {
  const tables = plans.map((plan) => tableLabel(plan.source));
  return {
    hashed: plans.some(({ rowHashColumn }) => rowHashColumn !== null),
    reader: { source, nul: migration.on_nul, binaryCopy: migration.use_binary_copy, retry },
    writer: { target, retry },
    onGrowth: (message) => onEvent({ kind: 'log', level: 'info', message }),
    onSample: (lanes) => onEvent({ kind: 'sample', lanes, tables }),
  };
}
