/**
 * Entries of tables in a run's ledger, many at a time: how far each is, whether its chunks are all there, which are moved.
 *
 * Runs on the main thread.
 */
import { AppError, type ErrorData } from '../errors.js';
import type { KeyRange, Partition, TablePlan } from '../plan/model.js';
import type { ChunkPlace } from '../plan/work.js';
import { redactedValue } from '../secrets.js';
import { tableLabel } from '../source/model.js';
import type { TargetConnection } from '../target/connection.js';
import { chunkTable, LEDGER } from './schema.js';

export type LedgerTableStatus = 'pending' | 'loaded' | 'completed' | 'failed';

/** What the writers of a table have committed. */
export interface CommittedRows {
  rows: number;
  chunks: number;
}

/** How far a table is. */
export interface TableProgress {
  plan: TablePlan;
  status: LedgerTableStatus;
  error: ErrorData | null;
}

/** A table with what should be committed of it. */
export interface ExpectedRows {
  plan: TablePlan;
  expected: CommittedRows;
}

/** What is not there of each table that should be; tables that are complete are not in it. */
export type MissingRows = ReadonlyMap<TablePlan, AppError>;

/** A chunk that is not committed, and the partition that its keys are given to. */
export interface Move {
  plan: TablePlan;
  chunk: Pick<ChunkPlace, 'partition' | 'chunk'>;
  range: KeyRange;
  to: Pick<Partition, 'partition' | 'retries'>;
}

/** @returns TARGET_TRANSIENT for each table whose chunks are gone: the server crashed and emptied an UNLOGGED table */
export async function missingRows(
  target: TargetConnection,
  runId: string,
  tables: readonly ExpectedRows[],
  isUnlogged: (plan: TablePlan) => boolean,
): Promise<MissingRows> {
  const missing = new Map<TablePlan, AppError>();
  for (const unlogged of [false, true]) {
    const some = tables.filter(({ plan }) => isUnlogged(plan) === unlogged);
    if (some.length === 0) continue;
    const found = await target.query<{ table: string; chunks: string; rows: string }>(
      `SELECT table_name AS table, count(*) AS chunks, sum(rows) AS rows FROM ${chunkTable(unlogged)}
          WHERE run_id = $1 AND table_name = ANY($2::text[]) AND moved_to IS NULL GROUP BY table_name`,
      [runId, some.map(({ plan }) => tableLabel(plan.source))],
    );
    const there = new Map(found.map((row) => [row.table, row]));
    for (const { plan, expected } of some) {
      const table = tableLabel(plan.source);
      const { rows, chunks } = there.get(table) ?? { rows: 0, chunks: 0 };
      if (Number(rows) === expected.rows && Number(chunks) === expected.chunks) continue;
      missing.set(plan, rowsMissing(table, expected, rows, unlogged));
    }
  }
  return missing;
}

/** Enters how far these tables are, by one statement. */
export async function setTables(
  target: TargetConnection,
  runId: string,
  tables: readonly TableProgress[],
): Promise<void> {
  if (tables.length === 0) return;
  await target.query(
    `UPDATE ${LEDGER}.tables t
        SET status = s.status, error = s.error::json, notes = s.notes::json, updated_at = clock_timestamp()
        FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS s(name, status, error, notes)
        WHERE t.run_id = $1 AND t.table_name = s.name`,
    [
      runId,
      tables.map(({ plan }) => tableLabel(plan.source)),
      tables.map(({ status }) => status),
      tables.map(({ error }) => (error === null ? null : brief(error))),
      tables.map(({ plan }) => JSON.stringify(plan.notes)),
    ],
  );
}

/** @returns an error as the ledger keeps it. */
export function brief({ stack: _stack, ...error }: ErrorData): string {
  return JSON.stringify(redactedValue(error));
}

function rowsMissing(
  table: string,
  expected: CommittedRows,
  rows: string | number,
  unlogged: boolean,
): AppError {
  return new AppError(
    'TARGET_TRANSIENT',
    `${table}: ${expected.rows} rows were committed, and the ledger has ${rows}` +
      (unlogged ? '; the target server crashed meanwhile and emptied its UNLOGGED tables' : ''),
    { table, remedy: 'Resume the run: what is missing is read again.' },
  );
}
