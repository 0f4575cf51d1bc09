/**
 * `verify`: every table compared, and for each what would have to be done to make the target equal the source.
 *
 * Main thread.
 */
import {
  AppError,
  atPlace,
  type ErrorData,
  EXIT,
  exitCodeOf,
  fromErrorData,
  toErrorData,
} from '../errors.js';
import type { TablePlan } from '../plan/model.js';
import { isSettled, type RetryPolicy, withRetries } from '../plan/retry.js';
import { tableLabel } from '../source/model.js';
import { rowFilterNote } from '../source/rowFilters.js';
import { quoteTable } from '../source/sql.js';
import type { CompareMethod } from './compare.js';
import { unhashedNotes } from './hashSql.js';
import { interleave } from './interleave.js';
import type { RowChange } from './merge.js';
import type { Verifier } from './verifier.js';

export type VerifyStatus = 'match' | 'differs' | 'missing' | 'failed';

export interface TableReport {
  table: string;
  target: string;
  status: VerifyStatus;
  /** Null where the table was not compared. */
  method: CompareMethod | null;
  sourceRows: bigint | null;
  targetRows: bigint | null;
  /** Rows to insert, update or delete in the target; null where rows can't be named, or were not compared. */
  changes: Record<RowChange['change'], number> | null;
  /** The first keys of each, where they were asked for. */
  keys: Record<RowChange['change'], string[][]>;
  notes: string[];
  durationMs: number;
  error?: ErrorData;
}

export interface VerifyEvents {
  started?(plan: TablePlan): void;
  /** Rows of the table looked at so far, in all. */
  rows?(plan: TablePlan, rows: bigint): void;
  /** The table is compared anew after `error`. */
  retry?(plan: TablePlan, error: ErrorData): void;
  finished?(report: TableReport): void;
  note?(text: string): void;
  /** Nothing could begin yet because of `error`, and it is tried again. */
  waiting?(error: unknown): void;
}

export interface VerifyRun {
  plans: readonly TablePlan[];
  parallel: number;
  /** Keys to name of each kind of change. */
  details: number;
  retry: RetryPolicy;
  signal: AbortSignal;
  events?: VerifyEvents;
}

/**
 * Compares every table.
 *
 * @returns the reports in plan order; a table that could not be compared is one of them
 * @throws AppError CANCELLED, or why the comparison could not begin
 */
export async function verifyTables(verifier: Verifier, run: VerifyRun): Promise<TableReport[]> {
  const { plans, retry, signal, events = {} } = run;
  const ended = (): boolean => signal.aborted;
  const cut = (): void => void verifier.close();
  signal.addEventListener('abort', cut, { once: true });
  const reports: TableReport[] = new Array(plans.length);
  // Once a server can't be connected to, the tables that are left would only wait for it one after the other.
  let unreachable: ErrorData | undefined;
  try {
    signal.throwIfAborted();
    const notes = await withRetries(retry, () => verifier.prepare(plans), {
      ended,
      isFinal: isSettled,
      onRetry: (error) => events.waiting?.(error),
    });
    for (const text of notes) events.note?.(text);
    const numbered = plans.map((plan, i) => ({ plan, i }));
    const each = interleave(numbered, run.parallel, async function* ({ plan, i }) {
      if (unreachable !== undefined) {
        yield { i, report: failedReport(plan, { ...unreachable, table: tableLabel(plan.source) }) };
        return;
      }
      events.started?.(plan);
      yield { i, report: await verifyTable(verifier, plan, run) };
    });
    for await (const { i, report } of each) {
      reports[i] = report;
      if (report.error !== undefined && isUnreachable(report.error)) unreachable = report.error;
      events.finished?.(report);
    }
    return reports;
  } catch (error) {
    if (signal.aborted) {
      throw signal.reason instanceof AppError
        ? signal.reason
        : new AppError('CANCELLED', 'verify was cancelled');
    }
    throw error;
  } finally {
    signal.removeEventListener('abort', cut);
    await verifier.close();
  }
}

/** Compares one table, from its beginning again where something fails for a passing reason. */
async function verifyTable(verifier: Verifier, plan: TablePlan, run: VerifyRun): Promise<TableReport> {
  const { retry, signal, events } = run;
  const startedMs = performance.now();
  let report: TableReport;
  let furthest = 0n;
  const onRows = (rows: bigint): void => {
    if (rows <= furthest) return;
    furthest = rows;
    events?.rows?.(plan, rows);
  };
  try {
    report = await withRetries(retry, () => tryTable(verifier, plan, run, onRows), {
      ended: () => signal.aborted,
      onRetry: (error) => events?.retry?.(plan, toErrorData(error)),
    });
  } catch (error) {
    const data = toErrorData(atPlace(error, { table: tableLabel(plan.source) }));
    if (signal.aborted || data.code === 'CANCELLED') throw error;
    report = failedReport(plan, data);
  }
  report.durationMs = performance.now() - startedMs;
  return report;
}

