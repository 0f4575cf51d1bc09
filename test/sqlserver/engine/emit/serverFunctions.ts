/**
 * What the server says of itself, its databases, objects, logins and permissions.
 *
 * Runs in the process of the stand-in SQL Server. It presents itself as SQL Server 2022 (16.0), Developer Edition.
 */
import { SqlError, type SqlType } from '../../contract.js';
import { escapeText, literal as pgText, same } from '../schema.js';
import { INT, nvarchar, SYSNAME } from '../types.js';
import { type Emitted, type Env, nullOf } from './context.js';
import { convert } from './convert.js';
import type { BuiltIn, Invocation } from './functions.js';
import { mayRead } from './permissions.js';

export const PRODUCT_VERSION = '16.0.1000.6';
const VERSION_TEXT = `Microsoft SQL Server 2022 (RTM) - ${PRODUCT_VERSION} (X64) - stand-in for tests on PostgreSQL`;

const text = (value: string | null, type: SqlType = SYSNAME): Emitted =>
  value === null
    ? nullOf(type)
    : { sql: pgText(escapeText(value)), type, nullable: true, collationFrom: 'literal' };
const int = (value: number | null): Emitted =>
  value === null ? nullOf(INT) : { sql: `${value}`, type: INT, nullable: true };

/** An argument that must be known when the statement is read: a literal or a variable. */
function known({ call, env }: Invocation, i: number): string | null {
  const argument = call.args[i];
  if (argument?.k === 'literal' && argument.literal !== 'null') return argument.text;
  if (argument?.k === 'variable') return env.variables.get(argument.name.toLowerCase())?.text ?? null;
  return null;
}

const PROPERTIES: Record<string, (env: Env) => string | number> = {
  productversion: () => PRODUCT_VERSION,
  productmajorversion: () => '16',
  productminorversion: () => '0',
  productlevel: () => 'RTM',
  edition: () => 'Developer Edition (64-bit)',
  engineedition: () => 3,
  collation: (env) => env.session.collation,
  servername: () => 'STANDIN',
  machinename: () => 'STANDIN',
  isintegratedsecurityonly: () => 0,
};

const serverProperty: BuiltIn = (invocation) => {
  const variant: SqlType = { name: 'sql_variant' };
  const property = PROPERTIES[(known(invocation, 0) ?? '').toLowerCase()]?.(invocation.env);
  if (property === undefined) return nullOf(variant);
  return convert(typeof property === 'number' ? int(property) : text(property), variant);
};

const databaseProperty: BuiltIn = (invocation) => {
  const variant: SqlType = { name: 'sql_variant' };
  const asked = (known(invocation, 1) ?? '').toLowerCase();
  return asked === 'updateability' ? convert(text('READ_WRITE'), variant) : nullOf(variant);
};

const databaseId: BuiltIn = (invocation) => {
  const { session } = invocation.env;
  if (!invocation.has(0)) return { ...int(session.databaseId), type: INT };
  return int(session.databaseIds.get((known(invocation, 0) ?? '').toLowerCase()) ?? null);
};

const databaseName: BuiltIn = (invocation) => {
  const { session } = invocation.env;
  if (!invocation.has(0)) return text(session.database);
  const id = Number(known(invocation, 0));
  const entry = [...session.databaseIds].find(([, number]) => number === id);
  return text(entry?.[0] ?? null);
};

/** `[a].[b]` in a string argument. */
function splitName(name: string): string[] {
  return [...name.matchAll(/\[((?:[^\]]|\]\])*)\]|"((?:[^"]|"")*)"|([^.[\]"]+)/g)].map(
    (match) => match[1]?.replaceAll(']]', ']') ?? match[2]?.replaceAll('""', '"') ?? match[3]!.trim(),
  );
}

const objectId: BuiltIn = (invocation) => {
  const argument = invocation.call.args[0];
  if (argument !== undefined && argument.k !== 'literal' && argument.k !== 'variable') {
    const name = convert(invocation.arg(0), nvarchar(776)).sql;
    const kind = invocation.has(1) ? convert(invocation.arg(1), nvarchar(2)).sql : 'NULL';
    return { sql: `tsql.object_id(${name}, ${kind})`, type: INT, nullable: true };
  }
  const parts = splitName(known(invocation, 0) ?? '');
  const object = invocation.env.schema.object(parts.at(-2) || 'dbo', parts.at(-1) ?? '');
  const type = invocation.has(1) ? known(invocation, 1) : null;
  return int(object && (!type || same(type.trim(), object.type)) ? object.id : null);
};

/** Properties of a column, each from `tsql.columns c`. */
const COLUMN_PROPERTIES: Record<string, string> = {
  allowsnull: 'c.nullable::int',
  columnid: 'c.column_id',
  iscomputed: '(c.computed_text IS NOT NULL)::int',
  isidentity: '(c.identity_seed IS NOT NULL)::int',
  isrowguidcol: 'c.rowguid::int',
  issparse: 'c.sparse::int',
};

