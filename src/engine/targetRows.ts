/** What `upsert` asks of and does to the rows a target table has already. Main thread. */
import type { TablePlan } from '../plan/model.js';
import { tableLabel } from '../source/model.js';
import type { TargetConnection } from '../target/connection.js';
import { qualified, quoteIdent } from '../target/identifiers.js';
import { rowHashSql } from '../verify/hashSql.js';
import type { RunEventHandler } from './events.js';

/** Tables one statement looks into: enough to make the round trips nothing. */
const TABLES_AT_ONCE = 100;

/** @returns the tables that have no row in the target yet */
export async function emptyTables(
  target: TargetConnection,
  plans: readonly TablePlan[],
): Promise<Set<TablePlan>> {
  const empty = new Set<TablePlan>();
  for (let at = 0; at < plans.length; at += TABLES_AT_ONCE) {
    const some = plans.slice(at, at + TABLES_AT_ONCE);
    const looks = some.map((plan) => `EXISTS (SELECT FROM ${qualified(plan.target)})`);
    const [row] = await target.query<{ filled: boolean[] }>(`SELECT ARRAY[${looks.join(', ')}] AS filled`);
    for (const [i, plan] of some.entries()) if (row?.filled[i] === false) empty.add(plan);
  }
  return empty;
}

/** What is known of a table's row hashes before they are looked at. */
export interface StoredHashes {
  /** The runs before gave every row the hash that this one would give it. */
  current: boolean;
  /** Why PostgreSQL can't compute them, or null. */
  unhashable: string | null;
}

/**
 * Gives the rows of a table the row hash of this run's columns, computed by PostgreSQL from their values, where they may
 * have none yet, or that of other columns. One statement: all rows have it afterwards or none, so that the first row says
 * whether a column that was just added was filled in.
 */
export async function fillRowHashes(
  target: TargetConnection,
  plan: TablePlan,
  { current, unhashable }: StoredHashes,
  onEvent: RunEventHandler,
): Promise<void> {
  const hash = rowHashSql(plan, 'target', 'error');
  if (plan.rowHashColumn === null || hash === null) return;
  const table = qualified(plan.target);
  const column = quoteIdent(plan.rowHashColumn);
  if (unhashable !== null) {
    if (!current)
      tell(
        plan,
        `${plan.rowHashColumn} of rows that do not change is left as it is, and may be missing or of other columns: ${unhashable}. target_mode: truncate loads the table anew.`,
        onEvent,
      );
    return;
  }
  const [found] = await target.query<{ wrong: boolean }>(
    current
      ? `SELECT ${column} IS NULL AS wrong FROM ${table} LIMIT 1`
      : `SELECT EXISTS (SELECT FROM ${table} AS t WHERE ${column} IS DISTINCT FROM ${hash}) AS wrong`,
  );
  if (found?.wrong !== true) return;
  await target.query(`UPDATE ${table} AS t SET ${column} = ${hash} WHERE ${column} IS DISTINCT FROM ${hash}`);
  tell(
    plan,
    `${plan.rowHashColumn} filled in for the rows that were there: it was missing, or of other columns`,
    onEvent,
  );
}

/** Says where a table has row hashes of earlier runs and this one does without: they are not those of rows it changes. */
export async function noteOldRowHashes(
  target: TargetConnection,
  plan: TablePlan,
  column: string,
  onEvent: RunEventHandler,
): Promise<void> {
  if (plan.rowHashColumn !== null || plan.columns.some(({ targetName }) => targetName === column)) return;
  const found = await target.query(
    'SELECT FROM pg_attribute WHERE attrelid = $1::regclass AND attname = $2 AND NOT attisdropped',
    [qualified(plan.target), column],
  );
  if (found.length === 0) return;
  tell(
    plan,
    `${column} is left as it is (use_hash_detection: false): in rows that change it goes on saying what was there before`,
    onEvent,
  );
}

function tell(plan: TablePlan, text: string, onEvent: RunEventHandler): void {
  if (plan.notes.includes(text)) return;
  plan.notes.push(text);
  onEvent({ kind: 'note', table: tableLabel(plan.source), text });
}
