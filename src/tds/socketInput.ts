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

const OWN_BYTES = 64 * 1024;
const inputs = new WeakMap<object, SocketInput>();

export class SocketInput {
  readonly socket: Socket;
  readonly #own = Buffer.allocUnsafeSlow(OWN_BYTES);
  #taker: InputTaker | null = null;

  constructor(options: NetConnectOpts) {
    this.socket = connect({
      ...options,
      onread: {
        buffer: () => this.#taker?.room() ?? this.#own,
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

  /** Gives what comes from now on to somebody, or with null to the stream again. */
  divert(taker: InputTaker | null): void {
    this.#taker = taker;
  }
}
