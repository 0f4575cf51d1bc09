/**
 * The list of tables as it is shown: filtered, sorted, in columns that fit.
 *
 * Pure.
 */
import { byteCount, count, duration, fraction, oneLine, short } from '../../observe/format.js';
import type { TableSnapshot } from '../../observe/tally.js';
import { LIMIT_TEXT } from '../../observe/tiers.js';
import type { Task } from './desk.js';

export const SORTS = ['plan', 'state', 'name', 'rows', 'rate'] as const;
export type Sort = (typeof SORTS)[number];

export interface TableRow {
  snapshot: TableSnapshot;
  state: string;
}

/** What is going on comes first, what went wrong before what went well. */
const STATE_ORDER = ['running', 'failed', 'differs', 'missing', 'stopped', 'waiting', 'not begun', 'planned'];

export function tableRows(
  task: Task | null,
  snapshots: readonly TableSnapshot[],
  filter: string,
  sort: Sort,
): TableRow[] {
  const wanted = filter.toLowerCase();
  const rows = snapshots
    .filter(({ table }) => table.toLowerCase().includes(wanted))
    .map((snapshot) => ({ snapshot, state: stateOf(snapshot, task) }));
  return sort === 'plan' ? rows : rows.sort((a, b) => ORDERS[sort](a, b));
}

const rank = (state: string): number => {
  const place = STATE_ORDER.indexOf(state);
  return place < 0 ? STATE_ORDER.length : place;
};

const ORDERS: Record<Exclude<Sort, 'plan'>, (a: TableRow, b: TableRow) => number> = {
  state: (a, b) => rank(a.state) - rank(b.state),
  name: (a, b) => (a.snapshot.table < b.snapshot.table ? -1 : 1),
  rows: (a, b) => b.snapshot.rows - a.snapshot.rows,
  rate: (a, b) => b.snapshot.rowsPerSecond - a.snapshot.rowsPerSecond,
};

/** While the task is under way what the events say, after it what its result says. */
function stateOf({ table, status }: TableSnapshot, task: Task | null): string {
  const end = task?.end ?? null;
  const said = end?.tables.get(table);
  if (said !== undefined) return RESULT_STATES[said] ?? said;
  if (status === 'running') return end === null ? 'running' : 'stopped';
  if (status === 'pending') return end === null ? 'waiting' : 'not begun';
  return status === 'completed' ? 'done' : 'failed';
}

const RESULT_STATES: Record<string, string> = {
  success: 'done',
  interrupted: 'stopped',
  skipped: 'not begun',
  match: 'equal',
};

interface Column {
  title: string;
  width: number;
  right?: boolean;
  text(row: TableRow): string;
  /** Narrower lists go without it. */
  from: number;
}

const COLUMNS: readonly Column[] = [
  { title: 'state', width: 9, from: 0, text: ({ state }) => state },
  { title: '%', width: 5, right: true, from: 0, text: percentOf },
  { title: 'rows', width: 13, right: true, from: 50, text: rowsOf },
  { title: 'rows/s', width: 7, right: true, from: 0, text: rateOf },
  { title: 'data', width: 8, right: true, from: 72, text: dataOf },
  { title: 'left', width: 8, right: true, from: 82, text: leftOf },
  {
    title: 'waits',
    width: 22,
    from: 105,
    text: ({ snapshot }) => (snapshot.limit === null ? '' : LIMIT_TEXT[snapshot.limit]),
  },
];
const GAP = 1;

export interface Listing {
  title: string;
  lines: string[];
}

/** @param width of a line in characters, a mark in front included */
export function listing(rows: readonly TableRow[], width: number): Listing {
  const columns = COLUMNS.filter(({ from }) => width >= from);
  const taken = columns.reduce((sum, column) => sum + column.width + GAP, 2);
  const nameWidth = Math.max(8, width - taken);
  const line = (name: string, texts: string[]) =>
    columns.reduce(
      (text, { width: columnWidth, right }, i) => `${text} ${cell(texts[i] ?? '', columnWidth, right)}`,
      cell(name, nameWidth),
    );
  return {
    title: line(
      'table',
      columns.map(({ title }) => title),
    ),
    lines: rows.map((row) =>
      line(
        oneLine(row.snapshot.table),
        columns.map(({ text }) => text(row)),
      ),
    ),
  };
}

/** Exactly `width` characters. */
export function cell(text: string, width: number, right = false): string {
  const characters = [...text];
  if (characters.length > width) return `${characters.slice(0, Math.max(0, width - 1)).join('')}\u2026`;
  const gap = ' '.repeat(width - characters.length);
  return right ? gap + text : text + gap;
}

/** What the catalog says, until there is something to count. */
function rowsOf({ snapshot: { rows, approximateRows, status } }: TableRow): string {
  return rows === 0 && status === 'pending' ? `~${count(approximateRows)}` : count(rows);
}

/** Rows that are only compared bring none. */
function dataOf({ snapshot: { bytes } }: TableRow): string {
  return bytes === 0 ? '' : byteCount(bytes);
}

function percentOf({ snapshot: { rows, approximateRows }, state }: TableRow): string {
  if (state === 'done' || state === 'equal') return '100 %';
  if (rows === 0) return '';
  // 100 % is for what is done: an estimate that is passed early stays below.
  return `${Math.min(99, Math.floor(fraction(rows, approximateRows) * 100))} %`;
}

function rateOf({ snapshot, state }: TableRow): string {
  return state === 'running' ? short(snapshot.rowsPerSecond) : '';
}

function leftOf({ snapshot, state }: TableRow): string {
  if (state === 'running') return snapshot.remainingMs === null ? '' : duration(snapshot.remainingMs);
  return '';
}
