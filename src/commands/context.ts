/**
 * What every command is given, and what it gives back.
 *
 * Runs on the main thread.
 */
import type { LogLevel } from '../engine/events.js';
import type { Threads } from '../engine/threads.js';
import type { ErrorData } from '../errors.js';
import type { Log, LogFormat } from '../observe/log.js';
import type { ProgressStyle, Screen } from '../observe/progress.js';
import type { Span } from '../observe/result.js';
import type { Tally } from '../observe/tally.js';

/** The options every command has. */
export interface GlobalOptions {
  config: string;
  stateFile: string | undefined;
  outputJson: boolean;
  logFormat: LogFormat;
  verbosity: LogLevel;
  shutdownTimeoutSeconds: number;
  progress: boolean;
}

export interface Context {
  command: string;
  globals: GlobalOptions;
  /** Aborted by SIGINT or SIGTERM. */
  signal: AbortSignal;
  log: Log;
  screen: Screen;
  stdin: NodeJS.ReadStream;
  progressStyle: ProgressStyle;
  /** Width of stdout where it is a terminal. */
  columns: number | undefined;
  /** Counts what the command does, where somebody else looks on. */
  tally?: Tally;
  environment: Readonly<Record<string, string | undefined>>;
  /** Threads to run on, where there are some already. */
  threads: Threads | undefined;
  /** @returns from the command's start to now */
  span: () => Span;
}

/** How a command ended. It throws instead where it has nothing to show. */
export interface CommandResult {
  /** The object of `--output-json`; must have the fields of `ResultHead`. */
  json: object;
  /** The same for people, on stdout. */
  text: string;
  /** Set where the command did not succeed; decides the exit code. */
  error?: ErrorData;
}
