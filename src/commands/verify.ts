/**
 * `verify`: compares the rows of both sides by their hashes and says which differ.
 *
 * Runs on the main thread; the library does the work.
 */
import type { Command } from 'commander';
import { loadConfig, type Overrides } from '../config/load.js';
import { verifyConfigured } from '../library/verify.js';
import { verifyResult, verifyVerdict } from '../observe/verifyResult.js';
import type { CommandResult, Context } from './context.js';
import { wholeNumber } from './options.js';
import { verifyReport } from './verify-report.js';
import { addWatchOptions, Watch, type WatchFlags } from './watching.js';

interface VerifyFlags extends Overrides, WatchFlags {
  tier1Size?: number;
  tier2Size?: number;
  details: number;
  trustRowHash?: boolean;
}

const MAX_DETAILS = 100_000;

export function addVerify(program: Command): Command {
  const command = program
    .command('verify')
    .description('compare the rows of source and target by their hashes; exit code 4 if they differ')
    .option(
      '--tier1-size <n>',
      'rows of a coarse range, instead of migration.batch_verify.tier1_batch_size',
      wholeNumber(1, 1_000_000_000),
    )
    .option(
      '--tier2-size <n>',
      'rows of a fine range, instead of migration.batch_verify.tier2_batch_size',
      wholeNumber(1, 10_000_000),
    )
    .option('--details <n>', 'name the keys of the first n rows of each kind', wholeNumber(0, MAX_DETAILS), 0)
    .option(
      '--trust-row-hash',
      "compare the target's stored row hashes, and its values only where these differ",
    )
    .option('--source-schema <name>', 'as given to the run')
    .option('--target-schema <name>', 'as given to the run');
  return addWatchOptions(command).addHelpText(
    'after',
    `
Examples:
  mssql-pg-migrate -c config.yaml verify
  mssql-pg-migrate -c config.yaml verify --details 20           which rows differ
  mssql-pg-migrate -c config.yaml --output-json verify > verify.json
  mssql-pg-migrate -c config.yaml verify --details 20 --report verify.html`,
  );
}

export async function verify(context: Context, flags: VerifyFlags): Promise<CommandResult> {
  const config = await loadConfig(context.globals.config, {
    environment: context.environment,
    overrides: flags,
  });
  const watch = await Watch.begin(context, config, flags);
  const outcome = await verifyConfigured(config, {
    tier1Rows: flags.tier1Size,
    tier2Rows: flags.tier2Size,
    details: flags.details,
    trustRowHash: flags.trustRowHash === true,
    signal: context.signal,
    onEvent: watch.onEvent,
    threads: context.threads,
  }).finally(() => watch.end());
  let error = verifyVerdict(outcome);
  let result = verifyResult(context.command, context.span(), outcome, error);
  const unwritten = await watch.report(async (observed) => {
    const { verifyPage } = await import('../observe/report/verify.js');
    return verifyPage(result, observed);
  });
  if (unwritten !== null && error === undefined) {
    error = unwritten;
    result = verifyResult(context.command, context.span(), outcome, error);
  }
  return { json: result, text: verifyReport(result), error };
}
