/**
 * Takes a response's bytes off tedious's stream of packets, for one message. Reader thread. [MS-TDS] packets.
 *
 * tedious cuts what arrives into packets, makes a message of their contents, itself a stream, and lets it be iterated:
 * five steps for each packet that cost several times what the rows in it do. Here the packets' contents go from the
 * chunks of the socket straight to whoever wants them. What tedious has put into the message before it handed it over
 * comes first. All of this is private to tedious 19.2; `bulkRead.ts` looks whether it is there.
 *
 * Once no byte is left in any stream, a socket that can do so is read into the window itself: as much as the packet has
 * left, and the next packet's header behind it, which the next read writes over. Nothing is copied then.
 */
import { once } from 'node:events';
import type { PassThrough, Transform } from 'node:stream';
import { AppError } from '../errors.js';
import type { DirectInput, InputTaker } from './socketInput.js';
import type { InputWindow } from './window.js';

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

/** The way round the streams. */
export interface DirectPath {
  input: DirectInput;
  window: InputWindow;
  /** Takes what is in the window; a promise where the next bytes must wait. */
  work(): Promise<void> | undefined;
}

const HEADER_BYTES = 8;
/** Room for bytes that the window has none for; the next read finds them copied. */
const SPARE_BYTES = 32 * 1024;
const NOTHING = Buffer.alloc(0);
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
  direct: DirectPath | null,
): Promise<void> {
  const whole = message.writableEnded;
  const rest = whole ? null : new Rest(packets, take, direct);
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
class Rest implements InputTaker {
  readonly #packets: PacketStream;
  readonly #take: TakePiece;
  readonly #direct: DirectPath | null;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** Bytes of the packet that are still to come. */
  #left = 0;
  #last = false;
  /** The message has ended, or failed. */
  #ended = false;
  #diverted = false;
  /** A chunk is on its way to whoever takes it: the next one must wait. */
  #feeding = false;
  #later: { chunk: Buffer; done: Done } | null = null;
  /** The part of the window the socket is read into next. */
  #room: Uint8Array | null = null;
  /** What tedious waits for until `read` begins. */
  #held: Done | null = null;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(packets: PacketStream, take: TakePiece, direct: DirectPath | null) {
    this.#packets = packets;
    this.#take = take;
    this.#direct = direct;
    packets.processBufferedData = (done) => {
      this.#held = done;
    };
  }

  read(): Promise<void> {
    const packets = this.#packets;
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = (error) => {
        this.#ended = true;
        reject(error);
      };
      packets._transform = (chunk: Buffer, _encoding, done) => {
        if (this.#feeding) this.#later = { chunk, done };
        else this.#feed(chunk, 0, done);
      };
      const before = packets.bl.slice();
      packets.bl.consume(before.length);
      const done = this.#held ?? (() => {});
      this.#held = null;
      this.#feed(before, 0, done);
    });
  }

  /** Takes a chunk from `from` on; calls `done` when the next one may come. */
  #feed(chunk: Buffer, from: number, done: Done): void {
    if (this.#ended) return;
    this.#feeding = true;
    try {
      let at = from;
      while (at < chunk.length && !this.#isOver) {
        if (this.#left === 0) {
          at = this.#readHeader(chunk, at);
          continue;
        }
        const end = Math.min(at + this.#left, chunk.length);
        this.#left -= end - at;
        const wait = this.#take(chunk.subarray(at, end));
        at = end;
        if (wait !== undefined) {
          wait.then(() => this.#feed(chunk, end, done), this.#reject);
          return;
        }
      }
      if (this.#isOver) this.#giveBack(chunk.subarray(at), done);
      else {
        this.#feeding = false;
        done();
        const later = this.#later;
        this.#later = null;
        if (later === null) this.#divert();
        else this.#feed(later.chunk, 0, later.done);
      }
    } catch (error) {
      this.#reject(error);
    }
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
    // One without contents is a packet, too.
    if (bytes < HEADER_BYTES) {
      throw new AppError('PROTOCOL', `SQL Server sent a packet of ${bytes} bytes, header included`);
    }
    this.#headerBytes = 0;
    this.#left = bytes - HEADER_BYTES;
    this.#last = (this.#header[STATUS_OFFSET]! & END_OF_MESSAGE) !== 0;
    return at + taken;
  }

  /** Takes the way round the streams, if there is one and nothing is left in them. */
  #divert(): void {
    const input = this.#direct?.input;
    if (input === undefined || this.#ended || this.#diverted || this.#feeding) return;
    if (this.#packets.writableLength > 0 || !input.idle) return;
    this.#diverted = true;
    input.divert(this);
    input.resume();
  }

  room(): Uint8Array {
    const { window } = this.#direct!;
    const wanted = this.#left + (this.#last ? 0 : HEADER_BYTES - this.#headerBytes);
    // A chunk that is still being copied goes to the same place.
    const bytes = this.#ended || this.#feeding ? 0 : Math.min(window.makeRoom(wanted), wanted);
    this.#room = bytes === 0 ? null : window.bytes.subarray(window.fill, window.fill + bytes);
    return this.#room ?? Buffer.allocUnsafeSlow(SPARE_BYTES);
  }

  take(bytes: number, from: Uint8Array): boolean {
    if (this.#ended) return false;
    let going: boolean | null = null;
    const goOn = (): void => {
      if (going === null) going = true;
      else this.#direct!.input.resume();
    };
    if (from === this.#room) this.#takeInPlace(bytes, goOn);
    else this.#feed(Buffer.from(from.buffer, from.byteOffset, bytes), 0, goOn);
    going ??= false;
    return going;
  }

  /** Takes what the socket was read into the window: contents, and behind them the next packet's header. */
  #takeInPlace(bytes: number, goOn: () => void): void {
    const { window, work } = this.#direct!;
    try {
      const contents = Math.min(bytes, this.#left);
      const from = window.fill + contents;
      const header = window.bytes.subarray(from, window.fill + bytes);
      window.fill = from;
      this.#left -= contents;
      if (header.length > 0) this.#readHeader(header, 0);
      const over = this.#isOver;
      const end = (): void => (over ? this.#giveBack(NOTHING, goOn) : goOn());
      const wait = contents > 0 ? work() : undefined;
      if (wait === undefined) end();
      else wait.then(end, this.#reject);
    } catch (error) {
      this.#reject(error);
    }
  }

  /** The message is over: tedious reads on where it ended. */
  #giveBack(behind: Buffer, done: Done): void {
    const packets = this.#packets;
    this.#ended = true;
    const held = this.#diverted ? this.#direct!.input.release() : NOTHING;
    // Its own methods are those of its class, which these properties hid.
    Reflect.deleteProperty(packets, '_transform');
    Reflect.deleteProperty(packets, 'processBufferedData');
    packets.currentMessage = undefined;
    packets.bl.append(behind);
    packets.bl.append(held);
    if (this.#later !== null) packets.bl.append(this.#later.chunk);
    this.#resolve();
    packets.processBufferedData(this.#later?.done ?? done);
  }
}
