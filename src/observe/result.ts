/**
 * What a command leaves behind: the one JSON line of `--output-json`, and the table people read.
 *
 * Pure; runs on the main thread. Every command's line begins with the same fields (`ResultHead`), on success
 * and on failure, so that a scheduler can read it without knowing the command; `schemas.ts` describes them.
 */

import type { RunOutcome, TableOutcome } from '../engine/events.js';
import { type ErrorData, exitCodeOf, fromErrorData, isRetryable } from '../errors.js';
import { redacted } from '../secrets.js';
import { byteCount, count, duration, short, textTable } from './format.js';
import type { ResultError, ResultHead, RunResult, TableResult } from './schemas.js';

export type { ResultError, ResultHead, RunResult, TableResult };

/** When a command began and ended. */
export interface Span {
  startedAt: Date;
  finishedAt: Date;
}

export function errorResult(error: ErrorData): ResultError {
  const raised = fromErrorData(error);
  return {
    code: error.code,
    // Drivers and servers may repeat what they were given.
    message: redacted(error.message),
    remedy: error.remedy === undefined ? null : redacted(error.remedy),
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
  const head = resultHead(command, span, outcome.error, outcome.runId);
  // Another try makes sense where one of the tables may get further in it.
  if (head.error?.code === 'TABLES_FAILED') {
    head.error.recoverable = failed.some(
      ({ error }) => error === undefined || isRetryable(fromErrorData(error)),
    );
  }
  return {
    ...head,
    tables_total: tables.length,
    tables_success: tables.filter((t) => t.status === 'success').length,
    tables_failed: failed.length,
    rows_transferred: rows,
    bytes: tables.reduce((sum, t) => sum + t.bytes, 0),
    rows_per_second: perSecond(rows, wallMs),
    retries: tables.reduce((sum, t) => sum + (t.retries ?? 0), 0),
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
    retries: t.retries ?? 0,
    ...(t.changes !== undefined && { changes: t.changes }),
    left_out: t.leftOut ?? [],
    notes: t.notes,
    ...(t.error !== undefined && { error: errorResult(t.error) }),
  };
}

const LEFT_OUT = 'left out: ';

/**
 * The end of a run for people: a table, what went wrong, what was left out, what to know, and one line that sums it up.
 *
 * @param width characters a line of the table may take
 */
export function runReport(result: RunResult, width?: number): string {
  const lines: string[] = [];
  const right = (title: string, rank?: number) => ({ title, align: 'right' as const, rank });
  if (result.tables.length > 0) {
    lines.push(
      textTable(
        [
          { title: 'table' },
          { title: 'target', rank: 3 },
          { title: 'status' },
          right('rows'),
          right('size', 2),
          right('time', 1),
          right('rows/s', 1),
          right('retries', result.retries === 0 ? 4 : undefined),
        ],
        result.tables.map((t) => [
          t.table,
          t.target,
          t.status,
          count(t.rows),
          byteCount(t.bytes),
          duration(t.duration_seconds * 1000),
          short(t.rows_per_second),
          t.retries === 0 ? '' : String(t.retries),
        ]),
        width,
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
  const notes = result.tables.flatMap((t) => t.notes.map((text) => ({ table: t.table, text })));
  const leftOut = notes
    .filter(({ text }) => text.startsWith(LEFT_OUT))
    .map(({ table, text }) => `  ${table}: ${text.slice(LEFT_OUT.length)}`);
  if (leftOut.length > 0) lines.push('Left out', ...leftOut, '');
  const others = [
    ...notes.filter(({ text }) => !text.startsWith(LEFT_OUT)).map(({ table, text }) => `  ${table}: ${text}`),
    ...result.notes.map((text) => `  ${text}`),
  ];
  if (others.length > 0) lines.push('Notes', ...others, '');
  const verdict = { success: 'Done:', failed: 'Failed; complete:', cancelled: 'Cancelled; complete:' }[
    result.status
  ];
  lines.push(
    `${verdict} ${result.tables_success} of ${result.tables_total} tables, ` +
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
