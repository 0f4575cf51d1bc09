/**
 * Comparisons: numbers, moments and identifiers by their types, strings as the source's collation has it.
 *
 * Pure, any thread.
 */
import type { Comparison } from './ast.js';
import { convertLiteral } from './convert.js';
import { isNumber, type SqlType, stringComparison } from './sqlType.js';
import { Untranslatable } from './untranslatable.js';
import { hasNoCase, operand, quoteText, type Scope, type Value } from './value.js';

/** @returns a condition. */
export function compare(scope: Scope, operator: Comparison, left: Value, right: Value): string {
  const [a, b] = alike(scope, left, right, operator === '=' || operator === '<>');
  return `${a} ${operator} ${b}`;
}

/** @returns both operands as texts that PostgreSQL compares as SQL Server compares the values. */
export function alike(scope: Scope, left: Value, right: Value, equality: boolean): [string, string] {
  const [a, b] = [left.type, right.type];
  const both: [string, string] = [operand(left), operand(right)];
  if (a.family === 'null' || b.family === 'null') return both;
  if (a.family === 'string' && b.family === 'string') return alikeStrings(scope, left, right, equality);
  if (isNumber(a) && isNumber(b)) return alikeNumbers(scope, left, right, equality);
  if ((a.family === 'string' && isNumber(b)) || (isNumber(a) && b.family === 'string')) {
    const text = a.family === 'string' ? left : right;
    if (text.literal === undefined) throw new Untranslatable('SQL Server reads the string as a number here');
  }
  if (left.literal !== undefined && right.literal === undefined) {
    const converted = convertLiteral(scope, left, b);
    if (converted !== null) return alike(scope, converted, right, equality);
  }
  if (right.literal !== undefined && left.literal === undefined) {
    const converted = convertLiteral(scope, right, a);
    if (converted !== null) return alike(scope, left, converted, equality);
  }
  if (isMoment(a) && isMoment(b)) {
    if (a.family === b.family) return both;
    if (a.family !== 'datetimeoffset' && b.family !== 'datetimeoffset') return both;
    return [inUtc(left), inUtc(right)];
  }
  if (a.family === 'time' && b.family === 'time') return both;
  if (a.family === 'uuid' && b.family === 'uuid') {
    if (equality) return both;
    throw new Untranslatable('the servers order uniqueidentifier differently');
  }
  throw new Untranslatable(`a comparison of ${a.family} with ${b.family} has no exact translation`);
}

function isMoment(type: SqlType): boolean {
  return type.family === 'date' || type.family === 'datetime' || type.family === 'datetimeoffset';
}

function inUtc(value: Value): string {
  if (value.type.family === 'datetimeoffset') return operand(value);
  const moment = value.type.family === 'date' ? `CAST(${value.sql} AS timestamp)` : operand(value);
  return `(${moment} AT TIME ZONE 'UTC')`;
}

function alikeNumbers(scope: Scope, left: Value, right: Value, equality: boolean): [string, string] {
  const bits = [left, right].map(({ type }) => type.family === 'bit');
  if (bits[0] && bits[1] && equality) return [operand(left), operand(right)];
  if (equality && (bits[0] || bits[1])) {
    const [bit, other] = bits[0] ? [left, right] : [right, left];
    const text = other.literal?.kind === 'number' ? Number(other.literal.text) : null;
    if (text === 0 || text === 1) {
      const converted = operand(convertLiteral(scope, other, bit.type) as Value);
      return bits[0] ? [operand(bit), converted] : [converted, operand(bit)];
    }
  }
  const isReal = [left, right].map(({ type }) => type.family === 'float' && type.bytes === 4);
  const number = (value: Value, otherIsReal: boolean): string => {
    if (value.type.family === 'bit') return `CAST(${value.sql} AS integer)`;
    // SQL Server compares a real with a number as reals, PostgreSQL as doubles.
    const inexact = value.type.family === 'decimal' || value.type.family === 'integer';
    return otherIsReal && inexact ? `CAST(${value.sql} AS real)` : operand(value);
  };
  return [number(left, isReal[1] === true), number(right, isReal[0] === true)];
}

function alikeStrings(scope: Scope, left: Value, right: Value, equality: boolean): [string, string] {
  const rules = stringComparison(collationOf(scope, left, right));
  if (!equality) throw new Untranslatable('the servers order strings differently');
  if (!rules.accentSensitive) throw new Untranslatable('the collation compares without accents');
  const caseless = [left, right].some(
    ({ literal }) => literal?.kind === 'string' && hasNoCase(literal.value),
  );
  const fold = !rules.caseSensitive && !caseless;
  if (fold) scope.caveat('strings are compared without case, by lower()');
  // Trailing blanks do not count in SQL Server.
  const side = ({ sql, literal }: Value): string => {
    if (literal?.kind === 'string') {
      const text = literal.value.replace(/ +$/, '');
      if (!fold || hasNoCase(text)) return quoteText(text);
      return isAscii(text) ? quoteText(text.toLowerCase()) : `lower(${quoteText(text)})`;
    }
    return fold ? `lower(rtrim(${sql}, ' '))` : `rtrim(${sql}, ' ')`;
  };
  return [side(left), side(right)];
}

/** @returns the collation by which two strings are compared. */
export function collationOf(scope: Scope, ...values: Value[]): string {
  const named = values.flatMap(({ type }) =>
    type.family === 'string' && type.collation !== null ? [type.collation] : [],
  );
  const distinct = [...new Set(named)];
  if (distinct.length > 1)
    throw new Untranslatable(`it compares strings of collations ${distinct.join(' and ')}`);
  return distinct[0] ?? scope.context.databaseCollation;
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
