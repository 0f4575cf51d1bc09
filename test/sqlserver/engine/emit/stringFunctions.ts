/**
 * String and binary functions, HASHBYTES among them.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError, type SqlType } from '../../contract.js';
import { collationOf } from '../collations.js';
import { BIGINT, FLOAT, family, INT, isMax, isUnicode, nvarchar, varbinary, varchar } from '../types.js';
import { type Emitted, integerLiteral, isNullLiteral } from './context.js';
import { bytesOf, convert } from './convert.js';
import type { BuiltIn, Invocation } from './functions.js';
import { collationOfAll, joinedUnits, sharedCollation } from './operators.js';

/** Any value as a string; what is none becomes varchar, as SQL Server converts it. */
function text(value: Emitted): Emitted {
  if (family(value.type) === 'string') return value;
  if (family(value.type) === 'xml') return convert(value, nvarchar(-1));
  return convert(value, varchar(8000));
}

/** A string of `base`'s kind: (n)varchar of `length`. */
function like(base: Emitted, length: number | undefined, sql: string, others: Emitted[] = []): Emitted {
  const unicode = [base, ...others].some((value) => isUnicode(value.type));
  const long = length === -1 || isMax(base.type) || others.some((value) => isMax(value.type));
  const limit = unicode ? 4000 : 8000;
  const type: SqlType = {
    name: unicode ? 'nvarchar' : 'varchar',
    length: long ? -1 : Math.max(1, Math.min(length ?? base.type.length ?? 1, limit)),
  };
  if (base.type.collation) type.collation = base.type.collation;
  const nullable = base.nullable || others.some((value) => value.nullable);
  return { sql, type, nullable, ...(base.collationFrom && { collationFrom: base.collationFrom }) };
}

const mapped =
  (make: (sql: string) => string): BuiltIn =>
  ({ arg }) => {
    const value = text(arg(0));
    return like(value, value.type.length, make(value.sql));
  };

/** UPPER and LOWER by Unicode's simple mappings, one character for one, as SQL Server has it. */
const folded = (name: 'upper' | 'lower'): BuiltIn =>
  mapped((sql) => `(${name}(${sql} COLLATE "pg_c_utf8") COLLATE "C")`);

const len: BuiltIn = ({ arg }) => {
  const value = arg(0);
  if (family(value.type) === 'binary')
    return { sql: `length(${value.sql})`, type: INT, nullable: value.nullable };
  const string = text(value);
  const type = isMax(string.type) ? BIGINT : INT;
  // Collations with supplementary characters (_SC, and every _UTF8 one) count code points, the others UTF-16 units.
  const byCodePoint = /_(SC|UTF8)(_|$)/i.test(string.type.collation ?? '');
  const length = byCodePoint ? `char_length(rtrim(${string.sql}, ' '))` : `tsql.len(${string.sql})`;
  return {
    sql: `${length}${isMax(string.type) ? '::int8' : ''}`,
    type,
    nullable: value.nullable,
  };
};

const SIZES: Record<string, number> = {
  bit: 1,
  tinyint: 1,
  smallint: 2,
  int: 4,
  bigint: 8,
  real: 4,
  float: 8,
  money: 8,
  smallmoney: 4,
  datetime: 8,
  smalldatetime: 4,
  date: 3,
  uniqueidentifier: 16,
};

const dataLength: BuiltIn = ({ arg }) => {
  const value = arg(0);
  const type = isMax(value.type) ? BIGINT : INT;
  const cast = isMax(value.type) ? '::int8' : '';
  const fixed = SIZES[value.type.name];
  if (fixed)
    return {
      sql: `CASE WHEN ${value.sql} IS NOT NULL THEN ${fixed} END`,
      type: INT,
      nullable: value.nullable,
    };
  if (family(value.type) === 'binary')
    return { sql: `length(${value.sql})${cast}`, type, nullable: value.nullable };
  if (family(value.type) !== 'string') {
    throw new SqlError(
      8116,
      `Argument data type ${value.type.name} is invalid for argument 1 of datalength function.`,
    );
  }
  const page = collationOf(value.type).codePage;
  const sql = isUnicode(value.type)
    ? `tsql.ulen(${value.sql}) * 2`
    : page < 900 || (page > 1000 && page < 2000)
      ? `char_length(${value.sql})`
      : `length(${bytesOf(value)})`;
  return { sql: `(${sql})${cast}`, type, nullable: value.nullable };
};