/** @returns whether one of the servers can't be connected to */
function isUnreachable(error: ErrorData): boolean {
  return exitCodeOf(fromErrorData(error)) === EXIT.connection && !error.code.endsWith('_CONNECTION_LOST');
}

function emptyReport(plan: TablePlan): TableReport {
  return {
    table: tableLabel(plan.source),
    target: tableLabel(plan.target),
    status: 'missing',
    method: null,
    sourceRows: null,
    targetRows: null,
    changes: null,
    keys: { insert: [], update: [], delete: [] },
    notes: [
      ...unhashedNotes(plan),
      ...(plan.rowFilters === undefined ? [] : [rowFilterNote(plan.rowFilters)]),
    ],
    durationMs: 0,
  };
}

function failedReport(plan: TablePlan, error: ErrorData): TableReport {
  return { ...emptyReport(plan), status: 'failed', error };
}

async function tryTable(
  verifier: Verifier,
  plan: TablePlan,
  { details }: VerifyRun,
  onRows: (rows: bigint) => void,
): Promise<TableReport> {
  const report = emptyReport(plan);
  if (verifier.targetState(plan) === 'missing') {
    report.sourceRows = await countSource(verifier, plan);
    report.changes = { insert: Number(report.sourceRows), update: 0, delete: 0 };
    report.notes.push('the target has no such table');
  } else {
    await compare(verifier, plan, details, onRows, report);
  }
  return report;
}

/** Enters in the report what is found. A stored hash may be older than its row: what it says to differ is looked at. */
async function compare(
  verifier: Verifier,
  plan: TablePlan,
  details: number,
  onRows: (rows: bigint) => void,
  report: TableReport,
): Promise<void> {
  const { rowHashColumn: trusted } = verifier;
  const comparing: Comparing = { verifier, plan, details, onRows };
  if (trusted !== null && (await compareBy(trusted, comparing, report))) return;
  await compareBy(null, comparing, report);
  if (trusted === null) return;
  report.notes.push(
    report.status === 'match'
      ? `${trusted} differs and the values do not: it is of other columns, or older than the rows. Set it to NULL in all rows, and the next run with target_mode: upsert computes it anew`
      : `${trusted} differs, so that the values were compared`,
  );
}

interface Comparing {
  verifier: Verifier;
  plan: TablePlan;
  details: number;
  onRows: (rows: bigint) => void;
}

/**
 * @param rowHashColumn the column to trust, or null
 * @returns false where that column says of a row that it has changed, or of a table as a whole that it differs
 */
async function compareBy(
  rowHashColumn: string | null,
  { verifier, plan, details, onRows }: Comparing,
  report: TableReport,
): Promise<boolean> {
  let rows = 0n;
  const { comparison, notes } = await verifier.compare(plan, rowHashColumn, (more) => {
    rows += more;
    onRows(rows);
  });
  const changes = { insert: 0, update: 0, delete: 0 };
  const keys: TableReport['keys'] = { insert: [], update: [], delete: [] };
  for await (const difference of comparison.differences()) {
    for (const { change, key } of difference.changes) {
      changes[change]++;
      if (keys[change].length < details) keys[change].push(key);
    }
    if (rowHashColumn !== null && changes.update > 0) return false;
  }
  const isWhole = comparison.method === 'whole table';
  if (rowHashColumn !== null && isWhole && !comparison.matches) return false;
  report.notes.push(...notes);
  report.method = comparison.method;
  report.status = comparison.matches ? 'match' : 'differs';
  report.sourceRows = comparison.totals.source.rows;
  report.targetRows = comparison.totals.target.rows;
  report.keys = keys;
  if (isWhole) {
    report.notes.push('no primary key or unique key: compared as a whole, differing rows can not be named');
  } else {
    report.changes = changes;
  }
  if (comparison.settledLate) {
    report.notes.push('totals differed at first and the rows did not: rows were written meanwhile');
  }
  return true;
}

function countSource(verifier: Verifier, plan: TablePlan): Promise<bigint> {
  return verifier.pool.use(async ({ source }) => {
    const [row] = await source.query(
      `SELECT CONVERT(nvarchar(20), COUNT_BIG(*)) AS n FROM ${quoteTable(plan.source)} AS t`,
      [],
      plan.approximateRows,
    );
    return BigInt(String(row?.n));
  });
}
