/**
 * CREATE TABLE and ALTER TABLE ADD: the PostgreSQL table, and what was declared in T-SQL.
 *
 * Runs in the process of the stand-in SQL Server. Every function yields the PostgreSQL statements that make the
 * change; the session runs them in one transaction.
 */
import { SqlError, type SqlType } from '../contract.js';
import type { ColumnDefinition, Constraint, Expr, Statement } from './ast.js';
import { collation } from './collations.js';
import { addConstraint } from './constraints.js';
import type { Env, Scope } from './emit/context.js';
import { value } from './emit/expressions.js';
import { schemaAndName } from './emit/sources.js';
import { printExpression } from './print.js';
import { literal, pgName, quote, type Table, type TableColumn } from './schema.js';
import { catalogSizes, DEFAULT_COLLATION, family, pgType, systemType } from './types.js';

/** Runs PostgreSQL statements inside the DDL's transaction. */
export interface Runner {
  run(sql: string): Promise<void>;
  /** The column `text` of the one row a query gives. */
  text(sql: string): Promise<string>;
  /** A fresh object id. */
  objectId(): Promise<number>;
}

export const json = (value: unknown): string => `${literal(JSON.stringify(value))}::jsonb`;
export const textOrNull = (text: string | null): string => (text === null ? 'NULL' : literal(text));

type CreateTable = Extract<Statement, { k: 'createTable' }>;
type AddToTable = Extract<Statement, { k: 'addToTable' }>;

export async function createTable(statement: CreateTable, env: Env, runner: Runner): Promise<void> {
  const [schemaName, name] = schemaAndName(statement.table, env);
  if (name.startsWith('#')) throw new SqlError(2760, 'Temporary tables are not known to the stand-in.');
  const schema = env.schema.schema(schemaName);
  if (!schema || ['sys', 'information_schema'].includes(schemaName.toLowerCase())) {
    throw new SqlError(
      2760,
      `The specified schema name "${schemaName}" either does not exist or you do not have permission to use it.`,
    );
  }
  if (env.schema.object(schema.name, name)) {
    throw new SqlError(2714, `There is already an object named '${name}' in the database.`, { state: 6 });
  }
  const objectId = await runner.objectId();
  const table: Table = {
    objectId,
    schemaId: schema.id,
    schema: schema.name,
    name,
    pg: `${quote(schema.pgName)}.${quote(pgName(name))}`,
    columns: [],
    indexes: [],
  };
  await runner.run(
    `INSERT INTO tsql.objects (object_id, schema_id, parent_object_id, name, pg_name, type) VALUES (${objectId}, ${schema.id}, 0, ${literal(name)}, ${literal(pgName(name))}, 'U')`,
  );
  await runner.run(`CREATE TABLE ${table.pg} ()`);
  // A heap has index 0; a clustered index takes its place.
  await runner.run(
    `INSERT INTO tsql.indexes (object_id, index_id, kind, is_unique, is_primary, is_constraint) VALUES (${objectId}, 0, 0, false, false, false)`,
  );
  await addParts(table, { ...statement, validate: true }, env, runner);
}

export async function addToTable(
  statement: AddToTable,
  table: Table,
  env: Env,
  runner: Runner,
): Promise<void> {
  await addParts(
    { ...table, columns: [...table.columns], indexes: [...table.indexes] },
    statement,
    env,
    runner,
  );
}

async function addParts(
  table: Table,
  parts: Pick<AddToTable, 'columns' | 'constraints' | 'validate'>,
  env: Env,
  runner: Runner,
): Promise<void> {
  const { columns: definitions, constraints: tableConstraints, validate } = parts;
  const constraints = [...definitions.flatMap((definition) => definition.constraints), ...tableConstraints];
  const keyColumns = constraints.flatMap((item) =>
    item.k === 'key' && item.primary ? item.columns.map((column) => column.name.toLowerCase()) : [],
  );
  // A computed column may use one declared after it.
  const ordered = [
    ...definitions.filter((item) => !item.computed),
    ...definitions.filter((item) => item.computed),
  ];
  const first = Math.max(0, ...table.columns.map((column) => column.id)) + 1;
  const hadRows = table.columns.length > 0;
  for (const definition of ordered) {
    if (table.columns.some((column) => column.name.toLowerCase() === definition.name.toLowerCase())) {
      throw new SqlError(
        2705,
        `Column names in each table must be unique. Column name '${definition.name}' in table '${table.name}' is specified more than once.`,
        { state: 3 },
      );
    }
    const id = first + definitions.indexOf(definition);
    const inKey = keyColumns.includes(definition.name.toLowerCase());
    const column = definition.computed
      ? await addComputed(table, definition, id, inKey, env, runner)
      : await addColumn(table, definition, id, inKey, hadRows, env, runner);
    table.columns.push(column);
    table.columns.sort((a, b) => a.id - b.id);
  }
  const rank = (item: Constraint): number => (item.k === 'key' ? (item.primary ? 0 : 1) : 2);
  for (const constraint of [...constraints].sort((a, b) => rank(a) - rank(b))) {
    await addConstraint(table, constraint, validate, env, runner);
  }
}

