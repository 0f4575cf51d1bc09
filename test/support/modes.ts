/** What transfer modes say of a target before they touch it, and what they refuse. Main thread of the test process. */
import assert from 'node:assert/strict';
import { AppError, type ErrorCode, requireNone } from '../../src/errors.js';
import type { TablePlan } from '../../src/plan/model.js';
import type { TransferMode } from '../../src/plan/modes/index.js';
import type { TargetConnection } from '../../src/target/connection.js';

/** @returns the error that `work` is refused with: of this code, and with a remedy. */
export async function refused(work: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<AppError> {
  const error = await work.then(
    () => assert.fail('not refused'),
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof AppError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  assert.ok(error.remedy, 'a remedy');
  return error;
}

/** What `check` says the mode would do; its obstacles are thrown, as `prepare` throws them. */
export async function checked(
  mode: TransferMode,
  connection: TargetConnection,
  plans: TablePlan[],
): Promise<string[][]> {
  const { actions, obstacles } = await mode.check(connection, plans);
  requireNone(obstacles);
  return actions;
}
