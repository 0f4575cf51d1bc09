/**
 * The T-SQL that reads a table: one partition's rows in key order, and the keys at which partitions are cut.
 *
 * Pure functions, any thread. Bounds are parameters, turned back into the key columns' own types by the source,
 * so that it is the source that compares them, in its own order.
 */

import { AppError } from '../errors.js';
import { type SourceColumn, tableLabel } from '../source/model.js';
import { quote, quoteTable } from '../source/sql.js';
import type { KeyText } from '../types/family.js';
import { mapColumn } from '../types/index.js';
import { copiedColumns, type Partition, type SourceQuery, type TablePlan } from './model.js';

/** A column of the identifying key that can bound a range. */
export interface RangeColumn {
  column: SourceColumn;
  text: KeyText;
}

/** @returns the key columns in key order, or null where there is no key or one of its types can't bound a range. */
export function rangeColumns(plan: TablePlan): RangeColumn[] | null {
  if (plan.keyColumns.length === 0) return null;
  const parts: RangeColumn[] = [];
  for (const name of plan.keyColumns) {
    const column = plan.columns.find((candidate) => candidate.sourceName === name)?.source;
    const text = column === undefined ? null : mapColumn(column).keyText;
    if (column === undefined || text === null) return null;
    parts.push({ column, text });
  }
  return parts;
}

/** @returns whether the source makes of these key texts the very values they were made of, so that they may bound a range. */
export function isExactKey(key: readonly RangeColumn[], texts: readonly string[]): boolean {
  return key.every(({ text }, i) => text.isExact?.(texts[i]!) !== false);
}

/**
 * The statement that reads the rows of `partition`, columns in plan order, ordered by the key where there is one.
 *
 * @param options.isolation `read_uncommitted` adds NOLOCK; the others are set on the session.
 */
export function readQuery(
  plan: TablePlan,
  partition: Pick<Partition, 'lower' | 'upper'>,
  options: { isolation: 'read_committed' | 'snapshot' | 'read_uncommitted' },
): SourceQuery {
  const select = copiedColumns(plan)
    .map((column) => column.selectExpression)
    .join(', ');
  const hint = options.isolation === 'read_uncommitted' ? ' WITH (NOLOCK)' : '';
  const { condition, parameters } = rangeCondition(plan, partition);
  // Qualified, because ORDER BY prefers a select list's names over the table's.
  const order = plan.keyColumns.map((name) => `t.${quote(name)}`);
  return {
    sql:
      `SELECT ${select} FROM ${quoteTable(plan.source)} AS t${hint}` +
      (condition === '' ? '' : ` WHERE ${condition}`) +
      (order.length === 0 ? '' : ` ORDER BY ${order.join(', ')}`),
    parameters,
  };
}

/** The statement that reads the first rows there are, in no order: for a look at how fast they come. */
export function sampleQuery(
  plan: TablePlan,
  rows: number,
  options: { isolation: 'read_committed' | 'snapshot' | 'read_uncommitted' },
): SourceQuery {
  const { sql } = readQuery({ ...plan, keyColumns: [] }, { lower: null, upper: null }, options);
  return {
    sql: sql.replace(/^SELECT /, 'SELECT TOP (CONVERT(bigint, @rows)) '),
    parameters: [{ name: 'rows', value: String(rows) }],
  };
}

/** @returns the condition that keeps to a key range of the table aliased `t`, empty where it is open on both sides. */
export function rangeCondition(
  plan: TablePlan,
  range: Pick<Partition, 'lower' | 'upper'>,
): { condition: string; parameters: SourceQuery['parameters'] } {
  if (range.lower === null && range.upper === null) return { condition: '', parameters: [] };
  const key = rangeColumns(plan);
  if (key === null) {
    throw new AppError('INTERNAL', `${tableLabel(plan.source)} has no key that could bound a partition`);
  }
  const lower = bound('lo', range.lower);
  const upper = bound('hi', range.upper);
  const conditions: string[] = [];
  if (range.lower !== null) conditions.push(after(key, lower.names));
  if (range.upper !== null) conditions.push(upTo(key, upper.names));
  return { condition: conditions.join(' AND '), parameters: [...lower.parameters, ...upper.parameters] };
}

/**
 * The statement that gives the exact key texts (`k0`, `k1`, ...) of every `stepRows`-th row in key order, of the
 * whole table or within a range.
 */
export function boundaryQuery(
  plan: TablePlan,
  key: readonly RangeColumn[],
  stepRows: number,
  within: Pick<Partition, 'lower' | 'upper'> = { lower: null, upper: null },
): SourceQuery {
  const { condition, parameters } = rangeCondition(plan, within);
  const texts = key.map(({ text }, index) => `${text.toText(`x.[k${index}]`)} AS k${index}`);
  const columns = key.map(({ column }, index) => `t.${quote(column.name)} AS [k${index}]`);
  const order = key.map(({ column }) => `t.${quote(column.name)}`);
  return {
    sql:
      `SELECT ${texts.join(', ')} FROM (` +
      `SELECT ${columns.join(', ')}, ROW_NUMBER() OVER (ORDER BY ${order.join(', ')}) AS rn ` +
      `FROM ${quoteTable(plan.source)} AS t${condition === '' ? '' : ` WHERE ${condition}`}) AS x ` +
      'WHERE x.rn % CONVERT(bigint, @step) = 0 ORDER BY x.rn',
    parameters: [...parameters, { name: 'step', value: String(stepRows) }],
  };
}

/** `(a, b) > (@lo0, @lo1)`, written so that an index on the key can be used: T-SQL has no row comparison. */
function after(key: readonly RangeColumn[], names: readonly string[], at = 0): string {
  const { left, right } = operands(key, names, at);
  if (at === key.length - 1) return `${left} > ${right}`;
  return `(${left} >= ${right} AND (${left} > ${right} OR ${after(key, names, at + 1)}))`;
}

/** `(a, b) <= (@hi0, @hi1)`. */
function upTo(key: readonly RangeColumn[], names: readonly string[], at = 0): string {
  const { left, right } = operands(key, names, at);
  if (at === key.length - 1) return `${left} <= ${right}`;
  return `(${left} <= ${right} AND (${left} < ${right} OR ${upTo(key, names, at + 1)}))`;
}

function operands(key: readonly RangeColumn[], names: readonly string[], at: number) {
  const part = key[at];
  const name = names[at];
  if (part === undefined || name === undefined) {
    throw new AppError(
      'INTERNAL',
      `A range bound has ${names.length} values for a key of ${key.length} columns`,
    );
  }
  return { left: `t.${quote(part.column.name)}`, right: part.text.fromText(name) };
}

function bound(prefix: string, values: readonly string[] | null) {
  const parameters = (values ?? []).map((value, index) => ({ name: `${prefix}${index}`, value }));
  return { parameters, names: parameters.map(({ name }) => `@${name}`) };
}
