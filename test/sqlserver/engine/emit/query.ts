/**
 * Emits SELECT: set operations, DISTINCT, GROUP BY and ORDER BY by SQL Server's comparison rules.
 *
 * Runs in the process of the stand-in SQL Server. Every subquery names its columns c1, c2, ...; names as the
 * client sees them travel beside the SQL.
 */
import { SqlError, type SqlType } from '../../contract.js';
import type { Body, Expr, OrderItem, Query, Select, SelectItem } from '../ast.js';
import { same } from '../schema.js';
import { BIGINT, family } from '../types.js';
import type { CommonTable, Emitted, Env, Scope, ScopeColumn } from './context.js';
import { fresh } from './context.js';
import { convert } from './convert.js';
import { condition, value } from './expressions.js';
import { commonType, sortKey } from './operators.js';
import { emitSources } from './sources.js';

export interface OutputColumn {
  name: string;
  type: SqlType;
  nullable: boolean;
  /** Name in the emitted SQL. */
  pg: string;
}

export interface EmittedQuery {
  sql: string;
  columns: OutputColumn[];
  /** `SELECT @x = ...`: the variable of each column. */
  assigns: string[] | null;
}

export function emitQuery(query: Query, env: Env, parent: Scope | null): EmittedQuery {
  const outer = env.commonTables;
  const ctes = query.ctes.map((cte) => {
    const emitted = emitQuery(cte.query, env, null);
    const table: CommonTable = {
      name: cte.name,
      pg: fresh(env, 'w'),
      columns: emitted.columns.map(({ name, type, nullable }, i) => ({
        name: cte.columns?.[i] ?? name,
        type,
        nullable,
      })),
    };
    env.commonTables = [...env.commonTables, table];
    return `${table.pg} AS (${emitted.sql})`;
  });
  const body = emitBody(query.body, env, parent, query);
  env.commonTables = outer;
  return ctes.length === 0 ? body : { ...body, sql: `WITH ${ctes.join(', ')} ${body.sql}` };
}

type Tail = Pick<Query, 'orderBy' | 'offset' | 'fetch'>;
const NO_TAIL: Tail = { orderBy: [], offset: null, fetch: null };

function emitBody(body: Body, env: Env, parent: Scope | null, tail: Tail): EmittedQuery {
  if (body.k === 'select') return emitSelect(body, env, parent, tail);
  if (body.k === 'nested') {
    const inner = emitQuery(body.query, env, parent);
    return tail.orderBy.length === 0
      ? { ...inner, sql: `(${inner.sql})` }
      : ordered(inner, env, parent, tail);
  }
  const left = emitBody(body.left, env, parent, NO_TAIL);
  const right = emitBody(body.right, env, parent, NO_TAIL);
  if (left.columns.length !== right.columns.length) {
    throw new SqlError(
      205,
      'All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of expressions in their target lists.',
    );
  }
  const columns = left.columns.map((column, i): OutputColumn => {
    const other = right.columns[i]!;
    const type = commonType([asEmitted(column, 'l'), asEmitted(other, 'r')]);
    return { name: column.name, type, nullable: column.nullable || other.nullable, pg: `c${i + 1}` };
  });
  const side = (query: EmittedQuery, alias: string): string => {
    const items = query.columns.map(
      (column, i) => `${convert(asEmitted(column, alias), columns[i]!.type).sql} AS c${i + 1}`,
    );
    return `SELECT ${items.join(', ')} FROM (${query.sql}) AS ${alias}`;
  };
  let sql: string;
  const keys = (alias: string): string =>
    columns.map((column) => sortKey(asEmitted(column, alias))).join(', ');
  if (body.op === 'UNION ALL') sql = `${side(left, 'l')} UNION ALL ${side(right, 'r')}`;
  else if (body.op === 'UNION') {
    sql = `SELECT DISTINCT ON (${keys('u')}) u.* FROM (${side(left, 'l')} UNION ALL ${side(right, 'r')}) AS u`;
  } else {
    const match = columns
      .map(
        (column) =>
          `${sortKey(asEmitted(column, 'a'))} IS NOT DISTINCT FROM ${sortKey(asEmitted(column, 'b'))}`,
      )
      .join(' AND ');
    const not = body.op === 'EXCEPT' ? 'NOT ' : '';
    sql = `SELECT DISTINCT ON (${keys('a')}) a.* FROM (${side(left, 'l')}) AS a WHERE ${not}EXISTS (SELECT FROM (${side(right, 'r')}) AS b WHERE ${match})`;
  }
  const result: EmittedQuery = { sql, columns, assigns: null };
  return tail.orderBy.length === 0 ? result : ordered(result, env, parent, tail);
}

const asEmitted = (column: OutputColumn, alias: string): Emitted => ({
  sql: `${alias}.${column.pg}`,
  type: column.type,
  nullable: column.nullable,
  collationFrom: 'column',
});

/** ORDER BY over a finished result: only its own columns can be named. */
function ordered(query: EmittedQuery, env: Env, parent: Scope | null, tail: Tail): EmittedQuery {
  const columns = query.columns.map((column) => ({ ...column, sql: `o.${column.pg}` }));
  const scope: Scope = { sources: [{ name: '', schema: null, columns }], parent };
  const keys = tail.orderBy.map((item) => orderKey(item, columns, env, scope));
  return {
    ...query,
    sql: `SELECT o.* FROM (${query.sql}) AS o ORDER BY ${keys.join(', ')}${limits(tail, null, env, scope)}`,
  };
}

