/**
 * `upsert`: target tables keep their rows, and only what differs is brought over. Missing tables are created.
 *
 * Runs on the main thread.
 */
import { AppError, requireNone } from '../../errors.js';
import { tableLabel } from '../../source/model.js';
import { type TargetRelation, type UniqueKey, uniqueKeys } from '../../target/catalog.js';
import type { TargetConnection } from '../../target/connection.js';
import { addPrimaryKey, createTable, createUniqueIndex, ROW_HASH_TYPE } from '../../target/ddl.js';
import { qualified, quoteIdent } from '../../target/identifiers.js';
import type { TablePlan } from '../model.js';
import { rangeColumns } from '../queries.js';
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

/** SQLSTATE unique_violation. */
const UNIQUE_VIOLATION = '23505';

const WRITES = ['insert', 'update', 'delete'] as const;
const MERGE_RIGHTS = ['SELECT', 'INSERT', 'UPDATE'] as const;

/** @param deletes whether rows that only the target has are deleted */
export function upsert(deletes: boolean): TransferMode {
  return {
    name: 'upsert',
    loads: 'differences',

    async check(target, plans) {
      const { existing, unkeyed, keys, obstacles } = await examine(target, plans, deletes);
      const actions = plans.map((plan) => {
        const relation = existing.get(tableLabel(plan.target));
        if (relation === undefined) return [createAction(plan)];
        const list = [...keyActions(plan, keys), `brings the differences into ${withRows(relation)}`];
        if (lacksRowHash(plan, relation)) list.push(`adds column ${plan.rowHashColumn} ${ROW_HASH_TYPE}`);
        if (unkeyed.has(plan)) list.push(`makes ${targetKey(plan).join(', ')} a unique key`);
        return list;
      });
      return { actions, obstacles };
    },

    async prepare(target, plans, also) {
      const { existing, unkeyed, keys, obstacles } = await examine(target, plans, deletes);
      requireNone(obstacles);
      await makeReady(
        target,
        plans,
        async () => {
          await dropKeys(target, keys);
          const relationOf = (plan: TablePlan) => existing.get(tableLabel(plan.target));
          await runAll(
            target,
            plans.flatMap((plan) => {
              const relation = relationOf(plan);
              return relation === undefined ? [createTable(plan)] : addRowHash(plan, relation);
            }),
          );
          for (const plan of plans) {
            // A key of an empty table comes after its rows, with the other finalization.
            const isMissing = relationOf(plan) === undefined && !isFinalized(plan);
            if (isMissing || unkeyed.has(plan)) await addUniqueKey(target, plan);
          }
        },
        also,
      );
    },
  };
}

/** @returns the identifying key's columns by their target names, in key order. */
export function targetKey(plan: Pick<TablePlan, 'columns'>): string[] {
  return plan.columns
    .filter(({ keyPosition }) => keyPosition >= 0)
    .sort((a, b) => a.keyPosition - b.keyPosition)
    .map(({ targetName }) => targetName);
}

/** Whether finalization gives a new table a unique key over the columns rows are matched by. */
function isFinalized(plan: TablePlan): boolean {
  if (plan.primaryKey.length > 0) return true;
  const key = targetKey(plan).sort().join('\0');
  return plan.objects.indexes.some(
    ({ unique, filter, keys }) =>
      unique &&
      filter === null &&
      keys
        .map(({ column }) => column)
        .sort()
        .join('\0') === key,
  );
}

async function addUniqueKey(target: TargetConnection, plan: TablePlan): Promise<void> {
  const statement =
    plan.primaryKey.length > 0 && plan.primaryKeyName !== null
      ? addPrimaryKey(plan.target, plan.primaryKeyName, plan.primaryKey)
      : createUniqueIndex(plan.target, targetKey(plan));
  try {
    await target.query(statement);
  } catch (error) {
    if (!(error instanceof AppError) || error.serverCode !== UNIQUE_VIOLATION) throw error;
    const label = tableLabel(plan.target);
    throw new AppError(
      'SCHEMA_CONFLICT',
      `Target table ${label} has several rows with one key (${targetKey(plan).join(', ')}): ${error.message}`,
      {
        ...error.place,
        table: label,
        remedy: 'Delete all but one of them; or use target_mode: truncate, which loads the table anew.',
        serverCode: error.serverCode,
        cause: error,
      },
    );
  }
}

