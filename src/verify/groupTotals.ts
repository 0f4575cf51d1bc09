/**
 * Totals of groups of rows, as both servers give them: packed, so that a million groups are no objects. Pure, main
 * thread.
 *
 * A group is the first bits of the key's hash, or of an integer key `key / size`, and a place the rest of that
 * division. Located totals hold the digests' words once more, each
 * times its row's place: where one row of a group differs, the differences of both sums are its place apart, and its
 * key is known without a look at any row. Two changed rows pass for one only where two ratios of sums of random words
 * are the same whole number: as likely as that different rows have the same totals.
 */
import { AppError } from '../errors.js';
import type { RowChange } from './merge.js';
import { larger, type Totals } from './side.js';

/** Bytes of a group's totals, bigints in network order: group, rows, both sums, and both located. */
const PLAIN_BYTES = 32;
const LOCATED_BYTES = 48;

export function totalsBytes(located: boolean): number {
  return located ? LOCATED_BYTES : PLAIN_BYTES;
}

/** Most keys of a group with located totals: 2^15 words of 32 bits, times places below 2^15, add up to less than a bigint holds. */
export const MAX_LOCATED_KEYS = 2n ** 15n;

/** A group whose totals differ. */
export interface DifferingGroup {
  group: bigint;
  sourceRows: bigint;
  targetRows: bigint;
  /** The one row that differs, or null where that is not known. */
  change: LocatedChange | null;
}

export interface LocatedChange {
  change: RowChange['change'];
  key: bigint;
}

/** @returns a group's rows on the side that has more */
export function rowsOf({ sourceRows, targetRows }: DifferingGroup): bigint {
  return larger(sourceRows, targetRows);
}

/** What both sides have said of the groups of a range. */
export interface ComparedGroups {
  /** Groups that have rows. */
  groups: number;
  source: Totals;
  target: Totals;
  /** In ascending order. */
  differing: DifferingGroup[];
}

/** The groups that were asked for. */
export interface GroupSpan {
  first: bigint;
  last: bigint;
  /** Keys of a group. */
  size: bigint;
  located: boolean;
}

/** @param source packed totals, in any order, and so `target` */
export function compareGroups(source: Buffer, target: Buffer, span: GroupSpan): ComparedGroups {
  const from = new PackedTotals(source, span);
  const to = new PackedTotals(target, span);
  const groups = Number(span.last - span.first) + 1;
  const differing: DifferingGroup[] = [];
  for (let i = 0; i < groups; i++) {
    if (from.sameAs(to, i)) continue;
    const group = span.first + BigInt(i);
    const sourceRows = from.read(i, ROWS);
    const targetRows = to.read(i, ROWS);
    const change = span.located ? locate(from, to, i, span.size, group) : null;
    differing.push({ group, sourceRows, targetRows, change });
  }
  return {
    groups: Math.max(from.count, to.count),
    source: from.all,
    target: to.all,
    differing,
  };
}

/** Where a record's numbers lie. */
const ROWS = 8;
const FIRST = 16;
const SECOND = 24;
const FIRST_PLACED = 32;
const SECOND_PLACED = 40;
/** What the upper four bytes of a number count in. */
const HALF = 2 ** 32;

/** One side's totals, found by their group's number from the span's first. */
class PackedTotals {
  readonly count: number;
  /** Of all groups. */
  readonly all: Totals;
  readonly #view: DataView;
  readonly #recordBytes: number;
  /** Where each group's record begins, or -1. */
  readonly #at: Int32Array;

