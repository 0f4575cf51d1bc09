/**
 * A TCP socket whose bytes can be read straight into somebody's memory. Main thread and reader threads.
 *
 * Node hands out 64 KiB of new memory for every read and sends it through its streams, which costs more than the rows
 * in it do. With `onread` a read goes into memory we name; what nobody has asked for goes on into the stream as ever.
 */
import { connect, type NetConnectOpts, type Socket } from 'node:net';

/** Takes a socket's bytes in place of its stream. */
export interface InputTaker {
  /** @returns where the next bytes go; never empty. It stays theirs until they are taken. */
  room(): Uint8Array;
  /**
   * Takes the first `bytes` of what has come, which need not be where `room` said last.
   * @returns false where nothing more may come before the socket is resumed
   */
  take(bytes: number, from: Uint8Array): boolean;
}

/** What can be taken round the streams. */
export interface DirectInput {
  /** Whether no byte that has come is in a stream yet. */
  readonly idle: boolean;
  /** Gives what comes from now on to somebody. */
  divert(taker: InputTaker): void;
  /** Gives what comes from now on to the stream again. @returns what has come and was not taken */
  release(): Buffer;
  /** Goes on after `take` has returned false. */
  resume(): void;
}

const OWN_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);
const inputs = new WeakMap<object, SocketInput>();

export class SocketInput implements DirectInput {
  readonly socket: Socket;
  /** What is read into for the stream, which gets copies. */
  readonly own = Buffer.allocUnsafeSlow(OWN_BYTES);
  #taker: InputTaker | null = null;

  constructor(options: NetConnectOpts) {
    this.socket = connect({
      ...options,
      onread: {
        buffer: () => this.#taker?.room() ?? this.own,
        callback: (bytes, from) => {
          if (this.#taker !== null) return this.#taker.take(bytes, from);
          return this.socket.push(Buffer.from(from.subarray(0, bytes)));
        },
      },
    });
    inputs.set(this.socket, this);
  }

  /** @returns the input of a socket that was opened by this class, or null */
  static of(socket: unknown): SocketInput | null {
    return inputs.get(socket as object) ?? null;
  }

  get idle(): boolean {
    return this.socket.readableLength === 0;
  }

  divert(taker: InputTaker): void {
    this.#taker = taker;
  }

  release(): Buffer {
    this.#taker = null;
    return NOTHING;
  }

  resume(): void {
    this.socket.resume();
  }
}
