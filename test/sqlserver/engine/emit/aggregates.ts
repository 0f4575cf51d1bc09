/**
 * Aggregates and window functions.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError, type SqlType } from '../../contract.js';
import { collationOf } from '../collations.js';
import { asDecimal, BIGINT, describe, FLOAT, family, INT, MONEY, pgType } from '../types.js';
import type { Emitted } from './context.js';
import { value } from './expressions.js';
import type { BuiltIn, Invocation } from './functions.js';
import { sortKey } from './operators.js';

/** OVER (...) as PostgreSQL has it; NULLs sort first, as in SQL Server. */
function over({ call, env, scope }: Invocation): string {
  if (!call.over) return '';
  const keys = call.over.partitionBy.map((expr) => sortKey(value(expr, env, scope)));
  const order = call.over.orderBy.map(({ expr, desc }) => {
    // ORDER BY (SELECT NULL) asks for no order at all.
    if (expr.k === 'subquery') return 'NULL::int4';
    return `${sortKey(value(expr, env, scope))} ${desc ? 'DESC NULLS LAST' : 'ASC NULLS FIRST'}`;
  });
  const parts = [
    ...(keys.length > 0 ? [`PARTITION BY ${keys.join(', ')}`] : []),
    ...(order.length > 0 ? [`ORDER BY ${order.join(', ')}`] : []),
  ];
  return ` OVER (${parts.join(' ')})`;
}

/** An argument of an aggregate is read row by row, not group by group. */
function rowArgument(invocation: Invocation): Emitted {
  const { call, env, scope } = invocation;
  const [argument] = call.args;
  if (!argument) return invocation.arg(0);
  const { grouped: _grouped, ...rowScope } = scope;
  return value(argument, env, call.over ? scope : rowScope);
}

function count(type: SqlType): BuiltIn {
  return (invocation) => {
    const { call } = invocation;
    const what = call.star
      ? '*'
      : `${call.distinct ? 'DISTINCT ' : ''}${call.distinct ? sortKey(rowArgument(invocation)) : rowArgument(invocation).sql}`;
    return { sql: `count(${what})${over(invocation)}::${pgType(type)}`, type, nullable: true };
  };
}

function numeric(name: 'sum' | 'avg'): BuiltIn {
  return (invocation) => {
    const operand = rowArgument(invocation);
    const distinct = invocation.call.distinct ? 'DISTINCT ' : '';
    const aggregate = `${name}(${distinct}${operand.sql})${over(invocation)}`;
    switch (family(operand.type)) {
      case 'integer': {
        const type = operand.type.name === 'bigint' ? BIGINT : INT;
        return {
          sql: `${name === 'avg' ? `trunc(${aggregate})` : aggregate}::${pgType(type)}`,
          type,
          nullable: true,
        };
      }
      case 'decimal': {
        const { scale } = asDecimal(operand.type);
        const type = { name: 'decimal', precision: 38, scale: name === 'sum' ? scale : Math.max(scale, 6) };
        const sql = name === 'sum' ? aggregate : `trunc(${aggregate}, ${type.scale})`;
        return {
          sql: `tsql.fit_decimal(${sql}, 38, ${type.scale}, 'expression', false)`,
          type,
          nullable: true,
        };
      }
      case 'money':
        return {
          sql: `tsql.fit_money(${name === 'avg' ? `trunc(${aggregate}, 4)` : aggregate}, false, false)`,
          type: MONEY,
          nullable: true,
        };
      case 'float':
        return { sql: `${aggregate}::float8`, type: FLOAT, nullable: true };
      default:
        throw new SqlError(
          8117,
          `Operand data type ${describe(operand.type)} is invalid for ${name} operator.`,
        );
    }
  };
}

function extreme(name: 'min' | 'max'): BuiltIn {
  return (invocation) => {
    const operand = rowArgument(invocation);
    const end = over(invocation);
    const from = operand.collationFrom && { collationFrom: operand.collationFrom };
    const made = (sql: string): Emitted => ({ sql, type: operand.type, nullable: true, ...from });
    switch (family(operand.type)) {
      case 'string':
        return made(`(${name}(${operand.sql} COLLATE ${collationOf(operand.type).pg})${end} COLLATE "C")`);
      case 'uniqueidentifier':
        return made(`tsql.guid_${name}(array_agg(${operand.sql})${end})`);
      case 'datetimeoffset':
        return made(
          `((array_agg(${operand.sql} ORDER BY tsql.offset_utc(${operand.sql}) ${name === 'min' ? 'ASC' : 'DESC'}))[1])`,
        );
      case 'bit':
      case 'xml':
      case 'clr':
      case 'variant':
        throw new SqlError(
          8117,
          `Operand data type ${describe(operand.type)} is invalid for ${name} operator.`,
        );
      default:
        return made(`${name}(${operand.sql})${end}`);
    }
  };
}

const ranking =
  (name: string): BuiltIn =>
  (invocation) => {
    if (!invocation.call.over) {
      throw new SqlError(10753, `The function '${name.toUpperCase()}' must have an OVER clause.`, {
        class: 15,
      });
    }
    const argument = name === 'ntile' ? `(${invocation.arg(0).sql})::int4` : '';
    return { sql: `${name}(${argument})${over(invocation)}::int8`, type: BIGINT, nullable: true };
  };

const neighbour =
  (name: 'lag' | 'lead'): BuiltIn =>
  (invocation) => {
    const operand = invocation.arg(0);
    const offset = invocation.has(1) ? `, (${invocation.arg(1).sql})::int4` : '';
    return { sql: `${name}(${operand.sql}${offset})${over(invocation)}`, type: operand.type, nullable: true };
  };

export const aggregates: Record<string, BuiltIn> = {
  COUNT: count(INT),
  COUNT_BIG: count(BIGINT),
  SUM: numeric('sum'),
  AVG: numeric('avg'),
  MIN: extreme('min'),
  MAX: extreme('max'),
  ROW_NUMBER: ranking('row_number'),
  RANK: ranking('rank'),
  DENSE_RANK: ranking('dense_rank'),
  NTILE: ranking('ntile'),
  LAG: neighbour('lag'),
  LEAD: neighbour('lead'),
};
