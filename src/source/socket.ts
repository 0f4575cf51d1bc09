/**
 * Opens the TCP connection for tedious, and hangs up on a server that does not go on to encrypt where encryption is
 * asked for: tedious itself would send it the password in the clear.
 *
 * Runs on the main thread and in the reader workers. [MS-TDS] PRELOGIN, Encryption.
 */
import { connect, type Socket } from 'node:net';
import { SocketInput } from '../tds/socketInput.js';

export interface SocketOptions {
  host: string;
  port: number;
  /** Encryption is asked for; it is all of the connection's bytes, or begins after PRELOGIN. */
  encrypted: boolean;
  /** The server's PRELOGIN must promise it. */
  requireEncryption: boolean;
  /** Called before the socket is destroyed, where the server's answer promises no encryption. */
  onPlain: () => void;
  /** Given each socket that is opened. */
  onSocket: (socket: Socket) => void;
}

const HEADER_BYTES = 8;
const OPTION_BYTES = 5;
const ENCRYPTION_OPTION = 0x01;
const TERMINATOR = 0xff;
/** ENCRYPT_ON and ENCRYPT_REQ; the others leave everything but the login, or all of it, in the clear. */
const ENCRYPTED = new Set([0x01, 0x03]);

/** @returns tedious's `connector`. It is called again with another address where the server sends the client on. */
export function socketConnector(options: SocketOptions): (...args: unknown[]) => Promise<Socket> {
  return async (...args) => {
    const [address, , signal] = args;
    const where = {
      ...endpoint(address, options),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    };
    // With `strict` OpenSSL reads from the socket itself.
    const strict = options.encrypted && !options.requireEncryption;
    const socket = strict ? connect(where) : new SocketInput(where).socket;
    options.onSocket(socket);
    if (options.requireEncryption) requireEncryption(socket, options.onPlain);
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        socket.destroy();
        reject(signal instanceof AbortSignal ? signal.reason : new Error('aborted'));
      };
      if (signal instanceof AbortSignal) signal.addEventListener('abort', abort, { once: true });
      const done = (): void => {
        if (signal instanceof AbortSignal) signal.removeEventListener('abort', abort);
      };
      socket.once('error', (error) => {
        done();
        // A name with several addresses: each was tried, and their errors come together without a text of their own.
        reject(error instanceof AggregateError ? (error.errors[0] ?? error) : error);
      });
      socket.once('connect', () => {
        done();
        resolve();
      });
    });
    return socket;
  };
}

function endpoint(address: unknown, options: SocketOptions): { host: string; port: number } {
  const { host, port } = options;
  if (typeof address !== 'object' || address === null) return { host, port };
  const given: { host?: unknown; port?: unknown } = address;
  return {
    host: typeof given.host === 'string' ? given.host : host,
    port: typeof given.port === 'number' ? given.port : port,
  };
}

/** Looks at the server's first message, without taking it from tedious. */
function requireEncryption(socket: Socket, onPlain: () => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const watch = (chunk: Buffer): void => {
    seen = Buffer.concat([seen, chunk]);
    if (seen.length < HEADER_BYTES || seen.length < seen.readUInt16BE(2)) return;
    socket.removeListener('data', watch);
    if (ENCRYPTED.has(encryptionOf(seen.subarray(HEADER_BYTES)))) return;
    onPlain();
    socket.destroy(new Error('the server offers no encryption'));
  };
  // Nothing comes before tedious has sent its PRELOGIN, so its own reading is in place by then.
  socket.on('data', watch);
}

/** @returns the value of the Encryption option, or -1 where there is none. */
export function encryptionOf(payload: Buffer): number {
  for (let at = 0; at + OPTION_BYTES <= payload.length && payload[at] !== TERMINATOR; at += OPTION_BYTES) {
    if (payload[at] === ENCRYPTION_OPTION) return payload[payload.readUInt16BE(at + 1)] ?? -1;
  }
  return -1;
}
