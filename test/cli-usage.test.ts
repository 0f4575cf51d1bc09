/**
 * The command line without any server: usage, configuration errors, unreachable hosts, signals.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fromErrorData, toErrorData } from '../src/errors.js';
import { connectError as sourceConnectError } from '../src/source/errors.js';
import { connectError as targetConnectError } from '../src/target/errors.js';
import { type CliResult, cliFile, runCli } from './support/cli.js';
import { repositoryRoot } from './support/repository.js';

let folder: string;
/** Takes connections and never says a word. */
let silent: Server;
let silentPort: number;
let closedPort: number;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-usage-'));
  silent = createServer();
  silentPort = await listen(silent);
  const closed = createServer();
  closedPort = await listen(closed);
  await new Promise((resolve) => closed.close(resolve));
});

after(async () => {
  silent.close();
  await rm(folder, { recursive: true });
});

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      assert.ok(typeof address === 'object' && address !== null);
      resolve(address.port);
    });
  });
}

/** Acts once the command has connected to the server that says nothing, however long it took to start. */
function whileItWaits(act: () => void): void {
  silent.once('connection', () => setTimeout(act, 100));
}

async function configFor(port: number, name: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(
    file,
    `source: { host: 127.0.0.1, port: ${port}, database: d, user: u, password: hunter2secret, encrypt: false }
target: { host: 127.0.0.1, port: ${port}, database: d, user: u, password: hunter3secret, ssl_mode: disable }
`,
  );
  return file;
}

interface JsonLine {
  command: string | null;
  status: string;
  error: { code: string; message: string; remedy: string; exit_code: number; recoverable: boolean };
}

/** The one line on stdout, checked against the process's exit code. */
function onlyLine({ stdout, code }: CliResult): JsonLine {
  assert.match(stdout, /^[^\n]+\n$/, 'stdout is not exactly one line');
  const line = JSON.parse(stdout) as JsonLine;
  assert.equal(line.error.exit_code, code);
  return line;
}

test('--version and --help go to stdout and succeed', async () => {
  const version = await runCli(['--version'], { process: true });
  assert.equal(version.code, 0);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  const help = await runCli(['--help']);
  assert.equal(help.code, 0);
  for (const word of [
    '--config',
    '--output-json',
    '--log-format',
    '--verbosity',
    '--shutdown-timeout',
    '--progress',
    'run',
    'validate',
    'health-check',
    'Examples',
    'Exit codes',
  ]) {
    assert.ok(help.stdout.includes(word), word);
  }
  for (const command of ['run', 'validate', 'health-check', 'config-schema']) {
    const { code, stdout, stderr } = await runCli([command, '--help']);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /Examples?:/);
  }
});

