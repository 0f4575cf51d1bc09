/**
 * The one seam with tedious: for one request, its token parser is replaced by ours; for the others, and for logins,
 * what its own can't read becomes an error; and TLS records fit SQL Server. Reader threads and main thread.
 *
 * tedious keeps the connection, login, TLS, request timers and cancellation; the response's bytes come here.
 * `Connection.createTokenStreamParser` and its stream of packets are private API: this file and `responseReader.ts`
 * alone touch them, and a test fails if they go.
 */
import { EventEmitter } from 'node:events';
import type { PassThrough } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { AppError } from '../errors.js';
import { type Connection, Request, TYPES } from './driver.js';
import { type DirectPath, isPacketStream, type PacketStream, readResponse } from './responseReader.js';
import { type DirectInput, SocketInput } from './socketInput.js';
import { TlsInput } from './tlsInput.js';
import type { ServerMessageToken } from './tokenReader.js';
import type { InputWindow } from './window.js';

/** What takes a response's bytes. */
export interface ResponseSink {
  /** Takes one chunk; returns a promise when the chunk can't be taken at once. The chunk may be reused afterwards. */
  push(chunk: Buffer): Promise<void> | undefined;
  /** What the socket may be read into; left out, all comes by `push`. */
  readonly window?: InputWindow;
  /** Takes what was put into the window, as `push` does. */
  work?(): Promise<void> | undefined;
  /** The response is complete; throws AppError PROTOCOL where it broke off inside a token. */
  end(): void;
  /** Set by the seam: tells tedious's request of an ERROR or INFO token. */
  onMessage: ((token: ServerMessageToken) => void) | null;
}

interface TokenHandler {
  onErrorMessage(token: ServerMessageToken): void;
  onInfoMessage(token: ServerMessageToken): void;
}

type CreateParser = (message: PassThrough, handler: TokenHandler) => EventEmitter;

/** Where TLS began after PRELOGIN: what is decrypted, and where the socket's records go. */
interface SecurePair {
  cleartext?: unknown;
  encrypted?: unknown;
}

/** The part of tedious's Connection that is not in its types. */
interface ParserSeam {
  createTokenStreamParser?: CreateParser;
  messageIo?: {
    incomingMessageStream?: unknown;
    socket?: unknown;
    securePair?: SecurePair;
    packetSize?: () => number;
  };
}

/** Stands where tedious expects its own parser: emits `end`, can be paused and resumed. */
class SinkParser extends EventEmitter {
  #paused: Promise<void> | null = null;
  #resume: (() => void) | null = null;

