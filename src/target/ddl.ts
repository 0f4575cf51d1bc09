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
  const columns = table.columns.map(
    ({ targetName, pgType, nullable, identity }) =>
      `${quoteIdent(targetName)} ${pgType}${nullable ? '' : ' NOT NULL'}${identity === undefined ? '' : ` ${identityClause(pgType, identity)}`}`,
  );
  if (table.rowHashColumn !== null) columns.push(`${quoteIdent(table.rowHashColumn)} ${ROW_HASH_TYPE}`);
  return `CREATE ${table.unlogged ? 'UNLOGGED ' : ''}TABLE ${qualified(table.target)} (\n  ${columns.join(',\n  ')}\n)`;
}

/** The COPY that loads a table: the plan's columns in order, then the row hash where there is one. */
export function copyStatement(
  table: Pick<TableDefinition, 'target' | 'columns' | 'rowHashColumn'>,
  format: 'binary' | 'text' = 'binary',
): string {
  const names = table.columns.map((column) => quoteIdent(column.targetName));
  if (table.rowHashColumn !== null) names.push(quoteIdent(table.rowHashColumn));
  return `COPY ${qualified(table.target)} (${names.join(', ')}) FROM STDIN (FORMAT ${format})`;
}

export function createSchema(schema: string): string {
  return `CREATE SCHEMA IF NOT EXISTS ${quoteIdent(schema)}`;
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
