/**
 * Rows that are wider than a page of PostgreSQL, for all that can be stored apart.
 *
 * Pure; runs on the main thread.
 */
import { quote } from '../../source/sql.js';
import type { PlannedColumn, TablePlan } from '../model.js';
import {
  keptBytes,
  MAX_KEPT_BYTES,
  MAX_PAGE_ROW_BYTES,
  POINTER_BYTES,
  rowBytesWithout,
  widestRowBytes,
} from '../rowSize.js';
import { isVarying, sizeOf } from './indexRows.js';
import type { ScanOptions, ValueProbe } from './values.js';

/** @returns a probe where the table's columns allow such rows. */
export function wideRows(plan: TablePlan, options: ScanOptions): ValueProbe[] {
  const rowHash = plan.rowHashColumn !== null;
  if (widestRowBytes(plan.columns, rowHash) <= MAX_PAGE_ROW_BYTES) return [];
  const sizes = plan.columns.map((column) => storedBytes(column, options));
  return [
    {
      kind: 'wide row',
      severity: 'warns',
      column: null,
      object: null,
      condition: `${rowBytesWithout(plan.columns, rowHash)} + ${sizes.join(' + ')} > ${MAX_PAGE_ROW_BYTES}`,
      effect: `a row has to fit a page of PostgreSQL, ${MAX_PAGE_ROW_BYTES} bytes without the long values, which are stored apart: these hardly do, and one that does not fails the table`,
      remedy:
        'Give columns smaller types in migration.type_overrides, move some to a second table in the source, or exclude the table.',
      code: 'VALUE_TOO_LARGE',
    },
  ];
}

/** Bytes of the value in a row of the target, as T-SQL. */
function storedBytes(column: PlannedColumn, options: ScanOptions): string {
  const isNull = `WHEN t.${quote(column.sourceName)} IS NULL THEN 0`;
  if (!isVarying(column)) {
    const bytes = keptBytes(column);
    return column.nullable ? `CASE ${isNull} ELSE ${bytes} END` : String(bytes);
  }
  const size = sizeOf(column, options);
  return `CASE ${isNull} WHEN ${size} > ${MAX_KEPT_BYTES} THEN ${POINTER_BYTES} ELSE 1 + ${size} END`;
}
