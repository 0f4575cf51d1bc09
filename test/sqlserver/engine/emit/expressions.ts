/**
 * Emits T-SQL values and conditions as PostgreSQL expressions, each with its T-SQL type.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError, type SqlType } from '../../contract.js';
import type { Expr } from '../ast.js';
import { collation, collationOf } from '../collations.js';
import { escapeText, literal as pgText, same } from '../schema.js';
import {
  decimal,
  FLOAT,
  family,
  INT,
  isUnicode,
  MONEY,
  nvarchar,
  pgType,
  varbinary,
  varchar,
} from '../types.js';
import {
  constant,
  type Emitted,
  type Env,
  integerLiteral,
  isNullLiteral,
  nullOf,
  type Scope,
} from './context.js';
import { convert } from './convert.js';
import { call, globalVariable } from './functions.js';
import { method, staticMethod } from './methods.js';
import {
  arithmetic,
  commonCollationFrom,
  commonType,
  comparison,
  sharedCollation,
  sortKey,
} from './operators.js';
import { emitQuery } from './query.js';

export function value(expr: Expr, env: Env, scope: Scope): Emitted {
  switch (expr.k) {
    case 'literal':
      return literalValue(expr);
    case 'column':
      return column(expr.path, scope);
    case 'variable':
      return variable(expr.name, env);
    case 'unary':
      return unary(expr.op, expr.operand, env, scope);
    case 'binary':
      return arithmetic(expr.op, value(expr.left, env, scope), value(expr.right, env, scope));
    case 'case':
      return caseValue(expr, env, scope);
    case 'call':
      return call(expr, env, scope);
    case 'cast':
      return cast(expr, env, scope);
    case 'collate': {
      const operand = value(expr.operand, env, scope);
      const { name } = collation(expr.collation);
      const text = family(operand.type) === 'string' ? operand : convert(operand, nvarchar(30));
      // Another code page: what it lacks becomes '?'.
      const type: SqlType = { ...text.type, collation: name };
      const moved = isUnicode(type) || collationOf(text.type).codePage === collation(name).codePage;
      const sql = moved ? text.sql : `tsql.cp${collation(name).codePage}_filter(${text.sql})`;
      return { sql, type, nullable: text.nullable, collationFrom: 'explicit' };
    }
    case 'subquery': {
      const query = emitQuery(expr.query, env, scope);
      const [only] = query.columns;
      if (!only || query.columns.length !== 1) {
        throw new SqlError(
          116,
          'Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.',
        );
      }
      return { sql: `(${query.sql})`, type: only.type, nullable: true, collationFrom: 'column' };
    }
    case 'method':
      return method(expr, env, scope);
    case 'staticMethod':
      return staticMethod(expr, env, scope);
    case 'nextValue':
      return nextValue(expr.path, env);
    default:
      throw new SqlError(
        4145,
        'An expression of non-boolean type specified in a context where a condition is expected.',
        { class: 15 },
      );
  }
}

function nextValue(path: string[], env: Env): Emitted {
  const name = path.at(-1)!;
  const found = env.schema.sequence(path.at(-2) || 'dbo', name);
  if (!found) throw new SqlError(208, `Invalid object name '${path.filter(Boolean).join('.')}'.`);
  const sql = `nextval('tsql."sq_${found.id}"')::${pgType(found.type)}`;
  return { sql, type: found.type, nullable: false };
}

/** A condition as a PostgreSQL boolean. */
export function condition(expr: Expr, env: Env, scope: Scope): string {
  switch (expr.k) {
    case 'and':
      return `(${condition(expr.left, env, scope)} AND ${condition(expr.right, env, scope)})`;
    case 'or':
      return `(${condition(expr.left, env, scope)} OR ${condition(expr.right, env, scope)})`;
    case 'not':
      return `(NOT ${condition(expr.operand, env, scope)})`;
    case 'compare':
      return comparison(expr.op, value(expr.left, env, scope), value(expr.right, env, scope));
    case 'isNull':
      return `(${value(expr.operand, env, scope).sql} IS ${expr.not ? 'NOT ' : ''}NULL)`;
    case 'between': {
      const operand = value(expr.operand, env, scope);
      const low = comparison('>=', operand, value(expr.low, env, scope));
      const high = comparison('<=', operand, value(expr.high, env, scope));
      return expr.not ? `(NOT (${low} AND ${high}))` : `(${low} AND ${high})`;
    }
    case 'in':
      return membership(expr, env, scope);
    case 'like':
      return like(expr, env, scope);
    case 'exists':
      return `EXISTS (${emitQuery(expr.query, env, scope).sql})`;
    default:
      throw new SqlError(
        4145,
        'An expression of non-boolean type specified in a context where a condition is expected.',
        { class: 15 },
      );
  }
}

