/**
 * The string functions.
 *
 * Pure, any thread. Positions and lengths count UTF-16 units in SQL Server and characters in PostgreSQL: the same but
 * for characters beyond U+FFFF, which is said.
 */
import type { Expression } from './ast.js';
import { collationOf } from './compare.js';
import { convertLiteral } from './convert.js';
import { type SqlType, stringComparison } from './sqlType.js';
import { Untranslatable } from './untranslatable.js';
import { atom, compound, hasNoCase, operand, type Scope, type Value, wholeNumber } from './value.js';

const INT: SqlType = { family: 'integer', bytes: 4 };
type StringType = SqlType & { family: 'string' };
type Text = Value & { type: StringType };
type Maker = (scope: Scope, list: readonly Expression[]) => Value;

export const STRING_FUNCTIONS: Record<string, Maker> = {
  LEN(scope, [argument]) {
    const text = string(scope, argument);
    beyondPlane(scope, text);
    return atom(`length(rtrim(${text.sql}, ' '))`, INT);
  },
  DATALENGTH: dataLength,
  UPPER: (scope, [argument]) => same(string(scope, argument), (sql) => `upper(${sql})`),
  LOWER: (scope, [argument]) => same(string(scope, argument), (sql) => `lower(${sql})`),
  LTRIM: (scope, list) => trim(scope, list, 'ltrim'),
  RTRIM: (scope, list) => trim(scope, list, 'rtrim'),
  TRIM: (scope, list) => trim(scope, list, 'btrim'),
  LEFT: (scope, [argument, count]) => end(scope, argument, count, 'left'),
  RIGHT: (scope, [argument, count]) => end(scope, argument, count, 'right'),
  SUBSTRING(scope, [argument, start, length]) {
    const text = unpadded(string(scope, argument));
    const [from, count] = [integer(scope, start), integer(scope, length)];
    beyondPlane(scope, text);
    return unlimited(text, `substring(${text.sql}, ${from.sql}, ${count.sql})`);
  },
  REPLACE(scope, [argument, what, by]) {
    const [text, old, fresh] = [string(scope, argument), string(scope, what), string(scope, by)];
    const literal = old.literal?.kind === 'string' ? old.literal.value : null;
    if (literal === null) throw new Untranslatable('REPLACE of what is no literal follows the collation');
    caseBlind(scope, 'REPLACE', literal, text, old);
    return unlimited(text, `replace(${unpadded(text).sql}, ${old.sql}, ${unpadded(fresh).sql})`);
  },
  CHARINDEX(scope, list) {
    const [what, argument, start] = list;
    if (start !== undefined) throw new Untranslatable('CHARINDEX with a start has no translation here');
    const [part, text] = [string(scope, what), unpadded(string(scope, argument))];
    const literal = part.literal?.kind === 'string' ? part.literal.value : '';
    if (literal === '') throw new Untranslatable('CHARINDEX of what is no literal follows the collation');
    beyondPlane(scope, text);
    const rules = stringComparison(collationOf(scope, part, text));
    if (!rules.accentSensitive) throw new Untranslatable('the collation compares without accents');
    if (rules.caseSensitive || hasNoCase(literal)) return atom(`strpos(${text.sql}, ${part.sql})`, INT);
    scope.caveat('strings are compared without case, by lower()');
    return atom(`strpos(lower(${text.sql}), lower(${part.sql}))`, INT);
  },
  REVERSE: (scope, [argument]) => same(unpadded(string(scope, argument)), (sql) => `reverse(${sql})`),
  SPACE: (scope, [argument]) => atom(`repeat(' ', ${integer(scope, argument).sql})`, varchar(-1)),
  REPLICATE: (scope, [argument, count]) => {
    const text = unpadded(string(scope, argument));
    if (wholeNumber(integer(scope, count)) === null)
      throw new Untranslatable('REPLICATE of a varying number of times');
    return unlimited(text, `repeat(${text.sql}, ${integer(scope, count).sql})`);
  },
  CONCAT(scope, list) {
    const parts = list.map((argument) => concatenated(scope, scope.scalar(argument)));
    return unlimited(parts[0] as Text, `concat(${parts.map(({ sql }) => sql).join(', ')})`);
  },
};

function varchar(length: number): StringType {
  return { family: 'string', national: false, length, padded: false, collation: null };
}

