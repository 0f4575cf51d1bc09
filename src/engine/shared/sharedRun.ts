/**
 * A run that several hosts share: the first one begins it, all of them load its partitions, one of them finishes it.
 * Main thread.
 *
 * Who finishes it resumes the run as a single host would, so that nothing depends on how the others ended. Whoever is
 * left over waits, to take that over should the finisher end before the run does, and to report how the run ended.
 */
import { randomUUID } from 'node:crypto';
import { gapsByPlanned } from '../../checkpoint/coverage.js';
import { Ledger } from '../../checkpoint/ledger.js';
import { shareLock, tryLock, unlock, unlockShared } from '../../checkpoint/locks.js';
import {
  findRun,
  findSharedRun,
  fingerprintOf,
  type LedgerRun,
  readTables,
  reopenRun,
} from '../../checkpoint/runs.js';
import { ensureLedger } from '../../checkpoint/schema.js';
import { configHash } from '../../config/identity.js';
import type { Config } from '../../config/schema.js';
import { AppError } from '../../errors.js';
import type { TablePlan } from '../../plan/model.js';
import type { TransferMode } from '../../plan/modes/index.js';
import { retryPolicy } from '../../plan/retry.js';
import { tableLabel } from '../../source/model.js';
import { connectTarget, type TargetConnection } from '../../target/connection.js';
import { orAborted, stopOf } from '../abort.js';
import type { Checkpoint } from '../checkpoint.js';
import type { RunOptions } from '../events.js';
import { enterRun, ledgerOptions } from '../journal.js';
import { type Planned, tellPlan } from '../planning.js';
import type { Threads } from '../threads.js';
import { Jobs, type PartitionJob } from './jobs.js';
import { shareTransfer } from './sharedTransfer.js';

export interface SharedRunOptions {
  /** What the hosts call the run: theirs alone, for ever. */
  name: string;
  config: Config;
  options: RunOptions;
  planned: Planned;
  mode: TransferMode;
  threads: Threads;
}

/** How often the hosts that wait look for the run's end. */
const LOOK_MS = 1_000;

/** Held by whoever finishes the run, until its session ends. */
export class Finisher {
  constructor(
    readonly checkpoint: Checkpoint,
    readonly jobs: Jobs,
    readonly session: TargetConnection,
  ) {}

  /** @param complete whether the run is: its queue is removed then */
  async end(complete: boolean): Promise<void> {
    // A queue that is left over costs nothing: the run is complete all the same.
    if (complete) await this.jobs.remove().catch(() => {});
    await Promise.allSettled([this.jobs.close(), this.session.close()]);
  }
}

/**
 * Does this host's share of the run.
 *
 * @returns the run, for this host to finish; or null where another host has finished it
 * @throws AppError what ended this host's share; STATE_INVALID where the name is another configuration's
 */
export async function shareRun(
  shared: SharedRunOptions,
): Promise<{ runId: string; finisher: Finisher | null }> {
  const { config, options } = shared;
  const { signal } = options;
  const session = await connectTarget(config.target, stopOf(options));
  let jobs: Jobs | null = null;
  let finishing = false;
  try {
    await ensureLedger(session);
    await waitFor(session, beginLock(shared.name), signal);
    const run = await findOrBegin(session, shared);
    tellPlan(run.runId, shared.planned, options.onEvent);
    if (run.status === 'completed') return { runId: run.runId, finisher: null };
    jobs = await Jobs.open({
      runId: run.runId,
      connect: () => connectTarget(config.target),
      retry: retryPolicy(config.migration),
      ended: () => signal.aborted,
    });
    await loadShare(session, jobs, run, shared);
    const finished = await waitForEnd(session, run.runId, signal);
    if (finished) return { runId: run.runId, finisher: null };
    finishing = true;
    return { runId: run.runId, finisher: new Finisher({ runId: run.runId, run }, jobs, session) };
  } finally {
    if (!finishing) await Promise.allSettled([jobs?.close(), session.close()]);
  }
}

