/**
 * Emits FROM: tables, catalog views, derived tables, VALUES, GENERATE_SERIES, joins and APPLY.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError, type SqlType } from '../../contract.js';
import type { Source } from '../ast.js';
import { catalogView } from '../catalog.js';
import { parseBatch } from '../parse/index.js';
import { quote, same, type Table } from '../schema.js';
import { pgType } from '../types.js';
import { type Emitted, type Env, fresh, integerLiteral, type Scope, type ScopeSource } from './context.js';
import { convert } from './convert.js';
import { condition, value } from './expressions.js';
import { commonType } from './operators.js';
import { requirePermission } from './permissions.js';
import { emitQuery } from './query.js';

export function emitSources(from: Source[], env: Env, parent: Scope | null): { from: string; scope: Scope } {
  const scope: Scope = { sources: [], parent };
  const parts = from.map((source) => emitSource(source, env, scope, parent));
  return { from: parts.join(', '), scope };
}

/** @throws SqlError 208 where no table or catalog view has that name. */
export function findTable(path: string[], env: Env): Table {
  const [schema, name] = schemaAndName(path, env);
  const table = env.schema.table(schema, name);
  if (!table) throw new SqlError(208, `Invalid object name '${path.filter(Boolean).join('.')}'.`);
  return table;
}

/** `db.schema.table` only of the session's own database; no schema means dbo. */
export function schemaAndName(path: string[], env: Env): [string, string] {
  const name = path[path.length - 1]!;
  const schema = path.length > 1 ? path[path.length - 2] || 'dbo' : 'dbo';
  const database = path.length > 2 ? path[path.length - 3] : '';
  if (database && !same(database, env.session.database)) {
    throw new SqlError(208, `Invalid object name '${path.filter(Boolean).join('.')}'.`);
  }
  return [schema, name];
}

/** A table's columns under an alias. */
export function tableSource(table: Table, alias: string, name: string | null): ScopeSource {
  return {
    name: name ?? table.name,
    schema: name === null ? table.schema : null,
    columns: table.columns.map((column) => ({
      name: column.name,
      type: column.type,
      nullable: column.nullable,
      sql: `${alias}.${quote(column.pgName)}`,
    })),
  };
}

function addSource(scope: Scope, source: ScopeSource): void {
  if (
    scope.sources.some(
      (other) =>
        same(other.name, source.name) &&
        (other.schema === null || source.schema === null || same(other.schema, source.schema)),
    )
  ) {
    throw new SqlError(
      1013,
      `The objects "${source.name}" and "${source.name}" in the FROM clause have the same exposed names. Use correlation names to distinguish them.`,
    );
  }
  scope.sources.push(source);
}

function emitSource(source: Source, env: Env, scope: Scope, parent: Scope | null): string {
  switch (source.k) {
    case 'table':
      return tableOrView(source, env, scope);
    case 'derived': {
      const query = emitQuery(source.query, env, parent);
      const alias = fresh(env, 't');
      addSource(scope, {
        name: source.alias,
        schema: null,
        columns: query.columns.map(({ name, type, nullable, pg }, i) => ({
          name: source.columns?.[i] ?? name,
          type,
          nullable,
          sql: `${alias}.${pg}`,
        })),
      });
      return `(${query.sql}) AS ${alias}`;
    }
    case 'values':
      return valuesTable(source, env, scope, parent);
    case 'series':
      return series(source, env, scope, parent);
    case 'join': {
      const before = scope.sources.length;
      const left = emitSource(source.left, env, scope, parent);
      const middle = scope.sources.length;
      const right = emitSource(source.right, env, scope, parent);
      if (source.kind === 'RIGHT' || source.kind === 'FULL') optional(scope, before, middle);
      if (source.kind === 'LEFT' || source.kind === 'FULL') optional(scope, middle);
      const on = source.on ? ` ON ${condition(source.on, env, scope)}` : '';
      return `(${left} ${source.kind} JOIN ${right}${on})`;
    }
    default: {
      const left = emitSource(source.left, env, scope, parent);
      const middle = scope.sources.length;
      const outer: Scope = { sources: scope.sources.slice(), parent };
      const right = emitSource(source.right, env, scope, outer);
      if (source.outer) optional(scope, middle);
      return `(${left} ${source.outer ? 'LEFT' : 'CROSS'} JOIN LATERAL ${right}${source.outer ? ' ON true' : ''})`;
    }
  }
}

/** The side an outer join may leave out: all its columns can be NULL. */
function optional(scope: Scope, from: number, to = scope.sources.length): void {
  for (let i = from; i < to; i++) {
    const source = scope.sources[i]!;
    scope.sources[i] = {
      ...source,
      columns: source.columns.map((column) => ({ ...column, nullable: true })),
    };
  }
}

