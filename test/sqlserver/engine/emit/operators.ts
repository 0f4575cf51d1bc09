/**
 * What operators do to types: precedence, decimal precision and scale, collations, comparison keys.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError, type SqlType } from '../../contract.js';
import { collationOf } from '../collations.js';
import {
  asDecimal,
  DEFAULT_COLLATION,
  describe,
  family,
  INT,
  isMax,
  isUnicode,
  SMALLINT,
  systemType,
} from '../types.js';
import { type Emitted, isNullLiteral } from './context.js';
import { convert, decimalOf } from './convert.js';

const COERCION = { literal: 1, column: 2, explicit: 3 };

/** The collation two strings share; throws SqlError 468 where neither gives way. */
export function sharedCollation(
  a: Emitted,
  b: Emitted,
  operation: string,
): { collation?: string; from: 'literal' | 'column' | 'explicit' } {
  const isString = (value: Emitted): boolean => family(value.type) === 'string';
  if (!isString(a) && !isString(b)) return { from: 'literal' };
  const from = (value: Emitted): 'literal' | 'column' | 'explicit' =>
    isString(value) ? (value.collationFrom ?? 'literal') : 'literal';
  const strength = COERCION[from(a)] - COERCION[from(b)];
  const nameA = a.type.collation ?? DEFAULT_COLLATION;
  const nameB = b.type.collation ?? DEFAULT_COLLATION;
  if (strength === 0 && from(a) !== 'literal' && nameA.toLowerCase() !== nameB.toLowerCase()) {
    throw new SqlError(
      468,
      `Cannot resolve the collation conflict between "${nameB}" and "${nameA}" in the ${operation} operation.`,
      { state: 9 },
    );
  }
  const winner = strength >= 0 ? a : b;
  return { ...(winner.type.collation && { collation: winner.type.collation }), from: from(winner) };
}

/** The one type of several values (CASE, COALESCE, UNION, IN): the highest precedence, wide enough for all. */
export function commonType(values: Emitted[]): SqlType {
  const typed = values.filter((value) => !isNullLiteral(value));
  const [first, ...rest] = typed;
  if (!first) return INT;
  let type = first.type;
  for (const value of rest) type = widen(type, value.type);
  const strings = typed.filter((value) => family(value.type) === 'string');
  if (family(type) !== 'string' || strings.length === 0) return type;
  const collation = collationOfAll(strings, 'CASE').collation;
  return collation === undefined ? type : { ...type, collation };
}

/** The collation all of several strings share, and where it comes from. */
export function collationOfAll(
  values: Emitted[],
  operation: string,
): { collation?: string; from: 'literal' | 'column' | 'explicit' } {
  const [first, ...rest] = values;
  let so = first!;
  for (const value of rest) {
    const { collation, from } = sharedCollation(so, value, operation);
    so = {
      sql: '',
      type: { name: 'varchar', ...(collation && { collation }) },
      nullable: false,
      collationFrom: from,
    };
  }
  const { collation } = so.type;
  return { ...(collation && { collation }), from: so.collationFrom ?? 'literal' };
}

/** Where a value of `commonType` has its collation from. */
export function commonCollationFrom(values: Emitted[]): 'literal' | 'column' | 'explicit' {
  const ranks = values.map((value) => COERCION[value.collationFrom ?? 'literal']);
  const highest = Math.max(1, ...ranks);
  return highest === 3 ? 'explicit' : highest === 2 ? 'column' : 'literal';
}

export function widen(a: SqlType, b: SqlType): SqlType {
  const [high, low] = systemType(a).rank >= systemType(b).rank ? [a, b] : [b, a];
  switch (family(high)) {
    case 'decimal': {
      if (!['integer', 'decimal', 'money', 'bit'].includes(family(low))) return high;
      const x = asDecimal(high);
      const y = asDecimal(low);
      const scale = Math.max(x.scale, y.scale);
      return {
        name: high.name,
        ...capped(Math.max(x.precision - x.scale, y.precision - y.scale) + scale, scale),
      };
    }
    case 'string':
    case 'binary': {
      if (family(low) !== family(high) || high.name === 'timestamp') return high;
      if (isMax(high) || isMax(low)) return { ...high, name: maxName(high.name), length: -1 };
      return { ...high, length: Math.max(high.length ?? 1, low.length ?? 1) };
    }
    case 'time':
    case 'datetime2':
    case 'datetimeoffset':
      return low.scale === undefined ? high : { ...high, scale: Math.max(high.scale ?? 7, low.scale) };
    default:
      return high;
  }
}

const maxName = (name: string): string =>
  ({ char: 'varchar', nchar: 'nvarchar', binary: 'varbinary' })[name] ?? name;

