/**
 * First connections: to both sides at once, and waiting for servers that are about to start. Main thread.
 */
import type { Config } from '../config/schema.js';
import { isRetryable, toErrorData } from '../errors.js';
import { isSettled, retryPolicy, withRetries } from '../plan/retry.js';
import { connectSource, type SourceConnection } from '../source/connection.js';
import { connectTarget, type TargetConnection } from '../target/connection.js';
import type { Stop } from '../target/watching.js';
import { orAborted } from './abort.js';
import type { RunEventHandler, RunOptions } from './events.js';

/** Tries a first connection again while its server may be about to take it. @throws AppError as `connect`; CANCELLED */
export function waitingFor<T>(
  { migration }: Config,
  { signal, onEvent }: Pick<RunOptions, 'signal' | 'onEvent'>,
  connect: () => Promise<T>,
): Promise<T> {
  return withRetries(retryPolicy(migration), connect, {
    ended: () => signal.aborted,
    isFinal: isSettled,
    onRetry: tellsOf('connect', onEvent),
  });
}

/** @returns what tells of a failure, of no table's, that is tried again */
export function tellsOf(what: string, onEvent: RunEventHandler): (error: unknown) => void {
  return (error) => {
    const message = `${what}: trying again after: ${toErrorData(error).message}`;
    onEvent({ kind: 'log', level: 'warn', message });
  };
}

/**
 * Reports a failure that stays before one that may pass, then the source's first, and leaves no connection behind.
 *
 * @param stop how statements of the target's connection end
 */
export async function connectBoth(
  config: Config,
  signal: AbortSignal,
  stop: Stop | null = null,
): Promise<[SourceConnection, TargetConnection]> {
  const close = (late: { close(): Promise<void> }): Promise<void> => late.close();
  const [source, target] = await Promise.allSettled([
    orAborted(connectSource(config.source), signal, close),
    orAborted(connectTarget(config.target, stop), signal, close),
  ]);
  if (source.status === 'fulfilled' && target.status === 'fulfilled') return [source.value, target.value];
  if (source.status === 'fulfilled') await source.value.close();
  if (target.status === 'fulfilled') await target.value.close();
  const reasons = [source, target].flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
  throw reasons.find((reason) => isSettled(reason) || !isRetryable(reason)) ?? reasons[0];
}
