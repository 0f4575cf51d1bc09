/**
 * A migration for programs, and what the commands `run` and `resume` are built on.
 *
 * Runs on the main thread of the program that imports it; rows move in threads of their own.
 */
import type { Config } from '../config/schema.js';
import { unusedSettings } from '../config/unused.js';
import type { RunOptions, RunOutcome, Unfinished } from '../engine/events.js';
import type { Threads } from '../engine/threads.js';
import { type RunResult, runResult } from '../observe/result.js';
import { type CommonOptions, type ConfigSource, readSource, watched } from './options.js';
import { version } from './version.js';

export interface MigrateOptions extends CommonOptions {
  /** Goes on with the unfinished run of this configuration, as the command `resume`. */
  resume?: boolean;
  /**
   * What becomes of an unfinished run of this configuration: `refuse` (the default: STATE_INVALID), `resume` where
   * there is one, `give-up` to begin anew.
   */
  unfinished?: Unfinished;
  /** The first table that fails ends the run. */
  failFast?: boolean;
  /** What the processes call a run they share; each of them takes part of it, and gets the whole run's result. */
  join?: string;
  /** Path of a file that mirrors how far the run is. */
  stateFile?: string;
  /** How long chunks, keys and indexes under way may go on after `signal`, in milliseconds; a minute unless given. */
  shutdownMs?: number;
}

const SHUTDOWN_MS = 60_000;

/**
 * Migrates the tables that the configuration selects.
 *
 * @returns what became of every table. Look at `status`: `failed` and `cancelled` are results, too, with the reason in
 *   `error` and in the tables that failed.
 * @throws AppError where no table was begun: configuration, connections, planning, an unfinished run, CANCELLED
 */
export async function migrate(config: ConfigSource, options: MigrateOptions = {}): Promise<RunResult> {
  const startedAt = new Date();
  const { resume = false, unfinished, failFast = false, join, stateFile, shutdownMs = SHUTDOWN_MS } = options;
  const read = await readSource(config, options);
  const outcome = await watched(options, (signal, onEvent) =>
    migrateConfigured(read, {
      ...{ resume, failFast, join, stateFile, shutdownMs, signal, onEvent },
      ...(unfinished !== undefined && { unfinished }),
    }),
  );
  return runResult(resume ? 'resume' : 'run', { startedAt, finishedAt: new Date() }, outcome);
}

/** The same of a configuration that was read already. `threads` are those to run on, where there are some. */
export async function migrateConfigured(
  config: Config,
  options: Omit<RunOptions, 'toolVersion' | 'threads'> & { threads?: Threads | undefined },
): Promise<RunOutcome> {
  const unused = unusedSettings(config);
  for (const message of unused) options.onEvent({ kind: 'log', level: 'warn', message });
  const threads = options.threads ?? (await beginThreads(config));
  // Loaded only now: a wrong configuration should not wait for the drivers.
  const { runMigration } = await import('../engine/run.js');
  const outcome = await runMigration(config, { ...options, toolVersion: version(), threads });
  outcome.notes.push(...unused);
  return outcome;
}

/**
 * Begins the threads that every load needs: they load their modules while this one does, connects and plans. `upsert`
 * may turn out to need none; whether it does it knows when both servers are busy.
 */
export async function beginThreads({ migration }: Config): Promise<Threads> {
  const [{ Threads }, { usableCores }, { hashersPerLane }] = await Promise.all([
    import('../engine/threads.js'),
    import('../host/cores.js'),
    import('../host/sizes.js'),
  ]);
  const threads = new Threads();
  const hashers = migration.use_hash_detection && hashersPerLane(usableCores().value) > 0;
  threads.begin(hashers ? ['reader', 'writer', 'hasher'] : ['reader', 'writer']);
  return threads;
}
