/**
 * One table as one side of a comparison sees it: sums over a scope of keys, or each row's key and hash.
 *
 * Main thread. What is behind it, a server that hashes or rows streamed through the hash tier, is of
 * no matter to whoever compares.
 */

/** lower < key <= upper in key order; null is open. */
export interface KeyRange {
  kind: 'range';
  lower: string[] | null;
  upper: string[] | null;
}

/** Keys of a range whose hash begins with one of these numbers. */
export interface HashGroups {
  kind: 'hashes';
  within: KeyRange;
  /** How many bits the numbers have: 1 to 20. */
  bits: number;
  /** In ascending order. */
  groups: readonly number[];
}

/** A part of a table. */
export type Scope = KeyRange | HashGroups;

export const WHOLE: KeyRange = { kind: 'range', lower: null, upper: null };

/** What two equal sets of rows have in common, and next to no others. */
export interface Totals {
  rows: bigint;
  /** Sums of the digests' first and second 32-bit words: unlike XOR, equal changes do not cancel. */
  first: bigint;
  second: bigint;
}

export const NO_ROWS: Totals = { rows: 0n, first: 0n, second: 0n };

/** A row by its key: exact key texts, hash of the key, and a digest over key and values. All hashes 32 lower-case hex digits. */
export interface KeyedDigest {
  key: string[];
  keyHash: string;
  digest: string;
}

/** Keys of one integer, in ranges above a key up to a key, none in two of them. */
export interface IntegerRanges {
  kind: 'ranges';
  ranges: readonly (readonly [above: bigint, upTo: bigint])[];
}

/** What a server that hashes can say of a table whose key is one integer. */
export interface GroupingSide {
  /**
   * Totals by `key / size`, cut off towards zero, packed as `groupTotals.ts` reads them; groups without rows are left
   * out.
   *
   * @param located with what a single changed row is found by; for groups of at most `MAX_LOCATED_KEYS`
   */
  groupTotals(size: bigint, within: KeyRange, located: boolean): Promise<Buffer>;
  /** Every row of these ranges, ordered by key, then digest, packed as `integerRows.ts` reads them. */
  rangeRows(scope: IntegerRanges): Promise<Buffer>;
}

export interface Side {
  /** True where the rows are streamed: each call reads the whole scope. */
  readonly streamed: boolean;
  /** Null where the rows are streamed, or the key is not one integer. */
  readonly grouping: GroupingSide | null;
  /** Has the server look at the statements without a row. @throws AppError where it can't run them */
  probe(): Promise<void>;
  totals(scope: Scope): Promise<Totals>;
  /**
   * Totals by the first `bits` bits (1 to 20) of the key's hash, packed as `groupTotals.ts` reads them; groups without
   * rows are left out.
   */
  hashTotals(bits: number, scope: Scope): Promise<Buffer>;
  /** Every row of the scope, ordered by key hash, then digest. */
  digests(scope: Scope): AsyncGenerator<KeyedDigest[], void, void>;
}

export function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** @returns both together. */
export function plus(a: Totals, b: Totals): Totals {
  return { rows: a.rows + b.rows, first: a.first + b.first, second: a.second + b.second };
}

export function sameTotals(a: Totals, b: Totals): boolean {
  return a.rows === b.rows && a.first === b.first && a.second === b.second;
}
