/**
 * Runs T-SQL scripts and queries over tedious; on the main thread of the test process.
 */
import { Connection, Request } from 'tedious';

export interface SqlServerConnection {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  /** Whether the connection asks for TLS; the server's certificate is not checked here. */
  encrypt: boolean;
}

/** Splits a script the way sqlcmd does: at lines that hold nothing but GO. Empty batches are dropped. */
export function splitBatches(script: string): string[] {
  return script.split(/^[ \t]*GO[ \t]*\r?$/im).filter((batch) => batch.trim() !== '');
}

/** Runs a script batch by batch on one connection; the first error ends it, and its message shows the batch. */
export async function runTsql(connection: SqlServerConnection, script: string): Promise<void> {
  await withConnection(connection, async (client) => {
    for (const batch of splitBatches(script)) await runBatch(client, batch);
  });
}

/** Runs one batch and returns the rows of all its result sets; the column's name is the key. */
export async function queryTsql(
  connection: SqlServerConnection,
  sql: string,
): Promise<Record<string, unknown>[]> {
  return withConnection(connection, (client) => runBatch(client, sql));
}

async function withConnection<T>(
  target: SqlServerConnection,
  use: (client: Connection) => Promise<T>,
): Promise<T> {
  const client = new Connection({
    server: target.host,
    authentication: { type: 'default', options: { userName: target.user, password: target.password } },
    options: {
      port: target.port,
      database: target.database,
      encrypt: target.encrypt,
      trustServerCertificate: true,
      connectTimeout: 10_000,
      requestTimeout: 0,
      useUTC: true,
    },
  });
  // A connection lost later fails the request in flight; that error is the one to see.
  client.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    client.connect((error) => (error ? reject(error) : resolve()));
  });
  try {
    return await use(client);
  } finally {
    const ended = new Promise((resolve) => client.once('end', resolve));
    client.close();
    await ended;
  }
}

interface CellEvent {
  metadata: { colName: string };
  value: unknown;
}

function runBatch(client: Connection, sql: string): Promise<Record<string, unknown>[]> {
  return new Promise((resolve, reject) => {
    const rows: Record<string, unknown>[] = [];
    const request = new Request(sql, (error) => {
      if (!error) return resolve(rows);
      const shown = sql.trim().slice(0, 2_000);
      const number = 'number' in error ? ` (error ${String(error.number)})` : '';
      reject(new Error(`${error.message}${number}\nin the batch:\n${shown}`, { cause: error }));
    });
    request.on('row', (cells: CellEvent[]) => {
      rows.push(Object.fromEntries(cells.map((cell) => [cell.metadata.colName, cell.value])));
    });
    client.execSqlBatch(request);
  });
}
