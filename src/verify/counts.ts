/**
 * Exact row counts on both sides: what `validate` compares.
 *
 * Runs on the main thread. Counts are bigint: COUNT_BIG leaves the range of a JavaScript number.
 */
import { AppError } from '../errors.js';
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
  /** Ends the counting: statements still running are cut off with their connections. */
  signal?: AbortSignal;
}

/**
 * Counts every table on both sides at the same time.
 *
 * @param source makes a source connection; called once a worker.
 * @param target makes a target connection; called once a worker.
 * @returns the counts in plan order.
 * @throws AppError of the first failure, without waiting for the other side; CANCELLED after `signal`.
 */
export async function countRows(
  source: () => Promise<SourceConnection>,
  target: () => Promise<TargetConnection>,
  plans: readonly TablePlan[],
  options: CountOptions,
): Promise<TableCount[]> {
  const counts: TableCount[] = new Array(plans.length);
  const waiting = plans.map((plan, position) => ({ plan, position }));
  const failed = new AbortController();
  const stop = AbortSignal.any([failed.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const work = async (): Promise<void> => {
    const [from, to] = await Promise.allSettled([source(), target()]);
    const close = async (): Promise<void> => {
      if (from.status === 'fulfilled') await from.value.close();
      if (to.status === 'fulfilled') await to.value.close();
    };
    const cut = (): void => void close().catch(() => {});
    stop.addEventListener('abort', cut, { once: true });
    try {
      if (from.status === 'rejected') throw from.reason;
      if (to.status === 'rejected') throw to.reason;
      while (!stop.aborted) {
        const next = waiting.shift();
        if (next === undefined) break;
        const { plan, position } = next;
        const [sourceRows, targetRows] = await Promise.all([
          countSource(from.value, plan, options.isolation),
          countTarget(to.value, plan),
        ]);
        const count: TableCount = {
          index: plan.index,
          table: tableLabel(plan.source),
          target: tableLabel(plan.target),
          sourceRows,
          targetRows,
        };
        counts[position] = count;
        options.onTable?.(count);
      }
    } catch (error) {
      // The first failure ends them all; what the others then say is only its echo.
      if (!stop.aborted) failed.abort(error);
    } finally {
      stop.removeEventListener('abort', cut);
      await close().catch(() => {});
    }
  };
  const workers = Math.max(1, Math.min(options.parallel, plans.length));
  await Promise.all(Array.from({ length: workers }, work));
  if (options.signal?.aborted) throw new AppError('CANCELLED', 'Counting rows was cancelled');
  if (failed.signal.aborted) throw failed.signal.reason;
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
      [],
      plan.approximateRows,
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
