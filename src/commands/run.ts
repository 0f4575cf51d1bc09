/**
 * `run`: migrates, or with `--dry-run` says what it would do.
 *
 * Runs on the main thread; the library does the work.
 */
import { type Command, Option } from 'commander';
import { loadConfig, type Overrides } from '../config/load.js';
import { migrateConfigured } from '../library/migrate.js';
import { runReport, runResult } from '../observe/result.js';
import type { CommandResult, Context } from './context.js';
import { wholeNumber } from './options.js';
import { plan, unfinishedBy } from './plan.js';
import { addWatchOptions, Watch, type WatchFlags } from './watching.js';

interface RunFlags extends Overrides, WatchFlags {
  dryRun?: boolean;
  resume?: boolean;
  fresh?: boolean;
  orResume?: boolean;
  failFast?: boolean;
  join?: string;
}

export function addRun(program: Command): Command {
  const command = program
    .command('run')
    .description('migrate the tables the configuration selects')
    .option('--dry-run', 'as `plan`: show what would happen, and touch nothing')
    .option('--fresh', 'begin anew though an unfinished run of this configuration could be resumed')
    .addOption(
      new Option(
        '--or-resume',
        'go on with an unfinished run of this configuration, if there is one',
      ).conflicts('fresh'),
    )
    .option('--fail-fast', 'stop all tables as soon as one fails')
    .addOption(
      new Option(
        '--join <name>',
        'share the run of this name with every other process that joins it; it begins with the first',
      ).conflicts(['fresh', 'orResume', 'dryRun', 'failFast']),
    )
    .option('--source-schema <name>', 'read this schema instead of source.schema')
    .option('--target-schema <name>', 'write to this schema instead of target.schema')
    .option('--workers <n>', 'tables at the same time, instead of migration.workers', wholeNumber(1, 256));
  return addWatchOptions(command, ['dryRun']).addHelpText(
    'after',
    `
Examples:
  mssql-pg-migrate -c config.yaml plan              see first what would happen
  mssql-pg-migrate -c config.yaml run               migrate
  mssql-pg-migrate --output-json run > result.json  one JSON line for a scheduler
  mssql-pg-migrate run --source-schema sales --target-schema sales --workers 4
  mssql-pg-migrate run --join nightly-2026-11-22    on several hosts at once: they share the run
  mssql-pg-migrate run --report report.html         a page about the run, to look at and to keep
  mssql-pg-migrate run --metrics-port 9464          and meanwhile: curl http://127.0.0.1:9464/metrics`,
  );
}

export async function run(context: Context, flags: RunFlags): Promise<CommandResult> {
  if (flags.dryRun === true) return plan(context, flags);
  const config = await loadConfig(context.globals.config, {
    environment: context.environment,
    overrides: flags,
  });
  const watch = await Watch.begin(context, config, flags, context.progressStyle);
  const outcome = await migrateConfigured(config, {
    signal: context.signal,
    shutdownMs: context.globals.shutdownTimeoutSeconds * 1000,
    onEvent: watch.onEvent,
    resume: flags.resume === true,
    unfinished: unfinishedBy(flags),
    failFast: flags.failFast === true,
    join: flags.join,
    stateFile: context.globals.stateFile,
    threads: context.threads,
  }).finally(() => watch.end());
  let result = runResult(context.command, context.span(), outcome);
  const unwritten = await watch.report(async (observed) => {
    const { runPage } = await import('../observe/report/run.js');
    return runPage(result, observed);
  });
  if (unwritten !== null) {
    outcome.error ??= unwritten;
    result = runResult(context.command, context.span(), outcome);
  }
  return { json: result, text: runReport(result, context.columns), error: outcome.error };
}
