/**
 * Reads what an engine session yields: rows out of the binary COPY stream, for the engine's tests.
 *
 * Runs on the main thread of the test process.
 */
import type { EngineParameter, EngineSession, ResultColumn } from '../contract.js';

const forever = new AbortController().signal;

export interface Result {
  columns: ResultColumn[];
  rows: (Buffer | null)[][];
}

/** The tuples of a binary COPY stream: 19 bytes of header, counted fields, a count of -1. */
function tuples(bytes: Buffer): (Buffer | null)[][] {
  const rows: (Buffer | null)[][] = [];
  for (let at = 19; bytes.readInt16BE(at) >= 0; ) {
    const row: (Buffer | null)[] = [];
    const count = bytes.readInt16BE(at);
    at += 2;
    for (let i = 0; i < count; i++) {
      const length = bytes.readInt32BE(at);
      at += 4;
      row.push(length < 0 ? null : bytes.subarray(at, at + length));
      at += Math.max(length, 0);
    }
    rows.push(row);
  }
  return rows;
}

/** Every result set of a batch. */
export async function results(
  session: EngineSession,
  sql: string,
  parameters: EngineParameter[] = [],
): Promise<Result[]> {
  const sets: { columns: ResultColumn[]; parts: Buffer[] }[] = [];
  for await (const event of session.execute(sql, parameters, forever)) {
    if (event.kind === 'columns') sets.push({ columns: event.columns, parts: [] });
    if (event.kind === 'copy') sets.at(-1)!.parts.push(event.bytes);
  }
  return sets.map(({ columns, parts }) => ({ columns, rows: tuples(Buffer.concat(parts)) }));
}

/** Runs a batch for what it does; the rows affected by its last statement that reports them. */
export async function rowsAffected(session: EngineSession, sql: string): Promise<number | undefined> {
  let rowCount: number | undefined;
  for await (const event of session.execute(sql, [], forever)) {
    if (event.kind === 'done' && event.rowCount !== undefined) rowCount = event.rowCount;
  }
  return rowCount;
}
