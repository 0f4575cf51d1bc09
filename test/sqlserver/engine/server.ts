/**
 * What the stand-in's sessions share: its databases on the PostgreSQL server, its logins, its own connection.
 *
 * Runs in the process of the stand-in SQL Server. The databases live as long as the engine: `close` drops them.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import { SqlError } from '../contract.js';
import { literal, quote, same } from './schema.js';
import { BOOTSTRAP_SQL } from './sql/bootstrap.js';
import { DEFAULT_COLLATION } from './types.js';

export interface Database {
  id: number;
  name: string;
  pgName: string;
  collation: string;
  /** 1/300 s since 1900-01-01. */
  created: bigint;
  snapshot: boolean;
  readCommittedSnapshot: boolean;
  sessions: number;
}

export interface Login {
  name: string;
  password: string;
}

export class Server {
  readonly databases: Database[] = [];
  readonly logins: Login[] = [];
  readonly collation = DEFAULT_COLLATION;
  private readonly admin: pg.Pool;
  private readonly pgUrl: string;
  private readonly prefix = `tsql_${randomBytes(4).toString('hex')}`;
  private nextId = 1;

  private constructor(pgUrl: string) {
    this.pgUrl = pgUrl;
    this.admin = new pg.Pool({ connectionString: pgUrl, max: 2 });
    // An idle connection's loss shows at its next use.
    this.admin.on('error', () => {});
  }

  static async start(pgUrl: string, user: string, password: string): Promise<Server> {
    const server = new Server(pgUrl);
    try {
      server.logins.push({ name: user, password });
      await server.createTemplate();
      await server.create('master', DEFAULT_COLLATION);
    } catch (error) {
      await server.close().catch(() => {});
      throw error;
    }
    return server;
  }

  private async createTemplate(): Promise<void> {
    await this.admin.query(
      `CREATE DATABASE ${quote(`${this.prefix}_template`)} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
    );
    const client = await this.connect(`${this.prefix}_template`);
    try {
      await client.query(BOOTSTRAP_SQL);
    } finally {
      await client.end();
    }
  }

  /** A connection of its own to one of the server's databases. */
  async connect(pgName: string): Promise<pg.Client> {
    const url = new URL(this.pgUrl);
    url.pathname = `/${encodeURIComponent(pgName)}`;
    const client = new pg.Client({
      connectionString: url.href,
      options:
        '-c jit=off -c timezone=UTC -c client_min_messages=error -c search_path=pg_catalog -c standard_conforming_strings=on',
    });
    await client.connect();
    return client;
  }

  find(name: string): Database | null {
    return this.databases.find((database) => same(database.name, name)) ?? null;
  }

  async create(name: string, collation: string): Promise<void> {
    if (this.find(name)) {
      throw new SqlError(1801, `Database '${name}' already exists. Choose a different database name.`, {
        state: 3,
      });
    }
    // master, tempdb, model and msdb have ids 1 to 4.
    const id = this.nextId;
    this.nextId = Math.max(5, id + 1);
    const pgName = `${this.prefix}_${id}`;
    const created = ((BigInt(Date.now()) + 2_208_988_800_000n) * 300n) / 1000n;
    await this.admin.query(`CREATE DATABASE ${quote(pgName)} TEMPLATE ${quote(`${this.prefix}_template`)}`);
    this.databases.push({
      id,
      name,
      pgName,
      collation,
      created,
      snapshot: id === 1,
      readCommittedSnapshot: false,
      sessions: 0,
    });
  }

  async drop(name: string): Promise<void> {
    const database = this.find(name);
    if (!database || database.id === 1) {
      throw new SqlError(
        3701,
        `Cannot drop the database '${name}', because it does not exist or you do not have permission.`,
        { class: 11 },
      );
    }
    // A client that has just hung up may not have been noticed yet.
    for (let tries = 0; database.sessions > 0 && tries < 20; tries++) await setTimeout(50);
    if (database.sessions > 0) {
      throw new SqlError(3702, `Cannot drop database "${name}" because it is currently in use.`, {
        state: 3,
      });
    }
    await this.admin.query(`DROP DATABASE IF EXISTS ${quote(database.pgName)} WITH (FORCE)`);
    this.databases.splice(this.databases.indexOf(database), 1);
  }

  /** Rows of sys.databases. */
  databaseRows(): string {
    return this.databases
      .map(
        (d) =>
          `(${d.id}, ${literal(d.name)}, ${literal(d.collation)}, ${d.created}::int8, ${d.snapshot}, ${d.readCommittedSnapshot})`,
      )
      .join(', ');
  }

  async cancel(pid: number): Promise<void> {
    await this.admin.query('SELECT pg_cancel_backend($1)', [pid]);
  }

  async close(): Promise<void> {
    try {
      for (const name of [...this.databases.map((database) => database.pgName), `${this.prefix}_template`]) {
        await this.admin.query(`DROP DATABASE IF EXISTS ${quote(name)} WITH (FORCE)`);
      }
    } finally {
      await this.admin.end();
    }
  }
}
