/**
 * Logins beyond name and password, and TLS beyond the usual: what goes over the wire of each.
 *
 * Runs on the main thread of the test process. No Windows domain and no Entra tenant is at hand: what is looked at is
 * what the server is sent.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { readConfig } from '../src/config/load.js';
import { AppError, toErrorData } from '../src/errors.js';
import { connectSource, type SourceOptions } from '../src/source/connection.js';
import { connectTarget, type TargetOptions } from '../src/target/connection.js';
import { type Certificates, makeCertificates } from './support/certificates.js';
import { startPostgres, type TestPostgres } from './support/postgres.js';
import { startScriptedSource } from './support/scriptedSource.js';

const folder = mkdtempSync(join(tmpdir(), 'mpm-login-'));
let certificates: Certificates;
let source: Awaited<ReturnType<typeof startScriptedSource>>;
let postgres: TestPostgres;
const servers: Server[] = [];

before(async () => {
  certificates = await makeCertificates(folder);
  [source, postgres] = await Promise.all([
    startScriptedSource({ rowsOf: () => ({ first: 1, last: 0 }) }),
    startPostgres({ ssl: true }),
  ]);
});
after(async () => {
  for (const server of servers) server.close();
  await Promise.allSettled([source.server.close(), postgres.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

async function listening(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** TDS 8.0's way: TLS first, with its own ALPN name; what is inside goes to `inside`. */
function strictFront(inside: (socket: Socket) => void): Promise<number> {
  const tls = {
    cert: readFileSync(certificates.certFile),
    key: readFileSync(certificates.keyFile),
    ca: readFileSync(certificates.caFile),
    ALPNProtocols: ['tds/8.0'],
    requestCert: true,
    rejectUnauthorized: false,
  };
  return listening(
    createTlsServer(tls, (socket) => {
      socket.on('error', () => {});
      assert.equal(socket.alpnProtocol, 'tds/8.0');
      shownCertificates.push(socket.getPeerCertificate().subject?.CN as string | undefined);
      inside(socket);
    }),
  );
}
const shownCertificates: (string | undefined)[] = [];

function toStandIn(socket: Socket): void {
  const upstream = connect(source.server.port, '127.0.0.1');
  upstream.on('error', () => socket.destroy());
  socket.pipe(upstream).pipe(socket);
}

function options(changes: Partial<SourceOptions>): SourceOptions {
  return { ...source.options, connect_timeout_seconds: 5, trust_server_cert: false, ...changes };
}

async function failure(connecting: Promise<{ close(): Promise<void> }>): Promise<AppError> {
  const error = await connecting.then(
    () => assert.fail('connected'),
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof AppError, String(error));
  return error;
}

test('encrypt: strict is TLS before anything else, with the certificate checked and one shown', async () => {
  const port = await strictFront(toStandIn);
  const strict = { port, encrypt: 'strict', ca_file: certificates.caFile } as const;
  const connection = await connectSource(
    options({
      ...strict,
      client_cert_file: certificates.clientCertFile,
      client_key_file: certificates.clientKeyFile,
    }),
  );
  await connection.close();
  assert.deepEqual(shownCertificates, ['postgres']);
  const untrusted = await failure(connectSource(options({ port, encrypt: 'strict' })));
  assert.equal(untrusted.code, 'SOURCE_TLS', untrusted.message);
  const unreadable = await failure(
    connectSource(options({ ...strict, client_cert_file: join(folder, 'none'), client_key_file: 'none' })),
  );
  assert.equal(unreadable.code, 'IO');
  assert.match(unreadable.message, /source\.client_cert_file .*none can't be read/);
});

/**
 * Answers PRELOGIN and takes what comes then, until it has seen `until`.
 * [MS-TDS] PRELOGIN: VERSION, ENCRYPTION (not supported: TLS is outside), FEDAUTHREQUIRED.
 */
function takesLogin(until: Buffer): { inside: (socket: Socket) => void; login: Promise<Buffer> } {
  let seen: (login: Buffer) => void;
  const login = new Promise<Buffer>((resolve) => {
    seen = resolve;
  });
  const table = [0, 0, 16, 0, 6, 1, 0, 22, 0, 1, 6, 0, 23, 0, 1, 0xff, 16, 0, 0, 0, 0, 0, 2, 1];
  const answer = Buffer.from([4, 1, 0, 8 + table.length, 0, 0, 1, 0, ...table]);
  const inside = (socket: Socket): void => {
    socket.on('error', () => {});
    let received: Buffer = Buffer.alloc(0);
    let answered = false;
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (!answered) {
        answered = true;
        received = Buffer.alloc(0);
        socket.write(answer);
      } else if (received.includes(until)) {
        seen(received);
        socket.destroy();
      }
    });
  };
  return { inside, login };
}

