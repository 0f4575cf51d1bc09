/** Connecting to PostgreSQL: every ssl_mode against real servers, logins that fail, and the session's settings. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AppError, type ErrorCode } from '../src/errors.js';
import { isSettled } from '../src/plan/retry.js';
import { connectTarget, type TargetOptions, targetError } from '../src/target/connection.js';
import { makeCertificates } from './support/certificates.js';
import { startFaultProxy } from './support/faultProxy.js';
import { freePort, sharedPostgres, startPostgres, type TestPostgres } from './support/postgres.js';

function optionsFor(server: TestPostgres, changes: Partial<TargetOptions> = {}): TargetOptions {
  return {
    ...server.connection,
    ssl_mode: 'disable',
    connect_timeout_seconds: 5,
    lock_timeout_seconds: 1,
    ...changes,
  };
}

async function connects(options: TargetOptions): Promise<boolean> {
  const target = await connectTarget(options);
  try {
    const [row] = await target.query<{ ssl: boolean }>(
      'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    assert.equal(row?.ssl, target.encrypted);
    return target.encrypted;
  } finally {
    await target.close();
  }
}

async function fails(options: TargetOptions, code: ErrorCode, message: RegExp): Promise<AppError> {
  const error = await connectTarget(options).then(
    () => assert.fail('connected'),
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof AppError);
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  assert.ok(error.remedy, 'a remedy');
  assert.ok(!JSON.stringify([error.message, error.remedy]).includes(options.password), 'no password');
  return error;
}

describe('ssl_mode against a server with TLS', () => {
  let server: TestPostgres;
  let ca: string;
  let wrongCa: string;
  let directory: string;

  before(async () => {
    // 127.0.0.2 is the same server by a name that its certificate does not have.
    server = await startPostgres({ ssl: true, flags: ['-c', 'listen_addresses=127.0.0.1,127.0.0.2'] });
    assert.ok(server.caFile);
    ca = server.caFile;
    directory = mkdtempSync(join(tmpdir(), 'mpm-target-'));
    wrongCa = (await makeCertificates(directory)).caFile;
  });
  after(async () => {
    await server?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const pass = (name: string, encrypted: boolean, changes: () => Partial<TargetOptions>) =>
    test(name, async () => assert.equal(await connects(optionsFor(server, changes())), encrypted));
  const refuse = (name: string, message: RegExp, changes: () => Partial<TargetOptions>) =>
    test(name, async () => {
      await fails(optionsFor(server, changes()), 'TARGET_TLS', message);
    });

  pass('disable stays in the clear', false, () => ({ ssl_mode: 'disable' }));
  pass('allow stays in the clear where the server lets it', false, () => ({ ssl_mode: 'allow' }));
  pass('prefer takes TLS', true, () => ({ ssl_mode: 'prefer' }));
  pass('require takes TLS, checking nothing', true, () => ({ ssl_mode: 'require', host: '127.0.0.2' }));
  pass('require checks the chain where there is a CA file', true, () => ({
    ssl_mode: 'require',
    ssl_ca_file: ca,
    host: '127.0.0.2',
  }));
  refuse('require refuses another CA', /certificate|self.signed/i, () => ({
    ssl_mode: 'require',
    ssl_ca_file: wrongCa,
  }));
  pass('prefer goes on in the clear where TLS fails', false, () => ({
    ssl_mode: 'prefer',
    ssl_ca_file: wrongCa,
  }));
  pass('verify-ca does not look at the host name', true, () => ({
    ssl_mode: 'verify-ca',
    ssl_ca_file: ca,
    host: '127.0.0.2',
  }));
  refuse('verify-ca refuses another CA', /certificate|self.signed/i, () => ({
    ssl_mode: 'verify-ca',
    ssl_ca_file: wrongCa,
  }));
  pass('verify-full takes the right IP address', true, () => ({ ssl_mode: 'verify-full', ssl_ca_file: ca }));
  pass('verify-full takes the right name', true, () => ({
    ssl_mode: 'verify-full',
    ssl_ca_file: ca,
    host: 'localhost',
  }));
  refuse('verify-full refuses a host that the certificate does not name', /127\.0\.0\.2/, () => ({
    ssl_mode: 'verify-full',
    ssl_ca_file: ca,
    host: '127.0.0.2',
  }));
  refuse('verify-full refuses another CA', /certificate|self.signed/i, () => ({
    ssl_mode: 'verify-full',
    ssl_ca_file: wrongCa,
  }));
  refuse('verify-full without a CA file trusts public authorities only', /certificate|self.signed/i, () => ({
    ssl_mode: 'verify-full',
  }));

  test('verify-ca without a CA file, and a CA file that is not there, are errors of the config and of IO', async () => {
    await fails(optionsFor(server, { ssl_mode: 'verify-ca' }), 'CONFIG_INVALID', /ssl_ca_file/);
    await fails(
      optionsFor(server, { ssl_mode: 'require', ssl_ca_file: join(directory, 'none.pem') }),
      'IO',
      /none\.pem/,
    );
  });

  test('allow and prefer try the other kind where pg_hba.conf refuses the first', async () => {
    assert.ok(server.dataDir);
    const { dataDir } = server;
    const keeper = await server.client();
    const only = async (type: string) => {
      writeFileSync(join(dataDir, 'pg_hba.conf'), `${type} all all all scram-sha-256\n`);
      await keeper.query('SELECT pg_reload_conf()');
    };
    try {
      await only('hostssl');
      await until(
        async () => (await connectTarget(optionsFor(server)).catch((error) => error)) instanceof AppError,
      );
      assert.equal(await connects(optionsFor(server, { ssl_mode: 'allow' })), true);
      await fails(optionsFor(server), 'TARGET_LOGIN_FAILED', /pg_hba\.conf|no encryption/);
      const wrong = { ssl_mode: 'prefer', password: 'wrong-secret' } as const;
      assert.equal(
        (await fails(optionsFor(server, wrong), 'TARGET_LOGIN_FAILED', /password/)).serverCode,
        '28P01',
      );
      await only('hostnossl');
      await until(
        async () => !(await connects(optionsFor(server, { ssl_mode: 'prefer' })).catch(() => true)),
      );
      await fails(optionsFor(server, { ssl_mode: 'require' }), 'TARGET_LOGIN_FAILED', /SSL/);
      await only('host');
    } finally {
      await keeper.end();
    }
  });
});

describe('a server without TLS', () => {
  let server: TestPostgres;
  before(async () => {
    server = await sharedPostgres();
  });
  after(() => server?.stop());

  test('prefer and allow connect in the clear, require does not', async () => {
    assert.equal(await connects(optionsFor(server, { ssl_mode: 'prefer' })), false);
    assert.equal(await connects(optionsFor(server, { ssl_mode: 'allow' })), false);
    await fails(optionsFor(server, { ssl_mode: 'require' }), 'TARGET_TLS', /does not support SSL/);
  });

  test('what keeps a connection from being made has its code', async () => {
    const wrong = await fails(
      optionsFor(server, { password: 'wrong-secret' }),
      'TARGET_LOGIN_FAILED',
      /refused role postgres/,
    );
    assert.equal(wrong.serverCode, '28P01');
    await fails(optionsFor(server, { database: 'no_such_db' }), 'TARGET_DATABASE_UNKNOWN', /no_such_db/);
    const port = await freePort();
    await fails(optionsFor(server, { port }), 'TARGET_UNREACHABLE', new RegExp(`127\\.0\\.0\\.1:${port}`));
    await fails(optionsFor(server, { host: 'no-such-host.invalid' }), 'TARGET_UNREACHABLE', /no-such-host/);
  });

  test('a server that never answers is given up after the connect timeout', async () => {
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    assert.ok(address !== null && typeof address === 'object');
    try {
      const options = optionsFor(server, { port: address.port, connect_timeout_seconds: 1 });
      for (const ssl_mode of ['disable', 'prefer'] as const) {
        assert.ok(isSettled(await fails({ ...options, ssl_mode }, 'TARGET_UNREACHABLE', /time/i)), ssl_mode);
      }
    } finally {
      silent.close();
    }
  });

  test('a server that falls silent behind the login is given up as well', async () => {
    const { host, port } = server.connection;
    const proxy = await startFaultProxy(host, port, ({ bytes }) =>
      bytes.includes('set_config') ? 'stall' : 'pass',
    );
    try {
      const options = optionsFor(server, { port: proxy.port, connect_timeout_seconds: 1 });
      assert.ok(isSettled(await fails(options, 'TARGET_UNREACHABLE', /no answer within 1 s/)));
    } finally {
      proxy.close();
    }
  });

  test('limits and defaults of the role don’t apply to the session; too many sessions are said to be that', async () => {
    const admin = await server.client();
    await admin.query(`CREATE ROLE limited LOGIN PASSWORD 'Secret-1' CONNECTION LIMIT 1;
      ALTER ROLE limited SET default_transaction_isolation = 'serializable';
      DO $$ DECLARE setting text; BEGIN
        FOR setting IN SELECT name FROM pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout') LOOP
          EXECUTE format('ALTER ROLE limited SET %I = %L', setting, '100ms');
        END LOOP;
      END $$`);
    const limited = optionsFor(server, { user: 'limited', password: 'Secret-1' });
    const target = await connectTarget(limited);
    try {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await target.query('BEGIN');
      const [row] = await target.query(`SELECT current_setting('transaction_isolation') AS isolation`);
      assert.deepEqual(row, { isolation: 'read committed' });
      await target.query('SELECT pg_sleep(0.2)');
      await target.query('COMMIT');
      const refused = await fails(limited, 'TARGET_UNREACHABLE', /no further connection of role limited/);
      assert.match(refused.remedy ?? '', /migration\.max_pg_connections/);
      assert.ok(!isSettled(refused));
    } finally {
      await target.close();
      await admin.query('DROP ROLE limited');
      await admin.end();
    }
  });

  test('the session is set up so that values print exactly', async () => {
    const target = await connectTarget(optionsFor(server));
    try {
      assert.ok(target.serverVersion >= 120_000);
      const [row] = await target.query(
        `SELECT current_setting('timezone') AS zone, current_setting('client_encoding') AS encoding,
          current_setting('datestyle') AS datestyle, current_setting('lock_timeout') AS lock,
          current_setting('statement_timeout') AS statement, current_setting('application_name') AS name,
          current_setting('client_connection_check_interval', true) AS checked, version() AS version`,
      );
      const { checked, version, ...settings } = row ?? {};
      if (/^PostgreSQL 1[4-9].*linux/.test(String(version))) assert.equal(checked, '5s');
      assert.deepEqual(settings, {
        zone: 'UTC',
        encoding: 'UTF8',
        datestyle: 'ISO, MDY',
        lock: '1s',
        statement: '0',
        name: 'mssql-pg-migrate',
      });
    } finally {
      await target.close();
    }
  });

  test('statements that fail have their code, SQLSTATE and the server’s own words', async () => {
    const target = await connectTarget(optionsFor(server));
    try {
      await target.query('CREATE TABLE one (id int PRIMARY KEY)');
      await target.query('INSERT INTO one VALUES (1)');
      const expected: [string, ErrorCode, string, RegExp][] = [
        ['INSERT INTO one VALUES (1)', 'TARGET_QUERY', '23505', /Key \(id\)=\(1\) already exists.*one_pkey/],
        ['SELECT * FROM missing', 'TARGET_QUERY', '42P01', /missing/],
        ['SET transaction_read_only = on; CREATE TABLE two ()', 'TARGET_PERMISSION', '25006', /read-only/],
        [
          `SET temp_file_limit = 0; SET work_mem = '64kB'; SELECT g FROM generate_series(1, 20000) AS g ORDER BY -g`,
          ...(['TARGET_QUERY', '53400', /configuration does not allow.*temp_file_limit/] as const),
        ],
        ['SET ROLE pg_monitor; INSERT INTO one VALUES (2)', 'TARGET_PERMISSION', '42501', /one/],
      ];
      for (const [sql, code, state, message] of expected) {
        const error = await target.query(sql).catch((caught: unknown) => caught);
        assert.ok(error instanceof AppError);
        assert.deepEqual([error.code, error.serverCode], [code, state], sql);
        assert.match(error.message, message);
        await target.query('RESET ROLE');
      }
    } finally {
      await target.close();
    }
  });

  test('of a run that stops a statement ends once its time is over, and the session is there for what follows', async () => {
    const run = new AbortController();
    const target = await connectTarget(optionsFor(server), { signal: run.signal, graceMs: 0 });
    try {
      const sleeping = target.query('SELECT pg_sleep(60)').catch((caught: unknown) => caught);
      run.abort(new AppError('CANCELLED', 'stopped by a test'));
      const error = await sleeping;
      assert.ok(error instanceof AppError);
      assert.deepEqual([error.code, error.message], ['CANCELLED', 'stopped by a test']);
      assert.deepEqual(await target.query('SELECT 1 AS one'), [{ one: 1 }]);
    } finally {
      await target.close();
    }
  });

  test('a session ended by the server is a lost connection', async () => {
    const target = await connectTarget(optionsFor(server));
    const admin = await server.client();
    try {
      const [row] = await target.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      const sleeping = target.query('SELECT pg_sleep(30)').catch((caught: unknown) => caught);
      await admin.query('SELECT pg_terminate_backend($1)', [row?.pid]);
      const error = await sleeping;
      assert.ok(error instanceof AppError);
      assert.equal(error.code, 'TARGET_CONNECTION_LOST');
      const next = await target.query('SELECT 1').catch((caught: unknown) => caught);
      assert.ok(next instanceof AppError);
      assert.equal(next.code, 'TARGET_CONNECTION_LOST', next.message);
      await target.close();

      const idle = await connectTarget(optionsFor(server));
      const [its] = await idle.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await admin.query('SELECT pg_terminate_backend($1)', [its?.pid]);
      await until(async () => !idle.isOpen);
      const told = await idle.query('SELECT 1').catch((caught: unknown) => caught);
      assert.ok(told instanceof AppError);
      assert.deepEqual([told.code, told.serverCode], ['TARGET_CONNECTION_LOST', '57P01'], told.message);
    } finally {
      await admin.end();
    }
  });
});

test('pg is loaded without Node’s fetch, and no navigator is left behind', () => {
  const driver = fileURLToPath(new URL('../src/target/driver.js', import.meta.url));
  const script = `const before = typeof navigator;
    await import(process.argv[1]);
    const fetches = process.moduleLoadList.filter((name) => name.includes('undici'));
    console.log(JSON.stringify([fetches, typeof navigator === before]));`;
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', script, driver]);
  assert.deepEqual(JSON.parse(printed.toString()), [[], true]);
});

test('the place is filled in where it was not known', () => {
  const named = targetError(new AppError('TARGET_QUERY', 'no', { column: 'a', serverCode: '42P01' }), {
    table: 'dbo.T',
    column: 'b',
  });
  assert.deepEqual(named.place, { table: 'dbo.T', column: 'a' });
  assert.equal(named.serverCode, '42P01');
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail('never came true');
}
