/**
 * Rows of a result that may be large: a cursor's batches, or the tuples of a binary COPY.
 *
 * Runs on the main thread.
 */
import { to as copyTo } from 'pg-copy-streams';
import { COPY_HEADER, COPY_TRAILER } from '../copy/frame.js';
import { type TargetConnection, targetError } from './connection.js';

/** Rows fetched at a time. */
const BATCH_ROWS = 1000;

/**
 * Reads through a cursor, in a transaction of its own that may not write.
 *
 * @throws AppError as `targetError` names it
 */
export async function* readRows<Row extends object>(
  target: TargetConnection,
  sql: string,
  values: readonly unknown[],
): AsyncGenerator<Row[], void, void> {
  await target.query('BEGIN READ ONLY');
  try {
    await target.query(`DECLARE rows_read NO SCROLL CURSOR FOR ${sql}`, values);
    for (;;) {
      const batch = await target.query<Row>(`FETCH ${BATCH_ROWS} FROM rows_read`);
      if (batch.length > 0) yield batch;
      if (batch.length < BATCH_ROWS) return;
    }
  } finally {
    // It changed nothing; where the connection is lost the first error is the one to report.
    await target.query('ROLLBACK').catch(() => {});
  }
}

/**
 * The tuples of `COPY (query) TO STDOUT (FORMAT binary)`, cut anywhere, without header and trailer.
 *
 * @param settings values for the query, which can have no parameters: it reads them by `current_setting(name)`
 */
export async function* readTuples(
  target: TargetConnection,
  query: string,
  settings: ReadonlyMap<string, string>,
): AsyncGenerator<Buffer, void, void> {
  try {
    for (const [name, value] of settings) {
      await target.client.query('SELECT set_config($1, $2, false)', [name, value]);
    }
    let headerLeft = COPY_HEADER.length;
    let held: Buffer = Buffer.alloc(0);
    for await (const piece of target.client.query(copyTo(`COPY (${query}) TO STDOUT (FORMAT binary)`))) {
      const bytes = piece as Buffer;
      const skipped = Math.min(headerLeft, bytes.length);
      headerLeft -= skipped;
      // The last bytes may be the trailer's: they wait for what follows.
      const known = Buffer.concat([held, bytes.subarray(skipped)]);
      const sure = Math.max(0, known.length - COPY_TRAILER.length);
      held = known.subarray(sure);
      if (sure > 0) yield known.subarray(0, sure);
    }
  } catch (error) {
    throw targetError(error);
  }
}
