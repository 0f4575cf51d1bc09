/**
 * `init`: the questions answered in a pseudo-terminal against real servers, and the template where nobody can be
 * asked.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MIGRATION_DEFAULTS, SOURCE_DEFAULTS, TARGET_DEFAULTS } from '../src/config/defaults.js';
import { configSchema } from '../src/config/keys.js';
import { loadConfig, readConfig } from '../src/config/load.js';
import { proposeMode } from '../src/terminal/wizard/mode.js';
import { runCli } from './support/cli.js';
import { oneLineOfJson, type Scene, startScene } from './support/endToEnd.js';
import { KEYS, type TerminalOptions, TestTerminal, terminalMissing } from './support/terminal.js';

let scene: Scene;
const passwords = { MSSQL_PASSWORD: 'from-a-variable', POSTGRES_PASSWORD: 'from-a-variable' };

before(async () => {
  scene = await startScene(
    'init',
    `CREATE TABLE dbo.customers (id int NOT NULL PRIMARY KEY, name nvarchar(50) NULL);
CREATE TABLE dbo.[odd {name}] (id int NOT NULL PRIMARY KEY);
CREATE TABLE dbo.audit_log (at datetime NOT NULL);
GO
INSERT INTO dbo.customers (id, name) VALUES (1, N'Ada'), (2, N'Grace');
INSERT INTO dbo.[odd {name}] (id) VALUES (1);
GO
CREATE SCHEMA sales;
GO
CREATE TABLE sales.regions (id int NOT NULL PRIMARY KEY);
`,
  );
});

after(() => scene?.stop());

/** A folder of its own for each test. */
function folder(name: string): string {
  const path = join(scene.directory, name);
  mkdirSync(path);
  return path;
}

function open(cwd: string, args: string[] = [], options: TerminalOptions = {}): TestTerminal {
  const env = { MSSQL_PASSWORD: undefined, POSTGRES_PASSWORD: undefined, PGHOST: undefined, ...options.env };
  return new TestTerminal(['init', ...args], { cwd, ...options, env });
}

/** The question that waits for an answer. */
const asks = (text: string) => new RegExp(`\u25c6 +${text}`);

async function answerSource(terminal: TestTerminal, port: string): Promise<void> {
  await terminal.answer(asks('SQL Server: host'), `127.0.0.1${KEYS.enter}`);
  await terminal.answer(asks('SQL Server: port'), port + KEYS.enter);
  await terminal.answer(asks('SQL Server: database'), scene.source.database + KEYS.enter);
  await terminal.answer(asks('SQL Server: user'), scene.source.user + KEYS.enter);
  await terminal.answer(asks('Encryption'), KEYS.down + KEYS.down + KEYS.enter);
  await terminal.answer(asks('SQL Server: environment variable'), KEYS.enter);
}

async function answerTarget(terminal: TestTerminal): Promise<void> {
  const { host, port, database, user } = scene.target.connection;
  await terminal.answer(asks('PostgreSQL: host'), host + KEYS.enter);
  await terminal.answer(asks('PostgreSQL: port'), port + KEYS.enter);
  await terminal.answer(asks('PostgreSQL: database'), database + KEYS.enter);
  await terminal.answer(asks('PostgreSQL: user'), user + KEYS.enter);
  await terminal.answer(asks('TLS'), KEYS.up + KEYS.enter);
  await terminal.answer(asks('PostgreSQL: environment variable'), KEYS.enter);
}

