/**
 * T-SQL's system types: ids, sizes, precedence, and the PostgreSQL storage type of each (see contract.ts).
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError, type SqlType } from '../contract.js';
import type { TypeRef } from './ast.js';

export type Family =
  | 'bit'
  | 'integer'
  | 'decimal'
  | 'money'
  | 'float'
  | 'date'
  | 'time'
  | 'datetime2'
  | 'datetime'
  | 'smalldatetime'
  | 'datetimeoffset'
  | 'string'
  | 'xml'
  | 'uniqueidentifier'
  | 'binary'
  | 'variant'
  | 'clr';

interface SystemType {
  systemTypeId: number;
  userTypeId: number;
  family: Family;
  /** PostgreSQL storage. */
  pg: string;
  /** Data type precedence of T-SQL: the higher wins. */
  rank: number;
  maxLength: number;
  precision: number;
  scale: number;
}

const of = (
  systemTypeId: number,
  family: Family,
  pg: string,
  rank: number,
  maxLength: number,
  precision = 0,
  scale = 0,
  userTypeId = systemTypeId,
): SystemType => ({ systemTypeId, userTypeId, family, pg, rank, maxLength, precision, scale });

/** Ids and sizes as `sys.types` lists them. */
export const SYSTEM_TYPES: Readonly<Record<string, SystemType>> = {
  image: of(34, 'binary', 'bytea', 4, 16),
  text: of(35, 'string', 'text', 5, 16),
  uniqueidentifier: of(36, 'uniqueidentifier', 'uuid', 9, 16),
  date: of(40, 'date', 'int4', 20, 3, 10),
  time: of(41, 'time', 'int8', 19, 5, 16, 7),
  datetime2: of(42, 'datetime2', 'int8', 23, 8, 27, 7),
  datetimeoffset: of(43, 'datetimeoffset', 'bytea', 24, 10, 34, 7),
  tinyint: of(48, 'integer', 'int2', 11, 1, 3),
  smallint: of(52, 'integer', 'int2', 12, 2, 5),
  int: of(56, 'integer', 'int4', 13, 4, 10),
  smalldatetime: of(58, 'smalldatetime', 'int4', 21, 4, 16),
  real: of(59, 'float', 'float4', 17, 4, 24),
  money: of(60, 'money', 'numeric', 15.5, 8, 19, 4),
  datetime: of(61, 'datetime', 'int8', 22, 8, 23, 3),
  float: of(62, 'float', 'float8', 18, 8, 53),
  sql_variant: of(98, 'variant', 'text', 29, 8016),
  ntext: of(99, 'string', 'text', 6, 16),
  bit: of(104, 'bit', 'boolean', 10, 1, 1),
  decimal: of(106, 'decimal', 'numeric', 16, 17, 38, 38),
  numeric: of(108, 'decimal', 'numeric', 16, 17, 38, 38),
  smallmoney: of(122, 'money', 'numeric', 15, 4, 10, 4),
  bigint: of(127, 'integer', 'int8', 14, 8, 19),
  hierarchyid: of(240, 'clr', 'text', 30, 892, 0, 0, 128),
  geometry: of(240, 'clr', 'text', 30, -1, 0, 0, 129),
  geography: of(240, 'clr', 'text', 30, -1, 0, 0, 130),
  varbinary: of(165, 'binary', 'bytea', 2, 8000),
  varchar: of(167, 'string', 'text', 6.2, 8000),
  binary: of(173, 'binary', 'bytea', 1, 8000),
  char: of(175, 'string', 'text', 6.1, 8000),
  timestamp: of(189, 'binary', 'bytea', 3, 8),
  nvarchar: of(231, 'string', 'text', 8, 8000),
  nchar: of(239, 'string', 'text', 7, 8000),
  xml: of(241, 'xml', 'text', 28, -1),
};

/** Other spellings of system types. */
const SYNONYMS: Record<string, string> = {
  integer: 'int',
  dec: 'decimal',
  character: 'char',
  rowversion: 'timestamp',
};

export const DEFAULT_COLLATION = 'SQL_Latin1_General_CP1_CI_AS';

export function systemType(type: SqlType): SystemType {
  const found = SYSTEM_TYPES[type.name];
  if (!found) throw new SqlError(243, `Type ${type.name} is not a defined system type.`);
  return found;
}

export const family = (type: SqlType): Family => systemType(type).family;
export const pgType = (type: SqlType): string => systemType(type).pg;
export const isUnicode = (type: SqlType): boolean =>
  ['nchar', 'nvarchar', 'ntext', 'xml'].includes(type.name);
export const isMax = (type: SqlType): boolean =>
  type.length === -1 || ['text', 'ntext', 'image', 'xml'].includes(type.name);

export const INT: SqlType = { name: 'int', precision: 10, scale: 0 };
export const BIGINT: SqlType = { name: 'bigint', precision: 19, scale: 0 };
export const SMALLINT: SqlType = { name: 'smallint', precision: 5, scale: 0 };
export const FLOAT: SqlType = { name: 'float' };
export const MONEY: SqlType = { name: 'money', precision: 19, scale: 4 };
export const DATETIME: SqlType = { name: 'datetime' };
export const UNIQUEIDENTIFIER: SqlType = { name: 'uniqueidentifier' };
export const SYSNAME: SqlType = { name: 'nvarchar', length: 128 };
export const nvarchar = (length: number): SqlType => ({
  name: 'nvarchar',
  length: length > 4000 ? -1 : length,
});
export const varchar = (length: number): SqlType => ({
  name: 'varchar',
  length: length > 8000 ? -1 : length,
});
export const varbinary = (length: number): SqlType => ({
  name: 'varbinary',
  length: length > 8000 ? -1 : length,
});
export const decimal = (precision: number, scale: number): SqlType => ({ name: 'decimal', precision, scale });

