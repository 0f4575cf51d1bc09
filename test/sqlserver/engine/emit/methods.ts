/**
 * Methods of hierarchyid, geometry and geography: only what turns them into text and back.
 *
 * Runs in the process of the stand-in SQL Server. Spatial values are the text they were made from: no SRID is
 * kept, and STAsText gives back the WKT as written instead of SQL Server's own spelling of it.
 */
import { SqlError } from '../../contract.js';
import type { Expr } from '../ast.js';
import { nvarchar } from '../types.js';
import type { Emitted, Env, Scope } from './context.js';
import { convert } from './convert.js';
import { value } from './expressions.js';

const TO_TEXT: Record<string, string[]> = {
  hierarchyid: ['ToString'],
  geometry: ['STAsText', 'ToString'],
  geography: ['STAsText', 'ToString'],
};

export function method(expr: Extract<Expr, { k: 'method' }>, env: Env, scope: Scope): Emitted {
  const operand = value(expr.operand, env, scope);
  const methods = TO_TEXT[operand.type.name];
  if (!methods) throw new SqlError(258, `Cannot call methods on ${operand.type.name}.`, { class: 15 });
  if (!methods.includes(expr.name) || expr.args.length > 0) {
    throw new SqlError(
      6506,
      `Could not find method '${expr.name}' for type 'Microsoft.SqlServer.Types.Sql${operand.type.name}' in assembly 'Microsoft.SqlServer.Types'`,
    );
  }
  return {
    sql: operand.sql,
    type: nvarchar(operand.type.name === 'hierarchyid' ? 4000 : -1),
    nullable: true,
  };
}

export function staticMethod(expr: Extract<Expr, { k: 'staticMethod' }>, env: Env, scope: Scope): Emitted {
  const name = expr.type.toLowerCase();
  const [text] = expr.args;
  const known =
    name === 'hierarchyid'
      ? expr.name === 'Parse' || expr.name === 'GetRoot'
      : ['geometry', 'geography'].includes(name) &&
        ['STGeomFromText', 'Parse', 'STPointFromText'].includes(expr.name);
  if (!known) throw new SqlError(6506, `Could not find method '${expr.name}' for type '${expr.type}'.`);
  if (!text) return { sql: `'/'::text`, type: { name }, nullable: false };
  return convert(value(text, env, scope), { name });
}
