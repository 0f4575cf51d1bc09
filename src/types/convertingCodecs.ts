/**
 * The wire halves of conversions that a type's own codec can't do: narrower and wider integers, and values as the
 * text SQL Server prints for them.
 *
 * Reader threads. What is rare (a decimal of more than 18 digits) goes to the interpreter.
 */
import type { CopyField } from '../copy/frame.js';
import { AppError } from '../errors.js';
import type { WireColumn } from '../tds/colmetadata.js';
import { TYPE } from '../tds/tokens.js';
import { datetimeCodec } from './datetime.js';
import { decimalCodec } from './decimal.js';
import { notAsPlanned, type TargetField, type TypeCodec } from './family.js';
import { integerCodec } from './integer.js';
import { uuidCodec } from './uuid.js';

const INTEGER_BYTES: Partial<Record<CopyField, 2 | 4 | 8>> = { int2: 2, int4: 4, int8: 8 };
const INTEGER_NAMES: Partial<Record<CopyField, string>> = {
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
};
const ROWVERSION_BYTES = 8;

function isDecimal({ type }: Pick<WireColumn, 'type'>): boolean {
  return type === TYPE.DECIMALN || type === TYPE.NUMERICN;
}

/** A rowversion: one that may be NULL is of varying length, if only in name. */
function isBinary({ type }: Pick<WireColumn, 'type'>): boolean {
  return type === TYPE.BIGBINARY || type === TYPE.BIGVARBIN;
}

function isBit({ type }: WireColumn): boolean {
  return type === TYPE.BIT || type === TYPE.BITN;
}

/** JavaScript that leaves the number's low word in `t` and its high word in `u`. */
function readWords(column: WireColumn): string {
  if (isDecimal(column)) {
    // A sign byte (0 is minus) and words, the lowest first.
    return `if (n !== 5 && n !== 9) BAD;
      t = iv.getUint32(v + 1, true); u = n === 9 ? iv.getUint32(v + 5, true) : 0; if (u > 0x7fffffff) BAD;
      if (ib[v] === 0) { u = ~u + (t === 0 ? 1 : 0); t = -t; }`;
  }
  if (isBinary(column)) {
    return `if (n !== ${ROWVERSION_BYTES}) BAD; t = iv.getInt32(v + 4); u = iv.getInt32(v); if (u < 0) BAD;`;
  }
  if (isBit(column)) return 't = ib[v] === 0 ? 0 : 1; u = 0;';
  switch (column.maxBytes) {
    case 1:
      return 't = ib[v]; u = 0;';
    case 2:
      return 't = iv.getInt16(v, true); u = t >> 31;';
    case 4:
      return 't = iv.getInt32(v, true); u = t >> 31;';
    default:
      return 't = iv.getInt32(v, true); u = iv.getInt32(v + 4, true);';
  }
}

/** JavaScript that writes the number as it fits. */
function writeWords({ field }: TargetField): string {
  switch (field) {
    case 'int2':
      return `t |= 0; if ((u | 0) !== t >> 31 || t < -32768 || t > 32767) BAD;
        ov.setInt32(o, 2); ov.setInt16(o + 4, t); o += 6;`;
    case 'int4':
      return `t |= 0; if ((u | 0) !== t >> 31) BAD;
        ov.setInt32(o, 4); ov.setInt32(o + 4, t); o += 8;`;
    default:
      return 'ov.setInt32(o, 8); ov.setInt32(o + 4, u | 0); ov.setInt32(o + 8, t | 0); o += 12;';
  }
}

function wholeNumber(column: WireColumn, value: Buffer): bigint {
  if (!isBinary(column)) {
    return BigInt((isDecimal(column) ? decimalCodec : integerCodec).keyText(column, value));
  }
  if (value.length !== ROWVERSION_BYTES)
    throw new AppError('PROTOCOL', 'The source sent a rowversion of another size');
  return value.readBigUInt64BE(0);
}

