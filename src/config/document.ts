/**
 * Writes a configuration file with comments, from the very definitions that files are checked against.
 *
 * Runs on the main thread only. Keys, their order, descriptions and defaults come from `keys.ts`, so that what is
 * written here can't say anything else than what is read.
 */
import * as v from 'valibot';
import { stringify } from 'yaml';
import { DEFAULT_REASON } from './fields.js';
import { batchVerifySchema, configSchema, migrationSchema, sourceSchema, targetSchema } from './keys.js';

export type GivenValue = string | number | boolean | readonly string[];
export type GivenSection = Readonly<Record<string, GivenValue>>;

/** Values by section, as they are to stand in the file: `${NAME}` is a variable. */
export interface Given {
  source: GivenSection;
  target: GivenSection;
  migration: GivenSection;
}

export interface DocumentOptions {
  /** Lines at the top. */
  heading: readonly string[];
  /** Whether keys that are not given are there as comments, with their defaults. */
  allKeys: boolean;
  /** Values for keys that are not given and have no default, by dotted path, with the reason: as comments. */
  chosen?: Readonly<Record<string, { value: number; why: string }>>;
}

type Entries = Record<string, v.BaseSchema<unknown, unknown, v.BaseIssue<unknown>>>;

const SECTIONS = { source: sourceSchema, target: targetSchema, migration: migrationSchema } as const;
const WIDTH = 100;

/** @returns the file's text; whatever is given stands in it, whether it is right or not. */
export function configDocument(given: Given, options: DocumentOptions): string {
  const lines = options.heading.flatMap((line) => comment(line, ''));
  for (const [name, section] of Object.entries(SECTIONS)) {
    lines.push('', ...comment(SECTION_TITLES[name as keyof typeof SECTIONS], ''), `${name}:`);
    lines.push(...sectionLines(name, section.entries, given[name as keyof typeof SECTIONS], options));
  }
  return `${lines.join('\n')}\n`;
}

const SECTION_TITLES = {
  source: 'Where the tables are read',
  target: 'Where they are written',
  migration: 'What is migrated, and how',
} as const;

function sectionLines(
  name: string,
  entries: Entries,
  given: GivenSection,
  { allKeys, chosen = {} }: DocumentOptions,
): string[] {
  const lines: string[] = [];
  const add = (...block: string[]): void => {
    if (lines.length > 0 && allKeys) lines.push('');
    lines.push(...block);
  };
  for (const [key, schema] of Object.entries(entries)) {
    const value = given[key];
    const choice = chosen[`${name}.${key}`];
    if (value !== undefined) {
      const [description = ''] = descriptionOf(schema).split(DEFAULT_REASON);
      add(...comment(description, '  '), `  ${line(key, value)}`);
    } else if (key === 'batch_verify') {
      if (allKeys) add('  #batch_verify:', ...verifyLines());
    } else if (choice !== undefined) {
      add(
        ...comment(`${descriptionOf(schema)}. On this host: ${choice.why}`, '  '),
        `  #${line(key, choice.value)}`,
      );
    } else if (allKeys) add(...comment(descriptionOf(schema), '  '), `  #${line(key, defaultOf(schema))}`);
  }
  return lines;
}

function verifyLines(): string[] {
  return Object.entries(batchVerifySchema.entries).flatMap(([key, schema]) => [
    ...comment(descriptionOf(schema), '  #  '),
    `  #  ${line(key, defaultOf(schema))}`,
  ]);
}

/** `key: value`; a list goes on one line. */
function line(key: string, value: unknown): string {
  if (value === undefined) return `${key}:`;
  const text = stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trimEnd();
  // A text of several lines would be written as a block; none of these keys is meant to have one.
  return `${key}: ${text.includes('\n') ? JSON.stringify(value) : text}`;
}

function comment(text: string, indent: string): string[] {
  const lines: string[] = [];
  let open = '';
  for (const word of text.split(' ')) {
    if (open !== '' && indent.length + open.length + word.length + 3 > WIDTH) {
      lines.push(`${indent}# ${open}`);
      open = '';
    }
    open += open === '' ? word : ` ${word}`;
  }
  return [...lines, `${indent}# ${open}`.trimEnd()];
}

/** An optional key's wrapper has the default, what is in it the description. */
function inner(schema: Entries[string]): Entries[string] {
  return 'wrapped' in schema ? (schema.wrapped as Entries[string]) : schema;
}

function descriptionOf(schema: Entries[string]): string {
  return v.getDescription(inner(schema)) ?? '';
}

function defaultOf(schema: Entries[string]): unknown {
  return 'default' in schema ? schema.default : undefined;
}

/**
 * @param key a key of `source` or `target`
 * @returns what would be right instead of `text`, or undefined where it may stand there as it is
 */
export function wrongValue(section: 'source' | 'target', key: string, text: string): string | undefined {
  // What a variable holds is checked once it is known.
  if (text.includes('${')) return undefined;
  const schema = (configSchema.entries[section].entries as Entries)[key];
  if (schema === undefined) return undefined;
  const value = inner(schema).type === 'number' && /^\d{1,16}$/.test(text) ? Number(text) : text;
  const result = v.safeParse(schema, value);
  return result.success ? undefined : `Give ${result.issues[0].message}.`;
}

/** @returns `text` so that a file's reader takes none of it for a variable. */
export function literally(text: string): string {
  return text.replaceAll('${', '$${');
}
