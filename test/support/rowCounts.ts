/**
 * Counts what the target holds, in PostgreSQL itself; main thread of a test or the demo.
 */
import pg from 'pg';

export interface ExpectedRows {
  schema: string;
  name: string;
  rows: number;
}

/** @returns every expected table with the rows found, null where there is no such table; names match in any case. */
export async function compareRows<T extends ExpectedRows>(
  client: pg.Client,
  expected: readonly T[],
): Promise<(T & { found: number | null })[]> {
  const { rows: present } = await client.query<{ schema: string; name: string }>(
    'SELECT schemaname AS schema, tablename AS name FROM pg_tables',
  );
  const compared: (T & { found: number | null })[] = [];
  for (const table of expected) {
    const match = present.find(
      ({ schema, name }) => schema === table.schema && name.toLowerCase() === table.name.toLowerCase(),
    );
    if (!match) {
      compared.push({ ...table, found: null });
      continue;
    }
    const quoted = [match.schema, match.name].map(pg.escapeIdentifier).join('.');
    const { rows } = await client.query<{ count: string }>(`SELECT count(*) AS count FROM ${quoted}`);
    compared.push({ ...table, found: Number(rows[0]?.count) });
  }
  return compared;
}
