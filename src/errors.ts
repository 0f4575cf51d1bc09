/**
 * The one table of error codes, and the only error class that leaves this program.
 *
 * Runs on every thread. Structured clone drops an error's class and code, so an error crosses a thread
 * boundary as data (`toErrorData`) and is raised again on the other side (`fromErrorData`).
 * Match on `code`, never on the class or the message.
 */
import { existsSync } from 'node:fs';
import { redacted } from './secrets.js';

/** Process exit codes, as promised to schedulers. */
export const EXIT = {
  ok: 0,
  config: 1,
  connection: 2,
  transfer: 3,
  validation: 4,
  cancelled: 5,
  state: 6,
  io: 7,
} as const;

/**
 * What each code means to the process (`exit`) and to a scheduler (`retryable`: the same command may succeed later); to
 * people, in `scripts/docs/errorTexts.ts`.
 */
const CODES = {
  CONFIG_NOT_FOUND: { exit: EXIT.config, retryable: false },
  CONFIG_SYNTAX: { exit: EXIT.config, retryable: false },
  CONFIG_INVALID: { exit: EXIT.config, retryable: false },
  CONFIG_VARIABLE_UNSET: { exit: EXIT.config, retryable: false },
  USAGE: { exit: EXIT.config, retryable: false },
  UNSUPPORTED: { exit: EXIT.config, retryable: false },
  RUN_IMPOSSIBLE: { exit: EXIT.config, retryable: false },
  SOURCE_UNREACHABLE: { exit: EXIT.connection, retryable: true },
  SOURCE_LOGIN_FAILED: { exit: EXIT.connection, retryable: false },
  SOURCE_DATABASE_UNKNOWN: { exit: EXIT.connection, retryable: false },
  SOURCE_TLS: { exit: EXIT.connection, retryable: false },
  SOURCE_CONNECTION_LOST: { exit: EXIT.connection, retryable: true },
  TARGET_UNREACHABLE: { exit: EXIT.connection, retryable: true },
  TARGET_LOGIN_FAILED: { exit: EXIT.connection, retryable: false },
  TARGET_DATABASE_UNKNOWN: { exit: EXIT.connection, retryable: false },
  TARGET_TLS: { exit: EXIT.connection, retryable: false },
  TARGET_CONNECTION_LOST: { exit: EXIT.connection, retryable: true },
  SOURCE_PERMISSION: { exit: EXIT.transfer, retryable: false },
  SOURCE_QUERY: { exit: EXIT.transfer, retryable: false },
  SOURCE_TRANSIENT: { exit: EXIT.transfer, retryable: true },
  TARGET_PERMISSION: { exit: EXIT.transfer, retryable: false },
  TARGET_QUERY: { exit: EXIT.transfer, retryable: false },
  TARGET_TRANSIENT: { exit: EXIT.transfer, retryable: true },
  TABLE_NOT_FOUND: { exit: EXIT.config, retryable: false },
  TYPE_UNSUPPORTED: { exit: EXIT.transfer, retryable: false },
  VALUE_UNREPRESENTABLE: { exit: EXIT.transfer, retryable: false },
  VALUE_TOO_LARGE: { exit: EXIT.transfer, retryable: false },
  SCHEMA_CONFLICT: { exit: EXIT.transfer, retryable: false },
  PROTOCOL: { exit: EXIT.transfer, retryable: true },
  WORKER_DIED: { exit: EXIT.transfer, retryable: true },
  TABLES_FAILED: { exit: EXIT.transfer, retryable: true },
  ROWS_DIFFER: { exit: EXIT.validation, retryable: false },
  ROW_COUNT_MISMATCH: { exit: EXIT.validation, retryable: false },
  CANCELLED: { exit: EXIT.cancelled, retryable: true },
  STATE_INVALID: { exit: EXIT.state, retryable: false },
  IO: { exit: EXIT.io, retryable: true },
  INTERNAL: { exit: EXIT.transfer, retryable: false },
} as const satisfies Record<string, { exit: number; retryable: boolean }>;

export type ErrorCode = keyof typeof CODES;
export const ERROR_CODES = Object.keys(CODES) as ErrorCode[];

/** Where an error happened; every part that is known is printed. */
export interface ErrorPlace {
  table?: string;
  column?: string;
  key?: string;
  partition?: number;
}

/** An error as plain data: what crosses threads and what `--output-json` prints. */
export interface ErrorData extends ErrorPlace {
  code: ErrorCode;
  message: string;
  /** What a person can do about it. */
  remedy?: string;
  /** The server's own code: SQLSTATE of PostgreSQL, or error number of SQL Server. */
  serverCode?: string;
  stack?: string;
}