const columnProperty: BuiltIn = (invocation) => {
  const name = known(invocation, 2) ?? '';
  const property = COLUMN_PROPERTIES[name.toLowerCase()];
  if (property === undefined) throw new SqlError(50000, `COLUMNPROPERTY does not know '${name}' here.`);
  const id = convert(invocation.arg(0), INT);
  const column = convert(invocation.arg(1), SYSNAME);
  const named = `c.name COLLATE tsql.ci_as = (${column.sql})::text COLLATE tsql.ci_as`;
  const sql = `(SELECT ${property} FROM tsql.columns c WHERE c.object_id = ${id.sql} AND ${named})`;
  return { sql, type: INT, nullable: true };
};

const objectLookup =
  (column: string): BuiltIn =>
  ({ arg }) => ({
    sql: `(SELECT ${column} FROM tsql.objects o JOIN tsql.schemas s USING (schema_id) WHERE o.object_id = ${convert(arg(0), INT).sql})`,
    type: SYSNAME,
    nullable: true,
    collationFrom: 'literal',
  });

const schemaName: BuiltIn = ({ arg, has }) =>
  has(0)
    ? {
        sql: `(SELECT name FROM tsql.schemas WHERE schema_id = ${convert(arg(0), INT).sql})`,
        type: SYSNAME,
        nullable: true,
        collationFrom: 'literal',
      }
    : text('dbo');

const schemaId: BuiltIn = (invocation) =>
  int(invocation.env.schema.schema(known(invocation, 0) ?? 'dbo')?.id ?? null);

const typeName: BuiltIn = ({ arg }) => ({
  sql: `(SELECT name FROM tsql.types WHERE user_type_id = ${convert(arg(0), INT).sql})`,
  type: SYSNAME,
  nullable: true,
  collationFrom: 'literal',
});

/** HAS_PERMS_BY_NAME: 1, 0, or NULL where the securable is not known. */
const hasPermission: BuiltIn = (invocation) => {
  const { env } = invocation;
  const securable = known(invocation, 0);
  const kind = (known(invocation, 1) ?? '').toUpperCase();
  const permission = (known(invocation, 2) ?? '').toUpperCase();
  if (env.session.principal === '') return int(1);
  if (kind === 'OBJECT' && securable !== null) {
    const parts = splitName(securable);
    const table = env.schema.table(parts.at(-2) || 'dbo', parts.at(-1) ?? '');
    if (!table) return int(null);
    return int(mayRead(env, table, permission === 'ANY' ? 'SELECT' : permission) ? 1 : 0);
  }
  if (kind === 'DATABASE') {
    const granted = env.schema.data.permissions?.some(
      (item) =>
        item.class === 'database' &&
        item.state === 'GRANT' &&
        same(item.grantee, env.session.principal) &&
        item.permission === permission,
    );
    return int(granted || permission === 'CONNECT' ? 1 : 0);
  }
  return int(0);
};

const isRoleMember: BuiltIn = (invocation) => {
  const { env } = invocation;
  const role = known(invocation, 0) ?? '';
  const member =
    env.session.principal === '' ||
    env.schema.data.roles?.some((item) => same(item.role, role) && same(item.member, env.session.principal));
  return int(member ? 1 : 0);
};

const identity: BuiltIn = ({ env }) => ({
  sql: env.session.scopeIdentity === null ? 'NULL::numeric' : `${env.session.scopeIdentity}::numeric`,
  type: { name: 'numeric', precision: 38, scale: 0 },
  nullable: true,
});

const login: BuiltIn = ({ env }) => text(env.session.login);
const user: BuiltIn = ({ env }) => text(env.session.user);

export const serverFunctions: Record<string, BuiltIn> = {
  '@@VERSION': () => text(VERSION_TEXT, nvarchar(300)),
  '@@SERVERNAME': () => text('STANDIN', nvarchar(128)),
  '@@IDENTITY': identity,
  '@@MICROSOFTVERSION': () => int(268436456),
  SCOPE_IDENTITY: identity,
  SERVERPROPERTY: serverProperty,
  DATABASEPROPERTYEX: databaseProperty,
  DB_NAME: databaseName,
  DB_ID: databaseId,
  OBJECT_ID: objectId,
  COLUMNPROPERTY: columnProperty,
  OBJECT_NAME: objectLookup('o.name'),
  OBJECT_SCHEMA_NAME: objectLookup('s.name'),
  SCHEMA_NAME: schemaName,
  SCHEMA_ID: schemaId,
  TYPE_NAME: typeName,
  HAS_PERMS_BY_NAME: hasPermission,
  IS_MEMBER: isRoleMember,
  IS_ROLEMEMBER: isRoleMember,
  IS_SRVROLEMEMBER: ({ env }) => int(env.session.login.toLowerCase() === 'sa' ? 1 : 0),
  SUSER_SNAME: login,
  SUSER_NAME: login,
  ORIGINAL_LOGIN: login,
  SYSTEM_USER: login,
  USER_NAME: user,
  CURRENT_USER: user,
  SESSION_USER: user,
  USER: user,
  APP_NAME: () => text('', nvarchar(128)),
  HOST_NAME: () => text('', nvarchar(128)),
  XACT_STATE: ({ env }) => ({ ...int(env.session.transactionCount > 0 ? 1 : 0), type: { name: 'smallint' } }),
};
