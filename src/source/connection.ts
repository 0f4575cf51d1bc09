/**
 * Connections to SQL Server: login, encryption, isolation, and small queries. Bulk reads take the tedious
 * connection from here and drain it through `src/tds`.
 *
 * Runs on the main thread and in the reader workers.
 */
import { isIP } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { MAX_ENCRYPTED_PACKET_BYTES } from '../config/defaults.js';
import { readPem } from '../config/pem.js';
import { AppError } from '../errors.js';
import { fitRecords, guardParser } from '../tds/bulkRead.js';
import { Connection, type ConnectionConfiguration, ISOLATION_LEVEL, Request, TYPES } from '../tds/driver.js';
import { connectError, snapshotNotAllowed } from './errors.js';
import { authentication, type SourceLogin } from './login.js';
import { Answer, type Line } from './silence.js';
import { type SocketOptions, socketConnector } from './socket.js';

export { sourceError } from './errors.js';

export type SourceIsolation = 'read_committed' | 'snapshot' | 'read_uncommitted';

/** The parts of the config's `source` a connection needs; plain data, so that workers can be given it. */
export interface SourceOptions extends SourceLogin {
  host: string;
  port: number;
  database: string;
  encrypt: boolean | 'strict';
  trust_server_cert: boolean;
  /** PEM file of the certificate authorities to trust instead of the system's. */
  ca_file?: string | null | undefined;
  /** PEM files of a client certificate and its key. */
  client_cert_file?: string | undefined;
  client_key_file?: string | undefined;
  isolation: SourceIsolation;
  /** [MS-TDS] fReadOnlyIntent of LOGIN7: `read_only` asks an availability group for a readable secondary. */
  application_intent?: 'read_write' | 'read_only';
  connect_timeout_seconds: number;
  /** 0: no limit. Applies to the small queries; a bulk read has none. */
  request_timeout_seconds: number;
  packet_size_bytes: number;
  /** How long the source may send nothing in the middle of an answer, and four times as long before it; 0 or left out: for ever. */
  stall_timeout_seconds?: number;
}

export interface QueryParameter {
  name: string;
  value: string | number | null;
}

/** One session on the source. Runs one statement at a time. */
export interface SourceConnection {
  /** For the bulk reading seam of `src/tds`. */
  readonly connection: Connection;
  /**
   * Runs a statement with a small result. Strings travel as nvarchar, whole numbers as int or bigint.
   * Select bigint and decimal values as nvarchar: tedious rounds decimals.
   *
   * @param rows that the source has to go through before it can answer, about
   * @throws AppError as `sourceError` names it; SOURCE_CONNECTION_LOST where the source sends nothing for too long
   */
  query(
    sql: string,
    parameters?: readonly QueryParameter[],
    rows?: number,
  ): Promise<Record<string, unknown>[]>;
  /**
   * What to wait with for the answer to the statement that is sent next.
   *
   * @param rows as for `query`
   */
  answer(rows: number): Answer;
  /** False once it was closed or lost. */
  readonly isOpen: boolean;
  close(): Promise<void>;
}

const ISOLATION = {
  read_committed: ISOLATION_LEVEL.READ_COMMITTED,
  snapshot: ISOLATION_LEVEL.SNAPSHOT,
  read_uncommitted: ISOLATION_LEVEL.READ_UNCOMMITTED,
} as const;

/**
 * Logs in and sets the session up.
 *
 * @throws AppError SOURCE_LOGIN_FAILED, SOURCE_DATABASE_UNKNOWN, SOURCE_TLS, SOURCE_UNREACHABLE, IO (certificate files), or
 * SOURCE_QUERY where SNAPSHOT is asked for and the database does not allow it.
 */
export async function connectSource(options: SourceOptions): Promise<SourceConnection> {
  const numbers: number[] = [];
  let plain = false;
  let encrypted = false;
  let bytesRead = (): number => 0;
  const connection = new Connection(
    configuration(options, {
      onPlain: () => {
        plain = true;
      },
      onSocket: (socket) => {
        bytesRead = () => socket.bytesRead;
      },
    }),
  );
  guardParser(connection);
  const onErrorMessage = (token: { number: number }): void => {
    numbers.push(token.number);
  };
  const onSecure = (): void => {
    encrypted = true;
  };
  connection.on('errorMessage', onErrorMessage);
  connection.on('secure', onSecure);
  try {
    await new Promise<void>((resolve, reject) => {
      connection.once('error', reject);
      connection.connect((error) => (error ? reject(error) : resolve()));
    });
  } catch (error) {
    connection.on('error', () => {});
    connection.close();
    throw plain ? noEncryption(options, error) : connectError(error, options, numbers);
  } finally {
    connection.removeListener('errorMessage', onErrorMessage);
    connection.removeListener('secure', onSecure);
  }
  fitRecords(connection);
  const source = new OpenConnection(connection, {
    stallMs: (options.stall_timeout_seconds ?? 0) * 1000,
    bytesRead,
    hangUp: () => connection.close(),
  });
  try {
    if (options.encrypt === true && !encrypted) throw noEncryption(options);
    if (options.isolation === 'snapshot') await requireSnapshot(source, options.database);
  } catch (error) {
    await source.close();
    throw error;
  }
  return source;
}

