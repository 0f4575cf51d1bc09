/**
 * Connections to PostgreSQL: TLS as `ssl_mode` says, login, and session settings under which values are exact.
 *
 * Runs on the main thread and in the writer workers. COPY takes the pg client from here.
 */
import type pg from 'pg';
import { AppError, cancellation } from '../errors.js';
import { Client } from './driver.js';
import { connectError, sqlStateOf, targetError } from './errors.js';
import { fallsBack, type SslMode, type TlsAttempt, tlsAttempts } from './tls.js';
import { type Beside, type SessionState, type Stop, watched } from './watching.js';

export { targetError } from './errors.js';
export type { SslMode } from './tls.js';

/** The parts of the config's `target` a connection needs; plain data, so that workers can be given it. */
export interface TargetOptions {
  host: string;
  port: number;
  database: string;
  user: string;
  password: string;
  ssl_mode: SslMode;
  /** PEM file of the certificate authorities to trust. */
  ssl_ca_file?: string | null | undefined;
  /** PEM files of the certificate to log in with and of its key. */
  ssl_cert_file?: string | undefined;
  ssl_key_file?: string | undefined;
  connect_timeout_seconds: number;
  /** How long a statement waits for another session's lock; 0: for ever. */
  lock_timeout_seconds: number;
  /** How long the target may let a chunk's COPY or COMMIT wait; 0 or left out: for ever. */
  stall_timeout_seconds?: number;
}

/** One session on the target. */
export interface TargetConnection {
  /** For COPY and transactions. */
  readonly client: pg.Client;
  /** False once it was closed or lost. */
  readonly isOpen: boolean;
  /** Process id of the session on the server, or null where the server gave none. */
  readonly session: number | null;
  /** True over TLS. */
  readonly encrypted: boolean;
  /** `server_version_num`: 180004 is 18.4. */
  readonly serverVersion: number;
  /**
   * Runs a statement with a small result. bigint and numeric arrive as text.
   *
   * @throws AppError as `targetError` names it; CANCELLED where the run was to stop meanwhile
   */
  query<Row extends object = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<Row[]>;
  /** Idempotent; cuts off a statement that is still running. */
  close(): Promise<void>;
}

/** What sessions of this program call themselves. */
export const APPLICATION_NAME = 'mssql-pg-migrate';

/** pg_blocking_pids, declarative partitions, generated columns: what the statements here count on. */
const OLDEST_VERSION = 120_000;

/**
 * Logs in and sets the session up.
 *
 * @param stop of a session on which everything may be done again: how its statements end where the run is to stop
 * @throws AppError TARGET_LOGIN_FAILED, TARGET_DATABASE_UNKNOWN, TARGET_TLS, TARGET_UNREACHABLE, TARGET_PERMISSION,
 * UNSUPPORTED (server too old), CONFIG_INVALID or IO (certificate files).
 */
export async function connectTarget(
  options: TargetOptions,
  stop: Stop | null = null,
): Promise<TargetConnection> {
  const { client, encrypted } = await connectClient(options);
  const { connect_timeout_seconds: seconds } = options;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    client.connection.stream.destroy();
  }, seconds * 1000);
  try {
    const serverVersion = await setUpSession(client, options);
    return new OpenConnection(client, encrypted, serverVersion, options, stop);
  } catch (error) {
    await client.end().catch(() => {});
    if (!late) throw error;
    throw connectError(timedOut(new Error(`logged in, and then no answer within ${seconds} s`)), options);
  } finally {
    clearTimeout(timer);
  }
}

async function connectClient(options: TargetOptions): Promise<{ client: pg.Client; encrypted: boolean }> {
  const attempts = tlsAttempts(options);
  const failures: unknown[] = [];
  for (const attempt of attempts) {
    const client = new Client({
      host: options.host,
      port: options.port,
      database: options.database,
      user: options.user,
      password: options.password,
      ssl: attempt,
      application_name: APPLICATION_NAME,
      keepAlive: true,
      keepAliveInitialDelayMillis: 30_000,
      connectionTimeoutMillis: options.connect_timeout_seconds * 1000,
    });
    // Without a listener a lost connection would end the process; the running query is told as well.
    client.on('error', () => {});
    try {
      await client.connect();
      return { client, encrypted: attempt !== false };
    } catch (error) {
      // pg's own error of its time limit has no code.
      failures.push(error instanceof Error && error.message === 'timeout expired' ? timedOut(error) : error);
      // A failed connect leaves the socket to us.
      await client.end().catch(() => {});
      if (!mayFallBack(attempt, error)) break;
    }
  }
  throw connectError(tellingFailure(failures), options);
}

