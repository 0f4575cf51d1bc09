/**
 * Runs the command line: in this process, or the built tool as a process of its own the way a scheduler does. On the
 * main thread of the test process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { start } from '../../src/commands/main.js';
import { threads } from './threads.js';

export interface CliOptions {
  /** Added to this process's environment; undefined removes a variable. */
  env?: Record<string, string | undefined>;
  /** The tool is killed and the promise rejected after this long. */
  timeoutMs?: number;
  /**
   * Runs the tool as a process of its own: where its memory, its exit or its threads' end is the point. It costs the
   * better part of a second to load everything again. So do the options below, each of which asks for a process.
   */
  process?: boolean;
  cwd?: string;
  /** What is written to stdin, which is then closed. */
  input?: string;
  /** Its abort stops the tool as a signal does; not for a process. */
  signal?: AbortSignal;
  /** Told of everything written to stderr as it comes; not for a process. */
  onStderr?: (text: string) => void;
  /** Called with the process once it runs: to send it signals. */
  onStart?: (child: ChildProcess) => void;
}

export interface CliResult {
  /** The exit code, or 128 + the signal's number where a signal ended it, as shells count. */
  code: number;
  stdout: string;
  stderr: string;
  /** Largest resident set of the process, all its threads together; 0 where it had none or /proc is not there. */
  peakRssKb: number;
}

/** The built entry point. */
export const cliFile = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Runs the tool to its end, whatever its exit code; rejects only where it does not end in time. */
export function runCli(args: string[], options: CliOptions = {}): Promise<CliResult> {
  const { process: apart = false, cwd, input, onStart } = options;
  const asProcess = apart || cwd !== undefined || input !== undefined || onStart !== undefined;
  return asProcess ? runProcess(args, options) : runHere(args, options);
}

/** Collects what is written to it. */
class Sink extends Writable {
  readonly isTTY = false;
  text = '';

  constructor(private readonly onText: (text: string) => void = () => {}) {
    super();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    this.onText(chunk.toString());
    done();
  }
}

async function runHere(args: string[], options: CliOptions): Promise<CliResult> {
  const timeoutMs = options.timeoutMs ?? 60_000;
  const [out, err] = [new Sink(), new Sink(options.onStderr)];
  const stop = new AbortController();
  const { done } = start(args, {
    stdin: process.stdin,
    stdout: out as unknown as NodeJS.WriteStream,
    stderr: err as unknown as NodeJS.WriteStream,
    environment: { ...process.env, ...options.env },
    signal: AbortSignal.any([stop.signal, ...(options.signal === undefined ? [] : [options.signal])]),
    threads,
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      stop.abort();
      reject(notInTime(args, timeoutMs, out.text, err.text));
    }, timeoutMs);
  });
  try {
    const code = await Promise.race([done, late]);
    return { code, stdout: out.text, stderr: err.text, peakRssKb: 0 };
  } finally {
    clearTimeout(timer);
  }
}

function notInTime(args: string[], timeoutMs: number, stdout: string, stderr: string): Error {
  const output = `stdout:\n${stdout}\nstderr:\n${stderr}`;
  return new Error(`The tool did not end within ${timeoutMs} ms: ${args.join(' ')}\n${output}`);
}

async function runProcess(args: string[], options: CliOptions): Promise<CliResult> {
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
    if (timedOut) throw notInTime(args, timeoutMs, stdout, stderr);
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
