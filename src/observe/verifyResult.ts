/**
 * What a verification leaves behind: the JSON line of `verify --output-json`, and its verdict.
 *
 * Pure; runs on the main thread.
 */
import type { VerifyOutcome } from '../engine/verifyRun.js';
import { AppError, type ErrorData, toErrorData } from '../errors.js';
import type { TableReport } from '../verify/verify.js';
import type { VerifyResult, VerifyTableResult } from './commandSchemas.js';
import { errorResult, resultHead, type Span, seconds } from './result.js';

/** @param error `verifyVerdict`, or what went wrong besides */
export function verifyResult(
  command: string,
  span: Span,
  { tables, notes, runId }: VerifyOutcome,
  error: ErrorData | undefined,
): VerifyResult {
  const failed = tables.filter(({ status }) => status === 'failed');
  return {
    ...resultHead(command, span, error, runId),
    tables_total: tables.length,
    tables_matching: tables.filter(({ status }) => status === 'match').length,
    tables_differing: tables.filter(({ status }) => status === 'differs' || status === 'missing').length,
    tables_failed: failed.length,
    tables: tables.map(verifyTable),
    failed_tables: failed.map(({ table }) => table),
    notes,
  };
}

/** @returns why a verification did not succeed. A difference is the answer to the question asked; a table that could not be compared leaves it open. */
export function verifyVerdict({ tables }: VerifyOutcome): ErrorData | undefined {
  const differing = tables.filter(({ status }) => status === 'differs' || status === 'missing');
  if (differing.length > 0) {
    const named = differing
      .slice(0, 5)
      .map(({ table, status }) => (status === 'missing' ? `${table} (not in the target)` : table))
      .join(', ');
    const rest = differing.length > 5 ? ` and ${differing.length - 5} more` : '';
    const failed = tables.filter(({ status }) => status === 'failed').length;
    const open = failed === 0 ? '' : `; ${failed} could not be compared`;
    return toErrorData(
      new AppError(
        'ROWS_DIFFER',
        `rows differ in ${differing.length} of ${tables.length} tables: ${named}${rest}${open}`,
        {
          remedy:
            'verify --details 20 names the rows; if the source was written to since the migration, run it again',
        },
      ),
    );
  }
  const failed = tables.find(({ status }) => status === 'failed');
  return failed?.error;
}

/** A number; as text where a JavaScript number can't hold it exactly. */
type Count = number | string;

function verifyTable(report: TableReport): VerifyTableResult {
  const { table, target, status, method, changes, keys, notes, error } = report;
  return {
    table,
    target,
    status,
    method,
    source_rows: jsonCount(report.sourceRows),
    target_rows: jsonCount(report.targetRows),
    inserts_needed: changes?.insert ?? null,
    updates_needed: changes?.update ?? null,
    deletes_needed: changes?.delete ?? null,
    details: { inserts: keys.insert, updates: keys.update, deletes: keys.delete },
    duration_seconds: seconds(report.durationMs),
    notes,
    ...(error !== undefined && { error: errorResult(error) }),
  };
}

function jsonCount(value: bigint | null): Count | null {
  if (value === null) return null;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}
