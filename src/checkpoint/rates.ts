/**
 * How fast earlier runs went, as the ledger knows it.
 *
 * Runs on the main thread.
 */
import type { TargetConnection } from '../target/connection.js';
import { ALL_CHUNKS, LEDGER, ledgerExists, OLDER } from './schema.js';

export interface EarlierRun {
  runId: string;
  finishedAt: Date;
  /** Of COPY data, all chunks together. */
  bytes: number;
  /** From the first chunk's beginning to the last one's commit. */
  seconds: number;
  /** By `schema.table` of the source. */
  copyBytesPerRow: Map<string, number>;
}

/** Less than this says more about beginnings than about rates. */
const LEAST_SECONDS = 2;

/** Merges are left out: they load differences only. */
const NEWEST_SQL = `
SELECT newest.* FROM ${OLDER.chunks}, LATERAL (
  SELECT r.run_id AS "runId", max(c.committed_at) AS "finishedAt", sum(c.bytes)::float8 AS bytes,
    extract(epoch FROM max(c.committed_at) - min(c.committed_at - make_interval(secs => c.duration_ms / 1000.0)))::float8
      AS seconds
  FROM ${LEDGER}.runs r
  JOIN ${ALL_CHUNKS} AS c ON c.run_id = r.run_id
  WHERE r.status = 'completed' AND r.attempt = 1 AND inserted IS NULL AND c.moved_to IS NULL
    AND c.duration_ms IS NOT NULL
  GROUP BY r.run_id
  ORDER BY max(c.committed_at) DESC
  LIMIT 20) AS newest
ORDER BY "finishedAt" DESC`;

/** @returns the newest run that loaded for long enough to tell by, or null; a run that was resumed had pauses. */
export async function newestRates(target: TargetConnection): Promise<EarlierRun | null> {
  if (!(await ledgerExists(target))) return null;
  const runs = await target.query<Omit<EarlierRun, 'copyBytesPerRow'>>(NEWEST_SQL);
  const run = runs.find(({ seconds, bytes }) => seconds >= LEAST_SECONDS && bytes > 0);
  if (run === undefined) return null;
  const tables = await target.query<{ table: string; width: number }>(
    `SELECT table_name AS table, (sum(bytes) / sum(rows))::float8 AS width FROM ${ALL_CHUNKS} AS c
      WHERE run_id = $1 AND moved_to IS NULL GROUP BY table_name HAVING sum(rows) > 0`,
    [run.runId],
  );
  return { ...run, copyBytesPerRow: new Map(tables.map(({ table, width }) => [table, width])) };
}
