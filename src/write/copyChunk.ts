/**
 * One chunk as one COPY in one transaction, over pg and pg-copy-streams. Writer thread.
 *
 * A slot's memory may be overwritten as soon as it is released, and pg-copy-streams reports a write as done
 * when the socket has taken it, not when it has left: `write` resolves only once the socket holds nothing.
 */
import type { Socket } from 'node:net';
import type pg from 'pg';
import { type CopyStreamQuery, from as copyFrom } from 'pg-copy-streams';
import { COPY_HEADER, COPY_TRAILER } from '../copy/frame.js';
import { TextRows } from '../copy/textRows.js';
import { AppError } from '../errors.js';
import type { ChunkBegin, ChunkDone, ChunkEnd, MergeCounts } from '../plan/chunk.js';

const NOTHING = Buffer.alloc(0);

export class CopyChunk {
  readonly #client: pg.Client;
  readonly #begin: ChunkBegin;
  readonly #text: TextRows | null;
  #stream: CopyStreamQuery | null = null;
  /** What ended the COPY early. */
  #failure: Error | null = null;
  /** Ends the wait under way with it. */
  #onFailure: (error: Error) => void = () => {};
  #onEnd: () => void = () => {};
  /** The server has ended the COPY by an error: there is nothing left to cancel. */
  #refused = false;
  #ended = false;
  #inTransaction = false;
  /** CRC-32 of what was written. */
  #checksum = 0;
  readonly #startedMs = performance.now();
  /** Since when the server is waited for to take or answer something (`performance.now()`), or null. */
  waitingSinceMs: number | null = null;

  constructor(client: pg.Client, begin: ChunkBegin) {
    this.#client = client;
    this.#begin = begin;
    this.#text = begin.text === null ? null : new TextRows(begin.text);
  }

  /** Opens the transaction and the COPY, by one message: the server's answers are waited for once. */
  async begin(): Promise<void> {
    const { before, copy } = this.#begin;
    this.#inTransaction = true;
    const stream = this.#client.query(copyFrom(['BEGIN', ...before, copy].join(';\n')));
    this.#stream = stream;
    stream.once('error', (error) => {
      this.#refused = true;
      this.#fail(error);
    });
    this.#onEnd = () => {
      this.#ended = true;
      this.#fail(new Error('Connection terminated unexpectedly'));
    };
    this.#client.once('end', this.#onEnd);
    if (this.#text === null) await this.#send(COPY_HEADER);
  }

  /**
   * Sends a slot's tuples; resolves when its memory may be used again.
   * @param checksum of the chunk's tuples up to these, with them
   */
  async write(slots: Buffer, offset: number, bytes: number, checksum: number): Promise<void> {
    const tuples = slots.subarray(offset, offset + bytes);
    this.#checksum = checksum;
    await this.#send(this.#text === null ? tuples : this.#text.push(tuples));
  }

