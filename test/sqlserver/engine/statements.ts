/**
 * Statements that change the schema, the security or the session: everything but queries and rows.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { type EngineEvent, SqlError } from '../contract.js';
import type { Statement } from './ast.js';
import { checkConstraint, disableIndex } from './checks.js';
import { collation } from './collations.js';
import { createIndex, dropIndex, dropName } from './constraints.js';
import { addToTable, createTable, dropTable, json, type Runner } from './ddl.js';
import type { Env } from './emit/context.js';
import { requirePermission } from './emit/permissions.js';
import { findTable, schemaAndName } from './emit/sources.js';
import { createModule, createSequence, createSynonym, dropObject } from './objects.js';
import { addExtendedProperty } from './properties.js';
import { literal, pgName, quote, same } from './schema.js';
import { permission } from './security.js';
import { message, type Session } from './session.js';

type Administrative = Exclude<
  Statement,
  {
    k:
      | 'query'
      | 'insert'
      | 'update'
      | 'delete'
      | 'declare'
      | 'setVariable'
      | 'if'
      | 'block'
      | 'print'
      | 'raise'
      | 'waitFor'
      | 'transaction'
      | 'isolation';
  }
>;

const PLAIN = new Set([
  'query',
  'insert',
  'update',
  'delete',
  'declare',
  'setVariable',
  'if',
  'block',
  'print',
  'raise',
  'waitFor',
  'transaction',
  'isolation',
]);
export const isAdministrative = (statement: Statement): statement is Administrative =>
  !PLAIN.has(statement.k);

/** SET options a client sends that change nothing here. */
const IGNORED_OPTIONS = new Set(
  `ansi_nulls ansi_null_dflt_on ansi_padding ansi_warnings arithabort arithignore concat_null_yields_null cursor_close_on_commit
  implicit_transactions quoted_identifier textsize dateformat datefirst language lock_timeout numeric_roundabort deadlock_priority
  fmtonly rowcount statistics ansi_defaults forceplan parseonly`.split(/\s+/),
);

export async function* administer(session: Session, statement: Administrative): AsyncGenerator<EngineEvent> {
  switch (statement.k) {
    case 'use':
      if (session.transactions.depth > 0)
        throw new SqlError(226, 'USE statement not allowed within multi-statement transaction.', {
          state: 5,
        });
      await session.open(statement.database, true);
      yield { kind: 'environment', change: 'database', value: session.database };
      yield {
        kind: 'info',
        info: { ...message(5701, `Changed database context to '${session.database}'.`, 0), state: 2 },
      };
      break;
    case 'set':
      setOption(session, statement.option, statement.value);
      break;
    case 'createDatabase':
      requireAdmin(session, 'CREATE DATABASE', 262);
      await session.server.create(
        statement.name,
        statement.collation ? collation(statement.collation).name : session.server.collation,
      );
      break;
    case 'createLogin':
      requireAdmin(session, 'CREATE LOGIN', 15247);
      if (session.server.logins.some((login) => same(login.name, statement.name))) {
        throw new SqlError(15025, `The server principal '${statement.name}' already exists.`);
      }
      session.server.logins.push({ name: statement.name, password: statement.password });
      break;
    case 'alterDatabase':
      alterDatabase(session, statement.name, statement.option, statement.value);
      break;
    case 'drop':
      if (statement.what === 'DATABASE' || statement.what === 'LOGIN') {
        await dropServerObject(session, statement.what, statement.paths, statement.ifExists);
      } else await change(session, statement);
      break;
    case 'identityInsert': {
      const env = await session.environment();
      const table = findTable(statement.table, env);
      if (!table.columns.some((column) => column.identity)) {
        throw new SqlError(
          8106,
          `Table '${table.name}' does not have the identity property. Cannot perform SET operation.`,
        );
      }
      if (
        statement.on &&
        session.identityInsertTable !== null &&
        session.identityInsertTable !== table.objectId
      ) {
        throw new SqlError(
          8107,
          `IDENTITY_INSERT is already ON for another table. Cannot perform SET operation for table '${table.name}'.`,
        );
      }
      session.identityInsertTable = statement.on ? table.objectId : null;
      break;
    }
    default:
      await change(session, statement);
  }
  yield { kind: 'done' };
}

function setOption(session: Session, option: string, value: string): void {
  for (const name of option.split(',')) {
    if (name === 'nocount') session.noCount = value === 'ON';
    else if (name === 'xact_abort') session.transactions.abortOnError = value === 'ON';
    else if (!IGNORED_OPTIONS.has(name))
      throw new SqlError(195, `'${name}' is not a recognized SET option.`, { class: 15, state: 5 });
    else if (name === 'implicit_transactions' && value === 'ON')
      throw new SqlError(195, 'The stand-in has no implicit transactions.', { class: 15 });
    else if (name === 'rowcount' && value !== '0')
      throw new SqlError(195, 'The stand-in has no SET ROWCOUNT but 0.', { class: 15 });
    else if (name === 'datefirst') session.facts.dateFirst = 7;
  }
}

