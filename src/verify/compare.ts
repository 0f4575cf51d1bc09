/**
 * One table, source against target, in tiers: coarse totals, fine totals where those differ, then rows by key.
 *
 * Main thread. Nothing here grows with the rows that differ: totals are one record a range, rows pass by in batches.
 */
import { AppError } from '../errors.js';
import type { TablePlan } from '../plan/model.js';
import { rangesBetween } from '../plan/partitions.js';
import { boundaryQuery, rangeColumns } from '../plan/queries.js';
import { sourceError } from '../source/errors.js';
import { tableLabel } from '../source/model.js';
import { mapColumn } from '../types/index.js';
import { GroupComparison } from './groupComparison.js';
import { HashComparison } from './hashComparison.js';
import { keyColumns } from './hashSql.js';
import { hasIntegerKey, type KeySpread, keySpreadOf, keySpreadQuery } from './integerGroups.js';
import { integerChanges } from './integerRows.js';
import { interleave, mapParallel } from './interleave.js';
import { mergeSides, type RowChange } from './merge.js';
import type { ConnectionPair, PairPool } from './pairs.js';
import {
  type GroupingSide,
  type IntegerRanges,
  type KeyRange,
  larger,
  plus,
  type Scope,
  type Side,
  sameTotals,
  type Totals,
  WHOLE,
} from './side.js';

/** How a table's rows are brought together. */
export type CompareMethod = 'key ranges' | 'key hashes' | 'whole table';

/** Some of the rows that differ. Those of one range come together; a range of many comes in several parts. */
export interface Difference {
  /** The key range they lie in, or null where the table is compared by key hashes. */
  range: KeyRange | null;
  /** Rows the source has in the range; all of the table's where there is none. */
  sourceRows: bigint;
  /** Number of this part of the range's changes, from 0. */
  part: number;
  changes: RowChange[];
}

export interface CompareOptions {
  /** Rows of a coarse range. */
  tier1Rows: number;
  /** Rows of a fine range: what is compared row by row. */
  tier2Rows: number;
  /** Ranges compared at the same time. */
  parallel: number;
  /**
   * Which rows are looked at though totals name them already: all, so that what is found did not only seem to differ
   * while somebody was writing; or those alone that nothing but the target has, where no more is done to the others
   * than to bring their values over.
   */
  looksAgain: 'always' | 'before deleting';
  /** Called as rows turn out to be equal, or their differences are known. */
  onRows?: (rows: bigint) => void;
}

/** What is known of both sides before any row is named. */
export interface TableTotals {
  source: Totals;
  target: Totals;
}

/** Both sides of one table, on one pair's connections. */
export interface Sides {
  source: Side;
  target: Side;
}
export type SidesOf = (pair: ConnectionPair) => Sides;

/** What its parts take of a table's comparison. */
export interface ComparisonParts {
  /** Packed totals of both sides' groups. */
  groups(size: bigint, within: KeyRange, located: boolean): Promise<{ source: Buffer; target: Buffer }>;
  /** The same by the first bits of the keys' hashes; see `Side.hashTotals`. */
  hashTotals(bits: number, scope: Scope): Promise<{ source: Buffer; target: Buffer }>;
  /** Whether a server can't hash the rows itself: all of a scope is then read for every question. */
  isStreamed(): Promise<boolean>;
  totals(range: KeyRange): Promise<TableTotals>;
  /** Enters totals of rows that were not entered before. */
  settle(totals: TableTotals, matches: boolean): void;
  /** Cuts a range of `rows` rows into fine ones. */
  cut(range: KeyRange, rows: bigint): Promise<KeyRange[]>;
  /** The rows that differ, after a look at the totals. @param counts whether the rows are reported as looked at */
  rangeDifferences(range: KeyRange, counts: boolean): AsyncGenerator<Difference, void, void>;
  rowDifferences(
    scope: Scope | IntegerRanges,
    range: KeyRange | null,
    sourceRows: bigint,
  ): AsyncGenerator<Difference, void, void>;
}

/** Changes yielded at once. */
const BATCH_CHANGES = 10_000;

