#!/usr/bin/env node
/**
 * The process around the command line: signals, crashes, exit.
 *
 * Runs on the main thread. The first SIGINT or SIGTERM asks the command to stop and gives it
 * `--shutdown-timeout` seconds; a second one, or the time's end, ends the process at once.
 */
import { start } from './commands/main.js';
import { AppError } from './errors.js';

const stop = new AbortController();
const { session, done } = start(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  signal: stop.signal,
});

/** What a run may take after the shutdown timeout, to let go of its connections and save its state. */
const GRACE_MS = 5000;

/** Ends the process once what was written has left. */
function exit(code: number): void {
  process.exitCode = code;
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}

function onSignal(signal: NodeJS.Signals): void {
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
process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);
process.on('uncaughtException', (error) => exit(session.fail(error)));
// Nothing left to wait for and no result: better a reported fault than a silent end.
process.once('beforeExit', () => {
  exit(session.fail(new AppError('INTERNAL', 'the command stopped working before it had a result')));
});
// Whoever read our output has gone; what is left to say has nowhere to go.
process.stdout.on('error', () => process.exit(process.exitCode ?? 0));
process.stderr.on('error', () => {});

exit(await done);
