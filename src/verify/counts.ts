/**
 * Exact row counts on both sides: what `validate` compares.
 *
 * Runs on the main thread. Counts are bigint: COUNT_BIG leaves the range of a JavaScript number.
 */
import type { TablePlan } from '../plan/model.js';
import type { SourceConnection } from '../source/connection.js';
import { sourceError } from '../source/errors.js';
import { tableLabel } from '../source/model.js';
import { quoteTable } from '../source/sql.js';
import { type TargetConnection, targetError } from '../target/connection.js';
import { qualified } from '../target/identifiers.js';

export interface TableCount {
  /** Index of the table in the plan. */
  index: number;
  /** The source table, `schema.name`. */
  table: string;
  /** The target table, `schema.name`. */
  target: string;
  sourceRows: bigint;
  /** Null where the target has no such table. */
  targetRows: bigint | null;
}

export interface CountOptions {
  /** Tables counted at the same time; each takes a connection on both sides. */
  parallel: number;
  /** Adds NOLOCK where the run reads so. */
  isolation: 'read_committed' | 'snapshot' | 'read_uncommitted';
  onTable?: (count: TableCount) => void;
}

/**
 * Counts every table on both sides at the same time.
 *
 * @param source makes a source connection; called once a worker.
 * @param target makes a target connection; called once a worker.
 * @returns the counts in plan order.
 */
export async function countRows(
  source: () => Promise<SourceConnection>,
  target: () => Promise<TargetConnection>,
  plans: readonly TablePlan[],
  options: CountOptions,
): Promise<TableCount[]> {
  const counts: TableCount[] = new Array(plans.length);
  const waiting = plans.map((plan, position) => ({ plan, position }));
  const work = async (): Promise<void> => {
    const sides = await Promise.allSettled([source(), target()]);
    const [from, to] = sides;
    try {
      if (from.status === 'rejected') throw from.reason;
      if (to.status === 'rejected') throw to.reason;
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const { plan, position } = next;
        const both = await Promise.allSettled([
          countSource(from.value, plan, options.isolation),
          countTarget(to.value, plan),
        ]);
        const count: TableCount = {
          index: plan.index,
          table: tableLabel(plan.source),
          target: tableLabel(plan.target),
          sourceRows: value(both[0]),
          targetRows: value(both[1]),
        };
        counts[position] = count;
        options.onTable?.(count);
      }
    } finally {
      // One failure ends them all: nothing is left for the others to start on.
      if (from.status === 'fulfilled') await from.value.close();
      if (to.status === 'fulfilled') await to.value.close();
    }
  };
  const workers = Math.max(1, Math.min(options.parallel, plans.length));
  const ended = await Promise.allSettled(
    Array.from({ length: workers }, () =>
      work().catch((error: unknown) => {
        waiting.length = 0;
        throw error;
      }),
    ),
  );
  for (const end of ended) if (end.status === 'rejected') throw end.reason;
  return counts;
}

async function countSource(
  source: SourceConnection,
  plan: TablePlan,
  isolation: CountOptions['isolation'],
): Promise<bigint> {
  const hint = isolation === 'read_uncommitted' ? ' WITH (NOLOCK)' : '';
  try {
    const [row] = await source.query(
      `SELECT CONVERT(nvarchar(20), COUNT_BIG(*)) AS row_count FROM ${quoteTable(plan.source)} AS t${hint}`,
    );
    return BigInt(String(row?.row_count));
  } catch (error) {
    throw sourceError(error, { table: tableLabel(plan.source) });
  }
}

async function countTarget(target: TargetConnection, plan: TablePlan): Promise<bigint | null> {
  try {
    const [row] = await target.query<{ rows: string }>(
      `SELECT count(*)::text AS rows FROM ${qualified(plan.target)}`,
    );
    return BigInt(row?.rows ?? '');
  } catch (error) {
    const named = targetError(error, { table: tableLabel(plan.source) });
    if (named.serverCode === '42P01' || named.serverCode === '3F000') return null;
    throw named;
  }
}

function value<T>(result: PromiseSettledResult<T>): T {
  if (result.status === 'rejected') throw result.reason;
  return result.value;
}
