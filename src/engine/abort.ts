/**
 * What an abort is to those who wait. Main thread.
 */
import { cancellation } from '../errors.js';
import type { Stop } from '../target/watching.js';

/** @returns how sessions end on which everything may be done again. */
export function stopOf({ signal, shutdownMs = 0 }: { signal: AbortSignal; shutdownMs?: number }): Stop {
  return { signal, graceMs: shutdownMs };
}

/**
 * Rejects as soon as `signal` aborts, for work that can't be told to stop.
 *
 * @param discard is given what the work comes to all the same, such as a connection to close
 */
export async function orAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
  discard?: (late: T) => unknown,
): Promise<T> {
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      // The work goes on unheard; its failure is nobody's any more.
      work.then(discard).catch(() => {});
      reject(cancellation(signal));
    };
  });
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([aborted, work]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
