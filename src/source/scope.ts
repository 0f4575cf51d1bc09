/**
 * The tables a configuration is about: those of its schemas that its patterns keep.
 *
 * Runs on the main thread.
 */
import { askedNames } from '../config/fields.js';
import type { Config } from '../config/schema.js';
import { readCatalog } from './catalog.js';
import type { SourceConnection } from './connection.js';
import { filterTables } from './filter.js';
import type { SourceTable } from './model.js';

/** @throws AppError TABLE_NOT_FOUND, CONFIG_INVALID where a pattern matches nothing */
export async function readScope(
  source: SourceConnection,
  { source: { schema }, migration }: Pick<Config, 'source' | 'migration'>,
): Promise<SourceTable[]> {
  return filterTables(await readCatalog(source, { schemas: askedNames(schema) }), migration);
}
