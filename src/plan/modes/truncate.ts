/**
 * `truncate`: existing target tables keep their structure and lose their rows; missing ones are created.
 *
 * Runs on the main thread.
 */
import { AppError, requireNone } from '../../errors.js';
import { tableLabel } from '../../source/model.js';
import type { TargetRelation } from '../../target/catalog.js';
import type { TargetConnection } from '../../target/connection.js';
import { createTable, ROW_HASH_TYPE } from '../../target/ddl.js';
import { qualified } from '../../target/identifiers.js';
import type { TablePlan } from '../model.js';
import {
  addRowHash,
  dropKeys,
  type Fitting,
  fittingRelations,
  type KeysInTheWay,
  keyActions,
  keysInTheWay,
  lackingRights,
  lacksRowHash,
} from './existing.js';
import { createAction, makeReady, runAll, type TransferMode, withRows } from './mode.js';

const WRITES = ['truncate', 'insert'] as const;

export const truncate: TransferMode = {
  name: 'truncate',
  loads: 'everything',

  async check(target, plans) {
    const { existing, keys, obstacles } = await examine(target, plans);
    const actions = plans.map((plan) => {
      const relation = existing.get(tableLabel(plan.target));
      if (relation === undefined) return [createAction(plan)];
      const list = [...keyActions(plan, keys), `truncates ${withRows(relation)}`];
      if (lacksRowHash(plan, relation)) list.push(`adds column ${plan.rowHashColumn} ${ROW_HASH_TYPE}`);
      if (becomesUnlogged(plan, relation)) list.push('sets it UNLOGGED until the rows are in');
      return list;
    });
    return { actions, obstacles };
  },

  async prepare(target, plans, also) {
    const { existing, keys, obstacles } = await examine(target, plans);
    requireNone(obstacles);
    await makeReady(
      target,
      plans,
      async () => {
        await dropKeys(target, keys);
        const there = plans.filter((plan) => existing.has(tableLabel(plan.target)));
        // One statement for all, so that foreign keys between them are no obstacle.
        if (there.length > 0) {
          await target.query(`TRUNCATE TABLE ${there.map((plan) => qualified(plan.target)).join(', ')}`);
        }
        await runAll(
          target,
          plans.flatMap((plan) => tableStatements(plan, existing.get(tableLabel(plan.target)))),
        );
      },
      also,
    );
  },
};

/** @returns what the table lacks when it has been emptied, as statements. */
function tableStatements(plan: TablePlan, relation: TargetRelation | undefined): string[] {
  if (relation === undefined) return [createTable(plan)];
  // The table is empty, so this costs nothing.
  const unlogged = becomesUnlogged(plan, relation);
  const setUnlogged = unlogged ? [`ALTER TABLE ${qualified(plan.target)} SET UNLOGGED`] : [];
  return [...addRowHash(plan, relation), ...setUnlogged];
}

async function examine(
  target: TargetConnection,
  plans: readonly TablePlan[],
): Promise<Fitting & { keys: KeysInTheWay }> {
  const { existing, obstacles } = await fittingRelations(target, plans, WRITES, missingRight);
  const keys = await keysInTheWay(target, plans);
  return { existing, keys, obstacles: [...obstacles, ...otherKeys(keys)] };
}

function missingRight(plan: TablePlan, relation: TargetRelation): AppError | null {
  const lacking = lackingRights(relation, ['TRUNCATE', 'INSERT']);
  if (lacking !== null) return lacking;
  if ((becomesUnlogged(plan, relation) || lacksRowHash(plan, relation)) && !relation.owned) {
    const label = tableLabel(plan.target);
    return new AppError(
      'TARGET_PERMISSION',
      `Target table ${label} must be altered and belongs to another role`,
      {
        table: label,
        remedy:
          'Connect as its owner, or set migration.use_unlogged_tables: false and use_hash_detection: false.',
      },
    );
  }
  return null;
}

/** Only plain tables know persistence; a partitioned one has no storage of its own. */
function becomesUnlogged(plan: TablePlan, relation: TargetRelation): boolean {
  return plan.unlogged && relation.kind === 'r' && relation.persistence === 'p';
}

/** A foreign key that is not made again by the plan stays; and one from outside the run forbids TRUNCATE. */
function otherKeys({ others: inTheWay }: KeysInTheWay): AppError[] {
  const [first] = inTheWay;
  if (first === undefined) return [];
  const list = inTheWay
    .map((key) => `${key.constraint} of ${tableLabel(key.from)} (to ${tableLabel(key.to)})`)
    .join(', ');
  const message = `Foreign keys stand in the way of truncating and loading in parallel: ${list}`;
  return [
    new AppError('SCHEMA_CONFLICT', message, {
      table: tableLabel(first.to),
      remedy:
        'Drop these foreign keys and create them again after the run, or use target_mode: drop_recreate.',
    }),
  ];
}
