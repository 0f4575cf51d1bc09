/**
 * One client's session: runs batches statement by statement and yields what they produce.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import {
  type EngineEvent,
  type EngineParameter,
  type EngineSession,
  type ResultColumn,
  type ServerMessage,
  SqlError,
  type SqlType,
} from '../contract.js';
import type { Expr, Query, Statement } from './ast.js';
import { type Env, NO_SCOPE, type SessionFacts } from './emit/context.js';
import { convert } from './emit/convert.js';
import { condition, value } from './emit/expressions.js';
import { emitDelete, emitInsert, emitUpdate, type Modification } from './emit/modify.js';
import { type EmittedQuery, emitQuery } from './emit/query.js';
import { Link } from './link.js';
import { parseBatch } from './parse/index.js';
import { toSqlError } from './pgErrors.js';
import { quote, SCHEMA_SQL, Schema, type SchemaData, same } from './schema.js';
import type { Database, Login, Server } from './server.js';
import { administer, isAdministrative } from './statements.js';
import { Transactions } from './transactions.js';
import { nvarchar } from './types.js';

export class Session implements EngineSession {
  readonly server: Server;
  readonly login: Login;
  readonly facts: SessionFacts;
  readonly transactions: Transactions;
  home!: Database;
  link!: Link;
  schema: Schema | null = null;
  identityInsertTable: number | null = null;
  noCount = false;
  private readonly closed: () => void;
  private ended = false;
  private variables = new Map<string, EngineParameter>();

  constructor(server: Server, login: Login, closed: () => void) {
    this.server = server;
    this.login = login;
    this.closed = closed;
    this.transactions = new Transactions(this);
    this.facts = {
      database: '',
      databaseId: 0,
      databaseIds: new Map(),
      login: login.name,
      principal: '',
      user: 'dbo',
      spid: 0,
      transactionCount: 0,
      rowCount: 0,
      lastError: 0,
      scopeIdentity: null,
      dateFirst: 7,
      collation: server.collation,
      quotedIdentifier: true,
    };
  }

  get database(): string {
    return this.home.name;
  }

  /** Connects to another database; throws SqlError 4060 or 911 (from USE) where the login may not. */
  async open(name: string, use: boolean): Promise<void> {
    const database = this.server.find(name);
    if (!database) {
      throw use
        ? new SqlError(
            911,
            `Database '${name}' does not exist. Make sure that the name is entered correctly.`,
          )
        : new SqlError(4060, `Cannot open database "${name}" requested by the login. The login failed.`, {
            class: 11,
          });
    }
    const client = await this.server.connect(database.pgName);
    try {
      const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      const schema = await readSchema(new Link(client, rows[0]!.pid, async () => {}));
      const user = this.userIn(schema, database, use);
      const owner =
        user === 'dbo' ||
        schema.data.roles?.some((item) => item.role === 'db_owner' && same(item.member, user));
      this.facts.principal = owner ? '' : user;
      this.facts.user = user;
      await client.query(`SELECT set_config('tsql.principal', $1, false)`, [this.facts.principal]);
      const previous = this.link;
      if (previous) {
        this.home.sessions--;
        await previous.client.end().catch(() => {});
      }
      this.link = new Link(client, rows[0]!.pid, (pid) => this.server.cancel(pid));
      this.schema = schema;
      this.home = database;
      database.sessions++;
      Object.assign(this.facts, {
        database: database.name,
        databaseId: database.id,
        spid: 50 + (this.link.pid % 30000),
        collation: database.collation,
      });
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
  }

  private userIn(schema: Schema, database: Database, use: boolean): string {
    if (same(this.login.name, this.server.logins[0]!.name)) return 'dbo';
    const user = schema.data.users?.find((item) => item.login !== null && same(item.login, this.login.name));
    if (user) return user.name;
    if (database.id === 1) return 'guest';
    throw use
      ? new SqlError(
          916,
          `The server principal "${this.login.name}" is not able to access the database "${database.name}" under the current security context.`,
          { class: 14 },
        )
      : new SqlError(
          4060,
          `Cannot open database "${database.name}" requested by the login. The login failed.`,
          { class: 11 },
        );
  }

  async *execute(
    sql: string,
    parameters: EngineParameter[],
    signal: AbortSignal,
  ): AsyncGenerator<EngineEvent> {
    signal.throwIfAborted();
    const cancel = (): void => void this.link.cancel().catch(() => {});
    signal.addEventListener('abort', cancel, { once: true });
    let kind = 'SELECT';
    try {
      const statements = parseBatch(sql);
      this.variables = new Map(parameters.map((item) => [item.name.toLowerCase().replace(/^@?/, '@'), item]));
      for (const statement of statements) {
        signal.throwIfAborted();
        kind = statement.k.toUpperCase();
        yield* this.run(statement);
        this.facts.lastError = 0;
      }
    } catch (error) {
      const mapped = toSqlError(error, { schema: this.schema, database: this.database, statement: kind });
      this.facts.lastError = mapped instanceof SqlError ? mapped.info.number : 0;
      await this.transactions.failed();
      signal.throwIfAborted();
      throw mapped;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  async close(): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    this.home.sessions--;
    this.closed();
    await this.link.client.end().catch(() => {});
  }

  /** A fresh view of the schema where it has changed since the last one. */
  async refresh(): Promise<Schema> {
    const { rows } = await this.link.query<{ id: string }>('SELECT id FROM tsql.version');
    if (!this.schema || this.schema.data.version !== rows[0]?.id) this.schema = await readSchema(this.link);
    return this.schema;
  }

  /** What emitting a statement needs to know. */
  async environment(): Promise<Env> {
    const schema = await this.refresh();
    this.facts.transactionCount = this.transactions.depth;
    this.facts.databaseIds = new Map(this.server.databases.map(({ name, id }) => [name.toLowerCase(), id]));
    return {
      schema,
      session: this.facts,
      catalog: {
        databases: this.server.databaseRows(),
        database: this.database,
        collation: this.home.collation,
      },
      variables: this.variables,
      reads: new Set(),
      commonTables: [],
      counter: { next: 1 },
    };
  }

  private async *run(statement: Statement): AsyncGenerator<EngineEvent> {
    switch (statement.k) {
      case 'query':
        return yield* this.select(statement.query);
      case 'insert':
      case 'update':
      case 'delete':
        return yield* this.modify(statement);
      case 'declare':
        for (const { name, type, value: initial } of statement.variables) {
          const env = await this.environment();
          this.variables.set(name.toLowerCase(), { name, type: env.schema.type(type, 1).type, text: null });
          if (initial) await this.assign(name, initial);
        }
        return;
      case 'setVariable':
        await this.assign(statement.name, statement.value);
        return;
      case 'if': {
        const env = await this.environment();
        const sql = `SELECT (${condition(statement.condition, env, NO_SCOPE)}) AS yes`;
        const yes = (await this.transactions.statement(() => this.link.query<{ yes: boolean | null }>(sql)))
          .rows[0]?.yes;
        const branch = yes ? statement.yes : statement.otherwise;
        if (branch) yield* this.run(branch);
        return;
      }
      case 'block':
        for (const inner of statement.statements) yield* this.run(inner);
        return;
      case 'print':
        yield {
          kind: 'info',
          info: message(0, (await this.evaluate(statement.value, nvarchar(4000))) ?? ' ', 0),
        };
        return;
      case 'raise': {
        const text = (await this.evaluate(statement.message, nvarchar(2048))) ?? '';
        if (statement.severity > 10)
          throw new SqlError(statement.number, text, { class: statement.severity });
        yield { kind: 'info', info: message(statement.number, text, statement.severity) };
        return;
      }
      case 'waitFor': {
        const [h = 0, m = 0, s = 0] = statement.delay.split(':').map(Number);
        await this.transactions.statement(() => this.link.query(`SELECT pg_sleep(${h * 3600 + m * 60 + s})`));
        yield { kind: 'done' };
        return;
      }
      case 'transaction':
      case 'isolation':
        yield* this.transactions.control(statement);
        return;
      default:
        if (isAdministrative(statement)) yield* administer(this, statement);
    }
  }

  private async *select(query: Query): AsyncGenerator<EngineEvent> {
    const env = await this.environment();
    const emitted = emitQuery(query, env, null);
    if (emitted.assigns) {
      await this.assignAll(emitted, env);
      return;
    }
    this.transactions.checkSnapshot(env.reads.size > 0);
    const columns = emitted.columns.map(resultColumn);
    yield { kind: 'columns', columns };
    const rowCount = yield* this.transactions.stream(emitted.sql);
    this.facts.rowCount = rowCount;
    yield this.noCount ? { kind: 'done' } : { kind: 'done', rowCount };
  }

  private async *modify(
    statement: Extract<Statement, { k: 'insert' | 'update' | 'delete' }>,
  ): AsyncGenerator<EngineEvent> {
    const env = await this.environment();
    const change: Modification =
      statement.k === 'insert'
        ? emitInsert(statement, env, this.identityInsertTable)
        : statement.k === 'update'
          ? emitUpdate(statement, env)
          : emitDelete(statement, env);
    const result = await this.transactions.statement(async () => {
      const done = await this.link.query(change.sql);
      if (change.identityColumn && (done.rowCount ?? 0) > 0) await this.catchUp(change);
      return done;
    });
    const rowCount = result.rowCount ?? 0;
    // Fresh statistics let PostgreSQL use the key's index for the ranges that are read next.
    if (rowCount >= 5_000 && !this.link.inTransaction) await this.link.query(`ANALYZE ${change.table.pg}`);
    this.facts.rowCount = rowCount;
    yield this.noCount ? { kind: 'done' } : { kind: 'done', rowCount };
  }

  /** After explicit identity values the next generated one follows the furthest of them. */
  private async catchUp({ table, identityColumn }: Modification): Promise<void> {
    const column = quote(identityColumn!.pgName);
    const sequence = `tsql."id_${table.objectId}"`;
    const up = BigInt(identityColumn!.identity!.increment) > 0n;
    const [most, further] = up ? ['max', '>'] : ['min', '<'];
    await this.link.query(
      `SELECT setval('${sequence}', m) FROM (SELECT ${most}(${column})::int8 AS m FROM ${table.pg}) AS t, ${sequence} AS s WHERE m ${further} s.last_value OR (NOT s.is_called AND m = s.last_value)`,
    );
  }

  private async assign(name: string, expr: Expr): Promise<void> {
    const variable = this.variables.get(name.toLowerCase());
    if (!variable)
      throw new SqlError(137, `Must declare the scalar variable "${name}".`, { class: 15, state: 2 });
    this.variables.set(name.toLowerCase(), { ...variable, text: await this.evaluate(expr, variable.type) });
  }

  private async evaluate(expr: Expr, type: SqlType): Promise<string | null> {
    const env = await this.environment();
    const sql = `SELECT (${convert(value(expr, env, NO_SCOPE), type).sql})::text AS v`;
    const { rows } = await this.transactions.statement(() => this.link.query<{ v: string | null }>(sql));
    return rows[0]?.v ?? null;
  }

  private async assignAll(emitted: EmittedQuery, env: Env): Promise<void> {
    const items = emitted.columns.map((column, i) => {
      const name = emitted.assigns![i]!;
      const variable = env.variables.get(name.toLowerCase());
      if (!variable) {
        if (name === '')
          throw new SqlError(
            141,
            'A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.',
            { class: 15 },
          );
        throw new SqlError(137, `Must declare the scalar variable "${name}".`, { class: 15 });
      }
      const from = { sql: `q.${column.pg}`, type: column.type, nullable: true };
      return { variable, sql: `(${convert(from, variable.type).sql})::text AS ${column.pg}` };
    });
    const sql = `SELECT ${items.map((item) => item.sql).join(', ')} FROM (${emitted.sql}) AS q`;
    const { rows } = await this.transactions.statement(() =>
      this.link.query<Record<string, string | null>>(sql),
    );
    const last = rows.at(-1);
    this.facts.rowCount = rows.length;
    if (!last) return;
    for (const [i, { variable }] of items.entries()) {
      const key = variable.name.toLowerCase().replace(/^@?/, '@');
      this.variables.set(key, { ...variable, text: last[emitted.columns[i]!.pg] ?? null });
    }
  }
}

/** The catalog of the connection's database, as it is now. */
async function readSchema(link: Link): Promise<Schema> {
  const { rows } = await link.query<{ data: SchemaData }>(SCHEMA_SQL);
  return new Schema(rows[0]!.data);
}

function resultColumn({
  name,
  type,
  nullable,
}: {
  name: string;
  type: SqlType;
  nullable: boolean;
}): ResultColumn {
  if (['hierarchyid', 'geometry', 'geography'].includes(type.name)) {
    throw new SqlError(
      50000,
      `The stand-in does not send ${type.name} values: select .ToString() or .STAsText().`,
    );
  }
  // rowversion goes over the wire as binary(8), and as varbinary(8) where it may be NULL.
  if (type.name === 'timestamp')
    return { name, type: { name: nullable ? 'varbinary' : 'binary', length: 8 }, nullable };
  return { name, type, nullable };
}

export const message = (number: number, text: string, severity: number): ServerMessage => ({
  number,
  state: 1,
  class: severity,
  message: text,
});

export async function openSession(
  server: Server,
  login: Login,
  database: string,
  closed: () => void,
): Promise<EngineSession> {
  const session = new Session(server, login, closed);
  await session.open(database, false);
  return session;
}
