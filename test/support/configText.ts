/**
 * A small configuration, and what is said of a faulty one. Main thread of the test.
 */
import assert from 'node:assert/strict';
import { readConfig } from '../../src/config/load.js';
import { AppError, type ErrorCode, exitCodeOf } from '../../src/errors.js';

/** Nothing but what has no default. */
export const MINIMAL = `
source: { host: mssql, database: Sales, user: sa, password: s3cret-source }
target: { host: pg, database: sales, user: app, password: s3cret-target }
`;

/** @returns what a configuration is refused with */
export function failure(text: string, environment: Record<string, string> = {}): AppError {
  try {
    readConfig(text, { file: 'c.yaml', environment });
  } catch (error) {
    assert.ok(error instanceof AppError, String(error));
    return error;
  }
  assert.fail('the configuration was accepted');
}

/** A configuration is refused with this code and such a message. */
export function assertFailure(text: string, code: ErrorCode, ...patterns: RegExp[]): void {
  const error = failure(text);
  assert.equal(error.code, code, error.message);
  assert.equal(exitCodeOf(error), 1);
  for (const pattern of patterns) assert.match(error.message, pattern);
}