const substring: BuiltIn = ({ arg, call }) => {
  const value = arg(0);
  const [start, count] = [convert(arg(1), BIGINT), convert(arg(2), BIGINT)];
  const constant = call.args[2] && integerLiteral(call.args[2]);
  if (family(value.type) === 'binary') {
    const length = isMax(value.type) ? -1 : (value.type.length ?? 8);
    return {
      sql: `tsql.bytes_part(${value.sql}, ${start.sql}, ${count.sql})`,
      type: varbinary(length),
      nullable: true,
    };
  }
  const string = text(value);
  const known =
    typeof constant === 'number' && !isMax(string.type)
      ? Math.min(constant, string.type.length ?? 1)
      : string.type.length;
  return {
    ...like(
      string,
      known,
      `tsql.substring${string.plain ? '_plain' : ''}(${string.sql}, ${start.sql}, ${count.sql})`,
    ),
    nullable: true,
  };
};

const left: BuiltIn = ({ arg }) => {
  const [string, count] = [text(arg(0)), convert(arg(1), BIGINT)];
  return like(string, string.type.length, `tsql.substring(${string.sql}, 1, ${count.sql})`, []);
};

const right: BuiltIn = ({ arg }) => {
  const [string, count] = [text(arg(0)), convert(arg(1), BIGINT)];
  const sql = `CASE WHEN ${count.sql} < 0 THEN tsql.fail(536, 'Invalid length parameter passed to the RIGHT function.') ELSE tsql.substring(${string.sql}, greatest(tsql.ulen(${string.sql}) - ${count.sql}, 0) + 1, ${count.sql}) END`;
  return like(string, string.type.length, `(${sql})`);
};

const charIndex: BuiltIn = ({ arg, has }) => {
  const [needle, hay] = [text(arg(0)), text(arg(1))];
  const start = has(2) ? convert(arg(2), BIGINT).sql : '1';
  const { collation } = sharedCollation(needle, hay, 'charindex');
  const fold = (sql: string): string =>
    collationOf(collation ? { name: 'varchar', collation } : { name: 'varchar' }).caseSensitive
      ? sql
      : `lower(${sql} COLLATE "pg_c_utf8")`;
  const type = isMax(hay.type) ? BIGINT : INT;
  const sql = `tsql.charindex(${fold(needle.sql)}, ${fold(hay.sql)}, ${start})${type === BIGINT ? '::int8' : ''}`;
  return { sql, type, nullable: needle.nullable || hay.nullable };
};

/** REPLACE finds by the input's collation; case-insensitively here by simple lower-casing. */
const replace: BuiltIn = ({ arg }) => {
  const [hay, needle, other] = [text(arg(0)), text(arg(1)), text(arg(2))];
  const sensitive = collationOf(hay.type).caseSensitive;
  const pattern = `regexp_replace(${needle.sql}, '([^[:alnum:]])', '\\\\\\1', 'g')`;
  const sql = sensitive
    ? `replace(${hay.sql}, ${needle.sql}, ${other.sql})`
    : `CASE WHEN ${needle.sql} = '' THEN ${hay.sql} ELSE regexp_replace(${hay.sql} COLLATE "pg_c_utf8", ${pattern}, replace(${other.sql}, '\\', '\\\\'), 'gi') COLLATE "C" END`;
  return like(hay, isMax(hay.type) ? -1 : isUnicode(hay.type) ? 4000 : 8000, `(${sql})`, [needle, other]);
};

