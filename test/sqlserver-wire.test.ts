/**
 * The stand-in SQL Server byte by byte: tokens against responses recorded off another TDS server, and what tedious
 * never sends (login-only TLS, ignored requests, attention out of turn). Runs in the test's process.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { Duplex, PassThrough } from 'node:stream';
import { after, describe, it } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import fc from 'fast-check';
import type { EngineEvent } from './sqlserver/contract.js';
import { result } from './sqlserver/tds/fake-engine.js';
import { type ClientMessage, PacketReader, PacketWriter } from './sqlserver/tds/packets.js';
import { Response } from './sqlserver/tds/response.js';
import { close, column, connect, engine, query, serve } from './sqlserver/tds/test-client.js';
import { writeDone, writeReturnStatus } from './sqlserver/tds/tokens.js';
import { DONE, PACKET, STATUS, TOKEN } from './sqlserver/tds/wire.js';

/** The recorded responses, kept beside the repository; see their README. */
const RECORDED = ['../../../shared/tds/', '../../shared/tds/']
  .map((path) => new URL(path, import.meta.url))
  .find((folder) => existsSync(folder));

const SECONDS_A_DAY = 86_400;
/** Days from 1900-01-01 to 2008-07-31. */
const FIRST_DAY = 39_658;

/** The recorded `votes` table, rows `from` to `to`. */
function votes(from: number, to: number): EngineEvent[] {
  const names = ['Id', 'PostId', 'UserId', 'BountyAmount', 'VoteTypeId'];
  const columns = [
    ...names.map((name) => column(name, { name: 'int' })),
    column('CreationDate', { name: 'datetime' }),
  ];
  const rows = Array.from({ length: to - from + 1 }, (_one, index) => {
    const n = from + index;
    const thirds = (FIRST_DAY * SECONDS_A_DAY + n * 61) * 300;
    return [
      String(n),
      String((n * 7) % 1000),
      n % 3 === 0 ? null : String((n * 13) % 997),
      n % 50 === 0 ? String(n) : null,
      String(n % 16),
      String(thirds),
    ];
  });
  return result(columns, rows, 1000);
}

async function* eventsOf(events: EngineEvent[]): AsyncGenerator<EngineEvent> {
  yield* events;
}

/** Cuts a recording into the bodies of its packets. */
function bodies(bytes: Buffer): Buffer[] {
  const list: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt16BE(at + 2)) {
    list.push(bytes.subarray(at + 8, at + bytes.readUInt16BE(at + 2)));
  }
  return list;
}

async function respond(packetSize: number, inProcedure: boolean, events: EngineEvent[]): Promise<Buffer> {
  const stream = new PassThrough({ highWaterMark: 1 << 24 });
  const out = new PacketWriter(stream, 0);
  out.packetSize = packetSize;
  const state = { database: 'x', transaction: 0n, nextDescriptor: () => 1n };
  const response = new Response(
    out,
    state,
    { nbcRow: true, unknownLength: false, chunkBytes: 8192 },
    inProcedure,
  );
  await response.run(eventsOf(events), new AbortController().signal);
  if (inProcedure) {
    response.flushPending(true);
    writeReturnStatus(out, 0);
    writeDone(out, TOKEN.doneProc, DONE.final, 0, 0xe0);
  } else response.finish();
  out.end();
  stream.end();
  return Buffer.concat((await stream.toArray()) as Buffer[]);
}

describe('recorded responses', {
  skip: RECORDED === undefined && 'no recorded responses (../shared/tds) beside this checkout',
}, () => {
  it('a SQL batch of 1581 rows is the same bytes in the same packets', async () => {
    const recorded = bodies(readFileSync(new URL('votes-4096.tds', RECORDED)));
    const made = bodies(await respond(4096, false, votes(1, 1581)));
    assert.equal(made.length, recorded.length);
    for (const [index, body] of recorded.entries()) assert.ok(made[index]!.equals(body), `packet ${index}`);
  });

  it('an RPC of 100 rows is the same bytes', async () => {
    const recorded = bodies(readFileSync(new URL('votes-rpc-8192.tds', RECORDED)));
    const made = bodies(await respond(8192, true, votes(101, 200)));
    assert.deepEqual(made, recorded);
  });
});

