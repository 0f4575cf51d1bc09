/**
 * Commands that are known and not there yet: each is refused in so many words, never ignored.
 *
 * Runs on the main thread.
 */
import type { Command } from 'commander';
import { AppError } from '../errors.js';

const MISSING_COMMANDS: Record<string, string> = {
  tui: 'use `run` at a terminal, which shows live progress',
};

/** Adds the missing commands, hidden from the help, with an action that refuses. */
export function addMissing(program: Command): void {
  for (const [name, instead] of Object.entries(MISSING_COMMANDS)) {
    program
      .command(name, { hidden: true })
      .allowUnknownOption()
      .allowExcessArguments()
      .action(() => {
        throw new AppError('UNSUPPORTED', `this version does not have the command ${name} yet`, {
          remedy: instead,
        });
      });
  }
}
