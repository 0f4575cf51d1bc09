/**
 * Threads that are added to a run while others work: they take part once all of them have their connections, and where
 * one can't have it the run goes on without them. Main thread.
 */
import { type ErrorData, toErrorData } from '../errors.js';

export class Joining {
  #missing: number;
  #state: 'pending' | 'joined' | 'refused' = 'pending';
  #settle: (refusal: ErrorData | null) => void = () => {};
  /** Null once they take part, or why they won't. */
  readonly done: Promise<ErrorData | null>;

  /** @param threads how many connect */
  constructor(threads: number) {
    this.#missing = threads;
    this.done = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** One more has its connection. */
  connected(): void {
    this.#missing--;
    if (this.#missing > 0 || this.#state !== 'pending') return;
    this.#state = 'joined';
    this.#settle(null);
  }

  /** @returns whether a thread's error only says that they take no part; else it is the run's */
  refused(error: unknown): boolean {
    if (this.#state !== 'pending') return this.#state === 'refused';
    const data = toErrorData(error);
    // IO: this process can't open more connections.
    if (!/^(SOURCE|TARGET)_|^(CANCELLED|IO)$/.test(data.code)) return false;
    this.#state = 'refused';
    this.#settle(data);
    return true;
  }
}
