/**
 * `verify`: every table compared, and for each what would have to be done to make the target equal the source.
 *
 * Main thread.
 */
import { AppError, atPlace, type ErrorData, toErrorData } from '../errors.js';
import type { TablePlan } from '../plan/model.js';
import { tableLabel } from '../source/model.js';
import { rowFilterNote } from '../source/rowFilters.js';
import { quoteTable } from '../source/sql.js';
import type { CompareMethod } from './compare.js';
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
  finished?(report: TableReport): void;
  note?(text: string): void;
}

export interface VerifyRun {
  plans: readonly TablePlan[];
  parallel: number;
  /** Keys to name of each kind of change. */
  details: number;
  signal: AbortSignal;
  events?: VerifyEvents;
}

/**
 * Compares every table.
 *
 * @returns the reports in plan order; a table that could not be compared is one of them
 * @throws AppError CANCELLED, or what ends the comparison as a whole: a lost connection
 */
export async function verifyTables(verifier: Verifier, run: VerifyRun): Promise<TableReport[]> {
  const { plans, signal, events = {} } = run;
  const cut = (): void => void verifier.close();
  signal.addEventListener('abort', cut, { once: true });
  const reports: TableReport[] = new Array(plans.length);
  try {
    signal.throwIfAborted();
    for (const text of await verifier.prepare(plans)) events.note?.(text);
    const numbered = plans.map((plan, i) => ({ plan, i }));
    const each = interleave(numbered, run.parallel, async function* ({ plan, i }) {
      events.started?.(plan);
      yield { i, report: await verifyTable(verifier, plan, run) };
    });
    for await (const { i, report } of each) {
      reports[i] = report;
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

async function verifyTable(verifier: Verifier, plan: TablePlan, run: VerifyRun): Promise<TableReport> {
  const startedMs = performance.now();
  const report: TableReport = {
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
  try {
    if (verifier.targetState(plan) === 'missing') {
      report.sourceRows = await countSource(verifier, plan);
      report.changes = { insert: Number(report.sourceRows), update: 0, delete: 0 };
      report.notes.push('the target has no such table');
    } else {
      await compare(verifier, plan, run, report);
    }
  } catch (error) {
    const data = toErrorData(atPlace(error, { table: report.table }));
    if (data.code.endsWith('_CONNECTION_LOST') || data.code === 'CANCELLED') throw error;
    report.status = 'failed';
    report.error = data;
  }
  report.durationMs = performance.now() - startedMs;
  return report;
}

async function compare(
  verifier: Verifier,
  plan: TablePlan,
  { details, events }: VerifyRun,
  report: TableReport,
): Promise<void> {
  let rows = 0n;
  const { comparison, notes } = await verifier.compare(plan, (more) => {
    rows += more;
    events?.rows?.(plan, rows);
  });
  report.notes.push(...notes);
  report.method = comparison.method;
  const changes = { insert: 0, update: 0, delete: 0 };
  for await (const difference of comparison.differences()) {
    for (const { change, key } of difference.changes) {
      changes[change]++;
      if (report.keys[change].length < details) report.keys[change].push(key);
    }
  }
  report.status = comparison.matches ? 'match' : 'differs';
  report.sourceRows = comparison.totals.source.rows;
  report.targetRows = comparison.totals.target.rows;
  if (comparison.method === 'whole table') {
    report.notes.push('no primary key or unique key: compared as a whole, differing rows can not be named');
  } else {
    report.changes = changes;
  }
  if (comparison.settledLate) {
    report.notes.push('totals differed at first and the rows did not: rows were written meanwhile');
  }
}

/** Columns the hash does not cover must be said: a change in them goes unseen. */
function unhashedNotes(plan: TablePlan): string[] {
  const names = plan.columns.filter(({ hashed, keyPosition }) => !hashed && keyPosition < 0);
  return names.length === 0
    ? []
    : [`not compared (hash_text_columns: false): ${names.map(({ sourceName }) => sourceName).join(', ')}`];
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
