/**
 * *Row objects*: tedious's row events into pg-copy-streams, a line of text a row, the way one would write it in an
 * afternoon. With the backpressure one would forget, and without exactness: tedious hands out decimals as floating
 * point numbers.
 *
 * A process of its own, one thread.
 */
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { Connection, Request, TYPES } from 'tedious';
import type { SqlServerConnection } from '../../test/support/tsql.js';
import { serve } from '../measure/child.js';
import { Marks } from '../measure/marks.js';

export interface RowObjectsRequest {
  source: SqlServerConnection;
  packetSize: number;
  target: pg.ClientConfig;
  postmaster: number | null;
  /** The query; `@hi0` is the last Id wanted. */
  query: string;
  /** `COPY ... FROM STDIN`. */
  copy: string;
  rows: number;
}

/** Rows written as one piece. */
const BATCH_ROWS = 500;

serve<RowObjectsRequest>(async (request) => {
  const marks = new Marks(request.postmaster);
  const client = new pg.Client(request.target);
  await client.connect();
  const connection = await connect(request);
  marks.add('transfer');
  const stream = client.query(copyFrom(request.copy));
  let rows = 0;
  let lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    stream.once('error', reject);
    stream.once('finish', resolve);
    const query = new Request(request.query, (error) => {
      if (error) reject(error);
      else stream.end(lines.map((line) => `${line}\n`).join(''));
    });
    query.addParameter('hi0', TYPES.NVarChar, String(request.rows));
    query.on('row', (columns: { value: unknown }[]) => {
      lines.push(columns.map(({ value }) => text(value)).join('\t'));
      rows++;
      if (lines.length < BATCH_ROWS) return;
      if (!stream.write(`${lines.join('\n')}\n`)) {
        query.pause();
        // Nothing is committed before the end: what counts as progress is what was handed over.
        marks.progress(rows);
        stream.once('drain', () => query.resume());
      }
      lines = [];
    });
    connection.execSql(query);
  });
  marks.add('loaded', rows);
  connection.close();
  await client.end();
  return marks.report();
});

function text(value: unknown): string {
  if (value === null || value === undefined) return '\\N';
  if (typeof value === 'string') return value.replace(/[\\\t\n\r]/g, escaped);
  if (value instanceof Date) return value.toISOString();
  if (Buffer.isBuffer(value)) return `\\\\x${value.toString('hex')}`;
  return String(value);
}

function escaped(character: string): string {
  return { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }[character] ?? character;
}

function connect({ source, packetSize }: RowObjectsRequest): Promise<Connection> {
  const connection = new Connection({
    server: source.host,
    authentication: { type: 'default', options: { userName: source.user, password: source.password } },
    options: {
      port: source.port,
      database: source.database,
      encrypt: source.encrypt,
      trustServerCertificate: true,
      packetSize,
      requestTimeout: 0,
      useUTC: true,
    },
  });
  return new Promise((resolve, reject) => {
    connection.connect((error) => (error ? reject(error) : resolve(connection)));
  });
}