test('ntlm sends a Windows login, and neither name nor password in the clear', async () => {
  const { inside, login } = takesLogin(Buffer.from('NTLMSSP\0\u0001'));
  const port = await listening(createServer(inside));
  const error = await failure(
    connectSource(
      options({
        port,
        encrypt: false,
        authentication: 'ntlm',
        user: 'ann',
        password: 'secret',
        domain: 'CORP',
      }),
    ),
  );
  assert.match(error.code, /^SOURCE_/);
  const sent = await login;
  assert.ok(!sent.includes(Buffer.from('secret', 'utf16le')));
  assert.ok(sent.includes('CORP'));
});

test('entra_token sends the token inside of TLS', async () => {
  const token = 'eyJ0.fake.token';
  const { inside, login } = takesLogin(Buffer.from(token, 'utf16le'));
  const port = await strictFront(inside);
  const error = await failure(
    connectSource(
      options({
        ...{ port, encrypt: 'strict', ca_file: certificates.caFile },
        ...{ authentication: 'entra_token', user: '', password: token },
      }),
    ),
  );
  assert.doesNotMatch(`${error.message} ${error.remedy}`, /fake/);
  assert.ok((await login).length > 0);
});

test('entra_service_principal: an identity service that is not reached is named as that', async () => {
  const port = await strictFront((socket) => takesLogin(Buffer.from('never')).inside(socket));
  const error = await failure(
    connectSource(
      options({
        ...{ port, encrypt: 'strict', ca_file: certificates.caFile },
        ...{ authentication: 'entra_service_principal', user: '', password: 'secret' },
        ...{ client_id: '00000000-0000-0000-0000-000000000001', tenant_id: 'not a tenant' },
      }),
    ),
  );
  assert.doesNotMatch(`${error.message} ${error.remedy}`, /secret/);
  assert.match(error.code, /^SOURCE_/);
});

test('the target takes a client certificate in place of a password', async (t) => {
  const dataDir = postgres.dataDir;
  if (dataDir === null) return t.skip('the server of TEST_PG_URL is not ours to configure');
  const hba = join(dataDir, 'pg_hba.conf');
  const client = await postgres.client();
  try {
    // The server trusts its own authority; the client's certificate is of ours.
    const authority = join(dataDir, 'clients.pem');
    writeFileSync(authority, readFileSync(certificates.caFile), { mode: 0o644 });
    await client.query(`ALTER SYSTEM SET ssl_ca_file = 'clients.pem'`);
    const rules = readFileSync(hba, 'utf8');
    writeFileSync(hba, `hostssl template1 postgres all cert\n${rules}`);
    await client.query('SELECT pg_reload_conf()');
    const login: TargetOptions = {
      ...postgres.connection,
      ...{ database: 'template1', password: '' },
      ...{ ssl_mode: 'require', connect_timeout_seconds: 10, lock_timeout_seconds: 5 },
    };
    const files = { ssl_cert_file: certificates.clientCertFile, ssl_key_file: certificates.clientKeyFile };
    let connected = await connectTarget({ ...login, ...files }).catch(toErrorData);
    // The signal to read the files again takes a moment.
    for (let i = 0; i < 50 && !('close' in connected); i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      connected = await connectTarget({ ...login, ...files }).catch(toErrorData);
    }
    if (!('close' in connected)) assert.fail(connected.message);
    await connected.close();
    const without = await failure(connectTarget(login));
    assert.equal(without.code, 'TARGET_LOGIN_FAILED', without.message);
    const noPassword = await failure(connectTarget({ ...login, database: 'postgres' }));
    assert.equal(noPassword.code, 'TARGET_LOGIN_FAILED', noPassword.message);
  } finally {
    await client.end();
  }
});

test('a configuration says which keys its login needs', () => {
  const read = (source: string, target = 'user: u, password: p'): string => {
    try {
      readConfig(`source: { host: h, database: d, ${source} }\ntarget: { host: h, database: d, ${target} }`);
      return '';
    } catch (error) {
      return toErrorData(error).message;
    }
  };
  assert.equal(read('user: u, password: p'), '');
  assert.match(read('user: u'), /source\.password.* is missing; give the login's password/);
  assert.match(read('authentication: ntlm, user: u, password: p'), /source\.domain.* is missing/);
  assert.equal(read('authentication: entra_default'), '');
  assert.equal(read('authentication: entra_managed_identity, client_id: x'), '');
  assert.match(read('authentication: entra_default, password: p'), /source\.password.*has no effect with/);
  assert.match(read('authentication: entra_token, password: p, encrypt: false'), /in the clear/);
  assert.match(read('user: u, password: p, domain: d'), /source\.domain.*has no effect/);
  assert.match(
    read('user: u, password: p, encrypt: strict, trust_server_cert: true'),
    /strict always checks/,
  );
  assert.match(read('user: u, password: p, client_cert_file: c'), /client_key_file.* is missing/);
  assert.match(read('user: u, password: p', 'user: u'), /target\.password.* is missing/);
  assert.equal(read('user: u, password: p', 'user: u, ssl_cert_file: c, ssl_key_file: k'), '');
});
