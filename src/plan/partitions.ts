/**
 * Cuts large tables into key ranges that readers can take one by one.
 *
 * Runs on the main thread. The boundaries are keys the source itself gives, in its own order: every n-th row of
 * a unique key, so that ranges hold the same number of rows however the keys are skewed.
 */
import type { SourceConnection } from '../source/connection.js';
import { sourceError } from '../source/errors.js';
import { tableLabel } from '../source/model.js';
import type { Partition, TablePlan } from './model.js';
import { boundaryQuery, isExactKey, rangeColumns } from './queries.js';

export interface PartitionOptions {
  /** Tables of fewer rows stay whole. */
  largeTableThreshold: number;
  maxPartitions: number;
  minRowsPerPartition: number;
}

/**
 * @returns the partitions of one table, in key order; together they cover every key there is or will be.
 * A small table, and one without a key that can bound a range, is one open partition.
 */
export async function planPartitions(
  source: Pick<SourceConnection, 'query'>,
  plan: TablePlan,
  options: PartitionOptions,
): Promise<Partition[]> {
  const whole: Partition[] = [{ table: plan.index, partition: 0, lower: null, upper: null }];
  const key = rangeColumns(plan);
  const count = partitionCount(plan.approximateRows, options);
  if (key === null || count < 2) return whole;
  const { sql, parameters } = boundaryQuery(plan, key, Math.ceil(plan.approximateRows / count));
  let rows: Record<string, unknown>[];
  try {
    rows = await source.query(sql, parameters, plan.approximateRows);
  } catch (error) {
    throw sourceError(error, { table: tableLabel(plan.source) });
  }
  const bounds = rows
    .map((row) => key.map((_, index) => String(row[`k${index}`])))
    .filter((bound) => isExactKey(key, bound));
  return rangesBetween(plan.index, thinOut(withoutRepeats(bounds), count - 1));
}

/** @returns how many partitions a table of `rows` rows is cut into. */
export function partitionCount(rows: number, options: PartitionOptions): number {
  if (rows < options.largeTableThreshold) return 1;
  return Math.max(1, Math.min(options.maxPartitions, Math.floor(rows / options.minRowsPerPartition)));
}

/** @returns one more range than there are bounds: first and last are open, each bound belongs to the range below it. */
export function rangesBetween(table: number, bounds: readonly string[][]): Partition[] {
  return Array.from({ length: bounds.length + 1 }, (_, partition) => ({
    table,
    partition,
    lower: bounds[partition - 1] ?? null,
    upper: bounds[partition] ?? null,
  }));
}

function withoutRepeats(bounds: string[][]): string[][] {
  return bounds.filter((bound, index) => index === 0 || bound.join('\0') !== bounds[index - 1]?.join('\0'));
}

/** Keeps at most `most` bounds, evenly spaced: the statistics may have known fewer rows than there are. */
export function thinOut<T>(bounds: readonly T[], most: number): T[] {
  if (bounds.length <= most) return [...bounds];
  return Array.from({ length: most }, (_, index) => {
    const at = Math.floor(((index + 1) * (bounds.length + 1)) / (most + 1)) - 1;
    return bounds[at] as T;
  });
}
