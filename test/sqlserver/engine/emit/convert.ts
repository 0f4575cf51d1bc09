/**
 * CAST, CONVERT and the implicit conversions, type by type, with CONVERT's styles.
 *
 * Runs in the process of the stand-in SQL Server. Two rules could not be looked up and are assumptions: how many
 * digits a float keeps on its way into a decimal (its shortest exact text is taken), and best-fit characters of
 * code pages (see sql/text.ts).
 */
import { SqlError, type SqlType } from '../../contract.js';
import { collationOf } from '../collations.js';
import { asDecimal, describe, family, isMax, isUnicode, pgType } from '../types.js';
import { type Emitted, isNullLiteral, nullOf } from './context.js';
import { type ConvertOptions, digitsOf, refuse, ticksOf, toMoment } from './moments.js';

const INTEGER_RANK: Record<string, number> = { tinyint: 1, smallint: 2, int: 3, bigint: 4 };

/** @throws SqlError 529 where SQL Server allows no such conversion. */
export function convert(from: Emitted, to: SqlType, options: ConvertOptions = {}): Emitted {
  if (isNullLiteral(from)) return nullOf(to);
  const sql = converted(from, to, options);
  const collated = family(to) === 'string' && to.collation === undefined && family(from.type) === 'string';
  const type = collated && from.type.collation ? { ...to, collation: from.type.collation } : to;
  return {
    sql,
    type,
    nullable: from.nullable || options.attempt === true,
    ...(from.collationFrom && { collationFrom: from.collationFrom }),
  };
}

