/**
 * Functions over any type: ISNULL, COALESCE, NULLIF, NEWID, ISNUMERIC, variants.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError } from '../../contract.js';
import { family, INT, nvarchar, UNIQUEIDENTIFIER } from '../types.js';
import { isNullLiteral, nullOf } from './context.js';
import { convert } from './convert.js';
import type { BuiltIn } from './functions.js';
import { commonCollationFrom, commonType, comparison } from './operators.js';

/** ISNULL has the type of its first argument; COALESCE the highest of all. */
const isNull: BuiltIn = ({ arg }) => {
  const [check, replacement] = [arg(0), arg(1)];
  if (isNullLiteral(check)) return replacement;
  const sql = `coalesce(${check.sql}, ${convert(replacement, check.type).sql})`;
  return {
    sql,
    type: check.type,
    nullable: check.nullable && replacement.nullable,
    ...(check.collationFrom && { collationFrom: check.collationFrom }),
  };
};

const coalesce: BuiltIn = ({ arg, call }) => {
  const values = call.args.map((_, i) => arg(i));
  if (values.every(isNullLiteral)) {
    throw new SqlError(
      4127,
      'At least one of the arguments to COALESCE must be an expression that is not the NULL constant.',
    );
  }
  const type = commonType(values);
  return {
    sql: `coalesce(${values.map((value) => convert(value, type).sql).join(', ')})`,
    type,
    nullable: values.every((value) => value.nullable),
    collationFrom: commonCollationFrom(values),
  };
};

const nullIf: BuiltIn = ({ arg }) => {
  const [a, b] = [arg(0), arg(1)];
  if (isNullLiteral(b)) return a;
  const { sql } = nullOf(a.type);
  return {
    sql: `(CASE WHEN ${comparison('=', a, b)} THEN ${sql} ELSE ${a.sql} END)`,
    type: a.type,
    nullable: true,
    ...(a.collationFrom && { collationFrom: a.collationFrom }),
  };
};

const VARIANT_PROPERTIES: Record<string, string> = {
  basetype: 'name',
  precision: 'precision',
  scale: 'scale',
  maxlength: 'length',
  collation: 'collation',
};

const variantProperty: BuiltIn = ({ arg, call }) => {
  const name = call.args[1];
  const property = name?.k === 'literal' ? VARIANT_PROPERTIES[name.text.toLowerCase()] : undefined;
  if (!property || property === 'length')
    throw new SqlError(8116, 'SQL_VARIANT_PROPERTY knows BaseType, Precision, Scale and Collation here.');
  const value = convert(arg(0), { name: 'sql_variant' });
  const text = ['name', 'collation'].includes(property);
  const type = text ? nvarchar(128) : INT;
  const inner = `((${value.sql})::json -> 'type' ->> '${property}')`;
  return {
    sql: `tsql.variant('${JSON.stringify(type)}', ${inner})`,
    type: { name: 'sql_variant' },
    nullable: true,
  };
};

const isNumeric: BuiltIn = ({ arg }) => {
  const value = arg(0);
  if (family(value.type) !== 'string') {
    const yes = ['bit', 'integer', 'decimal', 'money', 'float'].includes(family(value.type)) ? 1 : 0;
    return { sql: `CASE WHEN ${value.sql} IS NULL THEN 0 ELSE ${yes} END`, type: INT, nullable: false };
  }
  const pattern = `'^[+-]?[$]?(\\d[\\d,]*\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?$'`;
  return { sql: `CASE WHEN btrim(${value.sql}) ~ ${pattern} THEN 1 ELSE 0 END`, type: INT, nullable: false };
};

export const generalFunctions: Record<string, BuiltIn> = {
  ISNULL: isNull,
  COALESCE: coalesce,
  NULLIF: nullIf,
  NEWID: () => ({ sql: 'gen_random_uuid()', type: UNIQUEIDENTIFIER, nullable: false }),
  NEWSEQUENTIALID: () => ({ sql: 'gen_random_uuid()', type: UNIQUEIDENTIFIER, nullable: false }),
  RAND: () => ({ sql: 'random()', type: { name: 'float' }, nullable: false }),
  SQL_VARIANT_PROPERTY: variantProperty,
  ISNUMERIC: isNumeric,
  ISDATE: ({ arg }) => {
    const date = convert(arg(0), { name: 'datetime' }, { attempt: true });
    return { sql: `CASE WHEN ${date.sql} IS NULL THEN 0 ELSE 1 END`, type: INT, nullable: false };
  },
};
