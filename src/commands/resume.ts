/**
 * `resume`: goes on with a run that was interrupted or whose tables failed; the engine does what `run` does.
 *
 * Runs on the main thread.
 */
import type { Command } from 'commander';
import { wholeNumber } from './options.js';
import { addWatchOptions } from './watching.js';

export function addResume(program: Command): Command {
  const command = program
    .command('resume')
    .description(
      'go on with an unfinished run: finished tables stay, of the others only what is missing is read',
    )
    .option('--fail-fast', 'stop all tables as soon as one fails')
    .option('--source-schema <name>', 'as given to the run')
    .option('--target-schema <name>', 'as given to the run')
    .option('--workers <n>', 'tables at the same time, instead of migration.workers', wholeNumber(1, 256));
  return addWatchOptions(command).addHelpText(
    'after',
    `
The run is the one the state file names; without --state-file, or where the file is lost, it is the newest
unfinished run of this configuration in the target's ledger. What the ledger says is what counts.

Examples:
  mssql-pg-migrate -c config.yaml --state-file run.state resume
  mssql-pg-migrate -c config.yaml resume --workers 2`,
  );
}
