/**
 * The configuration reference: every key with its default, its values, its meaning and the reason for its default.
 *
 * Main thread; pure.
 */
import { toJsonSchema } from '@valibot/to-json-schema';
import { DEFAULT_REASON } from '../../src/config/fields.js';
import { configSchema } from '../../src/config/keys.js';
import { code, list, table } from './markdown.js';

/** As much of a JSON Schema as the configuration's has. */
interface Node {
  type?: string;
  properties?: Record<string, Node>;
  required?: string[];
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Node[];
  minimum?: number;
  maximum?: number;
}

/** One part a section: `configuration source`. */
export function configurationParts(): [string, string][] {
  const schema = toJsonSchema(configSchema, { typeMode: 'input' }) as Node;
  return sections(schema, []).map(([path, section]) => [
    `configuration ${path.join('.')}`,
    table(
      ['key', 'default', 'values', 'what it is'],
      Object.entries(section.properties ?? {})
        .filter(([, node]) => node.properties === undefined)
        .map(([key, node]) => row(key, node, section.required?.includes(key) ?? false)),
    ),
  ]);
}

function sections(node: Node, path: string[]): [string[], Node][] {
  return Object.entries(node.properties ?? {}).flatMap(([key, child]): [string[], Node][] =>
    child.properties === undefined ? [] : [[[...path, key], child], ...sections(child, [...path, key])],
  );
}

function row(key: string, node: Node, required: boolean): string[] {
  const [text = '', why] = (node.description ?? '').split(DEFAULT_REASON);
  const meaning = why === undefined ? `${text}.` : `${text}. *Why this default: ${why}*`;
  return [code(key), defaultOf(node, required), valuesOf(node), meaning];
}

function defaultOf(node: Node, required: boolean): string {
  if (node.default !== undefined) {
    return code(typeof node.default === 'object' ? JSON.stringify(node.default) : String(node.default));
  }
  if (required) return 'required';
  return /; unset: |Default: /.test(node.description ?? '') ? 'chosen' : 'none';
}

function valuesOf(node: Node): string {
  if (node.const !== undefined) return code(String(node.const));
  if (node.enum !== undefined) return list(node.enum.map(String));
  if (node.anyOf !== undefined) return node.anyOf.map(valuesOf).join(', ');
  switch (node.type) {
    case 'integer': {
      const [from, to] = [node.minimum, node.maximum].map((bound) => bound?.toLocaleString('en-US'));
      return node.maximum === undefined || node.maximum >= Number.MAX_SAFE_INTEGER
        ? `${from} and up`
        : `${from} to ${to}`;
    }
    case 'boolean':
      return '`true`, `false`';
    case 'array':
      return 'list';
    case 'object':
      return 'mapping';
    default:
      return 'text';
  }
}
