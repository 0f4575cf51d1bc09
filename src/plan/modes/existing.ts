/**
 * What the modes that keep existing target tables ask of them: the columns to write, in types that hold the values.
 *
 * Runs on the main thread.
 */
import { AppError } from '../../errors.js';
import { tableLabel } from '../../source/model.js';
import {
  existingRelations,
  type ForeignKeyReference,
  foreignKeysAt,
  type TableRight,
  type TargetRelation,
  type TargetTrigger,
  type TriggerEvent,
} from '../../target/catalog.js';
import { incompatibility } from '../../target/compatible.js';
import type { TargetConnection } from '../../target/connection.js';
import { ROW_HASH_TYPE } from '../../target/ddl.js';
import { qualified, quoteIdent } from '../../target/identifiers.js';
import { dropConstraint } from '../../target/objects.js';
import { hiddenRows } from '../../target/rowSecurity.js';
import type { TablePlan } from '../model.js';
import { isTable, missingSchemaRights, notTables, runAll, takenNames } from './mode.js';

/** Tables that exist, by `schema.name`, and what keeps them from taking the rows. */
export interface Fitting {
  existing: Map<string, TargetRelation>;
  /** SCHEMA_CONFLICT naming every column that does not fit, TARGET_PERMISSION. */
  obstacles: AppError[];
}

/**
 * @param writes what the mode does to tables that are there, as triggers see it
 * @param missingRight what the role may not do to a table although the mode does it, or null
 */
export async function fittingRelations(
  target: TargetConnection,
  plans: readonly TablePlan[],
  writes: readonly TriggerEvent[],
  missingRight: (plan: TablePlan, relation: TargetRelation) => AppError | null,
): Promise<Fitting> {
  const names = plans.map((plan) => plan.target);
  const relations = await existingRelations(target, names);
  const existing = new Map(relations.map((relation) => [tableLabel(relation), relation]));
  const missing = plans.filter((plan) => !existing.has(tableLabel(plan.target)));
  const obstacles = [
    ...notTables(relations),
    ...(await takenNames(target, plans)),
    ...(await missingSchemaRights(target, missing)),
  ];
  const problems: string[] = [];
  for (const plan of plans) {
    const relation = existing.get(tableLabel(plan.target));
    if (relation === undefined || !isTable(relation)) continue;
    const right = missingRight(plan, relation);
    if (right !== null) obstacles.push(right);
    for (const obstacle of [hiddenRows(relation), emptiedByCrash(relation), rowsOfHeirs(relation)]) {
      if (obstacle !== null) obstacles.push(obstacle);
    }
    problems.push(...columnProblems(plan, relation));
    if (relation.persistence === 'u' && !plan.unlogged) {
      plan.notes.push(
        `the target table is UNLOGGED, as it was before the run: a crash of the server empties it. ALTER TABLE ${qualified(plan.target)} SET LOGGED keeps its rows.`,
      );
    }
    plan.notes.push(...triggerNotes(relation, writes));
  }
  if (problems.length > 0) {
    obstacles.push(
      new AppError('SCHEMA_CONFLICT', problems.join('; '), {
        remedy: 'Change the target columns, or use target_mode: drop_recreate.',
      }),
    );
  }
  return { existing, obstacles };
}

/** @returns what adds the planned row hash column, where the table does not have it yet. */
export function addRowHash(plan: TablePlan, relation: TargetRelation): string[] {
  if (plan.rowHashColumn === null || !lacksRowHash(plan, relation)) return [];
  const column = `${quoteIdent(plan.rowHashColumn)} ${ROW_HASH_TYPE}`;
  return [`ALTER TABLE ${qualified(plan.target)} ADD COLUMN IF NOT EXISTS ${column}`];
}

/** Foreign keys that point at tables of the run. */
export interface KeysInTheWay {
  /** Those that finalization makes again, by the plan of the table they belong to. */
  ours: Map<TablePlan, string[]>;
  others: ForeignKeyReference[];
}

/**
 * A foreign key is checked after every chunk, while the rows it points at may be in a chunk still to come. Those that
 * the plan makes again may go until the rows are in.
 */
export async function keysInTheWay(
  target: TargetConnection,
  plans: readonly TablePlan[],
): Promise<KeysInTheWay> {
  const found: KeysInTheWay = { ours: new Map(), others: [] };
  const byTarget = new Map(plans.map((plan) => [tableLabel(plan.target), plan]));
  const names = plans.map((plan) => plan.target);
  for (const key of await foreignKeysAt(target, names)) {
    // One that only starts here points at rows nobody touches.
    if (!key.toAsked) continue;
    const plan = byTarget.get(tableLabel(key.from));
    const isOurs = plan?.objects.foreignKeys.some(({ name }) => name === key.constraint) === true;
    if (plan !== undefined && isOurs) {
      found.ours.set(plan, [...(found.ours.get(plan) ?? []), key.constraint]);
    } else found.others.push(key);
  }
  return found;
}

