/**
 * Values of the configuration that come from files and commands. Runs on the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readConfig } from '../src/config/load.js';
import { type ErrorData, toErrorData } from '../src/errors.js';

test('values from files and from commands, without the line end they end with', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mpm-secrets-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'password'), 'of the\nfile: "$}\n');
  const config = readConfig(
    `source: { host: h, database: d, user: u, password: "\${file:${folder}/password}" }
target: { host: h, database: d, user: u, password: '\${command:printf "%s|%s\\n" "$USER_OF" two}' }`,
    { environment: { ...process.env, USER_OF: 'one' } },
  );
  assert.equal(config.source.password, 'of the\nfile: "$}');
  assert.equal(config.target.password, 'one|two');
});

test('a file or a command that gives nothing is named by its place, never by what it holds', () => {
  const withValue = (inBraces: string): ErrorData => {
    try {
      readConfig(`source: { host: h, database: d, user: u, password: '\${${inBraces}}' }
target: { host: h, database: d, user: u, password: p }`);
    } catch (error) {
      return toErrorData(error);
    }
    assert.fail('taken');
  };
  const missing = withValue('file:/nowhere/secret');
  assert.equal(missing.code, 'IO');
  assert.match(missing.message, /source\.password, line 1: the file \/nowhere\/secret can't be read: ENOENT/);
  const failing = withValue('command:echo hidden; exit 3');
  assert.equal(failing.code, 'CONFIG_INVALID');
  assert.match(failing.message, /source\.password, line 1: the command failed: exit code 3/);
  assert.doesNotMatch(failing.message, /hidden/);
  assert.equal(withValue('file:').code, 'CONFIG_INVALID');
});
