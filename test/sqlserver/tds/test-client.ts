/**
 * What the stand-in server's tests share: a server on a fake engine, and the real tedious as its client. Runs in the
 * test's process.
 */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { Connection, type ConnectionConfiguration, Request } from 'tedious';
import type { ResultColumn, SqlType } from '../contract.js';
import { type SqlServer, type SqlServerOptions, startSqlServer } from '../server.js';
import { FakeEngine, PASSWORD } from './fake-engine.js';

export interface Column {
  value: unknown;
  metadata: { colName: string; type: { name: string } };
}

export interface Answer {
  rows: unknown[][];
  rowCount: number | undefined;
}

export const engine = new FakeEngine();
const servers: SqlServer[] = [];

export async function serve(options: Partial<SqlServerOptions> = {}): Promise<SqlServer> {
  const server = await startSqlServer({ engine, ...options });
  servers.push(server);
  return server;
}

export function connect(
  server: SqlServer,
  options: NonNullable<ConnectionConfiguration['options']> = {},
  login: { userName?: string; password?: string } = {},
  onError: (info: { number: number }) => void = () => {},
): Promise<Connection> {
  const connection = new Connection({
    server: '127.0.0.1',
    options: { port: server.port, encrypt: false, trustServerCertificate: true, ...options },
    authentication: { type: 'default', options: { userName: 'sa', password: PASSWORD, ...login } },
  });
  return new Promise((resolve, reject) => {
    connection.on('error', () => {});
    connection.on('errorMessage', onError);
    connection.connect((error) =>
      error === undefined || error === null ? resolve(connection) : reject(error),
    );
  });
}

export function query(
  connection: Connection,
  sql: string,
  setUp: (request: Request) => void = () => {},
  how: 'execSql' | 'execSqlBatch' = 'execSql',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const rows: unknown[][] = [];
    const request = new Request(sql, (error, rowCount) => {
      if (error) reject(error);
      else resolve({ rows, rowCount });
    });
    request.on('row', (columns: Column[]) => rows.push(columns.map((column) => column.value)));
    setUp(request);
    connection[how](request);
  });
}

export function close(connection: Connection): Promise<void> {
  return new Promise((resolve) => {
    connection.once('end', () => resolve());
    connection.close();
  });
}

export async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !condition(); tries++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition());
}

/** tedious hangs a property on the dates of scaled types; deepEqual needs plain dates. */
export function plain(rows: unknown[][]): unknown[][] {
  return rows.map((row) => row.map((value) => (value instanceof Date ? new Date(value.getTime()) : value)));
}

export function equal(a: unknown, b: unknown): boolean {
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return a.equals(b);
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
  return a === b;
}

after(async () => {
  for (const server of servers) await server.close();
});

/** The number SQL Server gave the error that tedious reports. */
export function numberOf(error: unknown): number | undefined {
  return (error as { number?: number }).number;
}

export function column(name: string, type: SqlType, nullable = true): ResultColumn {
  return { name, type, nullable };
}
