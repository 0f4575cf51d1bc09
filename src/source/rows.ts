/**
 * Rows of a result that may be large, a batch at a time: while nobody takes them, SQL Server waits.
 *
 * Runs on the main thread.
 */
import { Request, TYPES } from '../tds/driver.js';
import type { SourceConnection } from './connection.js';

/** Rows held at most, twice over. */
const BATCH_ROWS = 1000;

/**
 * Runs a statement on an idle connection; leaving the iteration early cancels it.
 *
 * @param parameters nvarchar parameters by name
 * @param scanned rows that the source has to go through before it can answer, about
 * @throws AppError as `sourceError` names it
 */
export async function* readRows(
  source: SourceConnection,
  sql: string,
  parameters: readonly { name: string; value: string }[],
  scanned: number,
): AsyncGenerator<Record<string, unknown>[], void, void> {
  let rows: Record<string, unknown>[] = [];
  let ended = false;
  let failure: unknown = null;
  let wake: () => void = () => {};
  const answer = source.answer(scanned);
  const request = new Request(sql, (error) => {
    ended = true;
    failure = error ?? null;
    wake();
  });
  for (const { name, value } of parameters) request.addParameter(name, TYPES.NVarChar, value);
  request.on('row', (columns: { value: unknown; metadata: { colName: string } }[]) => {
    rows.push(Object.fromEntries(columns.map((column) => [column.metadata.colName, column.value])));
    if (rows.length < BATCH_ROWS) return;
    request.pause();
    wake();
  });
  source.connection.execSql(request);
  try {
    for (;;) {
      if (!ended && rows.length < BATCH_ROWS) {
        const more = new Promise<void>((resolve) => {
          wake = resolve;
        });
        await answer.wait(more);
      }
      const batch = rows;
      rows = [];
      if (failure !== null) throw answer.error(failure);
      if (batch.length > 0) yield batch;
      if (ended && rows.length === 0) return;
      request.resume();
    }
  } finally {
    if (!ended) {
      const end = new Promise<void>((resolve) => {
        wake = resolve;
      });
      request.resume();
      source.connection.cancel();
      await end;
    }
  }
}
