/**
 * This host's part of a shared run's rows: takes partitions as jobs, loads them, and gives back what it can't finish.
 * Main thread.
 *
 * Nothing here decides that a table is complete: once no job is left, one host resumes the run for itself and reads
 * whatever the jobs have left, for whatever reason. A job is complete where all of it was read and committed; in every
 * other case it is given back, and the ledger tells the next host what is missing.
 */
import { type Claimed, claimPartition } from '../../checkpoint/claims.js';
import type { Claim, Ledger } from '../../checkpoint/ledger.js';
import type { Config } from '../../config/schema.js';
import { type ErrorData, fromErrorData, isRetryable } from '../../errors.js';
import type { Sizes } from '../../host/sizes.js';
import type { Partition, TablePlan } from '../../plan/model.js';
import { retryPolicy } from '../../plan/retry.js';
import { type ReaderControl, type ReadWork, StopFlags, type WriterControl } from '../../plan/work.js';
import { tableLabel } from '../../source/model.js';
import type { RunEventHandler } from '../events.js';
import { laneSettings } from '../laneSettings.js';
import { runLanes } from '../lanes.js';
import type { Threads } from '../threads.js';
import { loadWork } from '../transfer.js';
import type { Job, Jobs } from './jobs.js';

export interface SharedTransferOptions {
  config: Config;
  /** The tables of the run that are not complete. */
  plans: readonly TablePlan[];
  sizes: Sizes;
  threads: Threads;
  ledger: Ledger;
  jobs: Jobs;
  signal: AbortSignal;
  shutdownMs: number;
  onEvent: RunEventHandler;
}

/** How often a host without work looks for some, and every host for hosts that are gone. */
const LOOK_MS = 500;
const HAND_ON_MS = 3_000;

/** A job this host is at. */
interface Held {
  job: Job;
  claim: Claim;
  /** Pieces that no reader has come back from. */
  unread: number;
  chunksRead: number;
  chunksCommitted: number;
  /** Why it can't be completed here, or null. */
  broken: string | null;
}

/** What this host has done of a table. */
interface Share {
  rows: number;
  bytes: number;
  chunks: number;
}

/** Loads partitions until no host has one left to do. @throws the error that ended it, CANCELLED among them */
export async function shareTransfer(options: SharedTransferOptions): Promise<void> {
  await new SharedTransfer(options).run();
}

class SharedTransfer {
  readonly #options: SharedTransferOptions;
  readonly #stopFlags: StopFlags;
  readonly #byLabel: Map<string, TablePlan>;
  readonly #shares: Share[];
  readonly #abort = new AbortController();
  /** By table and number of the piece, which a chunk names. */
  readonly #heldBy = new Map<string, Held>();
  readonly #failedTables = new Set<number>();
  #ready: { held: Held; piece: Partition }[] = [];
  #taking: Promise<'some' | 'none yet' | 'none left'> | null = null;
  #mayBeMore = true;

  constructor(options: SharedTransferOptions) {
    this.#options = options;
    this.#stopFlags = StopFlags.forTables(options.plans.length);
    this.#byLabel = new Map(options.plans.map((plan) => [tableLabel(plan.source), plan]));
    this.#shares = options.plans.map(() => ({ rows: 0, bytes: 0, chunks: 0 }));
  }

