/**
 * sql_variant: every value carries its own type. It becomes the text PostgreSQL would print for that value.
 *
 * Mapping on the main thread, codec on reader threads. [MS-TDS] SSVARIANTTYPE. Rare enough that its values
 * may be JavaScript objects on the way.
 */
import type { TextEncoding } from '../copy/codepages.js';
import { fieldToText } from '../copy/fieldText.js';
import type { CopyField } from '../copy/frame.js';
import { applyNul } from '../copy/text.js';
import { AppError } from '../errors.js';
import { encodingOfCollation } from '../tds/collation.js';
import { timeBytes, type WireColumn } from '../tds/colmetadata.js';
import { FIXED_BYTES, TYPE } from '../tds/tokens.js';
import { binaryCodec } from './binary.js';
import { datetimeCodec } from './datetime.js';
import { decimalCodec } from './decimal.js';
import type { TargetField, TypeCodec, TypeMapper } from './family.js';
import { floatCodec } from './float.js';
import { bytesField } from './hash.js';
import { integerCodec } from './integer.js';
import { textCodec } from './text.js';
import { uuidCodec } from './uuid.js';

export const variantMapper: TypeMapper = {
  sqlTypes: ['sql_variant'],
  map() {
    return {
      pgType: 'text',
      field: 'text',
      select: (expression) => expression,
      keyText: null,
      // Each value's text depends on its own base type: only the transcoder knows it.
      hash: {
        // Of what is sent: no known answer says whether the database has texts in another encoding.
        targetField: (value) => bytesField(`textsend(${value})`),
        sourceBytes: null,
        fixedBytes: null,
        maxBytes: Number.POSITIVE_INFINITY,
        ordered: false,
      },
      loses: 'the base type of each value (its text is kept)',
    };
  },
};

/** Which codec and which field a base type's text is made with. */
const BASE: ReadonlyMap<number, { codec: TypeCodec; field: CopyField }> = new Map([
  [TYPE.BIT, { codec: integerCodec, field: 'bool' as const }],
  [TYPE.INT1, { codec: integerCodec, field: 'int2' as const }],
  [TYPE.INT2, { codec: integerCodec, field: 'int2' as const }],
  [TYPE.INT4, { codec: integerCodec, field: 'int4' as const }],
  [TYPE.INT8, { codec: integerCodec, field: 'int8' as const }],
  [TYPE.FLT4, { codec: floatCodec, field: 'float4' as const }],
  [TYPE.FLT8, { codec: floatCodec, field: 'float8' as const }],
  [TYPE.MONEY, { codec: decimalCodec, field: 'numeric' as const }],
  [TYPE.MONEY4, { codec: decimalCodec, field: 'numeric' as const }],
  [TYPE.DECIMALN, { codec: decimalCodec, field: 'numeric' as const }],
  [TYPE.NUMERICN, { codec: decimalCodec, field: 'numeric' as const }],
  [TYPE.GUID, { codec: uuidCodec, field: 'uuid' as const }],
  [TYPE.DATETIME, { codec: datetimeCodec, field: 'timestamp' as const }],
  [TYPE.DATETIM4, { codec: datetimeCodec, field: 'timestamp' as const }],
  [TYPE.DATETIME2N, { codec: datetimeCodec, field: 'timestamp' as const }],
  [TYPE.DATETIMEOFFSETN, { codec: datetimeCodec, field: 'timestamptz' as const }],
  [TYPE.DATEN, { codec: datetimeCodec, field: 'date' as const }],
  [TYPE.TIMEN, { codec: datetimeCodec, field: 'time' as const }],
  [TYPE.BIGBINARY, { codec: binaryCodec, field: 'bytea' as const }],
  [TYPE.BIGVARBIN, { codec: binaryCodec, field: 'bytea' as const }],
  [TYPE.BIGCHAR, { codec: textCodec, field: 'text' as const }],
  [TYPE.BIGVARCHAR, { codec: textCodec, field: 'text' as const }],
  [TYPE.NCHAR, { codec: textCodec, field: 'text' as const }],
  [TYPE.NVARCHAR, { codec: textCodec, field: 'text' as const }],
]);

const MAX_SCALE = 38;
const SCALED: ReadonlySet<number> = new Set([TYPE.TIMEN, TYPE.DATETIME2N, TYPE.DATETIMEOFFSETN]);

const CHARACTERS: ReadonlySet<number> = new Set([TYPE.BIGCHAR, TYPE.BIGVARCHAR, TYPE.NCHAR, TYPE.NVARCHAR]);

