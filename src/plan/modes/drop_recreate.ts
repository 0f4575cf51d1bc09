/**
 * `drop_recreate`: existing target tables are dropped and made anew from the plan.
 *
 * Runs on the main thread. CASCADE only where it is asked for, and what goes with the tables is named: views and
 * foreign keys should not go without a trace.
 */
import { AppError, requireNone } from '../../errors.js';
import { tableLabel } from '../../source/model.js';
import { existingRelations, type TargetRelation } from '../../target/catalog.js';
import type { TargetConnection } from '../../target/connection.js';
import { createTable } from '../../target/ddl.js';
import { type Dependent, dependents } from '../../target/dependents.js';
import { qualified } from '../../target/identifiers.js';
import type { TablePlan } from '../model.js';
import {
  createAction,
  type Examined,
  isTable,
  makeReady,
  missingSchemaRights,
  notTables,
  runAll,
  type TransferMode,
  takenNames,
  withRows,
} from './mode.js';

const DEPENDENTS_REMEDY =
  'Drop these objects first and create them again after the run, set migration.drop_cascade: true to drop them with the tables, or use target_mode: truncate.';

/** @param dropCascade drops what stands on the tables as well, instead of refusing */
export function dropRecreate(dropCascade: boolean): TransferMode {
  return {
    name: 'drop_recreate',
    loads: 'everything',
    check: (target, plans) => check(target, plans, dropCascade),

    async prepare(target, plans, also) {
      requireNone((await check(target, plans, dropCascade)).obstacles);
      try {
        const makeTables = async (): Promise<void> => {
          await dropTables(target, plans, dropCascade);
          await runAll(target, plans.map(createTable));
        };
        await makeReady(target, plans, makeTables, also);
      } catch (error) {
        throw unforeseen(error);
      }
    },
  };
}

async function check(
  target: TargetConnection,
  plans: readonly TablePlan[],
  dropCascade: boolean,
): Promise<Examined> {
  const names = plans.map((plan) => plan.target);
  const relations = await existingRelations(target, names);
  const standing = await dependents(target, names);
  const obstacles = [
    ...(await missingSchemaRights(target, plans)),
    ...notTables(relations),
    ...(await takenNames(target, plans)),
    ...notOwned(relations),
    ...(dropCascade ? [] : inTheWay(standing)),
  ];
  const existing = new Map(relations.map((relation) => [tableLabel(relation), relation]));
  const goneWith = new Map<string, string[]>();
  for (const { table, object } of standing) {
    const label = tableLabel(table);
    const objects = goneWith.get(label) ?? [];
    goneWith.set(label, objects);
    objects.push(object);
  }
  const actions = plans.map((plan) => {
    const label = tableLabel(plan.target);
    const relation = existing.get(label);
    const gone = goneWith.get(label) ?? [];
    return [
      ...(relation === undefined ? [] : [`drops ${withRows(relation)}`]),
      ...(dropCascade ? gone.map((object) => `drops ${object}, which depends on it`) : []),
      createAction(plan),
    ];
  });
  return { actions, obstacles };
}

function notOwned(relations: readonly TargetRelation[]): AppError[] {
  const foreign = relations.filter((relation) => isTable(relation) && !relation.owned);
  const [first] = foreign;
  if (first === undefined) return [];
  const list = foreign.map(tableLabel).join(', ');
  const [tables, belong] = foreign.length === 1 ? ['table', 'belongs'] : ['tables', 'belong'];
  return [
    new AppError('TARGET_PERMISSION', `Target ${tables} ${list} ${belong} to another role`, {
      table: tableLabel(first),
      remedy: 'Only its owner may drop it: connect as the owner, or use target_mode: truncate.',
    }),
  ];
}

function inTheWay(standing: readonly Dependent[]): AppError[] {
  const [first] = standing;
  if (first === undefined) return [];
  const list = standing.map(({ object, table }) => `${object} (on ${tableLabel(table)})`).join(', ');
  const message = `Objects outside this run depend on tables to be dropped: ${list}`;
  return [
    new AppError('SCHEMA_CONFLICT', message, {
      table: tableLabel(first.table),
      remedy: DEPENDENTS_REMEDY,
    }),
  ];
}

/** One statement for all: foreign keys between the tables dropped are no obstacle then. */
async function dropTables(
  target: TargetConnection,
  plans: readonly TablePlan[],
  dropCascade: boolean,
): Promise<void> {
  if (plans.length === 0) return;
  const names = plans.map((plan) => plan.target);
  const there = (await existingRelations(target, names)).map(qualified);
  if (there.length === 0) return;
  if (dropCascade) {
    // Nobody can make a view of a locked table: what is named now is what goes.
    await target.query(`LOCK TABLE ${there.join(', ')} IN ACCESS EXCLUSIVE MODE`);
    const byTarget = new Map(plans.map((plan) => [tableLabel(plan.target), plan]));
    for (const { table, object } of await dependents(target, names)) {
      byTarget.get(tableLabel(table))?.notes.push(`dropped by drop_cascade: ${object}`);
    }
  }
  await target.query(`DROP TABLE ${there.join(', ')}${dropCascade ? ' CASCADE' : ''}`);
}

/** Something that was made since the check; PostgreSQL's list is what a person needs. */
function unforeseen(error: unknown): unknown {
  if (!(error instanceof AppError) || error.serverCode !== '2BP01') return error;
  return new AppError('SCHEMA_CONFLICT', `Target tables can't be dropped: ${error.message}`, {
    ...error.place,
    remedy: DEPENDENTS_REMEDY,
    serverCode: error.serverCode,
    cause: error,
  });
}
