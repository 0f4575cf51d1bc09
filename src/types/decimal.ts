/**
 * decimal, numeric, money and smallmoney: exact numbers, exact to the last digit.
 *
 * Mapping on the main thread, codec on reader threads. [MS-TDS] DECIMALN, NUMERICN, MONEY, MONEY4, MONEYN.
 */
import {
  NUMERIC_MAX_BYTES,
  numericField,
  writeDecimal,
  writeMoney,
  writeSmallMoney,
} from '../copy/numeric.js';
import { AppError } from '../errors.js';
import type { SourceColumn } from '../source/model.js';
import type { WireColumn } from '../tds/colmetadata.js';
import { TYPE } from '../tds/tokens.js';
import type { ColumnMapping, TypeCodec, TypeMapper } from './family.js';
import { type ColumnHash, textField } from './hash.js';

const MONEY_SCALE = 4;
/** Sign, point and 39 digits at most, one of them the zero before the point. */
const MAX_TEXT_BYTES = 45;
/** A sign byte and one to four words. */
const DECIMAL_BYTES: readonly number[] = [5, 9, 13, 17];

export const decimalMapper: TypeMapper = {
  sqlTypes: ['decimal', 'numeric', 'money', 'smallmoney'],
  map(column: SourceColumn): ColumnMapping {
    const isMoney = column.type === 'money' || column.type === 'smallmoney';
    const precision = column.type === 'money' ? 19 : column.type === 'smallmoney' ? 10 : column.precision;
    const scale = isMoney ? MONEY_SCALE : column.scale;
    return {
      pgType: `numeric(${precision},${scale})`,
      field: 'numeric',
      select: (expression) => expression,
      keyText: {
        // Style 2 is money with all four decimals; the default keeps two.
        toText: (expression) => `CONVERT(nvarchar(50), ${expression}${isMoney ? ', 2' : ''})`,
        fromText: (parameter) =>
          `CONVERT(${isMoney ? column.type : `decimal(${precision},${scale})`}, ${parameter})`,
      },
      hash: decimalHash(precision, scale),
      loses: null,
    };
  },
};

/**
 * @param expression a number of PostgreSQL's, of whatever type
 * @returns its text as it is hashed: with `scale` decimals, but for numbers that have more of them, NaN and the like
 */
export function numberText(expression: string, scale: number): string {
  // Adding zero gives a value of fewer decimals all of them, and takes none off a value that has more.
  return `(${expression} + ${zeroOf(scale)}::numeric)::text`;
}

function zeroOf(scale: number): string {
  return scale === 0 ? '0' : `0.${'0'.repeat(scale)}`;
}

/** Numbers are hashed as text with exactly `scale` decimals, zero without sign. */
export function decimalHash(precision: number, scale: number): ColumnHash {
  const zero = zeroOf(scale);
  return {
    targetField: (expression) => textField(numberText(expression, scale)),
    sourceBytes(expression) {
      const text = `CONVERT(varchar(${MAX_TEXT_BYTES}), CONVERT(decimal(${precision},${scale}), ${expression}))`;
      const unsigned = `CASE WHEN ${expression} = 0 THEN '${zero}' ELSE ${text} END`;
      return `CONVERT(varbinary(${MAX_TEXT_BYTES}), ${unsigned})`;
    },
    fixedBytes: null,
    maxBytes: MAX_TEXT_BYTES,
    ordered: true,
  };
}

export const decimalCodec: TypeCodec = {
  wireTypes: [TYPE.DECIMALN, TYPE.NUMERICN, TYPE.MONEY, TYPE.MONEY4, TYPE.MONEYN],
  targets: ['numeric'],
  helpers: { writeDecimal, writeMoney, writeSmallMoney },

  contentBytes() {
    return NUMERIC_MAX_BYTES;
  },

  emit(column) {
    if (column.type === TYPE.DECIMALN || column.type === TYPE.NUMERICN) {
      return `if (n !== 5 && n !== 9 && n !== 13 && n !== 17) BAD;
        o = writeDecimal(ib, v + 1, n - 1, ib[v] === 0, ${column.scale}, ob, ov, o);`;
    }
    if (column.maxBytes === 4) return 'o = writeSmallMoney(iv.getInt32(v, true), ob, ov, o);';
    return 'o = writeMoney(iv.getInt32(v, true), iv.getUint32(v + 4, true), ob, ov, o);';
  },

  keyText(column, value) {
    const { unscaled, scale } = plainValue(column, value);
    const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
    const point = digits.length - scale;
    const text = scale === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
    return unscaled < 0n ? `-${text}` : text;
  },

  encode(column, _target, value) {
    const { unscaled, scale } = plainValue(column, value);
    return withoutLength(numericField(unscaled, scale));
  },
};

/** The number times 10^scale, the plain way. */
function plainValue(column: WireColumn, value: Buffer): { unscaled: bigint; scale: number } {
  if (column.type === TYPE.DECIMALN || column.type === TYPE.NUMERICN) {
    if (!DECIMAL_BYTES.includes(value.length)) {
      throw new AppError('PROTOCOL', `The source sent a decimal value of ${value.length} bytes`);
    }
    let unscaled = 0n;
    for (let i = value.length - 1; i >= 1; i--) unscaled = (unscaled << 8n) | BigInt(value[i]!);
    return { unscaled: value[0] === 0 ? -unscaled : unscaled, scale: column.scale };
  }
  const unscaled =
    value.length === 4
      ? BigInt(value.readInt32LE(0))
      : (BigInt(value.readInt32LE(0)) << 32n) | BigInt(value.readUInt32LE(4));
  return { unscaled, scale: MONEY_SCALE };
}

function withoutLength(field: Buffer): Buffer {
  return field.subarray(4);
}