function converted(from: Emitted, to: SqlType, options: ConvertOptions): string {
  const attempt = options.attempt === true;
  switch (family(to)) {
    case 'string':
      return toText(from, to, options.style);
    case 'integer':
      return toInteger(from, to, attempt);
    case 'decimal':
    case 'money':
    case 'float':
      return toNumber(from, to, attempt);
    case 'bit':
      return toBit(from, attempt);
    case 'date':
    case 'time':
    case 'datetime2':
    case 'datetime':
    case 'smalldatetime':
    case 'datetimeoffset':
      return toMoment(from, to, options);
    case 'uniqueidentifier':
      return toGuid(from, to, attempt);
    case 'binary':
      return toBinary(from, to, options);
    case 'variant':
      return toVariant(from);
    default:
      return toMarkup(from, to);
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

function toText(from: Emitted, to: SqlType, style = 0): string {
  const { sql, type } = from;
  const length = isMax(to) ? -1 : (to.length ?? 1);
  let text: string;
  let longest = Number.POSITIVE_INFINITY;
  switch (family(type)) {
    case 'string':
    case 'xml': {
      text = sql;
      if (!isMax(type)) longest = type.length ?? 1;
      const target = collationOf({
        ...to,
        ...(to.collation === undefined && type.collation && { collation: type.collation }),
      });
      const samePage = !isUnicode(type) && collationOf(type).codePage === target.codePage;
      if (!isUnicode(to) && !samePage) text = `tsql.cp${target.codePage}_filter(${text})`;
      // Characters count as UTF-16 units in one and as bytes in the other: always checked.
      if (target.codePage === 65001 || target.codePage > 900 !== isUnicode(type))
        longest = Number.POSITIVE_INFINITY;
      break;
    }
    case 'bit':
      text = `CASE ${sql} WHEN true THEN '1' WHEN false THEN '0' END`;
      longest = 1;
      break;
    case 'integer':
      text = `(${sql})::text`;
      longest = { tinyint: 3, smallint: 6, int: 11, bigint: 20 }[type.name] ?? 20;
      if (length > 0 && length < longest) {
        const overflow = isUnicode(to)
          ? `tsql.fail(8115, 'Arithmetic overflow error converting expression to data type ${to.name}.')`
          : `'*'`;
        text = `CASE WHEN length(${text}) > ${length} THEN ${overflow} ELSE ${text} END`;
        longest = length;
      }
      break;
    case 'decimal': {
      const { precision, scale } = asDecimal(type);
      text = `round(${sql}, ${scale})::text`;
      longest = precision + 3;
      if (length > 0 && length < longest) {
        text = `CASE WHEN length(${text}) > ${length} THEN tsql.fail(8115, 'Arithmetic overflow error converting numeric to data type ${to.name}.') ELSE ${text} END`;
        longest = length;
      }
      break;
    }
    case 'money':
      text = `tsql.money_text(${sql}, ${style})`;
      break;
    case 'float':
      text = `tsql.float_text(${sql}, ${style})`;
      break;
    case 'uniqueidentifier':
      if (length > 0 && length < 36) {
        throw new SqlError(8170, 'Insufficient result space to convert uniqueidentifier value to char.', {
          state: 2,
        });
      }
      text = `upper((${sql})::text)`;
      longest = 36;
      break;
    case 'binary':
      if (style === 1 || style === 2) {
        text = `${style === 1 ? "'0x' || " : ''}upper(encode(${sql}, 'hex'))`;
      } else {
        text = isUnicode(to)
          ? `tsql.from_utf16(${sql})`
          : `tsql.cp${collationOf(to).codePage}_decode(${sql})`;
      }
      break;
    case 'variant':
      text = `tsql.variant_text(${sql})`;
      break;
    case 'clr':
      text = sql;
      break;
    default: {
      const zone = type.name === 'datetimeoffset' ? `tsql.offset_zone(${sql})` : 'NULL';
      text = `tsql.moment_text(${ticksOf(from)}, ${digitsOf(type)}, ${style}, '${type.name}', ${zone})`;
    }
  }
  const cut = length < 0 || longest <= length ? `(${text})` : `tsql.cut(${text}, ${length})`;
  return to.name === 'char' || to.name === 'nchar' ? `tsql.pad(${cut}, ${length})` : cut;
}

function toInteger(from: Emitted, to: SqlType, attempt: boolean): string {
  const { sql, type } = from;
  const narrow = (numeric: string): string =>
    `tsql.narrow(${numeric}, '${to.name}', ${attempt})::${pgType(to)}`;
  switch (family(type)) {
    case 'bit':
      return `(${sql})::int4::${pgType(to)}`;
    case 'integer':
      if (type.name === to.name) return sql;
      if (INTEGER_RANK[type.name]! < INTEGER_RANK[to.name]!) return `(${sql})::${pgType(to)}`;
      // PostgreSQL's own range check is the same error.
      if (to.name === 'int' && !attempt) return `(${sql})::int4`;
      return narrow(`(${sql})::numeric`);
    case 'decimal':
      return narrow(sql);
    case 'money':
      return narrow(`round(${sql})`);
    case 'float':
      return narrow(`trunc((${sql})::float8)::int8::numeric`);
    case 'string':
      return narrow(`tsql.text_number(${sql}, '${to.name}', '${type.name}', ${attempt})`);
    case 'variant':
      return narrow(`tsql.text_number(tsql.variant_text(${sql}), '${to.name}', 'sql_variant', ${attempt})`);
    case 'binary':
      return `tsql.bytes_int(${sql}, ${{ tinyint: 1, smallint: 2, int: 4, bigint: 8 }[to.name]})::${pgType(to)}`;
    default:
      return refuse(type, to);
  }
}

/** A number of any type as PostgreSQL numeric, exactly. */
function numericOf(from: Emitted, to: SqlType, attempt: boolean): string {
  const { sql, type } = from;
  switch (family(type)) {
    case 'bit':
      return `(${sql})::int4::numeric`;
    case 'integer':
      return `(${sql})::numeric`;
    case 'decimal':
    case 'money':
      return sql;
    case 'float':
      return `(${sql})::text::numeric`;
    case 'string':
      return `tsql.text_number(${sql}, '${to.name}', '${type.name}', ${attempt})`;
    case 'variant':
      return `tsql.text_number(tsql.variant_text(${sql}), '${to.name}', 'sql_variant', ${attempt})`;
    case 'binary':
      if (family(to) === 'money') return `(tsql.bytes_int(${sql}, 8)::numeric / 10000)`;
      return refuse(type, to);
    default:
      return refuse(type, to);
  }
}

function toNumber(from: Emitted, to: SqlType, attempt: boolean): string {
  if (family(to) === 'float') {
    if (family(from.type) === 'float') return `(${from.sql})::${pgType(to)}`;
    return `(${numericOf(from, to, attempt)})::${pgType(to)}`;
  }
  const numeric = numericOf(from, to, attempt);
  if (family(to) === 'money') {
    if (from.type.name === to.name) return numeric;
    return `tsql.fit_money(${numeric}, ${to.name === 'smallmoney'}, ${attempt})`;
  }
  const { precision, scale } = asDecimal(to);
  if (['bit', 'integer', 'decimal', 'money'].includes(family(from.type))) {
    const source = decimalOf(from);
    const fits = source.precision - source.scale + (source.scale > scale ? 1 : 0) <= precision - scale;
    if (fits)
      return family(from.type) === 'decimal' && source.scale === scale
        ? numeric
        : `round(${numeric}, ${scale})`;
  }
  const source = family(from.type) === 'decimal' ? 'numeric' : describe(from.type);
  return `tsql.fit_decimal(${numeric}, ${precision}, ${scale}, '${source}', ${attempt})`;
}

/** Precision and scale in decimal arithmetic; an integer literal has just its own digits. */
export function decimalOf(value: Emitted): { precision: number; scale: number } {
  if (value.literal?.literal === 'integer') return { precision: value.literal.text.length, scale: 0 };
  return asDecimal(value.type);
}

function toBit(from: Emitted, attempt: boolean): string {
  const { sql, type } = from;
  switch (family(type)) {
    case 'bit':
      return sql;
    case 'integer':
    case 'decimal':
    case 'money':
    case 'float':
      return `((${sql}) <> 0)`;
    case 'string':
      return `tsql.text_bit(${sql}, '${type.name}', ${attempt})`;
    case 'variant':
      return `tsql.text_bit(tsql.variant_text(${sql}), 'sql_variant', ${attempt})`;
    case 'binary':
      return `(${sql} ~ '[^\\000]')`;
    default:
      return refuse(type, { name: 'bit' });
  }
}

function toGuid(from: Emitted, to: SqlType, attempt: boolean): string {
  const { sql, type } = from;
  switch (family(type)) {
    case 'uniqueidentifier':
      return sql;
    case 'string':
      return `tsql.text_guid(${sql}, ${attempt})`;
    case 'variant':
      return `tsql.text_guid(tsql.variant_text(${sql}), ${attempt})`;
    case 'binary':
      return `tsql.bytes_guid(${sql})`;
    default:
      return refuse(type, to);
  }
}

function toBinary(from: Emitted, to: SqlType, options: ConvertOptions): string {
  const { sql, type } = from;
  const length = to.name === 'timestamp' ? 8 : isMax(to) ? -1 : (to.length ?? 1);
  const fixed = to.name === 'binary' || to.name === 'timestamp';
  const left = (bytes: string): string => `tsql.fit_left(${bytes}, ${length}, ${fixed})`;
  const right = (bytes: string): string => `tsql.fit_right(${bytes}, ${length}, ${fixed})`;
  switch (family(type)) {
    case 'binary':
      if (!fixed && (length < 0 || (!isMax(type) && (type.length ?? 8) <= length))) return sql;
      return left(sql);
    case 'string':
      if (options.style === 1 || options.style === 2) {
        return left(
          `tsql.text_bytes_hex(${sql}, ${options.style}, '${type.name}', ${options.attempt === true})`,
        );
      }
      return left(bytesOf(from));
    case 'integer': {
      const send = {
        tinyint: `substring(int2send(${sql}) from 2)`,
        smallint: `int2send(${sql})`,
        int: `int4send(${sql})`,
        bigint: `int8send(${sql})`,
      };
      return right(send[type.name as keyof typeof send]);
    }
    case 'bit':
      return right(`CASE ${sql} WHEN true THEN '\\x01'::bytea WHEN false THEN '\\x00'::bytea END`);
    case 'float':
      return right(type.name === 'real' ? `float4send(${sql})` : `float8send(${sql})`);
    case 'money':
      return right(
        type.name === 'money' ? `int8send((${sql} * 10000)::int8)` : `int4send((${sql} * 10000)::int4)`,
      );
    case 'uniqueidentifier':
      return left(`tsql.guid_bytes(${sql})`);
    case 'datetime':
      return right(
        `(int4send(tsql.fdiv(${sql}, 25920000)::int4) || int4send(((${sql}) - tsql.fdiv(${sql}, 25920000) * 25920000)::int4))`,
      );
    default:
      return refuse(type, to);
  }
}

/** A string's bytes as SQL Server stores them: UTF-16LE, or the collation's code page. */
export function bytesOf(value: Emitted): string {
  if (family(value.type) === 'binary') return value.sql;
  return isUnicode(value.type)
    ? `tsql.utf16(${value.sql})`
    : `tsql.cp${collationOf(value.type).codePage}_encode(${value.sql})`;
}

function toVariant(from: Emitted): string {
  if (family(from.type) === 'variant') return from.sql;
  if (['xml', 'clr'].includes(family(from.type)) || isMax(from.type))
    refuse(from.type, { name: 'sql_variant' });
  const sql =
    pgType(from.type) === 'numeric' ? `round(${from.sql}, ${asDecimal(from.type).scale})` : from.sql;
  return `tsql.variant(${quoted(JSON.stringify(from.type))}, (${sql})::text)`;
}

/** xml, hierarchyid, geometry, geography: kept as the text they were written as. */
function toMarkup(from: Emitted, to: SqlType): string {
  if (from.type.name === to.name) return from.sql;
  if (family(from.type) !== 'string') return refuse(from.type, to);
  if (to.name === 'hierarchyid') {
    return `CASE WHEN ${from.sql} ~ '^/((-?\\d+(\\.-?\\d+)*)/)*$' THEN ${from.sql} ELSE tsql.fail(6522, 'A .NET Framework error occurred during execution of user-defined routine or aggregate "hierarchyid": 24001: SqlHierarchyId.Parse failed because the input string ''' || ${from.sql} || ''' is not a valid string representation of a SqlHierarchyId node.') END`;
  }
  return from.sql;
}
