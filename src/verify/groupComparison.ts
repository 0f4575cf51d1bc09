/**
 * Compares a table whose key is one integer where both servers hash: stretch by stretch of keys, with totals by groups
 * of them as fine as the changes lie apart. Main thread.
 */
import { larger } from './buckets.js';
import type { CompareOptions, Difference, TableTotals } from './compare.js';
import {
  type DifferingGroup,
  differingGroups,
  Fineness,
  groupsRange,
  type KeySpread,
  rowsOf,
  runsOf,
  scopesOf,
  stretchesOf,
} from './integerGroups.js';
import { interleave } from './interleave.js';
import { type KeyGroups, type KeyRange, NO_ROWS, plus, sameTotals, type Totals } from './side.js';

/** What it takes of the comparison it is a part of. */
export interface ComparisonParts {
  groups(
    size: bigint,
    within: KeyRange,
  ): Promise<{ source: Map<bigint, Totals>; target: Map<bigint, Totals> }>;
  totals(range: KeyRange): Promise<TableTotals>;
  /** Enters totals of rows that were not entered before. */
  settle(totals: TableTotals, matches: boolean): void;
  /** Cuts a range of `rows` rows into fine ones. */
  cut(range: KeyRange, rows: bigint): Promise<KeyRange[]>;
  /** The rows that differ, after a look at the totals. @param counts whether the rows are reported as looked at */
  rangeDifferences(range: KeyRange, counts: boolean): AsyncGenerator<Difference, void, void>;
  rowDifferences(
    scope: KeyRange | KeyGroups,
    range: KeyRange | null,
    sourceRows: bigint,
  ): AsyncGenerator<Difference, void, void>;
}

/** What both sides answered of some groups. */
interface FoundGroups {
  groups: number;
  differing: DifferingGroup[];
  totals: TableTotals;
  /** The source's. */
  rows: bigint;
}

/** Where more of the smallest groups than this differ, most rows do: whole ranges are compared. */
const MOST_DIFFER = 0.9;

export class GroupComparison {
  readonly #parts: ComparisonParts;
  readonly #options: CompareOptions;

  constructor(parts: ComparisonParts, options: CompareOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** @param spread the keys that the source has */
  async *differences(spread: KeySpread): AsyncGenerator<Difference, void, void> {
    const { tier1Rows, tier2Rows, parallel } = this.#options;
    const fineness = new Fineness(spread, tier2Rows);
    const [first, ...others] = stretchesOf(spread, tier1Rows, tier2Rows);
    yield* this.#stretchDifferences(first!, fineness);
    yield* interleave(others, parallel, (range) => this.#stretchDifferences(range, fineness));
    // Beyond the source's keys there are only rows of the target, or such as are new.
    const beyond: KeyRange[] = [
      { kind: 'range', lower: null, upper: [String(spread.first - 1n)] },
      { kind: 'range', lower: [String(spread.last)], upper: null },
    ];
    for (const range of beyond) {
      const found = await this.#parts.totals(range);
      const matches = sameTotals(found.source, found.target);
      this.#parts.settle(found, matches);
      if (matches) this.#options.onRows?.(found.source.rows);
      if (matches) continue;
      const parts = await this.#parts.cut(range, larger(found.source.rows, found.target.rows));
      yield* interleave(parts, parallel, (part) => this.#parts.rangeDifferences(part, true));
    }
  }

  async *#stretchDifferences(range: KeyRange, fineness: Fineness): AsyncGenerator<Difference, void, void> {
    const { finestSize } = fineness;
    if (finestSize !== null && fineness.finestAtOnce) {
      const found = await this.#groups(finestSize, range);
      this.#settle(found);
      yield* this.#groupDifferences(found, finestSize, range, fineness);
      this.#options.onRows?.(found.rows);
      return;
    }
    const size = fineness.coarseSize;
    const found = await this.#groups(size, range);
    this.#settle(found);
    fineness.sawGroups(found.groups, found.differing.length);
    const runs = runsOf(found.differing, size, range);
    const differing = runs.reduce((rows, run) => rows + run.sourceRows, 0n);
    fineness.sawRows(found.rows - differing, 0);
    this.#options.onRows?.(found.rows - differing);
    for (const run of runs) {
      const finest = fineness.finestSize;
      if (finest === null || finest >= size) {
        yield* this.#wholeGroups(run.groups, size, range, fineness);
      } else {
        yield* this.#groupDifferences(await this.#groups(finest, run.range), finest, run.range, fineness);
      }
      this.#options.onRows?.(run.sourceRows);
    }
  }

  /** The rows of small groups that differ. */
  async *#groupDifferences(
    { groups, differing, rows }: FoundGroups,
    size: bigint,
    within: KeyRange,
    fineness: Fineness,
  ): AsyncGenerator<Difference, void, void> {
    if (differing.length > groups * MOST_DIFFER) {
      for (const run of runsOf(differing, size, within)) {
        yield* this.#rangeRows(run.range, run.sourceRows, run.rows, fineness);
      }
      return;
    }
    const { scopes, large } = scopesOf(differing, size, within);
    let changed = 0;
    for (const scope of scopes) {
      for await (const difference of this.#parts.rowDifferences(scope, null, rows)) {
        changed += difference.changes.length;
        yield difference;
      }
    }
    fineness.sawRows(rows, changed);
    // Keys that lie close together in few places.
    yield* this.#wholeGroups(large, size, within, fineness);
  }

  async *#wholeGroups(
    groups: readonly DifferingGroup[],
    size: bigint,
    within: KeyRange,
    fineness: Fineness,
  ): AsyncGenerator<Difference, void, void> {
    for (const group of groups) {
      const range = groupsRange(group.group, group.group, size, within);
      yield* this.#rangeRows(range, group.source.rows, rowsOf(group), fineness);
    }
  }

  /** All rows of a range that differs, cut where it has many. */
  async *#rangeRows(
    range: KeyRange,
    sourceRows: bigint,
    rows: bigint,
    fineness: Fineness,
  ): AsyncGenerator<Difference, void, void> {
    const { tier2Rows } = this.#options;
    if (rows > BigInt(2 * tier2Rows)) {
      for (const part of await this.#parts.cut(range, rows)) {
        yield* this.#parts.rangeDifferences(part, false);
      }
      return;
    }
    let changed = 0;
    for await (const difference of this.#parts.rowDifferences(range, range, sourceRows)) {
      changed += difference.changes.length;
      yield difference;
    }
    fineness.sawRows(sourceRows, changed);
  }

  async #groups(size: bigint, range: KeyRange): Promise<FoundGroups> {
    const { source, target } = await this.#parts.groups(size, range);
    const all = (groups: Map<bigint, Totals>) => [...groups.values()].reduce(plus, NO_ROWS);
    const totals = { source: all(source), target: all(target) };
    return {
      groups: Math.max(source.size, target.size),
      differing: differingGroups(source, target),
      totals,
      rows: totals.source.rows,
    };
  }

  #settle({ totals, differing }: FoundGroups): void {
    this.#parts.settle(totals, differing.length === 0);
  }
}
