/**
 * Tables whose key is one integer, compared by groups of keys: `key / size` is the same number on both servers, so that
 * one pass gives the totals of as many ranges as one likes. Main thread.
 *
 * Changes that lie everywhere would make every fine range differ, and then every row be looked at twice and fetched.
 * So each stretch of keys tells the next how finely to ask: from where most fine groups differ, totals come at once by
 * groups of a few rows, and only the rows of the few that differ are fetched.
 */
import type { TablePlan } from '../plan/model.js';
import type { RangeColumn } from '../plan/queries.js';
import { quote, quoteTable } from '../source/sql.js';
import { mapColumn } from '../types/index.js';
import { keyColumns } from './hashSql.js';
import { type KeyGroups, type KeyRange, NO_ROWS, sameTotals, type Totals } from './side.js';

/** The least value by type; a tinyint key has too few rows to be worth it. */
const INTEGERS = new Map([
  ['smallint', -(2n ** 15n)],
  ['int', -(2n ** 31n)],
  ['bigint', -(2n ** 63n)],
]);
/** Stretches a table is cut into at least, where it has that many fine ranges. */
const STRETCHES = 16;
/** Most rows of a stretch: the totals of its smallest groups are held. */
const STRETCH_ROWS = 100_000;
/** Groups of one statement, and rows of them on either side. */
const MAX_GROUPS = 500;
const MAX_GROUPED_ROWS = 20_000;
/** Rows of a smallest group: before anything is known of the density of changes, and at least and at most. */
const FIRST_ROWS = 32;
const LEAST_ROWS = 4;
const MOST_ROWS = 256;
/** From this share of changed rows on, smaller groups would all differ, too. */
const DENSE = 1 / 10;

/** @returns whether the table's key is one integer that is kept as it is. */
export function hasIntegerKey(plan: TablePlan): boolean {
  const key = keyColumns(plan);
  const [column] = key;
  return (
    key.length === 1 &&
    column !== undefined &&
    INTEGERS.has(column.source.type) &&
    mapColumn(column.source).conversion === undefined
  );
}

/** The keys that a table's source has, from the first to the last. */
export interface KeySpread {
  first: bigint;
  last: bigint;
  /** About how many rows lie there. */
  rows: number;
}

/** The statement that gives the source's first and last key as exact texts. */
export function keySpreadQuery(plan: TablePlan, { column, text }: RangeColumn): string {
  const [first, last] = ['MIN', 'MAX'].map((of) => text.toText(`${of}(t.${quote(column.name)})`));
  return `SELECT ${first} AS first_key, ${last} AS last_key FROM ${quoteTable(plan.source)} AS t`;
}

/** @returns what `keySpreadQuery` found, or null where there are no rows, or no key below the first can be named. */
export function keySpreadOf(plan: TablePlan, [row]: Record<string, unknown>[]): KeySpread | null {
  const [first, last] = [row?.first_key, row?.last_key];
  if (typeof first !== 'string' || typeof last !== 'string') return null;
  const least = INTEGERS.get(keyColumns(plan)[0]!.source.type);
  if (BigInt(first) === least) return null;
  const { approximateRows } = plan;
  const span = BigInt(last) - BigInt(first) + 1n;
  // The catalog's count may be old; there can't be more rows than keys.
  const rows = Math.max(1, Math.min(Number(span), approximateRows));
  return { first: BigInt(first), last: BigInt(last), rows };
}

/** A group whose totals differ. */
export interface DifferingGroup {
  group: bigint;
  source: Totals;
  target: Totals;
}

/** How finely a table's next stretch is asked for, from what its stretches so far have shown. */
export class Fineness {
  readonly #keysPerRow: number;
  readonly #tier2Rows: number;
  #coarse = 0;
  #coarseDiffering = 0;
  #rows = 0;
  #changed = 0;

  constructor({ first, last, rows }: KeySpread, tier2Rows: number) {
    this.#keysPerRow = Number(last - first + 1n) / Math.max(1, rows);
    this.#tier2Rows = tier2Rows;
  }

  /** Keys of a fine group: about `tier2Rows` rows. */
  get coarseSize(): bigint {
    return this.#size(this.#tier2Rows);
  }

  /** Keys of a smallest group, or null where it is not worth asking: rows of fine groups are fetched at once. */
  get finestSize(): bigint | null {
    if (this.#rows === 0) return this.#finest(FIRST_ROWS);
    const share = this.#changed / this.#rows;
    if (share > DENSE) return null;
    // What totals cost falls with a group's rows, what is fetched of groups that differ grows with them.
    return this.#finest(Math.max(LEAST_ROWS, Math.min(MOST_ROWS, 1 / Math.sqrt(share))));
  }

  /** Whether to ask for the smallest groups without a look at the fine ones: most of those differ. */
  get finestAtOnce(): boolean {
    return this.#coarseDiffering * 2 > this.#coarse;
  }

  sawGroups(groups: number, differing: number): void {
    this.#coarse += groups;
    this.#coarseDiffering += differing;
  }

  sawRows(rows: bigint, changed: number): void {
    this.#rows += Number(rows);
    this.#changed += changed;
  }

  #finest(rows: number): bigint | null {
    return rows * 2 > this.#tier2Rows ? null : this.#size(rows);
  }

