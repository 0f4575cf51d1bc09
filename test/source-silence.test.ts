/**
 * A source that stops answering, before its answer or in the middle of it, is hung up on; one that goes on, if slowly, is
 * not. Test process, main thread, real sockets.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, mock, test } from 'node:test';
import { connectSource, type SourceConnection } from '../src/source/connection.js';
import { readPackedRows } from '../src/source/packedRows.js';
import { readRows } from '../src/source/rows.js';
import { Answer } from '../src/source/silence.js';
import type { EngineEvent } from './sqlserver/contract.js';
import { type SqlServer, startSqlServer } from './sqlserver/server.js';
import { COPY_HEADER, copyTuple, FakeEngine, PASSWORD } from './sqlserver/tds/fake-engine.js';
import { makeCertificates } from './support/certificates.js';

describe('how long an answer is waited for', () => {
  before(() => mock.timers.enable({ apis: ['setInterval'] }));
  after(() => mock.timers.reset());

  const STALL_MS = 1000;
  /** Lets this many stall times go by. */
  const stalls = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      mock.timers.tick(STALL_MS);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  function listening(rows: number) {
    const line = { stallMs: STALL_MS, bytes: 70, hungUp: false };
    const { stallMs } = line;
    const answer = new Answer(
      {
        stallMs,
        bytesRead: () => line.bytes,
        hangUp: () => {
          line.hungUp = true;
        },
      },
      rows,
    );
    return { line, answer };
  }

  test('four times the stall timeout before it, once in the middle of it', async () => {
    const { line, answer } = listening(10);
    void answer.wait(new Promise(() => {}));
    await stalls(3);
    assert.equal(line.hungUp, false);
    line.bytes += 9;
    for (let i = 0; i < 20; i++, line.bytes++) await stalls(1);
    assert.equal(line.hungUp, false);
    await stalls(2);
    assert.equal(line.hungUp, true);
    assert.equal(answer.error(new Error('closed')).code, 'SOURCE_CONNECTION_LOST');
  });

  test('as long again for every ten million rows it is made of', async () => {
    const { line, answer } = listening(20_000_001);
    void answer.wait(new Promise(() => {}));
    await stalls(11);
    assert.equal(line.hungUp, false);
    await stalls(1);
    assert.equal(line.hungUp, true);
    assert.match(
      answer.error(new Error('closed')).message,
      /1 s in the middle .* or 12 times as long before/,
    );
  });

  test('time in which nobody waits does not count', async () => {
    const { line, answer } = listening(10);
    for (let i = 0; i < 5; i++) {
      let come: () => void = () => {};
      const waiting = answer.wait(
        new Promise<void>((resolve) => {
          come = resolve;
        }),
      );
      await stalls(3);
      come();
      await waiting;
      await stalls(20);
    }
    assert.equal(line.hungUp, false);
  });

  test('nor does time in which nothing is wanted', async () => {
    const { line, answer } = listening(10);
    let wanted = true;
    void answer.wait(new Promise(() => {}), () => wanted);
    line.bytes += 9;
    for (let i = 0; i < 20; i++, wanted = !wanted) {
      mock.timers.tick(0.7 * STALL_MS);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(line.hungUp, false);
    await stalls(1);
    assert.equal(line.hungUp, true);
  });
});

describe('over a socket', () => {
  const engine = new FakeEngine();
  const folder = mkdtempSync(join(tmpdir(), 'mpm-silence-'));
  let server: SqlServer;
  let caFile: string;

  /** Some packets of rows, and then nothing more. */
  const broken = (type: string, length: number, value: string | Buffer) => {
    const columns = [{ name: 'p', type: { name: type, length }, nullable: false }];
    const bytes = Buffer.concat(Array.from({ length: 2000 }, () => copyTuple(columns, [value])));
    return async function* (_parameters: unknown, signal: AbortSignal): AsyncGenerator<EngineEvent> {
      yield { kind: 'columns', columns };
      yield { kind: 'copy', bytes: COPY_HEADER };
      yield { kind: 'copy', bytes };
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    };
  };

  before(async () => {
    const certificates = await makeCertificates(folder);
    const [cert, key] = [certificates.certFile, certificates.keyFile].map((file) =>
      readFileSync(file, 'utf8'),
    );
    server = await startSqlServer({ engine, encryption: 'on', cert: cert!, key: key! });
    caFile = certificates.caFile;
    engine.answer('SELECT nothing', async function* (_parameters, signal): AsyncGenerator<EngineEvent> {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      yield { kind: 'done' };
    });
    engine.answer('SELECT texts', broken('nvarchar', 20, 'some text'));
    engine.answer('SELECT packed', broken('binary', 16, Buffer.alloc(16, 7)));
  });
  after(async () => {
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const connect = (encrypt: boolean | 'strict') =>
    connectSource({
      host: 'localhost',
      port: server.port,
      database: 'shop',
      user: 'sa',
      password: PASSWORD,
      encrypt,
      trust_server_cert: false,
      ca_file: caFile,
      authentication: 'sql',
      isolation: 'read_committed',
      connect_timeout_seconds: 10,
      request_timeout_seconds: 0,
      stall_timeout_seconds: 0.1,
      packet_size_bytes: 4096,
    });

  async function rowsOf(source: SourceConnection, sql: string, scanned: number): Promise<number> {
    let rows = 0;
    for await (const batch of readRows(source, sql, [], scanned)) rows += batch.length;
    return rows;
  }

  // Of so many rows the first answer would be waited for beyond the end of this test.
  const MANY = 1e15;
  for (const encrypt of [false, true, 'strict'] as const) {
    test(`encrypt ${encrypt}`, { timeout: 60_000 }, async () => {
      const asks: ((source: SourceConnection) => Promise<unknown>)[] = [
        (source) => source.query('SELECT nothing'),
        (source) => source.query('SELECT texts', [], MANY),
        (source) => rowsOf(source, 'SELECT nothing', 0),
        (source) => rowsOf(source, 'SELECT texts', MANY),
        (source) => readPackedRows(source, 'SELECT nothing', [], 16, 0),
        (source) => readPackedRows(source, 'SELECT packed', [], 16, MANY),
      ];
      const errors = asks.map(async (ask) => {
        const source = await connect(encrypt);
        await assert.rejects(ask(source), {
          code: 'SOURCE_CONNECTION_LOST',
          message: /sent nothing for more than 0\.1 s/,
          remedy: /stall_timeout_seconds/,
        });
        assert.equal(source.isOpen, false);
        await source.close();
      });
      await Promise.all(errors);
    });
  }
});
