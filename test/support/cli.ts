/**
 * Runs the built command line tool the way a scheduler does; on the main thread of the test process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { fileURLToPath } from 'node:url';

export interface CliOptions {
  /** Added to this process's environment; undefined removes a variable. */
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** What is written to stdin, which is then closed. */
  input?: string;
  /** The tool is killed and the promise rejected after this long. */
  timeoutMs?: number;
  /** Called with the process once it runs: to send it signals. */
  onStart?: (child: ChildProcess) => void;
}

export interface CliResult {
  /** The exit code, or 128 + the signal's number where a signal ended it, as shells count. */
  code: number;
  stdout: string;
  stderr: string;
  /** Largest resident set of the process, all its threads together; 0 where /proc is not there. */
  peakRssKb: number;
}

/** The built entry point. */
export const cliFile = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Runs the tool to its end, whatever its exit code; rejects only where it does not end in time. */
export async function runCli(args: string[], options: CliOptions = {}): Promise<CliResult> {
  const timeoutMs = options.timeoutMs ?? 60_000;
  const child = spawn(process.execPath, [cliFile, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => out.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => err.push(bytes));
  // A tool that ends without reading its input is no error.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  options.onStart?.(child);

  let peakRssKb = 0;
  const sample = () => {
    peakRssKb = Math.max(peakRssKb, readPeakRssKb(child.pid));
  };
  const sampling = setInterval(sample, 25);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exitCode, signal) => resolve(exitCode ?? 128 + signalNumber(signal)));
    });
    const stdout = Buffer.concat(out).toString();
    const stderr = Buffer.concat(err).toString();
    if (timedOut) {
      const output = `stdout:\n${stdout}\nstderr:\n${stderr}`;
      throw new Error(`The tool did not end within ${timeoutMs} ms: ${args.join(' ')}\n${output}`);
    }
    return { code, stdout, stderr, peakRssKb };
  } finally {
    clearInterval(sampling);
    clearTimeout(timer);
    running.delete(child);
  }
}

/** `VmHWM` only ever grows, so the last sample before the end is the peak but for the last few milliseconds. */
function readPeakRssKb(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : osConstants.signals[signal];
}
