/**
 * A program that is not the project's, as a child of a contender's process, so that its CPU is in that account.
 */
import { spawn } from 'node:child_process';

/** Runs a program to its end; throws what it printed last where it fails. */
export function runProgram(
  program: string,
  args: string[],
  environment: Record<string, string>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (text) => (output = `${output}${text}`.slice(-2000)));
    child.stderr.on('data', (text) => (output = `${output}${text}`.slice(-2000)));
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}: ${output.trim()}`)),
    );
  });
}
