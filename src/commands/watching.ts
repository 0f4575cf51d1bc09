/**
 * How a command that works for a while is watched: progress, metrics, and a report in the end.
 *
 * Runs on the main thread.
 */
import { constants } from 'node:fs';
import { access, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import type { Config } from '../config/schema.js';
import type { RunEventHandler } from '../engine/events.js';
import { AppError, type ErrorData, toErrorData } from '../errors.js';
import { version } from '../library/version.js';
import type { MetricsServer } from '../observe/metrics.js';
import { Progress, type ProgressStyle } from '../observe/progress.js';
import type { Observed } from '../observe/report/page.js';
import { Tally } from '../observe/tally.js';
import type { Context } from './context.js';
import { wholeNumber } from './options.js';

export interface WatchFlags {
  report?: string;
  metricsPort?: number;
  metricsHost?: string;
}

/** Only this host can read them unless another address is given. */
const METRICS_HOST = '127.0.0.1';

/** Adds `--report` and the options of the metrics. `conflicts` names options they have no meaning with. */
export function addWatchOptions(command: Command, conflicts: string[] = []): Command {
  return command
    .addOption(
      new Option('--report <file>', 'write a report of it as one HTML page, readable offline').conflicts(
        conflicts,
      ),
    )
    .addOption(
      new Option('--metrics-port <port>', 'serve metrics for Prometheus at this port while it works; 0: any')
        .argParser(wholeNumber(0, 65_535))
        .conflicts(conflicts),
    )
    .option(
      '--metrics-host <address>',
      `address they are served at (default: ${METRICS_HOST}); 0.0.0.0: every one`,
    );
}

export class Watch {
  readonly onEvent: RunEventHandler;
  readonly #context: Context;
  readonly #config: Config;
  readonly #flags: WatchFlags;
  readonly #progress: Progress;
  readonly #tally: Tally;
  readonly #metrics: MetricsServer | null;

  private constructor(
    context: Context,
    config: Config,
    flags: WatchFlags,
    style: ProgressStyle,
    tally: Tally,
    metrics: MetricsServer | null,
  ) {
    this.#context = context;
    this.#config = config;
    this.#flags = flags;
    this.#tally = tally;
    this.#metrics = metrics;
    this.#progress = new Progress(context.screen, context.log, style, tally);
    this.onEvent = this.#progress.consume;
    this.#progress.start();
  }

  /**
   * Begins to show progress and to serve metrics; `end` must follow, whatever happens.
   *
   * @throws AppError USAGE, or IO where the report can't be written or the port can't be had: said before the work, not after
   */
  static async begin(
    context: Context,
    config: Config,
    flags: WatchFlags,
    style: ProgressStyle = context.progressStyle,
  ): Promise<Watch> {
    if (flags.metricsHost !== undefined && flags.metricsPort === undefined) {
      throw new AppError(
        'USAGE',
        '--metrics-host says where metrics are served, and --metrics-port is not given',
        {
          remedy: 'add --metrics-port, or leave --metrics-host out',
        },
      );
    }
    if (flags.report !== undefined) await assertWritable(flags.report);
    const tally = context.tally ?? new Tally();
    let metrics: MetricsServer | null = null;
    if (flags.metricsPort !== undefined) {
      // Loaded only where it is asked for.
      const { MetricsServer } = await import('../observe/metrics.js');
      metrics = await MetricsServer.start(tally, {
        host: flags.metricsHost ?? METRICS_HOST,
        port: flags.metricsPort,
        command: context.command,
        version: version(),
      });
      context.log.info(`metrics at ${metrics.url}`);
    }
    return new Watch(context, config, flags, style, tally, metrics);
  }

  async end(): Promise<void> {
    this.#progress.stop();
    await this.#metrics?.stop();
  }

  /**
   * Writes the report, where one was asked for.
   *
   * @returns why it could not be written, or null
   */
  async report(render: (observed: Observed) => Promise<string>): Promise<ErrorData | null> {
    const { report } = this.#flags;
    if (report === undefined) return null;
    const { source, target } = this.#config;
    const place = ({ host, port, database }: { host: string; port: number; database: string }) =>
      `${database} at ${host}:${port}`;
    const text = await render({
      snapshot: this.#tally.snapshot(),
      history: this.#tally.history(),
      source: `SQL Server ${place(source)}`,
      target: `PostgreSQL ${place(target)}`,
      toolVersion: version(),
    });
    try {
      await writeFile(report, text);
      this.#context.log.info(`report written to ${report}`);
      return null;
    } catch (error) {
      return toErrorData(notWritable(report, error));
    }
  }
}

async function assertWritable(file: string): Promise<void> {
  try {
    await access(dirname(file), constants.W_OK);
    const there = await stat(file).catch(() => null);
    if (there?.isDirectory()) throw new Error('it is a folder');
    if (there !== null) await access(file, constants.W_OK);
  } catch (error) {
    throw notWritable(file, error);
  }
}

function notWritable(file: string, cause: unknown): AppError {
  return new AppError('IO', `The report ${file} can't be written: ${toErrorData(cause).message}`, {
    remedy: 'Name a file; check that its folder exists and may be written to.',
    cause,
  });
}
