/**
 * The commands and the options every command has.
 *
 * Runs on the main thread. A new command is one file here and one line below.
 */
import { Command, Option } from 'commander';
import type { LogLevel } from '../engine/events.js';
import { version } from '../library/version.js';
import type { LogFormat } from '../observe/log.js';
import { addCompletion, completion, type Shell } from './completion.js';
import { addConfigSchema, configSchemaCommand } from './config-schema.js';
import type { CommandResult, Context, GlobalOptions } from './context.js';
import { addHealthCheck, healthCheck } from './health-check.js';
import { addInit, init } from './init.js';
import { wholeNumber } from './options.js';
import { addOutputSchema, outputSchemaCommand } from './output-schema.js';
import { addPlan, plan } from './plan.js';
import { addReceipt, receipt } from './receipt.js';
import { addResume } from './resume.js';
import { addRun, run } from './run.js';
import { addStatus, status } from './status.js';
import { addTui, tui } from './tui.js';
import { addValidate, validate } from './validate.js';
import { addVerify, verify } from './verify.js';

/** Called with the chosen command and what it does. */
export type Runner = (command: Command, run: (context: Context) => Promise<CommandResult>) => Promise<void>;

export function buildProgram(runner: Runner): Command {
  const program = new Command('mssql-pg-migrate')
    .description('Moves Microsoft SQL Server databases into PostgreSQL.')
    .version(version(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .option('-c, --config <path>', 'configuration file, YAML or JSON', 'config.yaml')
    .option('--state-file <path>', 'file that mirrors how far a run is; `resume` and `status` read it')
    .option('--output-json', 'print the result as one JSON line on stdout, on failure too')
    .addOption(
      new Option(
        '--log-format <format>',
        'log lines on stderr (default: text, with --progress json)',
      ).choices(['text', 'json']),
    )
    .addOption(
      new Option('--verbosity <level>', 'least important log lines to print')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .option(
      '--shutdown-timeout <seconds>',
      'time a run may take to stop after SIGINT or SIGTERM',
      wholeNumber(0, 3600),
      60,
    )
    .option('--progress', 'print progress as JSON lines on stderr')
    .showSuggestionAfterError(true)
    .addHelpText('after', EXAMPLES);

  addRun(program).action((flags, command) => runner(command, (context) => run(context, flags)));
  addPlan(program).action((flags, command) => runner(command, (context) => plan(context, flags)));
  addResume(program).action((flags, command) =>
    runner(command, (context) => run(context, { ...flags, resume: true })),
  );
  addStatus(program).action((flags, command) => runner(command, (context) => status(context, flags)));
  addReceipt(program).action((flags, command) => runner(command, (context) => receipt(context, flags)));
  addValidate(program).action((flags, command) => runner(command, (context) => validate(context, flags)));
  addVerify(program).action((flags, command) => runner(command, (context) => verify(context, flags)));
  addHealthCheck(program).action((_flags, command) => runner(command, healthCheck));
  addInit(program).action((flags, command) => runner(command, (context) => init(context, flags)));
  addTui(program).action((_flags, command) => runner(command, tui));
  addConfigSchema(program).action((_flags, command) => runner(command, configSchemaCommand));
  addCompletion(program).action((shell: Shell, _flags, command) =>
    runner(command, (context) => completion(context, shell, program)),
  );
  addOutputSchema(program).action((name, _flags, command) =>
    runner(command, (context) => outputSchemaCommand(context, name)),
  );
  return program;
}

export function readGlobals(command: Command): GlobalOptions {
  const options = command.optsWithGlobals<Record<string, unknown>>();
  const progress = options.progress === true;
  return {
    config: String(options.config),
    stateFile: options.stateFile as string | undefined,
    outputJson: options.outputJson === true,
    // Whoever reads stderr line by line as JSON should not stumble over log lines.
    logFormat: (options.logFormat as LogFormat | undefined) ?? (progress ? 'json' : 'text'),
    verbosity: options.verbosity as LogLevel,
    shutdownTimeoutSeconds: Number(options.shutdownTimeout),
    progress,
  };
}

const EXAMPLES = `
Options may stand before or after the command.

Examples:
  mssql-pg-migrate init
  mssql-pg-migrate -c config.yaml health-check
  mssql-pg-migrate -c config.yaml plan
  mssql-pg-migrate -c config.yaml run
  mssql-pg-migrate -c config.yaml --state-file run.state resume
  mssql-pg-migrate -c config.yaml validate
  mssql-pg-migrate -c config.yaml verify --details 20

Exit codes: 0 done, 1 configuration or usage, 2 connection, 3 transfer, 4 rows differ,
            5 cancelled, 6 state, 7 input or output.`;