  async run(): Promise<void> {
    const { config, plans, sizes, threads, signal, shutdownMs, onEvent } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const onSignal = (): void => {
      this.#stopFlags.drain();
      timer = setTimeout(() => this.#abort.abort(signal.reason), shutdownMs);
    };
    signal.addEventListener('abort', onSignal, { once: true });
    if (signal.aborted) onSignal();
    const handingOn = setInterval(() => void this.#handOn(), HAND_ON_MS);
    try {
      await runLanes(
        {
          ...sizes,
          threads,
          workWaits: () => this.#ready.length > 0 || this.#mayBeMore,
          ...laneSettings(config, plans, sizes, retryPolicy(config.migration), onEvent),
          stopFlags: this.#stopFlags,
          signal: this.#abort.signal,
        },
        this.#reader(),
        this.#writer(),
      );
    } finally {
      clearInterval(handingOn);
      clearTimeout(timer);
      signal.removeEventListener('abort', onSignal);
      await this.#giveAllBack();
    }
    signal.throwIfAborted();
  }

  #reader(): ReaderControl {
    return {
      next: () => this.#guarded(() => this.#next()),
      read: async ({ table, partition, chunks }) => {
        const held = this.#heldBy.get(pieceName(table, partition));
        if (held === undefined) return;
        held.unread--;
        held.chunksRead += chunks;
        // What a thread still has of a table that has failed, it drops.
        if (this.#failedTables.has(table)) held.broken ??= 'its table has failed';
        await this.#guarded(() => this.#settle(held));
      },
      failed: async (table, partition, error, again) => {
        if (again) {
          this.#tryingAgain(table, error);
          return;
        }
        const held = this.#heldBy.get(pieceName(table, partition));
        if (held === undefined) return;
        held.unread--;
        await this.#guarded(() => this.#failed(held, table, error));
      },
    };
  }

  #writer(): WriterControl {
    return {
      committed: async ({ table, partition }, { rows, bytes }) => {
        const share = this.#shares[table]!;
        share.rows += rows;
        share.bytes += bytes;
        share.chunks++;
        const label = tableLabel(this.#options.plans[table]!.source);
        this.#options.onEvent({ kind: 'rows', table: label, ...share });
        const held = this.#heldBy.get(pieceName(table, partition));
        if (held === undefined) return;
        held.chunksCommitted++;
        await this.#guarded(() => this.#settle(held));
      },
      failed: async ({ table, partition }, end, error) => {
        const held = this.#heldBy.get(pieceName(table, partition));
        // Where the reader has given the chunk up as well, it reads it again by itself.
        if (held === undefined || (end === null && isRetryable(fromErrorData(error)))) return;
        await this.#guarded(() => this.#failed(held, table, error));
      },
    };
  }

  async #next(): Promise<ReadWork | null> {
    const { config, plans, ledger } = this.#options;
    for (;;) {
      if (this.#stopFlags.isDraining) return null;
      const next = this.#ready.shift();
      if (next !== undefined) {
        const { held, piece } = next;
        const plan = plans[piece.table]!;
        return loadWork(config, plan, piece, ledger.chunkEntry(plan, held.claim));
      }
      this.#taking ??= this.#take().finally(() => {
        this.#taking = null;
      });
      const taken = await this.#taking;
      if (taken === 'none left') return null;
      if (taken === 'none yet') await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Takes a job, and its partition for this host. */
  async #take(): Promise<'some' | 'none yet' | 'none left'> {
    const { jobs, ledger, onEvent } = this.#options;
    const job = await jobs.fetch();
    this.#mayBeMore = job !== null;
    if (job === null) return (await jobs.unfinished()) === 0 ? 'none left' : 'none yet';
    const plan = this.#byLabel.get(job.table);
    let claimed: Claimed | null = null;
    try {
      if (plan !== undefined) claimed = await claimPartition(ledger, plan, job.partition, job.id);
    } catch (error) {
      // Nobody else would know that this host has it no more.
      await jobs.giveBack(job, 'it could not be claimed').catch(() => {});
      throw error;
    }
    // Nothing to do: the table has failed, or is complete, or this partition of it is.
    if (plan === undefined || claimed === null || claimed.pieces.length === 0) {
      await jobs.complete(job);
      return 'some';
    }
    const held: Held = {
      ...{ job, claim: claimed.claim, unread: claimed.pieces.length },
      ...{ chunksRead: 0, chunksCommitted: 0, broken: null },
    };
    for (const piece of claimed.pieces) {
      this.#heldBy.set(pieceName(piece.table, piece.partition), held);
      this.#ready.push({ held, piece });
    }
    onEvent({
      kind: 'log',
      level: 'debug',
      message: `${job.table}: partition ${job.partition} is this host's`,
    });
    return 'some';
  }

  /** Ends a job of which nothing is under way any more. */
  async #settle(held: Held): Promise<void> {
    const { jobs } = this.#options;
    if (held.unread > 0) return;
    if (held.broken !== null) {
      this.#forget(held);
      await jobs.giveBack(held.job, held.broken);
    } else if (held.chunksCommitted === held.chunksRead) {
      this.#forget(held);
      await jobs.complete(held.job);
    }
  }

  /** Something of a job failed: for a passing reason, and it is tried again by whoever takes it; else with its table. */
  async #failed(held: Held, table: number, error: ErrorData): Promise<void> {
    const { plans, ledger, onEvent } = this.#options;
    const plan = plans[table]!;
    held.broken ??= error.message;
    const waiting = this.#ready.filter((piece) => piece.held === held);
    this.#ready = this.#ready.filter((piece) => piece.held !== held);
    held.unread -= waiting.length;
    if (isRetryable(fromErrorData(error))) {
      this.#tryingAgain(table, error);
    } else if (!this.#failedTables.has(table)) {
      this.#failedTables.add(table);
      for (const other of this.#heldBy.values()) {
        if (other.job.table === held.job.table) other.broken ??= 'its table has failed';
      }
      this.#stopFlags.stop(table);
      // The hosts leave it alone; the one that finishes the run tries once more and reports it.
      await ledger.table(plan, 'failed', error);
      onEvent({ kind: 'log', level: 'warn', message: `${tableLabel(plan.source)}: ${error.message}` });
    }
    await this.#settle(held);
  }

  #tryingAgain(table: number, error: ErrorData): void {
    const label = tableLabel(this.#options.plans[table]!.source);
    this.#options.onEvent({ kind: 'retry', table: label, error });
  }

  #forget(held: Held): void {
    for (const [name, other] of this.#heldBy) if (other === held) this.#heldBy.delete(name);
  }

  /** What this host still has, it will not do any more. */
  async #giveAllBack(): Promise<void> {
    const held = new Set(this.#heldBy.values());
    this.#heldBy.clear();
    this.#ready = [];
    await Promise.allSettled(
      [...held].map(({ job, broken }) => this.#options.jobs.giveBack(job, broken ?? 'its host stops')),
    );
  }

  async #handOn(): Promise<void> {
    const { jobs, onEvent } = this.#options;
    const count = await jobs.handOn().catch((error) => {
      onEvent({
        kind: 'log',
        level: 'warn',
        message: `hosts that are gone were not looked for: ${String(error)}`,
      });
      return 0;
    });
    if (count === 0) return;
    const what = count === 1 ? 'a partition' : `${count} partitions`;
    onEvent({ kind: 'log', level: 'warn', message: `a host is gone: ${what} of it can be taken again` });
  }

  /** comlink would drop an error's code: this way it is the run's error. */
  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#abort.abort(error);
      throw error;
    }
  }
}

function pieceName(table: number, partition: number): string {
  return `${table}.${partition}`;
}
