/** Two servers that hold the same tables after a migration, for tests that then change one side. Main thread. */
import assert from 'node:assert/strict';
import type pg from 'pg';
import { type Config, parseConfig } from '../../src/config/schema.js';
import { runMigration } from '../../src/engine/run.js';
import { runVerify, type VerifyRunOptions } from '../../src/engine/verifyRun.js';
import { inspectHost } from '../../src/host/host.js';
import type { TablePlan } from '../../src/plan/model.js';
import { planTables } from '../../src/plan/tables.js';
import { readCatalog } from '../../src/source/catalog.js';
import { connectSource } from '../../src/source/connection.js';
import type { TableReport } from '../../src/verify/verify.js';
import { sharedPostgres, type TestPostgres } from './postgres.js';
import {
  queryTsql,
  runTsql,
  type SqlServerConnection,
  startSqlServer,
  type TestSqlServer,
} from './sqlserver.js';
import { threads } from './threads.js';

export interface Migrated {
  config: Config;
  source: SqlServerConnection;
  client: pg.Client;
  /** Runs T-SQL in the source. */
  inSource(sql: string): Promise<unknown>;
  stop(): Promise<void>;
}

/**
 * Fills a source by these scripts and migrates it, row hashes and long text included.
 *
 * @param cores to size the run for, in place of this machine's
 */
export async function migrated(
  scripts: readonly string[],
  migration: Record<string, unknown> = {},
  cores?: number,
): Promise<Migrated> {
  let server: TestSqlServer | null = null;
  let postgres: TestPostgres | null = null;
  let client: pg.Client | null = null;
  const stop = async (): Promise<void> => {
    await client?.end();
    await postgres?.stop();
    await server?.stop();
  };
  try {
    server = await startSqlServer();
    const source = await server.createDatabase('verify');
    for (const script of scripts) await runTsql(source, script);
    postgres = await sharedPostgres();
    client = await postgres.client();
    const { encrypt, ...login } = source;
    const config = parseConfig({
      source: { ...login, encrypt, trust_server_cert: true, schema: 'dbo' },
      target: { ...postgres.connection, ssl_mode: 'disable', schema: 'public' },
      migration: {
        target_mode: 'drop_recreate',
        use_hash_detection: true,
        hash_text_columns: true,
        // Rows are changed as the tests like, without constraints of the target in the way.
        create_indexes: false,
        create_foreign_keys: false,
        create_check_constraints: false,
        ...migration,
      },
    });
    await migrateAgain(config, cores);
    return { config, source, client, inSource: (sql) => queryTsql(source, sql), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Migrates by this configuration, as if the host had so many cores; left out, as many as it has. */
export async function migrateAgain(config: Config, cores?: number): Promise<void> {
  const outcome = await runMigration(config, {
    signal: new AbortController().signal,
    onEvent: () => {},
    threads,
    ...(cores !== undefined && { host: { ...(await inspectHost()), cores } }),
  });
  assert.equal(outcome.error, undefined, outcome.error?.message);
}

/** The plans that a comparison goes by, of every table of the source's schema dbo. */
export async function plansOf(config: Config): Promise<TablePlan[]> {
  const source = await connectSource(config.source);
  const tables = await readCatalog(source, { schemas: ['dbo'] }).finally(() => source.close());
  return planTables(tables, {
    naming: { identifierCase: 'preserve', schemaOf: () => 'public' },
    chunkRows: 1,
    rowHashColumn: null,
    hashTextColumns: true,
    unlogged: false,
  });
}

/** Small tiers, so that few rows make many ranges. */
const SMALL: Pick<VerifyRunOptions, 'tier1Rows' | 'tier2Rows'> = { tier1Rows: 400, tier2Rows: 40 };

/** Verifies and names up to 1000 keys of each kind. */
export async function verifyAll(
  config: Config,
  options: Partial<VerifyRunOptions> = {},
): Promise<Map<string, TableReport>> {
  const outcome = await runVerify(config, {
    ...SMALL,
    details: 1000,
    trustRowHash: false,
    signal: new AbortController().signal,
    onEvent: () => {},
    threads,
    ...options,
  });
  return new Map(outcome.tables.map((report) => [report.table, report]));
}

/** What a report found: keys as one text each, sorted, `-` where there are none. */
export function found({ status, keys }: TableReport): Record<string, string> {
  const texts = (list: string[][]) =>
    list
      .map((key) => key.join(','))
      .sort()
      .join(' ') || '-';
  return { status, insert: texts(keys.insert), update: texts(keys.update), delete: texts(keys.delete) };
}

/** The same for a table that was compared: everything not given is empty. */
export const expected = (changes: { insert?: string; update?: string; delete?: string } = {}) => ({
  status: Object.keys(changes).length === 0 ? 'match' : 'differs',
  insert: '-',
  update: '-',
  delete: '-',
  ...changes,
});
