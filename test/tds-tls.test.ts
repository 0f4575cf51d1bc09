/**
 * Responses through TLS read straight into the window, over the pair of streams tedious sets up and over the socket
 * itself (`strict`): every byte once and in order, whatever packets, records and pieces of records, window and waits, and
 * tedious reads on behind it. Test process, main thread, real sockets.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { Duplex, type PassThrough } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls, createSecureContext, type SecureVersion, TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { type PacketStream, readResponse } from '../src/tds/responseReader.js';
import { SocketInput } from '../src/tds/socketInput.js';
import { TlsInput } from '../src/tds/tlsInput.js';
import { InputWindow } from '../src/tds/window.js';
import { selfSignedCertificate } from './sqlserver/tds/certificate.js';
import { bytesOf, packetsOf, textOf } from './support/packets.js';
import { Records } from './support/records.js';

const require = createRequire(import.meta.url);
const IncomingMessageStream = require('tedious/lib/incoming-message-stream') as new (
  debug: object,
) => PacketStream & AsyncIterable<PassThrough>;
const DuplexPair = createRequire(require.resolve('tedious'))('native-duplexpair') as new () => {
  socket1: Duplex;
  socket2: Duplex;
};

/** Resolves when more may be written, or the socket is gone. */
function written(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (socket.write(bytes, () => resolve())) resolve();
  });
}

/** Sends records in pieces of so many bytes, each in a turn of its own. */
class Cutter extends Duplex {
  #next = 0;
  constructor(
    readonly socket: Socket,
    readonly pieces: readonly number[],
  ) {
    super();
    socket.on('data', (chunk) => this.push(chunk));
    socket.on('end', () => this.push(null));
    socket.on('close', () => this.destroy());
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    void (async () => {
      for (let at = 0; at < chunk.length; ) {
        const bytes = this.pieces[this.#next++ % this.pieces.length]!;
        await written(this.socket, chunk.subarray(at, at + bytes));
        await new Promise(setImmediate);
        if (this.socket.destroyed) break;
        at += bytes;
      }
      done();
    })();
  }

  override _final(done: () => void): void {
    this.socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.socket.destroy();
    done(error);
  }
}

const secureContext = createSecureContext(selfSignedCertificate('localhost'));
let cuts: readonly number[] | null = null;
/** Sends what it is told to every client, some of it when the reading has begun. */
let send: (socket: TLSSocket) => void = () => {};
const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  const tls = new TLSSocket(cuts === null ? socket : (new Cutter(socket, cuts) as unknown as Socket), {
    isServer: true,
    secureContext,
  });
  tls.on('error', () => {});
  tls.once('secure', () => send(tls));
});
let port = 0;
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
after(() => server.close());

/** How the two come about: on a pair of streams as tedious makes it, or on the socket. */
interface Carried {
  contents: TLSSocket;
  input: TlsInput | null;
  /** Whether records went to OpenSSL past the streams. */
  fed(): boolean;
  close(): void;
}

async function carried(paired: boolean, maxVersion: SecureVersion): Promise<Carried> {
  const tls = { maxVersion, rejectUnauthorized: false, servername: 'localhost' };
  if (!paired) {
    const socket = connectTcp({ host: '127.0.0.1', port, noDelay: true });
    await once(socket, 'connect');
    const contents = connectTls({ socket, ...tls });
    await once(contents, 'secureConnect');
    const input = TlsInput.of(contents, null, null);
    return { contents, input, fed: () => false, close: () => contents.destroy() };
  }
  const plain = new SocketInput({ host: '127.0.0.1', port, noDelay: true });
  const pair = new DuplexPair();
  const contents = connectTls({ socket: pair.socket1 as Socket, ...tls });
  plain.socket.pipe(pair.socket2).pipe(plain.socket);
  await once(contents, 'secureConnect');
  const close = (): void => {
    plain.socket.destroy();
    contents.destroy();
  };
  let fed = false;
  const { _handle: handle } = contents as unknown as { _handle: { receive(bytes: Buffer): void } };
  const receive = handle.receive.bind(handle);
  handle.receive = (bytes) => {
    fed = true;
    receive(bytes);
  };
  return { contents, input: TlsInput.of(contents, plain, pair.socket2), fed: () => fed, close };
}

interface Case {
  paired: boolean;
  version: SecureVersion;
  wire: readonly Buffer[];
  /** Bytes of a record's pieces. */
  pieces?: readonly number[] | null;
  pause?: boolean;
  held?: number;
}

async function receive(
  records: Records,
  { paired, version, wire, pieces = null, pause = false, held = 0 }: Case,
): Promise<{ next: Buffer; direct: boolean; fed: boolean }> {
  let begin: () => void = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  cuts = pieces;
  send = (socket) => {
    void (async () => {
      for (const [i, piece] of wire.entries()) {
        if (i > 0 && i === held) await begun;
        await written(socket, piece);
        if (pause) await new Promise(setImmediate);
      }
      socket.end();
    })();
  };
  const { contents, input, fed, close } = await carried(paired, version);
  assert.ok(input !== null, `TLS of Node ${process.version} is not as expected`);
  const { window } = records;
  let direct = false;
  const work = (): Promise<void> | undefined => {
    direct = true;
    return records.work();
  };
  const stream = new IncomingMessageStream({ packet() {}, data() {} });
  contents.pipe(stream);
  const messages = stream[Symbol.asyncIterator]();
  try {
    const { value: message } = (await messages.next()) as { value: PassThrough };
    const reading = readResponse(message, stream, (piece) => records.push(piece), { input, window, work });
    setImmediate(begin);
    await reading;
    const { value: next } = (await messages.next()) as { value: PassThrough };
    return { next: await textOf(next), direct, fed: fed() };
  } finally {
    close();
  }
}

