/**
 * One run's memory: the ledger in the target and the state file beside it, begun or taken up again. Main thread.
 */
import { Ledger, type LedgerOptions } from '../checkpoint/ledger.js';
import { tryLock } from '../checkpoint/locks.js';
import { StateMirror } from '../checkpoint/mirror.js';
import { beginRun, type LedgerTable } from '../checkpoint/runs.js';
import { ensureLedger } from '../checkpoint/schema.js';
import { stateKeys } from '../checkpoint/stateFile.js';
import type { LedgerTableStatus } from '../checkpoint/tableEntries.js';
import { configHash } from '../config/identity.js';
import type { Config } from '../config/schema.js';
import { AppError, type ErrorData, toErrorData } from '../errors.js';
import type { ChunkEnd } from '../plan/chunk.js';
import type { Partition, TablePlan } from '../plan/model.js';
import type { TransferMode } from '../plan/modes/index.js';
import { retryPolicy } from '../plan/retry.js';
import type { ChunkPlace } from '../plan/work.js';
import { tableLabel } from '../source/model.js';
import { connectTarget, type TargetConnection } from '../target/connection.js';
import { type Checkpoint, moveGaps, takeOver } from './checkpoint.js';
import { tellsOf } from './connecting.js';
import type { RunOptions, RunOutcome } from './events.js';
import type { Planned } from './planning.js';
import type { EarlierWork, TableWork } from './workQueue.js';

/** What the run has to do, by its journal. */
export interface Task {
  plans: TablePlan[];
  partitions: Partition[][];
  earlier: EarlierWork[];
  /** Tables that an earlier process of the run has completed. */
  completed: LedgerTable[];
  notes: string[];
}

export class Journal {
  readonly ledger: Ledger;
  readonly task: Task;
  readonly #mirror: StateMirror;
  readonly #keyOf: (label: string) => string;
  #works: ReadonlyMap<TablePlan, TableWork> = new Map();

  private constructor(ledger: Ledger, mirror: StateMirror, keyOf: (label: string) => string, task: Task) {
    this.ledger = ledger;
    this.#mirror = mirror;
    this.#keyOf = keyOf;
    this.task = task;
  }

  /** Makes the target's tables ready and enters the run, both or neither. */
  static async begin(
    config: Config,
    options: RunOptions,
    runId: string,
    { plans, partitions }: Planned,
    mode: TransferMode,
    target: TargetConnection,
  ): Promise<Journal> {
    await ensureLedger(target);
    const own = await connectTarget(config.target);
    try {
      await tryLock(own, runId);
      const planned = { plans, partitions };
      const unlogged = await enterRun(target, { config, options, runId, planned, mode });
      const ledger = new Ledger(own, ledgerOptions(config, options, runId, 1, unlogged));
      const mirror = mirrorOf(config, options, runId, new Date());
      const keyOf = stateKeys(plans.map(({ source }) => tableLabel(source)));
      for (const plan of plans) mirror.table(keyOf(tableLabel(plan.source)), 'pending', plan.approximateRows);
      await mirror.save();
      return new Journal(ledger, mirror, keyOf, { plans, partitions, earlier: [], completed: [], notes: [] });
    } catch (error) {
      await own.close();
      throw error;
    }
  }

  /** Takes up an unfinished run where its ledger says it ended. */
  static async resume(
    config: Config,
    options: RunOptions,
    { runId, run }: Checkpoint,
    planned: Planned,
    mode: TransferMode,
    target: TargetConnection,
  ): Promise<Journal> {
    const own = await connectTarget(config.target);
    try {
      await ensureLedger(own);
      const remaining = await takeOver(own, runId, planned.plans);
      const { attempt, plans, tables, earlier, completed, ignored } = remaining;
      const unlogged = new Set(tables.filter((table) => table.unlogged).map(({ table }) => table));
      const ledger = new Ledger(own, ledgerOptions(config, options, runId, attempt, unlogged));
      // Of tables that are compared nothing is emptied, and what their making lacks is made.
      if (mode.loads === 'differences') await mode.prepare(target, plans);
      const partitions =
        mode.loads === 'everything'
          ? await moveGaps(ledger, tables, plans, earlier)
          : plans.map((plan, i) => plannedPartitions(planned, plan, earlier[i]!.nextPartition));
      const mirror = mirrorOf(config, options, runId, run?.startedAt ?? new Date());
      const all = [...tables, ...completed];
      const keyOf = stateKeys(all.map(({ table }) => table));
      mirrorTables(mirror, keyOf, all);
      await mirror.save();
      const notes = ignored.map(
        (label) => `${label} is new since the run began, and was left for the next one`,
      );
      return new Journal(ledger, mirror, keyOf, { plans, partitions, earlier, completed, notes });
    } catch (error) {
      await own.close();
      throw error;
    }
  }

  /** A chunk is in the target. */
  onChunk(plan: TablePlan, chunk: ChunkPlace, end: Pick<ChunkEnd, 'rows' | 'upper'>): void {
    const { partition, chunk: number } = chunk;
    this.#mirror.committed(this.#keyOf(tableLabel(plan.source)), { partition, chunk: number, ...end });
  }