function literalValue(expr: Extract<Expr, { k: 'literal' }>): Emitted {
  const { text } = expr;
  const made = (type: SqlType, sql: string): Emitted => ({ sql, type, nullable: false, literal: expr });
  switch (expr.literal) {
    case 'null':
      return nullOf(INT);
    case 'integer': {
      const digits = text.replace(/^0+(?=\d)/, '');
      if (BigInt(digits) <= 2147483647n) return made(INT, digits);
      return made(decimal(digits.length, 0), `${digits}::numeric`);
    }
    case 'decimal': {
      const [whole = '', fraction = ''] = text.split('.');
      const digits = whole.replace(/^0+/, '');
      const precision = Math.max(digits.length + fraction.length, 1);
      if (precision > 38) {
        throw new SqlError(
          1007,
          `The number '${text}' is out of the range for numeric representation (maximum precision 38).`,
          { class: 15 },
        );
      }
      return made(
        { name: 'numeric', precision, scale: fraction.length },
        `'${digits || '0'}.${fraction || '0'}'::numeric${fraction ? '' : '::numeric(38,0)'}`,
      );
    }
    case 'float':
      return made(FLOAT, `'${/[eE][+-]?$/.test(text) ? `${text}0` : text}'::float8`);
    case 'money':
      return made(MONEY, `tsql.fit_money('${text}'::numeric, false, false)`);
    case 'binary':
      return made(varbinary(Math.max(1, text.length / 2)), `'\\x${text}'::bytea`);
    case 'string': {
      const stored = escapeText(text);
      const filtered = /[^\u0001-\u007f]/.test(text)
        ? `tsql.cp1252_filter(${pgText(stored)})`
        : pgText(stored);
      return { ...made(varchar(Math.max(1, text.length)), filtered), collationFrom: 'literal' };
    }
    default:
      return {
        ...made(nvarchar(Math.max(1, text.length)), pgText(escapeText(text))),
        collationFrom: 'literal',
        plain: !/[\u0000\ud800-\udfff]/.test(text),
      };
  }
}

function column(path: string[], scope: Scope): Emitted {
  const name = path[path.length - 1]!;
  const qualifier = path.length > 1 ? path[path.length - 2]! : null;
  const schema = path.length > 2 ? path[path.length - 3]! : null;
  for (let level: Scope | null = scope; level; level = level.parent) {
    const hits = level.sources
      .filter(
        (source) =>
          !qualifier ||
          (same(source.name, qualifier) &&
            (!schema || (source.schema !== null && same(source.schema, schema)))),
      )
      .flatMap((source) => source.columns.filter((candidate) => same(candidate.name, name)));
    if (hits.length > 1) throw new SqlError(209, `Ambiguous column name '${name}'.`);
    const [hit] = hits;
    if (!hit) continue;
    const emitted: Emitted = {
      sql: hit.sql,
      type: hit.type,
      nullable: hit.nullable,
      collationFrom: 'column',
    };
    // Grouped by its comparison key, a string is one of the group's spellings.
    return level.grouped?.get(hit.sql) ? { ...emitted, sql: `any_value(${hit.sql})` } : emitted;
  }
  if (qualifier && !knownSource(qualifier, scope)) {
    throw new SqlError(4104, `The multi-part identifier "${path.join('.')}" could not be bound.`);
  }
  throw new SqlError(207, `Invalid column name '${name}'.`);
}

function knownSource(name: string, scope: Scope): boolean {
  for (let level: Scope | null = scope; level; level = level.parent) {
    if (level.sources.some((source) => same(source.name, name))) return true;
  }
  return false;
}

function variable(name: string, env: Env): Emitted {
  if (name.startsWith('@@')) return globalVariable(name, env);
  const found = env.variables.get(name.toLowerCase());
  if (!found) throw new SqlError(137, `Must declare the scalar variable "${name}".`, { class: 15, state: 2 });
  const emitted = constant(found.type, found.text);
  // A variable is no literal NULL: it keeps its declared type.
  return { sql: emitted.sql, type: found.type, nullable: true, collationFrom: 'literal' };
}

