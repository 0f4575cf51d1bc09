/**
 * Runs as the ledger knows them: begun, found again, taken over.
 *
 * Runs on the main thread.
 */
import { createHash } from 'node:crypto';
import { AppError, type ErrorData } from '../errors.js';
import type { Partition, TablePlan } from '../plan/model.js';
import { tableLabel } from '../source/model.js';
import { inTransaction, type TargetConnection } from '../target/connection.js';
import type { LedgerChunk, LedgerPartition } from './coverage.js';
import type { RunStatus } from './ledger.js';
import { unlock, waitForLock } from './locks.js';
import { ALL_CHUNKS, chunkTable, json, LEDGER, OLDER } from './schema.js';
import type { LedgerTableStatus } from './tableEntries.js';

export interface LedgerRun {
  runId: string;
  attempt: number;
  configHash: string;
  mode: string;
  status: RunStatus;
  toolVersion: string;
  startedAt: Date;
  updatedAt: Date;
  error: ErrorData | null;
  /** What the hosts that share the run call it; null for a run of one process. */
  name: string | null;
}

export interface LedgerTable {
  /** `schema.table` of the source. */
  table: string;
  target: { schema: string; name: string };
  /** The target table's oid at the run's beginning. */
  targetOid: string;
  fingerprint: string;
  /** Its chunks are entered among those of UNLOGGED tables. */
  unlogged: boolean;
  status: LedgerTableStatus;
  totalRows: number;
  notes: string[];
  error: ErrorData | null;
  partitions: LedgerPartition[];
  chunks: FullChunk[];
}

/** What a merge, or the deletion of rows only the target has, did; null where a chunk was loaded. */
export interface MergedRows {
  inserted: number | null;
  updated: number | null;
  deleted: number | null;
  /** The rows of single keys: `lower` is the first of them, `upper` the last. */
  byKey: boolean;
}

export interface FullChunk extends LedgerChunk, MergedRows {
  digest: string | null;
  committedAt: Date;
  durationMs: number | null;
  retries: number;
}

const RUN = `run_id AS "runId", attempt, config_hash AS "configHash", mode, status, tool_version AS "toolVersion",
  started_at AS "startedAt", updated_at AS "updatedAt", error, name`;
/** Runs as a ledger of any version has them. */
const runsWhere = (condition: string): string =>
  `SELECT r.* FROM ${OLDER.runs}, LATERAL (SELECT ${RUN} FROM ${LEDGER}.runs WHERE ${condition}) AS r`;
const UNFINISHED = `status IN ('running', 'failed', 'cancelled')`;

/** @returns the run of this id, or null. */
export async function findRun(target: TargetConnection, runId: string): Promise<LedgerRun | null> {
  const [run] = await target.query<LedgerRun>(runsWhere('run_id = $1'), [runId]);
  return run ?? null;
}

/** @returns the shared run of this name, or null. */
export async function findSharedRun(target: TargetConnection, name: string): Promise<LedgerRun | null> {
  const [run] = await target.query<LedgerRun>(runsWhere('name = $1'), [name]);
  return run ?? null;
}

/** @returns the newest run of this configuration, or null. */
export async function newestRun(
  target: TargetConnection,
  configHash: string,
  unfinished: boolean,
): Promise<LedgerRun | null> {
  const [run] = await target.query<LedgerRun>(
    `${runsWhere(`config_hash = $1 ${unfinished ? `AND ${UNFINISHED}` : ''}`)}
      ORDER BY "startedAt" DESC LIMIT 1`,
    [configHash],
  );
  return run ?? null;
}

export function isUnfinished({ status }: Pick<LedgerRun, 'status'>): boolean {
  return status === 'running' || status === 'failed' || status === 'cancelled';
}

/** A shared run that ended without being complete goes on: its failed tables are tried again. */
export async function reopenRun(target: TargetConnection, runId: string): Promise<void> {
  await inTransaction(target, async () => {
    await target.query(
      `UPDATE ${LEDGER}.runs SET status = 'running', error = NULL, updated_at = clock_timestamp() WHERE run_id = $1`,
      [runId],
    );
    await target.query(
      `UPDATE ${LEDGER}.tables SET status = 'pending', error = NULL WHERE run_id = $1 AND status = 'failed'`,
      [runId],
    );
  });
}

export interface NewRun {
  runId: string;
  configHash: string;
  mode: string;
  toolVersion: string;
  /** What hosts that share the run call it. */
  name?: string;
}

/**
 * Enters a run whose tables are ready to be loaded, and ends for good every unfinished run that has to do with the
 * same tables. Part of the transaction that makes the tables ready.
 *
 * @returns labels of the tables that are UNLOGGED
 * @throws AppError STATE_INVALID where another process is at work on such a run
 */
