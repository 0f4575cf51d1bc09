/**
 * The stand-in SQL Server: listens on a TCP port and gives every client a `Connection` on one engine. Runs on the
 * thread that starts it (its own process in tests, see main.ts).
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { createSecureContext } from 'node:tls';
import type { Engine } from './contract.js';
import { selfSignedCertificate } from './tds/certificate.js';
import { Connection, type ConnectionOptions } from './tds/connection.js';
import type { EncryptionMode } from './tds/prelogin.js';

export interface SqlServerOptions {
  engine: Engine;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: a free port. */
  port?: number;
  /** Default `on`. */
  encryption?: EncryptionMode;
  /** Certificate and key in PEM; without them the server makes a self-signed certificate, as SQL Server does. */
  cert?: string;
  key?: string;
  /** Speak no newer TLS than 1.0, as SQL Server 2012 does before its last updates; default false. */
  oldTls?: boolean;
  /** Announce PLP values with PLP_UNKNOWN_LEN; default false. */
  plpUnknownLength?: boolean;
  /** The most bytes of a PLP chunk; default 8192. */
  plpChunkBytes?: number;
  /** Send rows that hold a NULL as NBCROW; default true. */
  nbcRow?: boolean;
  /** Be a secondary that lets in only those who say that they will read; default false. */
  readIntentOnly?: boolean;
  /** Be a listener that sends those who say that they will read on to this port of this host; default null. */
  readersAt?: { host: string; port: number } | null;
}

export interface SqlServer {
  readonly port: number;
  /** Closes every connection and the port; the engine stays open. */
  close(): Promise<void>;
}

/** OpenSSL has it at this security level only. */
const OLD_TLS = { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;

/** The first session id of a user in SQL Server. */
const FIRST_SPID = 51;

/** Starts the server; resolves when it listens. */
export async function startSqlServer(options: SqlServerOptions): Promise<SqlServer> {
  const encryption = options.encryption ?? 'on';
  const connectionOptions: ConnectionOptions = {
    engine: options.engine,
    encryption,
    secureContext:
      encryption === 'off'
        ? undefined
        : createSecureContext({ ...certificateOf(options), ...(options.oldTls && OLD_TLS) }),
    plpUnknownLength: options.plpUnknownLength ?? false,
    plpChunkBytes: options.plpChunkBytes ?? 8192,
    nbcRow: options.nbcRow ?? true,
    readIntentOnly: options.readIntentOnly ?? false,
    readersAt: options.readersAt ?? null,
  };
  const connections = new Set<Connection>();
  let lastSpid = FIRST_SPID - 1;
  const server: Server = createServer((socket) => {
    lastSpid = lastSpid >= 0x7fff ? FIRST_SPID : lastSpid + 1;
    const connection = new Connection(socket, connectionOptions, lastSpid);
    connections.add(connection);
    socket.on('close', () => connections.delete(connection));
  });
  server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const connection of connections) connection.close();
      await closed;
    },
  };
}

function certificateOf(options: SqlServerOptions): { cert: string; key: string } {
  if (options.cert !== undefined && options.key !== undefined)
    return { cert: options.cert, key: options.key };
  return selfSignedCertificate('localhost');
}
