/**
 * What belongs to the tables and does not travel with their rows: named, so that nobody misses it later.
 *
 * Main thread.
 */
import type { SourceConnection } from './connection.js';
import { type SourceTable, tableLabel } from './model.js';

const LEFT_OUT_SQL = `
SELECT o.object_id, o.kind, o.name FROM (
  SELECT i.object_id, 'index' AS kind, i.name FROM sys.indexes AS i
  WHERE i.is_primary_key = 0 AND i.type IN (1, 2) AND i.name IS NOT NULL
  UNION ALL
  SELECT f.parent_object_id, 'foreign key', f.name FROM sys.foreign_keys AS f
  UNION ALL
  SELECT c.parent_object_id, 'check constraint', c.name FROM sys.check_constraints AS c
  UNION ALL
  SELECT d.parent_object_id, 'default', d.name FROM sys.default_constraints AS d
) AS o
ORDER BY o.object_id, o.kind, o.name`;

/** @returns for each table, by `schema.table`, a line a kind of object that this version does not create. */
export async function readLeftOut(
  source: Pick<SourceConnection, 'query'>,
  tables: readonly SourceTable[],
): Promise<Map<string, string[]>> {
  const byObject = new Map(tables.map((table) => [table.objectId, table]));
  const names = new Map<string, Map<string, string[]>>();
  for (const row of await source.query(LEFT_OUT_SQL)) {
    const table = byObject.get(Number(row.object_id));
    if (table === undefined) continue;
    const label = tableLabel(table);
    const kinds = names.get(label) ?? new Map<string, string[]>();
    names.set(label, kinds);
    const kind = String(row.kind);
    kinds.set(kind, [...(kinds.get(kind) ?? []), String(row.name)]);
  }
  for (const table of tables) {
    const identity = table.columns.filter((column) => column.identity !== null).map(({ name }) => name);
    if (identity.length === 0) continue;
    const label = tableLabel(table);
    const kinds = names.get(label) ?? new Map<string, string[]>();
    names.set(label, kinds);
    kinds.set('identity of column', identity);
  }
  const lines = new Map<string, string[]>();
  for (const [label, kinds] of names) {
    lines.set(
      label,
      [...kinds].map(([kind, list]) => `not created by this version: ${kind} ${list.join(', ')}`),
    );
  }
  return lines;
}
