/**
 * The run on one page: connect, plan, prepare or resume, transfer, finalize. Main thread; it never touches a row.
 */
import { findRun, type LedgerRun, readTables } from '../checkpoint/runs.js';
import type { State } from '../checkpoint/stateFile.js';
import { configHash } from '../config/identity.js';
import type { Config } from '../config/schema.js';
import { AppError } from '../errors.js';
import type { FinalizeHooks } from '../finalize/finalize.js';
import { type Host, inspectHost } from '../host/host.js';
import { configuredMode, type TransferMode } from '../plan/modes/index.js';
import { retryPolicy } from '../plan/retry.js';
import type { SourceConnection } from '../source/connection.js';
import type { TargetConnection } from '../target/connection.js';
import { orAborted, stopOf } from './abort.js';
import { type CheckpointRequest, chooseRun, endState, openState } from './checkpoint.js';
import { connectBoth, waitingFor } from './connecting.js';
import type { RunEvent, RunOptions, RunOutcome, StepOutcome } from './events.js';
import { completedOutcome, finalizeTables, outcomeOfRun } from './finishing.js';
import { Journal } from './journal.js';
import { type Planned, planRun, tellPlan } from './planning.js';
import { shareRun } from './shared/sharedRun.js';
import { synchronize } from './synchronize.js';
import { Threads } from './threads.js';
import { transfer } from './transfer.js';

/**
 * Runs a migration from the first connection to the last constraint, or what an earlier process left of it.
 *
 * @returns what became of every table; `error` says why the run as a whole did not succeed
 * @throws AppError where no table was begun: connections, configuration, planning, preparation, an unfinished run
 */
export async function runMigration(config: Config, options: RunOptions): Promise<RunOutcome> {
  const threads = options.threads ?? new Threads();
  const retries = new Map<string, number>();
  const onEvent = (event: RunEvent): void => {
    if (event.kind === 'retry') retries.set(event.table, (retries.get(event.table) ?? 0) + 1);
    options.onEvent(event);
  };
  const outcome = await run(config, { ...options, onEvent }, threads).finally(() => threads.end());
  for (const table of outcome.tables) {
    const times = retries.get(table.table);
    if (times !== undefined) table.retries = times;
  }
  return outcome;
}

async function run(config: Config, options: RunOptions, threads: Threads): Promise<RunOutcome> {
  const mode = configuredMode(config);
  const { resume = false, unfinished = 'refuse', stateFile = null, join } = options;
  if (join !== undefined) requireShareable(options, mode);
  // A mode that looks for differences needs no earlier run to go on from: what is there is where it begins.
  const anew = mode.loads === 'differences' ? 'give-up' : unfinished;
  const request = { resume, unfinished: anew, stateFile, configHash: configHash(config) };
  const state = await openState(request);
  try {
    return await runFrom(state, request, config, options, mode, threads);
  } catch (error) {
    await endState(request, error);
    throw error;
  }
}

async function runFrom(
  state: State | null,
  request: CheckpointRequest,
  config: Config,
  options: RunOptions,
  mode: TransferMode,
  threads: Threads,
): Promise<RunOutcome> {
  const { onEvent, signal, join } = options;
  const host = options.host ?? (await inspectHost());
  onEvent({ kind: 'phase', phase: 'connect' });
  const [source, target] = await waitingFor(config, options, () =>
    connectBoth(config, signal, stopOf(options)),
  );
  let journal: Journal | null = null;
  try {
    if (join !== undefined) return await share(config, options, mode, host, [source, target], threads, join);
    const chosen = await orAborted(chooseRun(target, request, state), signal);
    if (chosen.run?.status === 'completed') return await nothingLeft(target, chosen.run);

    onEvent({ kind: 'phase', phase: 'plan' });
    const planned = await orAborted(planRun(config, host, source, target), signal);
    tellPlan(chosen.runId, planned, onEvent);

    signal.throwIfAborted();
    onEvent({ kind: 'phase', phase: 'prepare' });
    journal =
      chosen.run === null
        ? await Journal.begin(config, options, chosen.runId, planned, mode, target)
        : await Journal.resume(config, options, chosen, planned, mode, target);
    return await carryOut(config, options, planned, mode, target, journal, threads);
  } finally {
    await Promise.allSettled([source.close(), target.close(), journal?.close()]);
  }
}