  constructor(bytes: Buffer, { first, last, located }: GroupSpan) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#recordBytes = totalsBytes(located);
    this.count = bytes.length / this.#recordBytes;
    this.#at = new Int32Array(Number(last - first) + 1).fill(-1);
    // The span has fewer groups than 32 bits tell apart.
    const low = Number(BigInt.asUintN(32, first));
    // Sums in halves, whose sums a number holds.
    let [rows, firstHigh, firstLow, secondHigh, secondLow] = [0, 0, 0, 0, 0];
    for (let at = 0; at < bytes.length; at += this.#recordBytes) {
      const i = (this.#view.getUint32(at + 4) - low) >>> 0;
      if (this.#at[i] !== -1) throw new AppError('INTERNAL', 'a server named a group that was not asked for');
      this.#at[i] = at;
      rows += this.#view.getInt32(at + ROWS) * HALF + this.#view.getUint32(at + ROWS + 4);
      firstHigh += this.#view.getInt32(at + FIRST);
      firstLow += this.#view.getUint32(at + FIRST + 4);
      secondHigh += this.#view.getInt32(at + SECOND);
      secondLow += this.#view.getUint32(at + SECOND + 4);
    }
    const whole = (high: number, below: number): bigint => BigInt(high) * BigInt(HALF) + BigInt(below);
    this.all = {
      rows: BigInt(rows),
      first: whole(firstHigh, firstLow),
      second: whole(secondHigh, secondLow),
    };
  }

  sameAs(other: PackedTotals, i: number): boolean {
    const a = this.#at[i]!;
    const b = other.#at[i]!;
    if (a < 0 || b < 0) return a === b;
    for (let word = ROWS; word < this.#recordBytes; word += 4) {
      if (this.#view.getInt32(a + word) !== other.#view.getInt32(b + word)) return false;
    }
    return true;
  }

  /** @returns a number of a group's record, 0 where it has no rows */
  read(i: number, field: number): bigint {
    const at = this.#at[i]!;
    return at < 0 ? 0n : this.#view.getBigInt64(at + field);
  }
}

/** @returns the row that alone makes a group's totals differ, or null where there is no such row */
function locate(
  source: PackedTotals,
  target: PackedTotals,
  i: number,
  size: bigint,
  group: bigint,
): LocatedChange | null {
  const change = CHANGE_OF_ROWS.get(source.read(i, ROWS) - target.read(i, ROWS));
  if (change === undefined) return null;
  const first = source.read(i, FIRST) - target.read(i, FIRST);
  const second = source.read(i, SECOND) - target.read(i, SECOND);
  const firstPlaced = source.read(i, FIRST_PLACED) - target.read(i, FIRST_PLACED);
  const secondPlaced = source.read(i, SECOND_PLACED) - target.read(i, SECOND_PLACED);
  if (first === 0n && second === 0n) return null;
  const place = first === 0n ? secondPlaced / second : firstPlaced / first;
  if (place * first !== firstPlaced || place * second !== secondPlaced) return null;
  // A place has its key's sign; group 0 has keys of both.
  const isPlace = group > 0n ? place >= 0n : group < 0n ? place <= 0n : true;
  if (!isPlace || place >= size || place <= -size) return null;
  return { change, key: group * size + place };
}

/** By how many more rows the source has. */
const CHANGE_OF_ROWS: ReadonlyMap<bigint, RowChange['change']> = new Map([
  [-1n, 'delete'],
  [0n, 'update'],
  [1n, 'insert'],
]);

/** Adds up rows to totals of groups 0 to `groups` - 1, not located, packed as a server would. */
export class TotalsPacker {
  readonly #records: Buffer;

  constructor(groups: number) {
    this.#records = Buffer.alloc(groups * PLAIN_BYTES);
  }

  /** @param first, second words of a row's digest, unsigned */
  add(group: number, first: number, second: number): void {
    const at = group * PLAIN_BYTES;
    this.#addTo(at + ROWS, 1);
    this.#addTo(at + FIRST, first);
    this.#addTo(at + SECOND, second);
  }

  /** @returns the groups that have rows; nothing may be added after it */
  packed(): Buffer {
    const records = this.#records;
    let used = 0;
    for (let at = 0; at < records.length; at += PLAIN_BYTES) {
      if (records.readUInt32BE(at + ROWS) === 0 && records.readUInt32BE(at + ROWS + 4) === 0) continue;
      records.copy(records, used, at, at + PLAIN_BYTES);
      records.writeUInt32BE(at / PLAIN_BYTES, used + 4);
      used += PLAIN_BYTES;
    }
    return records.subarray(0, used);
  }

  #addTo(at: number, word: number): void {
    const low = this.#records.readUInt32BE(at + 4) + word;
    this.#records.writeUInt32BE(low >>> 0, at + 4);
    if (low >= HALF) this.#records.writeUInt32BE(this.#records.readUInt32BE(at) + 1, at);
  }
}
