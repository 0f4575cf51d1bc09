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
  /** PostgreSQL expression giving the canonical bytes as bytea, NULL for NULL; `expression` is a column of `pgType`. */
  targetBytes(expression: string): string;
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

const SENDERS: Record<Exclude<CopyField, 'numeric' | 'bytea'>, string> = {
  bool: 'boolsend',
  int2: 'int2send',
  int4: 'int4send',
  int8: 'int8send',
  float4: 'float4send',
  float8: 'float8send',
  date: 'date_send',
  time: 'time_send',
  timestamp: 'timestamp_send',
  timestamptz: 'timestamptz_send',
  uuid: 'uuid_send',
  text: 'textsend',
  bpchar: 'bpcharsend',
};

/** @returns PostgreSQL's own binary form of a column of any type but numeric. */
export function sendBytes(field: Exclude<CopyField, 'numeric'>): (expression: string) => string {
  return field === 'bytea' ? (expression) => expression : (expression) => `${SENDERS[field]}(${expression})`;
}

/** A type whose values all have the same number of bytes. */
export function fixedHash(
  field: Exclude<CopyField, 'numeric'>,
  bytes: number,
  ordered: boolean,
  sourceBytes: (expression: string) => string,
): ColumnHash {
  return { targetBytes: sendBytes(field), sourceBytes, fixedBytes: bytes, maxBytes: bytes, ordered };
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
    targetBytes: sendBytes(field),
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
