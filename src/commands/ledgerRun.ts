/**
 * Finds a run in the target's ledger, for the commands that only read it.
 *
 * Runs on the main thread.
 */
import type { LedgerRun, LedgerTable } from '../checkpoint/runs.js';
import { configHash } from '../config/identity.js';
import { loadConfig, type Overrides } from '../config/load.js';
import { AppError } from '../errors.js';
import type { Context } from './context.js';

export interface RunChoice extends Overrides {
  runId?: string;
}

/**
 * @returns the run `--run-id` or the state file names, else the newest of the configuration, with its tables
 * @throws AppError STATE_INVALID where there is none
 */
export async function findLedgerRun(
  context: Context,
  flags: RunChoice,
  stateRunId: string | undefined,
): Promise<{ run: LedgerRun; tables: LedgerTable[] }> {
  const { runId, ...overrides } = flags;
  const config = await loadConfig(context.globals.config, { environment: context.environment, overrides });
  const { connectTarget } = await import('../target/connection.js');
  const { findRun, newestRun, readTables } = await import('../checkpoint/runs.js');
  const { ledgerExists } = await import('../checkpoint/schema.js');
  const target = await connectTarget(config.target);
  try {
    const id = runId ?? stateRunId;
    const there = await ledgerExists(target);
    const find = () =>
      id === undefined ? newestRun(target, configHash(config), false) : findRun(target, id);
    const run = there ? await find() : null;
    if (run !== null) return { run, tables: await readTables(target, run.runId) };
    throw new AppError(
      'STATE_INVALID',
      id === undefined
        ? "The target's ledger has no run of this configuration"
        : `The target's ledger has no run ${id}`,
      {
        remedy:
          'A run that ended before its tables were made ready is not in it, and has changed nothing. Else check the configuration, --source-schema and --target-schema; or name the run with --run-id.',
      },
    );
  } finally {
    await target.close();
  }
}
