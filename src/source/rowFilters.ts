/**
 * Row-level security of the source: policies that keep rows from whoever reads, without an error. What they hide is
 * missing from copies and counts alike.
 *
 * Runs on the main thread.
 */
import { AppError } from '../errors.js';
import type { SourceConnection } from './connection.js';

/**
 * [sys.security_predicates] predicate_type 0 is FILTER; the others refuse writes only. A policy is often in a schema of
 * its own, and hidden where its predicates are not: then it is taken for enabled.
 */
const FILTERS_SQL = `
SELECT p.target_object_id AS object_id, s.name AS policy_name
FROM sys.security_predicates AS p
LEFT JOIN sys.security_policies AS s ON s.object_id = p.object_id
WHERE p.predicate_type = 0 AND (s.is_enabled = 1 OR s.object_id IS NULL)
ORDER BY s.name`;

/** Stands for the name of what the login may not see. */
const HIDDEN = 'a policy hidden from this login';

/** Invalid object name: the server is older than row-level security. */
const UNKNOWN_OBJECT = '208';

/**
 * @returns names of the policies that filter a table's rows, by object id; as far as the login may see them: that
 * takes VIEW DEFINITION on the table, or ALTER ANY SECURITY POLICY
 */
export async function rowFilters(source: Pick<SourceConnection, 'query'>): Promise<Map<number, string[]>> {
  let rows: Record<string, unknown>[];
  try {
    rows = await source.query(FILTERS_SQL);
  } catch (error) {
    if (error instanceof AppError && error.serverCode === UNKNOWN_OBJECT) return new Map();
    throw error;
  }
  const filters = new Map<number, string[]>();
  for (const { object_id, policy_name } of rows) {
    const id = Number(object_id);
    filters.set(id, [...(filters.get(id) ?? []), policy_name === null ? HIDDEN : String(policy_name)]);
  }
  return filters;
}

/** @returns what is to be known of a table whose rows are filtered. */
export function rowFilterNote(policies: readonly string[]): string {
  return `row-level security of the source (${policies.join(', ')}) decides which rows this login reads: those it hides are neither copied nor counted. Use a login that the policy lets see every row.`;
}