export async function beginRun(
  target: TargetConnection,
  run: NewRun,
  plans: readonly TablePlan[],
  partitions: readonly Partition[][],
): Promise<Set<string>> {
  await supersede(target, plans);
  await target.query(
    `INSERT INTO ${LEDGER}.runs (run_id, attempt, config_hash, mode, status, tool_version, name)
      VALUES ($1, 1, $2, $3, 'running', $4, $5)`,
    [run.runId, run.configHash, run.mode, run.toolVersion, run.name ?? null],
  );
  const labels = plans.map((plan) => tableLabel(plan.source));
  const entered = await target.query<{ table: string; unlogged: boolean }>(
    `INSERT INTO ${LEDGER}.tables (run_id, table_name, target_schema, target_name, target_oid, fingerprint,
        unlogged, status, total_rows, notes)
      SELECT $1, w.label, n.nspname, c.relname, c.oid, w.fingerprint, c.relpersistence = 'u', 'pending', w.rows,
        w.notes::json
      FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[])
        AS w(label, schema, name, fingerprint, rows, notes)
      JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
      RETURNING table_name AS table, unlogged`,
    [
      ...[run.runId, labels],
      ...[plans.map((plan) => plan.target.schema), plans.map((plan) => plan.target.name)],
      ...[plans.map(fingerprintOf), plans.map((plan) => plan.approximateRows)],
      plans.map((plan) => JSON.stringify(plan.notes)),
    ],
  );
  const known = new Set(entered.map(({ table }) => table));
  const lost = labels.find((label) => !known.has(label));
  if (lost !== undefined) throw new AppError('INTERNAL', `${lost} was not made ready`, { table: lost });
  const all = partitions.flatMap((some, i) => some.map((partition) => ({ ...partition, label: labels[i]! })));
  await target.query(
    `INSERT INTO ${LEDGER}.partitions (run_id, table_name, partition, lower, upper, retries, planned)
      SELECT $1, w.label, w.partition, w.lower::json, w.upper::json, 0, true
      FROM unnest($2::text[], $3::integer[], $4::text[], $5::text[]) AS w(label, partition, lower, upper)`,
    [
      ...[run.runId, all.map(({ label }) => label), all.map(({ partition }) => partition)],
      ...[all.map(({ lower }) => json(lower)), all.map(({ upper }) => json(upper))],
    ],
  );
  return new Set(entered.flatMap(({ table, unlogged }) => (unlogged ? [table] : [])));
}

async function supersede(target: TargetConnection, plans: readonly TablePlan[]): Promise<void> {
  const older = await target.query<{ id: string }>(
    `SELECT r.run_id AS id FROM ${LEDGER}.runs r WHERE ${UNFINISHED} AND EXISTS (
        SELECT FROM ${LEDGER}.tables t JOIN unnest($1::text[], $2::text[]) AS w(schema, name)
          ON w.schema = t.target_schema AND w.name = t.target_name
        WHERE t.run_id = r.run_id)`,
    [plans.map((plan) => plan.target.schema), plans.map((plan) => plan.target.name)],
  );
  for (const { id } of older) {
    await waitForLock(target, id);
    await target.query(
      `UPDATE ${LEDGER}.runs SET status = 'superseded', attempt = attempt + 1, updated_at = clock_timestamp()
        WHERE run_id = $1`,
      [id],
    );
    await unlock(target, id);
  }
}

/**
 * Takes over an unfinished run: what its former process has still under way is waited for, and whatever of it comes
 * later is refused.
 *
 * @returns the attempt that this process is
 * @throws AppError STATE_INVALID where that process is still at work
 */
export async function claimRun(target: TargetConnection, runId: string): Promise<number> {
  await waitForLock(target, runId);
  return inTransaction(target, async () => {
    const [row] = await target.query<{ attempt: number }>(
      `UPDATE ${LEDGER}.runs SET attempt = attempt + 1, status = 'running', error = NULL,
        updated_at = clock_timestamp() WHERE run_id = $1 RETURNING attempt`,
      [runId],
    );
    return row!.attempt;
  });
}

/** What `SELECT` gives of a partition. */
type PartitionRow = Omit<LedgerPartition, 'of'> & {
  table: string;
  ofPartition: number | null;
  ofChunk: number | null;
};

/**
 * @param only label of the one table to read; left out: every table
 * @returns the tables of a run, with everything the ledger has of them; by name
 */
