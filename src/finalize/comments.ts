/**
 * Comments on tables, columns, indexes and constraints; those on foreign keys come when these are there.
 *
 * Runs on the main thread.
 */
import type { TablePlan } from '../plan/model.js';
import type { TargetConnection } from '../target/connection.js';
import { qualified } from '../target/identifiers.js';
import { type Comment, commentOn } from '../target/objects.js';
import type { StepMaker } from './step.js';

export const comments: StepMaker = maker('comment', ({ on }) => on !== 'foreign key');
export const foreignKeyComments: StepMaker = maker('foreign key comment', ({ on }) => on === 'foreign key');

function maker(kind: StepMaker['kind'], isMine: (comment: Comment) => boolean): StepMaker {
  return {
    kind,
    names: (plan) => [...new Set(plan.objects.comments.filter(isMine).map(({ name }) => name))],

    async run(target, plan, name) {
      let done = false;
      for (const comment of plan.objects.comments) {
        if (comment.name !== name || !isMine(comment) || !(await isThere(target, plan, comment))) continue;
        await target.query(commentOn(plan.target, comment));
        done = true;
      }
      return done;
    },
  };
}

/** An index or constraint that could not be made has been reported by its own step. */
async function isThere(target: TargetConnection, plan: TablePlan, { on, name }: Comment): Promise<boolean> {
  if (on === 'table' || on === 'column') return true;
  const [row] = await target.query<{ there: boolean }>(
    on === 'index'
      ? `SELECT EXISTS (SELECT FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
          WHERE x.indrelid = $1::regclass AND i.relname = $2) AS there`
      : 'SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = $1::regclass AND conname = $2) AS there',
    [qualified(plan.target), name],
  );
  return row?.there === true;
}
