/**
 * The worker threads of a run: one piscina pool a tier, a thread for every task. Main thread.
 *
 * A task that can't run blocks its lane, so tasks never queue for a thread: a pool grows with what it is given, and
 * what is idle is used again. The first thread of each tier may be begun ahead of its work, beside what the main
 * thread does meanwhile.
 */
import { MessageChannel, type Worker } from 'node:worker_threads';
import { expose } from 'comlink';
import { Piscina } from 'piscina';
import { AppError, type ErrorData, fromErrorData, toErrorData } from '../errors.js';
import { controlEndpoint } from '../plan/endpoint.js';
import type { ReaderControl, WriterControl } from '../plan/work.js';

export type Tier = 'reader' | 'hasher' | 'writer';

const WORKERS = new URL('../../workers/', import.meta.url);
/** More than any configuration asks for. */
const MAX_THREADS = 4096;

/** How a reader or writer task ended, as `workers/entry.ts` reports it. */
interface WorkerEnd {
  error?: ErrorData | null;
}

export class Threads {
  readonly #folder: URL;
  readonly #pools = new Map<Tier, Piscina>();

  /** @param folder folder of the worker files; tests put one there that dies */
  constructor(folder: URL = WORKERS) {
    this.#folder = folder;
  }

  /** Begins one thread of each of these tiers, which loads its modules while nobody waits for it. */
  begin(tiers: readonly Tier[]): void {
    for (const tier of tiers) this.#pool(tier);
  }

  /** The threads that own sockets, and so an event loop. */
  get withSockets(): Worker[] {
    return (['reader', 'writer'] as const).flatMap((tier) => this.#pools.get(tier)?.threads ?? []);
  }

  /**
   * Runs one task with a comlink control port of its own.
   *
   * @throws what the worker threw; AppError WORKER_DIED where its thread ended without saying
   */
  async run(tier: Tier, task: object, control: ReaderControl | WriterControl | null): Promise<void> {
    const channel = control === null ? null : new MessageChannel();
    if (channel !== null) expose(control, controlEndpoint(channel.port1));
    const payload = channel === null ? task : { ...task, control: channel.port2 };
    let end: WorkerEnd;
    try {
      end = (await this.#pool(tier).run(payload, {
        transferList: channel === null ? [] : [channel.port2],
      })) as WorkerEnd;
    } catch (error) {
      const data = toErrorData(error);
      if (data.code !== 'INTERNAL') throw error;
      throw new AppError('WORKER_DIED', `A ${tier} thread ended: ${data.message}`, {
        remedy:
          'If it ran out of memory, lower migration.memory_budget_percent, chunk_size or parallel_readers.',
        cause: error,
      });
    } finally {
      channel?.port1.close();
    }
    if (end.error) throw fromErrorData(end.error);
  }

  /** Ends every thread, whatever it does. */
  async end(): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  #pool(tier: Tier): Piscina {
    let pool = this.#pools.get(tier);
    if (pool !== undefined) return pool;
    pool = new Piscina({
      filename: new URL(`${tier}.js`, this.#folder).href,
      minThreads: 1,
      maxThreads: MAX_THREADS,
      // An idle worker must not be parked in Atomics.wait: that would stall its sockets.
      atomics: 'disabled',
    });
    // A thread that dies while it is idle: the task that wants one gets another, or the error.
    pool.on('error', () => {});
    this.#pools.set(tier, pool);
    return pool;
  }
}