test('mistyped commands and options are refused with a suggestion', async () => {
  for (const [args, pattern] of [
    [['runn'], /unknown command 'runn' \(Did you mean run\?\)/],
    [['run', '--wokers', '3'], /--wokers.*Did you mean --workers/],
    [['--output-jsn', 'run'], /--output-jsn.*Did you mean --output-json/],
    [['run', '--workers', 'many'], /--workers.*whole number from 1 to 256/],
    [['run', '--workers'], /--workers.*argument missing/],
    [['run', 'more'], /too many arguments/],
    [['verify', '--tier1-size', '0'], /--tier1-size.*whole number from 1 to/],
    [['run', '--verbosity', 'loud'], /--verbosity.*debug, info, warn, error/],
    [['run', '--shutdown-timeout', '-1'], /--shutdown-timeout.*whole number/],
    [['status', '--run-id', 'latest'], /--run-id.*8-4-4-4-12/],
    [['plan', '--partitions', '--scan'], /--partitions' cannot be used with option '--scan'/],
    [[], /no command was given/],
  ] as [string[], RegExp][]) {
    const { code, stdout, stderr } = await runCli(args);
    assert.equal(code, 1, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, pattern);
    const json = onlyLine(await runCli([...args, '--output-json']));
    assert.equal(json.error.code, 'USAGE');
    assert.match(json.error.message, pattern);
  }
});

test('a missing, faulty or incomplete configuration is exit code 1 with one JSON line and no secrets', async () => {
  const missing = onlyLine(await runCli(['-c', join(folder, 'none.yaml'), 'run', '--output-json']));
  assert.deepEqual(
    [missing.command, missing.status, missing.error.code],
    ['run', 'failed', 'CONFIG_NOT_FOUND'],
  );

  const file = join(folder, 'faulty.yaml');
  await writeFile(file, 'source: { port: 0, password: hunter2secret }\n');
  const faulty = await runCli(['run', '-c', file, '--output-json'], { process: true });
  const line = onlyLine(faulty);
  assert.equal(line.error.code, 'CONFIG_INVALID');
  assert.match(line.error.message, /source\.port/);
  assert.doesNotMatch(faulty.stdout + faulty.stderr, /hunter2/);

  await writeFile(file, 'source: { password: "$' + '{CLI_TEST_UNSET}" }\n');
  const unset = onlyLine(
    await runCli(['validate', '-c', file, '--output-json'], { env: { CLI_TEST_UNSET: undefined } }),
  );
  assert.equal(unset.error.code, 'CONFIG_VARIABLE_UNSET');
  assert.match(unset.error.message, /CLI_TEST_UNSET/);
});

test('what is asked for beside the work is looked at before the work', async () => {
  const file = await configFor(closedPort, 'beside.yaml');
  const host = onlyLine(await runCli(['-c', file, '--output-json', 'run', '--metrics-host', '0.0.0.0']));
  assert.deepEqual([host.error.exit_code, host.error.code], [1, 'USAGE']);
  assert.match(host.error.message, /--metrics-port is not given/);
  const report = onlyLine(await runCli(['-c', file, '--output-json', 'verify', '--report', folder]));
  assert.deepEqual([report.error.exit_code, report.error.code], [7, 'IO']);
  assert.match(report.error.message, /it is a folder/);
});

test("status shows another tool's state file, and says what one lacks", async () => {
  const state = join(folder, 'other.state');
  const begun = {
    run_id: '550e8400-e29b-41d4-a716-446655440000',
    config_hash: 'sha256:a1b2',
    status: 'running',
    started_at: '2025-01-15T10:30:00Z',
    updated_at: '2025-01-15T10:35:00Z',
  };
  const customers = { status: 'in_progress', total_rows: 1000, transferred_rows: 500, last_pk: '500' };
  await writeFile(state, JSON.stringify({ ...begun, tables: { customers } }));
  const shown = await runCli(['--state-file', state, 'status']);
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, /customers +in_progress +500 +1,000 +500/);
  await writeFile(state, JSON.stringify({ ...begun, status: 3 }));
  const lacking = onlyLine(await runCli(['--state-file', state, '--output-json', 'status']));
  assert.deepEqual([lacking.error.exit_code, lacking.error.code], [6, 'STATE_INVALID']);
  assert.match(lacking.error.message, /: status is 3, not [^;]*; tables is missing$/);
});

test('options are taken before and after the command; config.yaml is the default', async () => {
  await configFor(closedPort, 'config.yaml');
  for (const args of [
    ['--output-json', '--log-format', 'json', 'health-check'],
    ['health-check', '--output-json', '--log-format', 'json'],
    ['--output-json', 'health-check', '--log-format=json'],
  ]) {
    const result = await runCli(args, { cwd: folder });
    assert.equal(onlyLine(result).command, 'health-check');
    for (const line of result.stderr.trim().split('\n'))
      assert.equal(typeof JSON.parse(line).message, 'string');
  }
});

test('unreachable hosts are exit code 2; health-check reports both', async () => {
  const file = await configFor(closedPort, 'closed.yaml');
  const result = await runCli(['-c', file, 'health-check', '--output-json']);
  const json = onlyLine(result) as JsonLine &
    Record<'source' | 'target', { ok: boolean; error: { code: string } }>;
  assert.equal(result.code, 2);
  assert.deepEqual([json.source.ok, json.source.error.code], [false, 'SOURCE_UNREACHABLE']);
  assert.deepEqual([json.target.ok, json.target.error.code], [false, 'TARGET_UNREACHABLE']);
  assert.equal(json.error.recoverable, true);
  assert.doesNotMatch(result.stdout + result.stderr, /hunter/);

  const people = await runCli(['-c', file, 'health-check']);
  assert.equal(people.code, 2);
  assert.match(people.stdout, /Source \(SQL Server\): FAILED/);
  assert.match(people.stdout, /Target \(PostgreSQL\): FAILED/);

  for (const command of ['run', 'validate']) {
    assert.equal(
      onlyLine(await runCli(['-c', file, command, '--output-json'])).error.code,
      'SOURCE_UNREACHABLE',
    );
  }
});

