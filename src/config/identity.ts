/**
 * What makes two configurations the same run, and what may be printed of one.
 *
 * Runs on the main thread only.
 */
import { createHash } from 'node:crypto';
import { SECRET_PATHS } from './keys.js';
import type { Config } from './schema.js';

/** Keys that change how fast a run is, never what it leaves in the target. */
const TUNING_PATHS: ReadonlySet<string> = new Set([
  'source.application_intent',
  'source.connect_timeout_seconds',
  'source.request_timeout_seconds',
  'source.packet_size_bytes',
  'target.connect_timeout_seconds',
  'target.lock_timeout_seconds',
  'source.stall_timeout_seconds',
  'target.stall_timeout_seconds',
  'migration.max_retries',
  'migration.retry_delay_ms',
  'migration.workers',
  'migration.chunk_size',
  'migration.parallel_readers',
  'migration.write_ahead_writers',
  'migration.memory_budget_percent',
  'migration.read_ahead_buffers',
  'migration.max_mssql_connections',
  'migration.max_pg_connections',
  'migration.copy_buffer_rows',
  'migration.upsert_batch_size',
  'migration.upsert_parallel_tasks',
  'migration.batch_verify',
]);

/**
 * @returns `sha256:` and the digest of everything that decides what a run leaves behind: not passwords, so
 * that they can be changed, and not tuning, so that a run can be resumed with other sizes.
 */
export function configHash(config: Config): string {
  const canonical = JSON.stringify(canonicalise(config, []));
  return `sha256:${createHash('sha256').update(canonical).digest('hex')}`;
}

/** @returns a copy with passwords replaced by `***`, fit for printing. */
export function redact(config: Config): Config {
  return {
    ...structuredClone(config),
    source: { ...config.source, password: '***' },
    target: { ...config.target, password: '***' },
  };
}

/** Copies a tree with sorted keys, leaving out secrets, tuning and undefined values. */
function canonicalise(node: unknown, path: string[]): unknown {
  if (typeof node !== 'object' || node === null || Array.isArray(node)) return node;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key, value]) => value !== undefined && counts([...path, key].join('.')))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => [key, canonicalise(value, [...path, key])]),
  );
}

function counts(path: string): boolean {
  return !SECRET_PATHS.includes(path) && !TUNING_PATHS.has(path);
}
