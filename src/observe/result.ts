/**
 * What a command leaves behind: the one JSON line of `--output-json`, and the table people read.
 *
 * Pure; runs on the main thread. Every command's line begins with the same fields (`ResultHead`), on success
 * and on failure, so that a scheduler can read it without knowing the command.
 */
import type { RowChanges, RunOutcome, TableOutcome } from '../engine/events.js';
import { type ErrorData, exitCodeOf, fromErrorData, isRetryable } from '../errors.js';
import { byteCount, count, duration, short, textTable } from './format.js';

export interface ResultError {
  code: string;
  message: string;
  remedy: string | null;
  exit_code: number;
  /** The same command may succeed later without anyone changing anything. */
  recoverable: boolean;
  table?: string;
  column?: string;
  key?: string;
  server_code?: string;
}

export interface ResultHead {
  /** null where the command failed before there was a run. */
  run_id: string | null;
  command: string | null;
  status: 'success' | 'failed' | 'cancelled';
  started_at: string;
  finished_at: string;
  duration_seconds: number;
  error: ResultError | null;
}

export interface TableResult {
  table: string;
  target: string;
  status: string;
  rows: number;
  bytes: number;
  duration_seconds: number;
  rows_per_second: number;
  /** `upsert` into a table that had rows: what was found to do. */
  changes?: RowChanges;
  notes: string[];
  error?: ResultError;
}

export interface RunResult extends ResultHead {
  tables_total: number;
  tables_success: number;
  tables_failed: number;
  rows_transferred: number;
  bytes: number;
  rows_per_second: number;
  tables: TableResult[];
  failed_tables: string[];
  steps: { step: string; table: string; name: string; duration_seconds: number; error?: ResultError }[];
  notes: string[];
}

/** When a command began and ended. */
export interface Span {
  startedAt: Date;
  finishedAt: Date;
}

export function errorResult(error: ErrorData): ResultError {
  const raised = fromErrorData(error);
  return {
    code: error.code,
    message: error.message,
    remedy: error.remedy ?? null,
    exit_code: exitCodeOf(raised),
    recoverable: isRetryable(raised),
    ...(error.table !== undefined && { table: error.table }),
    ...(error.column !== undefined && { column: error.column }),
    ...(error.key !== undefined && { key: error.key }),
    ...(error.serverCode !== undefined && { server_code: error.serverCode }),
  };
}

/** The fields every command's result begins with. */
export function resultHead(
  command: string | null,
  span: Span,
  error: ErrorData | undefined,
  runId: string | null = null,
): ResultHead {
  let status: ResultHead['status'] = 'success';
  if (error !== undefined) status = error.code === 'CANCELLED' ? 'cancelled' : 'failed';
  return {
    run_id: runId,
    command,
    status,
    started_at: span.startedAt.toISOString(),
    finished_at: span.finishedAt.toISOString(),
    duration_seconds: seconds(span.finishedAt.getTime() - span.startedAt.getTime()),
    error: error === undefined ? null : errorResult(error),
  };
}

export function runResult(command: string, span: Span, outcome: RunOutcome): RunResult {
  const { tables } = outcome;
  const rows = tables.reduce((sum, t) => sum + t.rows, 0);
  const wallMs = span.finishedAt.getTime() - span.startedAt.getTime();
  const failed = tables.filter((t) => t.status === 'failed');
  return {
    ...resultHead(command, span, outcome.error, outcome.runId),
    tables_total: tables.length,
    tables_success: tables.filter((t) => t.status === 'success').length,
    tables_failed: failed.length,
    rows_transferred: rows,
    bytes: tables.reduce((sum, t) => sum + t.bytes, 0),
    rows_per_second: perSecond(rows, wallMs),
    tables: tables.map(tableResult),
    failed_tables: failed.map((t) => t.table),
    steps: outcome.steps.map(({ step, table, name, durationMs, error }) => ({
      step,
      table,
      name,
      duration_seconds: seconds(durationMs),
      ...(error !== undefined && { error: errorResult(error) }),
    })),
    notes: outcome.notes,
  };
}

function tableResult(t: TableOutcome): TableResult {
  return {
    table: t.table,
    target: t.target,
    status: t.status,
    rows: t.rows,
    bytes: t.bytes,
    duration_seconds: seconds(t.durationMs),
    rows_per_second: perSecond(t.rows, t.durationMs),
    ...(t.changes !== undefined && { changes: t.changes }),
    notes: t.notes,
    ...(t.error !== undefined && { error: errorResult(t.error) }),
  };
}

/** The end of a run for people: a table, what went wrong, what to know, and one line that sums it up. */
export function runReport(result: RunResult): string {
  const lines: string[] = [];
  if (result.tables.length > 0) {
    lines.push(
      textTable(
        [
          { title: 'table' },
          { title: 'target' },
          { title: 'status' },
          { title: 'rows', align: 'right' },
          { title: 'size', align: 'right' },
          { title: 'time', align: 'right' },
          { title: 'rows/s', align: 'right' },
        ],
        result.tables.map((t) => [
          t.table,
          t.target,
          t.status,
          count(t.rows),
          byteCount(t.bytes),
          duration(t.duration_seconds * 1000),
          short(t.rows_per_second),
        ]),
      ),
      '',
    );
  }
  for (const t of result.tables) {
    if (t.error !== undefined) lines.push(...errorLines(`${t.table} failed`, t.error));
  }
  for (const s of result.steps) {
    if (s.error !== undefined) lines.push(...errorLines(`${s.step} ${s.name} of ${s.table} failed`, s.error));
  }
  const notes = [
    ...result.tables.flatMap((t) => t.notes.map((note) => `${t.table}: ${note}`)),
    ...result.notes,
  ];
  if (notes.length > 0) lines.push('Notes', ...notes.map((note) => `  ${note}`), '');
  const verdict = { success: 'Done', failed: 'Failed', cancelled: 'Cancelled' }[result.status];
  lines.push(
    `${verdict}: ${result.tables_success} of ${result.tables_total} tables, ` +
      `${count(result.rows_transferred)} rows, ${byteCount(result.bytes)} ` +
      `in ${duration(result.duration_seconds * 1000)} (${short(result.rows_per_second)} rows/s)`,
  );
  return lines.join('\n');
}

/** `<heading>: <message> (table ..., column ...)` and, under it, what to do. */
export function errorLines(heading: string, error: ResultError): string[] {
  const place = (['table', 'column', 'key'] as const)
    .filter((name) => error[name] !== undefined && !error.message.includes(error[name]))
    .map((name) => `${name} ${error[name]}`);
  const where = place.length === 0 ? '' : ` (${place.join(', ')})`;
  const lines = [`${heading === '' ? '' : `${heading}: `}${error.message}${where} [${error.code}]`];
  if (error.remedy !== null) lines.push(`  What to do: ${error.remedy}`);
  return lines;
}

/** Milliseconds as seconds with three decimals. */
export function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}

function perSecond(value: number, ms: number): number {
  return ms <= 0 ? 0 : Math.round((value * 1000) / ms);
}