  /** A crash of the server has emptied a table: what the ledger still has of it is all there is. */
  onReload(table: LedgerTable): void {
    const name = this.#keyOf(table.table);
    this.#mirror.forget(name);
    for (const chunk of table.chunks) this.#mirror.committed(name, chunk);
  }

  /** The transfer is over; what follows is entered by table. */
  transferred(tables: readonly TableWork[]): void {
    this.#works = new Map(tables.map((table) => [table.plan, table]));
  }

  /** A table is set LOGGED: what the ledger has of it is moved in the same transaction, if it is all there. */
  async onLogged(target: TargetConnection, plan: TablePlan): Promise<void> {
    const work = this.#works.get(plan);
    const loaded = work?.state === 'finished' && work.changes === undefined;
    if (loaded) {
      const expected = { rows: work.rowsCommitted, chunks: work.chunksCommitted };
      const missing = await this.ledger.missing(target, plan, expected);
      if (missing !== null) throw missing;
    }
    await this.ledger.becomesLogged(target, plan, loaded);
  }

  /**
   * Enters how every table and the run itself ended.
   *
   * @returns why that could not be done, or null
   */
  async end({ tables, error }: RunOutcome): Promise<ErrorData | null> {
    try {
      const outcomes = new Map(tables.map((outcome) => [outcome.table, outcome]));
      const ended = [...this.#works.values()].flatMap(({ plan, label }) => {
        const outcome = outcomes.get(label);
        if (outcome?.status !== 'success' && outcome?.status !== 'failed') return [];
        const status: LedgerTableStatus = outcome.status === 'success' ? 'completed' : 'failed';
        return [{ plan, label, status, error: outcome.error ?? null }];
      });
      await this.ledger.tables(ended);
      for (const { label, status } of ended) this.#mirror.table(this.#keyOf(label), status);
      const status = error === undefined ? 'completed' : error.code === 'CANCELLED' ? 'cancelled' : 'failed';
      await this.ledger.end(status, error ?? null);
      await this.#mirror.end(status);
      return null;
    } catch (failure) {
      await this.#mirror.end('failed').catch(() => {});
      return toErrorData(failure);
    }
  }

  async close(): Promise<void> {
    await this.ledger.close();
  }
}

/**
 * Makes the target's tables ready and enters the run, both or neither.
 *
 * @param run `name`: what the hosts that share it call it
 * @returns labels of the tables that are UNLOGGED
 */
export async function enterRun(
  target: TargetConnection,
  run: {
    config: Config;
    options: RunOptions;
    runId: string;
    planned: Pick<Planned, 'plans' | 'partitions'>;
    mode: TransferMode;
    name?: string;
  },
): Promise<Set<string>> {
  const { config, options, planned, mode, ...named } = run;
  const { plans, partitions } = planned;
  const entry = {
    ...named,
    ...{ configHash: configHash(config), mode: mode.name, toolVersion: options.toolVersion ?? 'unknown' },
  };
  let unlogged = new Set<string>();
  await mode.prepare(target, plans, async () => {
    unlogged = await beginRun(target, entry, plans, partitions);
  });
  return unlogged;
}

/** How a process of the run writes its ledger. */
export function ledgerOptions(
  config: Config,
  { onEvent, signal }: RunOptions,
  runId: string,
  attempt: number,
  unlogged: ReadonlySet<string>,
): LedgerOptions {
  return {
    runId,
    attempt,
    unlogged,
    connect: () => connectTarget(config.target),
    retry: retryPolicy(config.migration),
    stallMs: config.target.stall_timeout_seconds * 1000,
    ended: () => signal.aborted,
    onRetry: tellsOf('ledger', onEvent),
  };
}

function mirrorOf(
  config: Config,
  { stateFile, onEvent }: RunOptions,
  runId: string,
  startedAt: Date,
): StateMirror {
  let told = false;
  return new StateMirror(stateFile ?? null, { runId, configHash: configHash(config), startedAt }, (error) => {
    // The ledger has it all; the file is tried again with the next change.
    if (!told) onEvent({ kind: 'log', level: 'warn', message: toErrorData(error).message });
    told = true;
  });
}

function mirrorTables(
  mirror: StateMirror,
  keyOf: (label: string) => string,
  tables: readonly LedgerTable[],
): void {
  for (const { table, status, totalRows, chunks } of tables) {
    const name = keyOf(table);
    mirror.table(name, status === 'completed' ? 'completed' : 'pending', totalRows);
    for (const chunk of chunks) mirror.committed(name, chunk);
  }
}

/** Tables that are compared have no gaps; what is loaded of them takes numbers that were not used before. */
function plannedPartitions({ plans, partitions }: Planned, plan: TablePlan, first: number): Partition[] {
  const label = tableLabel(plan.source);
  const planned = partitions[plans.findIndex(({ source }) => tableLabel(source) === label)];
  if (planned === undefined) throw new AppError('INTERNAL', `${label} was not planned`);
  return planned.map((one, i) => ({ ...one, table: plan.index, partition: first + i }));
}
