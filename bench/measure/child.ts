/**
 * A process of the benchmark and its parent: one request, one report. `serve` is the child's side, `ask` the parent's.
 */
import { fork } from 'node:child_process';
import type { Report } from './marks.js';

interface Answer {
  report?: Report;
  error?: string;
}

/** Answers the one request of the parent, and ends. */
export function serve<Request>(work: (request: Request) => Promise<Report>): void {
  const answer = (what: Answer) => process.send?.(what, () => process.exit(0));
  process.once('message', (request: Request) => {
    work(request).then(
      (report) => answer({ report }),
      (error: unknown) =>
        answer({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  // An error in an event's handler is the product's own to swallow; here it must be seen.
  process.once('uncaughtException', (error) => answer({ error: error.stack ?? error.message }));
  process.once('disconnect', () => process.exit(1));
}

/** Starts a process, gives it its request and waits for its report. */
export function ask<Request extends object>(
  file: URL,
  request: Request,
  execArgv: string[] = [],
): Promise<Report> {
  return new Promise((resolve, reject) => {
    const child = fork(file, { execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    child.once('error', reject);
    child.once('message', ({ report, error }: Answer) => {
      if (report !== undefined) resolve(report);
      else reject(new Error(error ?? 'a process of the benchmark gave no report'));
    });
    child.once('exit', (code, signal) =>
      reject(new Error(`a process of the benchmark ended with ${signal ?? code}`)),
    );
    child.send(request);
  });
}
