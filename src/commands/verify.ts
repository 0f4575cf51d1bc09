/**
 * `verify`: compares the rows of both sides by their hashes and says which differ.
 *
 * Runs on the main thread; the engine does the work.
 */
import type { Command } from 'commander';
import { loadConfig } from '../config/load.js';
import { AppError, type ErrorData, toErrorData } from '../errors.js';
import type { VerifyResult } from '../observe/commandSchemas.js';
import { resultHead } from '../observe/result.js';
import type { TableReport } from '../verify/verify.js';
import type { CommandResult, Context } from './context.js';
import { wholeNumber } from './options.js';
import { verifyReport, verifyTable } from './verify-report.js';
import { addWatchOptions, Watch, type WatchFlags } from './watching.js';

interface VerifyFlags extends WatchFlags {
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
      wholeNumber(1, 999_999_999),
    )
    .option(
      '--tier2-size <n>',
      'rows of a fine range, instead of migration.batch_verify.tier2_batch_size',
      wholeNumber(1, 10_000_000),
    )
    .option('--details <n>', 'name the keys of the first n rows of each kind', wholeNumber(0, MAX_DETAILS), 0)
    .option('--trust-row-hash', "compare the target's stored row hashes instead of its values");
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
  const config = await loadConfig(context.globals.config, { environment: context.environment });
  // Loaded only now: --help and a wrong configuration should not wait for the drivers.
  const { runVerify } = await import('../engine/verifyRun.js');
  const watch = await Watch.begin(context, config, flags);
  const outcome = await runVerify(config, {
    tier1Rows: flags.tier1Size,
    tier2Rows: flags.tier2Size,
    details: flags.details,
    trustRowHash: flags.trustRowHash === true,
    signal: context.signal,
    onEvent: watch.onEvent,
    threads: context.threads,
  }).finally(() => watch.end());
  const { tables, notes, runId } = outcome;
  let error = verdict(tables);
  let result: VerifyResult = {
    ...resultHead(context.command, context.span(), error, runId),
    tables_total: tables.length,
    tables_matching: tables.filter(({ status }) => status === 'match').length,
    tables_differing: tables.filter(({ status }) => status === 'differs' || status === 'missing').length,
    tables_failed: tables.filter(({ status }) => status === 'failed').length,
    tables: tables.map(verifyTable),
    failed_tables: tables.filter(({ status }) => status === 'failed').map(({ table }) => table),
    notes,
  };
  const unwritten = await watch.report(async (observed) => {
    const { verifyPage } = await import('../observe/report/verify.js');
    return verifyPage(result, observed);
  });
  if (unwritten !== null && error === undefined) {
    error = unwritten;
    result = { ...result, ...resultHead(context.command, context.span(), error, runId) };
  }
  return { json: result, text: verifyReport(result), error };
}

/** A difference is the answer to the question asked; a table that could not be compared leaves it open. */
function verdict(tables: readonly TableReport[]): ErrorData | undefined {
  const differing = tables.filter(({ status }) => status === 'differs' || status === 'missing');
  if (differing.length > 0) {
    const named = differing
      .slice(0, 5)
      .map(({ table }) => table)
      .join(', ');
    const rest = differing.length > 5 ? ` and ${differing.length - 5} more` : '';
    return toErrorData(
      new AppError(
        'ROWS_DIFFER',
        `rows differ in ${differing.length} of ${tables.length} tables: ${named}${rest}`,
        {
          remedy:
            'verify --details 20 names the rows; if the source was written to since the migration, run it again',
        },
      ),
    );
  }
  const failed = tables.find(({ status }) => status === 'failed');
  return failed?.error;
}
