/**
 * Turns whatever pg or PostgreSQL reports into the program's own errors.
 *
 * Any thread. What a server said is matched by SQLSTATE, what the network said by the system's error code.
 */
import { AppError, atPlace, type ErrorCode, type ErrorPlace, namedError } from '../errors.js';

/** Where the connection goes, for messages. */
export interface TargetAddress {
  host: string;
  port: number;
  database: string;
  user: string;
  ssl_mode: string;
}

/** What an error of pg may carry; nothing of it is certain. */
interface DriverError {
  message?: string;
  /** SQLSTATE of the server, or the system's error code. */
  code?: string;
  /** Only a server's error has one. */
  severity?: string;
  detail?: string;
  hint?: string;
  constraint?: string;
  table?: string;
  column?: string;
  where?: string;
  errors?: unknown[];
}

const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPIPE',
]);
/** Shutdown, crash, dropped database, and the time limits after which a session is ended. */
const ENDS_SESSION = /^(57P0[1245]|25P0[34]|08)/;
const LOST = /Connection terminated|connection is closed|Client was closed|not queryable/i;
const TLS =
  /certificate|self.signed|altname|SSL|TLS|EPROTO|wrong version number|unable to (verify|get)|secure connection/i;

/**
 * Names what went wrong on an open connection. An `AppError` passes through, with the place filled in.
 *
 * @param place where it happened; printed with the error.
 */
export function targetError(error: unknown, place: ErrorPlace = {}): AppError {
  const named = namedError(error);
  if (named !== null) return atPlace(named, place);
  const driver = asDriverError(error);
  const { code } = driver;
  const state = sqlState(driver);
  const said = spoken(driver, error);
  const key = keyOf(driver);
  const build = (errorCode: ErrorCode, message: string, remedy = driver.hint): AppError =>
    new AppError(errorCode, message, {
      ...(driver.column !== undefined && { column: driver.column }),
      ...(key !== undefined && { key }),
      ...place,
      ...(remedy !== undefined && { remedy }),
      ...(state !== undefined && { serverCode: state }),
      cause: error,
    });
  if (state === undefined) {
    if ((code !== undefined && NETWORK.has(code)) || LOST.test(said)) {
      return build('TARGET_CONNECTION_LOST', `The connection to the target was lost: ${said}`);
    }
    return build('TARGET_QUERY', `The target could not run a statement: ${said}`);
  }
  if (ENDS_SESSION.test(state)) {
    return build('TARGET_CONNECTION_LOST', `The connection to the target was lost: ${said}`);
  }
  if (state === '42501') {
    return build(
      'TARGET_PERMISSION',
      `The target refused: ${said}`,
      'Grant the target role what is missing.',
    );
  }
  if (state === '25006') {
    return build(
      'TARGET_PERMISSION',
      `The target can't be written to: ${said}`,
      'Connect to the primary server, and check default_transaction_read_only.',
    );
  }
  if (state === '55P03') {
    return build(
      'TARGET_TRANSIENT',
      `Another session holds a lock on the target: ${said}`,
      'End that session, or raise target.lock_timeout_seconds.',
    );
  }
  if (state === '53100') {
    return build(
      'TARGET_TRANSIENT',
      `The target has no disk space left: ${said}`,
      'Free space where the target keeps its tables and its WAL, then go on with `resume`: what was committed stays.',
    );
  }
  if (state === '53400') {
    // The same statement comes to the same limit again, unlike one that found no memory, disk or connection.
    return build(
      'TARGET_QUERY',
      `The target's configuration does not allow a statement as large: ${said}`,
      'Raise the limit it names for the target role (temp_file_limit: ALTER ROLE ... SET, as a superuser), or maintenance_work_mem and work_mem, which leave less to temporary files.',
    );
  }
  // What PostgreSQL says of an allocation it never tries is in English everywhere.
  if (state === '54000' || (state === 'XX000' && said.includes('invalid memory alloc request size'))) {
    return build(
      'VALUE_TOO_LARGE',
      `Something is larger than PostgreSQL takes: ${said}`,
      'Shorten the value in the source, or exclude the table.',
    );
  }
  if (isLockTableFull(error)) {
    return build(
      'TARGET_TRANSIENT',
      `The target has no room for more locks: ${said}`,
      "Raise max_locks_per_transaction in the target's postgresql.conf and restart the server, or end sessions that lock many tables.",
    );
  }
  if (/^(53|40001|40P01|57P03)/.test(state)) {
    return build('TARGET_TRANSIENT', `The target gave up for now: ${said}`);
  }
  if (state.startsWith('23')) {
    const what = driver.constraint === undefined ? 'the constraint' : `constraint ${driver.constraint}`;
    return build(
      'TARGET_QUERY',
      `The target reported ${state}: ${said}`,
      `Change ${what} in the target, or the rows that violate it, and run again.`,
    );
  }
  return build('TARGET_QUERY', `The target reported ${state}: ${said}`);
}