function requireAdmin(session: Session, what: string, number: number): void {
  if (same(session.login.name, session.server.logins[0]!.name)) return;
  throw new SqlError(number, `${what} permission denied in database 'master'.`, { class: 14 });
}

function alterDatabase(session: Session, name: string | null, option: string, value: string): void {
  requireAdmin(session, 'ALTER DATABASE', 5011);
  const database = name === null ? session.home : session.server.find(name);
  if (!database)
    throw new SqlError(
      5011,
      `User does not have permission to alter database '${name}', the database does not exist, or the database is not in a state that allows access checks.`,
      { class: 14 },
    );
  const on = value === 'ON';
  if (option === 'ALLOW_SNAPSHOT_ISOLATION') database.snapshot = on;
  else if (option === 'READ_COMMITTED_SNAPSHOT') database.readCommittedSnapshot = on;
  else if (!['RECOVERY', 'SINGLE_USER', 'MULTI_USER', 'COMPATIBILITY_LEVEL'].includes(option)) {
    throw new SqlError(102, `Incorrect syntax near '${option}'.`, { class: 15 });
  }
}

async function dropServerObject(
  session: Session,
  what: 'DATABASE' | 'LOGIN',
  paths: string[][],
  ifExists: boolean,
): Promise<void> {
  requireAdmin(session, `DROP ${what}`, 262);
  for (const [name = ''] of paths) {
    if (what === 'DATABASE') {
      if (ifExists && !session.server.find(name)) continue;
      await session.server.drop(name);
      continue;
    }
    const at = session.server.logins.findIndex((login) => same(login.name, name));
    if (at > 0) session.server.logins.splice(at, 1);
    else if (!ifExists)
      throw new SqlError(
        15151,
        `Cannot drop the login '${name}', because it does not exist or you do not have permission.`,
      );
  }
}

/** A change of this database's schema: one transaction, and every session sees it at its next statement. */
async function change(session: Session, statement: Administrative): Promise<void> {
  const env = await session.environment();
  if (statement.k === 'truncate') requirePermission(env, findTable(statement.table, env), 'ALTER');
  else if (session.facts.principal !== '') {
    throw new SqlError(
      262,
      `${statement.k.replace(/([A-Z])/g, ' $1').toUpperCase()} permission denied in database '${session.database}'.`,
      { class: 14 },
    );
  }
  const runner: Runner = {
    run: async (sql) => void (await session.link.query(sql)),
    text: async (sql) => {
      const { rows } = await session.link.query<{ text: string }>(sql);
      return rows[0]?.text ?? '';
    },
    objectId: async () => {
      const { rows } = await session.link.query<{ id: number }>(
        `SELECT nextval('tsql.object_ids')::int4 AS id`,
      );
      return rows[0]!.id;
    },
  };
  await session.transactions.statement(async () => {
    await apply(statement, env, runner);
    if (statement.k !== 'truncate') await runner.run('UPDATE tsql.version SET id = gen_random_uuid()');
  });
}

