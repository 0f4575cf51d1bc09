/**
 * What is done once the rows are in, and what is said of the run in the end. Main thread.
 */
import type { LedgerTable } from '../checkpoint/runs.js';
import type { Config } from '../config/schema.js';
import { AppError, type ErrorData, toErrorData } from '../errors.js';
import { type FinalizeHooks, finalize, KEY_KINDS, type StepKind, TABLE_KINDS } from '../finalize/finalize.js';
import { MAIN_CONNECTIONS, type Sizes } from '../host/sizes.js';
import type { TablePlan } from '../plan/model.js';
import { retryPolicy, withRetries } from '../plan/retry.js';
import { tableLabel } from '../source/model.js';
import { connectTarget, type TargetConnection } from '../target/connection.js';
import type { Stop } from '../target/watching.js';
import type { RunEventHandler, RunOutcome, StepOutcome, TableOutcome } from './events.js';
import type { TableWork } from './workQueue.js';

/**
 * Finishes the tables that arrived; one that failed is at least set back to LOGGED.
 *
 * @throws AppError where the target can't be connected to; CANCELLED
 */
export async function finalizeTables(
  config: Config,
  sizes: Sizes,
  tables: readonly TableWork[],
  onEvent: RunEventHandler,
  hooks: FinalizeHooks,
  stop: Stop,
): Promise<StepOutcome[]> {
  const retry = retryPolicy(config.migration);
  const connect = (): Promise<TargetConnection> =>
    withRetries(retry, () => connectTarget(config.target, stop), { ended: () => stop.signal.aborted });
  const plansOf = (wanted: (table: TableWork) => boolean): TablePlan[] =>
    tables.filter(wanted).map((table) => table.plan);
  const onStep = (step: StepOutcome): void => {
    if (step.error === undefined) onEvent({ ...step, kind: 'step' });
    else onEvent({ kind: 'table-failed', table: step.table, error: step.error });
  };
  const finished = ({ state }: TableWork): boolean => state === 'finished';
  const missing = new Set(plansOf((table) => !finished(table)).map((plan) => tableLabel(plan.target)));
  // The main thread's own stay open meanwhile: the run's, and the ledger's.
  const parallel = Math.max(1, Math.min(sizes.workers, sizes.maxTargetConnections - MAIN_CONNECTIONS));
  const toOutcome = ({ kind, ...step }: Awaited<ReturnType<typeof finalize>>[number]): StepOutcome => ({
    ...step,
    step: kind,
  });
  const onRetry = (table: string, error: unknown): void =>
    onEvent({ kind: 'retry', table, error: toErrorData(error) });
  const steps = async (
    kinds: readonly StepKind[],
    wanted: (table: TableWork) => boolean,
  ): Promise<StepOutcome[]> => {
    const done = await finalize(connect, plansOf(wanted), {
      parallel,
      kinds,
      retry,
      signal: stop.signal,
      onStep: (step) => onStep(toOutcome(step)),
      onRetry,
      hooks: { ...hooks, isMissing: ({ schema, name }) => missing.has(tableLabel({ schema, name })) },
    });
    return done.map(toOutcome);
  };
  return [
    ...(await steps(TABLE_KINDS, (table) => finished(table) && table.changes === undefined)),
    // Brought up to date, a table has its key already; where nothing changed, its statistics hold.
    ...(await steps(['logged', 'identity', 'analyze'], (table) => finished(table) && wasWritten(table))),
    ...(await steps(['logged'], (table) => !finished(table) || isUntouched(table))),
    ...(await steps(KEY_KINDS, finished)),
  ];
}

/** Whether rows of a table that had rows before were written or deleted. */
function wasWritten({ changes, rowsCommitted }: TableWork): boolean {
  return changes !== undefined && (rowsCommitted > 0 || changes.deleted > 0);
}

function isUntouched(table: TableWork): boolean {
  return table.changes !== undefined && !wasWritten(table);
}

export function outcomeOf(
  table: TablePlan,
  status: TableOutcome['status'],
  work?: TableWork,
  error?: ErrorData,
): TableOutcome {
  return {
    table: tableLabel(table.source),
    target: tableLabel(table.target),
    status,
    rows: work?.rowsCommitted ?? 0,
    bytes: work?.bytesCommitted ?? 0,
    durationMs: work === undefined || work.startedMs === 0 ? 0 : Math.max(0, work.endedMs - work.startedMs),
    ...(work?.changes !== undefined && { changes: work.changes }),
    leftOut: table.objects.leftOut,
    notes: table.notes,
    ...(error !== undefined && { error }),
  };
}

/**
 * @param steps what followed the rows; null where it was not come to: no table is complete then
 * @param stopped why the run ended early, or null
 */
export function outcomeOfRun(
  runId: string,
  tables: readonly TableWork[],
  steps: StepOutcome[] | null,
  notes: string[],
  stopped: unknown,
  completed: readonly LedgerTable[] = [],
): RunOutcome {
  const ofSteps = new Map<string, ErrorData>();
  for (const { table, error } of steps ?? []) {
    if (error !== undefined && !ofSteps.has(table)) ofSteps.set(table, error);
  }
  const ofTables = tables.map((table) => {
    const error = table.error ?? ofSteps.get(table.label);
    if (error !== undefined && error !== null) return outcomeOf(table.plan, 'failed', table, error);
    if (table.state === 'finished') {
      return outcomeOf(table.plan, steps === null ? 'interrupted' : 'success', table);
    }
    if (table.state === 'waiting') return outcomeOf(table.plan, 'skipped', table);
    const stop = stopped === null ? null : toErrorData(stopped);
    if (stop === null || stop.code === 'CANCELLED') return outcomeOf(table.plan, 'interrupted', table);
    return outcomeOf(table.plan, 'failed', table, stop);
  });
  const outcomes = [...ofTables, ...completed.map(completedOutcome)];
  const failed = outcomes.filter(({ status }) => status === 'failed');
  const error =
    stopped !== null
      ? toErrorData(stopped)
      : failed.length > 0
        ? tablesFailed(failed, outcomes.length)
        : undefined;
  return { runId, tables: outcomes, steps: steps ?? [], notes, ...(error !== undefined && { error }) };
}

/** A table that an earlier process of the run has completed. */
export function completedOutcome({ table, target, chunks, notes }: LedgerTable): TableOutcome {
  return {
    table,
    target: tableLabel(target),
    status: 'success',
    rows: chunks.reduce((sum, chunk) => sum + chunk.rows, 0),
    bytes: chunks.reduce((sum, chunk) => sum + chunk.bytes, 0),
    durationMs: 0,
    notes,
  };
}

function tablesFailed(failed: readonly TableOutcome[], total: number): ErrorData {
  const { table, error: reason } = failed[0]!;
  const said = reason?.message ?? '';
  const error = new AppError(
    'TABLES_FAILED',
    `${failed.length} of ${total} tables failed; the first: ${said.includes(table) ? said : `${table}: ${said}`}`,
    { remedy: reason?.remedy ?? 'See the error of each table, mend it and run again.' },
  );
  return toErrorData(error);
}
