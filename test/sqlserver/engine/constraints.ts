/**
 * Keys, indexes, foreign keys, checks and defaults: as PostgreSQL indexes and constraints, and as declared.
 *
 * Runs in the process of the stand-in SQL Server. Unique indexes are over comparison keys (case-insensitive,
 * trailing blanks ignored, GUIDs in SQL Server's order). A foreign key needs a plain unique index beside that
 * one, so foreign keys over strings compare exactly: stricter than SQL Server, never laxer.
 */
import { SqlError } from '../contract.js';
import type { Constraint, CreateIndex, IndexColumn } from './ast.js';
import { ownColumns, type Runner } from './ddl.js';
import type { Env } from './emit/context.js';
import { condition, value } from './emit/expressions.js';
import { sortKey } from './emit/operators.js';
import { findTable } from './emit/sources.js';
import { printExpression } from './print.js';
import { literal, pgName, quote, same, type Table, type TableColumn } from './schema.js';

export function columnOf(table: Table, name: string): TableColumn {
  const column = table.columns.find((candidate) => same(candidate.name, name));
  if (!column) throw new SqlError(1911, `Column name '${name}' does not exist in the target table or view.`);
  return column;
}

const hex = (id: number): string =>
  (((id * 2654435761) % 2 ** 32) >>> 0).toString(16).toUpperCase().padStart(8, '0');

async function recordObject(
  table: Table,
  id: number,
  name: string,
  type: string,
  systemNamed: boolean,
  env: Env,
  runner: Runner,
): Promise<void> {
  if (env.schema.object(table.schema, name)) {
    throw new SqlError(2714, `There is already an object named '${name}' in the database.`, { state: 5 });
  }
  await runner.run(
    `INSERT INTO tsql.objects (object_id, schema_id, parent_object_id, name, pg_name, type, system_named) VALUES (${id}, ${table.schemaId}, ${table.objectId}, ${literal(name)}, ${literal(pgName(name))}, '${type}', ${systemNamed})`,
  );
}

export async function addConstraint(
  table: Table,
  constraint: Constraint,
  validate: boolean,
  env: Env,
  runner: Runner,
): Promise<void> {
  const id = await runner.objectId();
  const systemNamed = constraint.name === null;
  switch (constraint.k) {
    case 'key': {
      const prefix = constraint.primary ? 'PK' : 'UQ';
      const name =
        constraint.name ?? `${prefix}__${table.name.slice(0, 9)}__${hex(table.objectId)}${hex(id)}`;
      await recordObject(table, id, name, prefix, systemNamed, env, runner);
      const clustered =
        constraint.clustered ?? (constraint.primary && !table.indexes.some((index) => index.id === 1));
      await addIndex(
        table,
        {
          name,
          unique: true,
          clustered,
          columns: constraint.columns,
          include: [],
          constraintId: id,
          primary: constraint.primary,
          where: null,
          whereText: null,
        },
        env,
        runner,
      );
      return;
    }
    case 'check': {
      const [only, ...others] = table.columns.filter((column) => mentions(constraint.text, column.name));
      const columnId = only && others.length === 0 ? only.id : 0;
      const name = constraint.name ?? `CK__${table.name.slice(0, 9)}__${hex(id)}`;
      await recordObject(table, id, name, 'C', systemNamed, env, runner);
      await runner.run(
        `INSERT INTO tsql.checks (object_id, column_id, text, not_trusted) VALUES (${id}, ${columnId}, ${literal(printExpression(constraint.expr))}, ${!validate})`,
      );
      await runner.run(
        `ALTER TABLE ${table.pg} ADD CONSTRAINT "ck_${id}" CHECK (${condition(constraint.expr, env, ownColumns(table))})${validate ? '' : ' NOT VALID'}`,
      );
      return;
    }
    case 'default': {
      const column = columnOf(table, constraint.column);
      // Emitting it now finds what is wrong with it now.
      value(constraint.expr, env, { sources: [], parent: null });
      const name = constraint.name ?? `DF__${table.name.slice(0, 9)}__${column.name.slice(0, 5)}__${hex(id)}`;
      await recordObject(table, id, name, 'D', systemNamed, env, runner);
      column.defaultText = printExpression(constraint.expr);
      await runner.run(
        `UPDATE tsql.columns SET default_object_id = ${id}, default_text = ${literal(column.defaultText)} WHERE object_id = ${table.objectId} AND column_id = ${column.id}`,
      );
      return;
    }
    default:
      await addForeignKey(table, constraint, id, validate, env, runner);
  }
}

const mentions = (text: string, name: string): boolean =>
  new RegExp(`(?<![\\w@#])\\[?${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\\]?(?![\\w@#])`, 'i').test(text);

