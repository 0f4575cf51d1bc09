/**
 * What the source catalog says of a table: plain data that crosses threads.
 *
 * Written by `catalog.ts` on the main thread, read by planning, DDL and the readers.
 */

/** One column, as `sys.columns` and `sys.types` describe it, alias types already resolved. */
export interface SourceColumn {
  name: string;
  /** 1-based position among the table's columns, gaps closed. */
  ordinal: number;
  /** System type name in lower case (`nvarchar`, `decimal`, `geometry`, ...); an alias type's base type. */
  type: string;
  /** The type's name as declared (`sysname`, `dbo.PhoneNumber`); equal to `type` for a system type. */
  declaredType: string;
  /** `sys.columns.max_length`: bytes, -1 for (max); nchar/nvarchar count two per character. */
  maxLengthBytes: number;
  precision: number;
  scale: number;
  nullable: boolean;
  collation: string | null;
  /** Identity seed, increment and last value as decimal text, or null. */
  identity: { seed: string; increment: string; lastValue: string | null } | null;
  computed: { definition: string; persisted: boolean } | null;
  /** Why this login would not get the stored values, where it would not: `Always Encrypted`, `dynamic data masking`. */
  unreadable?: string;
  /** This server's texts don't give the value back: see `floatTexts.ts`. */
  inexactText?: true;
}

/** A set of NOT NULL columns that identifies a row, in index order. */
export interface SourceKey {
  name: string;
  kind: 'primary key' | 'unique constraint' | 'unique index';
  clustered: boolean;
  columns: string[];
}

export interface SourceTable {
  schema: string;
  name: string;
  objectId: number;
  /** `external` and `graph` tables have parts that a SELECT by column name does not give; planning refuses them. */
  kind: 'table' | 'external' | 'graph';
  columns: SourceColumn[];
  primaryKey: SourceKey | null;
  /** Every unique key and unfiltered unique index over NOT NULL columns other than the primary key, smallest first. */
  uniqueKeys: SourceKey[];
  /** From the catalog's partition statistics: close, not exact. 0 may also mean that it does not know. */
  approximateRows: number;
  /** Kept in memory (In-Memory OLTP): the catalog has no pages of it, and may have no rows. */
  memoryOptimized?: true;
  /** System-versioned: SQL Server fills its period columns and keeps what its rows were in another table. */
  versioned?: true;
  /** Security policies that decide which of its rows this login sees, where there are any. */
  rowFilters?: string[];
}

/**
 * @returns `schema.name`, for people and as a key; use `quote` from `sql.ts` inside statements. A schema that has a dot
 * in its name stands in brackets, so that no two tables have one label.
 */
export function tableLabel({ schema, name }: { schema: string; name: string }): string {
  const bracketed = schema.includes('.') || schema.startsWith('[');
  return `${bracketed ? `[${schema.replaceAll(']', ']]')}]` : schema}.${name}`;
}

/** @returns schema and name of a label. */
export function splitLabel(label: string): { schema: string; name: string } {
  const [head = '', bracketed] = /^\[((?:[^\]]|\]\])*)\](?=\.)/.exec(label) ?? [];
  if (bracketed !== undefined) {
    return { schema: bracketed.replaceAll(']]', ']'), name: label.slice(head.length + 1) };
  }
  const dot = label.indexOf('.');
  return { schema: label.slice(0, dot), name: label.slice(dot + 1) };
}

/** @returns the columns that identify a row: the primary key, else the first unique key, else null. */
export function identifyingKey(table: SourceTable): SourceKey | null {
  return table.primaryKey ?? table.uniqueKeys[0] ?? null;
}
