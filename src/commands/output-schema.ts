/**
 * `output-schema`: prints the JSON Schema of what a command prints, or of the lines of `--progress`.
 *
 * Runs on the main thread.
 */
import { Argument, type Command } from 'commander';
import { OUTPUT_NAMES, type OutputName, outputJsonSchema } from '../observe/commandSchemas.js';
import { resultHead } from '../observe/result.js';
import type { CommandResult, Context } from './context.js';

export function addOutputSchema(program: Command): Command {
  return program
    .command('output-schema')
    .description("print the JSON Schema of a command's --output-json line, or of --progress")
    .addArgument(new Argument('<name>', 'a command, or progress').choices(OUTPUT_NAMES))
    .addHelpText(
      'after',
      `
Examples:
  mssql-pg-migrate output-schema run > run.schema.json
  mssql-pg-migrate output-schema progress`,
    );
}

export async function outputSchemaCommand(context: Context, name: OutputName): Promise<CommandResult> {
  const text = outputJsonSchema(name);
  return {
    json: { ...resultHead(context.command, context.span(), undefined), schema: JSON.parse(text) },
    text: text.trimEnd(),
  };
}
