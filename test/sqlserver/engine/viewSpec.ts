/**
 * How a catalog view is written: its columns with their T-SQL types, and the query over the stand-in's own tables.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import type { SqlType } from '../contract.js';
import { resolveSystemType } from './types.js';

export interface CatalogView {
  columns: { name: string; type: SqlType; nullable: boolean }[];
  sql: string;
}

/** What a view may need to know of the server beyond this database. */
export interface CatalogContext {
  /** PostgreSQL rows for sys.databases: `(id, name, collation, created, snapshot, rcsi)`. */
  databases: string;
  database: string;
  collation: string;
}

/** A string as PostgreSQL's literal. */
export const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** `name type[!]=expression` items, a line each; `!` is NOT NULL. */
export function view(spec: string, from: string): (context: CatalogContext) => CatalogView {
  const columns = spec
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const match = /^(\w+) (\w+)(?:\(([^)]*)\))?(!?)=(.+)$/.exec(line);
      if (!match) throw new Error(`catalog: ${line}`);
      const args = match[3] ? match[3].split(',').map((arg) => (arg === 'max' ? 'max' : Number(arg))) : [];
      const type = resolveSystemType({ name: match[2]!, args: args as (number | 'max')[] }, 1);
      if (!type) throw new Error(`catalog: ${line}`);
      return { name: match[1]!, type, nullable: match[4] === '', sql: match[5]! };
    });
  return (context) => ({
    columns: columns.map(({ name, type, nullable }) => ({ name, type, nullable })),
    sql: `SELECT ${columns.map(({ name, sql }) => `${fill(sql, context)} AS "${name}"`).join(', ')} FROM ${fill(from, context)}`,
  });
}

function fill(sql: string, context: CatalogContext): string {
  return sql
    .replaceAll('$databases', context.databases)
    .replaceAll('$collation', text(context.collation))
    .replaceAll('$database', text(context.database));
}

/** Whether whoever asks may see an object `o`. */
export const SEEN = 'tsql.sees(o.object_id, o.parent_object_id, o.schema_id)';
/** Columns `c` with their objects `o`. */
export const COLUMNS = 'tsql.columns c JOIN tsql.objects o ON o.object_id = c.object_id';