/** Precision above 38 gives up scale, by the documented rule for sums and unions. */
function capped(precision: number, scale: number): { precision: number; scale: number } {
  if (precision <= 38) return { precision, scale };
  const integral = precision - scale;
  return { precision: 38, scale: Math.max(0, Math.min(scale, 38 - integral)) };
}

/** `+ - * / % & | ^` */
export function arithmetic(op: string, a: Emitted, b: Emitted): Emitted {
  const nullable = a.nullable || b.nullable;
  const families = [family(a.type), family(b.type)];
  if (op === '+' && families.every((f) => f === 'string' || f === 'binary') && families.includes('string')) {
    return concatenation(a, b);
  }
  if (op === '+' && families.every((f) => f === 'binary')) {
    const sum = (a.type.length ?? 8) + (b.type.length ?? 8);
    const long = isMax(a.type) || isMax(b.type);
    // What is longer is cut, without an error.
    const cut = !long && sum > 8000;
    const joined = `(${a.sql} || ${b.sql})`;
    return {
      sql: cut ? `substring(${joined} from 1 for 8000)` : joined,
      type: { name: 'varbinary', length: long ? -1 : Math.min(sum, 8000) },
      nullable,
    };
  }
  if (op === '+' && (isNullLiteral(a) || isNullLiteral(b)) && families.includes('string'))
    return concatenation(a, b);
  const moments = ['datetime', 'smalldatetime'];
  if ('+-'.includes(op) && moments.includes(families[0]!) && !moments.includes(families[1]!)) {
    const days = convert(b, a.type);
    return { sql: `(${a.sql} ${op} ${days.sql})`, type: a.type, nullable };
  }
  const type = widen(a.type, b.type);
  const bad = (): never => {
    throw new SqlError(
      8117,
      `Operand data type ${describe(type)} is invalid for ${OPERATION[op] ?? op} operator.`,
    );
  };
  switch (family(type)) {
    case 'integer':
      return integers(op, convert(a, type), convert(b, type), nullable);
    case 'bit': {
      if (!'&|^'.includes(op)) return bad();
      const sql = `(${a.sql}::int4 ${op === '^' ? '#' : op} ${b.sql}::int4) <> 0`;
      return { sql: `(${sql})`, type, nullable };
    }
    case 'decimal':
      return decimals(op, a, b, nullable);
    case 'money': {
      const [x, y] = [convert(a, type), convert(b, type)];
      if (!'+-*/%'.includes(op)) return bad();
      const value = op === '/' ? `tsql.div(${x.sql}, ${y.sql}, 4)` : `(${x.sql} ${op} ${y.sql})`;
      return { sql: `tsql.fit_money(${value}, ${type.name === 'smallmoney'}, false)`, type, nullable };
    }
    case 'float': {
      if (!'+-*/'.includes(op)) return bad();
      return { sql: `(${convert(a, type).sql} ${op} ${convert(b, type).sql})`, type, nullable };
    }
    default:
      return bad();
  }
}

const OPERATION: Record<string, string> = {
  '+': 'add',
  '-': 'subtract',
  '*': 'multiply',
  '/': 'divide',
  '%': 'modulo',
  '&': '&',
  '|': '|',
  '^': '^',
};

function integers(op: string, a: Emitted, b: Emitted, nullable: boolean): Emitted {
  const { type } = a;
  const pgOp = op === '^' ? '#' : op;
  if (type.name === 'tinyint')
    return { sql: `tsql.tiny(${a.sql}::int4 ${pgOp} ${b.sql}::int4)`, type, nullable };
  return { sql: `(${a.sql} ${pgOp} ${b.sql})`, type, nullable };
}

/** Result precision and scale by the documented table, cut back to 38 digits by its rules. */
function decimals(op: string, a: Emitted, b: Emitted, nullable: boolean): Emitted {
  const { precision: p1, scale: s1 } = decimalOf(a);
  const { precision: p2, scale: s2 } = decimalOf(b);
  let precision: number;
  let scale: number;
  switch (op) {
    case '+':
    case '-':
      scale = Math.max(s1, s2);
      precision = scale + Math.max(p1 - s1, p2 - s2) + 1;
      break;
    case '*':
      precision = p1 + p2 + 1;
      scale = s1 + s2;
      break;
    case '/':
      scale = Math.max(6, s1 + p2 + 1);
      precision = p1 - s1 + s2 + scale;
      break;
    case '%':
      scale = Math.max(s1, s2);
      precision = Math.min(p1 - s1, p2 - s2) + scale;
      break;
    default:
      throw new SqlError(8117, `Operand data type numeric is invalid for '${op}' operator.`);
  }
  const natural = scale;
  const over = precision > 38;
  if (over && (op === '*' || op === '/')) {
    const integral = precision - scale;
    if (integral < 32) scale = Math.min(scale, 38 - integral);
    else if (scale > 6) scale = 6;
    precision = 38;
  } else if (over) {
    scale = Math.max(0, Math.min(scale, 38 - Math.max(p1 - s1, p2 - s2)));
    precision = 38;
  }
  const numeric = (value: Emitted): string =>
    family(value.type) === 'decimal' || family(value.type) === 'money'
      ? value.sql
      : convert(value, { name: 'decimal', ...decimalOf(value) }).sql;
  const [x, y] = [numeric(a), numeric(b)];
  let sql = op === '/' ? `tsql.div(${x}, ${y}, ${scale})` : `(${x} ${op} ${y})`;
  if (over) sql = `tsql.fit_decimal(${sql}, 38, ${scale}, 'expression', false)`;
  else if (op !== '/' && natural !== scale) sql = `round(${sql}, ${scale})`;
  return { sql, type: { name: 'numeric', precision, scale }, nullable };
}