async function addForeignKey(
  table: Table,
  constraint: Extract<Constraint, { k: 'foreign' }>,
  id: number,
  validate: boolean,
  env: Env,
  runner: Runner,
): Promise<void> {
  const { references } = constraint;
  const own = references.table.at(-1);
  const other =
    own && same(own, table.name) && same(references.table.at(-2) || 'dbo', table.schema)
      ? table
      : findTable(references.table, env);
  const primary = other.indexes.find((index) => index.primary);
  const targets =
    references.columns.length > 0
      ? references.columns.map((name) => columnOf(other, name))
      : (primary?.columns ?? []).map((column) => other.columns.find((candidate) => candidate.id === column)!);
  const columns = constraint.columns.map((name) => columnOf(table, name));
  const index = other.indexes.find(
    (candidate) =>
      candidate.unique &&
      candidate.columns.length === targets.length &&
      targets.every((target) => candidate.columns.includes(target.id)),
  );
  const name =
    constraint.name ?? `FK__${table.name.slice(0, 9)}__${(columns[0]?.name ?? '').slice(0, 5)}__${hex(id)}`;
  if (!index || columns.length !== targets.length) {
    throw new SqlError(
      1776,
      `There are no primary or candidate keys in the referenced table '${other.schema}.${other.name}' that match the referencing column list in the foreign key '${name}'.`,
    );
  }
  await recordObject(table, id, name, 'F', constraint.name === null, env, runner);
  const names = (list: TableColumn[]): string => list.map((column) => quote(column.pgName)).join(', ');
  const plain = targets.every(
    (target) =>
      sortKey({ sql: quote(target.pgName), type: target.type, nullable: false }) === quote(target.pgName),
  );
  if (!plain)
    await runner.run(
      `CREATE UNIQUE INDEX IF NOT EXISTS "fx_${other.objectId}_${index.id}" ON ${other.pg} (${names(targets)})`,
    );
  await runner.run(
    `INSERT INTO tsql.foreign_keys (object_id, referenced_object_id, key_index_id, on_delete, on_update, not_trusted) VALUES (${id}, ${other.objectId}, ${index.id}, '${references.onDelete}', '${references.onUpdate}', ${!validate})`,
  );
  for (const [i, column] of columns.entries()) {
    await runner.run(
      `INSERT INTO tsql.foreign_key_columns VALUES (${id}, ${i + 1}, ${column.id}, ${targets[i]!.id})`,
    );
  }
  await runner.run(
    `ALTER TABLE ${table.pg} ADD CONSTRAINT "fk_${id}" FOREIGN KEY (${names(columns)}) REFERENCES ${other.pg} (${names(targets)}) ON DELETE ${references.onDelete} ON UPDATE ${references.onUpdate}${validate ? '' : ' NOT VALID'}`,
  );
}

interface IndexSpec {
  name: string;
  unique: boolean;
  clustered: boolean;
  columns: IndexColumn[];
  include: string[];
  constraintId: number | null;
  primary: boolean;
  where: string | null;
  whereText: string | null;
}

async function addIndex(table: Table, spec: IndexSpec, _env: Env, runner: Runner): Promise<void> {
  const hasClustered = table.indexes.some((index) => index.id === 1);
  if (spec.clustered && hasClustered) {
    throw new SqlError(
      1902,
      `Cannot create more than one clustered index on table '${table.name}'. Drop the existing clustered index '${table.indexes.find((index) => index.id === 1)!.name}' before creating another.`,
      { state: 3 },
    );
  }
  if (table.indexes.some((index) => index.name !== null && same(index.name, spec.name))) {
    throw new SqlError(
      1913,
      `The operation failed because an index or statistics with name '${spec.name}' already exists on table '${table.schema}.${table.name}'.`,
    );
  }
  const id = spec.clustered ? 1 : Math.max(1, ...table.indexes.map((index) => index.id)) + 1;
  const columns = spec.columns.map(({ name, desc }) => ({ column: columnOf(table, name), desc }));
  const keys = columns.map(({ column, desc }) => {
    const key = sortKey({ sql: quote(column.pgName), type: column.type, nullable: column.nullable });
    return `${key === quote(column.pgName) ? key : `(${key})`} ${desc ? 'DESC NULLS LAST' : 'ASC NULLS FIRST'}`;
  });
  const pg = `ix_${table.objectId}_${id}`;
  const where = spec.where ? ` WHERE ${spec.where}` : '';
  if (id === 1)
    await runner.run(`DELETE FROM tsql.indexes WHERE object_id = ${table.objectId} AND index_id = 0`);
  await runner.run(
    `INSERT INTO tsql.indexes VALUES (${table.objectId}, ${id}, ${literal(spec.name)}, '${pg}', ${id === 1 ? 1 : 2}, ${spec.unique}, ${spec.primary}, ${spec.constraintId !== null}, ${spec.constraintId ?? 'NULL'}, ${spec.whereText === null ? 'NULL' : literal(spec.whereText)})`,
  );
  const entries = [
    ...columns.map(({ column, desc }) => ({ column, desc, included: false })),
    ...spec.include.map((name) => ({ column: columnOf(table, name), desc: false, included: true })),
  ];
  for (const [i, { column, desc, included }] of entries.entries()) {
    await runner.run(
      `INSERT INTO tsql.index_columns VALUES (${table.objectId}, ${id}, ${i + 1}, ${column.id}, ${included ? 0 : i + 1}, ${desc}, ${included})`,
    );
  }
  table.indexes.push({
    id,
    name: spec.name,
    pgName: pg,
    unique: spec.unique,
    primary: spec.primary,
    constraint: spec.constraintId !== null,
    columns: columns.map(({ column }) => column.id),
  });
  // A wide string key would not fit a B-tree page; the index only speeds things up where it is not unique.
  const wide = columns.some(({ column }) => column.type.length === -1 || (column.type.length ?? 0) > 900);
  if (spec.unique || !wide) {
    await runner.run(
      `CREATE ${spec.unique ? 'UNIQUE ' : ''}INDEX "${pg}" ON ${table.pg} (${keys.join(', ')})${spec.unique ? ' NULLS NOT DISTINCT' : ''}${where}`,
    );
  }
  if (spec.primary) {
    for (const { column } of columns) {
      if (!column.nullable) continue;
      throw new SqlError(
        8111,
        `Cannot define PRIMARY KEY constraint on nullable column in table '${table.name}'.`,
      );
    }
  }
}

