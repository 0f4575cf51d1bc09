/**
 * The words in which a type family says how both servers compute a value's canonical bytes: the bytes the row
 * hash is made of, which are PostgreSQL's binary COPY field (numeric: its ASCII text).
 *
 * Pure functions, any thread. The hash thread has the same bytes in the ring already.
 */
import type { CopyField } from '../copy/frame.js';
import type { NulPolicy } from '../copy/text.js';

/** How a column takes part in hashes that the servers compute. Built with the column's mapping. */
export interface ColumnHash {
  /**
   * PostgreSQL expression of the number of canonical bytes, in four, and those bytes, as one bytea; NULL for NULL.
   * `expression` is a column of `pgType`.
   */
  targetField(expression: string): string;
  /**
   * T-SQL expression giving the same bytes as varbinary; null where SQL Server can't give them.
   * `expression` is a quoted column. Needs SQL Server 2019 for text (`_UTF8` collations), 2016 for times.
   */
  sourceBytes: ((expression: string, nul: NulPolicy) => string) | null;
  /** Bytes of every value, or null where they differ from value to value. */
  fixedBytes: number | null;
  /** The most bytes a value has; Infinity where only varbinary(max) holds them. */
  maxBytes: number;
  /** Whether both servers order the type's values alike, so that key ranges mean the same rows on both sides. */
  ordered: boolean;
}

/** The largest varbinary(n). */
export const MAX_VARBINARY_BYTES = 8000;

const UTF8 = 'Latin1_General_100_CI_AS_SC_UTF8';
const BY_CODE_POINT = 'Latin1_General_100_CI_AS_SC';
const BY_CODE_UNIT = 'Latin1_General_BIN2';

/** What PostgreSQL sends a value with, and in how many bytes. */
const FIXED: Record<FixedField, readonly [send: string, bytes: number]> = {
  bool: ['boolsend', 1],
  int2: ['int2send', 2],
  int4: ['int4send', 4],
  int8: ['int8send', 8],
  float4: ['float4send', 4],
  float8: ['float8send', 8],
  date: ['date_send', 4],
  time: ['time_send', 8],
  timestamp: ['timestamp_send', 8],
  timestamptz: ['timestamptz_send', 8],
  uuid: ['uuid_send', 16],
};

type FixedField = Exclude<CopyField, 'numeric' | 'bytea' | 'text' | 'bpchar'>;

/** @returns PostgreSQL's own binary form of a column of any type but numeric, its length in front. */
export function sentField(field: Exclude<CopyField, 'numeric'>): (expression: string) => string {
  switch (field) {
    case 'bytea':
      return bytesField;
    case 'text':
      return textField;
    case 'bpchar':
      return (expression) => textField(expression, 'bpcharsend');
    case 'int4':
      // Length and value as one number: every `||` copies all there is so far.
      return (expression) => `int8send(${4n << 32n} | (${expression}::bigint & ${(1n << 32n) - 1n}))`;
    default: {
      const [send, bytes] = FIXED[field];
      return (expression) => `${byteaLiteral(hex32(bytes))} || ${send}(${expression})`;
    }
  }
}

/**
 * @param text PostgreSQL expression of a text
 * @param send `bpcharsend` where it is a character(n): as a text that would lose its trailing blanks
 * @returns it with its length in front
 */
export function textField(text: string, send: 'textsend' | 'bpcharsend' = 'textsend'): string {
  // Of the column, not of what is sent of it: a long value then is read and decompressed once. In a database of
  // another encoding the two differ, and the known answers say so.
  return `int4send(octet_length(${text})) || ${send}(${text})`;
}

/** @returns bytes with their length in front. */
export function bytesField(bytes: string): string {
  return `int4send(octet_length(${bytes})) || ${bytes}`;
}

/** A type whose values all have the same number of bytes. */
export function fixedHash(
  field: FixedField,
  ordered: boolean,
  sourceBytes: (expression: string) => string,
): ColumnHash {
  const [, bytes] = FIXED[field];
  return { targetField: sentField(field), sourceBytes, fixedBytes: bytes, maxBytes: bytes, ordered };
}

/** PostgreSQL's literal of these bytes. */
export function byteaLiteral(hex: string): string {
  return `'\\x${hex}'::bytea`;
}

/** @returns a count as the digits of a big-endian int32. */
export function hex32(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}

/** A whole number of microseconds, days or the like as big-endian bytes. */
export function binaryOf(bytes: number, expression: string): string {
  return `CONVERT(binary(${bytes}), ${expression})`;
}

/**
 * Text as UTF-8.
 *
 * @param toNvarchar T-SQL giving the value as nvarchar
 * @param characters most UTF-16 units (or code page bytes) of a value; Infinity for (max)
 * @param padCharacters length of a blank-padded char(n), in characters; 0 for every other type
 */
export function textHash(
  field: 'text' | 'bpchar',
  toNvarchar: (expression: string) => string,
  characters: number,
  padCharacters = 0,
): ColumnHash {
  // A UTF-16 unit, and a code page byte, is three bytes of UTF-8 at most.
  const bytes = 3 * characters;
  const maxBytes = bytes <= MAX_VARBINARY_BYTES ? bytes : Number.POSITIVE_INFINITY;
  const size = Number.isFinite(maxBytes) ? String(maxBytes) : 'max';
  return {
    targetField: sentField(field),
    sourceBytes(expression, nul) {
      const text = padded(withoutNul(toNvarchar(expression), nul), padCharacters);
      return `CONVERT(varbinary(${size}), CONVERT(varchar(${size}), ${text} COLLATE ${UTF8}))`;
    },
    fixedBytes: null,
    maxBytes,
    ordered: false,
  };
}

/** What `on_nul` makes of U+0000. A binary collation, because others take it for nothing at all. */
function withoutNul(text: string, nul: NulPolicy): string {
  if (nul === 'error') return text;
  return `REPLACE(${text} COLLATE ${BY_CODE_UNIT}, NCHAR(0), ${nul === 'strip' ? "N''" : 'NCHAR(65533)'})`;
}

/** Blanks up to `characters` code points, as PostgreSQL counts; SQL Server pads to code units or bytes. */
function padded(text: string, characters: number): string {
  if (characters === 0) return text;
  // The dot keeps LEN from leaving out trailing blanks.
  const length = `LEN((${text} + N'.') COLLATE ${BY_CODE_POINT})`;
  const blank = characters <= 4000 ? "N' '" : "CONVERT(nvarchar(max), N' ')";
  return `(${text} + REPLICATE(${blank}, ${characters + 1} - ${length}))`;
}
