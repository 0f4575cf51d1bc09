/**
 * uniqueidentifier: the first three groups lie little-endian on the wire and big-endian in PostgreSQL.
 *
 * Mapping on the main thread, codec on reader threads. [MS-TDS] GUIDTYPE.
 */
import { TYPE } from '../tds/tokens.js';
import type { TypeCodec, TypeMapper } from './family.js';
import { fixedHash } from './hash.js';

export const uuidMapper: TypeMapper = {
  sqlTypes: ['uniqueidentifier'],
  map() {
    return {
      pgType: 'uuid',
      field: 'uuid',
      select: (expression) => expression,
      keyText: {
        toText: (expression) => `CONVERT(nvarchar(36), ${expression})`,
        fromText: (parameter) => `CONVERT(uniqueidentifier, ${parameter})`,
      },
      // By way of the digits: the binary form of a uniqueidentifier has its first three groups reversed.
      hash: fixedHash(
        'uuid',
        false,
        (expression) => `CONVERT(binary(16), REPLACE(CONVERT(char(36), ${expression}), '-', ''), 2)`,
      ),
      loses: null,
    };
  },
};

const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

function inOrder(value: Buffer): Buffer {
  return Buffer.from(ORDER.map((from) => value[from]!));
}

export const uuidCodec: TypeCodec = {
  wireTypes: [TYPE.GUID],
  targets: ['uuid'],
  helpers: {},

  contentBytes() {
    return 16;
  },

  emit() {
    return `ov.setInt32(o, 16); ov.setInt32(o + 4, iv.getInt32(v, true));
      ov.setInt16(o + 8, iv.getInt16(v + 4, true)); ov.setInt16(o + 10, iv.getInt16(v + 6, true));
      ov.setInt32(o + 12, iv.getInt32(v + 8)); ov.setInt32(o + 16, iv.getInt32(v + 12)); o += 20;`;
  },

  keyText(_column, value) {
    const digits = inOrder(value).toString('hex').toUpperCase();
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  },

  encode(_column, _target, value) {
    return inOrder(value);
  },
};
