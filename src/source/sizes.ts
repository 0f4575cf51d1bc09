/**
 * How much room the source's tables take, for people who choose among them, and how many rows those have that the
 * catalog counts no rows of.
 *
 * Runs on the main thread.
 */
import { AppError, type ErrorCode } from '../errors.js';
import type { SourceConnection } from './connection.js';
import { type SourceTable, tableLabel } from './model.js';
import { quoteTable } from './sql.js';

/** SQL Server's page. */
const PAGE_BYTES = 8192;
/** Sizes are good to know and nothing depends on them. */
const NOT_SHOWN: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['SOURCE_PERMISSION', 'SOURCE_QUERY']);

/** In-row and overflow units belong to a partition's heap or B-tree, LOB units to the partition itself. */
const SIZES_SQL = `
SELECT s.name AS schema_name, t.name, CONVERT(nvarchar(20), SUM(a.used_pages)) AS pages
FROM sys.partitions AS p
JOIN sys.tables AS t ON t.object_id = p.object_id
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
JOIN sys.allocation_units AS a
  ON a.container_id = CASE WHEN a.type = 2 THEN p.partition_id ELSE p.hobt_id END
WHERE p.index_id IN (0, 1)
GROUP BY s.name, t.name`;

/** @returns the bytes of each table's rows (other indexes not counted), by `tableLabel`; none where they can't be seen. */
export async function tableSizes(source: Pick<SourceConnection, 'query'>): Promise<Map<string, number>> {
  let rows: Record<string, unknown>[];
  try {
    rows = await source.query(SIZES_SQL);
  } catch (error) {
    if (error instanceof AppError && NOT_SHOWN.has(error.code)) return new Map();
    throw error;
  }
  return new Map(
    rows.map((row) => [
      tableLabel({ schema: String(row.schema_name), name: String(row.name) }),
      Number(row.pages) * PAGE_BYTES,
    ]),
  );
}

/**
 * Partitions are planned by the number of rows, and statistics of them are kept of pages, which memory-optimized
 * tables have none of.
 *
 * @returns the tables, those with their rows counted; as they were where they can't be
 */
export async function withCountedRows(
  source: Pick<SourceConnection, 'query'>,
  tables: readonly SourceTable[],
): Promise<SourceTable[]> {
  const counted: SourceTable[] = [];
  for (const table of tables) {
    const isUnknown = table.memoryOptimized === true && table.approximateRows === 0;
    counted.push(isUnknown ? { ...table, approximateRows: await countRows(source, table) } : table);
  }
  return counted;
}

async function countRows(source: Pick<SourceConnection, 'query'>, table: SourceTable): Promise<number> {
  try {
    const [row] = await source.query(
      `SELECT CONVERT(nvarchar(20), COUNT_BIG(*)) AS n FROM ${quoteTable(table)} AS t`,
    );
    return Number(row?.n);
  } catch (error) {
    if (error instanceof AppError && NOT_SHOWN.has(error.code)) return 0;
    throw error;
  }
}
