/**
 * EXEC sp_addextendedproperty: properties of the database, schemas, types, objects, columns and indexes.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError } from '../contract.js';
import type { Expr, Statement } from './ast.js';
import type { Runner } from './ddl.js';
import { type Env, NO_SCOPE } from './emit/context.js';
import { convert } from './emit/convert.js';
import { value } from './emit/expressions.js';
import { literal, same } from './schema.js';

const PARAMETERS = ['@name', '@value', '@level0type', '@level0name', '@level1type', '@level1name'].concat(
  ...['@level2type', '@level2name'],
);
const TYPES: Record<string, readonly string[]> = {
  TABLE: ['U'],
  VIEW: ['V'],
  PROCEDURE: ['P'],
  FUNCTION: ['FN', 'IF', 'TF'],
  SYNONYM: ['SN'],
  SEQUENCE: ['SO'],
};

interface Place {
  class: number;
  major: number;
  minor: number;
}

export async function addExtendedProperty(
  statement: Extract<Statement, { k: 'execute' }>,
  env: Env,
  runner: Runner,
): Promise<void> {
  const args = new Map<string, Expr>();
  for (const [i, { name, value: given }] of statement.args.entries()) {
    const parameter = name ?? PARAMETERS[i];
    if (parameter === undefined || !PARAMETERS.includes(parameter)) {
      throw new SqlError(
        8145,
        `${parameter ?? 'A value'} is not a parameter for procedure sp_addextendedproperty.`,
      );
    }
    args.set(parameter, given);
  }
  const text = (parameter: string): string | null => {
    const given = args.get(parameter);
    if (given?.k === 'variable') return env.variables.get(given.name.toLowerCase())?.text ?? null;
    return given?.k === 'literal' && given.literal !== 'null' ? given.text : null;
  };
  const name = text('@name');
  if (name === null) throw new SqlError(15600, 'An invalid parameter or option was specified for procedure.');
  const place = placeOf(text, env);
  const given = args.get('@value');
  const stored = given ? convert(value(given, env, NO_SCOPE), { name: 'sql_variant' }).sql : 'NULL';
  const where = `class = ${place.class} AND major_id = ${place.major} AND minor_id = ${place.minor}`;
  const there = await runner.text(
    `SELECT count(*)::text AS text FROM tsql.properties WHERE ${where} AND name = ${literal(name)} COLLATE tsql.ci_as`,
  );
  if (there !== '0') {
    throw new SqlError(15233, `Property cannot be added. Property '${name}' already exists for 'object'.`);
  }
  await runner.run(
    `INSERT INTO tsql.properties VALUES (${place.class}, ${place.major}, ${place.minor}, ${literal(name)}, ${stored})`,
  );
}

/** What the levels name; throws SqlError 15135 where that is nothing. */
function placeOf(text: (parameter: string) => string | null, env: Env): Place {
  const level = (n: number): [string, string] => [
    (text(`@level${n}type`) ?? '').toUpperCase(),
    text(`@level${n}name`) ?? '',
  ];
  const [[type0, name0], [type1, name1], [type2, name2]] = [level(0), level(1), level(2)];
  const invalid = (): never => {
    const path = [name0, name1, name2].filter(Boolean).join('.');
    throw new SqlError(
      15135,
      `Object is invalid. Extended properties are not permitted on '${path}', or the object does not exist.`,
    );
  };
  if (type0 === '') return { class: 0, major: 0, minor: 0 };
  const schema = type0 === 'SCHEMA' ? env.schema.schema(name0) : null;
  if (!schema) return invalid();
  if (type1 === '') return { class: 3, major: schema.id, minor: 0 };
  if (type1 === 'TYPE') {
    const alias = env.schema.alias(schema.name, name1);
    return alias ? { class: 6, major: alias.id, minor: 0 } : invalid();
  }
  const object = env.schema.object(schema.name, name1);
  if (!object || !TYPES[type1]?.includes(object.type)) return invalid();
  if (type2 === '') return { class: 1, major: object.id, minor: 0 };
  const table = env.schema.tableById(object.id);
  if (type2 === 'COLUMN') {
    const column = table?.columns.find((candidate) => same(candidate.name, name2));
    return column ? { class: 1, major: object.id, minor: column.id } : invalid();
  }
  if (type2 === 'INDEX') {
    const index = table?.indexes.find((candidate) => candidate.name !== null && same(candidate.name, name2));
    return index ? { class: 7, major: object.id, minor: index.id } : invalid();
  }
  if (type2 !== 'CONSTRAINT' && type2 !== 'TRIGGER') return invalid();
  const child = env.schema.data.objects?.find(
    (candidate) => candidate.parentId === object.id && same(candidate.name, name2),
  );
  return child ? { class: 1, major: child.id, minor: 0 } : invalid();
}
