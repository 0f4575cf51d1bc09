/**
 * `upsert`: not there yet, and said so before anything is touched.
 *
 * Runs on the main thread.
 */
import { AppError } from '../../errors.js';
import type { TransferMode } from './mode.js';

export const upsert: TransferMode = {
  name: 'upsert',
  check: refuse,
  prepare: refuse,
};

async function refuse(): Promise<never> {
  throw new AppError('UNSUPPORTED', 'migration.target_mode upsert is not available in this version', {
    remedy: 'Use target_mode: truncate or drop_recreate.',
  });
}