/** Under the begin lock: the run of this name, begun by this host where there is none yet. */
async function findOrBegin(session: TargetConnection, shared: SharedRunOptions): Promise<LedgerRun> {
  const { name, config, options, planned, mode } = shared;
  const found = await findSharedRun(session, name);
  if (found === null) {
    options.onEvent({ kind: 'phase', phase: 'prepare' });
    const runId = randomUUID();
    await enterRun(session, { config, options, runId, planned, mode, name });
    return (await findRun(session, runId))!;
  }
  if (found.configHash !== configHash(config)) {
    throw new AppError('STATE_INVALID', `The shared run ${name} belongs to another configuration`, {
      remedy:
        'Give every host the same configuration (passwords, sizes and timeouts may differ), and every run a name of its own.',
    });
  }
  if (found.status === 'superseded') {
    throw new AppError(
      'STATE_INVALID',
      `The shared run ${name} can't go on: a later run has loaded some of its tables`,
      {
        remedy: 'Give the next run a name of its own.',
      },
    );
  }
  if (found.status === 'failed' || found.status === 'cancelled') {
    await reopenRun(session, found.runId);
    return { ...found, status: 'running' };
  }
  return found;
}

/** Publishes what is missing of the run, lets the next host in, and loads until nothing is left to take. */
async function loadShare(
  session: TargetConnection,
  jobs: Jobs,
  run: LedgerRun,
  { name, config, options, planned, threads }: SharedRunOptions,
): Promise<void> {
  const { onEvent, signal, shutdownMs = 0 } = options;
  const { runId, attempt } = run;
  // Whoever finishes the run has it alone: what is missing then, is missing for a reason that is theirs to find.
  const loading = await shareLock(session, runId);
  const tables = await readTables(session, runId);
  const byLabel = new Map(planned.plans.map((plan) => [tableLabel(plan.source), plan]));
  const plans: TablePlan[] = [];
  const missing: PartitionJob[] = [];
  for (const { table, status, fingerprint, partitions, chunks } of tables) {
    if (status === 'completed') continue;
    const plan = byLabel.get(table);
    if (plan === undefined || fingerprintOf(plan) !== fingerprint) throw changedSince(table, name);
    plans.push({ ...plan, index: plans.length });
    for (const [partition, gaps] of gapsByPlanned(partitions, chunks)) {
      if (gaps.length > 0) missing.push({ table, partition });
    }
  }
  if (loading) await jobs.publish(missing);
  await unlock(session, beginLock(name));
  if (!loading) return;
  onEvent({ kind: 'phase', phase: 'transfer' });
  const unlogged = new Set(tables.filter((table) => table.unlogged).map(({ table }) => table));
  const ledger = new Ledger(await connectTarget(config.target), {
    ...ledgerOptions(config, options, runId, attempt, unlogged),
    shared: true,
  });
  try {
    await shareTransfer({
      config,
      plans,
      sizes: planned.sizes,
      threads,
      ledger,
      jobs,
      signal,
      shutdownMs,
      onEvent,
    });
  } finally {
    await ledger.close();
    await unlockShared(session, runId).catch(() => {});
  }
}

/** @returns true once another host has finished the run, false where this one is to do it */
async function waitForEnd(session: TargetConnection, runId: string, signal: AbortSignal): Promise<boolean> {
  for (;;) {
    signal.throwIfAborted();
    const run = await findRun(session, runId);
    if (run === null || run.status !== 'running') return true;
    if (await tryLock(session, `finish ${runId}`)) {
      // The one that had the lock may have finished between the two questions.
      const now = await findRun(session, runId);
      return now?.status !== 'running';
    }
    await orAborted(new Promise((resolve) => setTimeout(resolve, LOOK_MS)), signal);
  }
}

const beginLock = (name: string): string => `begin ${name}`;

async function waitFor(session: TargetConnection, key: string, signal: AbortSignal): Promise<void> {
  while (!(await tryLock(session, key))) {
    await orAborted(new Promise((resolve) => setTimeout(resolve, LOOK_MS)), signal);
  }
}

function changedSince(table: string, name: string): AppError {
  return new AppError(
    'SCHEMA_CONFLICT',
    `Source table ${table} is not what it was when the shared run ${name} began`,
    {
      table,
      remedy: 'Put it back as it was, or begin a run under another name.',
    },
  );
}
