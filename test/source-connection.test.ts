/** Connecting to SQL Server over real TDS: encryption, logins that fail, lost connections, and the names errors get. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { AppError, type ErrorCode } from '../src/errors.js';
import { isSettled } from '../src/plan/retry.js';
import { connectSource, type SourceOptions, sourceError } from '../src/source/connection.js';
import { encryptionOf, socketConnector } from '../src/source/socket.js';
import { type Engine, type EngineSession, SqlError } from './sqlserver/contract.js';
import { startSqlServer } from './sqlserver/server.js';
import { type Certificates, makeCertificates } from './support/certificates.js';
import { freePort } from './support/postgres.js';

/** Checks logins and answers a few statements with messages; the SQL itself is tested elsewhere. */
class MessageEngine implements Engine {
  readonly statements: string[] = [];

  async login(user: string, password: string, database: string): Promise<EngineSession> {
    if (database === 'busy') throw new SqlError(40613, "Database 'busy' is not currently available.");
    if (database === 'full') throw new SqlError(17809, 'The maximum number of connections is reached.');
    if (user !== 'sa' || password !== 'right') throw new SqlError(18456, `Login failed for user '${user}'.`);
    if (database !== 'shop') {
      throw new SqlError(
        4060,
        `Cannot open database "${database}" requested by the login. The login failed.`,
      );
    }
    const { statements } = this;
    return {
      database,
      async *execute(sql, parameters, signal) {
        statements.push(sql, ...parameters.map(({ name, type, text }) => `${name} ${type.name} ${text}`));
        const error = /SELECT error (\d+)/.exec(sql);
        if (error) throw new SqlError(Number(error[1]), 'said the server');
        if (sql.includes('WAIT')) await new Promise((resolve) => signal.addEventListener('abort', resolve));
        yield { kind: 'done' };
      },
      close: async () => {},
    };
  }

  async close(): Promise<void> {}
}

let engine: MessageEngine;
let certificates: Certificates;
let directory: string;
let tlsServer: Awaited<ReturnType<typeof startSqlServer>>;
let plainServer: Awaited<ReturnType<typeof startSqlServer>>;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mpm-source-'));
  certificates = await makeCertificates(directory);
  engine = new MessageEngine();
  const cert = readFileSync(certificates.certFile, 'utf8');
  const key = readFileSync(certificates.keyFile, 'utf8');
  tlsServer = await startSqlServer({ engine, encryption: 'required', cert, key });
  plainServer = await startSqlServer({ engine, encryption: 'off' });
});
after(async () => {
  await tlsServer?.close();
  await plainServer?.close();
  rmSync(directory, { recursive: true, force: true });
});

function optionsFor(changes: Partial<SourceOptions> = {}): SourceOptions {
  return {
    host: 'localhost',
    port: tlsServer.port,
    database: 'shop',
    user: 'sa',
    password: 'right',
    encrypt: true,
    trust_server_cert: false,
    ca_file: certificates.caFile,
    authentication: 'sql',
    isolation: 'read_committed',
    connect_timeout_seconds: 5,
    request_timeout_seconds: 0,
    packet_size_bytes: 32_767,
    ...changes,
  };
}

async function fails(changes: Partial<SourceOptions>, code: ErrorCode, message: RegExp): Promise<AppError> {
  const error = await connectSource(optionsFor(changes)).then(
    () => assert.fail('connected'),
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof AppError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  assert.ok(error.remedy, 'a remedy');
  assert.ok(!`${error.message} ${error.remedy}`.includes('secret'), 'no password');
  return error;
}

async function connects(changes: Partial<SourceOptions>): Promise<void> {
  const source = await connectSource(optionsFor(changes));
  await source.close();
}

/** A server that answers PRELOGIN with ENCRYPT_NOT_SUP and goes on listening must not be told the password. */
async function sendsNoPassword(): Promise<void> {
  const received: Buffer[] = [];
  const option = [1, 0, 6, 0, 1, 0xff, 2];
  const answer = Buffer.from([4, 1, 0, 8 + option.length, 0, 0, 1, 0, ...option]);
  const stripping = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.write(answer));
    socket.on('data', (chunk) => received.push(chunk));
  });
  await new Promise<void>((resolve) => stripping.listen(0, '127.0.0.1', resolve));
  const address = stripping.address();
  assert.ok(address !== null && typeof address === 'object');
  try {
    await fails({ port: address.port }, 'SOURCE_TLS', /no encryption/);
    await new Promise((resolve) => setTimeout(resolve, 50));
    // 0x12 is PRELOGIN, 0x10 would be LOGIN7.
    assert.deepEqual([...new Set(received.map((chunk) => chunk[0]))], [0x12]);
  } finally {
    stripping.close();
  }
}

