/**
 * Adds checks and foreign keys: first without looking at the rows, which locks for a moment, then validating them,
 * which lets others read and write.
 *
 * Runs on the main thread.
 */
import { AppError } from '../errors.js';
import type { TablePlan } from '../plan/model.js';
import { tableLabel } from '../source/model.js';
import type { TargetConnection } from '../target/connection.js';
import { addCheck, addForeignKey, validateConstraint } from '../target/objects.js';
import type { StepMaker } from './step.js';

export const checks: StepMaker = {
  kind: 'check',
  names: (plan) => plan.objects.checks.map(({ name }) => name),

  async run(target, plan, name) {
    const check = plan.objects.checks.find((one) => one.name === name);
    if (check === undefined) return false;
    const valid = await validity(target, plan, name);
    if (valid === null) await target.query(addCheck(plan.target, check));
    if (valid === true || !check.validate) return valid === null;
    await target.query(validateConstraint(plan.target, name));
    return true;
  },
};

/** One after the other: two keys between the same two tables, added at once, would wait for each other. */
export const foreignKeys: StepMaker = {
  kind: 'foreign key',
  names: (plan) => plan.objects.foreignKeys.map(({ name }) => name),

  async run(target, plan, name, hooks) {
    const key = plan.objects.foreignKeys.find((one) => one.name === name);
    if (key === undefined || (await validity(target, plan, name)) !== null) return false;
    if (hooks.isMissing?.(key.to) === true) {
      throw new AppError(
        'SCHEMA_CONFLICT',
        `Foreign key ${name} is not made: the table it points at, ${tableLabel(key.to)}, did not arrive whole`,
        { remedy: 'See the error of that table, mend it and run again.' },
      );
    }
    await target.query(addForeignKey(plan.target, key));
    return true;
  },
};

export const validForeignKeys: StepMaker = {
  kind: 'validate foreign key',
  names: (plan) => plan.objects.foreignKeys.flatMap(({ name, validate }) => (validate ? [name] : [])),

  async run(target, plan, name) {
    if ((await validity(target, plan, name)) !== false) return false;
    await target.query(validateConstraint(plan.target, name));
    return true;
  },
};

/** @returns whether the table's constraint is validated, or null where it has none of that name. */
async function validity(target: TargetConnection, plan: TablePlan, name: string): Promise<boolean | null> {
  const [row] = await target.query<{ valid: boolean }>(
    `SELECT k.convalidated AS valid FROM pg_constraint k
      JOIN pg_class t ON t.oid = k.conrelid
      JOIN pg_namespace n ON n.oid = t.relnamespace
      WHERE n.nspname = $1 AND t.relname = $2 AND k.conname = $3`,
    [plan.target.schema, plan.target.name, name],
  );
  return row?.valid ?? null;
}