test('the wizard, answered end to end, writes a file that runs', { skip: terminalMissing }, async () => {
  const cwd = folder('wizard');
  const terminal = open(cwd, [], { rows: 40, columns: 100 });
  try {
    // A port where nobody listens: the error says what to do, and the answers can be changed.
    await answerSource(terminal, '1');
    await terminal.answer(asks('SQL Server: password'), scene.source.password + KEYS.enter);
    const failure = await terminal.waitFor(asks('What now'));
    assert.match(failure, /127\.0\.0\.1:1 can't be reached[\s\S]*What to do: Check source\.host/);
    terminal.type(KEYS.enter);
    await terminal.answer(asks('SQL Server: host'), KEYS.enter);
    await terminal.answer(asks('SQL Server: port'), `70000${KEYS.enter}`);
    await terminal.waitFor(/whole number from 1 to 65535/);
    terminal.type(KEYS.backspace.repeat(5) + scene.source.port + KEYS.enter);
    await terminal.answer(asks('SQL Server: database'), KEYS.enter);
    await terminal.answer(asks('SQL Server: user'), KEYS.enter);
    await terminal.answer(asks('Encryption'), KEYS.enter);
    await terminal.answer(asks('SQL Server: environment variable'), KEYS.enter);
    await terminal.answer(asks('SQL Server: password'), scene.source.password + KEYS.enter);

    const schemas = await terminal.waitFor(asks('Schemas whose'));
    assert.match(schemas, /SQL Server \d+\.[\s\S]*connected in [\d.]+ ms/);
    assert.match(schemas, /dbo \(3 tables, about 3 rows/);
    terminal.type(KEYS.enter);
    await terminal.answer(asks('Tables of dbo'), KEYS.down + KEYS.enter);
    const tables = await terminal.waitFor(asks('Tables to migrate'));
    assert.match(tables, /customers \(2 rows/);
    assert.match(tables, /audit_log \(0 rows.*no key/);
    // The last one is left out.
    terminal.type(KEYS.up + KEYS.space + KEYS.enter);

    await answerTarget(terminal);
    await terminal.answer(asks('PostgreSQL: password'), scene.target.connection.password + KEYS.enter);
    await terminal.answer(asks('PostgreSQL: schema'), KEYS.enter);
    const proposal = await terminal.waitFor(asks('What happens'));
    assert.match(proposal, /PostgreSQL \d+.*not encrypted; connected/);
    assert.match(proposal, /drop_recreate is proposed: the target has none of the 2 tables/);
    terminal.type(KEYS.enter);
    await terminal.answer(asks('Write config\\.yaml'), KEYS.enter);
    const end = await terminal.ended();
    assert.deepEqual(end, { code: 0, normalScreen: true, cursorShown: true, cooked: true });
    assert.ok(!terminal.output.includes(scene.source.password), 'the password was shown');
  } finally {
    await terminal.stop();
  }

  const file = join(cwd, 'config.yaml');
  const text = readFileSync(file, 'utf8');
  assert.match(text, /password: "\$\{MSSQL_PASSWORD\}"/);
  assert.ok(!text.includes(scene.source.password) && !text.includes(scene.target.connection.password));
  const env = { MSSQL_PASSWORD: scene.source.password, POSTGRES_PASSWORD: scene.target.connection.password };
  const config = await loadConfig(file, { environment: env });
  assert.deepEqual(config.migration.include_tables, ['customers', 'odd \\{name\\}']);
  const done = await runCli(['-c', file, '--output-json', 'run'], { env });
  assert.equal(done.code, 0, done.stderr);
  assert.equal((oneLineOfJson(done.stdout) as { rows_transferred: number }).rows_transferred, 3);
});

test('with --advanced: patterns, sizes of the host; rows in the target propose upsert', {
  skip: terminalMissing,
}, async () => {
  const cwd = folder('advanced');
  writeFileSync(join(cwd, 'config.yaml'), 'of before');
  await scene.client.query(
    'CREATE SCHEMA kept; CREATE TABLE kept.customers (id int PRIMARY KEY, name varchar(50))',
  );
  await scene.client.query(`INSERT INTO kept.customers VALUES (7, 'x')`);
  // Both passwords are in variables: nobody is asked for them.
  const env = { MSSQL_PASSWORD: scene.source.password, POSTGRES_PASSWORD: scene.target.connection.password };
  const terminal = open(cwd, ['--advanced'], { rows: 50, columns: 100, env });
  try {
    await terminal.answer(asks('config\\.yaml is there already'), KEYS.up + KEYS.enter);
    await answerSource(terminal, String(scene.source.port));
    await terminal.answer(asks('Schemas whose'), KEYS.down + KEYS.space + KEYS.enter);
    await terminal.answer(asks('Tables of dbo, sales: 4 tables'), KEYS.up + KEYS.enter);
    await terminal.answer(asks('Tables to migrate: patterns'), `nothing_*${KEYS.enter}`);
    await terminal.answer(asks('Tables to leave out'), KEYS.enter);
    await terminal.waitFor(/nothing_\* matches no source table/);
    await terminal.answer(asks('Tables to migrate: patterns'), `cust*, odd*, regions${KEYS.enter}`);
    await terminal.answer(asks('Tables to leave out'), `odd*${KEYS.enter}`);
    await terminal.waitFor(/2 tables: customers, regions/);
    await terminal.answer(asks('Are these'), KEYS.enter);
    await terminal.answer(asks('Isolation'), KEYS.enter);
    await terminal.answer(asks('Which replica'), KEYS.down + KEYS.enter);
    await answerTarget(terminal);
    await terminal.answer(asks('PostgreSQL: schema for the tables of dbo'), `kept${KEYS.enter}`);
    await terminal.waitFor(/upsert is proposed: 1 table of the target has rows, and every table has a key/);
    await terminal.answer(asks('What happens'), KEYS.enter);
    await terminal.waitFor(/brings the differences into kept\.customers/);
    await terminal.answer(asks('Take upsert'), KEYS.enter);
    await terminal.answer(asks('Made after'), KEYS.space + KEYS.enter);
    await terminal.answer(asks('A NUL'), KEYS.down + KEYS.enter);
    await terminal.answer(asks('Load into'), KEYS.enter);
    await terminal.waitFor(/workers +\d+ +half the \d+ cores/);
    await terminal.answer(asks('Sizes to fix'), KEYS.space + KEYS.enter);
    await terminal.answer(asks('workers'), `3${KEYS.enter}`);
    await terminal.answer(asks('Write config\\.yaml'), KEYS.enter);
    assert.equal((await terminal.ended()).code, 0);
  } finally {
    await terminal.stop();
  }
  const file = join(cwd, 'config.yaml');
  const { migration, source, target } = await loadConfig(file, { environment: env });
  assert.deepEqual(
    [migration.target_mode, migration.workers, migration.create_indexes, migration.on_nul, target.schema],
    ['upsert', 3, false, 'strip', 'kept'],
  );
  assert.deepEqual(
    [migration.include_tables, migration.exclude_tables],
    [['cust*', 'odd*', 'regions'], ['odd*']],
  );
  assert.deepEqual([source.schema, source.application_intent], [['dbo', 'sales'], 'read_only']);
  assert.match(readFileSync(file, 'utf8'), /# .*On this host: [\s\S]*#chunk_size: \d+/);
  assert.deepEqual(readdirSync(cwd), ['config.yaml']);
});

test('Ctrl-C, Ctrl-D, SIGTERM and a refused overwrite leave everything as it was', {
  skip: terminalMissing,
}, async () => {
  const cwd = folder('broken-off');
  const clean = { normalScreen: true, cursorShown: true, cooked: true };
  const end = async (terminal: TestTerminal, act: (terminal: TestTerminal) => Promise<void>) => {
    try {
      await act(terminal);
      return await terminal.ended();
    } finally {
      await terminal.stop();
    }
  };
  for (const key of [KEYS.ctrlC, KEYS.ctrlD]) {
    const typed = await end(open(cwd), async (terminal) => {
      await terminal.answer(asks('SQL Server: host'), `h${KEYS.enter}`);
      await terminal.answer(asks('SQL Server: port'), key);
    });
    assert.deepEqual(typed, { code: 5, ...clean });
  }
  const signalled = await end(open(cwd), async (terminal) => {
    await terminal.waitFor(asks('SQL Server: host'));
    process.kill(terminal.pid, 'SIGTERM');
  });
  assert.deepEqual(signalled, { code: 5, ...clean });
  assert.deepEqual(readdirSync(cwd), []);

  writeFileSync(join(cwd, 'mine.yaml'), 'mine');
  const refused = await end(open(cwd, ['-o', 'mine.yaml']), (terminal) =>
    terminal.answer(asks('mine\\.yaml is there already'), KEYS.enter),
  );
  assert.deepEqual(refused, { code: 1, ...clean });
  assert.equal(readFileSync(join(cwd, 'mine.yaml'), 'utf8'), 'mine');
});

test('without a terminal: a template that is read as it is, and says every key with its default', async () => {
  const cwd = folder('template');
  const made = await runCli(['init', '--output-json'], { cwd });
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stderr, /no terminal to ask questions at/);
  const result = oneLineOfJson(made.stdout) as { file: string; template: boolean };
  assert.deepEqual([result.file, result.template], ['config.yaml', true]);

  const text = readFileSync(join(cwd, 'config.yaml'), 'utf8');
  const asWritten = await loadConfig(join(cwd, 'config.yaml'), { environment: passwords });
  assert.equal(asWritten.source.password, 'from-a-variable');
  for (const [name, section] of Object.entries(configSchema.entries)) {
    const { entries } = 'wrapped' in section ? section.wrapped : section;
    for (const key of Object.keys(entries))
      assert.match(text, new RegExp(`^  #?${key}:`, 'm'), `${name}.${key}`);
  }
  // With every # taken away the file says what it said before.
  const bare = text.replace(/^( *)#(?! ) {0,2}(?=[a-z_]+:)/gm, (_all, indent: string) => indent);
  const nested = bare
    .replace(/^ {2}(tier\w+|parallel_verify\w+):/gm, '    $1:')
    .replace(/^ {2}# {2}#.*\n/gm, '');
  assert.deepEqual(readConfig(nested, { environment: passwords }), asWritten);
  for (const [key, { value }] of Object.entries({
    ...SOURCE_DEFAULTS,
    ...TARGET_DEFAULTS,
    ...MIGRATION_DEFAULTS,
  })) {
    assert.match(text, new RegExp(`^  #?${key}: ${value}$`, 'm'));
  }

  const again = await runCli(['init', '--output-json'], { cwd });
  assert.equal(again.code, 1);
  assert.match(again.stdout, /"code":"USAGE","message":"config\.yaml is there already"/);
  assert.equal((await runCli(['init', '-f'], { cwd })).code, 0);
  const nowhere = await runCli(['init', '-o', 'none/x.yaml', '--output-json'], { cwd });
  assert.equal(nowhere.code, 7);
});

test('the mode that is proposed', () => {
  const survey = { missing: [], empty: [], filled: [], keyless: [] };
  assert.equal(proposeMode({ ...survey, missing: ['a'] }).mode, 'drop_recreate');
  assert.match(
    proposeMode({ ...survey, missing: ['a'], empty: ['b'] }).why,
    /no rows in the table that is there/,
  );
  assert.equal(proposeMode({ ...survey, missing: ['a'], filled: ['b'] }).mode, 'upsert');
  assert.equal(proposeMode({ ...survey, filled: ['b'], keyless: ['a'] }).mode, 'truncate');
  assert.match(proposeMode({ ...survey, filled: ['b'], keyless: ['a'] }).why, /rows of a have no key/);
});
