/**
 * `plan`, and `run --dry-run`: what a run would do, and what would keep it from working.
 *
 * Runs on the main thread; the engine does the work.
 */
import { writeFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { loadConfig, type Overrides } from '../config/load.js';
import { unusedSettings } from '../config/unused.js';
import type { RunOutcome, Unfinished } from '../engine/events.js';
import { AppError } from '../errors.js';
import { Progress } from '../observe/progress.js';
import { resultHead, runResult } from '../observe/result.js';
import { runScript } from '../plan/script.js';
import type { CommandResult, Context } from './context.js';
import { wholeNumber } from './options.js';
import { partitionsJson, planJson, planReport } from './plan-report.js';

interface PlanFlags extends Overrides {
  fresh?: boolean;
  orResume?: boolean;
  /** Where to write the script that makes the tables and their objects. */
  ddl?: string;
  /** Only the ranges that tables are read in. */
  partitions?: boolean;
  /** Looks into the data, too. */
  scan?: boolean;
  scanLimit?: number;
}

const SCAN_LIMIT_SECONDS = 600;

export function addPlan(program: Command): Command {
  return program
    .command('plan')
    .description('show what a run would do, touching nothing; exit code 1 if it could not work')
    .option('--ddl <file>', 'write the tables and all their objects as a script for psql')
    .option('--scan', 'look into the data, too, for what a run would trip over or lose (reads every table)')
    .option(
      '--scan-limit <seconds>',
      `look no longer than this (default: ${SCAN_LIMIT_SECONDS})`,
      wholeNumber(1, 1_000_000),
    )
    .addOption(
      new Option(
        '--partitions',
        'print only the key ranges tables are read in, as JSON: for what hands out work',
      ).conflicts('scan'),
    )
    .option('--fresh', 'as for `run`: an unfinished run is not in the way')
    .option('--source-schema <name>', 'as for `run`')
    .option('--target-schema <name>', 'as for `run`')
    .option('--workers <n>', 'as for `run`', wholeNumber(1, 256))
    .addHelpText(
      'after',
      `
Examples:
  mssql-pg-migrate -c config.yaml plan
  mssql-pg-migrate -c config.yaml plan --ddl schema.sql      and: psql -f schema.sql
  mssql-pg-migrate -c config.yaml --output-json plan > plan.json
  mssql-pg-migrate -c config.yaml plan --scan        NULs, lost digits, colliding keys, orphans, ...
  mssql-pg-migrate -c config.yaml plan --partitions | jq length    how many may share a run`,
    );
}

export async function plan(context: Context, flags: PlanFlags): Promise<CommandResult> {
  if (flags.scanLimit !== undefined && flags.scan !== true) {
    throw new AppError('USAGE', '--scan-limit says how long --scan may take, and --scan is not given');
  }
  const config = await loadConfig(context.globals.config, {
    environment: context.environment,
    overrides: flags,
  });
  const unused = unusedSettings(config);
  for (const text of unused) context.log.warn(text);
  // Loaded only now: --help and a wrong configuration should not wait for the drivers.
  const { rehearse } = await import('../engine/rehearsal.js');
  const style = flags.scan === true ? context.progressStyle : 'none';
  const progress = new Progress(context.screen, context.log, style, context.tally);
  progress.start();
  let outcome: RunOutcome;
  try {
    outcome = await rehearse(config, {
      signal: context.signal,
      onEvent: progress.consume,
      unfinished: unfinishedBy(flags),
      estimate: flags.partitions !== true,
      ...(flags.scan === true && { scanMs: (flags.scanLimit ?? SCAN_LIMIT_SECONDS) * 1000 }),
      stateFile: context.globals.stateFile,
    });
  } finally {
    progress.stop();
  }
  outcome.notes.push(...unused);
  const { dryRun, notes, error } = outcome;
  if (dryRun === undefined) throw new AppError('INTERNAL', 'a rehearsal gave no plan');
  if (flags.ddl !== undefined) {
    await writeScript(
      flags.ddl,
      dryRun.tables.map((table) => table.plan),
    );
  }
  if (flags.partitions === true) {
    const partitions = partitionsJson(dryRun);
    return {
      json: { ...resultHead(context.command, context.span(), error, outcome.runId), partitions },
      text: `[${partitions.map((partition) => `\n${JSON.stringify(partition)}`).join(',')}\n]`,
      error,
    };
  }
  const result = runResult(context.command, context.span(), outcome);
  const written = flags.ddl === undefined ? '' : `\n\nThe script is in ${flags.ddl}.`;
  return {
    json: { ...result, dry_run: planJson(dryRun) },
    text: `${planReport(dryRun, notes)}${written}`,
    error,
  };
}

/** @returns what the flags of `run` and `plan` say about an unfinished run. */
export function unfinishedBy({ fresh, orResume }: Pick<PlanFlags, 'fresh' | 'orResume'>): Unfinished {
  if (fresh === true) return 'give-up';
  return orResume === true ? 'resume' : 'refuse';
}

async function writeScript(file: string, plans: Parameters<typeof runScript>[0]): Promise<void> {
  try {
    await writeFile(file, runScript(plans));
  } catch (error) {
    throw new AppError('IO', `The script ${file} can't be written: ${(error as Error).message}`, {
      remedy: 'Check that its folder exists and may be written to.',
      cause: error,
    });
  }
}
