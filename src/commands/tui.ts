/**
 * `tui`: the terminal as a whole for runs, dry runs, verifications, and what becomes of them.
 *
 * Runs on the main thread. What is started here is what the commands of the same names do.
 */
import type { Command } from 'commander';
import { loadConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { AppError, type ErrorData, toErrorData } from '../errors.js';
import { errorLines, errorResult, resultHead } from '../observe/result.js';
import { Desk, type TaskEnd, type TaskName, type Work } from '../terminal/tui/desk.js';
import type { CommandResult, Context } from './context.js';
import { plan } from './plan.js';
import { run } from './run.js';
import { verify } from './verify.js';

export function addTui(program: Command): Command {
  return program
    .command('tui')
    .description('full-screen terminal: start runs and watch them; exit code of the last one')
    .addHelpText(
      'after',
      `
Keys: r run, d dry run, v verify, e resume, s stop, Enter a table's details or error, / filter, o order,
t text of the last result, ? help, q quit. It needs a terminal of at least 60x15 characters.

Example:
  mssql-pg-migrate -c config.yaml tui`,
    );
}

/** The screen is what watches: neither report nor metrics. */
const NO_WATCH = {};

/** What each task does, by the command of its name. */
const TASKS: Record<TaskName, (context: Context) => Promise<CommandResult>> = {
  run: (context) => run(context, NO_WATCH),
  'fresh run': (context) => run(context, { ...NO_WATCH, fresh: true }),
  'dry run': (context) => plan(context, {}),
  verify: (context) => verify(context, { ...NO_WATCH, details: 5 }),
  resume: (context) => run(context, { ...NO_WATCH, resume: true }),
};

export async function tui(context: Context): Promise<CommandResult> {
  const { globals, stdin, screen, signal } = context;
  requireTerminal(context);
  const config = await loadConfig(globals.config, { environment: context.environment });
  let last: CommandResult | null = null;
  const work: Work = async (task, tally, stop) => {
    last = null;
    try {
      const result = await TASKS[task]({ ...context, signal: stop, tally, progressStyle: 'none' });
      last = result;
      if (result.error === undefined) context.log.info(`${task}: done`);
      else tell(context, task, result.error);
      return endOf(result);
    } catch (error) {
      tell(context, task, toErrorData(error));
      throw error;
    }
  };
  const desk = new Desk(work);
  const { openTui } = await import('../terminal/tui/load.js');
  const onAbort = (): void => desk.leave(signal.reason);
  // A terminal that is closed asks for the same as a signal to end.
  const onHangUp = (): void => void process.kill(process.pid, 'SIGTERM');
  signal.addEventListener('abort', onAbort, { once: true });
  process.on('SIGHUP', onHangUp);
  try {
    if (!signal.aborted) {
      await openTui({
        desk,
        title: titleOf(config),
        warning: WARNINGS[config.migration.target_mode],
        input: stdin,
        output: screen.stream,
        onEnter: (full) => screen.enter(full),
      });
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    process.off('SIGHUP', onHangUp);
    screen.leave();
  }
  return resultOf(context, desk, last);
}

function tell({ log }: Context, task: TaskName, error: ErrorData): void {
  log.error(errorLines(task, errorResult(error)).join('\n'));
}

/** Exit code and result are the last task's; a signal without one is its own. */
function resultOf(context: Context, { task }: Desk, last: CommandResult | null): CommandResult {
  if (last !== null) return last;
  if (task?.end?.error !== undefined) {
    const { error } = task.end;
    const json = resultHead(context.command, context.span(), error);
    return { json, text: `The ${task.name} did not succeed.`, error };
  }
  if (context.signal.aborted) throw context.signal.reason;
  return { json: resultHead(context.command, context.span(), undefined), text: 'Nothing was started.' };
}

function requireTerminal({ globals, stdin, screen }: Context): void {
  if (globals.progress || globals.logFormat === 'json') {
    throw new AppError('USAGE', 'tui shows progress and log itself', {
      remedy: 'leave out --progress and --log-format json, or use run',
    });
  }
  if (stdin.isTTY === true && screen.stream.isTTY === true && process.env.TERM !== 'dumb') return;
  throw new AppError('USAGE', 'tui needs a terminal as stdin and stderr', {
    remedy: 'start it at a terminal; elsewhere use run, with --progress for a program that looks on',
  });
}

const WARNINGS: Record<Config['migration']['target_mode'], string> = {
  drop_recreate:
    'target_mode drop_recreate: tables that the target has already are dropped and created again.',
  truncate: 'target_mode truncate: tables that the target has already lose their rows.',
  upsert: 'target_mode upsert: rows of the target that differ are changed.',
};

/** What matters least comes last: a narrow terminal cuts it off. */
function titleOf({ source, target, migration }: Config): string {
  const what = `${source.database}.${source.schema} \u2192 ${target.database}.${target.schema}`;
  return `${what}  ${migration.target_mode}  ${source.host} \u2192 ${target.host}`;
}

function endOf({ json, text, error }: CommandResult): TaskEnd {
  const { tables = [] } = json as { tables?: { table: string; status: string }[] };
  return {
    text,
    tables: new Map(tables.map(({ table, status }) => [table, status])),
    ...(error !== undefined && { error }),
  };
}
