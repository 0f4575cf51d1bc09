/**
 * The reference of the command line, from the program that parses it.
 *
 * Main thread; pure.
 */
import type { Command, Option } from 'commander';
import { buildProgram } from '../../src/commands/program.js';
import { EXIT } from '../../src/errors.js';
import { code, list, table } from './markdown.js';

const EXIT_TEXTS: Record<keyof typeof EXIT, [meaning: string, scheduler: string]> = {
  ok: ['done', 'go on'],
  config: ['wrong configuration or usage', "don't retry"],
  connection: ['a connection failed', 'retry later, unless the JSON says `"recoverable": false`'],
  transfer: ['a transfer failed', "see the tables' errors"],
  validation: ['row counts or rows differ', 'look into the data'],
  cancelled: ['cancelled by a signal', '`run --or-resume`'],
  state: ["there is an unfinished run, or none to resume, or its state can't be used", 'see the message'],
  io: ["a file can't be read or written", 'check paths and permissions'],
};

/** `options`, `exit codes`, `commands`, and one part a command: `command run`. */
export function commandParts(): [string, string][] {
  const program = buildProgram(async () => {});
  return [
    ['options', optionTable(program)],
    [
      'commands',
      table(
        ['command', 'what it does'],
        program.commands.map((command) => [
          `[${code(command.name())}](#${command.name()})`,
          command.description(),
        ]),
      ),
    ],
    [
      'exit codes',
      table(
        ['code', 'meaning', 'for a scheduler'],
        Object.entries(EXIT).map(([name, number]) => [
          String(number),
          ...EXIT_TEXTS[name as keyof typeof EXIT],
        ]),
      ),
    ],
    ...program.commands.map((command): [string, string] => [
      `command ${command.name()}`,
      described(program, command),
    ]),
  ];
}

function described(program: Command, command: Command): string {
  const usage = `${program.name()} [options] ${command.name()} ${command.usage()}`;
  const parts = [`${sentence(command.description())}`, `\`\`\`\n${usage}\n\`\`\``];
  if (command.registeredArguments.length > 0) {
    parts.push(
      table(
        ['argument', 'what it is'],
        command.registeredArguments.map((argument) => [
          code(argument.name()),
          [argument.description, ...(argument.argChoices ? [list(argument.argChoices)] : [])]
            .filter((text) => text !== '')
            .join(': '),
        ]),
      ),
    );
  }
  if (command.options.length > 0) parts.push(optionTable(command));
  const after = afterHelp(command);
  if (after !== '') parts.push(`\`\`\`\n${after}\n\`\`\``);
  return parts.join('\n\n');
}

function optionTable(command: Command): string {
  return table(
    ['option', 'default', 'what it does'],
    command.options.map((option) => [code(option.flags), defaultOf(option), meaning(option)]),
  );
}

function meaning({ description, argChoices }: Option): string {
  return sentence(argChoices === undefined ? description : `${description} (${list(argChoices)})`);
}

function defaultOf({ defaultValue }: Option): string {
  return defaultValue === undefined ? '' : code(String(defaultValue));
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** What a command's help says behind its options: the examples. */
function afterHelp(command: Command): string {
  let help = '';
  command.configureOutput({
    writeOut: (text) => {
      help += text;
    },
  });
  command.outputHelp();
  return help.slice(command.helpInformation().length).trim();
}