function tableOrView(source: Extract<Source, { k: 'table' }>, env: Env, scope: Scope): string {
  const [schema, name] = schemaAndName(source.path, env);
  const alias = fresh(env, 't');
  const common = source.path.length === 1 && env.commonTables.findLast((table) => same(table.name, name));
  if (common) {
    const columns = common.columns.map((column, i) => ({ ...column, sql: `${alias}.c${i + 1}` }));
    addSource(scope, { name: source.alias ?? name, schema: null, columns });
    return `${common.pg} AS ${alias}`;
  }
  const view = catalogView(schema, name, env.catalog);
  if (view) {
    const columns = view.columns.map((column) => ({ ...column, sql: `${alias}."${column.name}"` }));
    addSource(scope, { name: source.alias ?? name, schema: source.alias ? null : schema, columns });
    return `(${view.sql}) AS ${alias}`;
  }
  const own = env.schema.view(schema, name);
  if (own) return ownView(source, { ...own, schema, name }, env, scope);
  const table = findTable(source.path, env);
  requirePermission(env, table, 'SELECT');
  env.reads.add(table.objectId);
  addSource(scope, tableSource(table, alias, source.alias));
  return `${table.pg} AS ${alias}`;
}

/** A view of CREATE VIEW: its query in place, read with its owner's rights. */
function ownView(
  source: Extract<Source, { k: 'table' }>,
  view: { objectId: number; schemaId: number; schema: string; name: string; definition: string },
  env: Env,
  scope: Scope,
): string {
  requirePermission(env, view, 'SELECT');
  const [created] = parseBatch(view.definition);
  if (created?.k !== 'createModule' || !created.query)
    throw new SqlError(208, `Invalid object name '${view.name}'.`);
  const owner: Env = {
    ...env,
    session: { ...env.session, principal: '' },
    variables: new Map(),
    commonTables: [],
  };
  const query = emitQuery(created.query, owner, null);
  const alias = fresh(env, 't');
  addSource(scope, {
    name: source.alias ?? view.name,
    schema: source.alias ? null : view.schema,
    columns: query.columns.map(({ name, type, nullable, pg }, i) => ({
      name: created.columns?.[i] ?? name,
      type,
      nullable,
      sql: `${alias}.${pg}`,
    })),
  });
  return `(${query.sql}) AS ${alias}`;
}

function valuesTable(
  source: Extract<Source, { k: 'values' }>,
  env: Env,
  scope: Scope,
  parent: Scope | null,
): string {
  const inner: Scope = { sources: [], parent };
  const rows = source.rows.map((row) => row.map((expr) => value(expr, env, inner)));
  const alias = fresh(env, 't');
  const types = source.columns.map((_, i) =>
    commonType(rows.map((row) => cell(row, i, source.columns.length))),
  );
  const lines = rows.map(
    (row) => `(${types.map((type, i) => `${convert(row[i]!, type).sql}::${pgType(type)}`).join(', ')})`,
  );
  addSource(scope, {
    name: source.alias,
    schema: null,
    columns: source.columns.map((name, i) => ({
      name,
      type: types[i]!,
      nullable: rows.some((row) => row[i]!.nullable),
      sql: `${alias}.c${i + 1}`,
    })),
  });
  return `(VALUES ${lines.join(', ')}) AS ${alias}(${types.map((_, i) => `c${i + 1}`).join(', ')})`;
}

function cell(row: Emitted[], i: number, width: number): Emitted {
  if (row.length !== width) {
    throw new SqlError(
      10709,
      'The number of columns for each row in a table value constructor must be the same.',
    );
  }
  return row[i]!;
}

/** GENERATE_SERIES(start, stop [, step]): one column `value` of the arguments' type. */
function series(
  source: Extract<Source, { k: 'series' }>,
  env: Env,
  scope: Scope,
  parent: Scope | null,
): string {
  const inner: Scope = { sources: scope.sources.slice(), parent };
  const args = source.args.map((arg) => value(arg, env, inner));
  const [start, stop, step] = args;
  if (!start || !stop)
    throw new SqlError(
      313,
      'An insufficient number of arguments were supplied for the procedure or function GENERATE_SERIES.',
    );
  const type: SqlType = start.type;
  if (
    !['tinyint', 'smallint', 'int', 'bigint'].includes(type.name) ||
    stop.type.name !== type.name ||
    (step && step.type.name !== type.name)
  ) {
    throw new SqlError(
      5373,
      'All the input parameters should be of the same type. Supported types are tinyint, smallint, int, bigint, decimal and numeric.',
    );
  }
  const alias = fresh(env, 't');
  const pg = type.name === 'bigint' ? 'int8' : 'int4';
  const stepSql = step
    ? `(${step.sql})::${pg}`
    : `CASE WHEN ${start.sql} <= ${stop.sql} THEN 1 ELSE -1 END::${pg}`;
  const stepNumber = source.args[2] && integerLiteral(source.args[2]);
  if (stepNumber === 0)
    throw new SqlError(4199, 'Argument value 0 is invalid for argument 3 of generate_series function.');
  const narrow = type.name === 'tinyint' || type.name === 'smallint' ? '::int2' : '';
  addSource(scope, {
    name: source.alias ?? 'GENERATE_SERIES',
    schema: null,
    columns: [{ name: 'value', type, nullable: false, sql: `${alias}.c1${narrow}` }],
  });
  return `generate_series((${start.sql})::${pg}, (${stop.sql})::${pg}, ${stepSql}) AS ${alias}(c1)`;
}
