/**
 * Configuration files for runs of the command line tool against test servers; main thread of the test.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { PostgresConnection } from './postgres.js';
import type { SqlServerConnection } from './tsql.js';

export interface ConfigParts {
  source: SqlServerConnection;
  target: PostgresConnection;
  /** Keys of the `migration` section; `target_mode` is `drop_recreate` unless given. */
  migration?: Record<string, unknown>;
  /** Keys added to `source` and `target`, or put in place of what the connections say. */
  sourceKeys?: Record<string, unknown>;
  targetKeys?: Record<string, unknown>;
}

/** Writes `config.yaml` into `directory`, readable by its owner only. @returns its path. */
export function writeConfig(directory: string, parts: ConfigParts): string {
  const { source, target } = parts;
  const config = {
    source: {
      type: 'mssql',
      host: source.host,
      port: source.port,
      database: source.database,
      user: source.user,
      password: source.password,
      schema: 'dbo',
      encrypt: source.encrypt,
      trust_server_cert: true,
      ...parts.sourceKeys,
    },
    target: {
      type: 'postgres',
      host: target.host,
      port: target.port,
      database: target.database,
      user: target.user,
      password: target.password,
      schema: 'public',
      ssl_mode: 'disable',
      ...parts.targetKeys,
    },
    migration: { target_mode: 'drop_recreate', ...parts.migration },
  };
  const file = join(directory, 'config.yaml');
  writeFileSync(file, stringify(config), { mode: 0o600 });
  return file;
}
