/**
 * A source, a target and the real command line between them: what the end-to-end tests share.
 *
 * Runs on the main thread of the test process. The source is the stand-in in a process of its own (or the server
 * of `TEST_MSSQL_URL`), the target a database of its own on a real PostgreSQL.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import type { ResultError, RunResult } from '../../src/observe/result.js';
import { type CliOptions, type CliResult, runCli } from './cli.js';
import { writeConfig } from './config.js';
import { sharedPostgres, type TestPostgres } from './postgres.js';
import {
  runTsql,
  type SqlServerConnection,
  type StartSqlServerOptions,
  startSqlServer,
  type TestSqlServer,
} from './sqlserver.js';

/** Sections of the configuration, in place of or added to what the connections say. */
export interface ConfigChanges {
  source?: Record<string, unknown>;
  target?: Record<string, unknown>;
  migration?: Record<string, unknown>;
}

/** A run of the tool that printed its result as JSON. */
export interface Migration extends CliResult {
  result: RunResult;
}

export interface Scene {
  directory: string;
  server: TestSqlServer;
  source: SqlServerConnection;
  target: TestPostgres;
  /** A client of the target that lives as long as the scene. */
  client: pg.Client;
  /** Writes a configuration file. @returns its path. */
  config(changes?: ConfigChanges): string;
  /** `run --output-json` with this configuration. */
  migrate(changes?: ConfigChanges, args?: string[], options?: CliOptions): Promise<Migration>;
  /** Runs T-SQL batches in the source database. */
  tsql(script: string): Promise<void>;
  /** Rows of a query on the target, as arrays of the texts PostgreSQL prints for them. */
  rows(sql: string): Promise<(string | null)[][]>;
  /** Makes the connection of `rows` again, after the target server was crashed. */
  reconnect(): Promise<void>;
  stop(): Promise<void>;
}

/** Makes a source database from `script` and an empty target. */
export async function startScene(
  name: string,
  script: string,
  options: { source?: StartSqlServerOptions; target?: TestPostgres } = {},
): Promise<Scene> {
  const directory = mkdtempSync(join(tmpdir(), `mpm-e2e-${name}-`));
  const target = options.target ?? (await sharedPostgres());
  let server: TestSqlServer | null = null;
  let client: pg.Client | null = null;
  const stop = async () => {
    await client?.end();
    await server?.stop();
    await target.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    server = await startSqlServer(options.source);
    const source = await server.createDatabase(`e2e_${name}`);
    await runTsql(source, script);
    client = await target.client();
    await client.query(`SET timezone = 'UTC'`);
    return scene({ directory, server, source, target, client, stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

function scene(parts: Pick<Scene, 'directory' | 'server' | 'source' | 'target' | 'client' | 'stop'>): Scene {
  const { directory, source, target } = parts;
  let { client } = parts;
  const config = (changes: ConfigChanges = {}) =>
    writeConfig(directory, {
      source,
      target: target.connection,
      sourceKeys: changes.source ?? {},
      targetKeys: changes.target ?? {},
      migration: changes.migration ?? {},
    });
  return {
    ...parts,
    config,
    async migrate(changes = {}, args = [], options = {}) {
      const done = await runCli(['-c', config(changes), '--output-json', 'run', ...args], {
        timeoutMs: 120_000,
        ...options,
      });
      return { ...done, result: oneLineOfJson(done.stdout) as RunResult };
    },
    tsql: (script) => runTsql(source, script),
    async reconnect() {
      await client.end().catch(() => {});
      client = await target.client();
      await client.query(`SET timezone = 'UTC'`);
    },
    async stop() {
      await client.end().catch(() => {});
      await parts.stop();
    },
    async rows(sql) {
      const types = { getTypeParser: () => (text: string) => text };
      const { rows } = await client.query<(string | null)[]>({ text: sql, rowMode: 'array', types });
      return rows;
    },
  };
}

/** @returns the value of stdout, which must be exactly one line of JSON. */
export function oneLineOfJson(stdout: string): unknown {
  assert.equal(stdout.trimEnd().split('\n').length, 1, `not one line on stdout:\n${stdout}`);
  return JSON.parse(stdout);
}

/** Asserts that a run succeeded; its log is the message where it did not. */
export function succeeded(done: Migration): RunResult {
  assert.equal(done.code, 0, `${done.stdout}\n${done.stderr}`);
  assert.equal(done.result.status, 'success');
  return done.result;
}

/** @returns the error of one table of a run. */
export function tableError(result: RunResult, table: string): ResultError {
  const error = result.tables.find((one) => one.table === table)?.error;
  assert.ok(error, `no error of ${table} in ${JSON.stringify(result)}`);
  return error;
}