/** @returns how the table is compared: ranges need key types that both servers order alike. */
export function compareMethod(plan: TablePlan): CompareMethod {
  const key = keyColumns(plan);
  if (key.length === 0) return 'whole table';
  const ordered = key.every(({ source }) => mapColumn(source).hash.ordered);
  return ordered && rangeColumns(plan) !== null ? 'key ranges' : 'key hashes';
}

/** One comparison of one table; `totals` are complete once `differences()` has come to its end. */
export class TableComparison {
  readonly method: CompareMethod;
  /** Whether the tables hold the same rows; known at the end. */
  matches = true;
  /** Totals differed at first, and the rows no longer did: somebody was writing. */
  settledLate = false;
  totals: TableTotals = {
    source: { rows: 0n, first: 0n, second: 0n },
    target: { rows: 0n, first: 0n, second: 0n },
  };
  readonly #plan: TablePlan;
  readonly #pool: PairPool;
  readonly #sidesOf: SidesOf;
  readonly #options: CompareOptions;
  /** Groups of key hashes: of the whole table, or in ranges of it. */
  readonly #hashes: HashComparison;

  constructor(plan: TablePlan, pool: PairPool, sidesOf: SidesOf, options: CompareOptions) {
    this.method = compareMethod(plan);
    this.#plan = plan;
    this.#pool = pool;
    this.#sidesOf = sidesOf;
    this.#options = options;
    this.#hashes = new HashComparison(this.#parts(), options, plan.approximateRows);
  }

  /** Compares. Without a key there is nothing to yield: `matches` is the answer. */
  async *differences(): AsyncGenerator<Difference, void, void> {
    if (this.method === 'whole table') {
      this.#settle(await this.#totals(WHOLE));
      return;
    }
    let found = false;
    const differences = this.method === 'key ranges' ? this.#byRanges() : this.#hashes.differences();
    for await (const difference of differences) {
      found = true;
      yield difference;
    }
    // Totals may have differed while rows were being written; the rows themselves have the last word.
    this.settledLate = !this.matches && !found;
    this.matches = !found;
  }