function unary(op: string, operand: Expr, env: Env, scope: Scope): Emitted {
  const inner = value(operand, env, scope);
  if (op === '+') return inner;
  if (op === '~') {
    if (family(inner.type) === 'bit') return { ...inner, sql: `(NOT ${inner.sql})` };
    if (inner.type.name === 'tinyint') return { ...inner, sql: `(255 - ${inner.sql})::int2` };
    return { sql: `(~ ${inner.sql})`, type: inner.type, nullable: inner.nullable };
  }
  const number = integerLiteral(operand);
  const sql =
    inner.type.name === 'tinyint' && number === null ? `tsql.tiny(-(${inner.sql}))` : `(-(${inner.sql}))`;
  if (family(inner.type) === 'string')
    throw new SqlError(8117, `Operand data type ${inner.type.name} is invalid for minus operator.`);
  const { literal, type, nullable } = inner;
  return literal && literal.literal === 'integer'
    ? { sql, type, nullable, literal }
    : { sql, type, nullable };
}

function caseValue(expr: Extract<Expr, { k: 'case' }>, env: Env, scope: Scope): Emitted {
  const operand = expr.operand ? value(expr.operand, env, scope) : null;
  const thens = expr.whens.map(({ result }) => value(result, env, scope));
  const otherwise = expr.otherwise ? value(expr.otherwise, env, scope) : nullOf(INT);
  const results = [...thens, otherwise];
  if (results.every(isNullLiteral)) {
    throw new SqlError(
      8133,
      'At least one of the result expressions in a CASE specification must be an expression other than the NULL constant.',
    );
  }
  const type = commonType(results);
  const arms = expr.whens.map(({ when }, i) => {
    const test = operand ? comparison('=', operand, value(when, env, scope)) : condition(when, env, scope);
    return `WHEN ${test} THEN ${convert(thens[i]!, type).sql}`;
  });
  return {
    sql: `(CASE ${arms.join(' ')} ELSE ${convert(otherwise, type).sql} END)`,
    type,
    nullable: results.some((result) => result.nullable),
    collationFrom: commonCollationFrom(results),
    plain: results.every((result) => result.plain === true || isNullLiteral(result)),
  };
}

function cast(expr: Extract<Expr, { k: 'cast' }>, env: Env, scope: Scope): Emitted {
  const operand = value(expr.operand, env, scope);
  const { type } = env.schema.type(expr.type, 30);
  let style: number | undefined;
  if (expr.style) {
    const number = integerLiteral(expr.style);
    if (number === null)
      throw new SqlError(8116, 'Argument data type of the style parameter must be an integer constant here.');
    style = number;
  }
  const { literal: _dropped, ...typed } = convert(operand, type, {
    ...(style !== undefined && { style }),
    attempt: expr.attempt,
  });
  return typed;
}

function membership(expr: Extract<Expr, { k: 'in' }>, env: Env, scope: Scope): string {
  const operand = value(expr.operand, env, scope);
  const not = expr.not ? 'NOT ' : '';
  if (expr.query) {
    const query = emitQuery(expr.query, env, scope);
    const [only] = query.columns;
    if (!only || query.columns.length !== 1) {
      throw new SqlError(
        116,
        'Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.',
      );
    }
    const inner: Emitted = {
      sql: `q.${only.pg}`,
      type: only.type,
      nullable: only.nullable,
      collationFrom: 'column',
    };
    const type = commonType([operand, inner]);
    const side = (item: Emitted): string =>
      sortKey(family(item.type) === family(type) ? item : convert(item, type));
    return `(${side(operand)} ${not}IN (SELECT ${side(inner)} FROM (${query.sql}) AS q))`;
  }
  const tests = expr.list!.map((item) => comparison('=', operand, value(item, env, scope)));
  return `(${not}(${tests.join(' OR ')}))`;
}

function like(expr: Extract<Expr, { k: 'like' }>, env: Env, scope: Scope): string {
  const text = (emitted: Emitted): Emitted =>
    family(emitted.type) === 'string' ? emitted : convert(emitted, varchar(8000));
  const operand = text(value(expr.operand, env, scope));
  const pattern = text(value(expr.pattern, env, scope));
  const escapeSql = expr.escape ? value(expr.escape, env, scope).sql : 'NULL';
  const { collation: name } = sharedCollation(operand, pattern, 'like');
  const sensitive = name ? collation(name).caseSensitive : false;
  const exact = `tsql.like_regex(${pattern.sql}, ${escapeSql})`;
  // Microsoft: trailing blanks of the value count in Unicode only.
  const unicode = isUnicode(operand.type) || isUnicode(pattern.type);
  const regex = unicode ? exact : `(left(${exact}, -1) || ' *$')`;
  const operator = `${expr.not ? '!' : ''}~${sensitive ? '' : '*'}`;
  return `((${operand.sql} COLLATE "pg_c_utf8") ${operator} ${regex})`;
}