/** @returns the key a violated constraint speaks of, `word=w12`. */
function keyOf({ code, detail }: DriverError): string | undefined {
  const match = code?.startsWith('23') ? /^Key \((.*?)\)=\((.*)\) /s.exec(detail ?? '') : null;
  return match === null ? undefined : `${match[1]}=${match[2]}`;
}

/** Names what kept a connection from being made. */
export function connectError(error: unknown, address: TargetAddress): AppError {
  const named = namedError(error);
  if (named !== null) return named;
  const driver = asDriverError(error);
  const state = sqlState(driver);
  const said = spoken(driver, error);
  const where = `${address.host}:${address.port}`;
  const build = (errorCode: ErrorCode, message: string, remedy: string): AppError =>
    new AppError(errorCode, message, {
      remedy,
      ...(state !== undefined && { serverCode: state }),
      cause: error,
    });
  if (state === '3D000') {
    return build(
      'TARGET_DATABASE_UNKNOWN',
      `PostgreSQL at ${where} has no database ${address.database}`,
      'Check target.database, or create it: the program does not.',
    );
  }
  // pg itself refuses where the server asks for a password and there is none, before the server can.
  if (state?.startsWith('28') || (state === undefined && /^SASL\b/.test(said))) {
    return build(
      'TARGET_LOGIN_FAILED',
      `PostgreSQL at ${where} refused role ${address.user}: ${said}`,
      'Check target.user, target.password and target.ssl_mode, and the server’s pg_hba.conf.',
    );
  }
  if (state === '42501') {
    return build(
      'TARGET_PERMISSION',
      `PostgreSQL at ${where} does not let role ${address.user} into database ${address.database}: ${said}`,
      'GRANT CONNECT ON DATABASE to the role.',
    );
  }
  if (state === '53300') {
    return build(
      'TARGET_UNREACHABLE',
      `PostgreSQL at ${where} takes no further connection of role ${address.user}: ${said}`,
      'Raise max_connections of the server or the CONNECTION LIMIT of role and database, end other sessions, or lower migration.max_pg_connections.',
    );
  }
  if (state === undefined && TLS.test(said) && !NETWORK.has(driver.code ?? '')) {
    return build(
      'TARGET_TLS',
      `No TLS connection to PostgreSQL at ${where} as target.ssl_mode ${address.ssl_mode} asks for: ${said}`,
      'Check the server’s ssl settings, target.ssl_ca_file, and that target.host is a name in the server’s certificate; or choose another target.ssl_mode.',
    );
  }
  return build(
    'TARGET_UNREACHABLE',
    `PostgreSQL at ${where} can't be reached: ${said}`,
    'Check target.host and target.port, that the server runs and has connections left, and that no firewall is in between.',
  );
}

/** @returns the SQLSTATE of a server's error, or undefined where no server said anything. */
export function sqlStateOf(error: unknown): string | undefined {
  return sqlState(asDriverError(error));
}

/** @returns whether the server has no room for another lock, in memory that is as large as it was when it started */
export function isLockTableFull(error: unknown): boolean {
  const driver = asDriverError(error);
  // The code is that of any memory; in every language the hint names the setting.
  return sqlState(driver) === '53200' && driver.hint?.includes('max_locks_per_transaction') === true;
}

function sqlState(driver: DriverError): string | undefined {
  // A severity comes with every server error; the system's own codes (EPIPE) look like a SQLSTATE as well.
  return driver.severity !== undefined && /^[0-9A-Z]{5}$/.test(driver.code ?? '') ? driver.code : undefined;
}

function spoken(driver: DriverError, error: unknown): string {
  const parts = [driver.message || driver.code || String(error)];
  if (driver.detail !== undefined) parts.push(driver.detail);
  if (driver.constraint !== undefined) parts.push(`constraint ${driver.constraint}`);
  if (driver.table !== undefined) parts.push(`table ${driver.table}`);
  if (driver.where !== undefined) parts.push(driver.where.split('\n', 1)[0] ?? '');
  return parts.join('; ');
}

function asDriverError(error: unknown): DriverError {
  if (typeof error !== 'object' || error === null) return {};
  const outer: DriverError = error;
  // Node tries a host's addresses one after the other and reports them together.
  if (Array.isArray(outer.errors) && outer.errors.length > 0) return asDriverError(outer.errors[0]);
  return outer;
}
