/**
 * The statements that ask all conditions about a table's rows in one pass, and for the key of one that has answered.
 *
 * Pure; runs on the main thread. Names are quoted, bounds are parameters; conditions hold column names and numbers
 * of this program's own only.
 */
import { quote, quoteTable } from '../../source/sql.js';
import type { KeyRange, SourceQuery, TablePlan } from '../model.js';
import { rangeColumns, rangeCondition } from '../queries.js';
import type { ValueProbe } from './values.js';

interface Reading {
  isolation: 'read_committed' | 'snapshot' | 'read_uncommitted';
}

/** @returns the statement that gives one row: `n` rows of the range, and `c0`, `c1`, ... of them with each condition. */
export function countQuery(
  plan: TablePlan,
  range: KeyRange,
  probes: readonly ValueProbe[],
  reading: Reading,
): SourceQuery {
  const counts = probes.map(
    ({ condition }, i) =>
      `CONVERT(nvarchar(20), SUM(CASE WHEN ${condition} THEN CONVERT(bigint, 1) ELSE CONVERT(bigint, 0) END)) AS c${i}`,
  );
  const { condition, parameters } = rangeCondition(plan, range);
  const select = ['CONVERT(nvarchar(20), COUNT_BIG(*)) AS n', ...counts].join(', ');
  const where = condition === '' ? '' : ` WHERE ${condition}`;
  return { sql: `SELECT ${select} ${from(plan, reading)}${where}`, parameters };
}

/** @returns the statement that gives the key (`k0`, `k1`, ...) of the first such row of the range, or null without key. */
export function exampleQuery(
  plan: TablePlan,
  range: KeyRange,
  probe: ValueProbe,
  reading: Reading,
): SourceQuery | null {
  const key = rangeColumns(plan);
  if (key === null) return null;
  const { condition, parameters } = rangeCondition(plan, range);
  const texts = key.map(({ column, text }, i) => `${text.toText(`t.${quote(column.name)}`)} AS k${i}`);
  const order = key.map(({ column }) => `t.${quote(column.name)}`);
  const where = [...(condition === '' ? [] : [condition]), `(${probe.condition})`].join(' AND ');
  return {
    sql: `SELECT TOP (1) ${texts.join(', ')} ${from(plan, reading)} WHERE ${where} ORDER BY ${order.join(', ')}`,
    parameters,
  };
}

function from(plan: TablePlan, { isolation }: Reading): string {
  return `FROM ${quoteTable(plan.source)} AS t${isolation === 'read_uncommitted' ? ' WITH (NOLOCK)' : ''}`;
}
