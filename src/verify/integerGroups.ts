/**
 * Tables whose key is one integer, compared by groups of keys: `key / size` is the same number on both servers, so that
 * one pass gives the totals of as many ranges as one likes. Main thread.
 *
 * Changes that lie everywhere would make every fine range differ, and then every row be looked at twice and fetched.
 * So each stretch of keys tells the next how finely to ask: from where most fine groups differ, totals come at once by
 * groups of a few rows. Most that differ then have one changed row, which their totals name (`groupTotals.ts`), and
 * only the rows of the few others are fetched.
 */
import type { TablePlan } from '../plan/model.js';
import type { RangeColumn } from '../plan/queries.js';
import { quote, quoteTable } from '../source/sql.js';
import { mapColumn } from '../types/index.js';
import { type DifferingGroup, MAX_LOCATED_KEYS, rowsOf } from './groupTotals.js';
import { keyColumns } from './hashSql.js';
import type { IntegerRanges, KeyRange } from './side.js';

/** The least value by type; a tinyint key has too few rows to be worth it. */
const INTEGERS = new Map([
  ['smallint', -(2n ** 15n)],
  ['int', -(2n ** 31n)],
  ['bigint', -(2n ** 63n)],
]);
/** The servers divide by a bigint; few rows may lie further apart. */
const MAX_SIZE = 2n ** 63n - 1n;
/** Stretches a table is cut into at least, where it has that many fine ranges. */
const STRETCHES = 16;
/** Most rows of a stretch: the totals of its smallest groups are held. */
const STRETCH_ROWS = 100_000;
/** Ranges of one statement, and rows of them on either side. */
const MAX_RANGES = 500;
export const MAX_RANGE_ROWS = 20_000;
/** What is taken for known of the changes before anything is: some rows in thousands, which lie at random. */
const FIRST_SEEN = { rows: 2000, changed: 10, crowded: 1000 };
/** Rows of a smallest group, at least and at most. */
const LEAST_ROWS = 4;
const MOST_ROWS = 256;
/** Changed rows of a smallest group at most, on the average: however evenly they lie, more would soon be two. */
const MOST_CHANGED = 2 / 3;
/** From this share of changed rows on, too many of the smallest groups have more than one. */
const DENSE = 1 / 5;

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

/** A smallest group. */
export interface Finest {
  /** Keys of it. */
  size: bigint;
  /** Whether totals are asked for that name a single changed row. */
  located: boolean;
}

/** How finely a table's next stretch is asked for, from what its stretches so far have shown. */
export class Fineness {
  readonly #keysPerRow: number;
  readonly #tier2Rows: number;
  #coarse = 0;
  #coarseDiffering = 0;
  #rows = FIRST_SEEN.rows;
  #changed = FIRST_SEEN.changed;
  /** Rows of groups with more than one changed row, and how many those were if changes lay at random. */
  #crowded = FIRST_SEEN.crowded;
  #crowdedAtRandom = FIRST_SEEN.crowded;

  constructor({ first, last, rows }: KeySpread, tier2Rows: number) {
    this.#keysPerRow = Number(last - first + 1n) / Math.max(1, rows);
    this.#tier2Rows = tier2Rows;
  }

  /** Keys of a fine group: about `tier2Rows` rows. */
  get coarseSize(): bigint {
    return this.#size(this.#tier2Rows);
  }

  /** The smallest groups, or null where it is not worth asking: rows of fine groups are fetched at once. */
  get finest(): Finest | null {
    const share = this.#share;
    if (share > DENSE) return null;
    // Totals cost the less the more rows a group has; groups with two changed rows, all of whose rows are fetched,
    // grow with its square, and the faster the less evenly changes lie.
    const crowding = this.#crowded / this.#crowdedAtRandom;
    const rows = Math.min(MOST_ROWS, MOST_CHANGED / share, (share ** 2 * crowding) ** (-1 / 3));
    return this.#finest(Math.max(LEAST_ROWS, rows));
  }

  /** Whether to ask for the smallest groups without a look at the fine ones: most of those differ. */
  get finestAtOnce(): boolean {
    return this.#coarse > 0 && this.#coarseDiffering * 2 >= this.#coarse;
  }

  sawGroups(groups: number, differing: number): void {
    this.#coarse += groups;
    this.#coarseDiffering += differing;
  }

  sawRows(rows: bigint, changed: number): void {
    this.#rows += Number(rows);
    this.#changed += changed;
  }

  /**
   * @param rows of all the smallest groups that were asked for
   * @param differing share of these groups that differ
   * @param crowded rows of groups with more than one changed row
   */
  sawCrowded(rows: bigint, differing: number, crowded: bigint): void {
    this.#crowded += Number(crowded);
    // At random a group has changes by Poisson's law: none in 1 - differing of them.
    const none = Math.max(1 - differing, Number.EPSILON);
    this.#crowdedAtRandom += Number(rows) * (differing + none * Math.log(none));
  }

  get #share(): number {
    return this.#changed / this.#rows;
  }

  #finest(rows: number): Finest | null {
    const size = this.#size(rows);
    return rows * 2 > this.#tier2Rows ? null : { size, located: size <= MAX_LOCATED_KEYS };
  }

  #size(rows: number): bigint {
    const keys = BigInt(Math.max(1, Math.round(this.#keysPerRow * rows)));
    return keys < MAX_SIZE ? keys : MAX_SIZE;
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
      run.sourceRows += group.sourceRows;
      run.rows += rowsOf(group);
    } else {
      const { sourceRows } = group;
      runs.push({ groups: [group], last: group.group, sourceRows, rows: rowsOf(group) });
    }
  }
  return runs.map(({ groups, last, sourceRows, rows }) => ({
    range: groupsRange(groups[0]!.group, last, size, within),
    groups,
    sourceRows,
    rows,
  }));
}

/** A range of keys with the rows it has on the side that has more. */
export interface CountedRange {
  range: KeyRange;
  rows: bigint;
}

/** @param range not open on either side, of `MAX_RANGE_ROWS` rows at most */
export function scopeOf(range: KeyRange): IntegerRanges {
  return { kind: 'ranges', ranges: [boundsOf(range)] };
}

function boundsOf({ lower, upper }: KeyRange): readonly [bigint, bigint] {
  return [BigInt(lower![0]!), BigInt(upper![0]!)];
}

/** @returns the ranges, of `MAX_RANGE_ROWS` rows at most each, as scopes of one statement each. */
export function scopesOf(ranges: readonly CountedRange[]): IntegerRanges[] {
  const batches: (readonly [bigint, bigint])[][] = [];
  let rows = 0n;
  for (const { range, rows: more } of ranges) {
    const batch = batches.at(-1);
    const bounds = boundsOf(range);
    rows += more;
    if (batch === undefined || batch.length >= MAX_RANGES || rows > BigInt(MAX_RANGE_ROWS)) {
      batches.push([bounds]);
      rows = more;
    } else {
      batch.push(bounds);
    }
  }
  return batches.map((batch) => ({ kind: 'ranges', ranges: batch }));
}
