/**
 * Settings that are accepted for the sake of existing files.
 *
 * Pure; runs on the main thread.
 */
import { MIGRATION_DEFAULTS } from './defaults.js';
import type { Config } from './schema.js';

/** @returns settings that were changed from their default and have nothing to act on here: said, not passed over. */
export function unusedSettings({ migration }: Config): string[] {
  return migration.copy_buffer_rows === MIGRATION_DEFAULTS.copy_buffer_rows.value
    ? []
    : ['migration.copy_buffer_rows has no effect: COPY data is sent on as soon as a slot is full'];
}