test('logs and progress go to stderr, also as JSON lines only', async () => {
  const file = await configFor(closedPort, 'progress.yaml');
  const result = await runCli(['-c', file, 'run', '--progress', '--output-json']);
  onlyLine(result);
  const lines = result.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.ok(lines.some((line) => line.phase === 'connect' && line.rows_transferred === 0));
  assert.ok(lines.some((line) => line.level === 'error' && line.code === 'SOURCE_UNREACHABLE'));
});

test('output that finds no room is exit code 7, and not a part of it success', async (t) => {
  if (process.platform === 'win32') return t.skip('no ulimit here');
  const file = join(folder, 'schema.json');
  const script = `ulimit -f 8; exec "$0" "$@" > '${file}'`;
  const { status, stderr } = spawnSync('sh', ['-c', script, process.execPath, cliFile, 'config-schema']);
  assert.equal(status, 7);
  assert.match(stderr.toString(), /The output can't be written: EFBIG.*\[IO\]/);
  const { size } = await stat(file);
  assert.ok(size > 0, 'a part was written');
});

test('a limit of open files is named, wherever it is met', (t) => {
  const met = Object.assign(new Error('connect EMFILE 10.0.0.1:1433'), { code: 'EMFILE' });
  const unreadable = join(repositoryRoot, 'node_modules/pino/index.js');
  const address = { host: 'h', port: 1, database: 'd', user: 'u', ssl_mode: 'disable' };
  for (const error of [
    sourceConnectError(new Error('Failed to connect', { cause: met }), address, []),
    targetConnectError(new AggregateError([met]), address),
    fromErrorData(toErrorData(new Error("EMFILE: too many open files, open 'x.js'"))),
    fromErrorData(toErrorData(new Error(`Cannot find package '${unreadable}' imported from x.js (EMFILE)`))),
  ]) {
    assert.deepEqual([error.code, /ulimit -n/.test(error.remedy ?? '')], ['IO', true]);
    assert.match(error.message, /^This process has all of its \S+ files open: .*EMFILE/);
  }
  if (process.platform === 'win32') return t.skip('no ulimit here');
  const script = 'ulimit -n 32; exec "$0" "$@"';
  const run = ['-c', script, process.execPath, cliFile, 'run', '--output-json'];
  const { status, stdout, stderr } = spawnSync('sh', run);
  assert.equal(status, 7);
  assert.match(stderr.toString(), /^error This process has all of its 32 files open.*\[IO\]\n.*ulimit -n/);
  const { status: ended, error } = JSON.parse(stdout.toString());
  assert.deepEqual([ended, error.code, error.exit_code, error.recoverable], ['failed', 'IO', 7, true]);
  assert.match(error.message, /all of its 32 files/);
});

test('a signal ends a command that waits: exit code 5, one JSON line', async () => {
  const file = await configFor(silentPort, 'silent.yaml');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const result = await runCli(['-c', file, 'health-check', '--output-json'], {
      onStart: (child) => whileItWaits(() => child.kill(signal)),
    });
    const json = onlyLine(result);
    assert.deepEqual([result.code, json.status, json.error.code], [5, 'cancelled', 'CANCELLED']);
    assert.match(json.error.message, new RegExp(signal));
  }
});

test('a run that does not stop is ended after --shutdown-timeout, or by a second signal', async () => {
  const file = await configFor(silentPort, 'silent2.yaml');
  const slow = await runCli(['-c', file, 'run', '--output-json', '--shutdown-timeout', '1'], {
    onStart: (child) => whileItWaits(() => child.kill('SIGTERM')),
  });
  assert.deepEqual([slow.code, onlyLine(slow).error.code], [5, 'CANCELLED']);
  assert.match(onlyLine(slow).error.remedy, /`run --or-resume` goes on/);

  const twice = await runCli(['-c', file, 'run', '--output-json', '--shutdown-timeout', '60'], {
    onStart: (child) => {
      whileItWaits(() => {
        child.kill('SIGINT');
        setTimeout(() => child.kill('SIGINT'), 500);
      });
    },
  });
  assert.deepEqual([twice.code, onlyLine(twice).error.code], [5, 'CANCELLED']);
});

test('config-schema prints a JSON Schema', async () => {
  const { code, stdout } = await runCli(['config-schema']);
  assert.equal(code, 0);
  assert.match(JSON.parse(stdout).$schema, /json-schema\.org/);
});