function concatenation(a: Emitted, b: Emitted): Emitted {
  const shared = sharedCollation(a, b, 'concat');
  const unicode = isUnicode(a.type) || isUnicode(b.type);
  const limit = unicode ? 4000 : 8000;
  const size = (value: Emitted): number => (isNullLiteral(value) ? 0 : (value.type.length ?? 1));
  const name = unicode ? 'nvarchar' : 'varchar';
  const long = isMax(a.type) || isMax(b.type);
  const text = (value: Emitted): string =>
    family(value.type) === 'string' ? value.sql : convert(value, { name, length: -1 }).sql;
  const sum = size(a) + size(b);
  let sql = joinedUnits(`(${text(a)} || ${text(b)})`, unicode, [a, b]);
  if (!long && sum > limit) sql = `tsql.cut(${sql}, ${limit})`;
  const length = long ? -1 : Math.max(1, Math.min(sum, limit));
  return {
    sql,
    type: { name, length, ...(shared.collation && { collation: shared.collation }) },
    nullable: a.nullable || b.nullable,
    collationFrom: shared.from,
  };
}

/** Concatenated Unicode strings: two halves of a character meeting become that character. */
export function joinedUnits(sql: string, unicode: boolean, parts: Emitted[]): string {
  return unicode && !parts.every((part) => part.plain || family(part.type) !== 'string')
    ? `tsql.join_units(${sql})`
    : sql;
}

/** An expression PostgreSQL orders, groups and compares as SQL Server does the value. */
export function sortKey(value: Emitted): string {
  switch (family(value.type)) {
    case 'string':
    case 'variant':
      // Trailing blanks don't count in comparisons.
      return `(rtrim(${value.sql}, ' ') COLLATE ${collationOf(value.type).pg})`;
    case 'uniqueidentifier':
      return `tsql.guid_key(${value.sql})`;
    case 'datetimeoffset':
      return `tsql.offset_utc(${value.sql})`;
    case 'xml':
    case 'clr':
      if (value.type.name === 'hierarchyid') return `(${value.sql} COLLATE "C")`;
      throw new SqlError(
        305,
        `The ${value.type.name} data type cannot be compared or sorted, except when using the IS NULL operator.`,
      );
    default:
      if (['text', 'ntext', 'image'].includes(value.type.name)) {
        throw new SqlError(
          306,
          'The text, ntext, and image data types cannot be compared or sorted, except when using IS NULL or LIKE operator.',
          { state: 2 },
        );
      }
      return value.sql;
  }
}

/** A comparison as a PostgreSQL boolean. */
export function comparison(op: string, a: Emitted, b: Emitted): string {
  if (isNullLiteral(a) || isNullLiteral(b)) return 'NULL::boolean';
  const strings = family(a.type) === 'string' && family(b.type) === 'string';
  if (strings) {
    const { collation } = sharedCollation(a, b, op === '=' ? 'equal to' : 'comparison');
    const under = (value: Emitted): Emitted => {
      const { collation: _dropped, ...type } = value.type;
      return { ...value, type: collation ? { ...type, collation } : type };
    };
    return `(${sortKey(under(a))} ${op} ${sortKey(under(b))})`;
  }
  const type = widen(a.type, b.type);
  // A literal compared with an integer column stays plain, so that the column's index serves.
  const target = family(type) === 'integer' && type.name === 'tinyint' ? SMALLINT : type;
  if (family(target) === 'integer') {
    const side = (value: Emitted): string =>
      family(value.type) === 'integer' ? value.sql : convert(value, target).sql;
    return `(${side(a)} ${op} ${side(b)})`;
  }
  if (family(target) === 'decimal') {
    const side = (value: Emitted): string =>
      ['integer', 'decimal', 'money'].includes(family(value.type)) ? value.sql : convert(value, target).sql;
    return `(${side(a)} ${op} ${side(b)})`;
  }
  const [x, y] = [convert(a, target), convert(b, target)];
  return `(${sortKey(x)} ${op} ${sortKey(y)})`;
}
