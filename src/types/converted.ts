/**
 * hierarchyid, geometry and geography: the source turns them into text while it reads them.
 *
 * Main thread only: they arrive as nvarchar and need no codec of their own.
 */
import type { SourceColumn } from '../source/model.js';
import type { ColumnMapping, TypeMapper } from './family.js';
import { textHash } from './hash.js';

export const convertedMapper: TypeMapper = {
  sqlTypes: ['hierarchyid', 'geometry', 'geography'],
  map(column: SourceColumn): ColumnMapping {
    const isPath = column.type === 'hierarchyid';
    return {
      pgType: 'text',
      field: 'text',
      select: (expression) => (isPath ? `${expression}.ToString()` : `${expression}.STAsText()`),
      keyText: isPath
        ? {
            toText: (expression) => `${expression}.ToString()`,
            fromText: (parameter) => `CONVERT(hierarchyid, ${parameter})`,
          }
        : null,
      hash: textHash(
        'text',
        (expression) => (isPath ? `${expression}.ToString()` : `${expression}.STAsText()`),
        Number.POSITIVE_INFINITY,
      ),
      loses: isPath ? null : 'spatial reference id, Z and M (well-known text has x and y only)',
    };
  },
};
