/**
 * bit and the integers. tinyint is unsigned and becomes smallint, which holds all of it.
 *
 * Mapping on the main thread, codec on reader threads. [MS-TDS] BITTYPE, INT1TYPE to INT8TYPE, INTNTYPE, BITNTYPE.
 */
import type { CopyField } from '../copy/frame.js';
import type { SourceColumn } from '../source/model.js';
import type { WireColumn } from '../tds/colmetadata.js';
import { TYPE } from '../tds/tokens.js';
import {
  type ColumnMapping,
  notAsPlanned,
  type TargetField,
  type TypeCodec,
  type TypeMapper,
} from './family.js';
import { binaryOf, fixedHash } from './hash.js';

type IntegerField = 'bool' | 'int2' | 'int4' | 'int8';

const MAPPED: Record<string, { pgType: string; field: IntegerField; bytes: number }> = {
  bit: { pgType: 'boolean', field: 'bool', bytes: 1 },
  tinyint: { pgType: 'smallint', field: 'int2', bytes: 2 },
  smallint: { pgType: 'smallint', field: 'int2', bytes: 2 },
  int: { pgType: 'integer', field: 'int4', bytes: 4 },
  bigint: { pgType: 'bigint', field: 'int8', bytes: 8 },
};

export const integerMapper: TypeMapper = {
  sqlTypes: Object.keys(MAPPED),
  map(column: SourceColumn): ColumnMapping {
    const { pgType, field, bytes } = MAPPED[column.type]!;
    return {
      pgType,
      field,
      select: (expression) => expression,
      keyText: {
        toText: (expression) => `CONVERT(nvarchar(20), ${expression})`,
        fromText: (parameter) => `CONVERT(${column.type}, ${parameter})`,
      },
      hash: fixedHash(field, true, (expression) =>
        binaryOf(bytes, column.type === 'tinyint' ? `CONVERT(smallint, ${expression})` : expression),
      ),
      loses: null,
    };
  },
};

/** Bytes of the COPY field by target. */
const WIDTH: Partial<Record<CopyField, number>> = { bool: 1, int2: 2, int4: 4, int8: 8 };

function checkWidth(column: WireColumn, target: TargetField): void {
  const isBit = column.type === TYPE.BIT || column.type === TYPE.BITN;
  const width = target.field === 'int2' && column.maxBytes === 1 ? 1 : WIDTH[target.field];
  if (isBit !== (target.field === 'bool') || width !== column.maxBytes) {
    throw notAsPlanned(column, target);
  }
}

export const integerCodec: TypeCodec = {
  wireTypes: [TYPE.BIT, TYPE.BITN, TYPE.INT1, TYPE.INT2, TYPE.INT4, TYPE.INT8, TYPE.INTN],
  targets: ['bool', 'int2', 'int4', 'int8'],
  helpers: {},
  check: checkWidth,

  contentBytes(_column, target) {
    return WIDTH[target.field]!;
  },

  emit(column, target) {
    switch (target.field) {
      case 'bool':
        return 'ov.setInt32(o, 1); ob[o + 4] = ib[v] === 0 ? 0 : 1; o += 5;';
      case 'int2':
        return column.maxBytes === 1
          ? 'ov.setInt32(o, 2); ov.setInt16(o + 4, ib[v]); o += 6;'
          : 'ov.setInt32(o, 2); ov.setInt16(o + 4, iv.getInt16(v, true)); o += 6;';
      case 'int4':
        return 'ov.setInt32(o, 4); ov.setInt32(o + 4, iv.getInt32(v, true)); o += 8;';
      default:
        return `ov.setInt32(o, 8); ov.setInt32(o + 4, iv.getInt32(v + 4, true));
          ov.setInt32(o + 8, iv.getInt32(v, true)); o += 12;`;
    }
  },

  keyText(column, value) {
    if (column.type === TYPE.BIT || column.type === TYPE.BITN) return value[0] === 0 ? '0' : '1';
    if (value.length === 1) return String(value.readUInt8(0));
    return value.length === 8 ? String(value.readBigInt64LE(0)) : String(value.readIntLE(0, value.length));
  },

  encode(column, target, value) {
    if (target.field === 'bool') return Buffer.from([value[0] === 0 ? 0 : 1]);
    const content = Buffer.alloc(WIDTH[target.field]!);
    if (column.maxBytes === 1) content.writeInt16BE(value.readUInt8(0));
    else if (target.field === 'int2') content.writeInt16BE(value.readInt16LE(0));
    else if (target.field === 'int4') content.writeInt32BE(value.readInt32LE(0));
    else content.writeBigInt64BE(value.readBigInt64LE(0));
    return content;
  },
};
