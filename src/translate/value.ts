/**
 * What the printer passes around: PostgreSQL text with the SQL Server type of its value.
 *
 * Pure, any thread.
 */
import type { Expression } from './ast.js';
import type { SqlType } from './sqlType.js';

/** What stands around an expression: the table it belongs to and the servers it moves between. */
export interface TranslateContext {
  /**
   * The column's PostgreSQL text, quoted, and its SQL Server type; null where the table has none of that name, a reason
   * where no expression gives its value.
   */
  column(name: string): { sql: string; type: SqlType } | { unusable: string } | null;
  /** The name of the sequence in the target, quoted for `::regclass`, or null where it does not arrive. */
  sequence(schema: string | null, name: string): string | null;
  /** Collation of strings that come from no column. */
  databaseCollation: string;
  /** `server_version_num` of the target. */
  pgVersion: number;
}

export interface Value {
  sql: string;
  type: SqlType;
  /** Needs no parentheses as an operand. */
  atom: boolean;
  /** The moment it is computed in, or one counted from that. */
  recent?: true;
  /** The literal it is, sign included, where it is one. */
  literal?: { kind: 'null' } | { kind: 'number'; text: string } | { kind: 'string'; value: string };
}

/** The printer as its parts see it. */
export interface Scope {
  context: TranslateContext;
  /** @throws Untranslatable */
  scalar(expression: Expression): Value;
  /** @throws Untranslatable */
  condition(expression: Expression): string;
  /** Notes a difference that remains, in words for a person. */
  caveat(text: string): void;
}

/** @returns the text of `value` fit to stand beside an operator. */
export function operand(value: Value): string {
  return value.atom ? value.sql : `(${value.sql})`;
}

export function atom(sql: string, type: SqlType): Value {
  return { sql, type, atom: true };
}

export function compound(sql: string, type: SqlType): Value {
  return { sql, type, atom: false };
}

/** @returns `text` as a PostgreSQL literal; standard_conforming_strings is on wherever it is run. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** @returns the whole number `value` is, or null where it is no literal. */
export function wholeNumber(value: Value): number | null {
  const { literal } = value;
  if (literal?.kind !== 'number' || !/^-?\d+$/.test(literal.text)) return null;
  const number = Number(literal.text);
  return Number.isSafeInteger(number) ? number : null;
}

/** Whether upper and lower case of `text` are the same. */
export function hasNoCase(text: string): boolean {
  return text.toLowerCase() === text.toUpperCase();
}
