/**
 * `drop_recreate`: existing target tables are dropped and made anew from the plan.
 *
 * Runs on the main thread. Never CASCADE: views and foreign keys that nobody named would go without a trace.
 */
import { AppError } from '../../errors.js';
import { tableLabel } from '../../source/model.js';
import { dependentViews, existingRelations, foreignKeysAt } from '../../target/catalog.js';
import { inTransaction, type TargetConnection } from '../../target/connection.js';
import { createTable } from '../../target/ddl.js';
import { qualified } from '../../target/identifiers.js';
import type { TablePlan } from '../model.js';
import {
  createAction,
  createSchemas,
  nameLockHolders,
  requireIndexNames,
  requireSchemaRights,
  requireTables,
  type TransferMode,
  withRows,
} from './mode.js';

/** Tables in one DROP or in one round of CREATE: keeps statements readable in the server's log. */
const STATEMENTS_AT_ONCE = 100;

const DEPENDENTS_REMEDY =
  'Drop these objects first and create them again after the run, or use target_mode: truncate.';

export const dropRecreate: TransferMode = {
  name: 'drop_recreate',
  loads: 'everything',
  check,

  async prepare(target, plans, also) {
    await check(target, plans);
    try {
      await inTransaction(target, async () => {
        await createSchemas(target, plans);
        // One statement for all: foreign keys between the tables dropped are no obstacle then.
        if (plans.length > 0) {
          await target.query(
            `DROP TABLE IF EXISTS ${plans.map((plan) => qualified(plan.target)).join(', ')}`,
          );
        }
        for (let at = 0; at < plans.length; at += STATEMENTS_AT_ONCE) {
          await target.query(
            plans
              .slice(at, at + STATEMENTS_AT_ONCE)
              .map(createTable)
              .join(';\n'),
          );
        }
        await also?.();
      });
    } catch (error) {
      throw dependents(await nameLockHolders(target, plans, error));
    }
  },
};

async function check(target: TargetConnection, plans: readonly TablePlan[]): Promise<string[][]> {
  const names = plans.map((plan) => plan.target);
  await requireSchemaRights(target, plans);
  const relations = await existingRelations(target, names);
  requireTables(relations);
  await requireIndexNames(target, plans);
  const foreign = relations.find((relation) => !relation.owned);
  if (foreign !== undefined) {
    throw new AppError('TARGET_PERMISSION', `Target table ${tableLabel(foreign)} belongs to another role`, {
      table: tableLabel(foreign),
      remedy: 'Only its owner may drop it: connect as the owner, or use target_mode: truncate.',
    });
  }
  const outside = (await foreignKeysAt(target, names)).filter((key) => key.toAsked && !key.fromAsked);
  if (outside.length > 0) {
    const list = outside
      .map((key) => `${key.constraint} of ${tableLabel(key.from)} (to ${tableLabel(key.to)})`)
      .join(', ');
    throw new AppError(
      'SCHEMA_CONFLICT',
      `Foreign keys of tables outside this run point at tables to be dropped: ${list}`,
      {
        table: tableLabel(outside[0]!.to),
        remedy: 'Drop these foreign keys, include their tables, or use target_mode: truncate.',
      },
    );
  }
  const views = await dependentViews(target, names);
  if (views.length > 0) {
    throw new AppError('SCHEMA_CONFLICT', `Views stand on target tables to be dropped: ${views.join(', ')}`, {
      remedy: DEPENDENTS_REMEDY,
    });
  }
  const existing = new Map(relations.map((relation) => [tableLabel(relation), relation]));
  return plans.map((plan) => {
    const relation = existing.get(tableLabel(plan.target));
    return [...(relation === undefined ? [] : [`drops ${withRows(relation)}`]), createAction(plan)];
  });
}

/** PostgreSQL names whatever else stands on a table (functions, children); that list is what a person needs. */
function dependents(error: unknown): unknown {
  if (!(error instanceof AppError) || error.serverCode !== '2BP01') return error;
  return new AppError('SCHEMA_CONFLICT', `Target tables can't be dropped: ${error.message}`, {
    ...error.place,
    remedy: DEPENDENTS_REMEDY,
    serverCode: error.serverCode,
    cause: error,
  });
}