  async *#byRanges(): AsyncGenerator<Difference, void, void> {
    const { tier1Rows, tier2Rows, parallel } = this.#options;
    const spread = await this.#keySpread();
    if (spread !== null) {
      const groups = new GroupComparison(this.#parts(), this.#options);
      yield* groups.differences(spread);
      return;
    }
    const coarse = await this.#cut(WHOLE, tier1Rows, BigInt(this.#plan.approximateRows));
    const totals = await mapParallel(coarse, parallel, async (range) => {
      const found = await this.#totals(range);
      this.#settle(found);
      return { range, rows: most(found), differs: !sameTotals(found.source, found.target) };
    });
    const fine = await mapParallel(
      totals.filter(({ differs }) => differs),
      parallel,
      ({ range, rows }) => this.#cut(range, tier2Rows, rows),
    );
    yield* interleave(fine.flat(), parallel, (range) => this.#rangeDifferences(range));
  }

  #parts(): ComparisonParts {
    return {
      groups: (size, within, located) =>
        this.#both(({ grouping }) => groupingOf(grouping).groupTotals(size, within, located)),
      hashTotals: (bits, scope) => this.#both((side) => side.hashTotals(bits, scope)),
      isStreamed: () =>
        this.#pool.use(async (pair) => {
          const { source, target } = this.#sidesOf(pair);
          return source.streamed || target.streamed;
        }),
      totals: (range) => this.#totals(range),
      settle: (totals, matches) => this.#add(totals, matches),
      cut: (range, rows) => this.#cut(range, this.#options.tier2Rows, rows),
      rangeDifferences: (range, counts) => this.#rangeDifferences(range, counts),
      rowDifferences: (scope, range, sourceRows) => this.#rowDifferences(scope, range, sourceRows),
    };
  }

  /** @returns the source's first and last key, or null where the table can't be compared by groups of keys. */
  async #keySpread(): Promise<KeySpread | null> {
    const key = rangeColumns(this.#plan);
    const isSmall = this.#plan.approximateRows <= this.#options.tier2Rows;
    if (key === null || isSmall || !hasIntegerKey(this.#plan)) return null;
    return this.#pool.use(async (pair) => {
      const { source, target } = this.#sidesOf(pair);
      if (source.grouping === null || target.grouping === null) return null;
      try {
        return keySpreadOf(this.#plan, await pair.source.query(keySpreadQuery(this.#plan, key[0]!)));
      } catch (error) {
        throw sourceError(error, { table: tableLabel(this.#plan.source) });
      }
    });
  }

  async *#rangeDifferences(range: KeyRange, counts = true): AsyncGenerator<Difference, void, void> {
    const found = await this.#totals(range);
    if (!sameTotals(found.source, found.target)) yield* this.#hashes.rangeDifferences(range, found);
    if (counts) this.#options.onRows?.(found.source.rows);
  }

  async *#rowDifferences(
    scope: Scope | IntegerRanges,
    range: KeyRange | null,
    sourceRows: bigint,
  ): AsyncGenerator<Difference, void, void> {
    if (scope.kind === 'ranges') {
      const { source, target } = await this.#both(({ grouping }) => groupingOf(grouping).rangeRows(scope));
      const all = integerChanges(source, target);
      for (let part = 0; part * BATCH_CHANGES < all.length; part++) {
        const changes = all.slice(part * BATCH_CHANGES, (part + 1) * BATCH_CHANGES);
        yield { range, sourceRows, part, changes };
      }
      return;
    }
    const pair = await this.#pool.acquire();
    try {
      const { source, target } = this.#sidesOf(pair);
      let part = 0;
      for await (const changes of mergeSides(source.digests(scope), target.digests(scope), BATCH_CHANGES)) {
        yield { range, sourceRows, part, changes };
        part++;
      }
    } finally {
      this.#pool.release(pair);
    }
  }

  #totals(scope: Scope): Promise<TableTotals> {
    return this.#both((side) => side.totals(scope));
  }

  /** Asks both sides at the same time. */
  #both<Answer>(ask: (side: Side) => Promise<Answer>): Promise<{ source: Answer; target: Answer }> {
    return this.#pool.use(async (pair) => {
      const sides = this.#sidesOf(pair);
      const [source, target] = await Promise.allSettled([ask(sides.source), ask(sides.target)]);
      // Both are waited for: a connection that still answers must not be handed to the next.
      if (source.status === 'rejected') throw source.reason;
      if (target.status === 'rejected') throw target.reason;
      return { source: source.value, target: target.value };
    });
  }

  /** Cuts a range at keys the source gives, so that each part has about `stepRows` of its rows. */
  async #cut(range: KeyRange, stepRows: number, rows: bigint): Promise<KeyRange[]> {
    const key = rangeColumns(this.#plan);
    if (key === null || rows <= BigInt(stepRows)) return [range];
    const { sql, parameters } = boundaryQuery(this.#plan, key, stepRows, range);
    const found = await this.#pool.use(async ({ source }) => {
      try {
        return await source.query(sql, parameters, Number(rows));
      } catch (error) {
        throw sourceError(error, { table: tableLabel(this.#plan.source) });
      }
    });
    const bounds = found.map((row) => key.map((_, i) => String(row[`k${i}`])));
    return rangesBetween(this.#plan.index, bounds).map(({ lower, upper }) => ({
      kind: 'range',
      lower: lower ?? range.lower,
      upper: upper ?? range.upper,
    }));
  }

  #settle(found: TableTotals): void {
    const matches = sameTotals(found.source, found.target);
    this.#add(found, matches);
    if (matches) this.#options.onRows?.(found.source.rows);
  }

  #add({ source, target }: TableTotals, matches: boolean): void {
    this.totals = { source: plus(this.totals.source, source), target: plus(this.totals.target, target) };
    if (!matches) this.matches = false;
  }
}

function groupingOf(grouping: GroupingSide | null): GroupingSide {
  if (grouping === null) throw new AppError('INTERNAL', 'a side was asked for groups that has none');
  return grouping;
}

function most({ source, target }: Pick<TableTotals, 'source' | 'target'>): bigint {
  return larger(source.rows, target.rows);
}
