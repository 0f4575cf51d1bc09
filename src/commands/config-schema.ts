/**
 * `config-schema`: prints the JSON Schema of the configuration, for editors.
 *
 * Runs on the main thread.
 */
import type { Command } from 'commander';
import { configJsonSchema } from '../config/json-schema.js';
import { resultHead } from '../observe/result.js';
import type { CommandResult, Context } from './context.js';

export function addConfigSchema(program: Command): Command {
  return program
    .command('config-schema')
    .description('print the JSON Schema of the configuration file')
    .addHelpText('after', '\nExample:\n  mssql-pg-migrate config-schema > config.schema.json');
}

export async function configSchemaCommand(context: Context): Promise<CommandResult> {
  const text = configJsonSchema();
  return {
    json: { ...resultHead(context.command, context.span(), undefined), schema: JSON.parse(text) },
    text: text.trimEnd(),
  };
}
