/**
 * Turns whatever tedious or SQL Server reports into the program's own errors.
 *
 * Runs on the main thread and in the reader workers.
 */
import { AppError, atPlace, type ErrorCode, type ErrorPlace, namedError } from '../errors.js';

/** What an error of tedious may carry; nothing of it is certain. */
interface DriverError {
  message?: string;
  code?: string;
  number?: number;
  /** Severity. */
  class?: number;
  cause?: unknown;
  errors?: unknown[];
}

/** Where the connection goes, for messages. */
export interface SourceAddress {
  host: string;
  port: number;
  database: string;
  user: string;
}

const UNREACHABLE = new Set([
  'ESOCKET',
  'ETIMEOUT',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EINSTLOOKUP',
  'EPIPE',
]);
const TLS = /certificate|self.signed|unable to verify|altname|TLS|SSL|EPROTO|wrong version number/i;
/** No protocol or key that both sides take. */
const OLD_TLS = /unsupported.protocol|protocol.version|key.too.small|md.too.weak|no.shared.cipher/i;
const LOGIN_NUMBERS = new Set([18450, 18451, 18452, 18456, 18461, 18470, 18486, 18487, 18488]);
const DATABASE_NUMBERS = new Set([911, 4060, 4063, 4064]);
/** The session is over, by KILL, shutdown or failover; from 22 on data is damaged. */
const FATAL_SEVERITIES: ReadonlySet<number> = new Set([20, 21]);
/** What an availability group answers to connections its replica does not take, and what to do about it. */
const REPLICA_REMEDIES: ReadonlyMap<number, string> = new Map([
  [976, 'Have this replica allow reading (SECONDARY_ROLE, ALLOW_CONNECTIONS), or connect to the primary.'],
  [978, 'Set source.application_intent: read_only.'],
  [979, 'Set source.application_intent: read_write, or connect to a readable secondary.'],
  [
    982,
    'Have a secondary allow reading (SECONDARY_ROLE, ALLOW_CONNECTIONS), or set source.application_intent: read_write.',
  ],
]);
const PERMISSION_NUMBERS = new Set([229, 230, 262, 297, 300, 916]);
/**
 * Pages moved under a NOLOCK scan, deadlock victim, lock timeout, snapshot conflict, resources, a database or server that is
 * about to be there, failover, and Azure SQL's throttling.
 */
const TRANSIENT_NUMBERS = new Set([
  601, 701, 802, 845, 921, 922, 983, 1204, 1205, 1222, 3947, 3948, 3958, 3960, 3961, 3966, 4221, 18401, 8645,
  8651, 10053, 10054, 10060, 10928, 10929, 10936, 40143, 40197, 40501, 40540, 40613, 42108, 42109, 49918,
  49919, 49920,
]);

/** At a login: the server's user connections, or the sessions that Azure SQL gives a database or an elastic pool. */
const LIMIT_NUMBERS = new Set([17809, 10928, 10936]);
const LIMIT_REMEDY =
  'Raise the server’s limit (sp_configure "user connections", the service tier of Azure SQL), end other sessions, or lower migration.max_mssql_connections.';

/** A memory-optimized table was read in a session of SNAPSHOT isolation, or with NOLOCK. */
const MEMORY_OPTIMIZED_NUMBERS = new Set([10794, 41332]);
const MEMORY_OPTIMIZED_REMEDY =
  'Set source.isolation: read_committed: SQL Server reads versions of memory-optimized tables in any case.';

/**
 * Names what went wrong on an open connection. An `AppError` passes through, with the place filled in.
 *
 * @param place where it happened; printed with the error.
 */
export function sourceError(error: unknown, place: ErrorPlace = {}): AppError {
  const named = namedError(error);
  if (named !== null) return atPlace(named, place);
  const { message, code, number, class: severity = 0 } = asDriverError(error);
  const said = message ?? String(error);
  const build = (errorCode: ErrorCode, text: string, remedy?: string): AppError =>
    new AppError(errorCode, text, {
      ...place,
      ...(remedy !== undefined && { remedy }),
      ...(number !== undefined && { serverCode: String(number) }),
      cause: error,
    });
  if (number !== undefined) {
    if (PERMISSION_NUMBERS.has(number)) {
      return build(
        'SOURCE_PERMISSION',
        `The source refused: ${said}`,
        'Grant the source login SELECT on it.',
      );
    }
    if (number === 3952) return snapshotNotAllowed(place, error);
    if (MEMORY_OPTIMIZED_NUMBERS.has(number)) {
      return build('SOURCE_QUERY', `The source reported error ${number}: ${said}`, MEMORY_OPTIMIZED_REMEDY);
    }
    if (TRANSIENT_NUMBERS.has(number) || FATAL_SEVERITIES.has(severity))
      return build('SOURCE_TRANSIENT', `The source gave up for now: ${said}`);
    if (DATABASE_NUMBERS.has(number)) return build('SOURCE_DATABASE_UNKNOWN', said, 'Check source.database.');
    if (LOGIN_NUMBERS.has(number)) {
      return build('SOURCE_LOGIN_FAILED', said, 'Check source.user and source.password.');
    }
    return build('SOURCE_QUERY', `The source reported error ${number}: ${said}`);
  }
  if (code === 'ETIMEOUT' || code === 'ECANCEL') {
    return build(
      'SOURCE_TRANSIENT',
      `The source did not answer in time: ${said}`,
      'Raise source.request_timeout_seconds.',
    );
  }
  if (code !== undefined && (UNREACHABLE.has(code) || code === 'ECLOSE' || code === 'ECONNCLOSED')) {
    return build('SOURCE_CONNECTION_LOST', `The connection to the source was lost: ${said}`);
  }
  return build('SOURCE_QUERY', `The source could not run a statement: ${said}`);
}

