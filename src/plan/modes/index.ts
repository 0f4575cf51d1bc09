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

const MODES: Record<TransferMode['name'], (options: ModeOptions) => TransferMode> = {
  drop_recreate: ({ dropCascade = false }) => dropRecreate(dropCascade),
  truncate: () => truncate,
  upsert: () => upsert,
};

export interface ModeOptions {
  /** `drop_recreate`: what stands on the tables goes with them; default: it is an obstacle. */
  dropCascade?: boolean;
}

/** @returns the transfer mode `migration.target_mode` names. */
export function transferMode(name: TransferMode['name'], options: ModeOptions = {}): TransferMode {
  return MODES[name](options);
}