const replicate: BuiltIn = ({ arg }) => {
  const [string, count] = [text(arg(0)), convert(arg(1), BIGINT)];
  const limit = isMax(string.type) ? -1 : isUnicode(string.type) ? 4000 : 8000;
  const repeated = like(string, limit, `tsql.replicate(${string.sql}, ${count.sql}, ${limit})`);
  return { ...repeated, nullable: true, ...(string.plain && { plain: true }) };
};

/** CONCAT takes NULL for an empty string. */
const concat: BuiltIn = (invocation) => joined(invocation, 0, null);

const concatWithSeparator: BuiltIn = (invocation) => joined(invocation, 1, text(invocation.arg(0)));

function joined(invocation: Invocation, from: number, separator: Emitted | null): Emitted {
  const parts = invocation.call.args.slice(from).map((_, i) => invocation.arg(i + from));
  if (parts.length < 2 - from) {
    throw new SqlError(
      189,
      `The ${invocation.call.name.toLowerCase()} function requires 2 to 254 arguments.`,
      { class: 15 },
    );
  }
  const strings = parts.map((part) =>
    isNullLiteral(part) ? { ...convert(part, varchar(1)), sql: `''::text` } : text(part),
  );
  const shared = collationOfAll(strings, 'concat');
  const unicode = [...strings, ...(separator ? [separator] : [])].some((part) => isUnicode(part.type));
  const long = strings.some((part) => isMax(part.type));
  const limit = unicode ? 4000 : 8000;
  const size = (part: Emitted, original: Emitted): number =>
    family(original.type) === 'string'
      ? (part.type.length ?? 1)
      : ({ int: 12, bigint: 20, smallint: 6, tinyint: 4, bit: 1 }[original.type.name] ?? 41);
  const sum = strings.reduce(
    (total, part, i) => total + size(part, parts[i]!),
    (separator?.type.length ?? 0) * (parts.length - 1),
  );
  const sql = separator
    ? `concat_ws(coalesce(${separator.sql}, ''), ${strings.map((part) => part.sql).join(', ')})`
    : // PostgreSQL's concat() is not immutable, so a computed column could not use it.
      `(${strings.map((part) => (part.nullable ? `coalesce(${part.sql}, '')` : part.sql)).join(' || ')})`;
  const whole = joinedUnits(sql, unicode, strings);
  const type: SqlType = {
    name: unicode ? 'nvarchar' : 'varchar',
    length: long ? -1 : Math.max(1, Math.min(sum, limit)),
  };
  if (shared.collation) type.collation = shared.collation;
  return {
    sql: !long && sum > limit ? `tsql.cut(${whole}, ${limit})` : whole,
    type,
    nullable: false,
    collationFrom: shared.from,
  };
}

const trim: BuiltIn = ({ arg, has }) => {
  const value = text(arg(0));
  const characters = has(1) ? text(arg(1)).sql : `' '`;
  return like(value, value.type.length, `btrim(${value.sql}, ${characters})`);
};

const ALGORITHMS: Record<string, [(bytes: string) => string, number]> = {
  MD5: [(bytes) => `decode(md5(${bytes}), 'hex')`, 16],
  SHA: [(bytes) => `tsql.digest(${bytes}, 'sha1')`, 20],
  SHA1: [(bytes) => `tsql.digest(${bytes}, 'sha1')`, 20],
  SHA2_256: [(bytes) => `sha256(${bytes})`, 32],
  SHA2_512: [(bytes) => `sha512(${bytes})`, 64],
};

