/**
 * PostgreSQL names in statements. Always quoted, so that case, spaces and reserved words stay as they are.
 *
 * Pure functions, any thread.
 */

/** PostgreSQL cuts longer names off without a word (NAMEDATALEN - 1). */
export const MAX_IDENTIFIER_BYTES = 63;

/** Schema of the ledger of runs; no table of a run can go there. */
export const LEDGER_SCHEMA = 'mssql_pg_migrate';

/** @returns `name` quoted, with `"` doubled. */
export function quoteIdent(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** @returns `"schema"."name"`. */
export function qualified(table: { schema: string; name: string }): string {
  return `${quoteIdent(table.schema)}.${quoteIdent(table.name)}`;
}
