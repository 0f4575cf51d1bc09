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

/**
 * Gives rows without a row hash theirs, computed by PostgreSQL from their values, where a table just got the column.
 * One statement: all rows have them afterwards or none, so the first row speaks for the rest.
 */
export async function fillRowHashes(
  target: TargetConnection,
  plan: TablePlan,
  onEvent: RunEventHandler,
): Promise<void> {
  const hash = rowHashSql(plan, 'target', 'error');
  if (plan.rowHashColumn === null || hash === null) return;
  const table = qualified(plan.target);
  const column = quoteIdent(plan.rowHashColumn);
  const [first] = await target.query<{ missing: boolean }>(
    `SELECT ${column} IS NULL AS missing FROM ${table} LIMIT 1`,
  );
  if (first?.missing !== true) return;
  await target.query(`UPDATE ${table} AS t SET ${column} = ${hash} WHERE ${column} IS NULL`);
  tell(plan, `${plan.rowHashColumn} filled in for the rows that were there`, onEvent);
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
