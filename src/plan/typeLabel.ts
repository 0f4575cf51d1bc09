/**
 * The names of column types as SQL Server's DDL spells them.
 *
 * Pure, any thread.
 */
import type { SourceColumn } from '../source/model.js';

/** @returns the column's type as SQL Server's DDL spells it: `decimal(18,4)`, `nvarchar(max)`, `dbo.Phone`. */
export function typeLabel(column: SourceColumn): string {
  if (column.declaredType !== column.type) return `${column.declaredType} (${baseType(column)})`;
  return baseType(column);
}

/** @returns the same of the type an alias stands for. */
export function baseType(column: SourceColumn): string {
  const { type, maxLengthBytes, precision, scale } = column;
  switch (type) {
    case 'decimal':
    case 'numeric':
      return `${type}(${precision},${scale})`;
    case 'datetime2':
    case 'datetimeoffset':
    case 'time':
      return `${type}(${scale})`;
    case 'char':
    case 'varchar':
    case 'binary':
    case 'varbinary':
      return `${type}(${maxLengthBytes === -1 ? 'max' : maxLengthBytes})`;
    case 'nchar':
    case 'nvarchar':
      return `${type}(${maxLengthBytes === -1 ? 'max' : maxLengthBytes / 2})`;
    default:
      return type;
  }
}
