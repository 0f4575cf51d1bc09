/** How tests connect to their PostgreSQL through the program's own connection. */
import type { TargetOptions } from '../../src/target/connection.js';
import type { PostgresConnection } from './postgres.js';

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