describe('encryption', () => {
  test('a server that knows old TLS only is named as that, and not its certificate', async () => {
    const old = await startSqlServer({ engine, encryption: 'on', oldTls: true });
    const error = await fails({ port: old.port }, 'SOURCE_TLS', /no TLS in common: .*unsupported protocol/);
    assert.match(error.remedy ?? '', /TLS 1\.2/);
    await old.close();
  });

  test('a certificate of a known authority is taken, for the names in it', async () => {
    await connects({});
    await connects({ host: '127.0.0.1' });
  });

  test('an unknown authority is refused, unless the certificate is not to be checked', async () => {
    const error = await fails({ ca_file: null }, 'SOURCE_TLS', /certificate|self.signed/i);
    assert.match(error.remedy ?? '', /trust_server_cert/);
    await connects({ ca_file: null, trust_server_cert: true });
    await connects({ ca_file: null, trust_server_cert: true, host: '127.0.0.1' });
  });

  test('what one side demands and the other has not is refused', async () => {
    const error = await fails({ encrypt: false }, 'SOURCE_TLS', /demands encryption/);
    assert.match(error.remedy ?? '', /encrypt: true/);
    await fails({ port: plainServer.port }, 'SOURCE_TLS', /no encryption/);
    await sendsNoPassword();
    await connects({ port: plainServer.port, encrypt: false });
  });

  test('a request of several packets comes as records that hold one each', async () => {
    for (const encrypt of [true, 'strict'] as const) {
      const source = await connectSource(optionsFor({ encrypt, packet_size_bytes: 4096 }));
      assert.deepEqual(await source.query(`SELECT '${'x'.repeat(50_000)}'`), []);
      await source.close();
    }
  });

  test('a CA file that is not there is an error of IO', async () => {
    await fails({ ca_file: join(directory, 'none.pem') }, 'IO', /none\.pem/);
  });
});

describe('the socket', () => {
  test('goes where the server sends the client on to, and gives up when told', async () => {
    let plain = false;
    const connector = socketConnector({
      host: '127.0.0.1',
      port: 1,
      encrypted: true,
      requireEncryption: false,
      onPlain: () => {
        plain = true;
      },
      onSocket: () => {},
    });
    const socket = await connector({ host: '127.0.0.1', port: plainServer.port }, null, undefined);
    assert.equal(socket.remotePort, plainServer.port);
    socket.destroy();
    assert.equal(plain, false);
    await assert.rejects(connector(), { code: 'ECONNREFUSED' });
    const gone = new AbortController();
    const reason = new Error('too late');
    const connecting = connector({ host: '192.0.2.1', port: 1433 }, null, gone.signal);
    gone.abort(reason);
    await assert.rejects(connecting, reason);
  });

  test('the Encryption option is found wherever it stands in PRELOGIN', () => {
    const version = [0, 0, 11, 0, 2];
    const encryption = [1, 0, 13, 0, 1];
    const payload = (...parts: number[][]) => Buffer.from([...parts.flat(), 0xff, 15, 0, 3, 9]);
    assert.equal(encryptionOf(payload(version, encryption)), 3);
    assert.equal(encryptionOf(payload(encryption, version)), 3);
    assert.equal(encryptionOf(Buffer.from([0, 0, 6, 0, 2, 0xff, 15, 0])), -1);
    assert.equal(encryptionOf(Buffer.from([1, 0])), -1);
  });
});

describe('logins', () => {
  test('wrong password, unknown user', async () => {
    const error = await fails({ password: 'secret' }, 'SOURCE_LOGIN_FAILED', /refused login sa/);
    assert.equal(error.serverCode, '18456');
    await fails({ user: 'nobody' }, 'SOURCE_LOGIN_FAILED', /nobody/);
  });

  test('unknown database', async () => {
    const error = await fails({ database: 'missing' }, 'SOURCE_DATABASE_UNKNOWN', /missing/);
    assert.equal(error.serverCode, '4060');
  });

  test('a database that is not available for now may be tried again', async () => {
    assert.equal((await fails({ database: 'busy' }, 'SOURCE_TRANSIENT', /busy/)).serverCode, '40613');
  });

  test('a secondary that is there for readers takes those who say so, and the listener sends them there', async () => {
    const certificate = {
      cert: readFileSync(certificates.certFile, 'utf8'),
      key: readFileSync(certificates.keyFile, 'utf8'),
    };
    const there: string[] = [];
    const login = (user: string, password: string, database: string): Promise<EngineSession> => {
      there.push(user);
      return engine.login(user, password, database);
    };
    const secondary = await startSqlServer({
      engine: { login, close: async () => {} },
      encryption: 'required',
      readIntentOnly: true,
      ...certificate,
    });
    const readersAt = { host: 'localhost', port: secondary.port };
    const listener = await startSqlServer({ engine, encryption: 'required', readersAt, ...certificate });
    try {
      const { port } = secondary;
      const error = await fails(
        { port },
        'SOURCE_LOGIN_FAILED',
        /does not take this connection: .*read only/,
      );
      assert.deepEqual(
        [error.serverCode, error.remedy],
        ['978', 'Set source.application_intent: read_only.'],
      );
      const at = async (intent: SourceOptions['application_intent'], to: number): Promise<number> => {
        const source = await connectSource(optionsFor({ port: to, application_intent: intent }));
        await source.query('SELECT 1');
        await source.close();
        return there.length;
      };
      assert.equal(await at('read_only', port), 1);
      assert.equal(await at('read_write', listener.port), 1, 'the primary');
      assert.equal(await at('read_only', listener.port), 2, 'by way of the listener');
    } finally {
      await listener.close();
      await secondary.close();
    }
  });

  test('nobody listens, no such host, no answer', async () => {
    const port = await freePort();
    const at = new RegExp(`127\\.0\\.0\\.1:${port}`);
    assert.ok(!isSettled(await fails({ host: '127.0.0.1', port }, 'SOURCE_UNREACHABLE', at)));
    await fails({ host: 'no-such-host.invalid' }, 'SOURCE_UNREACHABLE', /no-such-host/);
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    assert.ok(address !== null && typeof address === 'object');
    try {
      const late = await fails(
        { port: address.port, connect_timeout_seconds: 1 },
        'SOURCE_UNREACHABLE',
        /1000ms/,
      );
      assert.ok(isSettled(late));
    } finally {
      silent.close();
    }
  });
});