/** @returns the error with the system's code of a time limit */
function timedOut(error: Error): Error {
  return Object.assign(error, { code: 'ETIMEDOUT' });
}

function mayFallBack(attempt: TlsAttempt, error: unknown): boolean {
  const code = connectError(error, { host: '', port: 0, database: '', user: '', ssl_mode: '' }).code;
  return fallsBack(attempt, sqlStateOf(error), code === 'TARGET_UNREACHABLE');
}

/** Of two refusals the one about the password says more than the one about pg_hba.conf. */
function tellingFailure(failures: readonly unknown[]): unknown {
  return failures.find((failure) => sqlStateOf(failure) === '28P01') ?? failures[0];
}

async function setUpSession(client: pg.Client, options: TargetOptions): Promise<number> {
  const settings: [string, string][] = [
    ['client_encoding', 'UTF8'],
    ['datestyle', 'ISO, MDY'],
    ['intervalstyle', 'postgres'],
    ['timezone', 'UTC'],
    ['bytea_output', 'hex'],
    ['standard_conforming_strings', 'on'],
    ['extra_float_digits', '1'],
    ['xmloption', 'content'],
    ['statement_timeout', '0'],
    ['idle_in_transaction_session_timeout', '0'],
    // Not every version has these two.
    ['idle_session_timeout', '0'],
    ['transaction_timeout', '0'],
    // The ledger counts on seeing what others have committed, and chunks on committing beside each other.
    ['default_transaction_isolation', 'read committed'],
    // Statements here call functions for every row; compiling them first, as their guessed cost suggests, gains nothing.
    ['jit', 'off'],
    ['lock_timeout', `${options.lock_timeout_seconds}s`],
    // A server whose client has gone without a word should not keep its locks for hours.
    ['tcp_keepalives_idle', '30'],
    ['tcp_keepalives_interval', '10'],
    ['tcp_keepalives_count', '3'],
    // Nor build an index that nobody waits for, and that whoever goes on wants to build. Not every system can.
    ['client_connection_check_interval', '5s'],
  ];
  try {
    // A crash must not take back a commit that was answered: what follows counts on it.
    const names = settings.map(([name]) => name);
    const values = settings.map(([, value]) => value);
    const result = await client.query<{ version: string; settings: string[] }>(
      `SELECT current_setting('server_version_num') AS version,
        ARRAY(SELECT set_config(s.name, s.value, false) FROM unnest($1::text[], $2::text[]) AS s(name, value)
          WHERE current_setting(s.name, true) IS NOT NULL
            AND (s.name <> 'client_connection_check_interval' OR version() LIKE '%linux%')) AS settings,
        CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'local', false) END`,
      [names, values],
    );
    const version = Number(result.rows[0]?.version);
    if (version < OLDEST_VERSION) {
      throw new AppError(
        'UNSUPPORTED',
        `PostgreSQL at ${options.host}:${options.port} is version ${Math.floor(version / 10_000)}`,
        { remedy: 'Migrate into PostgreSQL 12 or newer.' },
      );
    }
    return version;
  } catch (error) {
    throw targetError(error);
  }
}

const FAREWELL_MS = 2000;

class OpenConnection implements TargetConnection {
  readonly client: pg.Client;
  readonly session: number | null;
  readonly encrypted: boolean;
  readonly serverVersion: number;
  readonly #options: TargetOptions;
  readonly #stop: Stop | null;
  #closing: Promise<void> | null = null;
  #ended = false;
  /** What ended the session while no statement was there to be told. */
  #endedBy: unknown = null;

  constructor(
    client: pg.Client,
    encrypted: boolean,
    serverVersion: number,
    options: TargetOptions,
    stop: Stop | null,
  ) {
    this.#options = options;
    this.#stop = stop;
    this.client = client;
    // Not in the types: what BackendKeyData brought.
    const { processID } = client as unknown as { processID?: number | null };
    this.session = processID ?? null;
    this.encrypted = encrypted;
    this.serverVersion = serverVersion;
    client.once('end', () => {
      this.#ended = true;
    });
    client.once('error', (error) => {
      this.#endedBy = error;
    });
  }

