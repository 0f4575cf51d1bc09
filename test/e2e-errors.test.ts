/**
 * What goes wrong before and at the edge of a run: exit code, error code, and words that name the thing and the
 * remedy, for people and in the JSON; and never a password, however much is logged.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { ResultError, RunResult } from '../src/observe/result.js';
import { runCli } from './support/cli.js';
import { type ConfigChanges, oneLineOfJson, type Scene, startScene, tableError } from './support/endToEnd.js';
import { freePort } from './support/postgres.js';
import { runTsql, startSqlServer } from './support/sqlserver.js';

const suffix = randomBytes(4).toString('hex');
const login = `reader_${suffix}`;
/** Fits SQL Server's password policy. */
const loginPassword = `Reader-${randomBytes(9).toString('base64url')}-1a`;
const role = `mpm_e2e_${suffix}`;
const rolePassword = `role-${randomBytes(9).toString('base64url')}`;
const wrongPassword = `wrong-${randomBytes(9).toString('base64url')}`;

let scene: Scene;
let secrets: string[];

before(async () => {
  scene = await startScene(
    'errors',
    `CREATE TABLE dbo.open_one (id int NOT NULL PRIMARY KEY);
GO
CREATE TABLE dbo.closed_one (id int NOT NULL PRIMARY KEY);
GO
INSERT INTO dbo.open_one (id) VALUES (1), (2);
INSERT INTO dbo.closed_one (id) VALUES (1);`,
    { source: { tls: true } },
  );
  const { source, client } = scene;
  await runTsql(
    { ...source, database: 'master' },
    `CREATE LOGIN [${login}] WITH PASSWORD = '${loginPassword}'`,
  );
  await scene.tsql(`CREATE USER [${login}] FOR LOGIN [${login}];
GRANT SELECT ON dbo.open_one TO [${login}];
GRANT VIEW DEFINITION ON dbo.closed_one TO [${login}];`);
  await client.query(`CREATE ROLE ${role} LOGIN PASSWORD '${rolePassword}'`);
  await client.query(`CREATE SCHEMA locked_up; GRANT USAGE ON SCHEMA locked_up TO ${role};
    CREATE TABLE locked_up.open_one (id integer PRIMARY KEY); GRANT SELECT ON locked_up.open_one TO ${role};
    CREATE SCHEMA his AUTHORIZATION ${role}`);
  secrets = [source.password, scene.target.connection.password, loginPassword, rolePassword, wrongPassword];
});

after(async () => {
  await scene?.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`).catch(() => {});
  if (scene) {
    await scene.tsql(`DROP USER [${login}]`).catch(() => {});
    await runTsql({ ...scene.source, database: 'master' }, `DROP LOGIN [${login}]`).catch(() => {});
  }
  await scene?.stop();
});

interface Expectation {
  exit: number;
  code: string;
  /** What the message must name. */
  says: RegExp;
  remedy: RegExp;
}

/** Runs with everything logged; checks code, words and silence about passwords. @returns the JSON result. */
async function fails(
  changes: ConfigChanges,
  expected: Expectation,
  args: string[] = [],
  config = scene.config(changes),
): Promise<RunResult> {
  const env = { SCENE_UNSET: undefined };
  const done = await runCli(
    ['-c', config, '--verbosity', 'debug', '--output-json', 'run', '--fresh', ...args],
    { env },
  );
  const result = oneLineOfJson(done.stdout) as RunResult;
  const error = result.error as ResultError;
  const shown = `${done.stdout}\n${done.stderr}`;
  assert.deepEqual(
    [done.code, error?.code, error?.exit_code],
    [expected.exit, expected.code, expected.exit],
    shown,
  );
  assert.equal(result.status, 'failed');
  assert.match(error.message, expected.says);
  assert.match(error.remedy ?? '', expected.remedy);
  // The same for people, on stderr: code, message, remedy.
  assert.match(done.stderr, expected.says);
  assert.match(done.stderr, new RegExp(`\\[${expected.code}\\]`));
  assert.match(done.stderr, /What to do: /);
  silentAboutPasswords(shown);
  return result;
}

function silentAboutPasswords(output: string): void {
  for (const secret of secrets) {
    if (secret.length >= 5) assert.ok(!output.includes(secret), 'a password was printed');
  }
}

test('wrong password on either side', async () => {
  const { user, port } = scene.source;
  const refused = await fails(
    { source: { password: wrongPassword } },
    {
      exit: 2,
      code: 'SOURCE_LOGIN_FAILED',
      says: new RegExp(`:${port} refused login ${user}`),
      remedy: /source\.password/,
    },
  );
  assert.equal(refused.error?.recoverable, false);
  assert.equal(refused.error?.server_code, '18456');
  await fails(
    { target: { user: role, password: wrongPassword } },
    {
      exit: 2,
      code: 'TARGET_LOGIN_FAILED',
      says: new RegExp(`refused role ${role}`),
      remedy: /target\.password/,
    },
  );
});

test('hosts that are not there', async () => {
  const port = await freePort();
  const result = await fails(
    { source: { port }, migration: { max_retries: 0 } },
    {
      exit: 2,
      code: 'SOURCE_UNREACHABLE',
      says: new RegExp(`:${port} can't be reached`),
      remedy: /source\.host and source\.port/,
    },
  );
  assert.equal(result.error?.recoverable, true);
  await fails(
    { target: { host: 'no-such-host.invalid' } },
    {
      exit: 2,
      code: 'TARGET_UNREACHABLE',
      says: /no-such-host\.invalid:\d+ can't be reached/,
      remedy: /target\.host/,
    },
  );
});

