/**
 * Intervals of the key hash: how tables are cut whose keys the two servers order differently. Pure, any thread.
 */
import { type HashIntervals, NO_ROWS, sameTotals, type Totals } from './side.js';

type Interval = readonly [from: number, to: number];

const WORDS = 2 ** 32;
/** Finest cut: as many groups of totals as one answer should have. */
const MAX_BITS = 22;
/** Most intervals of one scope: each is two parameters of a statement, and a comparison for every row. */
const MAX_INTERVALS = 64;

/** @returns how many bits of the hash cut `rows` rows into buckets of about `bucketRows`. */
export function bucketBits(rows: bigint | number, bucketRows: number): number {
  return Math.min(MAX_BITS, Math.max(0, Math.ceil(Math.log2(Math.max(1, Number(rows)) / bucketRows))));
}

/** A bucket whose totals differ, with the rows it has on the side that has more. */
export interface DifferingBucket {
  bucket: number;
  rows: bigint;
}

/** @returns the buckets that differ, in ascending order. */
export function differingBuckets(
  source: ReadonlyMap<number, Totals>,
  target: ReadonlyMap<number, Totals>,
): DifferingBucket[] {
  return [...new Set([...source.keys(), ...target.keys()])]
    .sort((a, b) => a - b)
    .flatMap((bucket) => {
      const a = source.get(bucket) ?? NO_ROWS;
      const b = target.get(bucket) ?? NO_ROWS;
      return sameTotals(a, b) ? [] : [{ bucket, rows: larger(a.rows, b.rows) }];
    });
}

/** @returns the scope of these buckets; where they are too many intervals, the narrowest gaps are taken in. */
export function intervalsOf(buckets: readonly number[], bits: number): HashIntervals {
  const width = WORDS / 2 ** bits;
  const intervals: [number, number][] = [];
  for (const bucket of buckets) {
    const last = intervals.at(-1);
    if (last !== undefined && last[1] === bucket * width) last[1] += width;
    else intervals.push([bucket * width, (bucket + 1) * width]);
  }
  return { kind: 'hashes', intervals: fewer(intervals) };
}

function fewer(intervals: readonly Interval[]): Interval[] {
  if (intervals.length <= MAX_INTERVALS) return [...intervals];
  const gap = (i: number): number => intervals[i + 1]![0] - intervals[i]![1];
  const widest = intervals
    .slice(0, -1)
    .map((_, i) => i)
    .sort((a, b) => gap(b) - gap(a))
    .slice(0, MAX_INTERVALS - 1)
    .sort((a, b) => a - b);
  let from = 0;
  return [...widest, intervals.length - 1].map((end) => {
    const interval: Interval = [intervals[from]![0], intervals[end]![1]];
    from = end + 1;
    return interval;
  });
}

/** @returns the buckets in groups of at most `rows` rows (or one bucket). */
export function groupsOf(buckets: readonly DifferingBucket[], rows: number): number[][] {
  const groups: number[][] = [];
  let left = 0n;
  for (const { bucket, rows: size } of buckets) {
    if (groups.length === 0 || size > left) {
      groups.push([]);
      left = BigInt(rows);
    }
    groups.at(-1)!.push(bucket);
    left -= size;
  }
  return groups;
}

export function larger(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}