/** A run that other hosts work on as well: this one finishes it, or tells how another one did. */
async function share(
  config: Config,
  options: RunOptions,
  mode: TransferMode,
  host: Host,
  [source, target]: [SourceConnection, TargetConnection],
  threads: Threads,
  name: string,
): Promise<RunOutcome> {
  options.onEvent({ kind: 'phase', phase: 'plan' });
  const planned = await orAborted(planRun(config, host, source, target), options.signal);
  const { runId, finisher } = await shareRun({ name, config, options, planned, mode, threads });
  if (finisher === null) return outcomeInLedger(target, runId);
  let journal: Journal | null = null;
  let complete = false;
  try {
    journal = await Journal.resume(config, options, finisher.checkpoint, planned, mode, target);
    const outcome = await carryOut(config, options, planned, mode, target, journal, threads);
    complete = outcome.error === undefined;
    return outcome;
  } finally {
    await journal?.close();
    await finisher.end(complete);
  }
}

/** @throws AppError USAGE, UNSUPPORTED */
function requireShareable(
  { stateFile, resume, unfinished = 'refuse', failFast }: RunOptions,
  mode: TransferMode,
): void {
  if (resume === true || unfinished !== 'refuse' || failFast === true || stateFile !== undefined) {
    throw new AppError(
      'USAGE',
      'A shared run is not resumed by itself, keeps no state file, and brings every table it can',
      {
        remedy:
          'Leave out the other options: a host that joins again goes on where the ledger says the run is.',
      },
    );
  }
  if (mode.loads === 'everything') return;
  throw new AppError('UNSUPPORTED', `Hosts can't share a run of target_mode ${mode.name}`, {
    remedy: 'Run it on one host, or give each host tables of its own with include_tables.',
  });
}

/** Moves the rows and finishes the tables. */
async function carryOut(
  config: Config,
  options: RunOptions,
  { sizes, notes }: Planned,
  mode: TransferMode,
  target: TargetConnection,
  journal: Journal,
  threads: Threads,
): Promise<RunOutcome> {
  const { onEvent, signal } = options;
  const { ledger, task } = journal;
  onEvent({ kind: 'phase', phase: 'transfer' });
  const move = {
    ...task,
    ...{ config, sizes, threads, ledger, signal, onEvent },
    ...{ failFast: options.failFast ?? false, shutdownMs: options.shutdownMs ?? 0 },
    retry: retryPolicy(config.migration),
    onChunk: journal.onChunk.bind(journal),
    onReload: journal.onReload.bind(journal),
  };
  const work = await (mode.loads === 'everything' ? transfer(move) : synchronize({ ...move, target }));
  await threads.end();
  journal.transferred(work.tables);

  // Null: what follows the rows was not come to, and is left for `resume`.
  let steps: StepOutcome[] | null = null;
  let stopped = work.error;
  if (!signal.aborted) {
    onEvent({ kind: 'phase', phase: 'finalize' });
    try {
      const hooks: FinalizeHooks = { onLogged: (session, plan) => journal.onLogged(session, plan) };
      steps = await finalizeTables(config, sizes, work.tables, onEvent, hooks, stopOf(options));
    } catch (error) {
      stopped ??= error;
    }
  }
  onEvent({ kind: 'phase', phase: 'done' });
  const allNotes = [...notes, ...task.notes];
  const outcome = outcomeOfRun(ledger.runId, work.tables, steps, allNotes, stopped, task.completed);
  const unwritten = await journal.end(outcome);
  if (unwritten !== null) outcome.error ??= unwritten;
  return outcome;
}

/** How another host ended the run. */
async function outcomeInLedger(target: TargetConnection, runId: string): Promise<RunOutcome> {
  const run = await findRun(target, runId);
  const tables = await readTables(target, runId);
  const notes = [`run ${runId} was finished by another host; what is counted is what all of them brought`];
  const ended = run?.status === 'completed' ? null : (run?.error ?? null);
  return {
    runId,
    tables: tables.map((table) =>
      table.status === 'failed' && table.error !== null
        ? { ...completedOutcome(table), status: 'failed' as const, error: table.error }
        : completedOutcome(table),
    ),
    ...{ steps: [], notes },
    ...(ended !== null && { error: ended }),
  };
}

/** A run that was asked to go on and is complete: a scheduler's second try finds the first one's success. */
async function nothingLeft(target: TargetConnection, { runId }: LedgerRun): Promise<RunOutcome> {
  const tables = await readTables(target, runId);
  return {
    runId,
    tables: tables.map(completedOutcome),
    steps: [],
    notes: [`run ${runId} is complete: nothing was left to do`],
  };
}
