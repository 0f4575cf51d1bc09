/**
 * The kinds of value a configuration key may hold.
 *
 * Runs on the main thread only. Each builder gives every one of its checks the same message: what would be
 * right ("a whole number from 1 to 65535"), so that an issue's message is the expectation, whatever failed.
 */
import * as v from 'valibot';

/** Stands in a description before the reason for its default. */
export const DEFAULT_REASON = '. Why this default: ';

function describe(description: string, unit: string, why: string): string {
  const withUnit = unit === '' ? description : `${description} (${unit})`;
  return why === '' ? withUnit : `${withUnit}${DEFAULT_REASON}${why}.`;
}

/** A whole number from `min` to `max`, inclusive. */
export function whole(min: number, max: number, description: string, unit = '', why = '') {
  const expected = `a whole number from ${min} to ${max}`;
  return v.pipe(
    v.number(expected),
    v.integer(expected),
    v.minValue(min, expected),
    v.maxValue(max, expected),
    v.description(describe(description, unit, why)),
  );
}

/** Text of 1 to `maxLength` characters. */
export function text(maxLength: number, description: string, why = '') {
  const expected = `text of 1 to ${maxLength} characters (in quotes if it looks like a number)`;
  return v.pipe(
    v.string(expected),
    v.minLength(1, expected),
    v.maxLength(maxLength, expected),
    v.regex(/^[^\u0000]*$/, expected),
    v.description(describe(description, '', why)),
  );
}

/** Text that is never printed; may be empty, for servers that ask for none. */
export function secret(description: string) {
  const expected = 'text (in quotes if it looks like a number)';
  return v.pipe(v.string(expected), v.description(description));
}

/** true or false. */
export function flag(description: string, why = '') {
  return v.pipe(v.boolean('true or false'), v.description(describe(description, '', why)));
}

/** true, false, or one word for something beyond. */
export function flagOr<const W extends string>(word: W, description: string, why = '') {
  const expected = `true, false or ${word}`;
  return v.pipe(
    v.union([v.boolean(expected), v.literal(word, expected)], expected),
    v.description(describe(description, '', why)),
  );
}

/** One of a few words. */
export function choice<const T extends readonly string[]>(words: T, description: string, why = '') {
  return v.pipe(
    v.picklist(words, `one of ${words.join(', ')}`),
    v.description(describe(description, '', why)),
  );
}

/** A list of table name patterns. */
export function patterns(description: string) {
  const expected = 'a list of table name patterns, such as "sales_*" or "dbo.orders"';
  return v.pipe(
    v.array(v.pipe(v.string(expected), v.minLength(1, expected)), expected),
    v.description(description),
  );
}

/** All schemas of the source. */
const EVERY_SCHEMA = '*';

/** One name, a list of names, or `*`. */
export function names(maxLength: number, description: string, why = '') {
  const expected = `a name of 1 to ${maxLength} characters, a list of such names, or "*" for all`;
  const name = v.pipe(
    v.string(expected),
    v.minLength(1, expected),
    v.maxLength(maxLength, expected),
    v.regex(/^[^\u0000]*$/, expected),
  );
  return v.pipe(
    v.union([name, v.pipe(v.array(name, expected), v.minLength(1, expected))], expected),
    v.description(describe(description, '', why)),
  );
}

/** @returns the names asked for; none stands for all. */
export function askedNames(value: string | readonly string[]): readonly string[] {
  if (typeof value !== 'string') return value;
  return value === EVERY_SCHEMA ? [] : [value];
}

/** @returns whether exactly one name is asked for, whatever there is. */
export function asksForOne(value: string | readonly string[]): boolean {
  return askedNames(value).length === 1;
}

/** Names of the source with names of the target. */
export function nameMap(maxKey: number, maxValue: number, description: string) {
  const expected = `a mapping of source names to target names of 1 to ${maxValue} characters`;
  const part = (maxLength: number) =>
    v.pipe(
      v.string(expected),
      v.minLength(1, expected),
      v.maxLength(maxLength, expected),
      v.regex(/^[^\u0000]*$/, expected),
    );
  return v.pipe(v.record(part(maxKey), part(maxValue), expected), v.description(description));
}

/** A mapping of names to words of the user's own. */
export function mapping(expectedValue: string, description: string, why = '') {
  const word = `${expectedValue} (in quotes if it looks like something else)`;
  return v.pipe(
    v.record(v.string(), v.pipe(v.string(word), v.minLength(1, word)), 'a mapping of names to values'),
    v.description(describe(description, '', why)),
  );
}
