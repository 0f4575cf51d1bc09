/**
 * What a type family must know, and the words shared by all of them.
 *
 * A family is one file in this folder: which SQL Server types it covers, what they become in PostgreSQL,
 * how the source selects and compares them, and how a TDS value's bytes become a binary COPY field.
 */
import type { SourceColumn } from '../source/model.js';

/** The binary COPY representations this program writes; each is what PostgreSQL's `<name>_recv` reads. */
export type CopyField =
  | 'bool'
  | 'int2'
  | 'int4'
  | 'int8'
  | 'float4'
  | 'float8'
  | 'numeric'
  | 'date'
  | 'time'
  | 'timestamp'
  | 'timestamptz'
  | 'uuid'
  | 'bytea'
  | 'text'
  | 'bpchar';

/** How key values travel: exact text out of the source, and back as a parameter of the column's own type. */
export interface KeyText {
  /** T-SQL expression giving the exact text of a key value; `expression` is a quoted column. */
  toText(expression: string): string;
  /** T-SQL expression turning the nvarchar parameter `parameter` (`@k0`) back into the column's type. */
  fromText(parameter: string): string;
}

/** What one SQL Server column becomes. Built on the main thread while planning. */
export interface ColumnMapping {
  /** PostgreSQL type as DDL spells it: `numeric(19,4)`, `varchar(50)`. */
  pgType: string;
  field: CopyField;
  /** T-SQL expression that reads the column; `expression` is the quoted column. */
  select(expression: string): string;
  /** How ranges over this column are cut, or null where the type can't bound a range. */
  keyText: KeyText | null;
  /** What the mapping loses, in words, or null: `time zone offset`. */
  loses: string | null;
}

/** The planning half of a type family. */
export interface TypeMapper {
  /** SQL Server system type names in lower case. */
  sqlTypes: readonly string[];
  map(column: SourceColumn): ColumnMapping;
}
