/** How tests connect to their PostgreSQL through the program's own connection. */
import { after, before, beforeEach } from 'node:test';
import { connectTarget, type TargetConnection, type TargetOptions } from '../../src/target/connection.js';
import { type PostgresConnection, sharedPostgres, type TestPostgres } from './postgres.js';

/** Options for a test server without TLS, which waits for nobody's locks longer than a second. */
export function targetOptions(
  connection: PostgresConnection,
  changes: Partial<TargetOptions> = {},
): TargetOptions {
  return {
    ...connection,
    ssl_mode: 'disable',
    connect_timeout_seconds: 5,
    lock_timeout_seconds: 1,
    ...changes,
  };
}

export interface TargetScene {
  server: TestPostgres;
  options: TargetOptions;
  target: TargetConnection;
}

/** Connects all tests of a file to the shared PostgreSQL, and drops these schemas before each of them. */
export function withTarget(schemas: readonly string[], give: (scene: TargetScene) => void): void {
  let server: TestPostgres | null = null;
  let target: TargetConnection | null = null;
  before(async () => {
    server = await sharedPostgres();
    const options = targetOptions(server.connection);
    target = await connectTarget(options);
    give({ server, options, target });
  });
  after(async () => {
    await target?.close();
    await server?.stop();
  });
  beforeEach(() => target?.query(schemas.map((name) => `DROP SCHEMA IF EXISTS ${name} CASCADE`).join('; ')));
}