  get isOpen(): boolean {
    return !this.#ended && this.#closing === null;
  }

  async query<Row extends object = Record<string, unknown>>(
    sql: string,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    try {
      // Without values pg uses the simple protocol, which allows several statements in one string.
      const answer = values.length === 0 ? this.client.query(sql) : this.client.query(sql, [...values]);
      return (await this.#watch(answer)).rows as Row[];
    } catch (error) {
      const named = this.#telling(targetError(error));
      throw this.#isStopped(named) ? cancellation(this.#stop!.signal) : named;
    }
  }

  /** Of a connection that was lost before, the statement only says that it is not there. */
  #telling(error: AppError): AppError {
    if (error.code !== 'TARGET_CONNECTION_LOST' || error.serverCode !== undefined) return error;
    const reason = this.#endedBy === null ? error : targetError(this.#endedBy);
    return reason.code === error.code ? reason : error;
  }

  /** What a stop ended has not failed. */
  #isStopped({ code, serverCode }: AppError): boolean {
    return (
      this.#stop?.signal.aborted === true && (serverCode === '57014' || code === 'TARGET_CONNECTION_LOST')
    );
  }

  #watch<T>(answer: Promise<T>): Promise<T> {
    const { session } = this;
    if (session === null) return answer;
    const options = this.#options;
    const stallMs = (options.stall_timeout_seconds ?? 0) * 1000;
    const beside: Beside = {
      ask: () => sessionState(options, session),
      cancel: (which) => cancelStatement(options, session, which),
      hangUp: () => this.client.connection.stream.destroy(),
    };
    return watched({ stallMs, stop: this.#stop }, beside, answer);
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  /** A peer that has gone without a word answers no farewell. */
  async #end(): Promise<void> {
    const timer = setTimeout(() => this.client.connection.stream.destroy(), FAREWELL_MS);
    try {
      await this.client.end();
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Asks what a session of the same role does. @throws AppError as `connectTarget` */
async function sessionState(options: TargetOptions, pid: number): Promise<SessionState> {
  const [row] = await askBeside<{ state: string | null; waits: boolean }>(
    options,
    `SELECT state, COALESCE(wait_event_type = 'Client', false) AS waits FROM pg_stat_activity WHERE pid = $1`,
    [pid],
  );
  return row === undefined ? null : { state: row.state ?? 'active', waitsForClient: row.waits };
}

/** Ends the statement of a session of the same role, and not the session. @throws AppError as `connectTarget` */
export async function cancelStatement(
  options: TargetOptions,
  pid: number,
  which: Parameters<Beside['cancel']>[0],
): Promise<void> {
  await askBeside(
    options,
    `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
      WHERE pid = $1 AND application_name = $2 AND usename = current_user AND datname = current_database()
        -- Sessions that work hold these three for a moment only: to make a file longer, for one.
        AND (wait_event_type = 'Lock' AND wait_event NOT IN ('extend', 'page', 'spectoken') OR $3)`,
    [pid, APPLICATION_NAME, which === 'whatever it does'],
  );
}

/** Asks on a connection of its own, beside a session that works. @throws AppError as `connectTarget` */
async function askBeside<Row extends object>(
  options: TargetOptions,
  sql: string,
  values: unknown[],
): Promise<Row[]> {
  const { client } = await connectClient(options);
  const timer = setTimeout(
    () => client.connection.stream.destroy(),
    Math.max(1, options.connect_timeout_seconds) * 1000,
  );
  try {
    return (await client.query<Row>(sql, values)).rows;
  } catch (error) {
    throw targetError(error);
  } finally {
    clearTimeout(timer);
    await client.end().catch(() => {});
  }
}

/** Runs `work` in a transaction of its own; what it throws rolls everything back. */
export async function inTransaction<T>(target: TargetConnection, work: () => Promise<T>): Promise<T> {
  await target.query('BEGIN');
  try {
    const result = await work();
    await target.query('COMMIT');
    return result;
  } catch (error) {
    // The first error is the one to report, also where the connection is gone.
    await target.query('ROLLBACK').catch(() => {});
    throw error;
  }
}
