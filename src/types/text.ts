/**
 * The character types and xml. varchar bytes arrive in the column's own code page and leave as UTF-8.
 *
 * Mapping on the main thread, codec on reader threads.
 * [MS-TDS] BIGCHARTYPE, BIGVARCHARTYPE, NCHARTYPE, NVARCHARTYPE, TEXTTYPE, NTEXTTYPE, XMLTYPE.
 */
import { codePage, isDoubleByte, sharedUnits, type TextEncoding } from '../copy/codepages.js';
import type { CopyField } from '../copy/frame.js';
import {
  applyNul,
  convertWithNul,
  decodeText,
  padBlank,
  TEXT_HAS_NUL,
  writeDoubleByte,
  writeSingleByte,
  writeUtf8,
  writeUtf16le,
} from '../copy/text.js';
import { AppError } from '../errors.js';
import type { SourceColumn } from '../source/model.js';
import type { WireColumn } from '../tds/colmetadata.js';
import { TYPE } from '../tds/tokens.js';
import type { ColumnMapping, KeyText, TargetField, TypeCodec, TypeMapper } from './family.js';
import { MAX_VARBINARY_BYTES, textHash } from './hash.js';

export const textMapper: TypeMapper = {
  sqlTypes: ['char', 'varchar', 'text', 'nchar', 'nvarchar', 'ntext', 'xml'],
  map(column: SourceColumn): ColumnMapping {
    const { type, maxLengthBytes } = column;
    const national = type.startsWith('n');
    const isLong = isLongText(column);
    const characters = national ? maxLengthBytes / 2 : maxLengthBytes;
    const base = national ? type.slice(1) : type;
    const field: CopyField = !isLong && base === 'char' ? 'bpchar' : 'text';
    // Padded to as many characters, not UTF-16 units: that may take more than an nvarchar(4000) holds.
    const limited = !isLong && (field !== 'bpchar' || 3 * characters <= MAX_VARBINARY_BYTES);
    return {
      pgType: isLong ? 'text' : `${base}(${characters})`,
      field,
      select: (expression) => expression,
      keyText: isLong ? null : rangeText(column, characters),
      hash: textHash(
        field,
        (expression) => nvarcharOf(column, limited ? characters : Number.POSITIVE_INFINITY, expression),
        isLong ? Number.POSITIVE_INFINITY : characters,
        field === 'bpchar' ? characters : 0,
      ),
      loses: null,
    };
  },
};

/** By way of nvarchar: a varchar in one code page that takes another one's collation is cut to its own bytes. */
export function nvarcharOf({ type }: SourceColumn, characters: number, expression: string): string {
  // text converts to varchar only.
  const value = type === 'text' ? `CONVERT(varchar(max), ${expression})` : expression;
  return `CONVERT(nvarchar(${characters <= 4000 ? characters : 'max'}), ${value})`;
}

/** @returns whether the column is text without a length limit: text, ntext, xml, varchar(max), nvarchar(max). */
export function isLongText({ type, maxLengthBytes }: SourceColumn): boolean {
  if (type === 'text' || type === 'ntext' || type === 'xml') return true;
  return maxLengthBytes === -1 && (type === 'varchar' || type === 'nvarchar');
}

/** The collations that order bytes of a code page in which several pairs of bytes are one character. */
const AMBIGUOUS: readonly (readonly [RegExp, 'cp932' | 'cp950'])[] = [
  [/^Japanese.*_BIN2?$/i, 'cp932'],
  [/^Chinese_(Taiwan|Traditional|Hong_Kong).*_BIN2?$/i, 'cp950'],
];

/** A key that one of these characters is in lies elsewhere than the bytes its text becomes again. */
function exactness({ type, collation }: SourceColumn): Pick<KeyText, 'isExact'> {
  const page = AMBIGUOUS.find(([pattern]) => pattern.test(collation ?? ''))?.[1];
  if (page === undefined || type.startsWith('n')) return {};
  return {
    isExact(text) {
      const units = sharedUnits(page);
      for (let i = 0; i < text.length; i++) if (units.has(text.charCodeAt(i))) return false;
      return true;
    },
  };
}