test('databases that are not there', async () => {
  await fails(
    { source: { database: 'no_such_database' } },
    {
      exit: 2,
      code: 'SOURCE_DATABASE_UNKNOWN',
      says: /database no_such_database/,
      remedy: /source\.database/,
    },
  );
  await fails(
    { target: { database: 'no_such_database' } },
    {
      exit: 2,
      code: 'TARGET_DATABASE_UNKNOWN',
      says: /no database no_such_database/,
      remedy: /target\.database/,
    },
  );
});

test('a login that may not read one table: the others arrive, and it is named', async () => {
  const changes = { source: { user: login, password: loginPassword } };
  const result = await fails(changes, {
    exit: 3,
    code: 'TABLES_FAILED',
    says: /1 of 2 tables failed.*closed_one/s,
    remedy: /Grant the source login SELECT/,
  });
  const error = tableError(result, 'dbo.closed_one');
  assert.deepEqual(
    [error.code, error.table, error.server_code],
    ['SOURCE_PERMISSION', 'dbo.closed_one', '229'],
  );
  assert.match(error.message, /SELECT permission was denied on the object 'closed_one'/);
  assert.deepEqual(result.failed_tables, ['dbo.closed_one']);
  assert.match(result.notes.join('\n'), /may see a part of the source only.*GRANT VIEW DEFINITION/);
  assert.deepEqual(await scene.rows('SELECT id FROM public.open_one ORDER BY id'), [['1'], ['2']]);

  const text = await runCli(['-c', scene.config(changes), 'run', '--fresh']);
  assert.equal(text.code, 3);
  assert.match(text.stdout, /dbo\.closed_one +public\.closed_one +failed/);
  assert.match(
    text.stdout,
    /dbo\.closed_one failed: .*SELECT permission.*\[SOURCE_PERMISSION\]\n +What to do: Grant/,
  );
  silentAboutPasswords(text.stdout + text.stderr);
});

test('a row that no page of the target holds fails its table, which says what to do', async () => {
  const names = Array.from({ length: 1020 }, (_, i) => `c${i}`);
  await scene.tsql('CREATE SCHEMA wide');
  await scene.tsql(`CREATE TABLE wide.one (id int NOT NULL PRIMARY KEY, ${names.join(' smalldatetime NULL, ')} smalldatetime NULL);
INSERT INTO wide.one (id) VALUES (1);
INSERT INTO wide.one (id, ${names.join(', ')}) VALUES (2${", '2024-01-02'".repeat(names.length)});`);
  const result = await fails(
    { source: { schema: 'wide' }, target: { schema: 'wide' } },
    {
      exit: 3,
      code: 'TABLES_FAILED',
      says: /wide\.one/,
      remedy: /a row has to fit a page.*exclude the table/,
    },
  );
  const error = tableError(result, 'wide.one');
  assert.deepEqual([error.code, error.server_code], ['VALUE_TOO_LARGE', '54000']);
  assert.match(error.message, /^wide\.one, a row of its first chunk: .*size 8192, maximum size 8160/);
  const scanned = await runCli(['-c', scene.config({ source: { schema: 'wide' } }), 'plan', '--scan']);
  assert.match(scanned.stdout, /wide\.one: wide row, 1 row, such as key 2\n/);
  assert.match(result.tables[0]?.notes.join('\n') ?? '', /may have 8320 bytes in PostgreSQL.*where 8160 fit/);
});

