/**
 * The tables a configuration is about: those of its schemas that its patterns keep.
 *
 * Runs on the main thread.
 */
import { askedNames } from '../config/fields.js';
import type { Config } from '../config/schema.js';
import { AppError } from '../errors.js';
import { readCatalog } from './catalog.js';
import type { SourceConnection } from './connection.js';
import { filterTables, idleExcludes } from './filter.js';
import { type SourceTable, tableLabel } from './model.js';
import { withCountedRows } from './sizes.js';

/**
 * @param notes takes what is to be said of the patterns
 * @param obstacles takes what stands in the way, where something is left all the same; left out, it is thrown
 * @throws AppError TABLE_NOT_FOUND, CONFIG_INVALID where a pattern matches nothing, UNSUPPORTED where the isolation level
 * is not for tables of theirs
 */
export async function readScope(
  source: SourceConnection,
  { source: { schema, isolation }, migration }: Pick<Config, 'source' | 'migration'>,
  { obstacles, notes }: { obstacles?: AppError[] | undefined; notes?: string[] } = {},
): Promise<SourceTable[]> {
  const tables = await readCatalog(source, { schemas: askedNames(schema) }, obstacles);
  const idle = idleExcludes(tables, migration.exclude_tables);
  if (idle.length > 0) {
    notes?.push(
      `migration.exclude_tables: ${idle.join(', ')} ${idle.length === 1 ? 'matches' : 'match'} no source table`,
    );
  }
  const kept = filterTables(tables, migration, obstacles);
  const unread = notIn(isolation, kept);
  if (unread === null) return withCountedRows(source, kept);
  if (obstacles === undefined) throw unread;
  obstacles.push(unread);
  return kept;
}

/** SQL Server reads tables in memory by versions of its own, and refuses SNAPSHOT sessions and NOLOCK (errors 41332, 10794). */
function notIn(isolation: Config['source']['isolation'], tables: readonly SourceTable[]): AppError | null {
  const names = tables.filter(({ memoryOptimized }) => memoryOptimized).map(tableLabel);
  const [first] = names;
  if (first === undefined || isolation === 'read_committed') return null;
  const message = `SQL Server gives no rows of memory-optimized tables with source.isolation: ${isolation}: ${names.join(', ')}`;
  return new AppError('UNSUPPORTED', message, {
    table: first,
    remedy:
      'Set source.isolation: read_committed, which blocks nobody at these tables; or exclude them (migration.exclude_tables) and migrate them in a run of their own.',
  });
}