async function apply(statement: Administrative, env: Env, runner: Runner): Promise<void> {
  switch (statement.k) {
    case 'createTable':
      return createTable(statement, env, runner);
    case 'addToTable':
      return addToTable(statement, findTable(statement.table, env), env, runner);
    case 'dropConstraint':
      for (const name of statement.names) await dropName(findTable(statement.table, env), name, env, runner);
      return;
    case 'createIndex':
      return createIndex(statement, env, runner);
    case 'dropIndex':
      return dropIndex(findTable(statement.table, env), statement.name, statement.ifExists, runner);
    case 'disableIndex':
      return disableIndex(statement, env, runner);
    case 'createModule':
      return createModule(statement, env, runner);
    case 'createSynonym':
      return createSynonym(statement, env, runner);
    case 'createSequence':
      return createSequence(statement, env, runner);
    case 'execute':
      return addExtendedProperty(statement, env, runner);
    case 'truncate': {
      const table = findTable(statement.table, env);
      await runner.run(`TRUNCATE ${table.pg}`);
      if (table.columns.some((column) => column.identity))
        await runner.run(`ALTER SEQUENCE tsql."id_${table.objectId}" RESTART`);
      return;
    }
    case 'createSchema': {
      if (env.schema.schema(statement.name)) {
        throw new SqlError(2714, `There is already an object named '${statement.name}' in the database.`, {
          state: 6,
        });
      }
      const pg = pgName(statement.name);
      await runner.run(`CREATE SCHEMA ${quote(pg)}`);
      return runner.run(
        `INSERT INTO tsql.schemas SELECT greatest(max(schema_id), 4) + 1, ${literal(statement.name)}, ${literal(pg)} FROM tsql.schemas`,
      );
    }
    case 'createType':
      return createType(statement, env, runner);
    case 'createUser': {
      const login = statement.login === null ? 'NULL' : literal(statement.login);
      if (env.schema.data.users?.some((user) => same(user.name, statement.name))) {
        throw new SqlError(
          15023,
          `User, group, or role '${statement.name}' already exists in the current database.`,
        );
      }
      return runner.run(
        `INSERT INTO tsql.users SELECT greatest(max(principal_id), 4) + 1, ${literal(statement.name)}, ${login} FROM tsql.users`,
      );
    }
    case 'addRoleMember': {
      if (!/^db_(owner|datareader|datawriter|ddladmin)$/i.test(statement.role)) {
        throw new SqlError(
          15151,
          `Cannot alter the role '${statement.role}', because it does not exist or you do not have permission.`,
        );
      }
      return runner.run(
        `INSERT INTO tsql.role_members VALUES (${literal(statement.role.toLowerCase())}, ${literal(statement.member)}) ON CONFLICT DO NOTHING`,
      );
    }
    case 'permission':
      return permission(statement, env, runner);
    case 'checkConstraint':
      return checkConstraint(statement, env, runner);
    case 'drop':
      return drop(statement, env, runner);
    default:
      throw new SqlError(102, `Incorrect syntax near '${statement.k}'.`, { class: 15 });
  }
}

async function createType(
  statement: Extract<Administrative, { k: 'createType' }>,
  env: Env,
  runner: Runner,
): Promise<void> {
  const [schemaName, name] = schemaAndName(statement.path, env);
  const schema = env.schema.schema(schemaName);
  if (!schema)
    throw new SqlError(
      2760,
      `The specified schema name "${schemaName}" either does not exist or you do not have permission to use it.`,
    );
  if (env.schema.alias(schemaName, name)) {
    throw new SqlError(
      219,
      `The type '${schemaName}.${name}' already exists, or you do not have permission to create it.`,
    );
  }
  const { type } = env.schema.type(statement.base, 1);
  await runner.run(
    `INSERT INTO tsql.types SELECT greatest(max(user_type_id), 256) + 1, ${schema.id}, ${literal(name)}, ${json(type)}, ${statement.nullable} FROM tsql.types`,
  );
}

async function drop(
  statement: Extract<Administrative, { k: 'drop' }>,
  env: Env,
  runner: Runner,
): Promise<void> {
  for (const path of statement.paths) {
    const [schemaName, name] = schemaAndName(path, env);
    const missing = (what: string): void => {
      if (!statement.ifExists) {
        throw new SqlError(
          3701,
          `Cannot drop the ${what} '${path.join('.')}', because it does not exist or you do not have permission.`,
          { class: 11, state: 5 },
        );
      }
    };
    if (await dropObject(statement.what, path, env, runner, missing)) continue;
    if (statement.what === 'TABLE') {
      const table = env.schema.table(schemaName, name);
      if (table) await dropTable(table, env, runner);
      else missing('table');
    } else if (statement.what === 'SCHEMA') {
      const schema = env.schema.schema(name);
      if (!schema || schema.id <= 4) missing('schema');
      else {
        if (env.schema.data.objects?.some((object) => object.schemaId === schema.id)) {
          throw new SqlError(
            3729,
            `Cannot drop schema '${schema.name}' because it is being referenced by object '${env.schema.data.objects.find((object) => object.schemaId === schema.id)!.name}'.`,
          );
        }
        await runner.run(`DROP SCHEMA ${quote(schema.pgName)}`);
        await runner.run(`DELETE FROM tsql.schemas WHERE schema_id = ${schema.id}`);
      }
    } else if (statement.what === 'TYPE') {
      const alias = env.schema.alias(schemaName, name);
      if (alias) await runner.run(`DELETE FROM tsql.types WHERE user_type_id = ${alias.id}`);
      else missing('type');
    } else {
      const user = env.schema.data.users?.find((item) => same(item.name, name));
      if (!user) missing('user');
      else
        for (const [view, column] of [
          ['users', 'name'],
          ['role_members', 'member'],
          ['permissions', 'grantee'],
        ]) {
          await runner.run(`DELETE FROM tsql.${view} WHERE ${column} = ${literal(user.name)}`);
        }
    }
  }
}
