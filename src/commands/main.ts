/**
 * The command line from its arguments to its exit code.
 *
 * Runs on the main thread. Whatever happens, with `--output-json` exactly one JSON line goes to stdout; logs
 * and progress go to stderr only.
 */
import type { Writable } from 'node:stream';
import { type Command, CommanderError } from 'commander';
import type { LogLevel } from '../engine/events.js';
import type { Threads } from '../engine/threads.js';
import { AppError, type ErrorData, EXIT, exitCodeOf, fromErrorData, toErrorData } from '../errors.js';
import { plainText } from '../observe/format.js';
import { createLog, type Log, type LogFormat } from '../observe/log.js';
import { type ProgressStyle, Screen } from '../observe/progress.js';
import { errorLines, errorResult, resultHead, type Span } from '../observe/result.js';
import type { CommandResult, Context, GlobalOptions } from './context.js';
import { buildProgram, readGlobals } from './program.js';

/** Takes a result; at a terminal it knows its width. */
export type Output = Writable & { isTTY?: boolean; columns?: number };

/** The outside world, so that tests can bring their own. */
export interface World {
  stdin: NodeJS.ReadStream;
  stdout: Output;
  stderr: NodeJS.WriteStream;
  environment: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
  /** For runs; left out, each begins its own. */
  threads?: Threads;
}

/** A command line being worked on: what signals and crashes need to end it properly. */
export interface Session {
  readonly log: Log;
  readonly shutdownTimeoutSeconds: number;
  /** What to do once it was stopped. */
  readonly afterCancel: string;
  /** Prints the failure, on stdout as JSON if that was asked for, unless a result was printed already. */
  fail(error: unknown): number;
  /** Says that what was printed on stdout could not be written. @returns `code`, or its own in place of success */
  unwritten(error: Error, code: number): number;
}

/** @returns the session and the promise of its exit code; the promise does not reject */
export function start(args: readonly string[], world: World): { session: Session; done: Promise<number> } {
  const session = new CommandLine(world, args);
  return { session, done: session.work(args) };
}

class CommandLine implements Session {
  readonly #world: World;
  readonly #screen: Screen;
  readonly #startedAt = new Date();
  #json: boolean;
  #logFormat: LogFormat;
  #command: string | null = null;
  #finished = false;
  #unwritten = false;
  log: Log;
  shutdownTimeoutSeconds = 60;

  constructor(world: World, args: readonly string[]) {
    this.#world = world;
    this.#screen = new Screen(world.stderr);
    // Usage errors happen before the options are known, and must be JSON too.
    this.#json = args.includes('--output-json');
    this.#logFormat = jsonLogsIn(args) ? 'json' : 'text';
    this.log = this.#createLog('info');
  }