function noEncryption(options: SourceOptions, cause?: unknown): AppError {
  return new AppError('SOURCE_TLS', `SQL Server at ${options.host}:${options.port} offers no encryption`, {
    remedy: 'Give the server a certificate, or, on a network you trust, set source.encrypt: false.',
    ...(cause !== undefined && { cause }),
  });
}

function configuration(
  options: SourceOptions,
  listeners: Pick<SocketOptions, 'onPlain' | 'onSocket'>,
): ConnectionConfiguration {
  return {
    server: options.host,
    authentication: authentication(options),
    options: {
      port: options.port,
      connector: socketConnector({
        host: options.host,
        port: options.port,
        encrypted: options.encrypt !== false,
        // With `strict` all of it is TLS, the PRELOGIN included.
        requireEncryption: options.encrypt === true,
        ...listeners,
      }),
      database: options.database,
      appName: 'mssql-pg-migrate',
      readOnlyIntent: options.application_intent === 'read_only',
      encrypt: options.encrypt,
      trustServerCertificate: options.trust_server_cert,
      cryptoCredentialsDetails: credentials(options),
      // Node warns about an IP address as TLS server name; where nothing is verified any name will do.
      ...(options.trust_server_cert && isIP(options.host) !== 0 && { serverName: 'sqlserver' }),
      connectTimeout: options.connect_timeout_seconds * 1000,
      requestTimeout: options.request_timeout_seconds * 1000,
      packetSize: packetBytes(options),
      connectionIsolationLevel: ISOLATION[options.isolation],
      isolationLevel: ISOLATION[options.isolation],
      // Retrying is the engine's business, and tedious takes an unknown database (4060) for a passing trouble.
      maxRetriesOnTransientErrors: 0,
      useUTC: true,
      textsize: 2147483647,
    },
  };
}

function packetBytes({ encrypt, packet_size_bytes: asked }: SourceOptions): number {
  return encrypt === false ? asked : Math.min(asked, MAX_ENCRYPTED_PACKET_BYTES);
}

function credentials(options: SourceOptions): SecureContextOptions {
  const { ca_file: ca, client_cert_file: cert, client_key_file: key } = options;
  return {
    ...(ca && { ca: readPem('source.ca_file', ca) }),
    ...(cert && { cert: readPem('source.client_cert_file', cert) }),
    ...(key && { key: readPem('source.client_key_file', key) }),
  };
}

async function requireSnapshot(source: SourceConnection, database: string): Promise<void> {
  const [row] = await source.query(
    'SELECT d.snapshot_isolation_state FROM sys.databases AS d WHERE d.database_id = DB_ID()',
  );
  if (Number(row?.snapshot_isolation_state) !== 1) throw snapshotNotAllowed({}, undefined, database);
}

class OpenConnection implements SourceConnection {
  readonly connection: Connection;
  readonly #line: Line;
  #lost: unknown;
  #ended = false;

  constructor(connection: Connection, line: Line) {
    this.connection = connection;
    this.#line = line;
    connection.removeAllListeners('error');
    // Without a listener a lost connection would end the process; the running request is told as well.
    connection.on('error', (error) => {
      this.#lost ??= error;
    });
    connection.once('end', () => {
      this.#ended = true;
    });
  }

  get isOpen(): boolean {
    return !this.#ended;
  }

  answer(rows: number): Answer {
    return new Answer(this.#line, rows);
  }

  query(
    sql: string,
    parameters: readonly QueryParameter[] = [],
    scanned = 0,
  ): Promise<Record<string, unknown>[]> {
    const answer = this.answer(scanned);
    const all = new Promise<Record<string, unknown>[]>((resolve, reject) => {
      if (this.#ended) {
        const lost = this.#lost ?? new Error('the connection is closed');
        reject(
          new AppError('SOURCE_CONNECTION_LOST', `The connection to the source was lost: ${String(lost)}`),
        );
        return;
      }
      const rows: Record<string, unknown>[] = [];
      const request = new Request(sql, (error) => (error ? reject(answer.error(error)) : resolve(rows)));
      for (const { name, value } of parameters) addParameter(request, name, value);
      // Copies of one object share its hidden class: put together name by name, a row of `sys.columns` takes seven times
      // the memory, and a database has millions of them.
      let shape: Record<string, unknown> | null = null;
      request.on('columnMetadata', () => {
        shape = null;
      });
      request.on('row', (columns: { value: unknown; metadata: { colName: string } }[]) => {
        shape ??= Object.fromEntries(columns.map(({ metadata }) => [metadata.colName, null]));
        const row = { ...shape };
        for (const column of columns) row[column.metadata.colName] = column.value;
        rows.push(row);
      });
      this.connection.execSql(request);
    });
    return answer.wait(all);
  }

  close(): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      this.connection.once('end', () => resolve());
      this.connection.close();
    });
  }
}

function addParameter(request: Request, name: string, value: string | number | null): void {
  if (typeof value !== 'number') request.addParameter(name, TYPES.NVarChar, value);
  else if (value >= -0x8000_0000 && value <= 0x7fff_ffff) request.addParameter(name, TYPES.Int, value);
  else request.addParameter(name, TYPES.BigInt, value);
}
