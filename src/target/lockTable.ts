/**
 * Where PostgreSQL has no room for all the locks of one transaction: how much room it has, and how much it takes.
 *
 * Runs on the main thread.
 */
import { AppError } from '../errors.js';
import type { TargetName } from './catalog.js';
import type { TargetConnection } from './connection.js';
import { isLockTableFull } from './errors.js';

/** A table that is made takes a lock, and so do its TOAST table with its index and the sequence of an identity column. */
const LOCKS_PER_NEW_TABLE = 4;
/** What other sessions lock meanwhile. */
const SHARE_OF_OTHERS = 1.25;

/** Locks that dropping or altering these tables takes: theirs, and those of their indexes and TOAST tables. */
const ROOM_SQL = `
WITH there AS (
  SELECT c.oid, c.reltoastrelid FROM unnest($1::text[], $2::text[]) AS w(schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
)
SELECT current_setting('max_locks_per_transaction')::integer AS "perSession",
  current_setting('max_connections')::integer + current_setting('max_prepared_transactions')::integer AS sessions,
  (SELECT count(*) + 2 * count(*) FILTER (WHERE reltoastrelid <> 0) FROM there)::integer
    + (SELECT count(*) FROM pg_index i JOIN there ON i.indrelid = there.oid)::integer AS held`;

/** @returns `error`, or where it is one of too many locks, one that says how many these tables take and what to set */
export async function nameLockShortage<E>(
  target: TargetConnection,
  names: readonly TargetName[],
  error: E,
): Promise<E | AppError> {
  if (!(error instanceof AppError) || !isLockTableFull(error.cause)) return error;
  const [row] = await target
    .query<{ perSession: number; sessions: number; held: number }>(ROOM_SQL, [
      names.map(({ schema }) => schema),
      names.map(({ name }) => name),
    ])
    .catch(() => []);
  if (row === undefined) return error;
  const { perSession, sessions, held } = row;
  const locks = held + LOCKS_PER_NEW_TABLE * names.length;
  const wanted = Math.max(2 * perSession, Math.ceil((locks * SHARE_OF_OTHERS) / sessions));
  return new AppError(
    // The next try would come to the same end.
    'TARGET_QUERY',
    `${names.length} tables are made ready in one transaction, so that all of them are or none: the target has no room for its locks, about ${locks} (max_locks_per_transaction is ${perSession}, for ${sessions} sessions)`,
    {
      ...error.place,
      remedy: `Set max_locks_per_transaction to ${wanted} in the target's postgresql.conf and restart the server; or migrate the tables in several runs (migration.include_tables). Nothing was changed.`,
      ...(error.serverCode !== undefined && { serverCode: error.serverCode }),
      cause: error,
    },
  );
}
