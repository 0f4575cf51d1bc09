/**
 * Runs the built test files with `node --test`, all sharing one PostgreSQL; the main thread of `scripts/test`.
 *
 * Arguments choose files by a part of their name. The exit code is the test run's.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startPostgres } from './postgres.js';

/** A test that hangs ends with an error after this long, rather than the whole run with none. */
const testTimeoutMs = 15 * 60_000;

const testDirectory = fileURLToPath(new URL('..', import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(testDirectory, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort()
  .map((file) => join(testDirectory, file));
if (files.length === 0) {
  console.error(`No test file has a name with ${wanted.join(' or ')} in it.`);
  process.exit(1);
}

const postgres = process.env.TEST_PG_URL ? null : await startPostgres();
const tests = spawn(
  process.execPath,
  [
    ...['--test', '--test-concurrency=3', '--test-reporter=spec', `--test-timeout=${testTimeoutMs}`],
    ...['--enable-source-maps', ...files],
  ],
  {
    stdio: 'inherit',
    env: { ...process.env, ...(postgres && { TEST_PG_SHARED_URL: postgres.url }) },
  },
);
// Ctrl-C reaches the test run from the terminal as well: it ends by itself, and this process after it.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => tests.kill('SIGTERM'));
const code = await new Promise<number>((resolve, reject) => {
  tests.once('error', reject);
  tests.once('exit', (exitCode, signal) =>
    resolve(exitCode ?? 128 + (signal ? osConstants.signals[signal] : 0)),
  );
});
await postgres?.stop();
process.exit(code);
