/**
 * Connecting to both sides at once. Main thread.
 */
import type { Config } from '../config/schema.js';
import { connectSource, type SourceConnection } from '../source/connection.js';
import { connectTarget, type TargetConnection } from '../target/connection.js';
import type { Stop } from '../target/watching.js';
import { orAborted } from './abort.js';

/**
 * Reports the source's failure first, and leaves no connection behind.
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
  throw source.status === 'rejected' ? source.reason : (target as PromiseRejectedResult).reason;
}
