/**
 * The JSON Schema of the configuration, for editors, generated from the definitions files are checked against.
 *
 * Runs on the main thread only. `config.schema.json` at the project's root is this text; a test holds the two
 * equal.
 */
import { toJsonSchema } from '@valibot/to-json-schema';
import { configSchema } from './keys.js';

/** @returns the JSON Schema (draft-07) as indented text ending in a newline. */
export function configJsonSchema(): string {
  const { $schema, ...schema } = toJsonSchema(configSchema, { typeMode: 'input' });
  const titled = { $schema, title: 'mssql-pg-migrate configuration', ...schema };
  return `${JSON.stringify(allowVariables(titled), null, 2)}\n`;
}

/**
 * A number, switch or word may also be given as `${NAME}`; an editor should not underline that.
 */
function allowVariables(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(allowVariables);
  if (typeof node !== 'object' || node === null) return node;
  const entries = Object.entries(node).map(([key, value]) => [key, allowVariables(value)] as const);
  const copy: Record<string, unknown> = Object.fromEntries(entries);
  const isWord = Array.isArray(copy.enum);
  if (copy.type !== 'integer' && copy.type !== 'boolean' && !isWord) return copy;
  const { description, default: defaultValue, ...rest } = copy;
  return {
    ...(description !== undefined && { description }),
    ...(defaultValue !== undefined && { default: defaultValue }),
    anyOf: [rest, { type: 'string', pattern: '^\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}$' }],
  };
}
