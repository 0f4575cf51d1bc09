/**
 * A target connection that is made when it is needed, and made again after it was lost.
 *
 * Runs on the main thread.
 */
import { AppError } from '../errors.js';
import type { TargetConnection } from './connection.js';

export class TargetSession {
  readonly #connect: () => Promise<TargetConnection>;
  #target: TargetConnection | null;
  #last: Promise<unknown> = Promise.resolve();

  /** @param first a connection to begin with, where there is one */
  constructor(connect: () => Promise<TargetConnection>, first: TargetConnection | null = null) {
    this.#connect = connect;
    this.#target = first;
  }

  /** Does one piece of work after the other; one that lost the connection may be repeated on a new one. */
  use<T>(work: (target: TargetConnection) => Promise<T>): Promise<T> {
    const done = this.#last.then(() => this.#once(work));
    this.#last = done.catch(() => {});
    return done;
  }

  async close(): Promise<void> {
    const target = this.#target;
    this.#target = null;
    await target?.close().catch(() => {});
  }

  async #once<T>(work: (target: TargetConnection) => Promise<T>): Promise<T> {
    this.#target ??= await this.#connect();
    try {
      return await work(this.#target);
    } catch (error) {
      if (error instanceof AppError && error.code === 'TARGET_CONNECTION_LOST') await this.close();
      throw error;
    }
  }
}