export async function createIndex(statement: CreateIndex, env: Env, runner: Runner): Promise<void> {
  const found = findTable(statement.table, env);
  const table: Table = { ...found, indexes: [...found.indexes] };
  const where = statement.where ? condition(statement.where, env, ownColumns(table)) : null;
  const whereText = statement.where ? printExpression(statement.where) : null;
  await addIndex(
    table,
    {
      name: statement.name,
      unique: statement.unique,
      clustered: statement.clustered,
      columns: statement.columns,
      include: statement.include,
      constraintId: null,
      primary: false,
      where,
      whereText,
    },
    env,
    runner,
  );
}

export async function dropIndex(
  table: Table,
  name: string,
  ifExists: boolean,
  runner: Runner,
): Promise<void> {
  const index = table.indexes.find((candidate) => candidate.name !== null && same(candidate.name, name));
  if (!index) {
    if (ifExists) return;
    throw new SqlError(
      3701,
      `Cannot drop the index '${table.name}.${name}', because it does not exist or you do not have permission.`,
      { class: 11, state: 7 },
    );
  }
  if (index.constraint)
    throw new SqlError(
      3723,
      `An explicit DROP INDEX is not allowed on index '${table.name}.${name}'. It is being used for PRIMARY KEY constraint enforcement.`,
      { state: 4 },
    );
  await removeIndex(table, index.id, runner);
}

async function removeIndex(table: Table, id: number, runner: Runner): Promise<void> {
  await runner.run(
    `DROP INDEX IF EXISTS ${table.pg.slice(0, table.pg.lastIndexOf('."'))}."ix_${table.objectId}_${id}"`,
  );
  for (const name of ['indexes', 'index_columns'])
    await runner.run(`DELETE FROM tsql.${name} WHERE object_id = ${table.objectId} AND index_id = ${id}`);
  if (id !== 1) return;
  await runner.run(
    `INSERT INTO tsql.indexes (object_id, index_id, kind, is_unique, is_primary, is_constraint) VALUES (${table.objectId}, 0, 0, false, false, false)`,
  );
}

/** ALTER TABLE DROP CONSTRAINT name. */
export async function dropName(table: Table, name: string, env: Env, runner: Runner): Promise<void> {
  const object = env.schema.object(table.schema, name);
  const parent = env.schema.data.objects?.find((candidate) => candidate.id === object?.id)?.parentId;
  if (!object || parent !== table.objectId) {
    throw new SqlError(3728, `'${name}' is not a constraint.`);
  }
  if (object.type === 'PK' || object.type === 'UQ') {
    const index = table.indexes.find((candidate) => candidate.name !== null && same(candidate.name, name));
    if (index) await removeIndex(table, index.id, runner);
  } else if (object.type === 'D') {
    await runner.run(
      `UPDATE tsql.columns SET default_object_id = 0, default_text = NULL WHERE default_object_id = ${object.id}`,
    );
  } else {
    await runner.run(
      `ALTER TABLE ${table.pg} DROP CONSTRAINT IF EXISTS "${object.type === 'C' ? 'ck' : 'fk'}_${object.id}"`,
    );
  }
  for (const view of ['checks', 'foreign_keys', 'foreign_key_columns', 'objects'])
    await runner.run(`DELETE FROM tsql.${view} WHERE object_id = ${object.id}`);
}
