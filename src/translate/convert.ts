/**
 * CAST, CONVERT and the conversions SQL Server makes by itself, as far as PostgreSQL can make the same.
 *
 * Pure, any thread.
 */
import type { Expression } from './ast.js';
import { castMoment } from './moments.js';
import { isNumber, namedType, pgTypeOf, type SqlType } from './sqlType.js';
import { Untranslatable } from './untranslatable.js';
import { atom, compound, operand, quoteText, type Scope, type Value, wholeNumber } from './value.js';

const DATE = /^(\d{4})-?(\d{2})-?(\d{2})$/;
const MOMENT = /^(\d{4})-?(\d{2})-?(\d{2})(?:[T ](\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,7})?)?))?$/;
const OFFSET = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?) ?(Z|[+-]\d{2}:\d{2})$/;
const UUID = /^\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?$/i;

/** CONVERT's styles of a moment as text, as to_char spells them. */
const STYLES: Record<number, string> = {
  23: 'YYYY-MM-DD',
  101: 'MM/DD/YYYY',
  102: 'YYYY.MM.DD',
  103: 'DD/MM/YYYY',
  104: 'DD.MM.YYYY',
  105: 'DD-MM-YYYY',
  108: 'HH24:MI:SS',
  110: 'MM-DD-YYYY',
  111: 'YYYY/MM/DD',
  112: 'YYYYMMDD',
  120: 'YYYY-MM-DD HH24:MI:SS',
  20: 'YYYY-MM-DD HH24:MI:SS',
};

export function convert(scope: Scope, expression: Expression & { kind: 'cast' }): Value {
  const type = namedType(expression.type);
  const from = scope.scalar(expression.operand);
  const style = expression.style === null ? null : wholeNumber(scope.scalar(expression.style));
  if (expression.style !== null && style === null)
    throw new Untranslatable('the style of CONVERT is no number');
  if (expression.tries && !neverFails(from.type, type)) {
    throw new Untranslatable('TRY_CAST and TRY_CONVERT give NULL where PostgreSQL gives an error');
  }
  if (from.type.family === 'datetime' || from.type.family === 'date') {
    if (type.family === 'string') return momentAsText(from, type, style);
  }
  if (style !== null && !(style === 0 || from.literal?.kind === 'string')) {
    if (from.type.family !== type.family)
      throw new Untranslatable(`CONVERT with style ${style} has no translation here`);
  }
  return cast(scope, from, type);
}

function neverFails(from: SqlType, to: SqlType): boolean {
  if (from.family === 'null') return true;
  if (from.family === 'integer' && to.family === 'integer') return to.bytes >= from.bytes;
  if (from.family === 'bit') return to.family === 'integer';
  if (from.family === 'integer') return to.family === 'float';
  return from.family === 'string' && to.family === 'string';
}

/** An explicit conversion. */
export function cast(scope: Scope, from: Value, to: SqlType): Value {
  const literal = convertLiteral(scope, from, to);
  if (literal !== null) return literal;
  const a = from.type;
  const plain = (): Value => atom(`CAST(${from.sql} AS ${pgTypeOf(to)})`, to);
  if (a.family === 'null') return { ...plain(), literal: { kind: 'null' } };
  if (isNumber(a) && isNumber(to)) return castNumber(from, to);
  const moment = castMoment(from, to);
  if (moment !== null) return moment;
  switch (to.family) {
    case 'string':
      return castToString(scope, from, to);
    case 'date':
      if (a.family === 'date' || a.family === 'datetime') return plain();
      break;
    case 'uuid':
      if (a.family === 'uuid') return from;
      break;
    case 'binary':
      if (
        a.family === 'binary' &&
        !to.fixed &&
        (to.length === -1 || (a.length !== -1 && a.length <= to.length))
      )
        return { ...from, type: to };
      break;
  }
  return refuse(a, to);
}

function refuse(from: SqlType, to: SqlType): never {
  throw new Untranslatable(`a conversion from ${nameOf(from)} to ${nameOf(to)} has no exact translation`);
}

function nameOf(type: SqlType): string {
  return type.family === 'other' || type.family === 'datetime' ? type.name : type.family;
}

function castNumber(from: Value, to: SqlType): Value {
  const a = from.type;
  const plain = (sql: string): Value => atom(`CAST(${sql} AS ${pgTypeOf(to)})`, to);
  if (to.family === 'bit') {
    return a.family === 'bit' ? from : compound(`${operand(from)} <> 0`, to);
  }
  if (a.family === 'bit') {
    const number = `CAST(${from.sql} AS integer)`;
    return to.family === 'integer' && to.bytes === 4 ? atom(number, to) : plain(number);
  }
  if (to.family === 'integer') {
    if (a.family === 'integer') return a.bytes === to.bytes ? from : plain(from.sql);
    if (a.family === 'decimal' && a.money) return plain(from.sql);
    return plain(`trunc(${from.sql})`);
  }
  if (to.family === 'decimal' && a.family === 'float') refuse(a, to);
  return plain(from.sql);
}

