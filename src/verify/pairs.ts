/**
 * Pairs of connections, one to each side, for as many comparisons as may run at the same time. Main thread.
 */
import { AppError } from '../errors.js';
import type { SourceConnection } from '../source/connection.js';
import type { TargetConnection } from '../target/connection.js';

export interface ConnectionPair {
  source: SourceConnection;
  target: TargetConnection;
}

/** Opens pairs as they are needed, up to a limit, and hands idle ones out again. */
export class PairPool {
  readonly #connectSource: () => Promise<SourceConnection>;
  readonly #connectTarget: () => Promise<TargetConnection>;
  readonly #idle: ConnectionPair[] = [];
  readonly #open = new Set<ConnectionPair>();
  readonly #waiting: { resolve: (pair: ConnectionPair) => void; reject: (error: unknown) => void }[] = [];
  #free: number;
  #closed: AppError | null = null;

  constructor(
    connectSource: () => Promise<SourceConnection>,
    connectTarget: () => Promise<TargetConnection>,
    limit: number,
  ) {
    this.#connectSource = connectSource;
    this.#connectTarget = connectTarget;
    this.#free = limit;
  }

  /** Runs `work` with a pair of its own. Not to be nested: the inner one might wait for the outer for ever. */
  async use<Result>(work: (pair: ConnectionPair) => Promise<Result>): Promise<Result> {
    const pair = await this.acquire();
    try {
      return await work(pair);
    } finally {
      this.release(pair);
    }
  }

  /** @throws AppError CANCELLED after `close` */
  async acquire(): Promise<ConnectionPair> {
    if (this.#closed !== null) throw this.#closed;
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (isWhole(idle)) return idle;
      this.#discard(idle);
    }
    if (this.#free === 0) {
      return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    }
    this.#free--;
    try {
      return await this.#connect();
    } catch (error) {
      this.#free++;
      // Where nobody has a pair to hand on, those that wait would wait for ever.
      if (this.#open.size === 0) for (const { reject } of this.#waiting.splice(0)) reject(error);
      throw error;
    }
  }

  release(pair: ConnectionPair): void {
    const whole = isWhole(pair);
    if (!whole) this.#discard(pair);
    const next = this.#waiting.shift();
    if (next === undefined) {
      if (whole) this.#idle.push(pair);
    } else if (whole) next.resolve(pair);
    else this.acquire().then(next.resolve, next.reject);
  }

  /** Cuts every connection off; whoever waits for one or uses one fails. */
  async close(): Promise<void> {
    this.#closed ??= new AppError('CANCELLED', 'The comparison was ended');
    for (const { reject } of this.#waiting.splice(0)) reject(this.#closed);
    const pairs = [...this.#open];
    this.#open.clear();
    await Promise.allSettled(pairs.flatMap(({ source, target }) => [source.close(), target.close()]));
  }

  /** Half of the pair is lost: whoever comes next may open another one. */
  #discard(pair: ConnectionPair): void {
    this.#open.delete(pair);
    for (const half of [pair.source, pair.target]) half.close().catch(() => {});
    this.#free++;
  }

  async #connect(): Promise<ConnectionPair> {
    const [source, target] = await Promise.allSettled([this.#connectSource(), this.#connectTarget()]);
    if (source.status === 'fulfilled' && target.status === 'fulfilled' && this.#closed === null) {
      const pair = { source: source.value, target: target.value };
      this.#open.add(pair);
      return pair;
    }
    if (source.status === 'fulfilled') await source.value.close();
    if (target.status === 'fulfilled') await target.value.close();
    if (source.status === 'rejected') throw source.reason;
    throw target.status === 'rejected' ? target.reason : this.#closed;
  }
}

function isWhole({ source, target }: ConnectionPair): boolean {
  return source.isOpen && target.isOpen;
}