export async function readTables(
  target: TargetConnection,
  runId: string,
  only: string | null = null,
): Promise<LedgerTable[]> {
  const parameters = [runId, only];
  const wanted = 'run_id = $1 AND ($2::text IS NULL OR table_name = $2)';
  const tables = await target.query<LedgerTable & { target_schema: string; target_name: string }>(
    `SELECT table_name AS table, target_schema, target_name, target_oid::text AS "targetOid", fingerprint, unlogged, status,
      total_rows::float8 AS "totalRows", notes, error
      FROM ${LEDGER}.tables WHERE ${wanted} ORDER BY table_name`,
    parameters,
  );
  const partitions = await target.query<PartitionRow>(
    `SELECT p.* FROM ${OLDER.partitions}, LATERAL (
      SELECT table_name AS table, partition, lower, upper, retries, of_partition AS "ofPartition",
        of_chunk AS "ofChunk" FROM ${LEDGER}.partitions WHERE ${wanted}) AS p
      ORDER BY p.table, partition`,
    parameters,
  );
  const chunks = await target.query<FullChunk & { table: string }>(
    `SELECT c.* FROM ${OLDER.chunks}, LATERAL (
      SELECT table_name AS table, partition, chunk, lower, upper, rows::float8 AS rows, bytes::float8 AS bytes, digest,
        committed_at AS "committedAt", duration_ms AS "durationMs", retries, moved_to AS "movedTo",
        inserted::float8 AS inserted, updated::float8 AS updated, deleted::float8 AS deleted, by_key AS "byKey"
        FROM ${ALL_CHUNKS} AS every WHERE ${wanted}) AS c
      ORDER BY c.table, partition, chunk`,
    parameters,
  );
  const byTable = new Map<string, LedgerTable>();
  for (const { target_schema, target_name, ...table } of tables) {
    const entry = {
      ...table,
      target: { schema: target_schema, name: target_name },
      partitions: [],
      chunks: [],
    };
    byTable.set(table.table, entry);
  }
  for (const { table, ofPartition, ofChunk, ...partition } of partitions) {
    const of = ofPartition === null || ofChunk === null ? null : { partition: ofPartition, chunk: ofChunk };
    byTable.get(table)?.partitions.push({ ...partition, of });
  }
  for (const { table, ...chunk } of chunks) byTable.get(table)?.chunks.push(chunk);
  return [...byTable.values()];
}

/**
 * @returns the tables of a run that every run before it had the same plan of: since the last one that brought the target
 * table to its end, that one included. Tables of which none is known are not among them.
 */
export async function plannedAsBefore(target: TargetConnection, runId: string): Promise<Set<string>> {
  const rows = await target.query<{ table: string }>(
    `WITH other AS (
        SELECT ours.table_name, r.started_at, o.status, o.fingerprint = ours.fingerprint AS same
        FROM ${LEDGER}.tables ours
        JOIN ${LEDGER}.tables o ON o.target_oid = ours.target_oid AND o.run_id <> ours.run_id
        JOIN ${LEDGER}.runs r ON r.run_id = o.run_id
        WHERE ours.run_id = $1),
      last AS (SELECT table_name, max(started_at) AS completed FROM other WHERE status = 'completed' GROUP BY 1)
      SELECT table_name AS table FROM other JOIN last USING (table_name)
      WHERE started_at >= completed GROUP BY 1 HAVING bool_and(same)`,
    [runId],
  );
  return new Set(rows.map(({ table }) => table));
}

/** Moves what the ledger has of a table that is LOGGED by now. */
export async function chunksBecomeLogged(
  target: TargetConnection,
  runId: string,
  table: string,
): Promise<void> {
  await target.query(
    `WITH moved AS (DELETE FROM ${chunkTable(true)} WHERE run_id = $1 AND table_name = $2 RETURNING *)
      INSERT INTO ${chunkTable(false)} SELECT * FROM moved`,
    [runId, table],
  );
  await target.query(`UPDATE ${LEDGER}.tables SET unlogged = false WHERE run_id = $1 AND table_name = $2`, [
    runId,
    table,
  ]);
}

/** @returns what must not have changed of a table between the run's beginning and its end. */
export function fingerprintOf(plan: TablePlan): string {
  const columns = plan.columns.map((column) => {
    const { source, sourceName, sourceType, pgType, keyPosition, hashed, generated } = column;
    // A key's collation orders it: ranges of another order hold other rows.
    const order = keyPosition < 0 ? null : source.collation;
    return [sourceName, sourceType, pgType, keyPosition, order, hashed, generated ?? null];
  });
  const text = JSON.stringify([columns, plan.primaryKey, plan.rowHashColumn, plan.target]);
  return createHash('sha256').update(text).digest('hex');
}
