/**
 * Mathematical functions.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import type { SqlType } from '../../contract.js';
import { asDecimal, decimal, FLOAT, family, INT } from '../types.js';
import type { Emitted } from './context.js';
import { convert } from './convert.js';
import type { BuiltIn } from './functions.js';

/** tinyint, smallint and bit become int; strings become float. */
function number(value: Emitted): Emitted {
  if (['tinyint', 'smallint', 'bit'].includes(value.type.name)) return convert(value, INT);
  return family(value.type) === 'string' ? convert(value, FLOAT) : value;
}

const abs: BuiltIn = ({ arg }) => {
  const { sql, type, nullable } = number(arg(0));
  return { sql: `abs(${sql})`, type, nullable };
};

const whole =
  (name: 'floor' | 'ceil'): BuiltIn =>
  ({ arg }) => {
    const { sql, type, nullable } = number(arg(0));
    if (family(type) === 'integer') return { sql, type, nullable };
    const result: SqlType =
      family(type) === 'decimal' ? { name: 'numeric', precision: asDecimal(type).precision, scale: 0 } : type;
    return { sql: `${name}(${sql})`, type: result, nullable };
  };

const round: BuiltIn = ({ arg, has }) => {
  const { sql, type, nullable } = number(arg(0));
  const digits = convert(arg(1), INT).sql;
  const name = has(2)
    ? `CASE WHEN ${convert(arg(2), INT).sql} = 0 THEN round(%) ELSE trunc(%) END`
    : 'round(%)';
  const apply = (numeric: string): string => name.replaceAll('%', `${numeric}, ${digits}`);
  switch (family(type)) {
    case 'integer':
      return {
        sql: `(${apply(`(${sql})::numeric`)})::${type.name === 'bigint' ? 'int8' : 'int4'}`,
        type,
        nullable,
      };
    case 'float':
      return { sql: `(${apply(`(${sql})::text::numeric`)})::float8`, type: FLOAT, nullable };
    default: {
      const { precision, scale } = asDecimal(type);
      return {
        sql: `tsql.fit_decimal(${apply(sql)}, ${precision}, ${scale}, 'expression', false)`,
        type,
        nullable,
      };
    }
  }
};

const float =
  (name: string): BuiltIn =>
  ({ arg }) => {
    const value = convert(arg(0), FLOAT);
    return { sql: `${name}(${value.sql})`, type: FLOAT, nullable: value.nullable };
  };

/** POWER returns the type of its first argument; decimal(p, s) becomes decimal(38, s). */
const power: BuiltIn = ({ arg }) => {
  const base = number(arg(0));
  const exponent = convert(arg(1), FLOAT);
  const nullable = base.nullable || exponent.nullable;
  const raised: Emitted = {
    sql: `power(${convert(base, FLOAT).sql}, ${exponent.sql})`,
    type: FLOAT,
    nullable,
  };
  if (family(base.type) === 'float') return raised;
  const type = family(base.type) === 'decimal' ? decimal(38, asDecimal(base.type).scale) : base.type;
  return { ...convert(raised, type), nullable };
};

const sign: BuiltIn = ({ arg }) => {
  const { sql, type, nullable } = number(arg(0));
  const result = family(type) === 'integer' ? `::${type.name === 'bigint' ? 'int8' : 'int4'}` : '';
  return { sql: `sign(${sql})${result}`, type, nullable };
};

export const mathFunctions: Record<string, BuiltIn> = {
  ABS: abs,
  FLOOR: whole('floor'),
  CEILING: whole('ceil'),
  ROUND: round,
  POWER: power,
  SIGN: sign,
  SQRT: float('sqrt'),
  EXP: float('exp'),
  LOG10: float('log10'),
  SQUARE: ({ arg }) => {
    const value = convert(arg(0), FLOAT);
    return { sql: `power(${value.sql}, 2::float8)`, type: FLOAT, nullable: value.nullable };
  },
  LOG: ({ arg }) => {
    const value = convert(arg(0), FLOAT);
    return { sql: `ln(${value.sql})`, type: FLOAT, nullable: value.nullable };
  },
  PI: () => ({ sql: 'pi()', type: FLOAT, nullable: false }),
};
