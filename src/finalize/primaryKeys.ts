/**
 * Creates primary keys once the rows are in: building an index in one go is far cheaper than row by row.
 *
 * Runs on the main thread.
 */
import { addPrimaryKey } from '../target/ddl.js';
import { qualified } from '../target/identifiers.js';
import { indexError } from './indexError.js';
import type { StepMaker } from './step.js';

export const primaryKeys: StepMaker = {
  kind: 'primary key',
  names: (plan) => (plan.primaryKeyName === null ? [] : [plan.primaryKeyName]),

  async run(target, plan) {
    if (plan.primaryKeyName === null) return false;
    // `truncate` keeps the key a table already has.
    const there = await target.query(
      `SELECT FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'p'`,
      [qualified(plan.target)],
    );
    if (there.length > 0) return false;
    try {
      await target.query(addPrimaryKey(plan.target, plan.primaryKeyName, plan.primaryKey));
    } catch (error) {
      throw await indexError(target, plan, plan.primaryKeyName, error, 'exclude the table');
    }
    return true;
  },
};