/** Bytes of the properties a base type has. [MS-TDS] SSVARIANTTYPE. */
function propertyBytes(type: number): number {
  if (CHARACTERS.has(type)) return 7;
  if (
    type === TYPE.BIGBINARY ||
    type === TYPE.BIGVARBIN ||
    type === TYPE.DECIMALN ||
    type === TYPE.NUMERICN
  ) {
    return 2;
  }
  return SCALED.has(type) ? 1 : 0;
}

/** The one size a value of this column has, or null where it varies. */
function exactBytes({ type, scale }: WireColumn): number | null {
  switch (type) {
    case TYPE.GUID:
      return 16;
    case TYPE.DATEN:
      return 3;
    case TYPE.TIMEN:
      return timeBytes(scale);
    case TYPE.DATETIME2N:
      return timeBytes(scale) + 3;
    case TYPE.DATETIMEOFFSETN:
      return timeBytes(scale) + 5;
    default:
      return FIXED_BYTES.get(type) ?? null;
  }
}

function malformed(): AppError {
  return new AppError('PROTOCOL', 'The source sent a sql_variant value whose parts do not fit together');
}

/** Reads the properties in front of the value into the column description its codec wants. */
function baseColumn(value: Buffer, name: string, dataBytes: number): WireColumn {
  const type = value.readUInt8(0);
  const column: WireColumn = {
    name,
    type,
    framing: 'byte',
    maxBytes: FIXED_BYTES.get(type) ?? dataBytes,
    precision: 0,
    scale: 0,
    nullable: true,
    encoding: null,
  };
  if (type === TYPE.DECIMALN || type === TYPE.NUMERICN) {
    column.precision = value.readUInt8(2);
    column.scale = value.readUInt8(3);
  } else if (SCALED.has(type)) {
    column.scale = value.readUInt8(2);
  } else if (type === TYPE.BIGCHAR || type === TYPE.BIGVARCHAR) {
    column.encoding = encodingOfCollation(value.readUInt32LE(2), value.readUInt8(6));
  } else if (type === TYPE.NCHAR || type === TYPE.NVARCHAR) {
    column.encoding = 'utf16le' satisfies TextEncoding;
  }
  return column;
}

function variantText(name: string, target: TargetField, value: Buffer): string {
  if (value.length < 2) throw malformed();
  const type = value.readUInt8(0);
  const base = BASE.get(type);
  if (base === undefined) {
    throw new AppError(
      'VALUE_UNREPRESENTABLE',
      `sql_variant holds a value of unknown base type 0x${type.toString(16)}`,
      {
        remedy: 'Convert the column to a plain type in the source, or exclude the table.',
      },
    );
  }
  const properties = value.readUInt8(1);
  if (properties !== propertyBytes(type) || value.length < 2 + properties) throw malformed();
  const data = value.subarray(2 + properties);
  const column = baseColumn(value, name, data.length);
  if (column.scale > MAX_SCALE || (exactBytes(column) ?? data.length) !== data.length) throw malformed();
  const plain: TargetField = { field: base.field, padCharacters: 0, nul: target.nul };
  const content = base.codec.encode(column, plain, data);
  // SQL Server prints a bit as 1 or 0, PostgreSQL a boolean as t or f: a variant was never a boolean.
  if (base.field === 'bool') return content[0] === 0 ? '0' : '1';
  return applyNul(fieldToText(base.field, content, 0, content.length), target.nul);
}

/** Writes one variant's text field; returns the new offset, -1 for a value that can't be, -2 when it does not fit. */
function writeVariant(
  src: Buffer,
  at: number,
  length: number,
  target: TargetField,
  out: Buffer,
  outView: DataView,
  o: number,
  oEnd: number,
): number {
  let text: string;
  try {
    text = variantText('', target, src.subarray(at, at + length));
  } catch {
    return -1; // the interpreter meets the same value again and says what is wrong
  }
  const bytes = Buffer.byteLength(text);
  if (o + 4 + bytes > oEnd) return -2;
  outView.setInt32(o, bytes);
  out.write(text, o + 4, 'utf8');
  return o + 4 + bytes;
}

/** Greatest text of a variant: 8000 bytes as hexadecimal, or 8000 code page bytes of three UTF-8 bytes each. */
const VARIANT_TEXT_BYTES = 24_000;

export const variantCodec: TypeCodec = {
  wireTypes: [TYPE.SSVARIANT],
  targets: ['text'],
  helpers: { writeVariant },

  contentBytes() {
    return `${VARIANT_TEXT_BYTES}`;
  },

  emit(_column, target) {
    return `r = writeVariant(ib, v, n, ${JSON.stringify(target)}, ob, ov, o, oEnd);
      if (r < 0) BAD;
      o = r;`;
  },

  keyText(column) {
    throw new AppError('INTERNAL', `Column ${column.name} is a sql_variant, which bounds no range`);
  },

  encode(column, target, value) {
    return Buffer.from(variantText(column.name, target, value));
  },
};