const hashBytes: BuiltIn = ({ arg, call }) => {
  const [name] = call.args;
  const algorithm = name?.k === 'literal' && ALGORITHMS[name.text.toUpperCase()];
  if (!algorithm)
    throw new SqlError(
      8116,
      'The algorithm of HASHBYTES must be a literal MD5, SHA, SHA1, SHA2_256 or SHA2_512 here.',
    );
  const input = arg(1);
  if (!['string', 'binary'].includes(family(input.type))) {
    throw new SqlError(
      8116,
      `Argument data type ${input.type.name} is invalid for argument 2 of hashbytes function.`,
    );
  }
  return { sql: algorithm[0](bytesOf(input)), type: varbinary(8000), nullable: input.nullable };
};

const char: BuiltIn = ({ arg }) => {
  const code = convert(arg(0), INT);
  const bytes = `substring(int4send(${code.sql}) from 4)`;
  return {
    sql: `CASE WHEN ${code.sql} BETWEEN 0 AND 255 THEN tsql.cp1252_decode(${bytes}) END`,
    type: { name: 'char', length: 1 },
    nullable: true,
  };
};

const nchar: BuiltIn = ({ arg }) => {
  const code = convert(arg(0), INT);
  const sql = `CASE WHEN ${code.sql} BETWEEN 0 AND 65535 THEN tsql.from_utf16(tsql.u2(${code.sql})) END`;
  return { sql, type: { name: 'nchar', length: 1 }, nullable: true };
};

const ascii: BuiltIn = ({ arg }) => {
  const value = text(arg(0));
  const bytes = bytesOf({ ...value, type: { name: 'varchar', length: 1 } });
  return { sql: `CASE WHEN ${value.sql} <> '' THEN get_byte(${bytes}, 0) END`, type: INT, nullable: true };
};

const unicode: BuiltIn = ({ arg }) => {
  const value = text(arg(0));
  const bytes = `tsql.utf16(left(${value.sql}, 1))`;
  return {
    sql: `CASE WHEN ${value.sql} <> '' THEN get_byte(${bytes}, 0) + get_byte(${bytes}, 1) * 256 END`,
    type: INT,
    nullable: true,
  };
};

const str: BuiltIn = ({ arg, has }) => {
  const value = convert(arg(0), FLOAT);
  const length = has(1) ? convert(arg(1), INT).sql : '10';
  const decimals = has(2) ? convert(arg(2), INT).sql : '0';
  return {
    sql: `tsql.str(${value.sql}, ${length}, ${decimals})`,
    type: varchar(8000),
    nullable: value.nullable,
  };
};

const space: BuiltIn = ({ arg }) => {
  const count = convert(arg(0), INT);
  return {
    sql: `CASE WHEN ${count.sql} >= 0 THEN repeat(' ', least(${count.sql}, 8000)) END`,
    type: varchar(8000),
    nullable: true,
  };
};

const quoteName: BuiltIn = ({ arg, has }) => {
  if (has(1)) throw new SqlError(8116, 'QUOTENAME takes no second argument here.');
  const value = convert(arg(0), nvarchar(128));
  return { sql: `('[' || replace(${value.sql}, ']', ']]') || ']')`, type: nvarchar(258), nullable: true };
};

export const stringFunctions: Record<string, BuiltIn> = {
  UPPER: folded('upper'),
  LOWER: folded('lower'),
  LTRIM: mapped((sql) => `ltrim(${sql}, ' ')`),
  RTRIM: mapped((sql) => `rtrim(${sql}, ' ')`),
  TRIM: trim,
  REVERSE: mapped((sql) => `tsql.join_units(reverse(tsql.split_units(${sql})))`),
  LEN: len,
  DATALENGTH: dataLength,
  SUBSTRING: substring,
  LEFT: left,
  RIGHT: right,
  CHARINDEX: charIndex,
  REPLACE: replace,
  REPLICATE: replicate,
  CONCAT: concat,
  CONCAT_WS: concatWithSeparator,
  CHAR: char,
  NCHAR: nchar,
  ASCII: ascii,
  UNICODE: unicode,
  STR: str,
  SPACE: space,
  QUOTENAME: quoteName,
  HASHBYTES: hashBytes,
};
