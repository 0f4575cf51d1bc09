/**
 * `completion`: prints what a shell needs to complete this program's commands, options and their values.
 *
 * Runs on the main thread.
 */
import { Argument, type Command } from 'commander';
import { resultHead } from '../observe/result.js';
import type { Completed } from '../terminal/completion/model.js';
import type { CommandResult, Context } from './context.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

const WRITERS: Record<Shell, () => Promise<(completed: Completed) => string>> = {
  bash: async () => (await import('../terminal/completion/bash.js')).bashCompletion,
  zsh: async () => (await import('../terminal/completion/zsh.js')).zshCompletion,
  fish: async () => (await import('../terminal/completion/fish.js')).fishCompletion,
};

export function addCompletion(program: Command): Command {
  return program
    .command('completion')
    .description('print the script that lets a shell complete commands and options')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .addHelpText(
      'after',
      `
Examples, for good:
  echo 'eval "$(mssql-pg-migrate completion bash)"' >> ~/.bashrc
  echo 'eval "$(mssql-pg-migrate completion zsh)"' >> ~/.zshrc      (after compinit)
  mssql-pg-migrate completion fish > ~/.config/fish/completions/mssql-pg-migrate.fish`,
    );
}

export async function completion(context: Context, shell: Shell, program: Command): Promise<CommandResult> {
  const { completed } = await import('../terminal/completion/model.js');
  const script = (await WRITERS[shell]())(completed(program));
  return { json: { ...resultHead(context.command, context.span(), undefined), shell, script }, text: script };
}
