/**
 * The target's DDL and COPY statements.
 *
 * Pure functions, any thread. They take the part of a table plan they need, so that this folder need not know plans.
 */
import { qualified, quoteIdent } from './identifiers.js';
import { type IdentityDefinition, identityClause } from './objects.js';

export interface ColumnDefinition {
  targetName: string;
  pgType: string;
  nullable: boolean;
  /** Values are counted where a row gives none. */
  identity?: IdentityDefinition;
  /** As SQL names it; left out: the database's own. */
  collation?: string;
  /** The expression the column is computed by; no row gives it a value. */
  generated?: string;
}

/** What a target table is made of; a `TablePlan` is one. */
export interface TableDefinition {
  target: { schema: string; name: string };
  columns: readonly ColumnDefinition[];
  rowHashColumn: string | null;
  unlogged: boolean;
}

/** 32 hexadecimal digits of MD5. */
export const ROW_HASH_TYPE = 'varchar(32)';

export function createTable(table: TableDefinition): string {
  const columns = table.columns.map(columnDefinition);
  if (table.rowHashColumn !== null) columns.push(`${quoteIdent(table.rowHashColumn)} ${ROW_HASH_TYPE}`);
  return `CREATE ${table.unlogged ? 'UNLOGGED ' : ''}TABLE ${qualified(table.target)} (\n  ${columns.join(',\n  ')}\n)`;
}

function columnDefinition({ targetName, pgType, ...column }: ColumnDefinition): string {
  return [
    quoteIdent(targetName),
    pgType,
    ...(column.collation === undefined ? [] : [`COLLATE ${column.collation}`]),
    ...(column.nullable ? [] : ['NOT NULL']),
    ...(column.identity === undefined ? [] : [identityClause(pgType, column.identity)]),
    ...(column.generated === undefined ? [] : [`GENERATED ALWAYS AS (${column.generated}) STORED`]),
  ].join(' ');
}

/** The COPY that loads a table: the copied columns in order, then the row hash where there is one. */
export function copyStatement(
  table: Pick<TableDefinition, 'target' | 'columns' | 'rowHashColumn'>,
  format: 'binary' | 'text' = 'binary',
): string {
  const copied = table.columns.filter(({ generated }) => generated === undefined);
  const names = copied.map((column) => quoteIdent(column.targetName));
  if (table.rowHashColumn !== null) names.push(quoteIdent(table.rowHashColumn));
  return `COPY ${qualified(table.target)} (${names.join(', ')}) FROM STDIN (FORMAT ${format})`;
}

export function createSchema(schema: string): string {
  return `CREATE SCHEMA IF NOT EXISTS ${quoteIdent(schema)}`;
}

/** A collation of ICU by which strings may be equal that are not the same. */
export function createCollation(name: { schema: string; name: string }, locale: string): string {
  return `CREATE COLLATION IF NOT EXISTS ${qualified(name)} (provider = icu, locale = '${locale}', deterministic = false)`;
}

export function addPrimaryKey(
  target: { schema: string; name: string },
  name: string,
  columns: readonly string[],
): string {
  const key = columns.map(quoteIdent).join(', ');
  return `ALTER TABLE ${qualified(target)} ADD CONSTRAINT ${quoteIdent(name)} PRIMARY KEY (${key})`;
}

/** A unique index with a name of the server's choosing. */
export function createUniqueIndex(
  target: { schema: string; name: string },
  columns: readonly string[],
): string {
  return `CREATE UNIQUE INDEX ON ${qualified(target)} (${columns.map(quoteIdent).join(', ')})`;
}
