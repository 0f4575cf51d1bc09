/**
 * Turns tables that were loaded UNLOGGED back, and looks whether they are.
 *
 * Runs on the main thread. Left UNLOGGED, a table is empty after the server's next crash.
 */
import { AppError } from '../errors.js';
import type { TablePlan } from '../plan/model.js';
import { tableLabel } from '../source/model.js';
import { inTransaction, type TargetConnection } from '../target/connection.js';
import { qualified } from '../target/identifiers.js';
import type { StepMaker } from './step.js';

export const logged: StepMaker = {
  kind: 'logged',
  names: (plan) => (plan.unlogged ? [tableLabel(plan.target)] : []),

  async run(target, plan, _name, hooks) {
    // Null: a partitioned table, which has no storage of its own.
    if ((await persistence(target, plan)) !== 'u') return false;
    await inTransaction(target, async () => {
      await target.query(`ALTER TABLE ${qualified(plan.target)} SET LOGGED`);
      await hooks.onLogged?.(target, plan);
    });
    if ((await persistence(target, plan)) === 'p') return true;
    throw new AppError('TARGET_QUERY', `Target table ${tableLabel(plan.target)} is still UNLOGGED`, {
      remedy: `Run ALTER TABLE ${qualified(plan.target)} SET LOGGED: until then a crash of the server empties it.`,
    });
  },
};

async function persistence(target: TargetConnection, plan: TablePlan): Promise<string | null> {
  const [row] = await target.query<{ persistence: string }>(
    `SELECT c.relpersistence::text AS persistence FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'r'`,
    [plan.target.schema, plan.target.name],
  );
  return row?.persistence ?? null;
}
