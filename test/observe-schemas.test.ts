/**
 * What every command prints for machines, held to the JSON Schemas that promise it.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Ajv, type ValidateFunction } from 'ajv';
import { buildProgram } from '../src/commands/program.js';
import { AppError } from '../src/errors.js';
import { OUTPUT_NAMES, type OutputName, outputJsonSchema } from '../src/observe/commandSchemas.js';
import type { ProgressLine, RunResult } from '../src/observe/schemas.js';
import { type CliOptions, runCli } from './support/cli.js';
import { oneLineOfJson, type Scene, startScene } from './support/endToEnd.js';
import { repositoryRoot } from './support/repository.js';

const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
const validators = new Map<string, ValidateFunction>();

/** Holds a value to the committed schema of that name. */
function conforms(name: OutputName, value: unknown): void {
  let validate = validators.get(name);
  if (validate === undefined) {
    validate = ajv.compile(JSON.parse(readFileSync(schemaFile(name), 'utf8')));
    validators.set(name, validate);
  }
  if (validate(value)) return;
  const errors = ajv.errorsText(validate.errors, { separator: '\n' });
  assert.fail(`${name}: ${errors}\n${JSON.stringify(value, null, 1)}`);
}

function schemaFile(name: string): string {
  return join(repositoryRoot, 'schemas', `${name}.schema.json`);
}

let scene: Scene;

before(async () => {
  scene = await startScene(
    'schemas',
    `CREATE TABLE dbo.Plain (Id int NOT NULL PRIMARY KEY, Name nvarchar(50) NULL, At datetime2(7) NULL);
GO
INSERT INTO dbo.Plain (Id, Name, At) VALUES (1, N'a', '2024-01-02T03:04:05.1234567'), (2, N'b', NULL), (3, NULL, NULL);
GO
CREATE TABLE dbo.Other (Id int NOT NULL PRIMARY KEY, Value varchar(10) NOT NULL);
GO
INSERT INTO dbo.Other (Id, Value) VALUES (1, 'x');
`,
  );
});

after(async () => {
  await scene?.stop();
});

async function json(
  name: OutputName,
  args: string[],
  options: CliOptions = {},
): Promise<{ code: number; value: Record<string, unknown>; stderr: string }> {
  const { code, stdout, stderr } = await runCli(['--output-json', ...args], options);
  const value = oneLineOfJson(stdout) as Record<string, unknown>;
  conforms(name, value);
  assert.equal(value.error === null, code === 0, stdout);
  return { code, value, stderr };
}

test('schemas/ is what the definitions generate (write it with the command output-schema)', () => {
  for (const name of OUTPUT_NAMES) {
    assert.equal(readFileSync(schemaFile(name), 'utf8'), outputJsonSchema(name), name);
  }
});

test('every command that prints a result has a schema', () => {
  const program = buildProgram(async () => {});
  const without = program.commands
    .map((command) => command.name())
    .filter((name) => !(OUTPUT_NAMES as string[]).includes(name));
  assert.deepEqual(without, [], 'describe their --output-json line in src/observe/commandSchemas.ts');
});

test('a schema refuses what it does not promise', () => {
  assert.throws(() => conforms('run', { status: 'success' }));
  assert.throws(() => conforms('progress', { table: null }));
});

test('usage and configuration errors, of every command', async () => {
  for (const name of OUTPUT_NAMES) {
    if (name === 'progress') continue;
    const { code } = await json(name, [name, '--no-such-option']);
    assert.equal(code, 1);
    if (['config-schema', 'output-schema', 'completion', 'init', 'tui'].includes(name)) continue;
    const missing = await json(name, ['-c', join(scene.directory, 'nothing.yaml'), name]);
    assert.deepEqual([missing.code, (missing.value.error as { code: string }).code], [1, 'CONFIG_NOT_FOUND']);
  }
});

