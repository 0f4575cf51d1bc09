/**
 * Groups of rows by the first bits of their key's hash: how rows are told apart whose keys the two servers order
 * differently, or of which a few anywhere in a range differ. Pure, any thread.
 */
import { type ComparedGroups, type DifferingGroup, rowsOf } from './groupTotals.js';
import type { HashGroups, KeyRange } from './side.js';

/** Finest cut: totals of so many groups are held, 32 bytes each on either side. */
const MAX_BITS = 20;
/** From this share of changed rows on, finer totals would save next to no row from being looked at. */
const DENSE = 1 / 5;
/** Share of groups that should differ: finer ones cost more than the rows that are looked at in vain. */
const DIFFERING = 0.15;
/** Rows of a smallest group. */
const LEAST_ROWS = 4;

/** @returns how many bits of the hash make groups of about `rowsEach`, of `rows` rows; one at least. */
export function groupBits(rows: bigint | number, rowsEach: number): number {
  return Math.min(MAX_BITS, Math.max(1, Math.ceil(Math.log2(Math.max(1, Number(rows)) / rowsEach))));
}

/** @returns rows of groups worth asking for where such a share of all rows differs, or null: none are. */
export function groupRows(share: number): number | null {
  return share > DENSE ? null : Math.max(LEAST_ROWS, DIFFERING / share);
}

/** @returns about how many rows differ, by how many groups do: a group with one change looks like one with several. */
export function changesOf({ groups, differing }: ComparedGroups): number {
  const share = Math.min(differing.length / groups, 1 - 1 / (2 * groups));
  return groups * -Math.log(1 - share);
}

/** @returns the differing groups in scopes of at most `rows` rows, or of one group. */
export function scopesOfGroups(
  differing: readonly DifferingGroup[],
  bits: number,
  within: KeyRange,
  rows: number,
): HashGroups[] {
  const scopes: number[][] = [];
  let left = 0;
  for (const group of differing) {
    const size = Number(rowsOf(group));
    if (scopes.length === 0 || size > left) {
      scopes.push([]);
      left = rows;
    }
    scopes.at(-1)!.push(Number(group.group));
    left -= size;
  }
  return scopes.map((groups) => ({ kind: 'hashes', within, bits, groups }));
}

/** @returns a bit for each group, the first ones lowest, as PostgreSQL's `get_bit` counts them. */
export function bitmapOf({ bits, groups }: HashGroups): Buffer {
  const bitmap = Buffer.alloc(Math.ceil(2 ** bits / 8));
  for (const group of groups) bitmap[group >> 3]! |= 1 << (group & 7);
  return bitmap;
}
