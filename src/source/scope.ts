/**
 * The tables a configuration is about: those of its schemas that its patterns keep.
 *
 * Runs on the main thread.
 */
import { askedNames } from '../config/fields.js';
import type { Config } from '../config/schema.js';
import type { AppError } from '../errors.js';
import { readCatalog } from './catalog.js';
import type { SourceConnection } from './connection.js';
import { filterTables, idleExcludes } from './filter.js';
import type { SourceTable } from './model.js';

/**
 * @param notes takes what is to be said of the patterns
 * @param obstacles takes what stands in the way, where something is left all the same; left out, it is thrown
 * @throws AppError TABLE_NOT_FOUND, CONFIG_INVALID where a pattern matches nothing
 */
export async function readScope(
  source: SourceConnection,
  { source: { schema }, migration }: Pick<Config, 'source' | 'migration'>,
  { obstacles, notes }: { obstacles?: AppError[] | undefined; notes?: string[] } = {},
): Promise<SourceTable[]> {
  const tables = await readCatalog(source, { schemas: askedNames(schema) }, obstacles);
  const idle = idleExcludes(tables, migration.exclude_tables);
  if (idle.length > 0) {
    notes?.push(
      `migration.exclude_tables: ${idle.join(', ')} ${idle.length === 1 ? 'matches' : 'match'} no source table`,
    );
  }
  return filterTables(tables, migration, obstacles);
}
