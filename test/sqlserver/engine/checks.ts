/**
 * ALTER TABLE ... CHECK | NOCHECK CONSTRAINT, ALTER INDEX ... DISABLE.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError } from '../contract.js';
import type { Statement } from './ast.js';
import { ownColumns, type Runner } from './ddl.js';
import type { Env } from './emit/context.js';
import { condition } from './emit/expressions.js';
import { findTable } from './emit/sources.js';
import { parseExpression } from './parse/index.js';
import { same, type Table } from './schema.js';

/** NOCHECK turns foreign keys and checks off; CHECK turns them on again, trusted only WITH CHECK. */
export async function checkConstraint(
  statement: Extract<Statement, { k: 'checkConstraint' }>,
  env: Env,
  runner: Runner,
): Promise<void> {
  const table = findTable(statement.table, env);
  const own =
    env.schema.data.objects?.filter(
      (object) => object.parentId === table.objectId && (object.type === 'F' || object.type === 'C'),
    ) ?? [];
  for (const object of own.filter(
    ({ name }) => statement.names === null || statement.names.some((wanted) => same(wanted, name)),
  )) {
    const [pg, view] =
      object.type === 'F' ? [`fk_${object.id}`, 'foreign_keys'] : [`ck_${object.id}`, 'checks'];
    if (object.type === 'F') {
      await runner.run(
        `ALTER TABLE ${table.pg} ALTER CONSTRAINT "${pg}" ${statement.enable ? 'ENFORCED' : 'NOT ENFORCED'}`,
      );
    } else {
      await runner.run(`ALTER TABLE ${table.pg} DROP CONSTRAINT IF EXISTS "${pg}"`);
      if (statement.enable) await enableCheck(table, object.id, statement.validate, env, runner);
    }
    const trusted = statement.enable && statement.validate;
    await runner.run(
      `UPDATE tsql.${view} SET disabled = ${!statement.enable}, not_trusted = ${!trusted} WHERE object_id = ${object.id}`,
    );
  }
}

/** PostgreSQL cannot switch a CHECK off: it is dropped, and made again from its stored text. */
async function enableCheck(
  table: Table,
  id: number,
  validate: boolean,
  env: Env,
  runner: Runner,
): Promise<void> {
  const text = await runner.text(`SELECT text FROM tsql.checks WHERE object_id = ${id}`);
  const sql = condition(parseExpression(text, 'condition'), env, ownColumns(table));
  await runner.run(
    `ALTER TABLE ${table.pg} ADD CONSTRAINT "ck_${id}" CHECK (${sql})${validate ? '' : ' NOT VALID'}`,
  );
}

/** A disabled index stays in the catalog, and nothing keeps to it. */
export async function disableIndex(
  statement: Extract<Statement, { k: 'disableIndex' }>,
  env: Env,
  runner: Runner,
): Promise<void> {
  const table = findTable(statement.table, env);
  const index = table.indexes.find(({ name }) => name !== null && same(name, statement.name));
  if (!index)
    throw new SqlError(7999, `Could not find any index named '${statement.name}' for table '${table.name}'.`);
  // The first shuts the table, the others disable the foreign keys that point at them.
  if (index.id === 1 || index.constraint) {
    throw new SqlError(50000, 'The stand-in disables no clustered index and no key.');
  }
  const pgSchema = table.pg.slice(0, table.pg.lastIndexOf('."'));
  await runner.run(`DROP INDEX IF EXISTS ${pgSchema}."${index.pgName}"`);
  await runner.run(
    `UPDATE tsql.indexes SET disabled = true WHERE object_id = ${table.objectId} AND index_id = ${index.id}`,
  );
}
