/**
 * float and real. SQL Server stores no NaN and no infinity; bytes that say otherwise are refused.
 *
 * Mapping on the main thread, codec on reader threads. [MS-TDS] FLT4TYPE, FLT8TYPE, FLTNTYPE.
 */
import { AppError } from '../errors.js';
import type { SourceColumn } from '../source/model.js';
import { TYPE } from '../tds/tokens.js';
import { type ColumnMapping, notAsPlanned, type TypeCodec, type TypeMapper } from './family.js';
import { binaryOf, fixedHash } from './hash.js';

export const floatMapper: TypeMapper = {
  sqlTypes: ['float', 'real'],
  map(column: SourceColumn): ColumnMapping {
    const isReal = column.type === 'real';
    return {
      pgType: isReal ? 'real' : 'double precision',
      field: isReal ? 'float4' : 'float8',
      select: (expression) => expression,
      keyText:
        column.inexactText === true
          ? null
          : {
              // Style 3 prints 17 digits (9 for real), from which the same value is read back.
              toText: (expression) => `CONVERT(nvarchar(40), ${expression}, 3)`,
              fromText: (parameter) => `CONVERT(${column.type}, ${parameter})`,
            },
      hash: isReal
        ? fixedHash('float4', true, (expression) => binaryOf(4, expression))
        : fixedHash('float8', true, (expression) => binaryOf(8, expression)),
      loses: null,
    };
  },
};

export const floatCodec: TypeCodec = {
  wireTypes: [TYPE.FLT4, TYPE.FLT8, TYPE.FLTN],
  targets: ['float4', 'float8'],
  helpers: {},

  check(column, target) {
    if ((column.maxBytes === 4) !== (target.field === 'float4')) throw notAsPlanned(column, target);
  },

  contentBytes(column) {
    return column.maxBytes;
  },

  emit(column) {
    if (column.maxBytes === 4) {
      return `w = iv.getInt32(v, true); if ((w & 0x7f800000) === 0x7f800000) BAD;
        ov.setInt32(o, 4); ov.setInt32(o + 4, w); o += 8;`;
    }
    return `w = iv.getInt32(v + 4, true); if ((w & 0x7ff00000) === 0x7ff00000) BAD;
      ov.setInt32(o, 8); ov.setInt32(o + 4, w); ov.setInt32(o + 8, iv.getInt32(v, true)); o += 12;`;
  },

  keyText(column, value) {
    // 9 and 17 digits: as many as read back as the same number.
    return column.maxBytes === 4
      ? value.readFloatLE(0).toExponential(8)
      : value.readDoubleLE(0).toExponential(16);
  },

  encode(column, _target, value) {
    const number = column.maxBytes === 4 ? value.readFloatLE(0) : value.readDoubleLE(0);
    if (!Number.isFinite(number)) {
      throw new AppError(
        'VALUE_UNREPRESENTABLE',
        `The value ${number} is not a number SQL Server can store`,
        {
          remedy:
            'The row is damaged in the source: correct it there (DBCC CHECKTABLE ... WITH DATA_PURITY finds such rows).',
        },
      );
    }
    return Buffer.from(value).reverse();
  },
};