export async function dropKeys(target: TargetConnection, { ours }: KeysInTheWay): Promise<void> {
  await runAll(
    target,
    [...ours].flatMap(([plan, names]) => names.map((name) => dropConstraint(plan.target, name))),
  );
}

/** @returns what `dropKeys` does to a table, in words. */
export function keyActions(plan: TablePlan, { ours }: KeysInTheWay): string[] {
  return (ours.get(plan) ?? []).map((name) => `drops foreign key ${name} until the rows are in`);
}

export function lacksRowHash(plan: TablePlan, relation: TargetRelation): boolean {
  return plan.rowHashColumn !== null && !relation.columns.some(({ name }) => name === plan.rowHashColumn);
}

/** @returns what says that the role may not do all that is wanted of a table, or null */
export function lackingRights(relation: TargetRelation, wanted: readonly TableRight[]): AppError | null {
  const lacking = wanted.filter((right) => !relation.rights.includes(right)).join(', ');
  if (lacking === '') return null;
  const label = tableLabel(relation);
  return new AppError('TARGET_PERMISSION', `The target role lacks ${lacking} on ${label}`, {
    table: label,
    remedy: `GRANT ${lacking} ON ${qualified(relation)} TO the role.`,
  });
}

/** Of a mix of partitions a crash would empty some, and what is known of the table's rows would not hold. */
function emptiedByCrash(relation: TargetRelation): AppError | null {
  const { unloggedPartitions: partitions } = relation;
  if (partitions.length === 0) return null;
  const label = tableLabel(relation);
  return new AppError(
    'SCHEMA_CONFLICT',
    `Target table ${label} has UNLOGGED partitions, which a crash of the server would empty without a trace: ${partitions.join(', ')}`,
    { table: label, remedy: 'ALTER TABLE ... SET LOGGED each of them, and run again.' },
  );
}

/** What a trigger does nobody can know: those that could make the rows others than the source's are named. */
function triggerNotes({ triggers }: TargetRelation, writes: readonly TriggerEvent[]): string[] {
  const fired = triggers.flatMap((trigger) => {
    const events = trigger.events.filter((event) => writes.includes(event));
    return events.length === 0 ? [] : [{ ...trigger, events }];
  });
  const seesRows = ({ when, forEachRow, events }: TargetTrigger): boolean =>
    when === 'before' && forEachRow && (events.includes('insert') || events.includes('update'));
  const first = fired.filter(seesRows).map(({ name }) => name);
  const others = fired
    .filter((trigger) => !seesRows(trigger))
    .map(({ name, when, events }) => `${name} (${when} ${events.join(', ')})`);
  return [
    ...(first.length === 0
      ? []
      : [
          `triggers of the target see each row before it is written, and may leave it out or change it: ${first.join(', ')}`,
        ]),
    ...(others.length === 0
      ? []
      : [
          `triggers of the target fire when its rows are written or deleted, and may change rows of this table or others: ${others.join(', ')}`,
        ]),
  ];
}

/** TRUNCATE and DELETE would take rows that are none of ours, and a comparison would look at them. */
function rowsOfHeirs(relation: TargetRelation): AppError | null {
  const { heirs } = relation;
  if (heirs.length === 0) return null;
  const label = tableLabel(relation);
  return new AppError(
    'SCHEMA_CONFLICT',
    `Tables inherit from target table ${label}, so that their rows would be taken for its own: ${heirs.join(', ')}`,
    {
      table: label,
      remedy: `ALTER TABLE ... NO INHERIT ${qualified(relation)} each of them, choose another target schema, or exclude the table.`,
    },
  );
}

function columnProblems(plan: TablePlan, relation: TargetRelation): string[] {
  const label = tableLabel(plan.target);
  const problems: string[] = [];
  const there = new Map(relation.columns.map((column) => [column.name, column]));
  const wanted = plan.columns.map((column) => ({
    name: column.targetName,
    type: column.pgType,
    from: `source type ${column.sourceType}`,
    generated: column.generated !== undefined,
  }));
  if (plan.rowHashColumn !== null && there.has(plan.rowHashColumn)) {
    wanted.push({ name: plan.rowHashColumn, type: ROW_HASH_TYPE, from: 'the row hash', generated: false });
  }
  for (const { name, type, from, generated } of wanted) {
    const column = there.get(name);
    if (column === undefined) {
      problems.push(`Target table ${label} has no column ${name} (${from}, ${type})`);
      continue;
    }
    const where = `Target column ${label}.${name}`;
    if (column.generated && !generated)
      problems.push(`${where} is generated by the target and can't be written`);
    if (!column.generated && generated) {
      problems.push(
        `${where} is not generated, and this run would generate it (migration.computed_columns: value copies it)`,
      );
    }
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
