/**
 * Who may do what: GRANT and DENY on objects, schemas and the database, fixed roles.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError } from '../../contract.js';
import { same, type Table } from '../schema.js';
import type { Env } from './context.js';

/** A table or a view. */
type Securable = Pick<Table, 'objectId' | 'schemaId' | 'schema' | 'name'>;

const ROLE_GRANTS: Record<string, string[]> = {
  db_datareader: ['SELECT'],
  db_datawriter: ['INSERT', 'UPDATE', 'DELETE'],
};

/** Whether the session's user has `permission` on a table; DENY wins over any GRANT. */
export function mayRead(env: Env, table: Securable, permission: string): boolean {
  const who = env.session.principal;
  if (who === '') return true;
  const { permissions, roles } = env.schema.data;
  const mine = (permissions ?? []).filter(
    (item) =>
      (same(item.grantee, who) || same(item.grantee, 'public')) &&
      (item.permission === permission || item.permission === 'CONTROL') &&
      (item.class === 'database' ||
        (item.class === 'schema' && item.id === table.schemaId) ||
        (item.class === 'object' && item.id === table.objectId)),
  );
  if (mine.some((item) => item.state === 'DENY')) return false;
  if (mine.some((item) => item.state === 'GRANT')) return true;
  return (roles ?? []).some(
    (item) => same(item.member, who) && ROLE_GRANTS[item.role.toLowerCase()]?.includes(permission),
  );
}

/** @throws SqlError 229 where the session's user lacks `permission` on the table. */
export function requirePermission(env: Env, table: Securable, permission: string): void {
  if (mayRead(env, table, permission)) return;
  throw new SqlError(
    229,
    `The ${permission} permission was denied on the object '${table.name}', database '${env.session.database}', schema '${table.schema}'.`,
    { class: 14, state: 5 },
  );
}
