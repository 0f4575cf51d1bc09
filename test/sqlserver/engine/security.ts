/**
 * GRANT, DENY and REVOKE.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError } from '../contract.js';
import type { Statement } from './ast.js';
import type { Runner } from './ddl.js';
import type { Env } from './emit/context.js';
import { findTable } from './emit/sources.js';
import { literal, same } from './schema.js';

export async function permission(
  statement: Extract<Statement, { k: 'permission' }>,
  env: Env,
  runner: Runner,
): Promise<void> {
  let [kind, id] = ['database', 0];
  if (statement.on && statement.schemaWide) {
    const schema = env.schema.schema(statement.on[0]!);
    if (!schema)
      throw new SqlError(
        15151,
        `Cannot find the schema '${statement.on[0]}', because it does not exist or you do not have permission.`,
      );
    [kind, id] = ['schema', schema.id];
  } else if (statement.on) [kind, id] = ['object', findTable(statement.on, env).objectId];
  for (const grantee of statement.to) {
    if (!same(grantee, 'public') && !env.schema.data.users?.some((user) => same(user.name, grantee))) {
      throw new SqlError(
        15151,
        `Cannot find the user '${grantee}', because it does not exist or you do not have permission.`,
      );
    }
    for (const name of statement.permissions) {
      const key = `grantee = ${literal(grantee)} AND class = '${kind}' AND id = ${id} AND permission = ${literal(name)}`;
      await runner.run(`DELETE FROM tsql.permissions WHERE ${key}`);
      if (statement.verb !== 'REVOKE')
        await runner.run(
          `INSERT INTO tsql.permissions VALUES (${literal(grantee)}, '${kind}', ${id}, ${literal(name)}, '${statement.verb}')`,
        );
    }
  }
}
