/**
 * The stand-in's SQL engine: T-SQL in, rows as PostgreSQL binary COPY out (contract.ts).
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { type Engine, type EngineSession, SqlError } from '../contract.js';
import { same } from './schema.js';
import { Server } from './server.js';
import { openSession } from './session.js';

export interface EngineOptions {
  /** A superuser's URL of the PostgreSQL server that holds the databases. */
  pgUrl: string;
  password: string;
  /** The one sysadmin login; `sa` by default. */
  user?: string;
}

/** Prepares the databases on the PostgreSQL server; `close` drops them again. */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const user = options.user ?? 'sa';
  const server = await Server.start(options.pgUrl, user, options.password);
  const sessions = new Set<EngineSession>();
  return {
    async login(name, password, database) {
      const login = server.logins.find((candidate) => same(candidate.name, name));
      if (!login || login.password !== password) {
        throw new SqlError(18456, `Login failed for user '${name}'.`, { class: 14 });
      }
      const session = await openSession(server, login, database || 'master', () => sessions.delete(session));
      sessions.add(session);
      return session;
    },
    async close() {
      await Promise.allSettled([...sessions].map((session) => session.close()));
      await server.close();
    },
  };
}
