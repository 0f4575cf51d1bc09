/**
 * The configuration `init` writes where nobody can be asked: every key, with its default as a comment.
 *
 * Runs on the main thread.
 */
import { configDocument } from '../../config/document.js';

export const HEADING = [
  'Configuration of mssql-pg-migrate: try it with health-check, then run --dry-run, then run.',
  '${' +
    'NAME} stands for the environment variable of that name. A key behind a # has the value shown, its default; ' +
    'take the # away to change it.',
];

/** @returns a file that is read without an error once both variables are set. */
export function templateDocument(): string {
  return configDocument(
    {
      source: {
        host: 'sqlserver.example.com',
        database: 'SourceDatabase',
        user: 'sa',
        password: '${' + 'MSSQL_PASSWORD}',
      },
      target: {
        host: 'postgres.example.com',
        database: 'target_database',
        user: 'postgres',
        password: '${' + 'POSTGRES_PASSWORD}',
      },
      migration: { target_mode: 'drop_recreate' },
    },
    { heading: HEADING, allKeys: true },
  );
}