  constructor(
    message: PassThrough,
    packets: PacketStream,
    input: DirectInput | null,
    handler: TokenHandler,
    sink: ResponseSink,
    fail: (error: Error) => void,
  ) {
    super();
    sink.onMessage = (token) => {
      if (token.kind === 'error') handler.onErrorMessage(token);
      else handler.onInfoMessage(token);
    };
    const { window } = sink;
    const direct: DirectPath | null =
      input === null || window === undefined
        ? null
        : { input, window, work: () => this.#unpaused(() => sink.work?.()) };
    readResponse(message, packets, (piece) => this.#unpaused(() => sink.push(piece)), direct)
      .then(() => {
        sink.end();
        this.emit('end');
      })
      .catch(fail);
  }

  #unpaused(step: () => Promise<void> | undefined): Promise<void> | undefined {
    return this.#paused === null ? step() : this.#paused.then(step);
  }

  pause(): void {
    this.#paused ??= new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  resume(): void {
    this.#resume?.();
    this.#paused = null;
    this.#resume = null;
  }
}

/**
 * Has a TLS record hold no more than a packet, once the login has settled the packet's size: SQL Server hangs up
 * otherwise. tedious 19.2 sees to that itself, but not where all of the connection is TLS (`encrypt: strict`).
 */
export function fitRecords(connection: Connection): void {
  const { messageIo } = connection as unknown as ParserSeam;
  const { socket } = messageIo ?? {};
  if (socket instanceof TLSSocket && typeof messageIo?.packetSize === 'function') {
    socket.setMaxSendFragment(messageIo.packetSize());
  }
}

/** tedious's own parser: what it reads the tokens with may fail, and nobody there listens. */
interface OwnParser extends EventEmitter {
  parser?: EventEmitter;
}

/**
 * Has tedious fail a login or a request whose answer it can't read, or which has tokens that don't belong there,
 * where it would throw into the event loop and end the process.
 */
export function guardParser(connection: Connection): void {
  const seam = connection as unknown as ParserSeam;
  const create = seam.createTokenStreamParser;
  if (typeof create !== 'function') return;
  seam.createTokenStreamParser = (message, handler) => {
    let own: OwnParser | null = null;
    let failed = false;
    const fail = (cause: unknown): void => {
      if (failed) return;
      failed = true;
      const said = cause instanceof Error ? cause.message : String(cause);
      const error = new AppError('PROTOCOL', `The source's answer can't be read: ${said}`, { cause });
      // A login waits for its parser; a request hears of it when the connection is closed.
      if (own !== null && own.listenerCount('error') > 0) own.emit('error', error);
      else connection.close();
    };
    own = create.call(connection, message, guarded(handler, fail)) as OwnParser;
    own.parser?.on('error', fail);
    return own;
  };
}

/** [MS-TDS] LOGIN7 PacketSize. With one that has no room for data tedious would cut packets for ever. */
function requirePacketSize(token: unknown): void {
  const { newValue } = token as { newValue?: unknown };
  if (typeof newValue === 'number' && newValue >= 512 && newValue <= 32_767) return;
  throw new Error(`packets of ${String(newValue)} bytes`);
}

/** @returns the handler of tokens, with what it throws given to `fail`. */
function guarded(handler: TokenHandler, fail: (cause: unknown) => void): TokenHandler {
  return new Proxy(handler, {
    get(of, name) {
      const value: unknown = Reflect.get(of, name, of);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): void => {
        try {
          if (name === 'onPacketSizeChange') requirePacketSize(args[0]);
          Reflect.apply(value, of, args);
        } catch (error) {
          fail(error);
        }
      };
    },
  });
}

/** @returns how the connection's bytes are taken past its streams, or null where that can't be */
function directInput(socket: unknown, securePair: SecurePair | undefined): DirectInput | null {
  const plain = SocketInput.of(socket);
  if (securePair !== undefined) return TlsInput.of(securePair.cleartext, plain, securePair.encrypted);
  return plain ?? TlsInput.of(socket, null, null);
}

/**
 * Runs a query through sp_executesql, its response going to `sink` instead of becoming row events.
 *
 * Where the sink itself fails the connection is closed: its response is half read and of no more use.
 *
 * @param parameters nvarchar parameters by name
 * @returns resolves when the whole response was taken and the server reported no error
 * @throws what the sink threw, or tedious's own RequestError
 * @throws AppError INTERNAL where tedious no longer has the seam
 */
export function bulkRead(
  connection: Connection,
  sql: string,
  parameters: readonly { name: string; value: string }[],
  sink: ResponseSink,
): Promise<void> {
  const seam = connection as unknown as ParserSeam;
  const { incomingMessageStream: packets, socket, securePair } = seam.messageIo ?? {};
  if (typeof seam.createTokenStreamParser !== 'function' || !isPacketStream(packets)) {
    throw new AppError('INTERNAL', 'tedious is not as bulk reading needs it, which is tedious 19.2');
  }
  return new Promise<void>((resolve, reject) => {
    const request = new Request(sql, (error) => (error ? reject(error) : resolve()));
    for (const { name, value } of parameters) request.addParameter(name, TYPES.NVarChar, value);
    const before = seam.createTokenStreamParser!;
    seam.createTokenStreamParser = (message, handler) => {
      // One response only: an attention's answer, or the next request, is tedious's again.
      seam.createTokenStreamParser = before;
      const input = directInput(socket, securePair);
      return new SinkParser(message, packets, input, handler, sink, (error) => {
        reject(error);
        connection.close();
      });
    };
    connection.execSql(request);
  });
}
