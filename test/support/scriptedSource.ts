/**
 * An SQL Server that answers every SELECT with rows made in memory: real TDS over a real socket, no engine
 * behind it. For tests of the lanes alone, in the test's own process.
 */
import type { TablePlan } from '../../src/plan/model.js';
import type { SourceOptions } from '../../src/source/connection.js';
import {
  type Engine,
  type EngineEvent,
  type EngineParameter,
  type EngineSession,
  type ResultColumn,
  SqlError,
} from '../sqlserver/contract.js';
import { type SqlServer, startSqlServer } from '../sqlserver/server.js';
import { COPY_HEADER, COPY_TRAILER } from '../sqlserver/tds/fake-engine.js';
import { planOf } from './transcode.js';

/** id int NOT NULL, value bigint NULL (NULL for every third row), name nvarchar(40) NOT NULL. */
const COLUMNS: ResultColumn[] = [
  { name: 'id', type: { name: 'int' }, nullable: false },
  { name: 'value', type: { name: 'bigint' }, nullable: true },
  { name: 'name', type: { name: 'nvarchar', length: 40 }, nullable: false },
];

export interface Script {
  /** Rows of a result, ids `first` to `last`. */
  rowsOf(parameters: Record<string, string | null>): { first: number; last: number };
  /** Called before row `id` is sent; may throw SqlError, or wait. */
  before?(id: number): Promise<void> | void;
  /** Logins that succeed; every further one is refused. */
  logins?: number;
}

/** The plan of the scripted table. */
export function scriptedPlan(chunkRows: number, rowHash = false): TablePlan {
  const plan = planOf(
    [
      { name: 'id', pgType: 'integer', key: true },
      { name: 'value', pgType: 'bigint' },
      { name: 'name', pgType: 'varchar(40)' },
    ],
    chunkRows,
    rowHash,
  );
  for (const column of plan.columns) column.source.type = column.pgType === 'integer' ? 'int' : 'nvarchar';
  return plan;
}

export async function startScriptedSource(
  script: Script,
): Promise<{ server: SqlServer; options: SourceOptions }> {
  const session: EngineSession = {
    database: 'scripted',
    execute: (sql, parameters, signal) => answer(script, sql, parameters, signal),
    async close() {},
  };
  let logins = 0;
  const engine: Engine = {
    async login() {
      if (++logins <= (script.logins ?? Number.POSITIVE_INFINITY)) return session;
      throw new SqlError(17809, 'The maximum number of user connections has been reached.');
    },
    async close() {},
  };
  // Every connection there is, a reader's too, has to say that it will read.
  const server = await startSqlServer({ engine, encryption: 'off', readIntentOnly: true });
  return {
    server,
    options: {
      host: '127.0.0.1',
      port: server.port,
      database: 'scripted',
      user: 'sa',
      password: 'any',
      encrypt: false,
      trust_server_cert: true,
      authentication: 'sql',
      isolation: 'read_committed',
      application_intent: 'read_only',
      connect_timeout_seconds: 10,
      request_timeout_seconds: 0,
      packet_size_bytes: 32767,
    },
  };
}

async function* answer(
  script: Script,
  sql: string,
  parameters: EngineParameter[],
  signal: AbortSignal,
): AsyncGenerator<EngineEvent> {
  if (!sql.startsWith('SELECT')) {
    yield { kind: 'done' };
    return;
  }
  const values = Object.fromEntries(parameters.map(({ name, text }) => [name.replace('@', ''), text]));
  const { first, last } = script.rowsOf(values);
  yield { kind: 'columns', columns: COLUMNS };
  yield { kind: 'copy', bytes: COPY_HEADER };
  const batchRows = 1000;
  for (let id = first; id <= last; id += batchRows) {
    if (signal.aborted) return;
    const parts: Buffer[] = [];
    for (let row = id; row < id + batchRows && row <= last; row++) {
      const wait = script.before?.(row);
      if (wait !== undefined) await wait;
      parts.push(tuple(row));
    }
    yield { kind: 'copy', bytes: Buffer.concat(parts) };
  }
  yield { kind: 'copy', bytes: COPY_TRAILER };
  yield { kind: 'done', rowCount: last - first + 1 };
}

function tuple(id: number): Buffer {
  const name = Buffer.from(`row ${id} ü`);
  const isNull = id % 3 === 0;
  const bytes = Buffer.alloc(2 + 8 + 4 + (isNull ? 0 : 8) + 4 + name.length);
  bytes.writeInt16BE(3, 0);
  bytes.writeInt32BE(4, 2);
  bytes.writeInt32BE(id, 6);
  let at = 10;
  bytes.writeInt32BE(isNull ? -1 : 8, at);
  at += 4;
  if (!isNull) {
    bytes.writeBigInt64BE(BigInt(id) * 1_000_000_007n, at);
    at += 8;
  }
  bytes.writeInt32BE(name.length, at);
  name.copy(bytes, at + 4);
  return bytes;
}