/**
 * Names what kept a connection from being made.
 *
 * @param numbers SQL Server's error numbers seen during login, which tedious leaves out of its own error.
 */
export function connectError(error: unknown, address: SourceAddress, numbers: readonly number[]): AppError {
  const named = namedError(error);
  if (named !== null) return named;
  const { message, code } = asDriverError(error);
  const said = message ?? String(error);
  const where = `${address.host}:${address.port}`;
  const number =
    numbers.find((candidate) => REPLICA_REMEDIES.has(candidate)) ??
    numbers.find((candidate) => DATABASE_NUMBERS.has(candidate)) ??
    numbers.at(-1);
  const build = (errorCode: ErrorCode, text: string, remedy: string): AppError =>
    new AppError(errorCode, text, {
      remedy,
      ...(number !== undefined && { serverCode: String(number) }),
      cause: error,
    });
  const replica = number === undefined ? undefined : REPLICA_REMEDIES.get(number);
  if (replica !== undefined) {
    return build(
      'SOURCE_LOGIN_FAILED',
      `SQL Server at ${where} does not take this connection: ${said}`,
      replica,
    );
  }
  if (number !== undefined && DATABASE_NUMBERS.has(number)) {
    return build(
      'SOURCE_DATABASE_UNKNOWN',
      `SQL Server at ${where} does not open database ${address.database} for login ${address.user}: ${said}`,
      'Check source.database, and that the login has a user in it.',
    );
  }
  if (number !== undefined && LIMIT_NUMBERS.has(number)) {
    return build(
      'SOURCE_UNREACHABLE',
      `SQL Server at ${where} takes no further connection: ${said}`,
      LIMIT_REMEDY,
    );
  }
  if (number !== undefined && TRANSIENT_NUMBERS.has(number)) {
    return build('SOURCE_TRANSIENT', `SQL Server at ${where} gave up for now: ${said}`, 'Try again later.');
  }
  if (number !== undefined && (code === 'ELOGIN' || LOGIN_NUMBERS.has(number))) {
    return build(
      'SOURCE_LOGIN_FAILED',
      `SQL Server at ${where} refused ${address.user === '' ? 'the login' : `login ${address.user}`}: ${said}`,
      'Check source.user and source.password, and that the server allows source.authentication.',
    );
  }
  if (code === 'EENCRYPT') {
    return build('SOURCE_TLS', `SQL Server at ${where} demands encryption`, 'Set source.encrypt: true.');
  }
  if (code === 'EFEDAUTH') {
    return build(
      'SOURCE_LOGIN_FAILED',
      `No token for SQL Server at ${where}: ${innermostMessage(error)}`,
      'Check source.authentication with its client_id, tenant_id and secret, and that this host reaches the identity service.',
    );
  }
  if (code === 'ELOGIN') {
    return build(
      'SOURCE_LOGIN_FAILED',
      `SQL Server at ${where}: ${said}`,
      'Check source.user and source.password.',
    );
  }
  if (OLD_TLS.test(said)) {
    return build(
      'SOURCE_TLS',
      `SQL Server at ${where} and this program have no TLS in common: ${said.trim()}`,
      'Update the server until it has TLS 1.2 (SQL Server 2012 and 2014 need a service pack) and a key of 2048 bits; meanwhile NODE_OPTIONS="--tls-min-v1.0 --tls-cipher-list=DEFAULT@SECLEVEL=0" lets this program take what it has.',
    );
  }
  if (TLS.test(said) || TLS.test(innermostMessage(error))) {
    return build(
      'SOURCE_TLS',
      `No trusted TLS connection to SQL Server at ${where}: ${said}`,
      'Set source.ca_file to the certificate authority that signed the server’s certificate, or, on a network you trust, source.trust_server_cert: true.',
    );
  }
  return build(
    'SOURCE_UNREACHABLE',
    `SQL Server at ${where} can't be reached: ${said}`,
    'Check source.host and source.port, that the server listens on TCP, and that no firewall is in between.',
  );
}

/** SNAPSHOT isolation was configured where the database does not have it. */
export function snapshotNotAllowed(place: ErrorPlace, cause?: unknown, database?: string): AppError {
  const name = database === undefined ? '<database>' : `[${database.replaceAll(']', ']]')}]`;
  return new AppError(
    'SOURCE_QUERY',
    'source.isolation is snapshot, and the source database does not allow it',
    {
      ...place,
      remedy: `Run ALTER DATABASE ${name} SET ALLOW_SNAPSHOT_ISOLATION ON on the source, or set source.isolation: read_committed.`,
      serverCode: '3952',
      ...(cause !== undefined && { cause }),
    },
  );
}

function asDriverError(error: unknown): DriverError {
  if (typeof error !== 'object' || error === null) return {};
  const outer: DriverError = error;
  // tedious reports several ERROR tokens of one statement as an AggregateError; the first is the reason.
  if (Array.isArray(outer.errors) && outer.errors.length > 0) return asDriverError(outer.errors[0]);
  return outer;
}

function innermostMessage(error: unknown): string {
  let current = error;
  let message = '';
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    message = current.message;
    current = current.cause;
  }
  return message;
}
