/**
 * Everything a PostgreSQL database needs to be a SQL Server database: run once, in the template database.
 *
 * Runs inside the embedded PostgreSQL.
 */
import { DATES_SQL } from './dates.js';
import { METADATA_SQL } from './metadata.js';
import { NUMBERS_SQL } from './numbers.js';
import { TEXT_SQL } from './text.js';

export const BOOTSTRAP_SQL = [
  'DROP SCHEMA public CASCADE',
  'CREATE SCHEMA tsql',
  'CREATE EXTENSION pgcrypto SCHEMA tsql',
  NUMBERS_SQL,
  DATES_SQL,
  TEXT_SQL,
  METADATA_SQL,
  'CREATE TABLE tsql.version (id uuid NOT NULL)',
  'INSERT INTO tsql.version VALUES (gen_random_uuid())',
].join(';\n');