interface Examination extends Fitting {
  /** Plans whose existing table has no unique index over the key. */
  unkeyed: Set<TablePlan>;
  /** Rows are brought over in no order that foreign keys could follow. */
  keys: KeysInTheWay;
}

async function examine(
  target: TargetConnection,
  plans: readonly TablePlan[],
  deletes: boolean,
): Promise<Examination> {
  const { existing, obstacles } = await fittingRelations(target, plans, WRITES, (plan, relation) =>
    missingRight(plan, relation, deletes),
  );
  obstacles.unshift(...missingKeys(plans));
  const unique = await uniqueKeys(
    target,
    plans.map((plan) => plan.target),
  );
  const keysOf = new Map<string, UniqueKey[]>();
  for (const key of unique) {
    const label = tableLabel(key);
    const keys = keysOf.get(label) ?? [];
    keysOf.set(label, keys);
    keys.push(key);
  }
  obstacles.push(...foldedKeys(plans, existing, keysOf), ...unfitForConflicts(plans, existing, keysOf));
  if (deletes) obstacles.push(...unfitForDeletes(plans, existing));
  const found = new Set(unique.map((key) => JSON.stringify([key.schema, key.name, ...key.columns])));
  const unkeyed = plans.filter((plan) => {
    const { schema, name } = plan.target;
    return (
      plan.keyColumns.length > 0 &&
      existing.has(tableLabel(plan.target)) &&
      !found.has(JSON.stringify([schema, name, ...targetKey(plan).sort()]))
    );
  });
  for (const plan of unkeyed) {
    const right = missingOwner(plan, existing.get(tableLabel(plan.target))!);
    if (right !== null && !obstacles.some(({ message }) => message === right.message)) obstacles.push(right);
  }
  const { ours, others } = await keysInTheWay(target, plans);
  const owned = [...ours].filter(([plan]) => existing.get(tableLabel(plan.target))?.owned === true);
  return { existing, obstacles, unkeyed: new Set(unkeyed), keys: { ours: new Map(owned), others } };
}

/** Rows are matched by their key: a table without one, or with one that can't be asked for, can't be kept in step. */
function missingKeys(plans: readonly TablePlan[]): AppError[] {
  const obstacles: AppError[] = [];
  const keyless = plans.filter((plan) => plan.keyColumns.length === 0).map((plan) => tableLabel(plan.source));
  if (keyless.length > 0) {
    const message = `target_mode upsert matches rows by their key, and these tables have none: ${keyless.join(', ')}`;
    obstacles.push(
      new AppError('UNSUPPORTED', message, {
        table: keyless[0]!,
        remedy:
          'Give them a primary key, or a unique index over NOT NULL columns; or exclude them (migration.exclude_tables); or use target_mode: truncate.',
      }),
    );
  }
  const unasked = plans.filter((plan) => plan.keyColumns.length > 0 && rangeColumns(plan) === null);
  if (unasked.length > 0) {
    const list = unasked
      .map((plan) => `${tableLabel(plan.source)} (${plan.keyColumns.join(', ')})`)
      .join(', ');
    const message = `target_mode upsert asks for rows by their key, and types as sql_variant, and float before SQL Server 2016, can't be asked for exactly: ${list}`;
    obstacles.push(
      new AppError('UNSUPPORTED', message, {
        table: tableLabel(unasked[0]!.source),
        remedy: 'Exclude these tables (migration.exclude_tables), or use target_mode: truncate.',
      }),
    );
  }
  return obstacles;
}

