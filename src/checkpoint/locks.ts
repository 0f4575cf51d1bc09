/**
 * Who has a run: advisory locks of the target, held for as long as a session lives. Main thread.
 */
import { AppError } from '../errors.js';
import { APPLICATION_NAME, type TargetConnection } from '../target/connection.js';

/** Locks a run, or whatever else `key` names, for as long as the session lives. @returns whether nobody else has it */
export async function tryLock(target: TargetConnection, key: string): Promise<boolean> {
  const [row] = await target.query<{ ours: boolean }>(
    'SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS ours',
    [key],
  );
  return row?.ours === true;
}

/** Locks the run against whoever wants it for itself, for as long as the connection lives. @returns whether nobody has */
export async function shareLock(target: TargetConnection, runId: string): Promise<boolean> {
  const [row] = await target.query<{ shared: boolean }>(
    'SELECT pg_try_advisory_lock_shared(hashtextextended($1, 0)) AS shared',
    [runId],
  );
  return row?.shared === true;
}

export async function unlock(target: TargetConnection, key: string): Promise<void> {
  await target.query('SELECT pg_advisory_unlock(hashtextextended($1, 0))', [key]);
}

export async function unlockShared(target: TargetConnection, runId: string): Promise<void> {
  await target.query('SELECT pg_advisory_unlock_shared(hashtextextended($1, 0))', [runId]);
}

/** How long a process that was just killed may take to let go of its run. */
const LET_GO_MS = 10_000;

/** @throws AppError STATE_INVALID naming who has the run, where that does not end soon */
export async function waitForLock(target: TargetConnection, runId: string): Promise<void> {
  const until = performance.now() + LET_GO_MS;
  while (!(await tryLock(target, runId))) {
    if (performance.now() > until) throw inUse(runId, await holderOf(target, runId));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function holderOf(target: TargetConnection, runId: string): Promise<string> {
  const [row] = await target.query<{ holder: string }>(
    `SELECT format('pid %s, client %s', l.pid, COALESCE(host(a.client_addr), 'local')) AS holder
      FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
        AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended($1, 0)`,
    [runId],
  );
  return row?.holder ?? 'a session unknown';
}

function inUse(runId: string, holder: string): AppError {
  return new AppError(
    'STATE_INVALID',
    `Run ${runId} is being worked on by another process (PostgreSQL session ${holder})`,
    { remedy: 'Let it finish, or stop it. If its host is gone, end that session with pg_terminate_backend.' },
  );
}

/** Its client does not hear of it any more: nothing it has begun will be committed, and its locks are let go. */
export async function endSession(target: TargetConnection, session: number): Promise<void> {
  await target.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE pid = $1 AND application_name = $2 AND usename = current_user AND datname = current_database()`,
    [session, APPLICATION_NAME],
  );
}