test('commands that only print', async () => {
  await json('config-schema', ['config-schema']);
  await json('completion', ['completion', 'bash']);
  await json('init', ['init', '-o', join(scene.directory, 'template.yaml')]);
  const { value } = await json('output-schema', ['output-schema', 'run']);
  assert.deepEqual(value.schema, JSON.parse(outputJsonSchema('run')));
});

test('a run, its progress, and what is asked about it afterwards', async () => {
  const config = ['-c', scene.config()];
  const state = ['--state-file', join(scene.directory, 'schemas.state')];
  const ranges = await json('plan', [...config, 'plan', '--partitions']);
  assert.equal((ranges.value.partitions as unknown[]).length, 2);
  const dry = await json('run', [...config, 'run', '--dry-run']);
  assert.equal(dry.code, 0);

  const done = await json('run', [...config, ...state, '--progress', '--verbosity', 'debug', 'run']);
  assert.equal(done.code, 0, done.stderr);
  const lines = done.stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ProgressLine & { level?: string; run_id?: string })
    .filter((line) => line.level === undefined);
  assert.ok(lines.length >= 3);
  for (const line of lines) conforms('progress', line);
  assert.deepEqual(
    lines
      .filter(({ table_status }) => table_status === 'completed')
      .map(({ table, rows_committed }) => [table, rows_committed])
      .sort(),
    [
      ['dbo.Other', 1],
      ['dbo.Plain', 3],
    ],
  );

  for (const asked of [
    await json('status', [...config, ...state, 'status']),
    await json('status', [...config, 'status']),
    await json('receipt', [...config, 'receipt']),
    await json('resume', [...config, ...state, 'resume']),
    await json('validate', [...config, 'validate']),
    await json('verify', [...config, 'verify']),
    await json('health-check', [...config, 'health-check']),
  ]) {
    assert.equal(asked.code, 0, asked.stderr);
  }
});

test('what differs, what is missing, what can not be reached', async () => {
  const config = ['-c', scene.config()];
  await scene.client.query(`UPDATE "Plain" SET "Name" = 'changed' WHERE "Id" = 1`);
  await scene.client.query(`DELETE FROM "Plain" WHERE "Id" = 2`);
  await scene.client.query('DROP TABLE "Other"');
  assert.equal((await json('verify', [...config, 'verify', '--details', '5'])).code, 4);
  assert.equal((await json('validate', [...config, 'validate'])).code, 4);
  const lost = ['-c', scene.config({ target: { port: 1 }, migration: { max_retries: 0 } })];
  assert.equal((await json('health-check', [...lost, 'health-check'])).code, 2);
  assert.equal((await json('run', [...lost, 'run'])).code, 2);
  const elsewhere = ['-c', scene.config({ target: { schema: 'elsewhere' } })];
  assert.equal((await json('receipt', [...elsewhere, 'receipt'])).code, 6);
  assert.equal((await json('status', [...elsewhere, 'status'])).code, 6);
});

test('a run whose tables fail, and one that is stopped', async () => {
  await scene.tsql(`INSERT INTO dbo.Other (Id, Value) VALUES (2, 'nul' + CHAR(0));`);
  const config = ['-c', scene.config()];
  const { code, value } = await json('run', [...config, 'run', '--fresh']);
  const result = value as unknown as RunResult;
  assert.deepEqual([code, result.status, result.failed_tables], [3, 'failed', ['dbo.Other']]);
  const failed = result.tables.find(({ table }) => table === 'dbo.Other');
  assert.deepEqual([failed?.error?.code, failed?.error?.recoverable], ['VALUE_UNREPRESENTABLE', false]);

  await scene.tsql(`DELETE FROM dbo.Other WHERE Id = 2;`);
  const stop = new AbortController();
  const stopped = await json('run', [...config, '--verbosity', 'debug', 'run', '--fresh'], {
    signal: stop.signal,
    onStderr: (text) => {
      if (text.includes('phase prepare')) stop.abort(new AppError('CANCELLED', 'stopped by the test'));
    },
  });
  assert.deepEqual([stopped.code, stopped.value.status, stopped.value.tables_total], [5, 'cancelled', 2]);
});
