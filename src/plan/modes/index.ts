/**
 * The transfer modes by their name in the config. A new mode is one file beside this one and one line here.
 *
 * Runs on the main thread.
 */
import { dropRecreate } from './drop_recreate.js';
import type { TransferMode } from './mode.js';
import { truncate } from './truncate.js';
import { upsert } from './upsert.js';

export type { TransferMode } from './mode.js';

const MODES: Record<TransferMode['name'], TransferMode> = {
  drop_recreate: dropRecreate,
  truncate,
  upsert,
};

/** @returns the transfer mode `migration.target_mode` names. */
export function transferMode(name: TransferMode['name']): TransferMode {
  return MODES[name];
}
