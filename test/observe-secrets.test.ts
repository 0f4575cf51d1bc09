/**
 * Passwords are in nothing that is printed or stored, in none of the forms they may take, however a command ends.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { hideSecrets, redacted, redactedValue } from '../src/secrets.js';
import { runCli } from './support/cli.js';
import { type Scene, startScene } from './support/endToEnd.js';

const SOURCE_PASSWORD = 'S\u00f6urce "pass"\\word/1 %+&<x>';
const TARGET_PASSWORD = "T\u00e4rget 'pass'\\word/2 %+&<y>";

/** How a secret may look. */
function forms(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  const base64 = Buffer.from(secret).toString('base64');
  return [
    ...[secret, json, JSON.stringify(json).slice(1, -1), encodeURIComponent(secret), encodeURI(secret)],
    ...[base64.replace(/=+$/, ''), Buffer.from(secret).toString('base64url')],
    secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;'),
    new URLSearchParams({ p: secret }).toString().slice(2),
  ];
}

function assertClean(text: string, what: string): void {
  for (const secret of [SOURCE_PASSWORD, TARGET_PASSWORD]) {
    for (const form of forms(secret)) {
      const at = text.indexOf(form);
      assert.equal(
        at,
        -1,
        `${what} has a password in it: ...${text.slice(Math.max(0, at - 80), at + 80)}...`,
      );
    }
  }
}

let scene: Scene;
let config: string;

before(async () => {
  scene = await startScene(
    'secrets',
    `CREATE TABLE dbo.Rows (Id int NOT NULL PRIMARY KEY, Name nvarchar(50) NULL);
GO
INSERT INTO dbo.Rows (Id, Name) VALUES (1, N'a'), (2, N'b');
`,
    { source: { password: SOURCE_PASSWORD } },
  );
  const quoted = `'${TARGET_PASSWORD.replaceAll("'", "''")}'`;
  await scene.client.query(`DROP ROLE IF EXISTS secretive`);
  await scene.client.query(`CREATE ROLE secretive LOGIN SUPERUSER PASSWORD ${quoted}`);
  config = secretConfig();
});

/** Writes the configuration, with both passwords. */
function secretConfig(migration: Record<string, unknown> = {}): string {
  return scene.config({
    source: { password: scene.server.isStandIn ? SOURCE_PASSWORD : scene.source.password },
    target: { user: 'secretive', password: TARGET_PASSWORD },
    migration,
  });
}

after(async () => {
  const owned = scene?.client
    .query('DROP OWNED BY secretive')
    .then(() => scene.client.query('DROP ROLE secretive'));
  await owned?.catch(() => {});
  await scene?.stop();
});

test('every form of a secret is replaced, and nothing of it is left', () => {
  hideSecrets([SOURCE_PASSWORD]);
  for (const form of forms(SOURCE_PASSWORD).slice(0, 7)) assert.equal(redacted(`<${form}>`), '<***>');
  assert.deepEqual(redactedValue({ a: [1, null, `x${SOURCE_PASSWORD}`] }), { a: [1, null, 'x***'] });
});

test('runs, their state file, report and ledger, at debug level', async () => {
  const state = join(scene.directory, 'secret.state');
  const report = join(scene.directory, 'secret.html');
  const common = ['-c', config, '--verbosity', 'debug', '--state-file', state];
  for (const args of [
    ['--progress', 'run', '--fresh', '--report', report, '--metrics-port', '0'],
    ['--log-format', 'text', 'run', '--fresh'],
    ['--output-json', 'run', '--dry-run'],
    ['--output-json', '--log-format', 'json', 'verify'],
    ['health-check'],
    ['status'],
    ['receipt'],
  ]) {
    const done = await runCli([...common, ...args]);
    assert.equal(done.code, 0, done.stderr);
    assertClean(done.stdout + done.stderr, args.join(' '));
  }
  for (const file of readdirSync(scene.directory)) {
    if (file !== 'config.yaml') assertClean(readFileSync(join(scene.directory, file), 'utf8'), file);
  }
});

test('a server that repeats a password in its error', async () => {
  await scene.client.query(
    `CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'it is %', ${quote(TARGET_PASSWORD)}; END $$`,
  );
  await scene.client.query(
    'CREATE TRIGGER tell BEFORE INSERT ON "Rows" FOR EACH ROW EXECUTE FUNCTION tell()',
  );
  const truncating = secretConfig({ target_mode: 'truncate' });
  const report = join(scene.directory, 'failed.html');
  const done = await runCli([
    ...['-c', truncating, '--output-json', '--log-format', 'json', '--verbosity', 'debug'],
    ...['run', '--report', report],
  ]);
  assert.equal(done.code, 3, done.stderr);
  assert.match(done.stdout, /it is \*\*\*/);
  assert.match(done.stderr, /it is \*\*\*/);
  assertClean(done.stdout + done.stderr, 'a failed run');
  assertClean(readFileSync(report, 'utf8'), 'its report');
  const ledger = await scene.rows(
    `SELECT query_to_xml('SELECT * FROM mssql_pg_migrate.runs', true, true, '')::text
     || query_to_xml('SELECT * FROM mssql_pg_migrate.tables', true, true, '')::text`,
  );
  assert.match(ledger[0]![0]!, /it is \*\*\*/);
  assertClean(ledger[0]![0]!, 'the ledger');
  await scene.client.query('DROP FUNCTION tell() CASCADE');
  secretConfig();
});

test('log lines carry the run, the table and the partition', async () => {
  const done = await runCli(['-c', config, '--log-format', 'json', '--verbosity', 'debug', 'run', '--fresh']);
  assert.equal(done.code, 0, done.stderr);
  const lines = done.stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const started = lines.findIndex(({ message }) => /^run .*: 1 tables$/.test(String(message)));
  assert.ok(started >= 0);
  const ids = new Set(lines.slice(started).map(({ run_id }) => run_id));
  assert.equal(ids.size, 1);
  assert.match(String([...ids][0]), /^[0-9a-f-]{36}$/);
  const finished = lines.find(({ message }) => String(message).startsWith('dbo.Rows: 2 rows'));
  assert.equal(finished?.table, 'dbo.Rows');
});

test('an exception that nobody caught, and a worker that dies', async () => {
  // The first connection comes after the configuration was read.
  const crash = (where: string) =>
    `data:text/javascript,${encodeURIComponent(
      `import { Socket } from 'node:net';
       import { isMainThread } from 'node:worker_threads';
       const { connect } = Socket.prototype;
       Socket.prototype.connect = function (...args) {
         if (${where}) setImmediate(() => { throw new Error('it is ' + process.env.TOLD); });
         return connect.apply(this, args);
       };`,
    )}`;
  for (const where of ['isMainThread', '!isMainThread']) {
    const done = await runCli(['-c', config, '--output-json', '--verbosity', 'debug', 'run', '--fresh'], {
      process: true,
      env: { NODE_OPTIONS: `--import=${crash(where)}`, TOLD: TARGET_PASSWORD },
    });
    assert.equal(done.code, 3, done.stdout + done.stderr);
    assert.match(done.stdout, /"code":"(?:INTERNAL|WORKER_DIED)"/);
    assert.match(done.stderr, /it is \*\*\*/);
    assertClean(done.stdout + done.stderr, where);
  }
});

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
