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
import { filterTables } from './filter.js';
import type { SourceTable } from './model.js';

/**
 * @param obstacles takes what stands in the way, where something is left all the same; left out, it is thrown
 * @throws AppError TABLE_NOT_FOUND, CONFIG_INVALID where a pattern matches nothing
 */
export async function readScope(
  source: SourceConnection,
  { source: { schema }, migration }: Pick<Config, 'source' | 'migration'>,
  obstacles?: AppError[],
): Promise<SourceTable[]> {
  const tables = await readCatalog(source, { schemas: askedNames(schema) }, obstacles);
  return filterTables(tables, migration, obstacles);
}