test('target roles that may not create, may not write, or only read', async () => {
  const as = (schema: string) => ({ user: role, password: rolePassword, schema });
  await fails(
    { target: as('locked_up') },
    {
      exit: 3,
      code: 'TARGET_PERMISSION',
      says: /The ledger of runs can't be used: .*permission denied for schema mssql_pg_migrate/,
      remedy: /GRANT USAGE ON SCHEMA mssql_pg_migrate/,
    },
  );
  const plan = await runCli(['-c', scene.config({ target: as('locked_up') }), 'plan']);
  assert.equal(plan.code, 1);
  assert.equal(plan.stdout.match(/The ledger of runs can't be used/g)?.length, 1, plan.stdout);
  await scene.client.query(`GRANT USAGE ON SCHEMA mssql_pg_migrate TO ${role};
    GRANT ALL ON ALL TABLES IN SCHEMA mssql_pg_migrate TO ${role}`);
  await fails(
    { target: as('locked_up') },
    {
      exit: 3,
      code: 'TARGET_PERMISSION',
      says: new RegExp(`${role} may not create tables in target schema locked_up`),
      remedy: /GRANT USAGE, CREATE ON SCHEMA/,
    },
  );
  await fails(
    { target: as('not_there') },
    {
      exit: 3,
      code: 'TARGET_PERMISSION',
      says: new RegExp(`schema not_there does not exist, and role ${role}`),
      remedy: /Create the schema, or GRANT CREATE ON DATABASE/,
    },
  );
  await fails(
    { target: as('locked_up'), migration: { target_mode: 'truncate', include_tables: ['open_one'] } },
    {
      exit: 3,
      code: 'TARGET_PERMISSION',
      says: /lacks TRUNCATE, INSERT on locked_up\.open_one/,
      remedy: /GRANT TRUNCATE, INSERT ON/,
    },
  );
  await scene.client.query(`ALTER ROLE ${role} SET default_transaction_read_only = on`);
  await fails(
    { target: as('his') },
    {
      exit: 3,
      code: 'TARGET_PERMISSION',
      says: /can't be written to/,
      remedy: /default_transaction_read_only/,
    },
  );
});

test('TLS asked for and refused by the target', async (t) => {
  if ((await scene.rows('SHOW ssl'))[0]?.[0] === 'on') return t.skip('the target offers TLS');
  await fails(
    { target: { ssl_mode: 'require' } },
    { exit: 2, code: 'TARGET_TLS', says: /ssl_mode require/, remedy: /target\.ssl_mode/ },
  );
});

test("the source's certificate: not trusted, trusted by its CA, by choice", async (t) => {
  const { caFile, isStandIn } = scene.server;
  if (!isStandIn) return t.skip('the certificate of a server from outside is not known');
  await fails(
    { source: { encrypt: true, trust_server_cert: false } },
    {
      exit: 2,
      code: 'SOURCE_TLS',
      says: /No trusted TLS connection to SQL Server at .*certificate/s,
      remedy: /source\.ca_file.*source\.trust_server_cert: true/,
    },
  );
  const trusting = [
    { encrypt: true, trust_server_cert: true },
    { encrypt: true, trust_server_cert: false, ca_file: caFile, host: 'localhost' },
  ];
  for (const source of trusting) {
    const done = await scene.migrate({ source }, ['--dry-run']);
    assert.equal(done.code, 0, done.stderr);
  }
  // Node warns of an address as the name of a server: nothing that may stand between lines of JSON.
  const address = { encrypt: true, trust_server_cert: false, ca_file: caFile, host: '127.0.0.1' };
  const tables = { include_tables: ['open_one'] };
  const json = await scene.migrate({ source: address, migration: tables }, ['--log-format', 'json'], {
    process: true,
  });
  assert.equal(json.code, 0, json.stderr);
  for (const line of json.stderr.trim().split('\n')) assert.match(line, /^\{.*\}$/);
});

test('a source that offers no encryption, and one that demands it', async (t) => {
  if (!scene.server.isStandIn) return t.skip('needs servers set up so');
  for (const [encryption, encrypt, says, remedy] of [
    ['off', true, /offers no encryption/, /source\.encrypt: false/],
    ['required', false, /demands encryption/, /source\.encrypt: true/],
  ] as const) {
    const server = await startSqlServer({ encryption, tls: encryption === 'required' });
    try {
      const { host, port, password } = server.connection;
      secrets.push(password);
      const source = { host, port, password, database: 'master', encrypt };
      await fails({ source }, { exit: 2, code: 'SOURCE_TLS', says, remedy });
    } finally {
      await server.stop();
    }
  }
});

test('a variable that is not set', async () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the configuration's own syntax
  const reference = '${SCENE_UNSET}';
  await fails(
    { source: { password: reference } },
    { exit: 1, code: 'CONFIG_VARIABLE_UNSET', says: /SCENE_UNSET/, remedy: /./ },
  );
});

test('passwords from the environment, and a schema without tables', async () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the configuration's own syntax
  const reference = '${SCENE_PASSWORD}';
  const config = scene.config({ source: { password: reference, schema: 'nowhere' } });
  const done = await runCli(['-c', config, '--verbosity', 'debug', 'run'], {
    env: { SCENE_PASSWORD: scene.source.password },
  });
  assert.equal(done.code, 1, done.stderr);
  assert.match(done.stderr, /nowhere.*\[TABLE_NOT_FOUND\]/s);
  silentAboutPasswords(done.stdout + done.stderr);
});

test('health-check with everything wrong: both sides named, no password said', async () => {
  const config = scene.config({
    source: { password: wrongPassword },
    target: { user: role, password: wrongPassword },
  });
  for (const json of [[], ['--output-json']]) {
    const done = await runCli(['-c', config, '--verbosity', 'debug', ...json, 'health-check']);
    assert.equal(done.code, 2, done.stderr);
    assert.match(done.stdout, /refused login/);
    assert.match(done.stdout, new RegExp(`refused role ${role}`));
    silentAboutPasswords(done.stdout + done.stderr);
  }
});
