/**
 * A connection through TLS whose contents are read straight into somebody's memory. Main thread and reader threads.
 *
 * Where TLS begins after PRELOGIN, tedious hangs its TLSSocket on a pair of streams that the socket is piped into, since
 * the handshake travels in packets: each record then goes through five streams. The handshake, the certificate and what
 * is sent stay there. While somebody takes an answer's bytes, what the socket reads is given to OpenSSL itself
 * (`receive` of Node's TLS handle), and OpenSSL's contents go into memory we name, as with a TCP socket's `onread`:
 * Node has that for every socket, but takes the option only where it opens the connection itself.
 *
 * Both are private to Node (20 to 24). Where they are not as expected, bytes take the streams, as without this file.
 */
import { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { DirectInput, InputTaker, SocketInput } from './socketInput.js';

/** What Node's TLSSocket sits on. */
interface TlsHandle {
  /** Takes encrypted bytes as if the transport had brought them; they are used up when it returns. */
  receive?: (bytes: Uint8Array) => void;
  useUserBuffer?: (bytes: Uint8Array) => void;
  /** The transport, where it is no TCP socket: `stream` is what it was made of. */
  _parentWrap?: { stream?: unknown };
}

/** The socket's properties behind its `onread` option: memory, what gives the next, and what is told. */
const ONREAD = ['kBuffer', 'kBufferGen', 'kBufferCb'] as const;
/** The contents of a TLS record. */
const OWN_BYTES = 16 * 1024;
const NOTHING = Buffer.alloc(0);
const inputs = new WeakMap<TLSSocket, TlsInput>();

export class TlsInput implements DirectInput {
  readonly #contents: TLSSocket;
  readonly #feed: RecordFeed | null;
  readonly #own = Buffer.allocUnsafeSlow(OWN_BYTES);
  #taker: InputTaker | null = null;
  /** False from `take` returning false until `resume`. */
  #going = true;
  /** What OpenSSL had still to give when the taker wanted no more. */
  #held: Buffer[] = [];
  /** The end has come while the taker wanted no more. */
  #ended = false;

  private constructor(contents: TLSSocket, feed: RecordFeed | null) {
    this.#contents = contents;
    this.#feed = feed;
  }

  /**
   * @param contents the socket of what was decrypted
   * @param socket the one of the records, where they are piped from it to `encrypted`
   * @returns null where `contents` is no TLS, or Node is not as expected
   */
  static of(contents: unknown, socket: SocketInput | null, encrypted: unknown): TlsInput | null {
    if (!(contents instanceof TLSSocket)) return null;
    const known = inputs.get(contents);
    if (known !== undefined) return known;
    const input = new TlsInput(contents, RecordFeed.of(contents, socket, encrypted));
    if (!input.#readIntoMemory()) return null;
    inputs.set(contents, input);
    return input;
  }

  /** @returns false where it can't be */
  #readIntoMemory(): boolean {
    const handle = handleOf(this.#contents);
    const known = Object.getOwnPropertySymbols(this.#contents);
    const [buffer, next, callback] = ONREAD.map((name) =>
      known.find(({ description }) => description === name),
    );
    const properties = this.#contents as unknown as Record<symbol, unknown>;
    if (typeof handle?.useUserBuffer !== 'function') return false;
    if (buffer === undefined || next === undefined || callback === undefined) return false;
    if ([buffer, next, callback].some((name) => properties[name] !== null)) return false;
    properties[buffer] = this.#own;
    properties[next] = () => (this.#going && this.#taker?.room()) || this.#own;
    properties[callback] = (bytes: number, from: Uint8Array) => this.#came(bytes, from);
    const push = this.#contents.push.bind(this.#contents);
    this.#contents.push = (chunk: unknown) => {
      // The end may come with the last records; it stays behind what is held.
      if (chunk !== null || this.#going) return push(chunk);
      this.#ended = true;
      return false;
    };
    Reflect.apply(handle.useUserBuffer, handle, [this.#own]);
    return true;
  }

  #came(bytes: number, from: Uint8Array): boolean {
    // Our own memory is read into again before a slow taker is done with it.
    const chunk = from === this.#own ? Buffer.from(from.subarray(0, bytes)) : from;
    if (this.#taker === null) return this.#contents.push(chunk);
    if (this.#going) this.#going = this.#taker.take(bytes, chunk);
    else this.#held.push(Buffer.from(chunk.subarray(0, bytes)));
    return this.#going;
  }

  get idle(): boolean {
    return this.#contents.readableLength === 0;
  }

  divert(taker: InputTaker): void {
    this.#taker = taker;
    this.#feed?.begin(() => this.#going);
  }

  release(): Buffer {
    this.#taker = null;
    this.#feed?.end();
    return this.#held.length === 0 ? NOTHING : Buffer.concat(this.#held.splice(0));
  }

  resume(): void {
    this.#going = true;
    while (this.#held.length > 0 && this.#taker !== null) {
      const chunk = this.#held.shift()!;
      this.#going = this.#taker.take(chunk.length, chunk);
      if (!this.#going) return;
    }
    if (this.#ended) {
      this.#ended = false;
      this.#contents.push(null);
    }
    this.#contents.resume();
    this.#feed?.resume();
  }
}

/** The way from a socket to OpenSSL past the streams between them. */
class RecordFeed {
  readonly #contents: TLSSocket;
  readonly #socket: SocketInput;
  /** What records pass through without it, in order. */
  readonly #streams: readonly [Duplex, Duplex];
  /** True once the streams are empty and records go past them. */
  #past = false;

  private constructor(contents: TLSSocket, socket: SocketInput, streams: readonly [Duplex, Duplex]) {
    this.#contents = contents;
    this.#socket = socket;
    this.#streams = streams;
  }

  static of(contents: TLSSocket, socket: SocketInput | null, encrypted: unknown): RecordFeed | null {
    const handle = handleOf(contents);
    const far = handle?._parentWrap?.stream;
    if (socket === null || typeof handle?.receive !== 'function') return null;
    if (!(encrypted instanceof Duplex) || !(far instanceof Duplex)) return null;
    return new RecordFeed(contents, socket, [encrypted, far]);
  }

  /** @param going tells whether more contents are wanted */
  begin(going: () => boolean): void {
    const socket = this.#socket;
    this.#past = false;
    socket.divert({
      room: () => socket.own,
      take: (bytes, from) => {
        this.#past ||= this.#empty;
        if (!this.#past) return socket.socket.push(Buffer.from(from.subarray(0, bytes)));
        // Where it is closed already, the socket's own end is what counts.
        handleOf(this.#contents)?.receive?.(from.subarray(0, bytes));
        return going();
      },
    });
  }

  get #empty(): boolean {
    const [near, far] = this.#streams;
    return this.#socket.idle && near.writableLength === 0 && far.readableLength === 0;
  }

  end(): void {
    this.#socket.release();
  }

  resume(): void {
    this.#socket.resume();
  }
}

function handleOf(socket: TLSSocket): TlsHandle | null {
  return (socket as unknown as { _handle?: TlsHandle | null })._handle ?? null;
}
