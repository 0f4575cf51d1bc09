/**
 * Numbers: literals, arithmetic with SQL Server's result types, and the number functions.
 *
 * Pure, any thread.
 */
import type { Arithmetic, Expression } from './ast.js';
import { digitsOf, isNumber, type SqlType } from './sqlType.js';
import { Untranslatable } from './untranslatable.js';
import { atom, compound, operand, type Scope, type Value, wholeNumber } from './value.js';

const MAX_INT = 2_147_483_647n;
const MAX_PRECISION = 38;

/** @returns a literal with its type: int where it fits, else decimal; float with an exponent. */
export function numberLiteral(text: string): Value {
  const literal = { kind: 'number', text } as const;
  if (/e/i.test(text))
    return { ...atom(`CAST(${text} AS double precision)`, { family: 'float', bytes: 8 }), literal };
  const [whole = '', fraction = ''] = text.split('.');
  const digits = whole.replace(/^0+/, '');
  if (!text.includes('.') && BigInt(text) <= MAX_INT) {
    return { ...atom(text, { family: 'integer', bytes: 4 }), literal };
  }
  const precision = Math.max(digits.length + fraction.length, 1);
  if (precision > MAX_PRECISION) throw new Untranslatable('a number has more than 38 digits');
  const type: SqlType = { family: 'decimal', precision, scale: fraction.length, money: false };
  const sql = text.includes('.') ? text : `CAST(${text} AS numeric)`;
  return { ...atom(sql, type), literal };
}

/** @throws Untranslatable where SQL Server would round and PostgreSQL would not. */
export function arithmetic(operator: Arithmetic, left: Value, right: Value): Value {
  const [a, b] = [left.type, right.type];
  if (a.family === 'datetime' && a.name !== 'datetime2' && (operator === '+' || operator === '-')) {
    if (b.family === 'integer' && b.bytes !== 8) {
      return compound(`${operand(left)} ${operator} make_interval(days => ${right.sql})`, a);
    }
  }
  if (!isNumber(a) || !isNumber(b)) throw new Untranslatable(`${operator} of ${a.family} and ${b.family}`);
  const number = (value: Value): string =>
    value.type.family === 'bit' ? `CAST(${value.sql} AS integer)` : operand(value);
  const symbol = operator === '^' ? '#' : operator;
  const result = (type: SqlType): Value => compound(`${number(left)} ${symbol} ${number(right)}`, type);
  if ('&|^'.includes(operator)) {
    if (a.family !== 'integer' || b.family !== 'integer')
      throw new Untranslatable(`${operator} of what is no integer`);
    return result({ family: 'integer', bytes: Math.max(a.bytes, b.bytes) as 4 });
  }
  if (a.family === 'bit' && b.family === 'bit') throw new Untranslatable(`${operator} of two bits`);
  if (a.family === 'float' || b.family === 'float') {
    if (operator === '%') throw new Untranslatable('% of floats');
    if ([a, b].some((type) => type.family === 'float' && type.bytes === 4) && !(a.family === b.family)) {
      throw new Untranslatable('arithmetic of real and other numbers');
    }
    return result({
      family: 'float',
      bytes: a.family === 'float' && b.family === 'float' && a.bytes + b.bytes === 8 ? 4 : 8,
    });
  }
  if (a.family !== 'decimal' && b.family !== 'decimal') {
    const bytes = (type: SqlType): number => (type.family === 'integer' ? type.bytes : 1);
    return result({ family: 'integer', bytes: Math.max(bytes(a), bytes(b)) as 4 });
  }
  return result(decimalResult(operator, a, b));
}

function decimalResult(operator: Arithmetic, a: SqlType, b: SqlType): SqlType {
  const [x, y] = [digitsOf(a), digitsOf(b)] as [
    { precision: number; scale: number },
    { precision: number; scale: number },
  ];
  const money = [a, b].every((type) => type.family !== 'decimal' || type.money);
  if (operator === '/')
    throw new Untranslatable('SQL Server rounds the quotient of decimals at a scale of its own');
  const whole = Math.max(x.precision - x.scale, y.precision - y.scale);
  const bothMoney = a.family === 'decimal' && b.family === 'decimal' && money;
  if (operator === '*' && bothMoney)
    throw new Untranslatable('SQL Server rounds the product of money at four digits');
  if (operator === '%') {
    if (money) throw new Untranslatable('% of money');
    const scale = Math.max(x.scale, y.scale);
    return {
      family: 'decimal',
      precision: Math.min(x.precision - x.scale, y.precision - y.scale) + scale,
      scale,
      money,
    };
  }
  const scale = operator === '*' ? x.scale + y.scale : Math.max(x.scale, y.scale);
  const precision = operator === '*' ? x.precision + y.precision + 1 : whole + scale + 1;
  if (money) return { family: 'decimal', precision: 19, scale: 4, money };
  if (precision > MAX_PRECISION)
    throw new Untranslatable('SQL Server may round a result of more than 38 digits');
  return { family: 'decimal', precision, scale, money };
}

type Maker = (scope: Scope, list: readonly Expression[]) => Value;

export const NUMBER_FUNCTIONS: Record<string, Maker> = {
  ABS: (scope, [argument]) => {
    const value = number(scope, argument);
    return atom(`abs(${value.sql})`, value.type);
  },
  FLOOR: (scope, [argument]) => whole(scope, argument, 'floor'),
  CEILING: (scope, [argument]) => whole(scope, argument, 'ceiling'),
  ROUND(scope, [argument, digits, truncate]) {
    const value = number(scope, argument);
    const places = digits === undefined ? null : wholeNumber(scope.scalar(digits));
    if (places === null || places < 0)
      throw new Untranslatable('ROUND to a number of digits that is no literal');
    const cuts = truncate !== undefined && wholeNumber(scope.scalar(truncate)) !== 0;
    if (value.type.family === 'integer') return value;
    if (value.type.family === 'float') throw new Untranslatable('ROUND of a float');
    return atom(`${cuts ? 'trunc' : 'round'}(${value.sql}, ${places})`, value.type);
  },
  SIGN: (scope, [argument]) => {
    const value = number(scope, argument);
    return atom(
      `CAST(sign(${value.sql}) AS ${value.type.family === 'float' ? 'double precision' : 'integer'})`,
      value.type,
    );
  },
};

function number(scope: Scope, argument: Expression | undefined): Value {
  if (argument === undefined) throw new Untranslatable('an argument is missing');
  const value = scope.scalar(argument);
  if (!isNumber(value.type) || value.type.family === 'bit')
    throw new Untranslatable('a number function of no number');
  return value;
}

function whole(scope: Scope, argument: Expression | undefined, name: string): Value {
  const value = number(scope, argument);
  if (value.type.family === 'integer') return value;
  const type: SqlType = value.type.family === 'decimal' ? { ...value.type, scale: 0 } : value.type;
  return atom(`${name}(${value.sql})`, type);
}
