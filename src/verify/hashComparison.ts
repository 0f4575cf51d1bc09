/**
 * Compares rows by groups of their keys' hashes: a whole table whose keys the two servers order differently, or a range
 * of ordered keys in which few rows differ. Main thread.
 */
import type { CompareOptions, ComparisonParts, Difference, TableTotals } from './compare.js';
import { type ComparedGroups, compareGroups, rowsOf } from './groupTotals.js';
import { changesOf, groupBits, groupRows, scopesOfGroups } from './hashGroups.js';
import { type KeyRange, larger, type Scope, WHOLE } from './side.js';

/**
 * Groups of a table that are asked for first, and the rows of one: where nothing differs finer ones would cost for
 * nothing. A streamed side is read as a whole for every question, so that the first one is as fine as the last.
 */
const FIRST_BITS = 17;
const FIRST_ROWS = 64;
const STREAMED_FIRST_ROWS = 16;
/** So many rows, or such a share of all, are looked at without asking which of them differ: one more pass costs as much. */
const FEW_ROWS = 500;
const SMALL_SHARE = 1 / 5;
/** Rows of a streamed side sorted in memory at once, and of a group at most. */
const STREAMED_ROWS = 200_000;
const STREAMED_GROUP_ROWS = 20_000;
/** What is taken for known of the share of changes before anything is: some rows in thousands. */
const FIRST_SEEN = { rows: 2000, changed: 10 };

export class HashComparison {
  readonly #parts: ComparisonParts;
  readonly #options: CompareOptions;
  readonly #approximateRows: number;
  /** Rows of ranges that differed, and how many of them did. */
  readonly #seen = { ...FIRST_SEEN };
  #streamed: Promise<boolean> | null = null;

  /** @param approximateRows of the table, by the catalog */
  constructor(parts: ComparisonParts, options: CompareOptions, approximateRows: number) {
    this.#parts = parts;
    this.#options = options;
    this.#approximateRows = approximateRows;
  }

  /** Compares the whole table. */
  async *differences(): AsyncGenerator<Difference, void, void> {
    const { tier2Rows, onRows } = this.#options;
    const streamed = await this.#isStreamed();
    const firstRows = Math.min(tier2Rows, streamed ? STREAMED_FIRST_ROWS : FIRST_ROWS);
    const first = groupBits(this.#approximateRows, firstRows);
    let bits = streamed ? first : Math.min(first, FIRST_BITS);
    let found = await this.#compared(bits, WHOLE);
    const { source, target, differing } = found;
    this.#parts.settle({ source, target }, differing.length === 0);
    const sourceRows = differing.reduce((rows, group) => rows + group.sourceRows, 0n);
    onRows?.(source.rows - sourceRows);
    const finer = finerBits(found, bits, streamed);
    if (finer > bits) {
      const [scope] = scopesOfGroups(differing, bits, WHOLE, Number.POSITIVE_INFINITY);
      found = await this.#compared(finer, scope!);
      bits = finer;
    }
    const atOnce = streamed ? STREAMED_ROWS : Number.POSITIVE_INFINITY;
    for (const scope of scopesOfGroups(found.differing, bits, WHOLE, atOnce)) {
      yield* this.#parts.rowDifferences(scope, null, source.rows);
    }
    onRows?.(sourceRows);
  }

  /** The rows of a range that differs: those of its groups that differ, unless most of them would. */
  async *rangeDifferences(
    range: KeyRange,
    { source, target }: TableTotals,
  ): AsyncGenerator<Difference, void, void> {
    const rows = larger(source.rows, target.rows);
    let changed = 0;
    for (const scope of await this.#narrowed(range, rows)) {
      for await (const difference of this.#parts.rowDifferences(scope, range, source.rows)) {
        changed += difference.changes.length;
        yield difference;
      }
    }
    this.#seen.rows += Number(rows);
    this.#seen.changed += changed;
  }

  async #narrowed(range: KeyRange, rows: bigint): Promise<Scope[]> {
    const each = groupRows(this.#seen.changed / this.#seen.rows);
    if (each === null || rows <= BigInt(FEW_ROWS) || (await this.#isStreamed())) return [range];
    const bits = groupBits(rows, each);
    const { differing } = await this.#compared(bits, range);
    return scopesOfGroups(differing, bits, range, Number.POSITIVE_INFINITY);
  }

  async #compared(bits: number, scope: Scope): Promise<ComparedGroups> {
    const { source, target } = await this.#parts.hashTotals(bits, scope);
    const last = BigInt(2 ** bits - 1);
    return compareGroups(source, target, { first: 0n, last, size: 1n, located: false });
  }

  #isStreamed(): Promise<boolean> {
    this.#streamed ??= this.#parts.isStreamed();
    return this.#streamed;
  }
}

/** @returns the bits of groups that are worth another question before rows are looked at; `bits` where none are. */
function finerBits(found: ComparedGroups, bits: number, streamed: boolean): number {
  const rows = Number(larger(found.source.rows, found.target.rows));
  const looked = Number(found.differing.reduce((sum, group) => sum + rowsOf(group), 0n));
  if (looked <= Math.max(FEW_ROWS, rows * SMALL_SHARE)) return bits;
  const each = groupRows(changesOf(found) / rows);
  const finer = each === null ? bits : groupBits(rows, each);
  // A group is sorted in memory as a whole; the catalog's count of rows may have been far too low.
  const bounded = streamed ? groupBits(rows, STREAMED_GROUP_ROWS) : bits;
  return Math.max(finer > bits + 1 ? finer : bits, bounded);
}
