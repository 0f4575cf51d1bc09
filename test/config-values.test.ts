/**
 * What values of a configuration file may hold: variables, odd text, secrets. Runs on the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readConfig } from '../src/config/load.js';
import { AppError, exitCodeOf } from '../src/errors.js';
import { assertFailure, failure, MINIMAL } from './support/configText.js';

test('variables are expanded inside values, also as numbers and switches', () => {
  const text = `
source: { host: "\${H}", port: "\${PORT}", database: "pre_\${DB}_post", user: u, password: "\${PW}", encrypt: "\${ENC}" }
target: { host: h, database: d, user: u, password: "$\${not_a_variable}" }
migration: { workers: "\${W}", include_tables: ["\${T}"] }`;
  const config = readConfig(text, {
    environment: { H: 'h1', PORT: '1500', DB: 'x', PW: 'a: b #c\n- d "e"', ENC: 'False', W: ' 3 ', T: 't_*' },
  });
  assert.equal(config.source.port, 1500);
  assert.equal(config.source.database, 'pre_x_post');
  assert.equal(config.source.password, 'a: b #c\n- d "e"');
  assert.equal(config.source.encrypt, false);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the text itself is meant
  assert.equal(config.target.password, '${not_a_variable}');
  assert.equal(config.migration.workers, 3);
  assert.deepEqual(config.migration.include_tables, ['t_*']);
});

test('a password from a variable stays text, whatever it looks like', () => {
  const text = MINIMAL.replace('s3cret-source', '"$' + '{PW}"');
  for (const password of ['12345', 'true', 'null', '', '~']) {
    assert.equal(readConfig(text, { environment: { PW: password } }).source.password, password);
  }
});

test('a number given as quoted text, without a variable, is not taken for a number', () => {
  assertFailure(
    MINIMAL.replace('host: mssql', 'host: mssql, port: "1433"'),
    'CONFIG_INVALID',
    /source\.port/,
  );
});

test('unset variables are all named, with where they are used', () => {
  const error = failure(`
source: { host: "\${A_HOST}", database: d, user: u, password: "\${A_PASSWORD}" }
target: { host: h, database: d, user: u, password: p }`);
  assert.equal(error.code, 'CONFIG_VARIABLE_UNSET');
  assert.match(error.message, /A_HOST \(used by source\.host, line 2\)/);
  assert.match(error.message, /A_PASSWORD \(used by source\.password, line 2\)/);
});

test('an opened but unfinished variable is refused without repeating the text', () => {
  for (const password of ['hunter2$' + '{x', 'hunter2$' + '{not a name}', 'hunter2$' + '{}']) {
    const error = failure(MINIMAL.replace('s3cret-source', JSON.stringify(password)));
    assert.equal(error.code, 'CONFIG_INVALID');
    assert.match(error.message, /source\.password/);
    assert.doesNotMatch(error.message, /hunter2/);
  }
});

test('no variable value can add keys or change others', () => {
  const text = MINIMAL.replace('s3cret-source', '"$' + '{PW}"');
  const plain = readConfig(text, { environment: { PW: 'x' } });
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (password) => {
      const config = readConfig(text, { environment: { PW: password } });
      assert.equal(config.source.password, password);
      assert.deepEqual({ ...config.source, password: 'x' }, plain.source);
      assert.deepEqual(config.target, plain.target);
    }),
    { numRuns: 200 },
  );
});

test('faulty syntax is named with its place and without the text around it', () => {
  const error = failure('source:\n  password: "abc" "hunter2"\n');
  assert.equal(error.code, 'CONFIG_SYNTAX');
  assert.match(error.message, /line 2, column 19/);
  assert.doesNotMatch(error.message, /hunter2/);
  assertFailure('source: {}\nsource: {}\n', 'CONFIG_SYNTAX', /line 2/);
  assertFailure('a: !vault x', 'CONFIG_SYNTAX');
  assertFailure('', 'CONFIG_INVALID', /not a mapping/);
  assertFailure('- a\n- b', 'CONFIG_INVALID', /not a mapping/);
});

test('secrets appear in no message, whatever is wrong with the file', () => {
  const secret = 'correct-horse-battery';
  const files = [
    `source: { password: ${secret}, port: 0 }`,
    `source: { password: [${secret}] }`,
    `source: { password: { ${secret}: 1 } }`,
    `source:\n  password: ${secret}: x\n`,
    `source:\n  password: "${secret}\n`,
    `source:\n  password: *${secret}\n`,
    `source:\n  password: "a" ${secret}\n`,
    `source:\n\tpassword: ${secret}\n`,
  ];
  for (const file of files) {
    const error = failure(file);
    assert.ok(!`${error.message} ${error.remedy}`.includes(secret), `${file}: ${error.message}`);
  }
});

test('only typed errors escape, whatever the file holds', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'grapheme' }),
        fc.json(),
        fc.json().map((j) => `source: ${j}\ntarget: ${j}`),
      ),
      (text) => {
        try {
          readConfig(text, { environment: {} });
        } catch (error) {
          assert.ok(error instanceof AppError, String(error));
          assert.equal(exitCodeOf(error), 1);
        }
      },
    ),
    { numRuns: 500 },
  );
});
