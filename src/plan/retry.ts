/**
 * How often and how soon something is tried again that failed for a passing reason. Any thread.
 */
import { isRetryable, toErrorData } from '../errors.js';

export interface RetryPolicy {
  /** Tries after the first, without anything being achieved in between; 0 tries once. */
  retries: number;
  /** The first pause; each further one is twice as long, up to `MAX_DELAY_MS`. */
  delayMs: number;
}

/** @returns the policy the configuration asks for. */
export function retryPolicy(migration: { max_retries: number; retry_delay_ms: number }): RetryPolicy {
  return { retries: migration.max_retries, delayMs: migration.retry_delay_ms };
}

const MAX_DELAY_MS = 60_000;
/** How soon a pause sees that nobody waits for its end any more. */
const STEP_MS = 100;

/** Counts the failures in a row. */
export class Retries {
  #failures = 0;

  constructor(readonly policy: RetryPolicy) {}

  /** Something was achieved: what fails from here on is a new trouble. */
  reset(): void {
    this.#failures = 0;
  }

  /** Counts a failure. @returns whether it may be tried again. */
  mayRetry(error: unknown): boolean {
    this.#failures++;
    // A run that was told to stop may be started again, which is not for us to do.
    if (toErrorData(error).code === 'CANCELLED' || !isRetryable(error)) return false;
    return this.#failures <= this.policy.retries;
  }

  /** Waits before the next try; less where `ended` comes true. */
  async pause(ended: () => boolean = () => false): Promise<void> {
    const delayMs = Math.min(MAX_DELAY_MS, this.policy.delayMs * 2 ** (this.#failures - 1));
    // Workers that failed together should not come back together.
    const until = performance.now() + delayMs * (0.75 + Math.random() / 2);
    for (let left = delayMs; left > 0 && !ended(); left = until - performance.now()) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(left, STEP_MS)));
    }
  }
}

/** No such host, and no answer for as long as `connect_timeout_seconds` gave it. */
const SETTLED = new Set(['ENOTFOUND', 'ETIMEDOUT', 'ETIMEOUT']);

/**
 * Whether what kept a first connection from being made is rather a mistake than passing: a host that there is none of, or
 * that does not answer, or files that can't be read. A server that is about to start takes no connection, or says so.
 */
export function isSettled(error: unknown): boolean {
  const { code } = toErrorData(error);
  return code === 'IO' || (code.endsWith('_UNREACHABLE') && saidBySystem(error, SETTLED));
}

/** @returns whether an error, or what it comes from, has one of these codes */
function saidBySystem(error: unknown, codes: ReadonlySet<string>): boolean {
  if (!(error instanceof Error)) return false;
  const { code, cause, errors = [] } = error as Error & { code?: string; errors?: unknown[] };
  return codes.has(code ?? '') || [cause, ...errors].some((inner) => saidBySystem(inner, codes));
}

/**
 * Tries `work` until it succeeds, fails for good, or has been tried often enough.
 *
 * @param options.isFinal says of further errors that they are for good
 */
export async function withRetries<T>(
  policy: RetryPolicy,
  work: () => Promise<T>,
  options: {
    ended?: () => boolean;
    onRetry?: (error: unknown) => void;
    isFinal?: (error: unknown) => boolean;
  } = {},
): Promise<T> {
  const retries = new Retries(policy);
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (options.ended?.() || options.isFinal?.(error) || !retries.mayRetry(error)) throw error;
      options.onRetry?.(error);
      await retries.pause(options.ended);
    }
  }
}