function string(scope: Scope, argument: Expression | undefined): Text {
  if (argument === undefined) throw new Untranslatable('an argument is missing');
  const value = scope.scalar(argument);
  if (value.type.family !== 'string') throw new Untranslatable(`a string function of ${value.type.family}`);
  return value as Text;
}

function integer(scope: Scope, argument: Expression | undefined): Value {
  if (argument === undefined) throw new Untranslatable('an argument is missing');
  const value = scope.scalar(argument);
  if (value.type.family !== 'integer' || value.type.bytes === 8)
    throw new Untranslatable('a number is no int');
  return value;
}

/** @throws Untranslatable for char(n): PostgreSQL drops its blanks before a function sees them. */
function unpadded(value: Text): Text {
  if (!value.type.padded) return value;
  throw new Untranslatable('char(n) keeps its trailing blanks, PostgreSQL drops them');
}

function same(text: Text, print: (sql: string) => string): Value {
  return atom(print(text.sql), { ...text.type });
}

/** The result is text of any length; what it is assigned to limits it. */
function unlimited(text: Text, sql: string): Value {
  return atom(sql, { ...text.type, length: text.type.length === -1 ? -1 : 8000, padded: false });
}

function beyondPlane(scope: Scope, text: Text): void {
  if (text.type.national) scope.caveat('a character beyond U+FFFF counts as two in SQL Server, as one here');
}

function caseBlind(scope: Scope, name: string, literal: string, ...values: Value[]): void {
  const rules = stringComparison(collationOf(scope, ...values));
  if (rules.accentSensitive && (rules.caseSensitive || hasNoCase(literal))) return;
  throw new Untranslatable(`${name} compares as the collation does`);
}

function trim(scope: Scope, list: readonly Expression[], name: string): Value {
  if (list.length !== 1)
    throw new Untranslatable('trimming characters of one’s choice has no translation here');
  const text = string(scope, list[0]);
  if (name === 'ltrim') unpadded(text);
  return atom(`${name}(${text.sql}, ' ')`, { ...text.type, padded: false });
}

function end(
  scope: Scope,
  argument: Expression | undefined,
  countExpression: Expression | undefined,
  name: 'left' | 'right',
): Value {
  const text = unpadded(string(scope, argument));
  const count = integer(scope, countExpression);
  const number = wholeNumber(count);
  if (number === null || number < 0) {
    throw new Untranslatable(
      `${name.toUpperCase()} with a length that may be negative is an error in SQL Server only`,
    );
  }
  beyondPlane(scope, text);
  return atom(`${name}(${text.sql}, ${number})`, { ...text.type, length: Math.max(number, 1) });
}

function dataLength(scope: Scope, [argument]: readonly Expression[]): Value {
  if (argument === undefined) throw new Untranslatable('an argument is missing');
  const value = scope.scalar(argument);
  const { type } = value;
  if (type.family === 'binary') return atom(`octet_length(${value.sql})`, INT);
  if (type.family === 'string' && type.national && !type.padded) {
    beyondPlane(scope, value as Text);
    return compound(`length(${value.sql}) * 2`, INT);
  }
  throw new Untranslatable(`DATALENGTH of ${type.family} depends on how SQL Server stores it`);
}

/** @returns `+` of two strings: NULL where either is. */
export function concatenate(left: Value, right: Value): Value {
  const [a, b] = [left, right].map((value) => plainText(value)) as [Text, Text];
  const length = a.type.length === -1 || b.type.length === -1 ? -1 : a.type.length + b.type.length;
  if (length > 4000 && length !== -1)
    throw new Untranslatable('the text may be cut at 8000 bytes in SQL Server');
  return compound(`${operand(a)} || ${operand(b)}`, {
    ...a.type,
    national: a.type.national || b.type.national,
    length,
    collation: a.type.collation ?? b.type.collation,
  });
}

function plainText(value: Value): Text {
  if (value.type.family === 'null') return { ...value, sql: 'NULL', type: varchar(1) };
  if (value.type.family !== 'string') throw new Untranslatable(`+ of a string and ${value.type.family}`);
  return unpadded(value as Text);
}

function concatenated(scope: Scope, value: Value): Text {
  if (value.type.family === 'string' || value.type.family === 'null') return plainText(value);
  if (value.type.family === 'integer') {
    const converted = convertLiteral(scope, value, varchar(-1));
    return (converted ?? atom(`CAST(${value.sql} AS text)`, varchar(20))) as Text;
  }
  throw new Untranslatable(`CONCAT of ${value.type.family} has no exact translation`);
}
