/**
 * `init`: asks for a configuration at a terminal; elsewhere writes a commented one to be filled in.
 *
 * Runs on the main thread. The file appears at the end, whole or not at all.
 */
import { access, constants, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Command } from 'commander';
import { orAborted } from '../engine/abort.js';
import { AppError } from '../errors.js';
import { resultHead } from '../observe/result.js';
import type { CommandResult, Context } from './context.js';

interface InitFlags {
  output: string;
  advanced?: boolean;
  force?: boolean;
}

export function addInit(program: Command): Command {
  return program
    .command('init')
    .description('write a configuration file: by questions at a terminal, elsewhere a commented template')
    .option('-o, --output <path>', 'file to write', 'config.yaml')
    .option('--advanced', 'ask about sizes, isolation and the finer points, too')
    .option('-f, --force', 'overwrite the file without asking')
    .addHelpText(
      'after',
      `
Both connections are tried on the way; nothing is changed on either side. Passwords are not written to the
file, only the names of the environment variables that hold them. Ctrl-C leaves nothing behind.

Examples:
  mssql-pg-migrate init
  mssql-pg-migrate init --advanced -o sales.yaml
  mssql-pg-migrate init -o template.yaml < /dev/null    a template, without questions`,
    );
}

export async function init(context: Context, flags: InitFlags): Promise<CommandResult> {
  const interactive =
    context.stdin.isTTY === true && context.screen.stream.isTTY === true && process.env.TERM !== 'dumb';
  await requireFolder(flags.output);
  return interactive ? converse(context, flags) : writeTemplate(context, flags);
}

async function converse(context: Context, flags: InitFlags): Promise<CommandResult> {
  // Loaded only now: --help should wait for neither the questions nor the drivers.
  const [{ Prompts }, { runWizard }] = await Promise.all([
    import('../terminal/wizard/prompts.js'),
    import('../terminal/wizard/wizard.js'),
  ]);
  const prompts = await Prompts.open(context.stdin, context.screen.stream, context.signal);
  prompts.begin('A configuration for mssql-pg-migrate');
  let overwrite = flags.force === true;
  if (!overwrite && (await exists(flags.output))) {
    overwrite = await prompts.confirm(`${flags.output} is there already. Overwrite it at the end?`, false);
    if (!overwrite) throw thereAlready(flags.output);
  }
  const { environment } = context;
  const { text, mode, tables, variables } = await orAborted(
    runWizard(prompts, { environment, advanced: flags.advanced === true }),
    context.signal,
  );
  if (!(await prompts.confirm(`Write ${flags.output}?`, true))) {
    throw new AppError('CANCELLED', `${flags.output} was not written`, { remedy: 'start init again' });
  }
  await writeWhole(flags.output, text, overwrite);
  const unset = variables.filter((name) => environment[name] === undefined);
  const next = [
    ...unset.map((name) => `export ${name}=...`),
    ...['run --dry-run', 'run'].map((command) => `mssql-pg-migrate -c ${flags.output} ${command}`),
  ];
  prompts.end(`What comes next:\n\n${next.map((line) => `   ${line}`).join('\n')}`);
  return {
    json: {
      ...resultHead(context.command, context.span(), undefined),
      file: flags.output,
      template: false,
      target_mode: mode,
      tables,
    },
    text: `${flags.output} is written`,
  };
}

async function writeTemplate(context: Context, flags: InitFlags): Promise<CommandResult> {
  const { templateDocument } = await import('../terminal/wizard/template.js');
  await writeWhole(flags.output, templateDocument(), flags.force === true);
  context.log.info(
    'no terminal to ask questions at, so this is a template: fill in hosts, databases and users, ' +
      'and set MSSQL_PASSWORD and POSTGRES_PASSWORD',
  );
  return {
    json: {
      ...resultHead(context.command, context.span(), undefined),
      file: flags.output,
      template: true,
      target_mode: null,
      tables: null,
    },
    text: `${flags.output} is written: a template`,
  };
}

function thereAlready(file: string): AppError {
  return new AppError('USAGE', `${file} is there already`, {
    remedy: 'give another file with -o, or -f to overwrite it',
  });
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** Better refused before the questions than after them. */
async function requireFolder(file: string): Promise<void> {
  await access(dirname(file), constants.W_OK).catch((error: unknown) => {
    throw cannotWrite(file, error);
  });
}

/** What is there stays until the new text is whole; a new file that could not be written whole goes again. */
async function writeWhole(file: string, text: string, overwrite: boolean): Promise<void> {
  const draft = overwrite ? join(dirname(file), `.${basename(file)}.${process.pid}.tmp`) : file;
  try {
    await writeFile(draft, text, { flag: 'wx' });
    if (overwrite) await rename(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw thereAlready(file);
    await rm(draft, { force: true }).catch(() => {});
    throw cannotWrite(file, error);
  }
}

function cannotWrite(file: string, error: unknown): AppError {
  return new AppError('IO', `${file} can't be written: ${(error as Error).message}`, {
    remedy: 'Check that its folder exists and may be written to.',
    cause: error,
  });
}