  async work(args: readonly string[]): Promise<number> {
    let help = '';
    const program = buildProgram((command, run) => this.#run(command, run));
    for (const each of [program, ...program.commands]) {
      each.exitOverride().configureOutput({
        writeOut: (text) => this.#world.stdout.write(text),
        writeErr: (text) => {
          help += text;
        },
        outputError: () => {},
      });
    }
    this.#command = commandIn(args, program);
    let code = EXIT.ok as number;
    this.#onExit = (exitCode) => {
      code = exitCode;
    };
    try {
      await program.parseAsync(args, { from: 'user' });
      return code;
    } catch (error) {
      if (!(error instanceof CommanderError)) return this.fail(error);
      if (error.exitCode === 0) return EXIT.ok;
      if (error.code === 'commander.help') {
        if (!this.#json) this.#world.stderr.write(help);
        return this.fail(
          new AppError('USAGE', 'no command was given', { remedy: 'see mssql-pg-migrate --help' }),
        );
      }
      return this.fail(usageError(error, this.#command));
    }
  }

  #onExit: (code: number) => void = () => {};

  async #run(command: Command, run: (context: Context) => Promise<CommandResult>): Promise<void> {
    const globals = readGlobals(command);
    this.#command = command.name();
    this.#json = globals.outputJson;
    this.shutdownTimeoutSeconds = globals.shutdownTimeoutSeconds;
    this.#logFormat = globals.logFormat;
    this.log = this.#createLog(globals.verbosity);
    const result = await run({
      command: command.name(),
      globals,
      signal: this.#world.signal,
      log: this.log,
      screen: this.#screen,
      progressStyle: progressStyle(globals, this.#world.stderr),
      columns: this.#world.stdout.isTTY === true ? this.#world.stdout.columns : undefined,
      environment: this.#world.environment,
      stdin: this.#world.stdin,
      threads: this.#world.threads,
      span: () => this.#span(),
    });
    if (this.#finished) return;
    this.#finished = true;
    this.#world.stdout.write(this.#json ? `${JSON.stringify(result.json)}\n` : `${plainText(result.text)}\n`);
    if (result.error !== undefined) this.#explain(result.error);
    this.#onExit(result.error === undefined ? EXIT.ok : exitCodeOf(fromErrorData(result.error)));
  }

  get afterCancel(): string {
    return this.#command === 'run' || this.#command === 'resume'
      ? '`run --or-resume` goes on where it stopped; a shared run (--join) goes on by the same command'
      : 'start it again when ready';
  }

  fail(error: unknown): number {
    const data = toErrorData(error);
    this.#screen.leave();
    if (this.#finished) return exitCodeOf(error);
    this.#finished = true;
    if (this.#json) {
      const line = { ...resultHead(this.#command, this.#span(), data), tables: [], failed_tables: [] };
      this.#world.stdout.write(`${JSON.stringify(line)}\n`);
    }
    this.#explain(data);
    if (data.code === 'INTERNAL' && data.stack !== undefined) this.log.debug(data.stack);
    return exitCodeOf(error);
  }

  unwritten(error: Error, code: number): number {
    if (this.#unwritten) return code || EXIT.io;
    this.#unwritten = true;
    const lost = new AppError('IO', `The output can't be written: ${error.message}`, {
      remedy: 'Check where stdout leads to: a disk may be full.',
    });
    this.#explain(toErrorData(lost));
    return code || exitCodeOf(lost);
  }

  /** Says on stderr what went wrong and what to do. */
  #explain(error: ErrorData): void {
    const { code, message, remedy, table, column, key, server_code } = errorResult(error);
    if (this.#logFormat === 'text') {
      this.log.error(errorLines('', errorResult(error)).join('\n'));
      return;
    }
    const place = { table, column, key, remedy: remedy ?? undefined, server_code };
    const known = Object.entries(place).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    );
    this.log.error(message, { code, ...Object.fromEntries(known) });
  }

  #span(): Span {
    return { startedAt: this.#startedAt, finishedAt: new Date() };
  }

  #createLog(level: LogLevel): Log {
    return createLog({
      format: this.#logFormat,
      level,
      write: (line) => this.#screen.write(line),
    });
  }
}

function progressStyle(globals: GlobalOptions, stderr: NodeJS.WriteStream): ProgressStyle {
  if (globals.progress) return 'json';
  // Bars would tear JSON log lines apart, and a dumb terminal can't move the cursor.
  const live = stderr.isTTY === true && globals.logFormat === 'text' && process.env.TERM !== 'dumb';
  return live ? 'live' : 'lines';
}

/** @returns whether the arguments, not parsed yet, ask for JSON log lines */
function jsonLogsIn(args: readonly string[]): boolean {
  const given = args.findLastIndex((arg) => arg === '--log-format' || arg.startsWith('--log-format='));
  if (given < 0) return args.includes('--progress');
  return args[given] === '--log-format=json' || args[given + 1] === 'json';
}

/** @returns the first argument that is a command's name, as far as one can tell before parsing */
function commandIn(args: readonly string[], program: Command): string | null {
  return args.find((arg) => program.commands.some((command) => command.name() === arg)) ?? null;
}

function usageError(error: CommanderError, command: string | null): AppError {
  const message = error.message.replace(/^error: /, '').trim();
  const help = command === null ? 'mssql-pg-migrate --help' : `mssql-pg-migrate ${command} --help`;
  return new AppError('USAGE', message.replace(/\s*\n\s*/g, ' '), { remedy: `see ${help}` });
}
