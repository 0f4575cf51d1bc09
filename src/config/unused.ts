/**
 * Settings that are accepted and don't act as they are given.
 *
 * Pure; runs on the main thread.
 */
import { MAX_ENCRYPTED_PACKET_BYTES, MIGRATION_DEFAULTS, SOURCE_DEFAULTS } from './defaults.js';
import type { Config } from './schema.js';

/** @returns settings that were changed from their default without the effect one expects: said, not passed over. */
export function unusedSettings({ source, migration }: Config): string[] {
  const said: string[] = [];
  if (migration.copy_buffer_rows !== MIGRATION_DEFAULTS.copy_buffer_rows.value) {
    said.push('migration.copy_buffer_rows has no effect: COPY data is sent on as soon as a slot is full');
  }
  const { encrypt, packet_size_bytes: bytes } = source;
  const given = bytes !== SOURCE_DEFAULTS.packet_size_bytes.value;
  if (given && encrypt !== false && bytes > MAX_ENCRYPTED_PACKET_BYTES) {
    const most = MAX_ENCRYPTED_PACKET_BYTES;
    said.push(
      `source.packet_size_bytes: ${most} is asked for, not ${bytes}: SQL Server takes no larger packets through TLS`,
    );
  }
  return said;
}