/**
 * A type as written to a `SqlType`, or null where the name is no system type.
 * @param bareLength length of a (n)char or (var)binary without one: 1 in a declaration, 30 in CAST and CONVERT.
 */
export function resolveSystemType(ref: TypeRef, bareLength: 1 | 30): SqlType | null {
  const lower = ref.name.toLowerCase();
  const name = SYNONYMS[lower] ?? lower;
  if (name === 'sysname') return { name: 'nvarchar', length: 128 };
  const known = SYSTEM_TYPES[name];
  if (!known || ref.schema) return null;
  const [first, second] = ref.args;
  const number = (value: number | 'max' | undefined, fallback: number): number => {
    if (value === 'max') throw new SqlError(102, "Incorrect syntax near 'max'.", { class: 15 });
    return value ?? fallback;
  };
  switch (name) {
    case 'char':
    case 'varchar':
    case 'nchar':
    case 'nvarchar':
    case 'binary':
    case 'varbinary': {
      const limit = name.startsWith('n') ? 4000 : 8000;
      if (first === 'max' && name.includes('var')) return { name, length: -1 };
      const length = number(first, bareLength);
      if (length < 1 || length > limit) {
        throw new SqlError(
          131,
          `The size (${length}) given to the type '${name}' exceeds the maximum allowed for any data type (8000).`,
          { class: 15 },
        );
      }
      return { name, length };
    }
    case 'decimal':
    case 'numeric': {
      const precision = number(first, 18);
      const scale = number(second, 0);
      if (precision < 1 || precision > 38) {
        throw new SqlError(
          2750,
          `Column or parameter #1: Specified column precision ${precision} is greater than the maximum precision of 38.`,
        );
      }
      if (scale < 0 || scale > precision) {
        throw new SqlError(
          183,
          `The scale (${scale}) for column '' must be within the range 0 to ${precision}.`,
          { class: 15 },
        );
      }
      return { name, precision, scale };
    }
    case 'time':
    case 'datetime2':
    case 'datetimeoffset': {
      const scale = number(first, 7);
      if (scale < 0 || scale > 7)
        throw new SqlError(1002, `Line 1: Specified scale ${scale} is invalid.`, { class: 15 });
      return { name, scale };
    }
    case 'float':
      return number(first, 53) <= 24 ? { name: 'real' } : { name };
    case 'money':
    case 'smallmoney':
    case 'int':
    case 'bigint':
    case 'smallint':
    case 'tinyint':
      return { name, precision: known.precision, scale: known.scale };
    default:
      if (ref.args.length > 0 && name !== 'xml') {
        throw new SqlError(
          2716,
          `Column, parameter, or variable #1: Cannot specify a column width on data type ${name}.`,
        );
      }
      return { name };
  }
}

/** `sys.columns` numbers of a type: bytes, precision, scale. */
export function catalogSizes(type: SqlType): { maxLength: number; precision: number; scale: number } {
  const known = systemType(type);
  const fraction = type.scale ?? 7;
  const extra = fraction === 0 ? 0 : fraction + 1;
  const bytes = fraction <= 2 ? 0 : fraction <= 4 ? 1 : 2;
  switch (type.name) {
    case 'char':
    case 'varchar':
    case 'binary':
    case 'varbinary':
      return { maxLength: type.length ?? 1, precision: 0, scale: 0 };
    case 'nchar':
    case 'nvarchar':
      return { maxLength: type.length === -1 ? -1 : (type.length ?? 1) * 2, precision: 0, scale: 0 };
    case 'decimal':
    case 'numeric': {
      const precision = type.precision ?? 18;
      const maxLength = precision <= 9 ? 5 : precision <= 19 ? 9 : precision <= 28 ? 13 : 17;
      return { maxLength, precision, scale: type.scale ?? 0 };
    }
    case 'time':
      return { maxLength: 3 + bytes, precision: 8 + extra, scale: fraction };
    case 'datetime2':
      return { maxLength: 6 + bytes, precision: 19 + extra, scale: fraction };
    case 'datetimeoffset':
      return { maxLength: 8 + bytes, precision: 26 + extra, scale: fraction };
    default:
      return { maxLength: known.maxLength, precision: known.precision, scale: known.scale };
  }
}

/** Precision and scale a number type has in decimal arithmetic. */
export function asDecimal(type: SqlType): { precision: number; scale: number } {
  switch (type.name) {
    case 'bit':
      return { precision: 1, scale: 0 };
    case 'money':
      return { precision: 19, scale: 4 };
    case 'smallmoney':
      return { precision: 10, scale: 4 };
    case 'decimal':
    case 'numeric':
      return { precision: type.precision ?? 18, scale: type.scale ?? 0 };
    default:
      return { precision: systemType(type).precision || 38, scale: 0 };
  }
}

/** How a type is spelled in messages: `nvarchar(50)`. */
export function describe(type: SqlType): string {
  return type.name === 'timestamp' ? 'timestamp' : type.name;
}