  #size(rows: number): bigint {
    return BigInt(Math.max(1, Math.round(this.#keysPerRow * rows)));
  }
}

/** @returns the stretches from the first key to the last: a short one to learn from, then others of equal length. */
export function stretchesOf(
  { first, last, rows }: KeySpread,
  tier1Rows: number,
  tier2Rows: number,
): KeyRange[] {
  const most = Math.max(1, Math.floor(rows / tier2Rows));
  const count = Math.max(Math.ceil(rows / Math.min(tier1Rows, STRETCH_ROWS)), Math.min(STRETCHES, most));
  const span = last - first + 1n;
  const bounds = [first - 1n];
  if (count > 1) bounds.push(first - 1n + (span * BigInt(tier2Rows)) / BigInt(Math.ceil(rows)));
  const begin = bounds.at(-1)!;
  for (let i = 1; i <= count; i++) bounds.push(begin + ((last - begin) * BigInt(i)) / BigInt(count));
  return bounds.slice(1).flatMap((upper, i) => (upper > bounds[i]! ? [keysBetween(bounds[i]!, upper)] : []));
}

/** The keys above `lower` up to `upper`. */
export function keysBetween(lower: bigint, upper: bigint): KeyRange {
  return { kind: 'range', lower: [String(lower)], upper: [String(upper)] };
}

/** The range of groups next to each other, within another: division truncates, so group 0 holds keys of both signs. */
export function groupsRange(first: bigint, last: bigint, size: bigint, within: KeyRange): KeyRange {
  const lower = first > 0n ? first * size - 1n : (first - 1n) * size;
  const upper = last < 0n ? last * size : (last + 1n) * size - 1n;
  const from = within.lower === null ? null : BigInt(within.lower[0]!);
  const to = within.upper === null ? null : BigInt(within.upper[0]!);
  return keysBetween(from !== null && from > lower ? from : lower, to !== null && to < upper ? to : upper);
}

/** @returns the groups that differ, in ascending order. */
export function differingGroups(
  source: ReadonlyMap<bigint, Totals>,
  target: ReadonlyMap<bigint, Totals>,
): DifferingGroup[] {
  const found: DifferingGroup[] = [];
  for (const [group, totals] of source) {
    const other = target.get(group) ?? NO_ROWS;
    if (!sameTotals(totals, other)) found.push({ group, source: totals, target: other });
  }
  for (const [group, totals] of target) {
    if (!source.has(group)) found.push({ group, source: NO_ROWS, target: totals });
  }
  return found.sort((a, b) => (a.group < b.group ? -1 : 1));
}

/** A group's rows on the side that has more. */
export function rowsOf({ source, target }: DifferingGroup): bigint {
  return source.rows > target.rows ? source.rows : target.rows;
}

/** @returns runs of groups next to each other, as ranges. */
export function runsOf(
  groups: readonly DifferingGroup[],
  size: bigint,
  within: KeyRange,
): { range: KeyRange; groups: DifferingGroup[]; sourceRows: bigint; rows: bigint }[] {
  const runs: { groups: DifferingGroup[]; last: bigint; sourceRows: bigint; rows: bigint }[] = [];
  for (const group of groups) {
    const run = runs.at(-1);
    if (run !== undefined && run.last + 1n === group.group) {
      run.groups.push(group);
      run.last = group.group;
      run.sourceRows += group.source.rows;
      run.rows += rowsOf(group);
    } else {
      const { rows } = group.source;
      runs.push({ groups: [group], last: group.group, sourceRows: rows, rows: rowsOf(group) });
    }
  }
  return runs.map(({ groups, last, sourceRows, rows }) => ({
    range: groupsRange(groups[0]!.group, last, size, within),
    groups,
    sourceRows,
    rows,
  }));
}

/** @returns the groups as scopes of one statement each; what one group has too many rows for is in `large`. */
export function scopesOf(
  groups: readonly DifferingGroup[],
  size: bigint,
  within: KeyRange,
): { scopes: KeyGroups[]; large: DifferingGroup[] } {
  const large = groups.filter((group) => rowsOf(group) > BigInt(MAX_GROUPED_ROWS));
  const batches: bigint[][] = [];
  let rows = 0n;
  for (const group of groups) {
    if (rowsOf(group) > BigInt(MAX_GROUPED_ROWS)) continue;
    const batch = batches.at(-1);
    rows += rowsOf(group);
    if (batch === undefined || batch.length >= MAX_GROUPS || rows > BigInt(MAX_GROUPED_ROWS)) {
      batches.push([group.group]);
      rows = rowsOf(group);
    } else {
      batch.push(group.group);
    }
  }
  const scopes = batches.map(
    (batch): KeyGroups => ({
      kind: 'groups',
      size,
      groups: batch,
      within: groupsRange(batch[0]!, batch.at(-1)!, size, within),
    }),
  );
  return { scopes, large };
}
