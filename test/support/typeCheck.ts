/**
 * Compares what PostgreSQL holds for the type cases with their expected texts; on the main thread of a test.
 */
import pg from 'pg';
import { type TypeCase, typeCases, typeCaseTable } from '../fixtures/typeCases.js';

export interface TypeCheck {
  /** Values looked at, NULLs included. */
  checked: number;
  /** One line a difference: table, row, expected and found. */
  differences: string[];
}

/** Reads every case's table in `schema`; table and column names are found whatever their case. */
export async function checkTypeCases(
  client: pg.Client,
  schema: string,
  cases: readonly TypeCase[] = typeCases,
): Promise<TypeCheck> {
  await client.query(`SET timezone = 'UTC'`);
  const differences: string[] = [];
  let checked = 0;
  for (const one of cases) {
    const wanted = typeCaseTable(one);
    const { rows: columns } = await client.query<{ table: string; name: string; type: string }>(
      `SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
       WHERE n.nspname = $1 AND lower(c.relname) = lower($2) AND c.relkind = 'r' AND a.attnum > 0
       ORDER BY a.attnum`,
      [schema, wanted],
    );
    const [id, value] = columns;
    if (!id || !value) {
      differences.push(`${wanted}: no such table, or not with the columns Id and Value`);
      continue;
    }
    if (value.type !== one.pgType) differences.push(`${wanted}: type ${value.type}, expected ${one.pgType}`);
    const quoted = [schema, id.table].map(pg.escapeIdentifier).join('.');
    const { rows } = await client.query<{ value: string | null }>(
      `SELECT ${pg.escapeIdentifier(value.name)}::text AS value FROM ${quoted} ORDER BY ${pg.escapeIdentifier(id.name)}`,
    );
    const expected = [...one.values.map(([, text]) => text), null];
    if (rows.length !== expected.length) {
      differences.push(`${wanted}: ${rows.length} rows, expected ${expected.length}`);
    }
    for (const [i, text] of expected.entries()) {
      const found = rows[i]?.value;
      checked++;
      if (found !== text)
        differences.push(`${wanted} row ${i + 1}: ${shown(found)}, expected ${shown(text)}`);
    }
  }
  return { checked, differences };
}

function shown(text: string | null | undefined): string {
  if (text === null || text === undefined) return String(text);
  return text.length > 80
    ? `${JSON.stringify(text.slice(0, 80))}... (${text.length} characters)`
    : JSON.stringify(text);
}
