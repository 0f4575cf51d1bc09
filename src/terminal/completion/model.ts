/**
 * What can be completed, read off the command line's own definition.
 *
 * Pure; runs on the main thread.
 */
import type { Command, Option } from 'commander';

/** What may follow an option or stand as an argument. */
export type Values = { kind: 'words'; words: readonly string[] } | { kind: 'file' } | { kind: 'any' };

export interface CompletedOption {
  /** `-c`, `--config`. */
  names: string[];
  description: string;
  /** null for a switch. */
  values: Values | null;
}

export interface CompletedCommand {
  name: string;
  description: string;
  options: CompletedOption[];
  /** Values of its argument, or null where it takes none. */
  argument: Values | null;
}

export interface Completed {
  program: string;
  /** Options that stand before or after any command. */
  options: CompletedOption[];
  commands: CompletedCommand[];
}

export function completed(program: Command): Completed {
  const help = program.createHelp();
  const commands = help.visibleCommands(program);
  const names = commands.map((command) => command.name());
  return {
    program: program.name(),
    options: help.visibleOptions(program).map(completedOption),
    commands: commands.map((command) => ({
      name: command.name(),
      description: command.description(),
      options: help
        .visibleOptions(command)
        .map(completedOption)
        .filter(({ names: flags }) => !flags.includes('--help')),
      argument: argumentOf(command, names),
    })),
  };
}

function argumentOf(command: Command, commandNames: readonly string[]): Values | null {
  if (command.name() === 'help') return { kind: 'words', words: commandNames };
  const [argument] = command.registeredArguments;
  if (argument === undefined) return null;
  return argument.argChoices === undefined ? { kind: 'any' } : { kind: 'words', words: argument.argChoices };
}

function completedOption(option: Option): CompletedOption {
  const names = [option.short, option.long].filter((name) => name !== undefined);
  return { names, description: option.description, values: valuesOf(option) };
}

function valuesOf(option: Option): Values | null {
  if (!option.required && !option.optional) return null;
  if (option.argChoices !== undefined) return { kind: 'words', words: option.argChoices };
  return /<(path|file)>/.test(option.flags) ? { kind: 'file' } : { kind: 'any' };
}
