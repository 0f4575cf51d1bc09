#!/usr/bin/env node
/**
 * The process around the command line: signals, crashes, exit.
 *
 * Runs on the main thread. The first SIGINT or SIGTERM asks the command to stop and gives it
 * `--shutdown-timeout` seconds; a second one, or the time's end, ends the process at once.
 */
import { fstatSync, writeSync } from 'node:fs';
import { Writable } from 'node:stream';
import type { Output } from './commands/main.js';
import { AppError, exitCodeOf, openFilesError, toErrorData } from './errors.js';
import { resultHead } from './observe/result.js';

/** Signals that came before there was a command to stop: loading it takes a while where the CPU is scarce. */
const early: NodeJS.Signals[] = [];
let onSignal = (signal: NodeJS.Signals): void => void early.push(signal);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => onSignal(signal));
const { start } = await import('./commands/main.js').catch(notLoaded);

/** Where a disk becomes full Node's own stream writes a part of what it was given, and doesn't say so. */
const stdout: Output = fstatSync(1).isFile() ? new Writable({ write: writeWhole }) : process.stdout;

const stop = new AbortController();
const { session, done } = start(process.argv.slice(2), {
  stdin: process.stdin,
  stdout,
  stderr: process.stderr,
  environment: process.env,
  signal: stop.signal,
});

/** What a run may take after the shutdown timeout, to let go of its connections and save its state. */
const GRACE_MS = 5000;

/** Not even the modules that read the command line could be read: its result is printed all the same. */
function notLoaded(error: unknown): never {
  const told = openFilesError(error) ?? incomplete(error);
  if (process.argv.includes('--output-json')) {
    const now = new Date();
    const head = resultHead(null, { startedAt: now, finishedAt: now }, toErrorData(told));
    process.stdout.write(`${JSON.stringify({ ...head, tables: [], failed_tables: [] })}\n`);
  }
  process.stderr.write(`error ${told.message} [${told.code}]\n  What to do: ${told.remedy}\n`);
  process.exit(exitCodeOf(told));
}

function incomplete(error: unknown): AppError {
  return new AppError('INTERNAL', `A part of the program can't be loaded: ${toErrorData(error).message}`, {
    remedy: 'Install it anew.',
    cause: error,
  });
}

function writeWhole(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
    done();
  } catch (error) {
    done(error as Error);
  }
}

/** Ends the process once what was written has left. */
function exit(code: number): void {
  process.exitCode = code;
  stdout.write('', () => {
    const { errored } = stdout;
    process.exitCode = errored === null ? code : codeWithout(errored, code);
    process.stderr.write('', end);
  });
}

/** Whoever read our output and has gone wants no more of it; else it is lost, as on a full disk. */
function codeWithout(error: NodeJS.ErrnoException, code: number): number {
  return error.code === 'EPIPE' ? code : session.unwritten(error, code);
}

function end(): void {
  // Node gives a terminal back as it found it, and crashes where that was closed: then this ends as others do.
  if ((process.stderr.errored as NodeJS.ErrnoException | null)?.code === 'EIO') {
    process.removeAllListeners('SIGHUP');
    process.kill(process.pid, 'SIGHUP');
  }
  process.exit();
}

function stopBy(signal: NodeJS.Signals): void {
  const remedy = session.afterCancel;
  const cancelled = new AppError('CANCELLED', `stopped by ${signal}`, { remedy });
  if (stop.signal.aborted) {
    exit(session.fail(cancelled));
    return;
  }
  const timeout = session.shutdownTimeoutSeconds;
  session.log.warn(`${signal}: stopping within ${timeout} s; once more to stop at once`);
  stop.abort(cancelled);
  setTimeout(
    () => {
      exit(
        session.fail(
          new AppError('CANCELLED', `stopped by ${signal}; work was still going on after ${timeout} s`, {
            remedy,
          }),
        ),
      );
    },
    timeout * 1000 + GRACE_MS,
  );
}

// Node's own handler prints them on stderr as they are, where every line may have to be JSON.
process.removeAllListeners('warning');
process.on('warning', (warning) => session.log.debug(`${warning.name}: ${warning.message}`));
onSignal = stopBy;
early.forEach(stopBy);
process.on('uncaughtException', (error) => exit(session.fail(error)));
// Nothing left to wait for and no result: better a reported fault than a silent end.
process.once('beforeExit', () => {
  exit(session.fail(new AppError('INTERNAL', 'the command stopped working before it had a result')));
});
stdout.on('error', (error) => {
  process.exitCode = codeWithout(error, Number(process.exitCode ?? 0));
  end();
});
process.stderr.on('error', () => {});

exit(await done);
