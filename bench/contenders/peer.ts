/**
 * What every tool beside the product is asked: to bring one table over. Pure.
 */
import type { PostgresConnection } from '../../test/support/postgres.js';
import type { SqlServerConnection } from '../../test/support/tsql.js';

export interface PeerRequest {
  source: SqlServerConnection;
  target: PostgresConnection;
  postmaster: number | null;
  /** Folder for what the tool writes. */
  directory: string;
  /** The table in the source, in schema dbo. */
  from: string;
  /** The table to load, which is there and empty. */
  into: { schema: string; name: string };
  rows: number;
}
