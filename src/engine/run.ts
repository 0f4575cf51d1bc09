/**
 * The run on one page: connect, plan, prepare, transfer, finalize. Main thread; it never touches a row.
 */
import { randomUUID } from 'node:crypto';
import type { Config } from '../config/schema.js';
import { AppError, type ErrorData, toErrorData } from '../errors.js';
import { finalize, type StepKind } from '../finalize/finalize.js';
import { type Host, inspectHost } from '../host/host.js';
import { chooseSizes, type Sizes, sizeLines } from '../host/sizes.js';
import type { Partition, TablePlan } from '../plan/model.js';
import { transferMode } from '../plan/modes/index.js';
import { planPartitions } from '../plan/partitions.js';
import { planTables } from '../plan/tables.js';
import { readCatalog, serverFacts } from '../source/catalog.js';
import { connectSource, type SourceConnection } from '../source/connection.js';
import { filterTables } from '../source/filter.js';
import { readLeftOut } from '../source/leftOut.js';
import { tableLabel } from '../source/model.js';
import { connectTarget, type TargetConnection } from '../target/connection.js';
import type { RunEventHandler, RunOptions, RunOutcome, StepOutcome, TableOutcome } from './events.js';
import { synchronize } from './synchronize.js';
import { transfer } from './transfer.js';
import type { TableWork } from './workQueue.js';

/** What is known once the plan is made. */
interface Planned {
  plans: TablePlan[];
  partitions: Partition[][];
  sizes: Sizes;
  notes: string[];
}

/**
 * Runs a migration from the first connection to the last constraint.
 *
 * @returns what became of every table; `error` says why the run as a whole did not succeed
 * @throws AppError where no table was begun: connections, configuration, planning, preparation
 */
export async function runMigration(config: Config, options: RunOptions): Promise<RunOutcome> {
  const { onEvent, signal, dryRun } = options;
  const runId = randomUUID();
  const mode = transferMode(config.migration.target_mode);
  const host = await inspectHost();

  onEvent({ kind: 'phase', phase: 'connect' });
  const [source, target] = await connectBoth(config);
  try {
    signal.throwIfAborted();
    onEvent({ kind: 'phase', phase: 'plan' });
    const planned = await plan(config, host, source);
    const { plans, partitions, sizes, notes } = planned;
    tellPlan(runId, planned, onEvent);
    if (dryRun) {
      const actions = await mode.check(target, plans);
      const tables = plans.map((table, i) => ({
        plan: table,
        partitions: partitions[i]!,
        actions: actions[i]!,
      }));
      return {
        runId,
        tables: plans.map((table) => outcomeOf(table, 'planned')),
        steps: [],
        notes,
        dryRun: { tables, sizes: sizeLines(sizes) },
      };
    }

    signal.throwIfAborted();
    onEvent({ kind: 'phase', phase: 'prepare' });
    await mode.prepare(target, plans);

    onEvent({ kind: 'phase', phase: 'transfer' });
    const move = { config, plans, partitions, sizes, signal, onEvent };
    const work = await (mode.loads === 'everything' ? transfer(move) : synchronize({ ...move, target }));

    onEvent({ kind: 'phase', phase: 'finalize' });
    const steps = await finalizeTables(config, sizes, work.tables, onEvent);
    onEvent({ kind: 'phase', phase: 'done' });
    return result(runId, work.tables, steps, notes, work.error);
  } finally {
    await Promise.allSettled([source.close(), target.close()]);
  }
}

/** Connects to both sides at once; reports the source's failure first, and leaves no connection behind. */
async function connectBoth(config: Config): Promise<[SourceConnection, TargetConnection]> {
  const [source, target] = await Promise.allSettled([
    connectSource(config.source),
    connectTarget(config.target),
  ]);
  if (source.status === 'fulfilled' && target.status === 'fulfilled') return [source.value, target.value];
  if (source.status === 'fulfilled') await source.value.close();
  if (target.status === 'fulfilled') await target.value.close();
  throw source.status === 'rejected' ? source.reason : (target as PromiseRejectedResult).reason;
}

async function plan(config: Config, host: Host, source: SourceConnection): Promise<Planned> {
  const { migration } = config;
  const facts = await serverFacts(source);
  const found = await readCatalog(source, { schemas: [config.source.schema] });
  const tables = filterTables(found, migration);
  const { chunkRows } = chooseSizes(host, config);
  const plans = planTables(tables, {
    targetSchema: config.target.schema,
    chunkRows,
    rowHashColumn: migration.use_hash_detection ? migration.row_hash_column : null,
    hashTextColumns: migration.hash_text_columns,
    unlogged: migration.use_unlogged_tables,
  });
  const partitions: Partition[][] = [];
  for (const table of plans) {
    partitions.push(
      await planPartitions(source, table, {
        largeTableThreshold: migration.large_table_threshold,
        maxPartitions: migration.max_partitions,
        minRowsPerPartition: migration.min_rows_per_partition,
      }),
    );
  }
  const notes = [`source: SQL Server ${facts.productVersion}, ${facts.edition}`];
  if (config.source.isolation === 'read_uncommitted') {
    notes.push('source.isolation is read_uncommitted: rows may be missing, doubled or never committed');
  }
  const leftOut = await readLeftOut(source, tables);
  for (const table of plans)
    table.notes.push(...(leftOut.get(tableLabel(table.source)) ?? []), ...unhashed(table));
  const sizes = chooseSizes(host, config, { partitions: partitions.flat().length });
  return { plans, partitions, sizes, notes };
}