function withCollation(type: SqlType, definition: ColumnDefinition, env: Env): SqlType {
  if (family(type) !== 'string') {
    if (definition.collation) {
      throw new SqlError(
        449,
        `Collation conflict caused by collate clauses: column '${definition.name}' of type ${type.name} takes none.`,
      );
    }
    return type;
  }
  return {
    ...type,
    collation: definition.collation
      ? collation(definition.collation).name
      : env.session.collation || DEFAULT_COLLATION,
  };
}

async function addColumn(
  table: Table,
  definition: ColumnDefinition,
  id: number,
  inKey: boolean,
  hadRows: boolean,
  env: Env,
  runner: Runner,
): Promise<TableColumn> {
  if (!definition.type)
    throw new SqlError(173, `The definition for column '${definition.name}' must include a data type.`, {
      class: 15,
    });
  const resolved = env.schema.type(definition.type, 1);
  const type = withCollation(resolved.type, definition, env);
  const { identity } = definition;
  if (identity && !['tinyint', 'smallint', 'int', 'bigint', 'decimal', 'numeric'].includes(type.name)) {
    throw new SqlError(
      2749,
      `Identity column '${definition.name}' must be of data type int, bigint, smallint, tinyint, or decimal or numeric with a scale of 0, unencrypted, and constrained to be nonnullable.`,
      { state: 2 },
    );
  }
  if (inKey && definition.nullable === true) {
    throw new SqlError(
      8111,
      `Cannot define PRIMARY KEY constraint on nullable column in table '${table.name}'.`,
    );
  }
  const notNull =
    inKey ||
    identity !== null ||
    (type.name === 'timestamp' && definition.nullable !== true) ||
    definition.nullable === false ||
    (definition.nullable === null && !resolved.nullable);
  const column: TableColumn = {
    id,
    name: definition.name,
    pgName: pgName(definition.name),
    type,
    nullable: !notNull,
    identity,
    computedText: null,
    persisted: false,
    defaultText: null,
  };
  const added = definition.constraints.find((item) => item.k === 'default');
  const fill =
    hadRows && type.name === 'timestamp'
      ? ` DEFAULT int8send(nextval('tsql.rowversions'))`
      : hadRows && added && added.k === 'default' && notNull
        ? ` DEFAULT ${convertDefault(added, column, table, env)}`
        : '';
  await runner.run(
    `ALTER TABLE ${table.pg} ADD COLUMN ${quote(column.pgName)} ${pgType(type)}${fill}${notNull ? ' NOT NULL' : ''}`,
  );
  if (fill) await runner.run(`ALTER TABLE ${table.pg} ALTER COLUMN ${quote(column.pgName)} DROP DEFAULT`);
  if (identity) {
    const sequence = `tsql."id_${table.objectId}"`;
    const range =
      BigInt(identity.increment) > 0n
        ? `MINVALUE ${identity.seed}`
        : `MINVALUE -9223372036854775808 MAXVALUE ${identity.seed}`;
    await runner.run(
      `CREATE SEQUENCE ${sequence} AS int8 INCREMENT ${identity.increment} ${range} START ${identity.seed}`,
    );
  }
  await recordColumn(table, column, resolved.userTypeId, definition, runner);
  return column;
}

function convertDefault(
  item: Extract<Constraint, { k: 'default' }>,
  column: TableColumn,
  _table: Table,
  env: Env,
): string {
  const emitted = value(item.expr, env, { sources: [], parent: null });
  return emitted.type.name === column.type.name ? emitted.sql : `(${emitted.sql})::${pgType(column.type)}`;
}

