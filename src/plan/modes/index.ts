/**
 * The transfer modes by their name in the config. A new mode is one file beside this one and one line here.
 *
 * Runs on the main thread.
 */
import type { Config } from '../../config/schema.js';
import { dropRecreate } from './drop_recreate.js';
import type { TransferMode } from './mode.js';
import { truncate } from './truncate.js';
import { upsert } from './upsert.js';

export type { TransferMode } from './mode.js';

const MODES: Record<TransferMode['name'], (options: ModeOptions) => TransferMode> = {
  drop_recreate: ({ dropCascade = false }) => dropRecreate(dropCascade),
  truncate: () => truncate,
  upsert: ({ deletesExtra = false }) => upsert(deletesExtra),
};

export interface ModeOptions {
  /** `drop_recreate`: what stands on the tables goes with them; default: it is an obstacle. */
  dropCascade?: boolean;
  /** `upsert`: rows only the target has are deleted; default: they stay. */
  deletesExtra?: boolean;
}

/** @returns the transfer mode of a configuration, with what that asks of it. */
export function configuredMode({ migration }: Pick<Config, 'migration'>): TransferMode {
  const { target_mode, drop_cascade, delete_extra_rows } = migration;
  return transferMode(target_mode, { dropCascade: drop_cascade, deletesExtra: delete_extra_rows });
}

/** @returns the transfer mode `migration.target_mode` names. */
export function transferMode(name: TransferMode['name'], options: ModeOptions = {}): TransferMode {
  return MODES[name](options);
}