/** Columns the row hash does not cover must be said: a change in them goes unseen. */
function unhashed(table: TablePlan): string[] {
  if (table.rowHashColumn === null) return [];
  const names = table.columns.filter(({ hashed, keyPosition }) => !hashed && keyPosition < 0);
  return names.length === 0
    ? []
    : [`not covered by the row hash: ${names.map(({ sourceName }) => sourceName).join(', ')}`];
}

function tellPlan(runId: string, { plans, sizes, notes }: Planned, onEvent: RunEventHandler): void {
  const tables = plans.map((table) => ({
    table: tableLabel(table.source),
    approximateRows: table.approximateRows,
  }));
  onEvent({ kind: 'run-started', runId, tables });
  for (const { name, value, unit, reason } of sizeLines(sizes)) {
    onEvent({ kind: 'log', level: 'debug', message: `${name}: ${value} ${unit} (${reason})` });
  }
  for (const text of notes) onEvent({ kind: 'note', text });
  for (const table of plans) {
    for (const text of table.notes) onEvent({ kind: 'note', table: tableLabel(table.source), text });
  }
}

/** Finishes the tables that arrived; one that failed is at least set back to LOGGED. */
async function finalizeTables(
  config: Config,
  sizes: Sizes,
  tables: readonly TableWork[],
  onEvent: RunEventHandler,
): Promise<StepOutcome[]> {
  const connect = (): Promise<TargetConnection> => connectTarget(config.target);
  const plansOf = (wanted: (table: TableWork) => boolean): TablePlan[] =>
    tables.filter(wanted).map((table) => table.plan);
  const onStep = (step: StepOutcome): void => {
    if (step.error === undefined) onEvent({ ...step, kind: 'step' });
    else onEvent({ kind: 'table-failed', table: step.table, error: step.error });
  };
  const parallel = Math.max(1, Math.min(sizes.workers, sizes.maxTargetConnections - 1));
  const toOutcome = ({ kind, ...step }: Awaited<ReturnType<typeof finalize>>[number]): StepOutcome => ({
    ...step,
    step: kind,
  });
  const steps = async (
    kinds: readonly StepKind[] | undefined,
    wanted: (table: TableWork) => boolean,
  ): Promise<StepOutcome[]> => {
    const done = await finalize(connect, plansOf(wanted), {
      parallel,
      ...(kinds !== undefined && { kinds }),
      onStep: (step) => onStep(toOutcome(step)),
    });
    return done.map(toOutcome);
  };
  const finished = ({ state }: TableWork): boolean => state === 'finished';
  return [
    ...(await steps(undefined, (table) => finished(table) && table.changes === undefined)),
    // Brought up to date, a table has its key already; where nothing changed, its statistics hold.
    ...(await steps(['logged', 'analyze'], (table) => finished(table) && wasWritten(table))),
    ...(await steps(['logged'], (table) => !finished(table) || isUntouched(table))),
  ];
}

/** Whether rows of a table that had rows before were written or deleted. */
function wasWritten({ changes, rowsCommitted }: TableWork): boolean {
  return changes !== undefined && (rowsCommitted > 0 || changes.deleted > 0);
}

function isUntouched(table: TableWork): boolean {
  return table.changes !== undefined && !wasWritten(table);
}

function outcomeOf(
  table: TablePlan,
  status: TableOutcome['status'],
  work?: TableWork,
  error?: ErrorData,
): TableOutcome {
  return {
    table: tableLabel(table.source),
    target: tableLabel(table.target),
    status,
    rows: work?.rowsCommitted ?? 0,
    bytes: work?.bytesCommitted ?? 0,
    durationMs: work === undefined || work.startedMs === 0 ? 0 : Math.max(0, work.endedMs - work.startedMs),
    ...(work?.changes !== undefined && { changes: work.changes }),
    notes: table.notes,
    ...(error !== undefined && { error }),
  };
}

function result(
  runId: string,
  tables: readonly TableWork[],
  steps: StepOutcome[],
  notes: string[],
  stopped: unknown,
): RunOutcome {
  const outcomes = tables.map((table) => {
    const failedStep = steps.find((step) => step.table === table.label && step.error !== undefined);
    const error = table.error ?? failedStep?.error;
    if (error !== undefined && error !== null) return outcomeOf(table.plan, 'failed', table, error);
    if (table.state === 'finished') return outcomeOf(table.plan, 'success', table);
    if (table.state === 'waiting') return outcomeOf(table.plan, 'skipped', table);
    return outcomeOf(table.plan, 'failed', table, toErrorData(stopped));
  });
  const failed = outcomes.filter(({ status }) => status === 'failed');
  const error =
    stopped !== null
      ? toErrorData(stopped)
      : failed.length > 0
        ? tablesFailed(failed, outcomes.length)
        : undefined;
  return { runId, tables: outcomes, steps, notes, ...(error !== undefined && { error }) };
}

function tablesFailed(failed: readonly TableOutcome[], total: number): ErrorData {
  const [first] = failed;
  const error = new AppError(
    'TABLES_FAILED',
    `${failed.length} of ${total} tables failed; the first: ${first!.error?.message ?? first!.table}`,
    { remedy: first!.error?.remedy ?? 'See the error of each table, mend it and run again.' },
  );
  return toErrorData(error);
}
