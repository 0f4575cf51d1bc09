/**
 * Prints a stored expression the way SQL Server's catalog shows it: `([Quantity]*[Price])`, `((0))`, `(getdate())`.
 *
 * Runs in the process of the stand-in SQL Server. Microsoft documents the shape only by example; what is not
 * known for sure keeps its meaning and parses again, which is all that is relied on here.
 */
import { SqlError } from '../contract.js';
import type { Expr, TypeRef } from './ast.js';

export function printExpression(expr: Expr): string {
  return `(${print(expr)})`;
}

const isNumber = (expr: Expr): boolean =>
  expr.k === 'literal' && ['integer', 'decimal', 'float', 'money'].includes(expr.literal);

const bracket = (name: string): string => `[${name.replaceAll(']', ']]')}]`;
const list = (exprs: Expr[]): string => exprs.map(print).join(',');

function printType(type: TypeRef): string {
  const args = type.args.length > 0 ? `(${type.args.join(',')})` : '';
  return `${type.schema ? `${bracket(type.schema)}.` : ''}${bracket(type.name.toLowerCase())}${args}`;
}

function literal(expr: Extract<Expr, { k: 'literal' }>): string {
  switch (expr.literal) {
    case 'null':
      return 'NULL';
    case 'string':
      return `'${expr.text.replaceAll("'", "''")}'`;
    case 'nstring':
      return `N'${expr.text.replaceAll("'", "''")}'`;
    case 'binary':
      return `0x${expr.text}`;
    case 'money':
      return `($${expr.text})`;
    default:
      return `(${expr.text})`;
  }
}

function print(expr: Expr): string {
  switch (expr.k) {
    case 'literal':
      return literal(expr);
    case 'column':
      return expr.path.map(bracket).join('.');
    case 'unary':
      return isNumber(expr.operand) && expr.operand.k === 'literal'
        ? `(${expr.op}${expr.operand.text})`
        : `${expr.op}${operand(expr.operand)}`;
    case 'binary':
      return `${operand(expr.left)}${expr.op}${operand(expr.right)}`;
    case 'compare':
      return `${operand(expr.left)}${expr.op}${operand(expr.right)}`;
    case 'and':
    case 'or':
      return `${side(expr.left, expr.k)} ${expr.k.toUpperCase()} ${side(expr.right, expr.k)}`;
    case 'not':
      return `NOT (${print(expr.operand)})`;
    case 'isNull':
      return `${print(expr.operand)} IS ${expr.not ? 'NOT ' : ''}NULL`;
    case 'between':
      return `${expr.not ? 'NOT ' : ''}(${print(expr.operand)}>=${print(expr.low)} AND ${print(expr.operand)}<=${print(expr.high)})`;
    case 'in': {
      if (!expr.list) return refuse();
      const tests = expr.list.map((item) => `${print(expr.operand)}=${print(item)}`).reverse();
      return `${expr.not ? 'NOT ' : ''}(${tests.join(' OR ')})`;
    }
    case 'like':
      return `${print(expr.operand)} ${expr.not ? 'NOT ' : ''}like ${print(expr.pattern)}${expr.escape ? ` escape ${print(expr.escape)}` : ''}`;
    case 'case': {
      const whens = expr.whens
        .map(({ when, result }) => ` when ${print(when)} then ${print(result)}`)
        .join('');
      const otherwise = expr.otherwise ? ` else ${print(expr.otherwise)}` : '';
      return `case${expr.operand ? ` ${print(expr.operand)}` : ''}${whens}${otherwise} end`;
    }
    case 'call':
      if (expr.over) return refuse();
      if (expr.name === 'CURRENT_TIMESTAMP') return 'getdate()';
      if (['USER', 'CURRENT_USER', 'SESSION_USER'].includes(expr.name)) return 'user_name()';
      return `${expr.name === 'SYSTEM_USER' ? 'suser_sname' : expr.name.toLowerCase()}(${list(expr.args)})`;
    case 'cast': {
      const name = expr.attempt ? 'TRY_CONVERT' : 'CONVERT';
      return `${name}(${printType(expr.type)},${print(expr.operand)}${expr.style ? `,${print(expr.style)}` : ''})`;
    }
    case 'collate':
      return `${operand(expr.operand)} collate ${expr.collation}`;
    case 'method':
      return `${print(expr.operand)}.${expr.name}(${list(expr.args)})`;
    case 'staticMethod':
      return `${bracket(expr.type)}::${expr.name}(${list(expr.args)})`;
    case 'nextValue':
      return `NEXT VALUE FOR ${expr.path.map(bracket).join('.')}`;
    default:
      return refuse();
  }
}

const operand = (expr: Expr): string => (expr.k === 'binary' ? `(${print(expr)})` : print(expr));
const side = (expr: Expr, parent: string): string =>
  expr.k === 'or' && parent === 'and' ? `(${print(expr)})` : print(expr);

function refuse(): never {
  throw new SqlError(
    1046,
    'Subqueries are not allowed in this context. Only scalar expressions are allowed.',
    { class: 15 },
  );
}
