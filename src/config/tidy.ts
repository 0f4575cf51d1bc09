/**
 * Makes a parsed file ready for the schema: finds unknown keys, drops keys without a value, and turns text
 * that came out of variables into the number or switch its key asks for.
 *
 * Runs on the main thread only. It walks file and schema side by side, which is also how an unknown key
 * gets its suggestion.
 */
import { distance } from 'fastest-levenshtein';
import type * as v from 'valibot';
import { configSchema } from './keys.js';
import type { Problem } from './problems.js';

type Schema = v.GenericSchema;

interface Section extends Schema {
  type: 'strict_object';
  entries: Record<string, Schema>;
}

/** @returns the schema inside optional() and pipe() wrappers. */
function unwrap(schema: Schema): Schema {
  if ('wrapped' in schema) return unwrap(schema.wrapped as Schema);
  if ('pipe' in schema) return (schema.pipe as [Schema])[0];
  return schema;
}

export function isSection(schema: Schema): schema is Section {
  return schema.type === 'strict_object' && 'entries' in schema;
}

/** @returns every key of the schema as a path, sections included, in the schema's order. */
export function allPaths(schema: Schema = configSchema, path: string[] = []): string[][] {
  const inner = unwrap(schema);
  if (!isSection(inner)) return [];
  return Object.entries(inner.entries).flatMap(([key, entry]) => [
    [...path, key],
    ...allPaths(entry, [...path, key]),
  ]);
}

/**
 * @param expanded dotted paths whose text came out of variables
 * @returns the tree the schema should check, and a problem for each unknown key (left out of the tree)
 */
export function tidy(input: object, expanded: ReadonlySet<string>): { value: unknown; problems: Problem[] } {
  const problems: Problem[] = [];
  const value = tidySection(configSchema as unknown as Section, input, [], expanded, problems);
  return { value, problems };
}

function tidySection(
  section: Section,
  input: object,
  path: string[],
  expanded: ReadonlySet<string>,
  problems: Problem[],
): Record<string, unknown> {
  const output: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(input)) {
    const entry = Object.hasOwn(section.entries, key) ? section.entries[key] : undefined;
    const here = [...path, key];
    if (entry === undefined) {
      problems.push({ path: here, text: `is not a known key${suggestion(key, path, section)}` });
      continue;
    }
    if (value === null || value === undefined) continue;
    const schema = unwrap(entry);
    if (isSection(schema) && typeof value === 'object' && !Array.isArray(value)) {
      output[key] = tidySection(schema, value, here, expanded, problems);
    } else {
      output[key] = expanded.has(here.join('.')) ? coerce(schema, value) : value;
    }
  }
  return output;
}

/** Reads text as the number or switch its key asks for; other text stays, for the schema to judge. */
function coerce(schema: Schema, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const text = value.trim();
  if (schema.type === 'number' && /^-?\d{1,16}$/.test(text)) return Number(text);
  if (takesSwitch(schema) && /^(true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  return value;
}

function takesSwitch(schema: Schema): boolean {
  return (
    schema.type === 'boolean' ||
    (schema.type === 'union' && 'options' in schema && (schema.options as Schema[]).some(takesSwitch))
  );
}

function suggestion(key: string, path: readonly string[], section: Section): string {
  const normal = normalise(key);
  const elsewhere = allPaths().filter((known) => known.at(-1) === normal);
  const sibling = nearest(normal, Object.keys(section.entries));
  if (sibling !== undefined) return `; did you mean ${[...path, sibling].join('.')}?`;
  if (elsewhere.length > 0)
    return `; it belongs at ${elsewhere.map((known) => known.join('.')).join(' or ')}`;
  const far = nearest(
    normal,
    allPaths().map((known) => known.at(-1) ?? ''),
  );
  const known = allPaths().find((candidate) => candidate.at(-1) === far);
  if (known !== undefined) return `; did you mean ${known.join('.')}?`;
  return `; known here: ${Object.keys(section.entries).join(', ')}`;
}

/** `chunkSize` and `chunk-size` are taken for `chunk_size`. */
function normalise(key: string): string {
  return key
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll('-', '_')
    .toLowerCase();
}

/** @returns the candidate that differs from `word` by the fewest letters, if it is near enough to be meant. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const d = distance(word, candidate);
    if (d < bestDistance && d < Math.max(candidate.length, word.length)) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best;
}