function rangeText(column: SourceColumn, characters: number): ColumnMapping['keyText'] {
  const sqlType = `${column.type}(${characters})`;
  // Collation names are identifiers of the server's own; anything else must not reach the SQL text.
  const collation = column.collation !== null && /^\w+$/.test(column.collation) ? column.collation : null;
  return {
    ...exactness(column),
    toText: (expression) => `CONVERT(nvarchar(max), ${expression})`,
    // The parameter takes the column's collation first, or a varchar would pass through the database's code page.
    fromText: (parameter) =>
      collation === null
        ? `CONVERT(${sqlType}, ${parameter})`
        : `CONVERT(${sqlType}, ${parameter} COLLATE ${collation})`,
  };
}

function encodingOf(column: WireColumn): TextEncoding {
  if (column.encoding === null) {
    throw new AppError(
      'TYPE_UNSUPPORTED',
      'The column has a collation whose code page this program does not know',
      {
        remedy: 'Exclude the table, or read it through a view that casts the column to nvarchar.',
      },
    );
  }
  return column.encoding;
}

/** The conversion call; the generator declares the code page's tables under these names. */
function convert(encoding: TextEncoding): string {
  if (encoding === 'utf16le') return 'writeUtf16le(ib, v, n, ob, o + 4)';
  if (encoding === 'utf8') return 'writeUtf8(ib, v, n, ob, o + 4)';
  return isDoubleByte(encoding)
    ? `writeDoubleByte(ib, v, n, ${encoding}Table, ${encoding}Lead, ob, o + 4)`
    : `writeSingleByte(ib, v, n, ${encoding}Table, ob, o + 4)`;
}

export const textCodec: TypeCodec = {
  wireTypes: [TYPE.BIGCHAR, TYPE.BIGVARCHAR, TYPE.NCHAR, TYPE.NVARCHAR, TYPE.TEXT, TYPE.NTEXT, TYPE.XML],
  targets: ['text', 'bpchar'],
  helpers: { writeUtf16le, writeUtf8, writeDoubleByte, writeSingleByte, convertWithNul, padBlank, codePage },

  check(column) {
    encodingOf(column);
  },

  contentBytes(column, target) {
    // A UTF-16 unit or a code page byte takes three bytes at most, as does the U+FFFD a NUL may become.
    const encoding = encodingOf(column);
    return `(${encoding === 'utf16le' ? '(n >> 1)' : 'n'} * 3 + ${target.padCharacters})`;
  },

  emit(column, target) {
    const encoding = encodingOf(column);
    const isXml = column.type === TYPE.XML;
    return `${isXml ? `if (n >= 2 && ib[v] === 0xff && ib[v + 1] === 0xfe) { v += 2; n -= 2; }` : ''}
      r = ${convert(encoding)};
      ${
        target.nul === 'error'
          ? ''
          : `if (r === ${TEXT_HAS_NUL}) r = convertWithNul(ib, v, n, '${encoding}', '${target.nul}', ob, o + 4);`
      }
      if (r < 0) BAD;
      ${target.padCharacters > 0 ? `r = padBlank(ob, o + 4, r, ${target.padCharacters});` : ''}
      ov.setInt32(o, r - o - 4); o = r;`;
  },

  keyText(column, value) {
    return decodeText(value, encodingOf(column));
  },

  encode(column, target, value) {
    const encoding = encodingOf(column);
    const hasMark = column.type === TYPE.XML && value.length >= 2 && value.readUInt16LE(0) === 0xfeff;
    const text = applyNul(decodeText(hasMark ? value.subarray(2) : value, encoding), target.nul);
    return Buffer.from(padded(text, target));
  },
};

function padded(text: string, target: TargetField): string {
  const missing = target.padCharacters - [...text].length;
  return missing > 0 ? text + ' '.repeat(missing) : text;
}
