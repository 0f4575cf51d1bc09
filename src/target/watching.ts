/**
 * Looks at a session from beside while one of its statements is waited for: whether the answer will come at all, and how
 * the statement ends where its run is to stop.
 *
 * Runs on the main thread.
 */
import { setTimeout } from 'node:timers/promises';
import { AppError } from '../errors.js';

/** What a session does, by the server: null where it has none of that process id. */
export type SessionState = { state: string; waitsForClient: boolean } | null;

/** That a session's statements end with the run they belong to. */
export interface Stop {
  /** Its abort is the run's. */
  signal: AbortSignal;
  /** How long after it a statement that does something may go on, in ms. */
  graceMs: number;
}

/** Asks the server on another connection, and does what is needed. */
export interface Beside {
  ask: () => Promise<SessionState>;
  /** Ends the statement, whatever it does or only where it waits for a lock. */
  cancel: (which: 'if it waits for a lock' | 'whatever it does') => Promise<void>;
  /** Ends the wait: the statement fails as one whose connection was lost. */
  hangUp: () => void;
}

export interface WatchOptions {
  /** How long a statement may last before it is asked about, and again each time, in ms; 0: it is not. */
  stallMs: number;
  /** Null where the statement goes on whatever becomes of its run. */
  stop: Stop | null;
}

/**
 * How soon is looked again: at a server that says its answer was sent, which may be on its way; and at a run that is to
 * stop, as a statement that does something now may wait for a lock later.
 */
const LOOK_MS = 1000;

/** @returns `work`, given up where the server does not work on it any more; it ends soon after the run is to stop */
export async function watched<T>(
  { stallMs, stop }: WatchOptions,
  beside: Beside,
  work: Promise<T>,
): Promise<T> {
  const over = new AbortController();
  // They end by their pauses' AbortError.
  if (stallMs > 0) lookForLoss(beside, stallMs, over.signal).catch(() => {});
  if (stop !== null) lookForStop(beside, stop, over.signal).catch(() => {});
  try {
    return await work;
  } finally {
    over.abort();
  }
}

/** A statement may take hours, and a connection may be lost without a word. */
async function lookForLoss({ ask, hangUp }: Beside, stallMs: number, over: AbortSignal): Promise<void> {
  for (let suspected = false; ; ) {
    await setTimeout(suspected ? LOOK_MS : stallMs, null, { signal: over });
    const lost = await isLost(ask);
    if (lost && suspected && !over.aborted) return hangUp();
    suspected = lost;
  }
}

async function isLost(ask: Beside['ask']): Promise<boolean> {
  try {
    const session = await ask();
    return session === null || session.state !== 'active' || session.waitsForClient;
  } catch (error) {
    // A server that refuses a further connection is there; one that starts up has ended every session.
    const state = error instanceof AppError ? error.serverCode : undefined;
    return state === undefined || state === '57P03';
  }
}

/** Ends at once what only waits for another session's lock, and whatever else when its time is over. */
async function lookForStop(
  { cancel, hangUp }: Beside,
  { signal, graceMs }: Stop,
  over: AbortSignal,
): Promise<void> {
  let untilMs: number | null = null;
  for (let wasLate = false; ; ) {
    await setTimeout(LOOK_MS, null, { signal: over });
    if (!signal.aborted) continue;
    untilMs ??= performance.now() + graceMs;
    const late = performance.now() >= untilMs;
    // Asked before, it is the server that does not answer.
    if (wasLate) hangUp();
    wasLate = late;
    await cancel(late ? 'whatever it does' : 'if it waits for a lock').catch(() => {});
  }
}
