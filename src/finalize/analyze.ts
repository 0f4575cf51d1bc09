/**
 * Gives the query planner statistics of the loaded rows, which autovacuum would only do some time later.
 *
 * Runs on the main thread.
 */
import { tableLabel } from '../source/model.js';
import { qualified } from '../target/identifiers.js';
import type { StepMaker } from './step.js';

export const analyze: StepMaker = {
  kind: 'analyze',
  names: (plan) => [tableLabel(plan.target)],

  async run(target, plan) {
    await target.query(`ANALYZE ${qualified(plan.target)}`);
    return true;
  },
};