function castToString(scope: Scope, from: Value, to: SqlType & { family: 'string' }): Value {
  const a = from.type;
  const plain = (sql: string): Value => atom(`CAST(${sql} AS ${pgTypeOf(to)})`, to);
  if (a.family === 'string') {
    if (a.padded && !to.padded)
      throw new Untranslatable('char(n) keeps its trailing blanks, PostgreSQL drops them');
    if (a.national && !to.national && from.literal === undefined) {
      scope.caveat('characters outside the code page become ? in SQL Server and stay here');
    }
    return { ...plain(from.sql), type: { ...to, collation: a.collation } };
  }
  // What does not fit becomes *, an error or a cut in SQL Server, so there must be room for all.
  const room = (characters: number): void => {
    if (to.length !== -1 && to.length < characters)
      throw new Untranslatable('the text may be too long for its type');
  };
  if (a.family === 'integer') {
    room({ 1: 3, 2: 6, 4: 11, 8: 20 }[a.bytes]);
    return plain(from.sql);
  }
  if (a.family === 'bit') {
    room(1);
    return plain(`CAST(${from.sql} AS integer)`);
  }
  if (a.family === 'decimal' && !a.money) {
    room(a.precision + 2);
    return plain(from.sql);
  }
  if (a.family === 'uuid') {
    room(36);
    return plain(`upper(CAST(${from.sql} AS text))`);
  }
  return refuse(a, to);
}

function momentAsText(from: Value, to: SqlType & { family: 'string' }, style: number | null): Value {
  const pattern = style === null ? (from.type.family === 'date' ? STYLES[23] : undefined) : STYLES[style];
  if (pattern === undefined || (from.type.family === 'date' && pattern.includes('HH24'))) {
    throw new Untranslatable(`a moment as text in style ${style ?? 0} has no exact translation`);
  }
  return atom(`CAST(to_char(${from.sql}, ${quoteText(pattern)}) AS ${pgTypeOf(to)})`, to);
}

/** @returns a literal as a literal of another type, or null where `from` is none or needs no change of kind. */
export function convertLiteral(scope: Scope, from: Value, to: SqlType): Value | null {
  const { literal } = from;
  if (literal === undefined) return null;
  if (literal.kind === 'null') return { ...atom('NULL', to), literal };
  if (literal.kind === 'string') return stringLiteralAs(scope, from, literal.value, to);
  if (to.family === 'bit') return atom(Number(literal.text) === 0 ? 'false' : 'true', to);
  if (to.family === 'string' && !to.padded) {
    if (from.type.family !== 'integer') return null;
    const text = String(BigInt(literal.text));
    if (to.length !== -1 && text.length > to.length)
      throw new Untranslatable('the number is too long for its type');
    return { ...atom(quoteText(text), to), literal: { kind: 'string', value: text } };
  }
  if (to.family === 'datetime' && to.name !== 'datetime2') {
    const days = wholeNumber(from);
    if (days === null) throw new Untranslatable('a moment written as a fraction of days has no translation');
    const moment = new Date(Date.UTC(1900, 0, 1) + days * 86_400_000);
    if (days < -53_690 || days > 2_958_463) throw new Untranslatable('the moment is out of range');
    return atom(`TIMESTAMP ${quoteText(moment.toISOString().slice(0, 19).replace('T', ' '))}`, to);
  }
  return null;
}