/** An ORDER BY item: a position, an output column's name, or any expression. */
function orderKey(
  item: OrderItem,
  outputs: (ScopeColumn | (OutputColumn & { sql: string }))[],
  env: Env,
  scope: Scope,
): string {
  const { expr } = item;
  let emitted: Emitted | null = null;
  if (expr.k === 'literal' && expr.literal === 'integer') {
    const output = outputs[Number(expr.text) - 1];
    if (!output) {
      throw new SqlError(
        108,
        `The ORDER BY position number ${expr.text} is out of range of the number of items in the select list.`,
      );
    }
    emitted = { ...output, collationFrom: 'column' };
  } else if (expr.k === 'column' && expr.path.length === 1) {
    const output = outputs.find((candidate) => same(candidate.name, expr.path[0]!));
    if (output) emitted = { ...output, collationFrom: 'column' };
  }
  emitted ??= expr.k === 'subquery' ? null : value(expr, env, scope);
  if (!emitted) return 'NULL::int4';
  return `${sortKey(emitted)} ${item.desc ? 'DESC NULLS LAST' : 'ASC NULLS FIRST'}`;
}

function limits(tail: Tail, top: Expr | null, env: Env, scope: Scope): string {
  const number = (expr: Expr): string => convert(value(expr, env, scope), BIGINT).sql;
  if (top) return ` LIMIT ${number(top)}`;
  if (!tail.offset) return '';
  return `${tail.fetch ? ` LIMIT ${number(tail.fetch)}` : ''} OFFSET ${number(tail.offset)}`;
}

function emitSelect(select: Select, env: Env, parent: Scope | null, tail: Tail): EmittedQuery {
  const { from, scope: sourceScope } = emitSources(select.from, env, parent);
  const where = select.where ? ` WHERE ${condition(select.where, env, sourceScope)}` : '';
  const scope: Scope = { ...sourceScope };
  let groupBy = '';
  if (select.groupBy.length > 0) {
    const groups = select.groupBy.map((expr) => value(expr, env, sourceScope));
    groupBy = ` GROUP BY ${groups.map(sortKey).join(', ')}`;
    scope.grouped = new Map(groups.map((group) => [group.sql, sortKey(group) !== group.sql]));
  }
  const items = select.items.flatMap((item) => selectItem(item, env, scope));
  const assigns = select.items.some((item) => item.k === 'assign')
    ? select.items.map((item) => (item.k === 'assign' ? item.variable : ''))
    : null;
  const having = select.having ? ` HAVING ${condition(select.having, env, scope)}` : '';
  const columns = items.map(
    ({ name, emitted }, i): OutputColumn => ({
      name,
      type: emitted.type,
      nullable: emitted.nullable,
      pg: `c${i + 1}`,
    }),
  );
  const list = items.map(({ emitted }, i) => `${selectable(emitted)} AS c${i + 1}`).join(', ');
  const fromClause = from === '' ? '' : ` FROM ${from}`;
  if (select.distinct) {
    const keys = items.map(({ emitted }) => sortKey(emitted));
    const sql = `SELECT DISTINCT ON (${keys.join(', ')}) ${list}${fromClause}${where}${groupBy}${having}`;
    const result: EmittedQuery = { sql, columns, assigns };
    if (tail.orderBy.length > 0) {
      const query = ordered(result, env, parent, tail);
      return { ...query, sql: `${query.sql}${limits(NO_TAIL, select.top, env, scope)}` };
    }
    return select.top
      ? { ...result, sql: `SELECT * FROM (${sql}) AS d${limits(tail, select.top, env, scope)}` }
      : result;
  }
  const outputs = items.map(({ name, emitted, aliased }) => ({ name: aliased ? name : '', ...emitted }));
  const positions = items.map(({ name, emitted }) => ({ name, ...emitted }));
  const order = tail.orderBy.map((item) =>
    orderKey(item, item.expr.k === 'literal' ? positions : outputs, env, scope),
  );
  const orderBy = order.length > 0 ? ` ORDER BY ${order.join(', ')}` : '';
  const sql = `SELECT ${list}${fromClause}${where}${groupBy}${having}${orderBy}${limits(tail, select.top, env, scope)}`;
  return { sql, columns, assigns };
}

/** A bare constant in a select list needs its type: PostgreSQL would guess another. */
function selectable(emitted: Emitted): string {
  return emitted.literal?.literal === 'integer' && family(emitted.type) === 'integer'
    ? `${emitted.sql}::int4`
    : emitted.sql;
}

interface Item {
  name: string;
  emitted: Emitted;
  aliased: boolean;
}

function selectItem(item: SelectItem, env: Env, scope: Scope): Item[] {
  if (item.k === 'star') {
    const [qualifier] = item.path.slice(-1);
    const sources = scope.sources.filter((source) => qualifier === undefined || same(source.name, qualifier));
    if (sources.length === 0) {
      throw new SqlError(
        qualifier === undefined ? 263 : 107,
        qualifier === undefined
          ? 'Must specify table to select from.'
          : `The column prefix '${qualifier}' does not match with a table name or alias name used in the query.`,
        { class: 15 },
      );
    }
    return sources.flatMap((source) =>
      source.columns.map(
        ({ name, type, nullable, sql }): Item => ({
          name,
          emitted: { sql, type, nullable, collationFrom: 'column' },
          aliased: false,
        }),
      ),
    );
  }
  const emitted = value(item.expr, env, scope);
  if (item.k === 'assign') return [{ name: '', emitted, aliased: false }];
  const own = item.expr.k === 'column' ? item.expr.path[item.expr.path.length - 1]! : '';
  return [{ name: item.alias ?? own, emitted, aliased: item.alias !== null }];
}
