/** The packets of a response, however they arrive: every byte once and in order, and tedious reads on behind it. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import type { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../src/errors.js';
import { isPacketStream, type PacketStream, readResponse } from '../src/tds/responseReader.js';
import { bytesOf, packetsOf, textOf } from './support/packets.js';

const require = createRequire(import.meta.url);
const IncomingMessageStream = require('tedious/lib/incoming-message-stream') as new (
  debug: object,
) => PacketStream & AsyncIterable<PassThrough>;
const silent = { packet() {}, data() {} };

test('every byte comes once, in order, whatever the chunks, and the next message is whole', async () => {
  const size = fc.integer({ min: 1, max: 200_000 });
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        contents: size,
        packetBytes: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.constantFrom(4088, 32_759)),
        chunks: fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 8 }),
        waits: fc.integer({ min: 1, max: 5 }),
        pause: fc.boolean(),
        empty: fc.boolean(),
      }),
      async ({ contents, packetBytes, chunks, waits, pause, empty }) => {
        // Many tiny packets of a large message prove nothing more.
        const first = bytesOf(packetBytes < 51 ? contents % 3000 || 1 : contents, 1);
        const second = bytesOf(100, 2);
        const wire = Buffer.concat([packetsOf(first, packetBytes, empty), packetsOf(second, packetBytes)]);
        const stream = new IncomingMessageStream(silent);
        assert.ok(isPacketStream(stream));
        const messages = stream[Symbol.asyncIterator]();
        const writing = (async () => {
          for (let at = 0, i = 0; at < wire.length; i++) {
            const bytes = chunks[i % chunks.length]!;
            const going = stream.write(wire.subarray(at, at + bytes));
            at += bytes;
            if (!going) await new Promise((resolve) => stream.once('drain', resolve));
            else if (pause) await new Promise(setImmediate);
          }
          stream.end();
        })();
        const { value: message } = (await messages.next()) as { value: PassThrough };
        const pieces: Buffer[] = [];
        const take = (piece: Buffer): Promise<void> | undefined => {
          pieces.push(Buffer.from(piece));
          return pieces.length % waits === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined;
        };
        await readResponse(message, stream, take, null);
        assert.ok(Buffer.concat(pieces).equals(first));
        const { value: next } = (await messages.next()) as { value: PassThrough };
        assert.ok((await textOf(next)).equals(second));
        await writing;
      },
    ),
    { numRuns: 60 },
  );
});

test('a packet shorter than its header is refused', async () => {
  const stream = new IncomingMessageStream(silent);
  const wire = packetsOf(bytesOf(300, 3), 100);
  stream.write(wire.subarray(0, 108));
  const { value: message } = (await stream[Symbol.asyncIterator]().next()) as { value: PassThrough };
  const taken: number[] = [];
  const take = (piece: Buffer): undefined => {
    taken.push(piece.length);
  };
  const reading = readResponse(message, stream, take, null);
  await new Promise(setImmediate);
  stream.write(Buffer.from([4, 0, 0, 5, 0, 0, 1, 0]));
  await assert.rejects(reading, (error) => error instanceof AppError && error.code === 'PROTOCOL');
  assert.deepEqual(taken, [100]);
});