/** A client that puts its packets together itself. */
class RawClient {
  private socket: Socket | TLSSocket;
  private readonly plain: Socket;
  private readonly messages: ClientMessage[] = [];
  private readonly reader = new PacketReader((message) => this.messages.push(message));
  private readonly onData = (chunk: Buffer) => {
    this.reader.push(chunk);
    this.wake();
  };
  private wake: () => void = () => {};

  constructor(socket: Socket) {
    this.plain = socket;
    this.socket = socket;
    socket.on('data', this.onData);
  }

  send(type: number, payload: Buffer, status: number = STATUS.endOfMessage): void {
    const header = Buffer.from([type, status, 0, 0, 0, 0, 1, 0]);
    header.writeUInt16BE(8 + payload.length, 2);
    this.socket.write(Buffer.concat([header, payload]));
  }

  async receive(): Promise<Buffer> {
    while (this.messages.length === 0) await new Promise<void>((resolve) => (this.wake = resolve));
    return this.messages.shift()!.payload;
  }

  /** Shakes hands inside PRELOGIN packets, then sends over TLS; what is received stays in the clear. */
  async startLoginTls(): Promise<void> {
    const transport = new Duplex({
      read() {},
      write: (chunk: Buffer, _encoding, done) => {
        if (shaking) this.send(PACKET.prelogin, chunk);
        else this.plain.write(chunk);
        done();
      },
    });
    let shaking = true;
    const pump = async () => {
      while (shaking) transport.push(await this.receive());
    };
    void pump();
    const tls = connectTls({ socket: transport, rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
    await once(tls, 'secureConnect');
    shaking = false;
    // One more message would wake the pump; from now on this client takes messages itself.
    this.messages.length = 0;
    this.socket = tls;
  }

  async closed(): Promise<void> {
    if (!this.plain.destroyed) await once(this.plain, 'close');
  }

  stopTls(): void {
    this.socket = this.plain;
  }

  destroy(): void {
    this.plain.destroy();
  }
}

const raws: RawClient[] = [];
after(() => {
  for (const raw of raws) raw.destroy();
});

async function rawClient(port: number): Promise<RawClient> {
  const socket = createConnection(port, '127.0.0.1');
  await once(socket, 'connect');
  const raw = new RawClient(socket);
  raws.push(raw);
  return raw;
}

function prelogin(encryption: number): Buffer {
  return Buffer.from([0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 9, 0, 0, 0, 0, 0, encryption]);
}

function login7(password: string): Buffer {
  const scramble = (text: string) =>
    Buffer.from(text, 'utf16le').map((byte) => (((byte << 4) & 0xf0) | (byte >> 4)) ^ 0xa5);
  const user = Buffer.from('sa', 'utf16le');
  const secret = scramble(password);
  const head = Buffer.alloc(94);
  head.writeUInt32LE(94 + user.length + secret.length, 0);
  head.writeUInt32LE(0x74000004, 4);
  head.writeUInt32LE(4096, 8);
  head.writeUInt16LE(94, 40);
  head.writeUInt16LE(user.length / 2, 42);
  head.writeUInt16LE(94 + user.length, 44);
  head.writeUInt16LE(secret.length / 2, 46);
  return Buffer.concat([head, user, secret]);
}

function batch(sql: string, descriptor = 0n): Buffer {
  const headers = Buffer.alloc(22);
  headers.writeUInt32LE(22, 0);
  headers.writeUInt32LE(18, 4);
  headers.writeUInt16LE(2, 8);
  headers.writeBigUInt64LE(descriptor, 10);
  headers.writeUInt32LE(1, 18);
  return Buffer.concat([headers, Buffer.from(sql, 'utf16le')]);
}

/** Status of the DONE token a message ends with. */
function lastDone(payload: Buffer): number {
  assert.equal(payload[payload.length - 13], TOKEN.done);
  return payload.readUInt16LE(payload.length - 12);
}

async function loggedIn(): Promise<RawClient> {
  const server = await serve({ encryption: 'off' });
  const raw = await rawClient(server.port);
  raw.send(PACKET.prelogin, prelogin(2));
  await raw.receive();
  raw.send(PACKET.login7, login7('Right-1!'));
  assert.equal(lastDone(await raw.receive()), DONE.final);
  return raw;
}

describe('what tedious does not send', () => {
  engine.answer('RAW', result([column('a', { name: 'int' }, false)], [['305419896']]));

  it('encrypts only the login where the client asks for no more', async () => {
    const server = await serve({ encryption: 'on' });
    const raw = await rawClient(server.port);
    raw.send(PACKET.prelogin, prelogin(0));
    const answer = await raw.receive();
    assert.equal(answer[answer.readUInt16BE(6)], 0, 'ENCRYPT_OFF');
    await raw.startLoginTls();
    raw.send(PACKET.login7, login7('Right-1!'));
    raw.stopTls();
    const welcome = await raw.receive();
    assert.equal(lastDone(welcome), DONE.final);
    raw.send(PACKET.sqlBatch, batch('RAW'));
    const rows = await raw.receive();
    assert.ok(rows.includes(Buffer.from([TOKEN.row, 0x78, 0x56, 0x34, 0x12])));
  });

  it('answers an ignored request with a DONE that says so', async () => {
    const raw = await loggedIn();
    raw.send(PACKET.sqlBatch, batch('RAW'), 0);
    raw.send(PACKET.sqlBatch, Buffer.alloc(0), STATUS.endOfMessage | STATUS.ignore);
    const answer = await raw.receive();
    assert.equal(answer.length, 13);
    assert.equal(lastDone(answer), DONE.error);
  });

  it('acknowledges attention that comes too late, behind the response', async () => {
    const raw = await loggedIn();
    raw.send(PACKET.attention, Buffer.alloc(0));
    assert.equal(lastDone(await raw.receive()), DONE.attention);
    raw.send(PACKET.sqlBatch, batch('RAW'));
    raw.send(PACKET.attention, Buffer.alloc(0));
    await raw.receive();
    const acknowledgement = await raw.receive();
    assert.equal(acknowledgement.length, 13);
    assert.equal(lastDone(acknowledgement), DONE.attention);
    raw.send(PACKET.sqlBatch, batch('RAW'));
    assert.equal(lastDone(await raw.receive()) & DONE.count, DONE.count);
  });

  it('refuses a request with a transaction descriptor that is not its own', async () => {
    const raw = await loggedIn();
    raw.send(PACKET.sqlBatch, batch('RAW', 99n));
    const answer = await raw.receive();
    assert.equal(answer[0], TOKEN.error);
    assert.equal(answer.readInt32LE(3), 3989);
    assert.equal(lastDone(answer), DONE.error);
  });

  it('survives requests of random bytes, of every kind, and serves the next client', async () => {
    const kinds = fc.constantFrom(PACKET.sqlBatch, PACKET.rpc, PACKET.bulkLoad, PACKET.transactionManager);
    const server = await serve({ encryption: 'off' });
    await fc.assert(
      fc.asyncProperty(
        kinds,
        fc.uint8Array({ maxLength: 200 }),
        fc.boolean(),
        async (kind, noise, headed) => {
          const raw = await rawClient(server.port);
          raw.send(PACKET.prelogin, prelogin(2));
          await raw.receive();
          raw.send(PACKET.login7, login7('Right-1!'));
          await raw.receive();
          raw.send(kind, headed ? Buffer.concat([batch(''), noise]) : Buffer.from(noise));
          // Either an answer or a closed connection, never silence.
          await Promise.race([raw.receive(), raw.closed()]);
          raw.destroy();
        },
      ),
      { numRuns: 200 },
    );
    const connection = await connect(server);
    assert.equal((await query(connection, 'RAW')).rows.length, 1);
    await close(connection);
  });

  it('takes packets cut anywhere', async () => {
    const server = await serve({ encryption: 'off' });
    const socket = createConnection(server.port, '127.0.0.1');
    const raw = new RawClient(socket);
    raws.push(raw);
    socket.setNoDelay(true);
    const bytes = Buffer.concat([Buffer.from([PACKET.prelogin, 1, 0, 26, 0, 0, 1, 0]), prelogin(2)]);
    for (const byte of bytes) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal((await raw.receive())[0], 0);
  });

  it('speaks TDS 7.3 without NBCROW to a client of 7.3A, and refuses 7.2', async () => {
    engine.answer(
      'NULLS',
      result(
        [column('a', { name: 'int' }), column('b', { name: 'bit' })],
        [
          [null, 't'],
          ['1', null],
        ],
      ),
    );
    for (const tdsVersion of ['7_3_A', '7_3_B', '7_4']) {
      const connection = await connect(await serve(), { tdsVersion });
      assert.deepEqual((await query(connection, 'NULLS')).rows, [
        [null, true],
        [1, null],
      ]);
      await close(connection);
    }
    await assert.rejects(connect(await serve(), { tdsVersion: '7_2' }), /not supported/);
  });
});
