/**
 * `include_tables` and `exclude_tables`: glob patterns over table names.
 *
 * Runs on the main thread. A pattern is compared with `table` and with `schema.table`, without regard to case, as
 * SQL Server's default collations compare names. `*`, `?`, `{a,b}` and `[a-z]` are glob syntax; a bracket, brace or
 * backslash that belongs to a name is written with a backslash before it (`Order \[old\]`).
 */
import picomatch from 'picomatch';
import { AppError } from '../errors.js';
import { tableLabel } from './model.js';

/**
 * @returns the tables that some include pattern matches (all, where there is none) and no exclude pattern does.
 * @param obstacles takes what stands in the way, where something is left all the same; left out, it is thrown
 * @throws AppError CONFIG_INVALID where an include pattern, or the whole filter, leaves nothing.
 */
export function filterTables<T extends { schema: string; name: string }>(
  tables: readonly T[],
  filter: { include_tables: readonly string[]; exclude_tables: readonly string[] },
  obstacles?: AppError[],
): T[] {
  const included = filter.include_tables.map((pattern) => ({ pattern, matches: matcher(pattern) }));
  const excluded = filter.exclude_tables.map(matcher);
  const idle = included.filter(({ matches }) => !tables.some(matches)).map(({ pattern }) => pattern);
  if (idle.length > 0) {
    const text = `migration.include_tables: ${idle.join(', ')} ${idle.length === 1 ? 'matches' : 'match'} no source table`;
    const error = new AppError('CONFIG_INVALID', text, {
      remedy: `Tables seen: ${listed(tables.map(tableLabel))}. A name's own brackets need a backslash before them.`,
    });
    if (obstacles === undefined || idle.length === included.length) throw error;
    obstacles.push(error);
  }
  const kept = tables.filter(
    (table) =>
      (included.length === 0 || included.some(({ matches }) => matches(table))) &&
      !excluded.some((matches) => matches(table)),
  );
  if (kept.length === 0 && tables.length > 0) {
    throw new AppError('CONFIG_INVALID', 'migration.exclude_tables leaves no table to migrate', {
      remedy: `Tables seen: ${listed(tables.map(tableLabel))}.`,
    });
  }
  return kept;
}

/** @returns the exclude patterns that no table has: legitimate for a whole estate, and a table too many where one is misspelled. */
export function idleExcludes(
  tables: readonly { schema: string; name: string }[],
  patterns: readonly string[],
): string[] {
  return patterns.filter((pattern) => !tables.some(matcher(pattern)));
}

function matcher(pattern: string): (table: { schema: string; name: string }) => boolean {
  // No path semantics: `*` also matches a slash and a line break, a leading dot and a leading `!` are nothing special.
  const matches = picomatch(pattern, { flags: 'is', dot: true, bash: true, nonegate: true });
  return ({ schema, name }) => matches(name) || matches(`${schema}.${name}`);
}

function listed(names: string[]): string {
  const shown = names.slice(0, 20);
  return names.length > shown.length
    ? `${shown.join(', ')} and ${names.length - shown.length} more`
    : shown.join(', ');
}
