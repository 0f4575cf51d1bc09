/**
 * Bulk reads through TLS from the stand-in, as the product makes them: the same bytes as without, cancelled, broken off, and
 * the connection in order behind them. Test process, main thread, real sockets.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect as connectTcp, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline, Transform } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { AppError } from '../src/errors.js';
import { connectSource, type SourceConnection } from '../src/source/connection.js';
import { bulkRead, type ResponseSink } from '../src/tds/bulkRead.js';
import { InputWindow } from '../src/tds/window.js';
import { type SqlServer, startSqlServer } from './sqlserver/server.js';
import {
  COPY_HEADER,
  COPY_TRAILER,
  copyTuple,
  FakeEngine,
  PASSWORD,
  result,
} from './sqlserver/tds/fake-engine.js';
import { type Certificates, makeCertificates } from './support/certificates.js';
import { Records } from './support/records.js';

describe('a bulk read through TLS', () => {
  const engine = new FakeEngine();
  const folder = mkdtempSync(join(tmpdir(), 'mpm-tls-'));
  let certificates: Certificates;
  const servers: SqlServer[] = [];
  const ways: Server[] = [];
  let source: SourceConnection | null = null;

  before(async () => {
    certificates = await makeCertificates(folder);
    const columns = [
      { name: 'id', type: { name: 'int' }, nullable: false },
      { name: 'text', type: { name: 'nvarchar', length: 50 }, nullable: true },
    ];
    const rows = Array.from({ length: 60_000 }, (_, i) => [String(i), i % 7 === 0 ? null : `row ${i}`]);
    engine.answer('SELECT rows', result(columns, rows));
    engine.answer('SELECT endless', async function* (_parameters, signal) {
      yield { kind: 'columns', columns };
      yield { kind: 'copy', bytes: COPY_HEADER };
      const bytes = Buffer.concat(rows.slice(0, 5000).map((row) => copyTuple(columns, row)));
      while (!signal.aborted) yield { kind: 'copy', bytes };
      yield { kind: 'copy', bytes: COPY_TRAILER };
      yield { kind: 'done', rowCount: 0 };
    });
    engine.answer('SELECT short', result(columns, rows.slice(0, 2)));
  });
  after(async () => {
    await source?.close();
    await Promise.all(servers.map((standIn) => standIn.close()));
    for (const way of ways) way.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function connect(
    encrypt: boolean | 'strict',
    through: (port: number) => Promise<number> = async (port) => port,
  ): Promise<{ source: SourceConnection; server: SqlServer }> {
    await source?.close();
    const [cert, key] = [certificates.certFile, certificates.keyFile].map((file) =>
      readFileSync(file, 'utf8'),
    );
    const standIn = await startSqlServer({
      engine,
      encryption: encrypt === false ? 'off' : 'on',
      cert: cert!,
      key: key!,
    });
    servers.push(standIn);
    source = await connectSource({
      host: 'localhost',
      port: await through(standIn.port),
      database: 'shop',
      user: 'sa',
      password: PASSWORD,
      encrypt,
      trust_server_cert: false,
      ca_file: certificates.caFile,
      authentication: 'sql',
      isolation: 'read_committed',
      connect_timeout_seconds: 10,
      request_timeout_seconds: 0,
      packet_size_bytes: 32_767,
    });
    return { source, server: standIn };
  }

  /** @returns the port of a way to the server on which one bit changes, once a megabyte has passed */
  async function altering(to: number): Promise<number> {
    const way = createServer((socket) => {
      const server = connectTcp(to, 'localhost');
      let passed = 0;
      const alter = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          if (passed < 1_000_000 && passed + chunk.length >= 1_000_000) chunk[chunk.length - 1]! ^= 1;
          passed += chunk.length;
          done(null, chunk);
        },
      });
      pipeline(server, alter, socket, () => {});
      pipeline(socket, server, () => {});
    });
    await new Promise<void>((resolve) => way.listen(0, 'localhost', resolve));
    ways.push(way);
    return (way.address() as AddressInfo).port;
  }

  /** Takes the answer as the pump does, and calls `then` when bytes have come for the `after`th time. */
  function sinkOf(records: Records, after = 0, then: () => void = () => {}): ResponseSink {
    let calls = 0;
    const act = (): void => {
      calls++;
      if (calls === after) then();
    };
    return {
      push: (chunk) => {
        act();
        return records.push(chunk);
      },
      window: records.window,
      work: () => {
        act();
        return records.work();
      },
      end: () => {},
      onMessage: null,
    };
  }

  const records = (waits: number): Records => new Records(new InputWindow(100_000), 700, waits);

  for (const encrypt of [true, 'strict'] as const) {
    test(`encrypt: ${encrypt} brings what comes without, and leaves the connection in order`, async () => {
      const plain = records(3);
      await bulkRead((await connect(false)).source.connection, 'SELECT rows', [], sinkOf(plain));
      const { connection, query } = await connect(encrypt).then(({ source: over }) => ({
        connection: over.connection,
        query: (sql: string) => over.query(sql),
      }));
      // Full from the first byte on, and now and then.
      for (const waits of [1, 5]) {
        const taken = records(waits);
        await bulkRead(connection, 'SELECT rows', [], sinkOf(taken));
        assert.ok(taken.all().equals(plain.all()));
        assert.equal((await query('SELECT short')).length, 2);
      }
    });

    test(`encrypt: ${encrypt} is cancelled in the middle, and the connection is still good`, async () => {
      const { source: over } = await connect(encrypt);
      const sink = sinkOf(records(4), 10, () => over.connection.cancel());
      await assert.rejects(bulkRead(over.connection, 'SELECT endless', [], sink), { code: 'ECANCEL' });
      assert.equal((await over.query('SELECT short')).length, 2);
    });

    test(`encrypt: ${encrypt} ends with what broke it: a lost server, a sink that throws`, async () => {
      const { source: over, server: standIn } = await connect(encrypt);
      const lost = sinkOf(records(1), 10, () => {
        servers.splice(servers.indexOf(standIn), 1);
        void standIn.close();
      });
      await assert.rejects(
        bulkRead(over.connection, 'SELECT endless', [], lost),
        /hang up|ECONNRESET|EPIPE|closed/,
      );
      const { source: again } = await connect(encrypt);
      const closed = once(again.connection, 'end');
      const throwing = sinkOf(records(4), 10, () => {
        throw new AppError('VALUE_UNREPRESENTABLE', 'no such value');
      });
      await assert.rejects(bulkRead(again.connection, 'SELECT endless', [], throwing), /no such value/);
      await closed;
    });

    test(`encrypt: ${encrypt} refuses what was altered on its way`, async () => {
      const { source: over } = await connect(encrypt, altering);
      const taken = records(4);
      await assert.rejects(
        bulkRead(over.connection, 'SELECT endless', [], sinkOf(taken)),
        /bad record mac|decrypt|cipher operation failed/,
      );
      assert.ok(taken.taken.length > 100);
      assert.equal(over.isOpen, false);
    });
  }
});
