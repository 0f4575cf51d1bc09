/**
 * How much room the source's tables take, for people who choose among them.
 *
 * Runs on the main thread.
 */
import type { SourceConnection } from './connection.js';

/** SQL Server's page. */
const PAGE_BYTES = 8192;

/** In-row and overflow units belong to a partition's heap or B-tree, LOB units to the partition itself. */
const SIZES_SQL = `
SELECT p.object_id, CONVERT(nvarchar(20), SUM(a.used_pages)) AS pages
FROM sys.partitions AS p
JOIN sys.allocation_units AS a
  ON a.container_id = CASE WHEN a.type = 2 THEN p.partition_id ELSE p.hobt_id END
WHERE p.index_id IN (0, 1)
GROUP BY p.object_id`;

/** @returns the bytes of each table's rows (other indexes not counted), by object id. */
export async function tableSizes(source: SourceConnection): Promise<Map<number, number>> {
  const rows = await source.query(SIZES_SQL);
  return new Map(rows.map((row) => [Number(row.object_id), Number(row.pages) * PAGE_BYTES]));
}
