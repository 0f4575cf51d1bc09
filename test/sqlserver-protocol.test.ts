/**
 * The stand-in SQL Server's TDS side, driven by the real tedious over a real socket, with a fake engine behind it
 * that serves prepared results. Runs in the test process.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Connection, type ConnectionConfiguration, Request } from 'tedious';
import { type SqlServer, type SqlServerOptions, startSqlServer } from './sqlserver/server.js';
import { FakeEngine, result } from './sqlserver/tds/fake-engine.js';

interface Column {
  value: unknown;
  metadata: { colName: string; type: { name: string } };
}

interface Answer {
  rows: unknown[][];
  rowCount: number | undefined;
}

const engine = new FakeEngine();
const servers: SqlServer[] = [];

async function serve(options: Partial<SqlServerOptions> = {}): Promise<SqlServer> {
  const server = await startSqlServer({ engine, ...options });
  servers.push(server);
  return server;
}

function connect(
  server: SqlServer,
  options: NonNullable<ConnectionConfiguration['options']> = {},
  login: { userName?: string; password?: string } = {},
): Promise<Connection> {
  const connection = new Connection({
    server: '127.0.0.1',
    options: { port: server.port, encrypt: false, trustServerCertificate: true, ...options },
    authentication: { type: 'default', options: { userName: 'sa', password: 'Right-1!', ...login } },
  });
  return new Promise((resolve, reject) => {
    connection.on('error', () => {});
    connection.connect((error) =>
      error === undefined || error === null ? resolve(connection) : reject(error),
    );
  });
}

function query(
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

function close(connection: Connection): Promise<void> {
  return new Promise((resolve) => {
    connection.once('end', () => resolve());
    connection.close();
  });
}

after(async () => {
  for (const server of servers) await server.close();
});

describe('login', () => {
  let server: SqlServer;
  before(async () => {
    server = await serve();
  });

  it('lets the right password in and answers a query', async () => {
    engine.answer('SELECT 1', result([{ name: 'a', type: { name: 'int' }, nullable: false }], [['1']]));
    const connection = await connect(server, { database: 'shop' });
    assert.deepEqual(await query(connection, 'SELECT 1'), { rows: [[1]], rowCount: 1 });
    assert.deepEqual((await query(connection, 'SELECT 1', undefined, 'execSqlBatch')).rows, [[1]]);
    await close(connection);
  });
});
