/**
 * `truncate`: existing target tables keep their structure and lose their rows; missing ones are created.
 *
 * Runs on the main thread.
 */
import { AppError } from '../../errors.js';
import { tableLabel } from '../../source/model.js';
import { existingRelations, foreignKeysAt, type TargetRelation } from '../../target/catalog.js';
import { incompatibility } from '../../target/compatible.js';
import { inTransaction, type TargetConnection } from '../../target/connection.js';
import { createTable, ROW_HASH_TYPE } from '../../target/ddl.js';
import { qualified, quoteIdent } from '../../target/identifiers.js';
import type { TablePlan } from '../model.js';
import {
  createAction,
  createSchemas,
  nameLockHolders,
  requireSchemaRights,
  requireTables,
  type TransferMode,
  withRows,
} from './mode.js';

export const truncate: TransferMode = {
  name: 'truncate',

  async check(target, plans) {
    const existing = await examine(target, plans);
    return plans.map((plan) => {
      const relation = existing.get(tableLabel(plan.target));
      if (relation === undefined) return [createAction(plan)];
      const actions = [`truncates ${withRows(relation)}`];
      if (lacksRowHash(plan, relation)) actions.push(`adds column ${plan.rowHashColumn} ${ROW_HASH_TYPE}`);
      if (becomesUnlogged(plan, relation)) actions.push('sets it UNLOGGED until the rows are in');
      return actions;
    });
  },

  async prepare(target, plans) {
    const existing = await examine(target, plans);
    try {
      await inTransaction(target, async () => {
        await createSchemas(target, plans);
        const there = plans.filter((plan) => existing.has(tableLabel(plan.target)));
        // One statement for all, so that foreign keys between them are no obstacle.
        if (there.length > 0) {
          await target.query(`TRUNCATE TABLE ${there.map((plan) => qualified(plan.target)).join(', ')}`);
        }
        for (const plan of plans) await makeReady(target, plan, existing.get(tableLabel(plan.target)));
      });
    } catch (error) {
      throw await nameLockHolders(target, plans, error);
    }
  },
};

async function makeReady(
  target: TargetConnection,
  plan: TablePlan,
  relation: TargetRelation | undefined,
): Promise<void> {
  if (relation === undefined) {
    await target.query(createTable(plan));
    return;
  }
  const name = qualified(plan.target);
  if (plan.rowHashColumn !== null && lacksRowHash(plan, relation)) {
    await target.query(`ALTER TABLE ${name} ADD COLUMN ${quoteIdent(plan.rowHashColumn)} ${ROW_HASH_TYPE}`);
  }
  // The table is empty, so this costs nothing.
  if (becomesUnlogged(plan, relation)) {
    await target.query(`ALTER TABLE ${name} SET UNLOGGED`);
  }
}

/** @returns the tables that exist, by `schema.name`, all of them fit to take the rows. */
async function examine(
  target: TargetConnection,
  plans: readonly TablePlan[],
): Promise<Map<string, TargetRelation>> {
  const names = plans.map((plan) => plan.target);
  const relations = await existingRelations(target, names);
  requireTables(relations);
  const existing = new Map(relations.map((relation) => [tableLabel(relation), relation]));
  const missing = plans.filter((plan) => !existing.has(tableLabel(plan.target)));
  await requireSchemaRights(target, missing);
  const problems: string[] = [];
  for (const plan of plans) {
    const relation = existing.get(tableLabel(plan.target));
    if (relation === undefined) continue;
    requireRights(plan, relation);
    problems.push(...columnProblems(plan, relation));
  }
  if (problems.length > 0) {
    throw new AppError('SCHEMA_CONFLICT', problems.join('; '), {
      remedy: 'Change the target columns, or use target_mode: drop_recreate.',
    });
  }
  await requireNoForeignKeys(target, plans);
  return existing;
}

function requireRights(plan: TablePlan, relation: TargetRelation): void {
  const label = tableLabel(plan.target);
  if (!relation.mayTruncate || !relation.mayInsert) {
    throw new AppError('TARGET_PERMISSION', `The target role may not TRUNCATE and INSERT into ${label}`, {
      table: label,
      remedy: `GRANT TRUNCATE, INSERT ON ${qualified(plan.target)} TO the role.`,
    });
  }
  if ((becomesUnlogged(plan, relation) || lacksRowHash(plan, relation)) && !relation.owned) {
    throw new AppError(
      'TARGET_PERMISSION',
      `Target table ${label} must be altered and belongs to another role`,
      {
        table: label,
        remedy:
          'Connect as its owner, or set migration.use_unlogged_tables: false and use_hash_detection: false.',
      },
    );
  }
}

function lacksRowHash(plan: TablePlan, relation: TargetRelation): boolean {
  return plan.rowHashColumn !== null && !relation.columns.some(({ name }) => name === plan.rowHashColumn);
}

/** Only plain tables know persistence; a partitioned one has no storage of its own. */
function becomesUnlogged(plan: TablePlan, relation: TargetRelation): boolean {
  return plan.unlogged && relation.kind === 'r' && relation.persistence === 'p';
}

function columnProblems(plan: TablePlan, relation: TargetRelation): string[] {
  const label = tableLabel(plan.target);
  const problems: string[] = [];
  const there = new Map(relation.columns.map((column) => [column.name, column]));
  const wanted = plan.columns.map((column) => ({
    name: column.targetName,
    type: column.pgType,
    from: `source type ${column.sourceType}`,
  }));
  if (plan.rowHashColumn !== null && there.has(plan.rowHashColumn)) {
    wanted.push({ name: plan.rowHashColumn, type: ROW_HASH_TYPE, from: 'the row hash' });
  }
  for (const { name, type, from } of wanted) {
    const column = there.get(name);
    if (column === undefined) {
      problems.push(`Target table ${label} has no column ${name} (${from}, ${type})`);
      continue;
    }
    const where = `Target column ${label}.${name}`;
    if (column.generated) problems.push(`${where} is generated by the target and can't be written`);
    const problem = incompatibility(type, column.type);
    if (problem !== null) {
      problems.push(`${where} (${column.type}) ${problem}: ${from} needs ${type}`);
    }
  }
  const names = new Set(wanted.map(({ name }) => name));
  for (const column of relation.columns) {
    if (names.has(column.name) || !column.notNull || column.hasDefault || column.generated) continue;
    problems.push(
      `Target column ${label}.${column.name} is NOT NULL without a default, and the source has no such column`,
    );
  }
  return problems;
}

/**
 * A foreign key would be checked after every chunk, while the rows it points at may be in a chunk still to come; and
 * one from a table outside the run forbids TRUNCATE.
 */
async function requireNoForeignKeys(target: TargetConnection, plans: readonly TablePlan[]): Promise<void> {
  const keys = await foreignKeysAt(
    target,
    plans.map((plan) => plan.target),
  );
  // One that only starts here points at rows nobody touches.
  const inTheWay = keys.filter((key) => key.toAsked);
  const [first] = inTheWay;
  if (first === undefined) return;
  const list = inTheWay.map((key) => `${key.constraint} of ${key.from} (to ${key.to})`).join(', ');
  throw new AppError(
    'SCHEMA_CONFLICT',
    `Foreign keys stand in the way of truncating and loading in parallel: ${list}`,
    {
      table: first.to,
      remedy:
        'Drop these foreign keys and create them again after the run, or use target_mode: drop_recreate.',
    },
  );
}
