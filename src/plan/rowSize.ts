/**
 * How wide the rows of a table may become in PostgreSQL, which keeps each within a page but for values it stores apart.
 *
 * Runs on the main thread; pure.
 */
import type { CopyField } from '../copy/frame.js';
import { mapColumn } from '../types/index.js';
import type { PlannedColumn } from './model.js';

/** MaxHeapTupleSize of pages of 8 kB. */
export const MAX_PAGE_ROW_BYTES = 8160;
const HEADER_BYTES = 23;
const ALIGNED_BYTES = 8;
/** Bytes and alignment of the types that have one size. */
const FIXED: Partial<Record<CopyField, readonly [bytes: number, alignment: number]>> = {
  bool: [1, 1],
  int2: [2, 2],
  int4: [4, 4],
  int8: [8, 8],
  float4: [4, 4],
  float8: [8, 8],
  date: [4, 4],
  time: [8, 8],
  timestamp: [8, 8],
  timestamptz: [8, 8],
  uuid: [16, 1],
};
/** The longest value that is never stored apart, a pointer in its place; behind a byte that tells its length. */
export const MAX_KEPT_BYTES = 20;
export const POINTER_BYTES = 18;
/** Digits of a numeric come in fours of two bytes, on either side of the point, behind a header of two. */
const DIGITS = 4;

type Sized = Pick<PlannedColumn, 'source' | 'field' | 'pgType'>;

/** @returns the bytes of the widest row of these columns whose long values are stored apart, if they can be */
export function widestRowBytes(columns: readonly Sized[], rowHash: boolean): number {
  const header = rowBytesWithout(columns, rowHash);
  const end = columns.reduce(
    (at, column) => aligned(at, FIXED[column.field]?.[1] ?? 1) + keptBytes(column),
    header,
  );
  return aligned(end, ALIGNED_BYTES);
}

/** @returns the bytes of a row beside its columns' values: its header with a bit for each NULL, and the row hash */
export function rowBytesWithout(columns: readonly Sized[], rowHash: boolean): number {
  const fields = columns.length + (rowHash ? 1 : 0);
  return aligned(HEADER_BYTES + Math.ceil(fields / 8), ALIGNED_BYTES) + (rowHash ? POINTER_BYTES : 0);
}

/** @returns the most bytes a value of this column takes in its row, if long ones are stored apart */
export function keptBytes(column: Sized): number {
  return FIXED[column.field]?.[0] ?? 1 + Math.min(MAX_KEPT_BYTES, mostBytes(column));
}

function mostBytes({ source, field, pgType }: Sized): number {
  if (field !== 'numeric') return mapColumn(source).hash.maxBytes;
  const [, precision, scale] = /\((\d+),(\d+)\)/.exec(pgType) ?? [];
  if (precision === undefined) return Number.POSITIVE_INFINITY;
  const groups = Math.ceil((Number(precision) - Number(scale)) / DIGITS) + Math.ceil(Number(scale) / DIGITS);
  return 2 + 2 * groups;
}

function aligned(bytes: number, to: number): number {
  return Math.ceil(bytes / to) * to;
}
