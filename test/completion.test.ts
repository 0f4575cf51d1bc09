/**
 * Shell completion, asked of the shells themselves: bash where there is one, zsh and fish where they are installed.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { buildProgram } from '../src/commands/program.js';
import { runCli } from './support/cli.js';

const missing = (shell: string): string | false =>
  spawnSync(shell, ['--version']).status === 0 ? false : `${shell} is not installed`;

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'completion-'));
  writeFileSync(join(folder, 'sales config.yaml'), '');
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function script(shell: string): Promise<string> {
  const { code, stdout } = await runCli(['completion', shell]);
  assert.equal(code, 0);
  return stdout;
}

/** What bash offers behind these words, the last of which is being typed. */
function bash(source: string, words: readonly string[]): string[] {
  const program = `${source}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mssql_pg_migrate; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync(
    'bash',
    ['--norc', '-c', program, 'bash', 'mssql-pg-migrate', ...words],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  );
  assert.deepEqual([status, stderr], [0, '']);
  return stdout.split('\n').filter((line) => line !== '');
}

test('bash completes commands, options, their values and files', { skip: missing('bash') }, async () => {
  const source = await script('bash');
  const program = buildProgram(async () => {});
  const commands = [...program.commands.map((command) => command.name()), 'help'];
  assert.deepEqual(bash(source, ['']).sort(), commands.sort());
  assert.deepEqual(bash(source, ['-c', 'x.yaml', 'val']), ['validate']);
  assert.deepEqual(bash(source, ['--config', '=', 'x.yaml', 'health']), ['health-check']);
  assert.deepEqual(bash(source, ['run', '--dr']), ['--dry-run']);
  assert.deepEqual(bash(source, ['run', '--out']), ['--output-json']);
  assert.deepEqual(bash(source, ['validate', '--dr']), []);
  assert.deepEqual(bash(source, ['run', '--verbosity', 'w']), ['warn']);
  assert.deepEqual(bash(source, ['run', '--verbosity', '=']), ['debug', 'info', 'warn', 'error']);
  assert.deepEqual(bash(source, ['run', '--log-format', '=', 'j']), ['json']);
  assert.deepEqual(bash(source, ['run', '--workers', '']), []);
  assert.deepEqual(bash(source, ['-c', 'sal']), ['sales config.yaml']);
  assert.deepEqual(bash(source, ['init', '--output', 'sal']), ['sales config.yaml']);
  assert.deepEqual(bash(source, ['completion', '']), ['bash', 'zsh', 'fish']);
  assert.deepEqual(bash(source, ['help', 'verif']), ['verify']);
  // Every option of every command, by its long name.
  for (const command of program.commands) {
    const offered = bash(source, [command.name(), '--']);
    for (const { long, hidden } of [...command.options, ...program.options]) {
      if (long !== undefined && !hidden) assert.ok(offered.includes(long), `${command.name()} ${long}`);
    }
  }
});

test('zsh takes its script', { skip: missing('zsh') }, async () => {
  const { status, stderr } = spawnSync('zsh', ['-f', '-n'], { input: await script('zsh'), encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
});

test('fish completes commands, options and their values', { skip: missing('fish') }, async () => {
  const file = join(folder, 'mssql-pg-migrate.fish');
  writeFileSync(file, await script('fish'));
  const offered = (line: string) =>
    spawnSync('fish', ['--no-config', '-c', `source ${file}; complete -C "mssql-pg-migrate ${line}"`], {
      encoding: 'utf8',
      env: { ...process.env, HOME: folder },
    })
      .stdout.split('\n')
      .flatMap((text) => (text === '' ? [] : [text.split('\t')[0]]));
  assert.deepEqual(offered('val'), ['validate']);
  assert.deepEqual(offered('run --dr'), ['--dry-run']);
  assert.deepEqual(offered('run --verbosity w'), ['warn']);
  assert.deepEqual(offered('completion f'), ['fish']);
});

test('a shell that is not known is refused with those that are', async () => {
  const { code, stderr } = await runCli(['completion', 'tcsh']);
  assert.equal(code, 1);
  assert.match(stderr, /bash, zsh, fish/);
});
