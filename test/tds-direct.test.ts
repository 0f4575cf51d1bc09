/**
 * Responses read from a socket straight into the window: every byte once and in order, whatever packets, pieces, window
 * and waits, and tedious reads on behind it. Test process, main thread, real sockets.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../src/errors.js';
import { type PacketStream, readResponse } from '../src/tds/responseReader.js';
import { SocketInput } from '../src/tds/socketInput.js';
import { InputWindow } from '../src/tds/window.js';
import { bytesOf, packetsOf, textOf } from './support/packets.js';
import { Records } from './support/records.js';

const IncomingMessageStream = createRequire(import.meta.url)('tedious/lib/incoming-message-stream') as new (
  debug: object,
) => PacketStream & AsyncIterable<PassThrough>;

/** Sends what it is told to every client, some of it when the reading has begun. */
let send: (socket: Socket) => void = () => {};
const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  send(socket);
});
let port = 0;
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
after(() => server.close());

async function receive(
  wire: readonly Buffer[],
  records: Records,
  { pause = false, held = 0 }: { pause?: boolean; held?: number },
): Promise<{ next: Buffer; direct: boolean }> {
  let begin: () => void = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  send = (socket) => {
    void (async () => {
      for (const [i, piece] of wire.entries()) {
        if (i > 0 && i === held) await begun;
        if (!socket.write(piece)) await new Promise((resolve) => socket.once('drain', resolve));
        else if (pause) await new Promise(setImmediate);
      }
      socket.end();
    })();
  };
  const input = new SocketInput({ host: '127.0.0.1', port, noDelay: true });
  let direct = false;
  const divert = input.divert.bind(input);
  input.divert = (taker) => {
    direct = true;
    divert(taker);
  };
  const stream = new IncomingMessageStream({ packet() {}, data() {} });
  input.socket.pipe(stream);
  const messages = stream[Symbol.asyncIterator]();
  try {
    const { value: message } = (await messages.next()) as { value: PassThrough };
    const { window, work } = records;
    const reading = readResponse(message, stream, (piece) => records.push(piece), { input, window, work });
    setImmediate(begin);
    await reading;
    const { value: next } = (await messages.next()) as { value: PassThrough };
    return { next: await textOf(next), direct };
  } finally {
    input.socket.destroy();
  }
}

test('every byte comes once, in order, and the next message is whole', async () => {
  let direct = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        contents: fc.integer({ min: 1, max: 400_000 }),
        packetBytes: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.constantFrom(504, 4088, 32_759)),
        pieces: fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 8 }),
        windowBytes: fc.constantFrom(64, 5000, 100_000),
        recordBytes: fc.constantFrom(1, 63, 1700),
        waits: fc.integer({ min: 1, max: 5 }),
        pause: fc.boolean(),
        empty: fc.boolean(),
        held: fc.integer({ min: 1, max: 4 }),
      }),
      async ({ contents, packetBytes, pieces, windowBytes, recordBytes, waits, pause, held, empty }) => {
        // Many tiny packets of a large message prove nothing more.
        const first = bytesOf(packetBytes < 51 || recordBytes < 60 ? contents % 5000 || 1 : contents, 1);
        const second = bytesOf(100, 2);
        const packets = packetsOf(first, packetBytes, empty);
        const wire = Buffer.concat([packets, packetsOf(second, 4088)]);
        const cut: Buffer[] = [];
        for (let at = 0, i = 0; at < wire.length; i++) {
          // A message begins for tedious when its first packet is whole.
          const bytes = Math.max(
            pieces[i % pieces.length]!,
            i === 0 ? Math.min(packetBytes + 8, packets.length) : 0,
          );
          cut.push(wire.subarray(at, at + bytes));
          at += bytes;
        }
        const records = new Records(new InputWindow(windowBytes), recordBytes, waits);
        const result = await receive(cut, records, { pause, held });
        direct += result.direct ? 1 : 0;
        assert.ok(records.all().equals(first), 'bytes are missing, twice or changed');
        assert.ok(result.next.equals(second));
      },
    ),
    { numRuns: 80 },
  );
  assert.ok(direct > 3, `only ${direct} of 80 were read into the window`);
});

test('a packet shorter than its header is refused, however it is read', async () => {
  const wire = [
    packetsOf(bytesOf(90_000, 3), 30_000).subarray(0, 60_016),
    Buffer.from([4, 0, 0, 5, 0, 0, 1, 0]),
  ];
  const records = new Records(new InputWindow(200_000), 100, 1000);
  await assert.rejects(
    receive(wire, records, { held: 1 }),
    (error) => error instanceof AppError && error.code === 'PROTOCOL',
  );
});

test('what the sink throws ends the reading, and nothing more is put into the window', async () => {
  const contents = bytesOf(3_000_000, 4);
  const records = new Records(new InputWindow(100_000), 1000, 1_000_000);
  let fill = -1;
  const broken = Object.assign(records, {
    work: (): undefined => {
      records.calls++;
      records.window.position = records.window.fill;
      if (records.calls < 40) return undefined;
      fill = records.window.fill;
      throw new AppError('VALUE_UNREPRESENTABLE', 'no such value');
    },
  });
  await assert.rejects(receive([packetsOf(contents, 32_759)], broken, {}), /no such value/);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(records.window.fill, fill);
  assert.equal(records.calls, 40);
});
