/**
 * T-SQL expressions of the catalog as PostgreSQL: defaults, checks, filters of indexes.
 *
 * Pure, any thread. What can't be said exactly is not said: the answer is then why.
 */

import { assign } from './convert.js';
import { parse } from './parse.js';
import { Printer } from './print.js';
import type { SqlType } from './sqlType.js';
import { Untranslatable } from './untranslatable.js';
import type { TranslateContext } from './value.js';

export { type CatalogType, columnType, type SqlType } from './sqlType.js';
export type { TranslateContext } from './value.js';

export type Translation =
  /** `caveats`: differences that remain in rare cases, in words. */
  { sql: string; caveats: string[] } | { untranslated: string };

/** @returns a search condition: a check, the filter of an index. */
export function translateCondition(text: string, context: TranslateContext): Translation {
  return attempt(text, context, (printer) => printer.condition(parse(text)));
}

/** @returns a value, of whatever type it has. */
export function translateScalar(text: string, context: TranslateContext): Translation {
  return attempt(text, context, (printer) => printer.scalar(parse(text)).sql);
}

/** @returns the default of a column of `type`. */
export function translateDefault(text: string, type: SqlType, context: TranslateContext): Translation {
  return translateValue('default', text, type, context);
}

/** @returns what a computed column of `type` is computed by. */
export function translateComputed(text: string, type: SqlType, context: TranslateContext): Translation {
  return translateValue('computed column', text, type, context);
}

function translateValue(what: string, text: string, type: SqlType, context: TranslateContext): Translation {
  return attempt(text, context, (printer) => {
    if (type.family === 'other') {
      throw new Untranslatable(`a ${what} of type ${type.name} has no exact translation`);
    }
    return assign(printer, printer.scalar(parse(text)), type).sql;
  });
}

function attempt(text: string, context: TranslateContext, print: (printer: Printer) => string): Translation {
  // The catalog shows definitions only to those with VIEW DEFINITION.
  if (text === '')
    return { untranslated: 'its definition is hidden from this login (GRANT VIEW DEFINITION)' };
  const printer = new Printer(context);
  try {
    const sql = print(printer);
    return { sql, caveats: [...printer.caveats] };
  } catch (error) {
    if (error instanceof Untranslatable) return { untranslated: error.message };
    throw error;
  }
}
