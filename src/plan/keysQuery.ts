/**
 * The T-SQL that reads the rows of given keys, however sparse they lie.
 *
 * Pure, any thread. As in `queries.ts`, key values are parameters that the source turns into its own types.
 */
import { AppError } from '../errors.js';
import { tableLabel } from '../source/model.js';
import { quote, quoteTable } from '../source/sql.js';
import { mapColumn } from '../types/index.js';
import { copiedColumns, type SourceQuery, type TablePlan } from './model.js';
import { rangeColumns } from './queries.js';

/** SQL Server takes 2100 parameters at most; sp_executesql itself needs some. */
const MAX_PARAMETERS = 2000;
/** Beyond some hundred rows a list of values costs the optimizer more than it saves. */
const MAX_KEYS = 500;

/** @returns the most keys one statement can name, for a key of this many columns. */
export function maxKeys(keyColumns: number): number {
  return Math.max(1, Math.min(MAX_KEYS, Math.floor(MAX_PARAMETERS / keyColumns)));
}

/**
 * @param keys exact key texts in key order, at most `maxKeys`
 * @throws AppError INTERNAL where a key column's type can't be given as text
 */
export function keysQuery(
  plan: TablePlan,
  keys: readonly (readonly string[])[],
  options: { isolation: 'read_committed' | 'snapshot' | 'read_uncommitted' },
): SourceQuery {
  const columns = rangeColumns(plan);
  if (columns === null)
    throw new AppError('INTERNAL', `${tableLabel(plan.source)} has no key its rows can be asked for by`);
  const parameters: SourceQuery['parameters'] = [];
  const rows = keys.map((key, row) => {
    const values = columns.map(({ text }, i) => {
      const name = `k${row}_${i}`;
      parameters.push({ name, value: key[i]! });
      return text.fromText(`@${name}`);
    });
    return `(${values.join(', ')})`;
  });
  const names = columns.map((_, i) => `k${i}`);
  const match = columns.map(({ column }, i) => `t.${quote(column.name)} = w.${names[i]}`);
  // Qualified: a table may have columns named as the list's are.
  const select = copiedColumns(plan)
    .map(({ source, sourceName }) => mapColumn(source).select(`t.${quote(sourceName)}`))
    .join(', ');
  const hint = options.isolation === 'read_uncommitted' ? ' WITH (NOLOCK)' : '';
  return {
    sql:
      `SELECT ${select} FROM ${quoteTable(plan.source)} AS t${hint}` +
      ` JOIN (VALUES ${rows.join(', ')}) AS w(${names.join(', ')}) ON ${match.join(' AND ')}`,
    parameters,
  };
}
