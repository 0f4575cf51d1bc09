/**
 * binary, varbinary, image and rowversion (which the catalog calls timestamp): bytes as they are.
 *
 * Mapping on the main thread, codec on reader threads. [MS-TDS] BIGBINARYTYPE, BIGVARBINTYPE, IMAGETYPE, UDTTYPE.
 */
import type { SourceColumn } from '../source/model.js';
import { TYPE } from '../tds/tokens.js';
import { copyBytes } from '../wasm/memory.js';
import type { ColumnMapping, TypeCodec, TypeMapper } from './family.js';
import { bytesField } from './hash.js';

export const binaryMapper: TypeMapper = {
  sqlTypes: ['binary', 'varbinary', 'image', 'timestamp'],
  map(column: SourceColumn): ColumnMapping {
    const comparable = column.type !== 'image' && column.maxLengthBytes !== -1;
    const sqlType = column.type === 'timestamp' ? 'binary(8)' : `${column.type}(${column.maxLengthBytes})`;
    return {
      pgType: 'bytea',
      field: 'bytea',
      select: (expression) => expression,
      keyText: comparable
        ? {
            // Style 2: hexadecimal without 0x.
            toText: (expression) => `CONVERT(nvarchar(max), CONVERT(${sqlType}, ${expression}), 2)`,
            fromText: (parameter) => `CONVERT(${sqlType}, ${parameter}, 2)`,
          }
        : null,
      hash: {
        targetField: bytesField,
        sourceBytes: (expression) =>
          `CONVERT(${comparable ? sqlType.replace(/^binary/, 'varbinary') : 'varbinary(max)'}, ${expression})`,
        fixedBytes: null,
        maxBytes: comparable ? Math.max(column.maxLengthBytes, 8) : Number.POSITIVE_INFINITY,
        // SQL Server takes trailing zero bytes for nothing.
        ordered: false,
      },
      loses: null,
    };
  },
};

export const binaryCodec: TypeCodec = {
  wireTypes: [TYPE.BIGBINARY, TYPE.BIGVARBIN, TYPE.IMAGE],
  targets: ['bytea'],
  helpers: { copyBytes },

  contentBytes() {
    return 'n';
  },

  emit() {
    // Short values byte by byte: a call into the engine costs more than it saves.
    return `ov.setInt32(o, n); o += 4;
      if (n < 32) { for (i = 0; i < n; i++) ob[o + i] = ib[v + i]; }
      else copyBytes(ib, v, v + n, ob, o);
      o += n;`;
  },

  keyText(_column, value) {
    return value.toString('hex').toUpperCase();
  },

  encode(_column, _target, value) {
    return value;
  },
};
