/**
 * SQL Server types as the translator needs them, and the PostgreSQL types their values have in the target.
 *
 * Pure, any thread.
 */
import type { TypeName } from './ast.js';
import { Untranslatable } from './untranslatable.js';

export type SqlType =
  /** tinyint 1, smallint 2, int 4, bigint 8. */
  | { family: 'integer'; bytes: 1 | 2 | 4 | 8 }
  | { family: 'bit' }
  | { family: 'decimal'; precision: number; scale: number; money: boolean }
  /** real 4, float 8. */
  | { family: 'float'; bytes: 4 | 8 }
  /** `length` in characters, -1 without limit; `padded`: char, nchar; `collation` null: not from a column. */
  | { family: 'string'; national: boolean; length: number; padded: boolean; collation: string | null }
  | { family: 'date' }
  /** `digits`: of the fraction of a second. */
  | { family: 'time'; digits: number }
  /** `name`: datetime, smalldatetime, datetime2. */
  | { family: 'datetime'; name: string; digits: number }
  | { family: 'datetimeoffset'; digits: number }
  | { family: 'uuid' }
  | { family: 'binary'; length: number; fixed: boolean }
  /** The type of NULL. */
  | { family: 'null' }
  | { family: 'other'; name: string };

/** What `sys.columns` says of a column's type. */
export interface CatalogType {
  type: string;
  maxLengthBytes: number;
  precision: number;
  scale: number;
  collation: string | null;
}

const INTEGER_BYTES: Record<string, 1 | 2 | 4 | 8> = { tinyint: 1, smallint: 2, int: 4, bigint: 8 };

/** @returns the type of a column. */
export function columnType(column: CatalogType): SqlType {
  const { type, maxLengthBytes } = column;
  const national = type.startsWith('n') && type !== 'numeric';
  const lengthOf = (unitBytes: number): number => (maxLengthBytes === -1 ? -1 : maxLengthBytes / unitBytes);
  switch (type) {
    case 'char':
    case 'nchar':
    case 'varchar':
    case 'nvarchar':
      return {
        family: 'string',
        national,
        length: lengthOf(national ? 2 : 1),
        padded: !type.includes('var'),
        collation: column.collation,
      };
    case 'text':
    case 'ntext':
      return { family: 'string', national, length: -1, padded: false, collation: column.collation };
    case 'decimal':
    case 'numeric':
      return { family: 'decimal', precision: column.precision, scale: column.scale, money: false };
    case 'binary':
    case 'varbinary':
      return { family: 'binary', length: maxLengthBytes, fixed: type === 'binary' };
    case 'time':
    case 'datetime2':
    case 'datetimeoffset':
      return momentType(type, column.scale);
    default:
      return plainType(type) ?? { family: 'other', name: type };
  }
}

/** @throws Untranslatable for a type CAST names that the translator does not know. */
export function namedType({ name, arguments: list }: TypeName): SqlType {
  const [first, second] = list;
  switch (name) {
    case 'char':
    case 'nchar':
    case 'varchar':
    case 'nvarchar':
      return {
        family: 'string',
        national: name.startsWith('n'),
        // CAST and CONVERT without a length mean 30.
        length: first ?? 30,
        padded: !name.includes('var'),
        collation: null,
      };
    case 'decimal':
    case 'dec':
    case 'numeric':
      return { family: 'decimal', precision: first ?? 18, scale: second ?? 0, money: false };
    case 'float':
      return { family: 'float', bytes: first !== undefined && first <= 24 ? 4 : 8 };
    case 'integer':
      return { family: 'integer', bytes: 4 };
    case 'binary':
    case 'varbinary':
      return { family: 'binary', length: first ?? 30, fixed: name === 'binary' };
    case 'time':
    case 'datetime2':
    case 'datetimeoffset':
      return momentType(name, first ?? 7);
    default: {
      const type = plainType(name);
      if (type === null) throw new Untranslatable(`the type ${name} has no translation`);
      return type;
    }
  }
}

function momentType(name: 'time' | 'datetime2' | 'datetimeoffset', digits: number): SqlType {
  return name === 'datetime2' ? { family: 'datetime', name, digits } : { family: name, digits };
}

function plainType(name: string): SqlType | null {
  const bytes = INTEGER_BYTES[name];
  if (bytes !== undefined) return { family: 'integer', bytes };
  switch (name) {
    case 'bit':
      return { family: 'bit' };
    case 'money':
      return { family: 'decimal', precision: 19, scale: 4, money: true };
    case 'smallmoney':
      return { family: 'decimal', precision: 10, scale: 4, money: true };
    case 'float':
      return { family: 'float', bytes: 8 };
    case 'real':
      return { family: 'float', bytes: 4 };
    case 'date':
      return { family: 'date' };
    case 'datetime':
      return { family: 'datetime', name, digits: 3 };
    case 'smalldatetime':
      return { family: 'datetime', name, digits: 0 };
    case 'uniqueidentifier':
      return { family: 'uuid' };
    default:
      return null;
  }
}

/** @returns the PostgreSQL type that holds the values of `type`. */
export function pgTypeOf(type: SqlType): string {
  switch (type.family) {
    case 'integer':
      return { 1: 'smallint', 2: 'smallint', 4: 'integer', 8: 'bigint' }[type.bytes];
    case 'bit':
      return 'boolean';
    case 'decimal':
      return `numeric(${type.precision},${type.scale})`;
    case 'float':
      return type.bytes === 4 ? 'real' : 'double precision';
    case 'string':
      if (type.length === -1) return 'text';
      return `${type.padded ? 'char' : 'varchar'}(${type.length})`;
    case 'date':
      return 'date';
    case 'time':
      return 'time';
    case 'datetime':
      return 'timestamp';
    case 'datetimeoffset':
      return 'timestamptz';
    case 'uuid':
      return 'uuid';
    case 'binary':
      return 'bytea';
    default:
      return 'text';
  }
}

/** @returns precision and scale of a number in decimal arithmetic, or null for what is no exact number. */
export function digitsOf(type: SqlType): { precision: number; scale: number } | null {
  if (type.family === 'decimal') return type;
  if (type.family === 'bit') return { precision: 1, scale: 0 };
  if (type.family !== 'integer') return null;
  return { precision: { 1: 3, 2: 5, 4: 10, 8: 19 }[type.bytes], scale: 0 };
}

export function isNumber(type: SqlType): boolean {
  return digitsOf(type) !== null || type.family === 'float';
}

/** How SQL Server compares strings of a collation. */
export interface StringComparison {
  caseSensitive: boolean;
  accentSensitive: boolean;
  binary: boolean;
}

/** @returns what the collation's name says: `Latin1_General_CI_AS`, `Latin1_General_100_BIN2`. */
export function stringComparison(collation: string): StringComparison {
  const parts = collation.toUpperCase().split('_');
  const binary = parts.includes('BIN') || parts.includes('BIN2');
  return {
    binary,
    caseSensitive: binary || parts.includes('CS'),
    accentSensitive: binary || parts.includes('AS'),
  };
}