/** What PostgreSQL refuses INSERT ... ON CONFLICT for, whatever else the table has: it would be found at the first row. */
function unfitForConflicts(
  plans: readonly TablePlan[],
  existing: ReadonlyMap<string, TargetRelation>,
  keysOf: ReadonlyMap<string, readonly UniqueKey[]>,
): AppError[] {
  return plans.flatMap((plan) => {
    const [table, name] = [tableLabel(plan.target), qualified(plan.target)];
    const obstacles: AppError[] = [];
    const refuse = (what: string, remedy: string): void => {
      const message = `Target table ${table} can't be merged into (INSERT ... ON CONFLICT): ${what}`;
      obstacles.push(new AppError('SCHEMA_CONFLICT', message, { table, remedy }));
    };
    const key = targetKey(plan).sort().join('\0');
    for (const { deferrable, columns } of keysOf.get(table) ?? []) {
      if (deferrable === null || columns.join('\0') !== key) continue;
      refuse(
        `constraint ${deferrable} over its key (${columns.join(', ')}) is DEFERRABLE`,
        `ALTER TABLE ${name} DROP CONSTRAINT ${quoteIdent(deferrable)}, and add it again without DEFERRABLE; or use target_mode: truncate.`,
      );
    }
    const rules = existing.get(table)?.rules ?? [];
    if (rules.length > 0) {
      refuse(
        `it has rules for INSERT or UPDATE: ${rules.join(', ')}`,
        'Drop these rules (a disabled one for UPDATE is in the way, too), or use target_mode: truncate, whose COPY passes them by.',
      );
    }
    return obstacles;
  });
}

/** What PostgreSQL refuses a DELETE for that counts its rows, or makes of it: it would be found at the first one. */
function unfitForDeletes(
  plans: readonly TablePlan[],
  existing: ReadonlyMap<string, TargetRelation>,
): AppError[] {
  return plans.flatMap((plan) => {
    const table = tableLabel(plan.target);
    const rules = existing.get(table)?.deleteRules ?? [];
    if (rules.length === 0) return [];
    const message = `Rows that only target table ${table} has can't be deleted: it has rules for DELETE: ${rules.join(', ')}`;
    return new AppError('SCHEMA_CONFLICT', message, {
      table,
      remedy:
        'Drop or disable these rules, or leave such rows where they are (migration.delete_extra_rows: false).',
    });
  });
}

/** Rows whose keys the target alone takes for equal would overwrite one another. */
function foldedKeys(
  plans: readonly TablePlan[],
  existing: ReadonlyMap<string, TargetRelation>,
  keysOf: ReadonlyMap<string, readonly UniqueKey[]>,
): AppError[] {
  return plans.flatMap((plan) => {
    const label = tableLabel(plan.target);
    const key = plan.columns.filter(({ keyPosition }) => keyPosition >= 0);
    // Those that the plan folds as well are compared with that in mind.
    const exact = key.filter(({ collation }) => collation === undefined).map(({ targetName }) => targetName);
    const columns = existing.get(label)?.columns.filter(({ folds }) => folds) ?? [];
    const folded = columns.map(({ name }) => name).filter((name) => exact.includes(name));
    const index = keysOf
      .get(label)
      ?.find(
        ({ columns, folds }) =>
          folds && exact.length === key.length && columns.join('\0') === targetKey(plan).sort().join('\0'),
      );
    const names = folded.length > 0 ? folded : (index?.columns ?? []);
    if (names.length === 0) return [];
    const message = `Target table ${label} takes keys for equal that the source tells apart: the collation of ${names.join(', ')} folds them`;
    return new AppError('SCHEMA_CONFLICT', message, {
      ...{ table: label, column: names[0]! },
      remedy:
        'Give column and key a deterministic collation (COLLATE "C"); or migrate with migration.collation: icu, which knows of folded keys.',
    });
  });
}

function missingRight(plan: TablePlan, relation: TargetRelation, deletes: boolean): AppError | null {
  const lacking = lackingRights(relation, deletes ? [...MERGE_RIGHTS, 'DELETE'] : MERGE_RIGHTS);
  if (lacking !== null) return lacking;
  return lacksRowHash(plan, relation) ? missingOwner(plan, relation) : null;
}

function missingOwner(plan: TablePlan, relation: TargetRelation): AppError | null {
  if (relation.owned) return null;
  const label = tableLabel(plan.target);
  return new AppError(
    'TARGET_PERMISSION',
    `Target table ${label} must be altered and belongs to another role`,
    {
      table: label,
      remedy: 'Connect as its owner once, so that the row hash column and the unique key can be added.',
    },
  );
}