describe('an open connection', () => {
  test('sets its isolation level and sends values as parameters', async () => {
    engine.statements.length = 0;
    const source = await connectSource(optionsFor({ isolation: 'read_uncommitted' }));
    assert.match(engine.statements.join('\n'), /isolation level read uncommitted/i);
    engine.statements.length = 0;
    await source.query('SELECT @a, @b, @c', [
      { name: 'a', value: "x' OR 1=1" },
      { name: 'b', value: 7 },
      { name: 'c', value: null },
    ]);
    assert.match(engine.statements[0] ?? '', /SELECT @a, @b, @c/);
    assert.deepEqual(
      engine.statements.slice(1).map((parameter) => parameter.replace(/^@/, '')),
      ["a nvarchar x' OR 1=1", 'b int 7', 'c nvarchar null'],
    );
    await source.close();
    await source.close();
  });

  test('errors have a code by their number', async () => {
    const source = await connectSource(optionsFor());
    const expected: [number, ErrorCode][] = [
      [229, 'SOURCE_PERMISSION'],
      [1205, 'SOURCE_TRANSIENT'],
      [1222, 'SOURCE_TRANSIENT'],
      [3960, 'SOURCE_TRANSIENT'],
      [601, 'SOURCE_TRANSIENT'],
      [208, 'SOURCE_QUERY'],
    ];
    for (const [number, code] of expected) {
      const error = await source.query(`SELECT error ${number}`).catch((caught: unknown) => caught);
      assert.ok(error instanceof AppError);
      assert.deepEqual([error.code, error.serverCode], [code, String(number)]);
      assert.match(error.message, /said the server/);
    }
    await source.close();
  });

  test('a statement over its time limit is transient, and the session goes on', async () => {
    const source = await connectSource(optionsFor({ request_timeout_seconds: 1 }));
    const error = await source.query('WAIT').catch((caught: unknown) => caught);
    assert.ok(error instanceof AppError);
    assert.equal(error.code, 'SOURCE_TRANSIENT', error.message);
    assert.deepEqual(await source.query('SELECT 1'), []);
    await source.close();
  });

  test('a server that goes away ends the statement and those after it', async () => {
    const server = await startSqlServer({ engine, encryption: 'off' });
    const source = await connectSource(optionsFor({ port: server.port, encrypt: false }));
    const running = source.query('WAIT').catch((caught: unknown) => caught);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await server.close();
    for (const error of [await running, await source.query('SELECT 1').catch((caught: unknown) => caught)]) {
      assert.ok(error instanceof AppError);
      assert.equal(error.code, 'SOURCE_CONNECTION_LOST', error.message);
    }
    await source.close();
  });
});

test('a session that the server ends is a passing trouble, damaged data is not', () => {
  const named = (number: number, severity: number) =>
    sourceError(Object.assign(new Error('said the server'), { number, class: severity })).code;
  assert.equal(named(596, 21), 'SOURCE_TRANSIENT');
  assert.equal(named(824, 24), 'SOURCE_QUERY');
  assert.equal(named(8134, 16), 'SOURCE_QUERY');
});

test('several errors of one statement: the first is the reason, and the place is filled in', () => {
  const first = Object.assign(new Error('denied on Orders'), { number: 229, code: 'EREQUEST' });
  const second = Object.assign(new Error('could not'), { number: 8180, code: 'EREQUEST' });
  const named = sourceError(new AggregateError([first, second]), { table: 'dbo.Orders' });
  assert.deepEqual(
    [named.code, named.serverCode, named.place.table],
    ['SOURCE_PERMISSION', '229', 'dbo.Orders'],
  );
});
