/**
 * A verification for programs, and what the command `verify` is built on.
 *
 * Runs on the main thread of the program that imports it.
 */
import type { Config } from '../config/schema.js';
import type { VerifyOutcome, VerifyRunOptions } from '../engine/verifyRun.js';
import type { VerifyResult } from '../observe/commandSchemas.js';
import { verifyResult, verifyVerdict } from '../observe/verifyResult.js';
import { type CommonOptions, type ConfigSource, readSource, watched } from './options.js';

export interface VerifyOptions extends CommonOptions {
  /** How many keys to name of each kind of difference; none unless given. */
  details?: number;
  /** Rows of a coarse range, in place of `batch_verify.tier1_batch_size`. */
  tier1Rows?: number;
  /** Rows of a fine range, in place of `batch_verify.tier2_batch_size`. */
  tier2Rows?: number;
  /** Compares the target's stored row hashes, and its values only where these differ. */
  trustRowHash?: boolean;
}

/**
 * Compares the rows of source and target by hashes of their values.
 *
 * @returns what was found of every table. `status` is `success` only where all hold the same rows; otherwise `error`
 *   has the code ROWS_DIFFER, or that of a table that could not be compared.
 * @throws AppError where no table could be compared: configuration, connections, planning, CANCELLED
 */
export async function verify(config: ConfigSource, options: VerifyOptions = {}): Promise<VerifyResult> {
  const startedAt = new Date();
  const { details = 0, tier1Rows, tier2Rows, trustRowHash = false } = options;
  const read = await readSource(config, options);
  const outcome = await watched(options, (signal, onEvent) =>
    verifyConfigured(read, {
      ...{ details, tier1Rows, tier2Rows, trustRowHash, signal, onEvent },
    }),
  );
  return verifyResult('verify', { startedAt, finishedAt: new Date() }, outcome, verifyVerdict(outcome));
}

/** The same of a configuration that was read already. */
export async function verifyConfigured(config: Config, options: VerifyRunOptions): Promise<VerifyOutcome> {
  // Loaded only now: a wrong configuration should not wait for the drivers.
  const { runVerify } = await import('../engine/verifyRun.js');
  return runVerify(config, options);
}