/** The program's own error. `message` says what went wrong, `remedy` what to do about it. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string | undefined;
  readonly serverCode: string | undefined;
  readonly place: ErrorPlace;

  constructor(
    code: ErrorCode,
    message: string,
    detail: ErrorPlace & { remedy?: string; serverCode?: string; cause?: unknown } = {},
  ) {
    super(redacted(message), detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'AppError';
    this.code = code;
    this.remedy = detail.remedy === undefined ? undefined : redacted(detail.remedy);
    this.serverCode = detail.serverCode;
    const { table, column, key, partition } = detail;
    this.place = {
      ...(table !== undefined && { table }),
      ...(column !== undefined && { column }),
      ...(key !== undefined && { key }),
      ...(partition !== undefined && { partition }),
    };
  }
}

/** @returns why a run was cancelled, as the error it ends with. */
export function cancellation(signal: AbortSignal): AppError {
  return signal.reason instanceof AppError
    ? signal.reason
    : new AppError('CANCELLED', 'The run was cancelled');
}

/** @throws AppError all of these as one, where there are any: the first one's code, every one's text and remedy. */
export function requireNone(obstacles: readonly AppError[]): void {
  const [first, ...others] = obstacles;
  if (first === undefined) return;
  if (others.length === 0) throw first;
  const remedies = new Set(obstacles.flatMap(({ remedy }) => (remedy === undefined ? [] : [remedy])));
  throw new AppError(first.code, obstacles.map(({ message }) => message).join('; '), {
    ...first.place,
    remedy: [...remedies].join(' '),
    cause: first,
  });
}

/** @returns the process exit code for an error; anything unknown is an internal transfer error. */
export function exitCodeOf(error: unknown): (typeof EXIT)[keyof typeof EXIT] {
  return CODES[toErrorData(error).code].exit;
}

/** @returns whether running the same command again may succeed without anyone changing anything. */
export function isRetryable(error: unknown): boolean {
  return CODES[toErrorData(error).code].retryable;
}

/** Flattens any thrown value to data that structured clone and JSON both keep. */
export function toErrorData(error: unknown): ErrorData {
  if (error instanceof AppError) {
    return {
      code: error.code,
      message: error.message,
      ...error.place,
      ...(error.remedy !== undefined && { remedy: error.remedy }),
      ...(error.serverCode !== undefined && { serverCode: error.serverCode }),
      ...(error.stack !== undefined && { stack: redacted(error.stack) }),
    };
  }
  const tooMany = openFilesError(error);
  if (tooMany !== null) return toErrorData(tooMany);
  if (error instanceof Error) {
    return {
      code: 'INTERNAL',
      message: redacted(error.message || error.name),
      ...(error.stack !== undefined && { stack: redacted(error.stack) }),
    };
  }
  return { code: 'INTERNAL', message: redacted(String(error)) };
}

/** @returns `error` where it has its name already, or comes from too many open files; null where it is a server's own */
export function namedError(error: unknown): AppError | null {
  return error instanceof AppError ? error : openFilesError(error);
}

/** How deep the causes of an error may lie. */
const MOST_CAUSES = 8;

/** @returns that this process can't open one more file or connection, where that is what `error` comes from; else null */
export function openFilesError(error: unknown): AppError | null {
  let current = error;
  for (let depth = 0; depth < MOST_CAUSES && current instanceof Error; depth++) {
    const { code, message, cause, errors } = current as NodeJS.ErrnoException & { errors?: unknown[] };
    // What crosses a thread on its own has lost its code.
    if (code === 'EMFILE' || code === 'ENFILE' || /^E[MN]FILE: /.test(message) || isThere(message)) {
      const limit = openFilesLimit();
      const most = limit === null ? 'as many files and connections as it may' : `all of its ${limit} files`;
      return new AppError('IO', `This process has ${most} open: ${message}`, {
        remedy:
          'Raise the limit of open files (ulimit -n, LimitNOFILE of systemd, --ulimit nofile of a container; 1024 will do), or lower migration.parallel_readers and write_ahead_writers.',
        cause: error,
      });
    }
    current = cause ?? errors?.[0];
  }
  return null;
}

/** Whether the package is installed that Node's loader calls missing: so it does where it could not open its files. */
function isThere(message: string): boolean {
  const folder = /^Cannot find package '(.+)[\\/]index\.js' imported from /.exec(message)?.[1];
  return folder !== undefined && existsSync(`${folder}/package.json`);
}

/** Asked of Node itself: there is no file left to read it from. */
function openFilesLimit(): number | string | null {
  // Not in the types. Names of the peers of all sockets would be looked up otherwise.
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean };
  const { excludeNetwork } = report;
  report.excludeNetwork = true;
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft: number | string } } };
  if (excludeNetwork !== undefined) report.excludeNetwork = excludeNetwork;
  return userLimits?.open_files?.soft ?? null;
}

/** Raises error data again as an `AppError`, keeping the stack of the thread it came from. */
export function fromErrorData(data: ErrorData): AppError {
  const { code, message, stack, ...detail } = data;
  const error = new AppError(code, message, detail);
  if (stack !== undefined) error.stack = stack;
  return error;
}

/** @returns `error` with the place filled in where it was not known yet. */
export function atPlace(error: unknown, place: ErrorPlace): AppError {
  const data = toErrorData(error);
  return fromErrorData({ ...place, ...data });
}
