/**
 * Takes a response's bytes off tedious's stream of packets, for one message. Reader thread. [MS-TDS] packets.
 *
 * tedious cuts what arrives into packets, makes a message of their contents, itself a stream, and lets it be iterated:
 * five steps for each packet that cost several times what the rows in it do. Here the packets' contents go from the
 * chunks of the socket straight to whoever wants them. What tedious has put into the message before it handed it over
 * comes first. All of this is private to tedious 19.2; `bulkRead.ts` looks whether it is there.
 */
import { once } from 'node:events';
import type { PassThrough, Transform } from 'node:stream';
import { AppError } from '../errors.js';

type Done = (error?: Error | null) => void;

/** tedious's IncomingMessageStream: the socket's bytes go in, and messages come out. */
export interface PacketStream extends Transform {
  /** Bytes of packets that are not whole yet. */
  bl: { readonly length: number; append(bytes: Buffer): void; consume(bytes: number): void; slice(): Buffer };
  currentMessage: unknown;
  processBufferedData(done: Done): void;
}

/** Takes a piece; returns a promise where the next one must wait. */
export type TakePiece = (piece: Buffer) => Promise<void> | undefined;

const HEADER_BYTES = 8;
const STATUS_OFFSET = 1;
const LENGTH_OFFSET = 2;
const END_OF_MESSAGE = 0x01;

/** @returns whether tedious still has what this file builds on. */
export function isPacketStream(value: unknown): value is PacketStream {
  const { bl, processBufferedData, _transform } = (value ?? {}) as Partial<PacketStream>;
  return typeof bl?.slice === 'function' && [processBufferedData, _transform].every(isFunction);
}

function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}

/**
 * Reads a message to its end, and gives the packets back to tedious.
 *
 * @param message what tedious has read of it, and where it would put the rest
 * @throws what `take` throws, and AppError PROTOCOL; then the connection is of no more use
 */
export async function readResponse(
  message: PassThrough,
  packets: PacketStream,
  take: TakePiece,
): Promise<void> {
  const whole = message.writableEnded;
  const rest = whole ? null : new Rest(packets, take);
  // Nothing is written to it any more: what it holds is what comes first.
  for (;;) {
    const piece = message.read() as Buffer | null;
    if (piece !== null) await take(piece);
    else if (message.writableLength > 0) await once(message, 'readable');
    else break;
  }
  await rest?.read();
}

/** Stands in for tedious's packet reader until the message ends. */
class Rest {
  readonly #packets: PacketStream;
  readonly #take: TakePiece;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** Bytes of the packet that are still to come. */
  #left = 0;
  #last = false;
  /** What tedious waits for until `read` begins. */
  #held: Done | null = null;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(packets: PacketStream, take: TakePiece) {
    this.#packets = packets;
    this.#take = take;
    packets.processBufferedData = (done) => {
      this.#held = done;
    };
  }

  read(): Promise<void> {
    const packets = this.#packets;
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      packets._transform = (chunk: Buffer, _encoding, done) => this.#feed(chunk, 0, done);
      const before = packets.bl.slice();
      packets.bl.consume(before.length);
      const done = this.#held ?? (() => {});
      this.#held = null;
      this.#feed(before, 0, done);
    });
  }

  /** Takes a chunk from `from` on; calls `done` when the next one may come. */
  #feed(chunk: Buffer, from: number, done: Done): void {
    try {
      let at = from;
      while (at < chunk.length) {
        if (this.#left === 0) {
          at = this.#readHeader(chunk, at);
          continue;
        }
        const end = Math.min(at + this.#left, chunk.length);
        this.#left -= end - at;
        const wait = this.#take(chunk.subarray(at, end));
        at = end;
        if (wait !== undefined) {
          wait.then(
            () => this.#goOn(chunk, end, done),
            (error: unknown) => this.#reject(error),
          );
          return;
        }
        if (this.#last && this.#left === 0) break;
      }
      if (this.#isOver) this.#giveBack(chunk.subarray(at), done);
      else done();
    } catch (error) {
      this.#reject(error);
    }
  }

  #goOn(chunk: Buffer, from: number, done: Done): void {
    if (this.#isOver) this.#giveBack(chunk.subarray(from), done);
    else this.#feed(chunk, from, done);
  }

  get #isOver(): boolean {
    return this.#last && this.#left === 0;
  }

  /** @returns the offset behind what was taken of the header */
  #readHeader(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#header, this.#headerBytes, at, at + HEADER_BYTES - this.#headerBytes);
    this.#headerBytes += taken;
    if (this.#headerBytes < HEADER_BYTES) return at + taken;
    const bytes = this.#header.readUInt16BE(LENGTH_OFFSET);
    if (bytes <= HEADER_BYTES) {
      throw new AppError('PROTOCOL', `SQL Server sent a packet of ${bytes} bytes, header included`);
    }
    this.#headerBytes = 0;
    this.#left = bytes - HEADER_BYTES;
    this.#last = (this.#header[STATUS_OFFSET]! & END_OF_MESSAGE) !== 0;
    return at + taken;
  }

  /** The message is over: tedious reads on where it ended. */
  #giveBack(behind: Buffer, done: Done): void {
    const packets = this.#packets;
    // Its own methods are those of its class, which these properties hid.
    Reflect.deleteProperty(packets, '_transform');
    Reflect.deleteProperty(packets, 'processBufferedData');
    packets.currentMessage = undefined;
    packets.bl.append(behind);
    this.#resolve();
    packets.processBufferedData(done);
  }
}
