/**
 * Views, procedures, functions, triggers, synonyms and sequences: catalogued, and dropped again.
 *
 * Runs in the process of the stand-in SQL Server. Views can be selected from and sequences count; the rest is only
 * there, and a table with a trigger is not written to, since no trigger is ever run.
 */
import { SqlError, type SqlType } from '../contract.js';
import type { CreateModule, CreateSequence, Statement } from './ast.js';
import { json, type Runner, recordColumn } from './ddl.js';
import type { Env } from './emit/context.js';
import { emitQuery } from './emit/query.js';
import { findTable, schemaAndName } from './emit/sources.js';
import { literal, pgName } from './schema.js';
import { systemType } from './types.js';

type DropStatement = Extract<Statement, { k: 'drop' }>;

/** `sys.objects.type` by what DROP calls it. */
const DROPPED: Partial<Record<DropStatement['what'], readonly string[]>> = {
  VIEW: ['V'],
  PROCEDURE: ['P'],
  FUNCTION: ['FN', 'IF', 'TF'],
  TRIGGER: ['TR'],
  SYNONYM: ['SN'],
  SEQUENCE: ['SO'],
};

/** @returns the id of a new object of the catalog; throws SqlError 2714 or 2760. */
async function addObject(
  path: string[],
  type: string,
  parentId: number,
  env: Env,
  runner: Runner,
): Promise<number> {
  const [schemaName, name] = schemaAndName(path, env);
  const schema = env.schema.schema(schemaName);
  if (!schema) {
    throw new SqlError(
      2760,
      `The specified schema name "${schemaName}" either does not exist or you do not have permission to use it.`,
    );
  }
  if (env.schema.object(schema.name, name)) {
    throw new SqlError(2714, `There is already an object named '${name}' in the database.`, { state: 3 });
  }
  const id = await runner.objectId();
  await runner.run(
    `INSERT INTO tsql.objects (object_id, schema_id, parent_object_id, name, pg_name, type) VALUES (${id}, ${schema.id}, ${parentId}, ${literal(name)}, ${literal(pgName(name))}, '${type}')`,
  );
  return id;
}

export async function createModule(statement: CreateModule, env: Env, runner: Runner): Promise<void> {
  const parent = statement.on === null ? null : findTable(statement.on, env);
  // A trigger belongs to the schema of its table.
  const path = parent === null ? statement.path : [parent.schema, statement.path.at(-1)!];
  const id = await addObject(path, statement.type, parent?.objectId ?? 0, env, runner);
  await runner.run(`INSERT INTO tsql.modules VALUES (${id}, ${literal(statement.text)})`);
  if (!statement.query) return;
  const { columns } = emitQuery(statement.query, env, null);
  for (const [i, { name, type, nullable }] of columns.entries()) {
    const columnName = statement.columns?.[i] ?? name;
    if (columnName === '') {
      throw new SqlError(
        4511,
        `Create View or Function failed because no column name was specified for column ${i + 1}.`,
      );
    }
    const column = {
      ...{ id: i + 1, name: columnName, pgName: pgName(columnName), type, nullable },
      ...{ identity: null, computedText: null, persisted: false, defaultText: null },
    };
    const plain = { sparse: false, rowGuid: false };
    await recordColumn({ objectId: id }, column, systemType(type).userTypeId, plain, runner);
  }
}

export async function createSynonym(
  statement: Extract<Statement, { k: 'createSynonym' }>,
  env: Env,
  runner: Runner,
): Promise<void> {
  const id = await addObject(statement.path, 'SN', 0, env, runner);
  await runner.run(`INSERT INTO tsql.synonyms VALUES (${id}, ${literal(statement.base)})`);
}

/** The range a sequence of a type can have; throws SqlError 11702 for a type it can't have. */
function range(type: SqlType): [bigint, bigint] {
  const bits: Record<string, bigint> = { smallint: 15n, int: 31n, bigint: 63n };
  if (type.name === 'tinyint') return [0n, 255n];
  const power = bits[type.name];
  if (power !== undefined) return [-(2n ** power), 2n ** power - 1n];
  if ((type.name !== 'decimal' && type.name !== 'numeric') || (type.scale ?? 0) !== 0) {
    throw new SqlError(
      11702,
      'The sequence object must be of data type int, bigint, smallint, tinyint, or decimal or numeric with a scale of 0.',
    );
  }
  const largest = 10n ** BigInt(type.precision ?? 18) - 1n;
  return [-largest, largest];
}

export async function createSequence(statement: CreateSequence, env: Env, runner: Runner): Promise<void> {
  const type: SqlType = statement.type
    ? env.schema.type(statement.type, 1).type
    : { name: 'bigint', precision: 19, scale: 0 };
  const [lowest, highest] = range(type);
  const increment = BigInt(statement.increment ?? 1);
  const minimum = statement.minimum === null ? lowest : BigInt(statement.minimum);
  const maximum = statement.maximum === null ? highest : BigInt(statement.maximum);
  const start = statement.start === null ? (increment > 0n ? minimum : maximum) : BigInt(statement.start);
  const [, name] = schemaAndName(statement.path, env);
  if (increment === 0n) {
    throw new SqlError(11700, `The increment for sequence object '${name}' cannot be zero.`);
  }
  if (start < minimum || start > maximum) {
    throw new SqlError(
      11703,
      `The start value for sequence object '${name}' must be between the minimum and maximum value of the sequence object.`,
    );
  }
  const id = await addObject(statement.path, 'SO', 0, env, runner);
  await runner.run(
    `INSERT INTO tsql.sequences VALUES (${id}, ${json(type)}, ${start}, ${increment}, ${minimum}, ${maximum}, ${statement.cycles}, ${statement.cached}, ${statement.cacheSize ?? 'NULL'})`,
  );
  // PostgreSQL's count to 2^63. One that begins beyond, or goes there at once, is in the catalog and can't be used.
  const within = (value: bigint): bigint =>
    value > 2n ** 63n - 1n ? 2n ** 63n - 1n : value < -(2n ** 63n) ? -(2n ** 63n) : value;
  if (within(start) !== start || within(increment) !== increment) return;
  await runner.run(
    `CREATE SEQUENCE tsql."sq_${id}" INCREMENT ${increment} MINVALUE ${within(minimum)} MAXVALUE ${within(maximum)} START ${start}${statement.cycles ? ' CYCLE' : ''}`,
  );
}

/** @returns whether DROP's word means one of these objects; then it is dropped, or `missing` was told. */
export async function dropObject(
  what: DropStatement['what'],
  path: string[],
  env: Env,
  runner: Runner,
  missing: (what: string) => void,
): Promise<boolean> {
  const types = DROPPED[what];
  if (types === undefined) return false;
  const [schemaName, name] = schemaAndName(path, env);
  const object = env.schema.object(schemaName, name);
  if (!object || !types.includes(object.type)) {
    missing(what.toLowerCase());
    return true;
  }
  if (object.type === 'SO') await runner.run(`DROP SEQUENCE IF EXISTS tsql."sq_${object.id}"`);
  for (const table of ['modules', 'synonyms', 'sequences', 'columns', 'objects']) {
    await runner.run(`DELETE FROM tsql.${table} WHERE object_id = ${object.id}`);
  }
  await runner.run(`DELETE FROM tsql.properties WHERE class IN (1, 7) AND major_id = ${object.id}`);
  return true;
}
