/**
 * A session's PostgreSQL connection: transactions, savepoints around statements, COPY out with cancelling.
 *
 * Runs in the process of the stand-in SQL Server. SQL Server undoes a failed statement and keeps the
 * transaction; PostgreSQL does not, so every statement in a transaction has a savepoint of its own.
 */
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';

const COPY_BUFFER_BYTES = 262_144;

export class Link {
  readonly client: pg.Client;
  readonly pid: number;
  /** Whether a T-SQL transaction is open. */
  inTransaction = false;
  private readonly cancelBackend: (pid: number) => Promise<void>;

  constructor(client: pg.Client, pid: number, cancelBackend: (pid: number) => Promise<void>) {
    this.client = client;
    this.pid = pid;
    this.cancelBackend = cancelBackend;
    // A connection lost between statements shows at the next one.
    client.on('error', () => {});
  }

  async query<T extends pg.QueryResultRow>(sql: string): Promise<pg.QueryResult<T>> {
    return this.client.query<T>(sql);
  }

  /** Runs `work` as one statement: all of it or nothing, inside or outside a transaction. */
  async atomically<T>(work: () => Promise<T>, isolation = ''): Promise<T> {
    const [begin, commit, rollback] = this.inTransaction
      ? ['SAVEPOINT tsql_statement', 'RELEASE tsql_statement', 'ROLLBACK TO tsql_statement']
      : [`BEGIN${isolation}`, 'COMMIT', 'ROLLBACK'];
    await this.query(begin);
    let result: T;
    try {
      result = await work();
      await this.query(commit);
    } catch (error) {
      await this.query(rollback).catch(() => {});
      throw error;
    }
    return result;
  }

  /** Asks PostgreSQL to stop what the connection is doing. */
  async cancel(): Promise<void> {
    await this.cancelBackend(this.pid);
  }

  /**
   * The binary COPY stream of a query, with the socket's backpressure. Leaving the iteration early cancels the
   * query and waits until the connection is free again. Returns the number of rows.
   */
  async *copy(sql: string): AsyncGenerator<Buffer, number> {
    const stream = copyTo(`COPY (${sql}) TO STDOUT (FORMAT binary)`, { highWaterMark: COPY_BUFFER_BYTES });
    let settled = false;
    const finished = new Promise<void>((resolve) => {
      const ready = (): void => {
        settled = true;
        resolve();
      };
      Object.assign(stream, { handleReadyForQuery: ready });
      stream.once('error', ready);
      stream.once('close', () => setImmediate(resolve));
    });
    this.client.query(stream);
    let complete = false;
    try {
      for await (const chunk of stream.iterator({ destroyOnReturn: false })) yield chunk as Buffer;
      complete = true;
      await finished;
      return stream.rowCount;
    } finally {
      if (!complete && !settled) {
        stream.on('error', () => {});
        stream.resume();
        await this.cancel().catch(() => {});
        await finished;
      }
    }
  }
}