function stringLiteralAs(scope: Scope, from: Value, value: string, to: SqlType): Value | null {
  const text = value.trim();
  const wrong = (): never => {
    throw new Untranslatable(`${quoteText(value)} as ${nameOf(to)} depends on settings of the session`);
  };
  switch (to.family) {
    case 'string': {
      const kept = to.length === -1 ? value : [...value].slice(0, to.length).join('');
      if (to.padded) return { ...atom(`CAST(${quoteText(kept)} AS ${pgTypeOf(to)})`, to) };
      return { ...from, sql: quoteText(kept), literal: { kind: 'string', value: kept }, type: { ...to } };
    }
    case 'date': {
      const match = DATE.exec(text);
      if (match === null || !isDate(match)) return wrong();
      return atom(`DATE '${match[1]}-${match[2]}-${match[3]}'`, to);
    }
    case 'datetime': {
      const match = text === '' ? null : MOMENT.exec(text);
      if (text === '' && to.name !== 'datetime2') return atom(`TIMESTAMP '1900-01-01 00:00:00'`, to);
      if (match === null || !isDate(match)) return wrong();
      const [, year, month, day, time = '00:00:00'] = match;
      if (!isTime(time)) return wrong();
      if (to.name !== 'datetime2' && /^\d{4}-\d{2}-\d{2}(?!T)/.test(text) && month !== day) {
        scope.caveat(`${quoteText(value)} is read as year, month, day`);
      }
      if (to.name !== 'datetime2' && /\.\d*[1-9]/.test(time)) return wrong();
      return atom(`TIMESTAMP '${year}-${month}-${day} ${microseconds(scope, time)}'`, to);
    }
    case 'time':
      if (!/^\d{1,2}:\d{2}(:\d{2}(\.\d{1,7})?)?$/.test(text) || !isTime(text)) return wrong();
      return atom(`TIME '${microseconds(scope, text)}'`, to);
    case 'datetimeoffset': {
      const match = OFFSET.exec(text);
      if (match === null) return wrong();
      return atom(`TIMESTAMPTZ '${match[1]} ${match[2]}${match[3] === 'Z' ? '+00' : match[3]}'`, to);
    }
    case 'uuid': {
      const match = UUID.exec(text);
      if (match === null) return wrong();
      return atom(`CAST('${(match[1] as string).toLowerCase()}' AS uuid)`, to);
    }
    case 'bit':
      if (/^(true|[+-]?0*[1-9]\d*)$/i.test(text)) return atom('true', to);
      if (/^(false|[+-]?0*)$/i.test(text)) return atom('false', to);
      return wrong();
    case 'integer':
      if (!/^[+-]?\d+$/.test(text)) return text === '' ? numberLiteral('0', to) : wrong();
      return numberLiteral(String(BigInt(text.replace('+', ''))), to);
    case 'decimal':
      if (!/^[+-]?(\d+(\.\d*)?|\.\d+)$/.test(text)) return wrong();
      return atom(`CAST(${quoteText(text)} AS ${pgTypeOf(to)})`, to);
    default:
      return refuse(from.type, to);
  }
}

/** A time of day as PostgreSQL can hold it: the 7th digit goes as it does in rows. */
function microseconds(scope: Scope, time: string): string {
  const [, kept, last] = /^(.*\.\d{6})(\d)$/.exec(time) ?? [];
  if (kept === undefined) return time;
  if (last !== '0') scope.caveat('the 7th fractional digit is floored');
  return kept;
}

function numberLiteral(text: string, type: SqlType): Value {
  return { ...atom(text.startsWith('-') ? `(${text})` : text, type), literal: { kind: 'number', text } };
}

function isDate([, year, month, day]: RegExpExecArray): boolean {
  const date = new Date(`${year}-${month}-${day}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.getUTCDate() === Number(day) && Number(year) >= 1;
}

function isTime(time: string): boolean {
  const [hours = 0, minutes = 0, seconds = 0] = time.split(':').map(Number);
  return hours < 24 && minutes < 60 && seconds < 60;
}

/**
 * The conversion SQL Server makes where a value of one type meets another: in an assignment, ISNULL or COALESCE.
 *
 * @throws Untranslatable where PostgreSQL would make another value of it.
 */
export function assign(scope: Scope, from: Value, to: SqlType): Value {
  const a = from.type;
  const literal = convertLiteral(scope, from, to);
  if (literal !== null) return literal;
  if ('digits' in a && 'digits' in to) return cast(scope, from, to);
  if (a.family === to.family && a.family !== 'string' && a.family !== 'other') {
    if (a.family !== 'integer' && a.family !== 'decimal') return from;
  }
  if (a.family === 'integer' && to.family === 'integer' && (a.bytes <= to.bytes || fits(from, to)))
    return from;
  if (a.family === 'integer' && (to.family === 'float' || to.family === 'decimal')) return from;
  if (a.family === 'decimal' && to.family === 'decimal' && a.scale <= to.scale) return from;
  if (a.family === 'decimal' && to.family === 'float') return from;
  if (a.family === 'string' && to.family === 'string' && !a.padded && !to.padded) {
    if (to.length === -1 || (a.length !== -1 && a.length <= to.length)) return from;
  }
  return cast(scope, from, to);
}

function fits(value: Value, type: SqlType & { family: 'integer' }): boolean {
  const number = wholeNumber(value);
  if (number === null) return false;
  const [low, high] = {
    1: [0, 255],
    2: [-32_768, 32_767],
    4: [-(2 ** 31), 2 ** 31 - 1],
    8: [-(2 ** 53), 2 ** 53],
  }[type.bytes] as [number, number];
  return number >= low && number <= high;
}