/** @returns the wire in pieces, the first one holding the first packet: a message begins for tedious when that is whole */
function cut(wire: Buffer, pieces: readonly number[], firstBytes: number): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0, i = 0; at < wire.length; i++) {
    const bytes = Math.max(pieces[i % pieces.length]!, i === 0 ? firstBytes : 0);
    parts.push(wire.subarray(at, at + bytes));
    at += bytes;
  }
  return parts;
}

describe('an answer through TLS', () => {
  test('comes once, in order, and the next message is whole', async () => {
    const sizes = fc.oneof(
      { weight: 1, arbitrary: fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }) },
      { weight: 4, arbitrary: fc.array(fc.constantFrom(3000, 16_384, 20_000, 40_000), { minLength: 1 }) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          paired: fc.boolean(),
          version: fc.constantFrom<SecureVersion>('TLSv1.2', 'TLSv1.3'),
          contents: fc.oneof(fc.integer({ min: 1, max: 30_000 }), fc.integer({ min: 200_000, max: 400_000 })),
          packetBytes: fc.constantFrom(7, 504, 4088, 16_375, 32_759),
          records: sizes,
          pieces: fc.option(sizes, { freq: 2 }),
          windowBytes: fc.constantFrom(64, 5000, 100_000),
          recordBytes: fc.constantFrom(1, 340, 1700, 5000),
          waits: fc.integer({ min: 1, max: 5 }),
          pause: fc.boolean(),
          held: fc.integer({ min: 1, max: 4 }),
        }),
        async ({ contents, packetBytes, records, windowBytes, recordBytes, waits, ...how }) => {
          // Many tiny packets or pieces of a large message prove nothing more.
          const few =
            packetBytes < 51 || recordBytes < 60 || Math.min(...records, ...(how.pieces ?? [])) < 51;
          const first = bytesOf(few ? contents % 5000 || 1 : contents, 1);
          const second = bytesOf(100, 2);
          const packets = packetsOf(first, packetBytes);
          const wire = Buffer.concat([packets, packetsOf(second, 4088)]);
          const taken = new Records(new InputWindow(windowBytes), recordBytes, waits);
          const parts = cut(wire, records, Math.min(packetBytes + 8, packets.length));
          const outcome = await receive(taken, { ...how, wire: parts });
          assert.ok(taken.all().equals(first), 'bytes are missing, twice or changed');
          assert.ok(outcome.next.equals(second));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('is read into the window, past the streams', async () => {
    const first = bytesOf(3_000_000, 1);
    const wire = Buffer.concat([packetsOf(first, 16_375), packetsOf(bytesOf(100, 2), 4088)]);
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      for (const paired of [true, false]) {
        const taken = new Records(new InputWindow(100_000), 1700, 7);
        const parts = cut(wire, [16_383], 16_383);
        const outcome = await receive(taken, { paired, version, wire: parts, held: 1 });
        assert.ok(taken.all().equals(first) && outcome.next.equals(bytesOf(100, 2)));
        assert.deepEqual([outcome.direct, outcome.fed], [true, paired]);
      }
    }
  });

  test('may be cut at every byte, of its contents and of its records', async () => {
    const first = bytesOf(900, 5);
    const second = bytesOf(40, 6);
    const packets = packetsOf(first, 100);
    const wire = Buffer.concat([packets, packetsOf(second, 4088)]);
    for (const paired of [true, false]) {
      for (let at = 108; at < packets.length; at += 37) {
        const taken = new Records(new InputWindow(5000), 30, 2);
        const parts = [wire.subarray(0, 108), wire.subarray(108, at), wire.subarray(at)];
        const outcome = await receive(taken, {
          paired,
          version: 'TLSv1.2',
          wire: parts,
          pause: true,
          held: 1,
        });
        assert.ok(taken.all().equals(first) && outcome.next.equals(second), `cut at ${at}`);
      }
      for (const bytes of [1, 2, 3]) {
        const taken = new Records(new InputWindow(5000), 30, 1);
        const parts = cut(wire, [bytes * 50], 108);
        const outcome = await receive(taken, { paired, version: 'TLSv1.3', wire: parts, pieces: [bytes] });
        assert.ok(taken.all().equals(first) && outcome.next.equals(second), `pieces of ${bytes}`);
      }
    }
  });

  test('takes the streams where Node is not as expected', async () => {
    const { contents, close } = await carried(false, 'TLSv1.3');
    try {
      const strange = new Proxy(contents, {
        ownKeys: (of) => Reflect.ownKeys(of).filter((key) => String(key) !== 'Symbol(kBufferGen)'),
        getPrototypeOf: () => TLSSocket.prototype,
      });
      assert.equal(TlsInput.of(strange, null, null), null);
      assert.equal(TlsInput.of(new Duplex(), null, null), null);
    } finally {
      close();
    }
  });
});
