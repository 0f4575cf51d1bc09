/**
 * The hashes as SQL: what each server computes over its own real column values, equal byte for byte to what the
 * hash tier computes over the bytes in a ring.
 *
 * Pure functions, any thread. Source expressions speak of a table aliased `t`, and so do the target's.
 */
import type { NulPolicy } from '../copy/text.js';
import { type HashField, hashFields } from '../plan/chunk.js';
import { copiedColumns, type PlannedColumn, type TablePlan } from '../plan/model.js';
import { quote } from '../source/sql.js';
import { fewerDecimals, isText } from '../target/compatible.js';
import { quoteIdent } from '../target/identifiers.js';
import { numberText } from '../types/decimal.js';
import { byteaLiteral, hex32, MAX_VARBINARY_BYTES } from '../types/hash.js';
import { mapColumn } from '../types/index.js';

export type SideName = 'source' | 'target';

/** A column as an expression of one server, for the canonical form; `t.[Name]` unless said otherwise. */
export interface HashedExpression {
  column: Pick<PlannedColumn, 'source' | 'nullable'>;
  expression: string;
}

/** @returns the columns the stored row hash covers, in ordinal order: of what is copied. */
export function hashedColumns(plan: Pick<TablePlan, 'columns'>): PlannedColumn[] {
  return copiedColumns(plan).filter(({ hashed }) => hashed);
}

/** @returns a note that names the columns the hash does not cover, or none: a change in them goes unseen. */
export function unhashedNotes(
  plan: Pick<TablePlan, 'columns'>,
  what = 'not compared (hash_text_columns: false)',
): string[] {
  const names = plan.columns
    .filter(({ hashed, keyPosition }) => !hashed && keyPosition < 0)
    .map(({ sourceName }) => sourceName);
  return names.length === 0 ? [] : [`${what}: ${names.join(', ')}`];
}

/** @returns the identifying key's columns in key order. */
export function keyColumns(plan: Pick<TablePlan, 'columns'>): PlannedColumn[] {
  return plan.columns
    .filter(({ keyPosition }) => keyPosition >= 0)
    .sort((a, b) => a.keyPosition - b.keyPosition);
}

/** @returns the columns a comparison looks at, in ordinal order: key and hashed ones, and those the target computes. */
export function comparedColumns(plan: Pick<TablePlan, 'columns'>): PlannedColumn[] {
  return plan.columns.filter(({ hashed, keyPosition }) => hashed || keyPosition >= 0);
}

/** @returns `columns` as expressions of one side. */
export function expressionsOf(columns: readonly PlannedColumn[], side: SideName): HashedExpression[] {
  return columns.map((column) => ({
    column,
    expression: side === 'source' ? `t.${quote(column.sourceName)}` : targetValue(column),
  }));
}

/** A number that has no more decimals than the source's is as it is there: without those that are zero. */
function targetValue({ targetName, pgType, typeThere }: PlannedColumn): string {
  const value = `t.${quoteIdent(targetName)}`;
  const decimals = typeThere === undefined ? null : fewerDecimals(pgType, typeThere);
  if (decimals === null) return value;
  const rounded = `round(${value}, ${decimals})`;
  return `CASE WHEN ${rounded} = ${value} THEN ${rounded} ELSE ${value} END`;
}

/**
 * @returns what PostgreSQL sends of a column whose rows are hashed here. Of a number it is the text that is hashed: the
 * target's may be one that no column like the source's holds, which has no other canonical form.
 */
export function sentValue(column: PlannedColumn): string {
  const value = targetValue(column);
  const [{ scale }] = hashFields([column]) as [HashField];
  if (scale === undefined) return value;
  return isText(column.typeThere ?? '') ? `${value}::text` : numberText(value, scale);
}

/** @returns the column as `sentValue` sends it */
export function asSent(column: PlannedColumn): PlannedColumn {
  return column.field === 'numeric' ? { ...column, field: 'text' } : column;
}

/** @returns whether the canonical form of these columns may be longer than a varbinary(8000) */
export function isLong(columns: readonly Pick<PlannedColumn, 'source'>[]): boolean {
  const most = columns.reduce((sum, { source }) => sum + 4 + mapColumn(source).hash.maxBytes, 0);
  return most > MAX_VARBINARY_BYTES;
}

/** Binary strings are cut at 8000 bytes, without an error, unless the first of them is of the type that has no limit. */
const WITHOUT_LIMIT = 'CONVERT(varbinary(max), 0x)';

/**
 * T-SQL expression of the canonical form of these values as varbinary: for each `ff ff ff ff` where it is NULL, else
 * its length as big-endian int32 and its bytes.
 *
 * @returns null where SQL Server can't give a value's bytes
 */
export function sourceCanonical(values: readonly HashedExpression[], nul: NulPolicy): string | null {
  const pieces: string[] = [];
  for (const { column, expression } of values) {
    const { hash } = mapColumn(column.source);
    if (hash.sourceBytes === null) return null;
    const bytes = hash.sourceBytes(expression, nul);
    const length =
      hash.fixedBytes === null
        ? `CONVERT(binary(4), CONVERT(int, DATALENGTH(${bytes})))`
        : `0x${hex32(hash.fixedBytes)}`;
    // A branch of CASE is put together by itself.
    const start = Number.isFinite(hash.maxBytes) && isLong([column]) ? `${WITHOUT_LIMIT} + ` : '';
    pieces.push(
      column.nullable
        ? `CASE WHEN ${expression} IS NULL THEN 0xFFFFFFFF ELSE ${start}${length} + ${bytes} END`
        : `${length} + ${bytes}`,
    );
  }
  if (isLong(values.map(({ column }) => column))) pieces.unshift(WITHOUT_LIMIT);
  return pieces.length === 0 ? '0x' : pieces.join(' + ');
}

/** PostgreSQL expression of the same, as bytea. The target's columns may hold NULL whatever the source says. */
export function targetCanonical(values: readonly HashedExpression[]): string {
  const pieces = values.map(({ column, expression }) => {
    const { hash } = mapColumn(column.source);
    return `COALESCE(${hash.targetField(expression)}, ${byteaLiteral('ffffffff')})`;
  });
  return pieces.length === 0 ? byteaLiteral('') : pieces.join(' || ');
}

/**
 * The row hash as it is stored: MD5 over the hashed columns, 32 lower-case hex digits.
 *
 * @returns null where the server can't compute it
 */
export function rowHashSql(plan: TablePlan, side: SideName, nul: NulPolicy): string | null {
  return digits(expressionsOf(hashedColumns(plan), side), side, nul);
}

/** The same over the key columns, in key order. */
export function keyHashSql(plan: TablePlan, side: SideName, nul: NulPolicy): string | null {
  return digits(expressionsOf(keyColumns(plan), side), side, nul);
}

/** @returns the hash of these values as 32 lower-case hex digits, or null where the server can't compute it. */
export function digits(values: readonly HashedExpression[], side: SideName, nul: NulPolicy): string | null {
  if (side === 'target') return `md5(${targetCanonical(values)})`;
  const canonical = sourceCanonical(values, nul);
  return canonical === null ? null : sourceDigits(sourceMd5(canonical));
}

/** MD5 as varbinary(16). */
export function sourceMd5(bytes: string): string {
  return `HASHBYTES('MD5', ${bytes})`;
}

/** A hash as lower-case hex digits. */
export function sourceDigits(hash: string): string {
  return `LOWER(CONVERT(char(32), ${hash}, 2))`;
}
