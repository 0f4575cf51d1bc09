/**
 * Reads a configuration file: YAML or JSON, variables expanded, checked, defaults filled in.
 *
 * Runs on the main thread only. Variables are expanded after parsing, inside single values: what a variable
 * holds can never become a key or a second value.
 */
import { readFile } from 'node:fs/promises';
import { type Document, isNode, LineCounter, parseDocument } from 'yaml';
import { AppError } from '../errors.js';
import { hideSecrets } from '../secrets.js';
import { SECRET_PATHS } from './keys.js';
import type { Origin } from './problems.js';
import { type Config, type ConfigInput, parseConfig } from './schema.js';
import { type Environment, expandVariables } from './variables.js';

/** Values given beside the configuration, as on the command line; they take the place of its own. */
export interface Overrides {
  /** In place of `source.schema`. */
  sourceSchema?: string;
  /** In place of `target.schema`. */
  targetSchema?: string;
  /** In place of `migration.workers`. */
  workers?: number;
}

const OVERRIDES: { option: string; path: [string, string]; get: (overrides: Overrides) => unknown }[] = [
  { option: '--source-schema', path: ['source', 'schema'], get: (o) => o.sourceSchema },
  { option: '--target-schema', path: ['target', 'schema'], get: (o) => o.targetSchema },
  { option: '--workers', path: ['migration', 'workers'], get: (o) => o.workers },
];

/**
 * Reads and checks the file at `path`.
 *
 * @throws AppError CONFIG_NOT_FOUND, IO, CONFIG_SYNTAX, CONFIG_VARIABLE_UNSET or CONFIG_INVALID
 */
export async function loadConfig(
  path: string,
  options: { environment?: Environment; overrides?: Overrides } = {},
): Promise<Config> {
  return readConfig(await readText(path), { file: path, ...options });
}

/** Like `loadConfig`, from text. `file` is what messages call it. */
export function readConfig(
  text: string,
  options: { file?: string; environment?: Environment; overrides?: Overrides } = {},
): Config {
  const file = options.file ?? 'configuration';
  const lines = new LineCounter();
  const document = parseDocument(text.replace(/^\uFEFF/, ''), { lineCounter: lines, prettyErrors: false });
  const [fault] = [...document.errors, ...document.warnings];
  if (fault !== undefined) {
    const { line, col } = lines.linePos(fault.pos[0]);
    throw new AppError(
      'CONFIG_SYNTAX',
      `${file} is not valid YAML or JSON at line ${line}, column ${col}: ${withoutQuote(fault.message)}`,
      {
        remedy: 'correct the file at that place',
      },
    );
  }
  const locateInFile = (path: readonly string[]) => locate(document, lines, path);
  const { value, expanded } = expandVariables(
    toTree(document, file),
    options.environment ?? process.env,
    file,
    locateInFile,
  );
  // Before anything can fail with one of them in its message.
  hideSecrets(SECRET_PATHS.map((path) => valueAt(value, path.split('.'))));
  const given = applyOverrides(value, options.overrides ?? {});
  return parseConfig(value, {
    file,
    expanded,
    locate: (path) => {
      const option = given.get(path.join('.'));
      return option === undefined ? locateInFile(path) : { option };
    },
  });
}

/**
 * Checks a configuration given as an object, whose values are taken as they are: no variables.
 *
 * @throws AppError CONFIG_INVALID
 */
export function configOf(input: ConfigInput, overrides: Overrides = {}): Config {
  const tree: unknown = structuredClone(input);
  hideSecrets(SECRET_PATHS.map((path) => valueAt(tree, path.split('.'))));
  const given = applyOverrides(tree, overrides);
  return parseConfig(tree, {
    locate: (path) => {
      const option = given.get(path.join('.'));
      return option === undefined ? undefined : { option };
    },
  });
}

function toTree(document: Document, file: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new AppError(
      'CONFIG_SYNTAX',
      `${file}: an alias (*name) has no anchor (&name) before it, or too many uses`,
      {
        remedy: 'put a value that begins with * in quotes',
        cause: error,
      },
    );
  }
}

/** Parser messages quote the text at fault, which may be a password. */
function withoutQuote(message: string): string {
  return message.replace(/[:,]? ?".*$/s, '').trim();
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new AppError('CONFIG_NOT_FOUND', `there is no configuration file ${path}`, {
        remedy: 'name the file with --config <path>',
        cause: error,
      });
    }
    throw new AppError('IO', `the configuration file ${path} can't be read: ${code ?? String(error)}`, {
      remedy: code === 'EISDIR' ? 'name a file, not a folder' : "check the file's permissions",
      cause: error,
    });
  }
}

/** Puts command line values into the tree. @returns which dotted path came from which option */
function applyOverrides(tree: unknown, overrides: Overrides): Map<string, string> {
  const given = new Map<string, string>();
  if (!isMapping(tree)) return given;
  for (const { option, path, get } of OVERRIDES) {
    const value = get(overrides);
    if (value === undefined) continue;
    const [section, key] = path;
    tree[section] ??= {};
    const mapping = tree[section];
    if (!isMapping(mapping)) continue;
    mapping[key] = value;
    given.set(path.join('.'), option);
  }
  return given;
}

function valueAt(tree: unknown, path: readonly string[]): unknown {
  return path.reduce((node, key) => (isMapping(node) ? node[key] : undefined), tree);
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @returns where the value at `path` stands, or its nearest enclosing section if it is missing. */
function locate(document: Document, lines: LineCounter, path: readonly string[]): Origin | undefined {
  for (let depth = path.length; depth > 0; depth--) {
    const keys = path.slice(0, depth).map((key) => (/^\d+$/.test(key) ? Number(key) : key));
    const node = document.getIn(keys, true);
    if (isNode(node) && node.range != null) {
      const { line, col } = lines.linePos(node.range[0]);
      return { line, column: col };
    }
  }
  return undefined;
}