const integers: TypeCodec = {
  wireTypes: [...integerCodec.wireTypes, TYPE.DECIMALN, TYPE.NUMERICN, TYPE.BIGBINARY, TYPE.BIGVARBIN],
  targets: ['int2', 'int4', 'int8'],
  helpers: {},

  check(column, target) {
    if (isDecimal(column) && column.scale !== 0) throw notAsPlanned(column, target);
  },

  contentBytes: (_column, { field }) => INTEGER_BYTES[field]!,

  emit: (column, target) => `${readWords(column)} ${writeWords(target)}`,

  keyText(column, value) {
    if (isBinary(column)) return value.toString('hex').toUpperCase();
    return String(wholeNumber(column, value));
  },

  encode(column, { field }, value) {
    const bytes = INTEGER_BYTES[field]!;
    const number = wholeNumber(column, value);
    const limit = 2n ** BigInt(8 * bytes - 1);
    if (number < -limit || number >= limit) {
      throw new AppError(
        'VALUE_UNREPRESENTABLE',
        `The value ${number} is outside of ${INTEGER_NAMES[field]}, which goes from ${-limit} to ${limit - 1n}`,
        { remedy: 'Choose a wider type in migration.type_overrides, or correct the row in the source.' },
      );
    }
    const content = Buffer.alloc(8);
    content.writeBigInt64BE(number);
    return content.subarray(8 - bytes);
  },
};

const doubles: TypeCodec = {
  wireTypes: [TYPE.FLT4, TYPE.FLTN],
  targets: ['float8'],
  helpers: {},

  check(column, target) {
    if (column.maxBytes !== 4) throw notAsPlanned(column, target);
  },

  contentBytes: () => 8,

  emit: () => `if ((iv.getInt32(v, true) & 0x7f800000) === 0x7f800000) BAD;
    ov.setInt32(o, 8); ov.setFloat64(o + 4, iv.getFloat32(v, true)); o += 12;`,

  keyText: (_column, value) => value.readFloatLE(0).toExponential(8),

  encode(_column, _target, value) {
    const number = value.readFloatLE(0);
    if (!Number.isFinite(number)) {
      throw new AppError('VALUE_UNREPRESENTABLE', `The value ${number} is not a number SQL Server can store`);
    }
    const content = Buffer.alloc(8);
    content.writeDoubleBE(number);
    return content;
  },
};

/** The longest text there is: a uniqueidentifier's digits and dashes. */
const PRINTED_BYTES = 36;

function printer({ type }: Pick<WireColumn, 'type'>): TypeCodec {
  return type === TYPE.GUID ? uuidCodec : datetimeCodec;
}

function printedValue(column: WireColumn, target: TargetField, value: Buffer): string {
  const own = printer(column);
  // For what it refuses: a damaged value has no text either.
  own.encode(column, target, value);
  return own.keyText(column, value);
}

/** @returns the offset after the field, -1 for a value that the interpreter has to look at */
function writePrinted(
  bytes: Buffer,
  v: number,
  n: number,
  type: number,
  scale: number,
  out: Buffer,
  outView: DataView,
  o: number,
): number {
  const column: WireColumn = {
    name: '',
    type,
    framing: 'byte',
    maxBytes: n,
    precision: 0,
    scale,
    nullable: true,
    encoding: null,
  };
  try {
    const text = printedValue(
      column,
      { field: 'text', padCharacters: 0, nul: 'error' },
      bytes.subarray(v, v + n),
    );
    outView.setInt32(o, text.length);
    return o + 4 + out.write(text, o + 4, 'latin1');
  } catch {
    return -1; // the interpreter meets the same value again and says what is wrong
  }
}

const printed: TypeCodec = {
  wireTypes: [...datetimeCodec.wireTypes, TYPE.GUID],
  targets: ['text', 'bpchar'],
  helpers: { writePrinted },
  contentBytes: () => PRINTED_BYTES,
  emit: ({ type, scale }) =>
    `r = writePrinted(ib, v, n, ${type}, ${scale}, ob, ov, o); if (r < 0) BAD; o = r;`,
  keyText: (column, value) => printer(column).keyText(column, value),
  encode: (column, target, value) => Buffer.from(printedValue(column, target, value), 'latin1'),
};

/** Both are microseconds since 2000-01-01, of whichever moment is meant. */
const zones: TypeCodec = { ...datetimeCodec, targets: ['timestamp', 'timestamptz'], check: () => {} };

const CODECS: readonly TypeCodec[] = [integers, doubles, printed, zones];

/** @returns the codec that makes this conversion, or null where the type's own does. */
export function convertingCodec({ type }: WireColumn, { field }: TargetField): TypeCodec | null {
  return CODECS.find(({ wireTypes, targets }) => wireTypes.includes(type) && targets.includes(field)) ?? null;
}