async function addComputed(
  table: Table,
  definition: ColumnDefinition,
  id: number,
  inKey: boolean,
  env: Env,
  runner: Runner,
): Promise<TableColumn> {
  const computed = definition.computed!;
  const emitted = value(computed.expr, env, ownColumns(table));
  const type: SqlType =
    family(emitted.type) === 'string' && !emitted.type.collation
      ? { ...emitted.type, collation: env.session.collation }
      : emitted.type;
  const notNull = inKey || (definition.nullable === false && computed.persisted);
  const column: TableColumn = {
    id,
    name: definition.name,
    pgName: pgName(definition.name),
    type,
    // Almost any expression may give NULL, by an overflow say, whatever its columns are.
    nullable: !notNull && (emitted.nullable || !neverNull(computed.expr)),
    identity: null,
    computedText: printExpression(computed.expr),
    persisted: computed.persisted,
    defaultText: null,
  };
  await runner.run(
    `ALTER TABLE ${table.pg} ADD COLUMN ${quote(column.pgName)} ${pgType(type)} GENERATED ALWAYS AS (${emitted.sql}) STORED${notNull ? ' NOT NULL' : ''}`,
  );
  await recordColumn(table, column, systemType(type).userTypeId, definition, runner);
  return column;
}

/** Microsoft: a computed column that must not be NULL is made so by ISNULL with a constant; CONCAT gives text always. */
function neverNull(expr: Expr): boolean {
  if (expr.k !== 'call') return false;
  return expr.name === 'CONCAT' || (expr.name === 'ISNULL' && expr.args[1]?.k === 'literal');
}

/** A scope in which a table's columns stand for themselves. */
export function ownColumns(table: Table): Scope {
  const columns = table.columns.map(({ name, pgName: pg, type, nullable }) => ({
    name,
    type,
    nullable,
    sql: quote(pg),
  }));
  return { sources: [{ name: table.name, schema: null, columns }], parent: null };
}

export async function recordColumn(
  table: Pick<Table, 'objectId'>,
  column: TableColumn,
  userTypeId: number,
  definition: Pick<ColumnDefinition, 'sparse' | 'rowGuid'>,
  runner: Runner,
): Promise<void> {
  const { maxLength, precision, scale } = catalogSizes(column.type);
  const { identity } = column;
  await runner.run(`INSERT INTO tsql.columns (object_id, column_id, name, pg_name, type, system_type_id, user_type_id, max_length, precision, scale, collation_name,
    nullable, identity_seed, identity_increment, computed_text, persisted, sparse, rowguid) VALUES (${table.objectId}, ${column.id}, ${literal(column.name)}, ${literal(column.pgName)},
    ${json(column.type)}, ${systemType(column.type).systemTypeId}, ${userTypeId}, ${maxLength}, ${precision}, ${scale}, ${textOrNull(column.type.collation ?? null)},
    ${column.nullable}, ${identity?.seed ?? 'NULL'}, ${identity?.increment ?? 'NULL'}, ${textOrNull(column.computedText)}, ${column.computedText === null ? 'NULL' : column.persisted},
    ${definition.sparse}, ${definition.rowGuid})`);
}

/** DROP TABLE. */
export async function dropTable(table: Table, env: Env, runner: Runner): Promise<void> {
  const id = table.objectId;
  const referenced =
    env.schema.data.objects?.filter((object) => object.type === 'F' && object.parentId !== id) ?? [];
  for (const key of referenced) {
    await runner.run(
      `DO $$ BEGIN IF EXISTS (SELECT FROM tsql.foreign_keys WHERE object_id = ${key.id} AND referenced_object_id = ${id}) THEN PERFORM tsql.fail(3726, ${literal(`Could not drop object '${table.name}' because it is referenced by a FOREIGN KEY constraint.`)}); END IF; END $$`,
    );
  }
  await runner.run(`DROP TABLE ${table.pg} CASCADE`);
  await runner.run(`DROP SEQUENCE IF EXISTS tsql."id_${id}"`);
  for (const name of ['checks', 'foreign_keys', 'foreign_key_columns']) {
    await runner.run(
      `DELETE FROM tsql.${name} WHERE object_id IN (SELECT object_id FROM tsql.objects WHERE parent_object_id = ${id})`,
    );
  }
  for (const name of ['columns', 'indexes', 'index_columns'])
    await runner.run(`DELETE FROM tsql.${name} WHERE object_id = ${id}`);
  await runner.run(`DELETE FROM tsql.permissions WHERE class = 'object' AND id = ${id}`);
  const own = `SELECT object_id FROM tsql.objects WHERE object_id = ${id} OR parent_object_id = ${id}`;
  await runner.run(`DELETE FROM tsql.properties WHERE class IN (1, 7) AND major_id IN (${own})`);
  await runner.run(`DELETE FROM tsql.modules WHERE object_id IN (${own})`);
  await runner.run(`DELETE FROM tsql.objects WHERE object_id = ${id} OR parent_object_id = ${id}`);
}
