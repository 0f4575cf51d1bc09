/** The seam with tedious: that its private half still exists, and that a bulk read over it does what it says. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Connection } from 'tedious';
import { AppError } from '../src/errors.js';
import { connectSource, type SourceConnection, type SourceOptions } from '../src/source/connection.js';
import { bulkRead, type ResponseSink } from '../src/tds/bulkRead.js';
import { isPacketStream } from '../src/tds/responseReader.js';
import type { ServerMessageToken } from '../src/tds/tokenReader.js';
import { readToken } from '../src/tds/tokenReader.js';
import { SqlError } from './sqlserver/contract.js';
import { type SqlServer, startSqlServer } from './sqlserver/server.js';
import { FakeEngine, PASSWORD, result } from './sqlserver/tds/fake-engine.js';

describe('cloud logins', () => {
  it('are loaded when one is asked for, and not before', () => {
    // In a process of its own: here tedious may be loaded already.
    const script = `
      import { createRequire } from 'node:module';
      await import(process.argv[1]);
      const require = createRequire(createRequire(process.argv[1]).resolve('tedious'));
      const loaded = () => Object.keys(require.cache).filter((file) => file.includes('msal-node')).length > 0;
      const before = loaded();
      const { ClientSecretCredential } = require('@azure/identity');
      const credential = new ClientSecretCredential('tenant', 'client', 'secret');
      console.log(JSON.stringify([before, typeof credential.getToken, loaded()]));`;
    const driver = fileURLToPath(new URL('../src/tds/driver.js', import.meta.url));
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', script, driver]);
    assert.deepEqual(JSON.parse(printed.toString()), [false, 'function', true]);
  });
});

describe('the seam', () => {
  it('is a method of every tedious connection, and gives a parser that can be paused', () => {
    const create = Reflect.get(Connection.prototype, 'createTokenStreamParser') as unknown;
    assert.equal(typeof create, 'function');
    async function* nothing(): AsyncGenerator<Buffer> {}
    const parser = (create as (message: unknown, handler: unknown) => unknown).call(
      { debug: {}, config: { options: {} } },
      nothing(),
      {},
    );
    assert.ok(parser instanceof EventEmitter);
    const Packets = createRequire(import.meta.url)('tedious/lib/incoming-message-stream') as new (
      debug: object,
    ) => unknown;
    assert.ok(isPacketStream(new Packets({})));
    for (const method of ['pause', 'resume']) assert.equal(typeof Reflect.get(parser, method), 'function');
  });

  it('missing, is an INTERNAL error that says which tedious is needed', () => {
    const sink: ResponseSink = { push: () => undefined, end: () => {}, onMessage: null };
    assert.throws(
      () => bulkRead({} as Connection, 'SELECT 1', [], sink),
      (error) => error instanceof AppError && error.code === 'INTERNAL' && /19\.2/.test(error.message),
    );
  });
});

describe('a bulk read from the stand-in', () => {
  const engine = new FakeEngine();
  const rows = Array.from({ length: 40_000 }, (_, i) => [String(i), i % 7 === 0 ? null : `row ${i}`]);
  let server: SqlServer;
  let source: SourceConnection;

  before(async () => {
    const columns = [
      { name: 'id', type: { name: 'int' }, nullable: false },
      { name: 'text', type: { name: 'nvarchar', length: 50 }, nullable: true },
    ];
    engine.answer('SELECT rows', result(columns, rows));
    engine.answer('SELECT short', result(columns, rows.slice(0, 2)));
    engine.answer('SELECT error', () => {
      throw new SqlError(8134, 'Divide by zero error encountered.');
    });
    server = await startSqlServer({ engine, encryption: 'off' });
  });
  after(async () => {
    await source?.close();
    await server?.close();
  });

  async function connect(changes: Partial<SourceOptions> = {}): Promise<SourceConnection> {
    await source?.close();
    source = await connectSource({
      host: '127.0.0.1',
      port: server.port,
      database: 'shop',
      user: 'sa',
      password: PASSWORD,
      encrypt: false,
      trust_server_cert: false,
      ca_file: null,
      authentication: 'sql',
      isolation: 'read_committed',
      connect_timeout_seconds: 5,
      request_timeout_seconds: 0,
      packet_size_bytes: 4096,
      ...changes,
    });
    return source;
  }

  /** Keeps the response's bytes; waits a while after every `slowEvery`th piece. */
  class Collector implements ResponseSink {
    onMessage: ((token: ServerMessageToken) => void) | null = null;
    readonly pieces: Buffer[] = [];
    waiting = false;
    ended = false;
    constructor(readonly slowEvery = Number.POSITIVE_INFINITY) {}

    push(chunk: Buffer): Promise<void> | undefined {
      assert.equal(this.waiting, false, 'a piece came while the one before was waited for');
      this.pieces.push(Buffer.from(chunk));
      const token = this.pieces.length === 1 ? readToken(chunk, 0, chunk.length) : null;
      if (token?.kind === 'error') this.onMessage?.(token);
      if (this.pieces.length % this.slowEvery !== 0) return undefined;
      this.waiting = true;
      return new Promise((resolve) => {
        setTimeout(() => {
          this.waiting = false;
          resolve();
        }, 2);
      });
    }

    end(): void {
      this.ended = true;
    }
  }

  it('brings the same bytes to a quick sink and to a slow one, and leaves the connection in order', async () => {
    const { connection } = await connect();
    const quick = new Collector();
    await bulkRead(connection, 'SELECT rows', [{ name: 'k', value: 'Zoë' }], quick);
    assert.equal(quick.ended, true);
    assert.ok(quick.pieces.length > 5);
    assert.equal(engine.received.at(-1)?.find(({ name }) => name.endsWith('k'))?.text, 'Zoë');
    const slow = new Collector(2);
    await bulkRead(connection, 'SELECT rows', [], slow);
    assert.ok(Buffer.concat(slow.pieces).equals(Buffer.concat(quick.pieces)));
    const bytes = Buffer.concat(quick.pieces);
    assert.equal(readToken(bytes, 0, bytes.length)?.kind, 'columns');
    // tedious's own parser is back for the next request.
    assert.deepEqual(await source.query('SELECT short'), [
      { id: 0, text: null },
      { id: 1, text: 'row 1' },
    ]);
  });

  it('brings the same bytes through TLS', async () => {
    const secure = await startSqlServer({ engine, encryption: 'on' });
    try {
      const { connection } = await connect();
      const plain = new Collector();
      await bulkRead(connection, 'SELECT rows', [], plain);
      const encrypted = new Collector(3);
      const { connection: over } = await connect({
        port: secure.port,
        encrypt: true,
        trust_server_cert: true,
      });
      await bulkRead(over, 'SELECT rows', [], encrypted);
      assert.ok(Buffer.concat(encrypted.pieces).equals(Buffer.concat(plain.pieces)));
      assert.equal((await source.query('SELECT short')).length, 2);
    } finally {
      await source.close();
      await secure.close();
    }
  });

  it('ends with the server’s error, and the connection is still good', async () => {
    const { connection } = await connect();
    await assert.rejects(bulkRead(connection, 'SELECT error', [], new Collector()), /Divide by zero/);
    const next = new Collector();
    await bulkRead(connection, 'SELECT short', [], next);
    assert.equal(next.ended, true);
  });

  it('ends with what the sink threw, at once or later, and closes the connection', async () => {
    for (const later of [false, true]) {
      const { connection } = await connect();
      const closed = new Promise((resolve) => connection.once('end', resolve));
      const failing = new Collector();
      failing.push = () => {
        const error = new AppError('VALUE_UNREPRESENTABLE', 'no such value');
        if (!later) throw error;
        return Promise.reject(error);
      };
      await assert.rejects(bulkRead(connection, 'SELECT rows', [], failing), /no such value/);
      await closed;
    }
  });
});
