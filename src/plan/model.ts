/**
 * The plan of a run as plain data: made on the main thread, structured-cloned to the workers.
 */
import type {
  Comment,
  ForeignKeyDefinition,
  IdentityDefinition,
  IndexDefinition,
  SequenceDefinition,
} from '../target/objects.js';
import type { CopyField, MappedColumn } from '../types/family.js';

/** `chunkRows` of a table that is one chunk because nothing else could tell which rows are there already. */
export const WHOLE_TABLE_ROWS = Number.MAX_SAFE_INTEGER;

export interface PlannedColumn {
  /** The catalog's own description, from which the mapping's T-SQL can be had again on any thread. */
  source: MappedColumn;
  sourceName: string;
  targetName: string;
  /** SQL Server type as declared, for messages and reports: `decimal(18,4)`, `nvarchar(max)`. */
  sourceType: string;
  pgType: string;
  field: CopyField;
  /** T-SQL expression in the read query. */
  selectExpression: string;
  nullable: boolean;
  /** 0-based position in the identifying key, or -1. */
  keyPosition: number;
  /** Whether the row hash covers the column: key columns are not covered, long text only where asked for. */
  hashed: boolean;
  /** Present where the target counts the column's values, as the source does. */
  identity?: IdentityDefinition;
  /** Collation of the column in the target, as SQL names it, where it is not the database's own. */
  collation?: string;
  /** PostgreSQL expression the target computes the column by; its values are compared, and not copied. */
  generated?: string;
  /** The type the target's column is found to have, as `format_type` spells it. */
  typeThere?: string;
}

/** What is made after the rows are in; names and columns are the target's. */
export interface PlannedObjects {
  sequences: (SequenceDefinition & { current: string; used: boolean })[];
  defaults: { column: string; expression: string }[];
  /** Unique constraints first. */
  indexes: IndexDefinition[];
  /** `validate` is false where the source does not trust the constraint either; `untrusted` is its T-SQL then. */
  checks: { name: string; condition: string; validate: boolean; untrusted?: string }[];
  foreignKeys: (ForeignKeyDefinition & { validate: boolean })[];
  comments: Comment[];
  /** What the source has and the target does not get. `definition` is T-SQL, or null. */
  leftOut: { kind: string; name: string; definition: string | null; reason: string }[];
}

export interface TablePlan {
  /** Index of this table in the plan; work items refer to it. */
  index: number;
  source: { schema: string; name: string };
  target: { schema: string; name: string };
  columns: PlannedColumn[];
  /** The identifying key in index order, as source column names; empty where there is none. */
  keyColumns: string[];
  /** Target names of the primary key to create, empty where the source has none. */
  primaryKey: string[];
  /** The primary key's constraint name in the target, or null where there is no primary key. */
  primaryKeyName: string | null;
  approximateRows: number;
  /** Rows per chunk: one COPY in one transaction. `WHOLE_TABLE_ROWS` where no key can bound a range. */
  chunkRows: number;
  /** Name of the row hash column to add and fill, or null. */
  rowHashColumn: string | null;
  /** True where the target table is UNLOGGED while it is loaded. */
  unlogged: boolean;
  objects: PlannedObjects;
  /** Statements that make what the columns' types need, run before the table is made; each may be run again. */
  requires: string[];
  /** What the mapping loses or leaves out, in words, for the result. */
  notes: string[];
  /** Security policies of the source that decide which of its rows are seen, where there are any. */
  rowFilters?: string[];
}

/** @returns the columns whose values are copied: those the target does not compute itself. */
export function copiedColumns({ columns }: Pick<TablePlan, 'columns'>): PlannedColumn[] {
  return columns.filter(({ generated }) => generated === undefined);
}

/** @returns the statements that make what columns' types need, each once. */
export function requirements(plans: readonly Pick<TablePlan, 'requires'>[]): string[] {
  return [...new Set(plans.flatMap(({ requires }) => requires))];
}

/** Keys with lower < key <= upper, in the source's own order; null is open. Values are exact key texts, in key order. */
export interface KeyRange {
  lower: string[] | null;
  upper: string[] | null;
}

/** A key range of a table, read by one statement. */
export interface Partition extends KeyRange {
  table: number;
  partition: number;
  /** How often this range was tried before, where it was. */
  retries?: number;
}

/** One statement with its nvarchar parameters, ready for sp_executesql. */
export interface SourceQuery {
  sql: string;
  parameters: { name: string; value: string }[];
}
