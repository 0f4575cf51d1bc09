/**
 * A TCP proxy that does harm where it is told to: cuts, resets or stalls connections at chosen bytes.
 *
 * Runs on the main thread of the test process.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type Direction = 'to server' | 'to client';

/** What becomes of a piece of data, and of the connection it belongs to. */
export type Verdict =
  /** The piece goes on. */
  | 'pass'
  /** The piece is lost, and both ends see the connection closed. */
  | 'cut'
  /** The piece is lost, and both ends see the connection reset. */
  | 'reset'
  /** The piece is lost, and so is all that follows; both ends see an open connection. */
  | 'stall'
  /** The piece goes on; what the other side answers is lost, and the connection is reset. */
  | 'lose answer';

export interface Piece {
  direction: Direction;
  bytes: Buffer;
  /** Bytes that went this way on this connection before. */
  offset: number;
  /** Number of the connection, from 0. */
  connection: number;
}

export interface FaultProxy {
  port: number;
  /** Connections harmed so far. */
  harmed: number;
  close(): void;
}

/** Listens on a free port of 127.0.0.1 and passes everything to `host:port` as `judge` says. */
export async function startFaultProxy(
  host: string,
  port: number,
  judge: (piece: Piece) => Verdict,
): Promise<FaultProxy> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const proxy: FaultProxy = {
    port: 0,
    harmed: 0,
    close() {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  const listener = createServer({ noDelay: true }, (client) => {
    const server = connect({ host, port, noDelay: true });
    const connection = connections++;
    /** `loses answer` until the answer has come. */
    let state: 'sound' | 'stalled' | 'loses answer' | 'over' = 'sound';
    const end = (how: 'cut' | 'reset'): void => {
      state = 'over';
      for (const socket of [client, server]) {
        if (how === 'reset') socket.resetAndDestroy();
        else socket.destroy();
      }
    };
    const pass = (from: Socket, to: Socket, direction: Direction): void => {
      let offset = 0;
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        // Behind a stalled connection nobody hears that the other end has gone.
        if (state !== 'stalled') to.destroy();
      });
      from.on('data', (bytes: Buffer) => {
        if (state === 'stalled' || state === 'over') return;
        if (state === 'loses answer') {
          if (direction === 'to client') end('reset');
          return;
        }
        const verdict = judge({ direction, bytes, offset, connection });
        offset += bytes.length;
        if (verdict !== 'pass') proxy.harmed++;
        if (verdict === 'cut' || verdict === 'reset') return end(verdict);
        if (verdict === 'stall') {
          state = 'stalled';
          return;
        }
        if (verdict === 'lose answer') state = 'loses answer';
        if (to.write(bytes)) return;
        from.pause();
        to.once('drain', () => from.resume());
      });
    };
    pass(client, server, 'to server');
    pass(server, client, 'to client');
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  proxy.port = (listener.address() as AddressInfo).port;
  return proxy;
}

/** @returns a judge that harms as `verdict` says, each time `wanted` has come true `every` times, `most` times in all. */
export function each(
  every: number,
  most: number,
  verdict: Verdict,
  wanted: (piece: Piece) => boolean,
): (piece: Piece) => Verdict {
  let seen = 0;
  let harmed = 0;
  return (piece) => {
    if (harmed === most || !wanted(piece) || ++seen % every !== 0) return 'pass';
    harmed++;
    return verdict;
  };
}

/** [PostgreSQL] Query, as the writers send it. */
const COMMIT = Buffer.from('Q\0\0\0\x0bCOMMIT\0', 'latin1');
export const isCommit = ({ direction, bytes }: Piece) => direction === 'to server' && bytes.includes(COMMIT);
/** [PostgreSQL] CopyData: rows on their way. */
export const isCopy = ({ direction, bytes }: Piece) =>
  direction === 'to server' && bytes[0] === 0x64 && bytes.length > 500;
