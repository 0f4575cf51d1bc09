/**
 * Ends statements of a run that is to stop: at once what only waits for another session's lock, and whatever else is
 * under way when its time is over. Each is one that may be done again.
 *
 * Runs on the main thread.
 */

/** That a session's statements end with the run they belong to. */
export interface Stop {
  /** Its abort is the run's. */
  signal: AbortSignal;
  /** How long after it a statement that does something may go on, in ms. */
  graceMs: number;
}

export interface Stoppable {
  /** Asks the server to end the statement, whatever it does or only where it waits for a lock. */
  cancel: (which: 'if it waits for a lock' | 'whatever it does') => Promise<void>;
  /** Ends the wait for its answer: the server rolls it back, or has done it. */
  hangUp: () => void;
}

/** How often is looked: a statement that does something now may wait for a lock later. */
const LOOK_MS = 1000;

/** @returns `work`, which ends soon after the run is to stop */
export async function stoppable<T>(
  { signal, graceMs }: Stop,
  { cancel, hangUp }: Stoppable,
  work: Promise<T>,
): Promise<T> {
  let over = false;
  let untilMs: number | null = null;
  let wasLate = false;
  const look = async (): Promise<void> => {
    if (signal.aborted) {
      untilMs ??= performance.now() + graceMs;
      const late = performance.now() >= untilMs;
      // Asked before, it is the server that does not answer.
      if (wasLate) hangUp();
      wasLate = late;
      await cancel(late ? 'whatever it does' : 'if it waits for a lock').catch(() => {});
    }
    if (!over) timer = setTimeout(() => void look(), LOOK_MS);
  };
  let timer = setTimeout(() => void look(), LOOK_MS);
  try {
    return await work;
  } finally {
    over = true;
    clearTimeout(timer);
  }
}
