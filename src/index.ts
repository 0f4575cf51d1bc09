/**
 * What the package exports: the library, which the command line is built on.
 *
 * Runs on the main thread of the program that imports it.
 */
export type { Overrides } from './config/load.js';
export type { ConfigInput } from './config/schema.js';
export type { RunEvent, RunEventHandler, RunPhase } from './engine/events.js';
export { AppError, ERROR_CODES, type ErrorCode, type ErrorData, exitCodeOf, isRetryable } from './errors.js';
export { type MigrateOptions, migrate } from './library/migrate.js';
export type { CommonOptions, ConfigSource } from './library/options.js';
export { type VerifyOptions, verify } from './library/verify.js';
export type { VerifyResult, VerifyTableResult } from './observe/commandSchemas.js';
export type { ResultError, RunResult, TableResult } from './observe/result.js';
