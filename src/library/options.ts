/**
 * What every function of the library is given: the configuration and how it is watched and stopped.
 *
 * Runs on the main thread of the program that imports it.
 */
import { configOf, loadConfig, type Overrides } from '../config/load.js';
import type { Config, ConfigInput } from '../config/schema.js';
import type { RunEventHandler } from '../engine/events.js';
import { AppError } from '../errors.js';

/**
 * Path of a YAML or JSON file, in which `${NAME}` and the like are replaced, or the same as an object, whose values are
 * taken as they are.
 */
export type ConfigSource = string | ConfigInput;

/** Options of every function. */
export interface CommonOptions {
  /** Values that take the place of the configuration's. */
  overrides?: Overrides;
  /** Variables for a configuration file; the process's own unless given. */
  environment?: Readonly<Record<string, string | undefined>>;
  /** Stops the work. What was committed stays committed, and a migration can be resumed. */
  signal?: AbortSignal;
  /** Told of everything that happens, on the main thread. Throwing stops the work as `signal` does, and rejects. */
  onEvent?: RunEventHandler;
}

/** @throws AppError CONFIG_NOT_FOUND, IO, CONFIG_SYNTAX, CONFIG_VARIABLE_UNSET or CONFIG_INVALID */
export async function readSource(source: ConfigSource, options: CommonOptions): Promise<Config> {
  const { overrides = {}, environment } = options;
  if (typeof source !== 'string') return configOf(source, overrides);
  return loadConfig(source, { overrides, ...(environment !== undefined && { environment }) });
}

/**
 * Does `work` with a signal that aborts when the caller's does, with the reason the program knows: CANCELLED, and with an
 * event handler that may throw: the work is stopped then, and the error is the caller's own.
 */
export async function watched<T>(
  { signal, onEvent }: CommonOptions,
  work: (signal: AbortSignal, onEvent: RunEventHandler) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const abort = (cause: unknown): void =>
    stop.abort(
      new AppError('CANCELLED', 'stopped on request', {
        remedy: 'resume the run, or start it again, when ready',
        cause,
      }),
    );
  const onAbort = (): void => abort(signal?.reason);
  let thrown: { error: unknown } | undefined;
  const tell: RunEventHandler = (event) => {
    try {
      onEvent?.(event);
    } catch (error) {
      thrown ??= { error };
      abort(error);
    }
  };
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort);
  const outcome = work(stop.signal, tell).finally(() => signal?.removeEventListener('abort', onAbort));
  await outcome.catch(() => {});
  if (thrown !== undefined) throw thrown.error;
  return outcome;
}
