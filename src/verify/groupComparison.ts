/**
 * Compares a table whose key is one integer where both servers hash: stretch by stretch of keys, with totals by groups
 * of them as fine as the changes lie apart. Main thread.
 */
import type { CompareOptions, ComparisonParts, Difference } from './compare.js';
import { type ComparedGroups, compareGroups, type DifferingGroup, rowsOf } from './groupTotals.js';
import {
  type CountedRange,
  Fineness,
  type Finest,
  groupsRange,
  type KeySpread,
  keysBetween,
  MAX_RANGE_ROWS,
  runsOf,
  scopeOf,
  scopesOf,
  stretchesOf,
} from './integerGroups.js';
import { interleave } from './interleave.js';
import type { RowChange } from './merge.js';
import { type KeyRange, larger, sameTotals } from './side.js';

/** Where in more of the smallest groups than this more than one row differs, most rows do: whole ranges are compared. */
const MOST_UNCLEAR = 0.5;
/** Changes yielded at once. */
const BATCH_CHANGES = 10_000;

/** Groups that differ, by what is done next. */
interface Sorted {
  /** Rows that need no look. */
  certain: RowChange[];
  /** What rows are fetched of. */
  ranges: CountedRange[];
  /** Groups that have too many rows for that. */
  large: DifferingGroup[];
  /** Groups whose totals name no row, and rows of them. */
  unclear: number;
  unclearRows: bigint;
}

function sorted(
  differing: readonly DifferingGroup[],
  size: bigint,
  within: KeyRange,
  looksAgain: CompareOptions['looksAgain'],
): Sorted {
  const found: Sorted = { certain: [], ranges: [], large: [], unclear: 0, unclearRows: 0n };
  for (const group of differing) {
    const { change: located } = group;
    if (located !== null) {
      const { change, key } = located;
      if (looksAgain === 'always' || change === 'delete') {
        found.ranges.push({ range: keysBetween(key - 1n, key), rows: 1n });
      } else {
        found.certain.push({ change, key: [String(key)] });
      }
      continue;
    }
    const rows = rowsOf(group);
    found.unclear++;
    found.unclearRows += rows;
    if (rows > BigInt(MAX_RANGE_ROWS)) found.large.push(group);
    else found.ranges.push({ range: groupsRange(group.group, group.group, size, within), rows });
  }
  return found;
}

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
    const { finest: first } = fineness;
    if (first !== null && fineness.finestAtOnce) {
      const found = await this.#groups(first, range);
      this.#settle(found);
      yield* this.#groupDifferences(found, first, range, fineness);
      this.#options.onRows?.(found.source.rows);
      return;
    }
    const size = fineness.coarseSize;
    const found = await this.#groups({ size, located: false }, range);
    this.#settle(found);
    fineness.sawGroups(found.groups, found.differing.length);
    const runs = runsOf(found.differing, size, range);
    const differing = runs.reduce((rows, run) => rows + run.sourceRows, 0n);
    fineness.sawRows(found.source.rows - differing, 0);
    this.#options.onRows?.(found.source.rows - differing);
    for (const run of runs) {
      const { finest } = fineness;
      if (finest === null || finest.size >= size) {
        yield* this.#wholeGroups(run.groups, size, range, fineness);
      } else {
        yield* this.#groupDifferences(await this.#groups(finest, run.range), finest, run.range, fineness);
      }
      this.#options.onRows?.(run.sourceRows);
    }
  }

  /** The rows of small groups that differ: those their totals name, and those that are fetched for want of a name. */
  async *#groupDifferences(
    { groups, differing, source }: ComparedGroups,
    { size }: Finest,
    within: KeyRange,
    fineness: Fineness,
  ): AsyncGenerator<Difference, void, void> {
    const found = sorted(differing, size, within, this.#options.looksAgain);
    const { certain, ranges, large, unclear } = found;
    fineness.sawCrowded(source.rows, differing.length / Math.max(1, groups), found.unclearRows);
    if (unclear > groups * MOST_UNCLEAR) {
      for (const run of runsOf(differing, size, within)) {
        yield* this.#rangeRows(run.range, run.sourceRows, run.rows, fineness);
      }
      return;
    }
    for (let at = 0; at < certain.length; at += BATCH_CHANGES) {
      const changes = certain.slice(at, at + BATCH_CHANGES);
      yield { range: null, sourceRows: source.rows, part: 0, changes };
    }
    let changed = certain.length;
    for (const scope of scopesOf(ranges)) {
      for await (const difference of this.#parts.rowDifferences(scope, null, source.rows)) {
        changed += difference.changes.length;
        yield difference;
      }
    }
    fineness.sawRows(source.rows, changed);
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
      yield* this.#rangeRows(range, group.sourceRows, rowsOf(group), fineness);
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
    // In the order of keys no hash of them is needed, and nothing is sorted.
    const scope = rows > BigInt(MAX_RANGE_ROWS) ? range : scopeOf(range);
    for await (const difference of this.#parts.rowDifferences(scope, range, sourceRows)) {
      changed += difference.changes.length;
      yield difference;
    }
    fineness.sawRows(sourceRows, changed);
  }

  /** @param range not open on either side */
  async #groups({ size, located }: Finest, range: KeyRange): Promise<ComparedGroups> {
    const { source, target } = await this.#parts.groups(size, range, located);
    const [first, last] = [BigInt(range.lower![0]!) + 1n, BigInt(range.upper![0]!)].map((key) => key / size);
    return compareGroups(source, target, { first: first!, last: last!, size, located });
  }

  #settle({ source, target, differing }: ComparedGroups): void {
    this.#parts.settle({ source, target }, differing.length === 0);
  }
}