  /**
   * Ends the COPY, enters the chunk in the ledger and commits both.
   *
   * @throws AppError TARGET_QUERY where a trigger left rows out, INTERNAL where PostgreSQL counted more than were sent,
   * STATE_INVALID where the run is
   * another process's by now: nothing is committed then
   */
  async commit(end: ChunkEnd): Promise<ChunkDone> {
    const { rows } = end;
    const stream = this.#stream!;
    this.#text?.end();
    if (this.#text === null) await this.#send(COPY_TRAILER);
    await this.#waiting(
      this.#unlessFailed((resolve, reject) => {
        // The callback comes with the error where there is one, before the event does.
        stream.end((error?: Error | null) => (error ? reject(error) : resolve()));
      }),
    );
    this.#closeStream();
    if (stream.rowCount < rows) {
      const text = `${this.#begin.label}: the target took ${stream.rowCount} rows of a chunk of ${rows}: a trigger leaves rows out`;
      throw new AppError('TARGET_QUERY', text, {
        remedy:
          'Nothing of the chunk was committed. Disable the trigger (ALTER TABLE ... DISABLE TRIGGER) while rows are loaded, or let it pass every row.',
      });
    }
    if (stream.rowCount !== rows) {
      const text = `${this.#begin.label}: PostgreSQL counted ${stream.rowCount} rows in a chunk of ${rows}`;
      throw new AppError('INTERNAL', text, {
        remedy: 'Nothing of the chunk was committed. Report this as a bug.',
      });
    }
    const { merge } = this.#begin;
    const merged = merge === undefined ? null : await this.#merge(merge);
    const digest = this.#checksum.toString(16).padStart(8, '0');
    const done = { ...end, digest, ...(merged !== null && { merged }) };
    await this.#enter(done);
    await this.#waiting(this.#client.query('COMMIT'));
    this.#inTransaction = false;
    return done;
  }

  async #merge(statement: string): Promise<MergeCounts> {
    const { rows } = await this.#client.query<MergeCounts>(statement);
    return rows[0] ?? { inserted: 0, updated: 0 };
  }

  async #enter(done: ChunkDone): Promise<void> {
    const { ledger, label, partition, chunk, lower, retries, keys: span } = this.#begin;
    if (ledger === undefined) return;
    const bounds = span === undefined ? [lower, done.upper] : [span.first, span.last];
    const keys = bounds.map((key) => (key === null ? null : JSON.stringify(key)));
    const { inserted = null, updated = null } = done.merged ?? {};
    const durationMs = Math.round(performance.now() - this.#startedMs);
    const result = await this.#waiting(
      this.#client.query(ledger.sql, [
        ...ledger.values,
        ...[label, partition, chunk, ...keys, done.rows, done.bytes, done.digest, durationMs, retries],
        ...[inserted, updated, span !== undefined],
      ]),
    );
    if (result.rowCount === 1) return;
    if (ledger.shared === true) {
      // Not this table's fault, nor the run's: whoever has the partition brings these rows.
      throw new AppError('TARGET_TRANSIENT', `${label}: another host has taken this partition over`);
    }
    throw new AppError('STATE_INVALID', 'Another process has taken this run over', {
      remedy: 'Nothing more is written by this process. Let the other one finish.',
    });
  }

  /** Rolls back whatever was begun. */
  async abort(reason: string): Promise<void> {
    const stream = this.#stream;
    this.#closeStream();
    if (stream !== null && !this.#refused && !this.#ended) {
      // destroy() sends CopyFail and ends when the server has answered it.
      stream.on('error', () => {});
      await new Promise<void>((resolve) => {
        stream.once('close', resolve);
        this.#client.once('end', resolve);
        stream.destroy(new Error(reason.slice(0, 200)));
      });
    }
    if (!this.#inTransaction) return;
    this.#inTransaction = false;
    await this.#client.query('ROLLBACK');
  }

  #closeStream(): void {
    this.#stream = null;
    this.#client.removeListener('end', this.#onEnd);
  }

  async #send(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    const stream = this.#stream!;
    const socket = this.#client.connection.stream as Socket;
    // Corked, the frame's header and its bytes leave in one system call.
    socket.cork();
    const taken = this.#unlessFailed((resolve, reject) => {
      stream.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
    socket.uncork();
    this.waitingSinceMs = performance.now();
    await taken;
    if (socket.writableLength > 0) {
      // Writes complete in order: when this empty one has, all before it have left.
      await this.#unlessFailed((resolve) => socket.write(NOTHING, () => resolve()));
    }
    this.waitingSinceMs = null;
  }

  async #waiting<T>(step: Promise<T>): Promise<T> {
    this.waitingSinceMs = performance.now();
    const result = await step;
    this.waitingSinceMs = null;
    return result;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#onFailure(error);
  }

  /** Waits for a step, or for what ends the COPY; a race of promises would hold every step's until the chunk ends. */
  #unlessFailed(start: (resolve: () => void, reject: (error: Error) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#onFailure = reject;
      if (this.#failure !== null) reject(this.#failure);
      else start(resolve, reject);
    });
  }
}
