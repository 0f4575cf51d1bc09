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
import { type RangeColumn, rangeColumns } from './queries.js';

/** SQL Server takes 2100 parameters at most; sp_executesql itself needs some. */
const MAX_PARAMETERS = 2000;
/** Beyond some hundred rows a list of values costs the optimizer more than it saves. */
const MAX_KEYS = 500;
/** Where keys go packed the statement is always the same, and what the optimizer makes of it is used again. */
const MAX_PACKED_KEYS = 2000;

/**
 * Characters of the longest text by type, for keys that go packed: one parameter for hundreds of them, where one for
 * each would cost either end more than the row does.
 */
const WIDTHS: ReadonlyMap<string, number> = new Map([
  ['tinyint', 3],
  ['smallint', 6],
  ['int', 11],
  ['bigint', 20],
]);
/** The longest nvarchar that is no large object. */
const MAX_CHARACTERS = 4000;

/** @returns the most keys one statement can name */
export function maxKeys(plan: TablePlan): number {
  const columns = rangeColumns(plan) ?? [];
  if (widthsOf(columns) !== null) return MAX_PACKED_KEYS;
  return Math.max(1, Math.min(MAX_KEYS, Math.floor(MAX_PARAMETERS / plan.keyColumns.length)));
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
  const asked = columns.map((column, i) =>
    keys.every((key) => column.text.isExact?.(key[i]!) !== false) ? column : byText(column),
  );
  const { rows, parameters } = keyList(asked, keys);
  const names = columns.map((_, i) => `k${i}`);
  const match = columns.map((column, i) => {
    const name = `t.${quote(column.column.name)}`;
    return `${asked[i] === column ? name : asTheText(column.text.toText(name))} = w.${names[i]}`;
  });
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

/** A text that may have been made of several values finds them all: the table's keys become texts, too. */
function byText(column: RangeColumn): RangeColumn {
  return { ...column, text: { ...column.text, fromText: asTheText } };
}

function asTheText(expression: string): string {
  return `${expression} COLLATE Latin1_General_BIN2`;
}

/** Rows of a VALUES list, and what they speak of. */
export type KeyList = Pick<SourceQuery, 'parameters'> & { rows: string[] };

/** @returns key texts as rows of values of the columns' own types */
export function keyList(columns: readonly RangeColumn[], keys: readonly (readonly string[])[]): KeyList {
  return packed(columns, keys) ?? listed(columns, keys);
}

/** A parameter for each value. */
function listed(columns: readonly RangeColumn[], keys: readonly (readonly string[])[]): KeyList {
  const parameters: SourceQuery['parameters'] = [];
  const rows = keys.map((key, row) => {
    const values = columns.map(({ text }, i) => {
      const name = `k${row}_${i}`;
      parameters.push({ name, value: key[i]! });
      return text.fromText(`@${name}`);
    });
    return `(${values.join(', ')})`;
  });
  return { rows, parameters };
}

/** @returns the characters of each column's longest text, or null where one has no such width */
function widthsOf(columns: readonly RangeColumn[]): number[] | null {
  const widths: number[] = [];
  for (const { column } of columns) {
    const width = mapColumn(column).conversion === undefined ? WIDTHS.get(column.type) : undefined;
    if (width === undefined) return null;
    widths.push(width);
  }
  return widths.length === 0 ? null : widths;
}

/** Texts of fixed width, as many in a parameter as it holds; null where a column's texts have no such width. */
function packed(columns: readonly RangeColumn[], keys: readonly (readonly string[])[]): KeyList | null {
  const widths = widthsOf(columns);
  if (widths === null) return null;
  const keyCharacters = widths.reduce((sum, width) => sum + width, 0);
  const keysEach = Math.floor(MAX_CHARACTERS / keyCharacters);
  const texts: string[] = [];
  const rows = keys.map((key, row) => {
    const n = Math.floor(row / keysEach);
    let at = 1 + (row % keysEach) * keyCharacters;
    const values = columns.map(({ text }, i) => {
      const [value, width] = [key[i]!, widths[i]!];
      if (value.length > width)
        throw new AppError('INTERNAL', `a key's text is longer than ${width} characters`);
      // Blanks behind a number are no part of it.
      texts[n] = (texts[n] ?? '') + value.padEnd(width);
      const expression = text.fromText(`SUBSTRING(@k${n}, ${at}, ${width})`);
      at += width;
      return expression;
    });
    return `(${values.join(', ')})`;
  });
  return { rows, parameters: texts.map((value, n) => ({ name: `k${n}`, value })) };
}
