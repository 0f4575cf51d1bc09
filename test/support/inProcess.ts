/**
 * The command line inside the test's own process: what costs a second as a process takes a fraction of it here.
 *
 * Runs on the main thread of the test process.
 */
import { PassThrough } from 'node:stream';
import { start } from '../../src/commands/main.js';

export interface InProcessOptions {
  env?: Record<string, string | undefined>;
  signal?: AbortSignal;
  /** Told of everything written to stderr as it comes. */
  onStderr?: (text: string) => void;
}

/** Runs a command line to its end. @returns its exit code and what it has written */
export async function runInProcess(
  args: readonly string[],
  options: InProcessOptions = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const out = capture();
  const err = capture(options.onStderr);
  const { done } = start(args, {
    stdin: new PassThrough() as unknown as NodeJS.ReadStream,
    stdout: out.stream,
    stderr: err.stream,
    environment: options.env ?? {},
    signal: options.signal ?? new AbortController().signal,
  });
  const code = await done;
  return { code, stdout: out.text(), stderr: err.text() };
}

function capture(onText?: (text: string) => void): { stream: NodeJS.WriteStream; text: () => string } {
  const stream = new PassThrough();
  let all = '';
  stream.on('data', (chunk: Buffer) => {
    all += chunk.toString();
    onText?.(chunk.toString());
  });
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => all };
}
