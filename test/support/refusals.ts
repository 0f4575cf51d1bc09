/** Columns, plans and one reader for the tests of refused values and results. Test process, main thread. */
import assert from 'node:assert/strict';
import type { NulPolicy } from '../../src/copy/text.js';
import { AppError } from '../../src/errors.js';
import { TestPump } from './pump.js';
import { type PlanColumn, planOf } from './transcode.js';
import {
  answer,
  collation,
  type Frame,
  typeInfo,
  u16,
  uint,
  type WireColumn,
  type WireValue,
} from './wire.js';
import { collationOf } from './wireTypes.js';

export interface Column extends WireColumn {
  pgType: string;
}

export const INT: Omit<Column, 'name'> = { info: typeInfo.plain(0x26, 4), frame: 'byte', pgType: 'integer' };
export const nvarchar = column('varchar(100)', typeInfo.text(0xe7, 200, collation(0x409)), 'ushort');
export const nvarcharMax = column('text', typeInfo.text(0xe7, 0xffff, collation(0x409)), 'plp');
export const ntext = column('text', typeInfo.long(0x63, collation(0x409)), 'textptr');
export const varchar = (page: Parameters<typeof collationOf>[0]) =>
  column('varchar(100)', typeInfo.text(0xa7, 100, collationOf(page)), 'ushort');
export const varcharMax = (page: Parameters<typeof collationOf>[0]) =>
  column('text', typeInfo.text(0xa7, 0xffff, collationOf(page)), 'plp');
export const variant = column('text', typeInfo.variant(), 'long');

export function column(pgType: string, info: Buffer, frame: Frame): Omit<Column, 'name'> {
  return { info, frame, pgType };
}

export const int = (value: number): WireValue => ({ bytes: uint(BigInt(value), 4) });
export const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');
export const units = (...values: number[]): Buffer => Buffer.concat(values.map(u16));
export const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

export function plan(columns: Column[], keys: string[], chunkRows = 2) {
  const planned = columns.map(({ name, pgType }): PlanColumn => ({ name, pgType, key: keys.includes(name) }));
  const made = planOf(planned, chunkRows);
  for (const each of made.columns) each.keyPosition = keys.indexOf(each.sourceName);
  return { ...made, keyColumns: keys };
}

export const pump = new TestPump();
export const good = [{ ...INT, name: 'id' }];

/** The reader's next response, after whatever went before. */
export async function nextResponseIsFine(): Promise<void> {
  const rows = [1, 2, 3].map((n) => ({ values: [int(n)] }));
  const result = await pump.run(plan(good, ['id']), [answer(good, rows)]);
  assert.equal(result.error, null);
  assert.deepEqual([result.chunks, result.aborted, result.rows], [[2, 1], 0, 3]);
}

export function appError(error: unknown): AppError {
  assert.ok(error instanceof AppError, `expected an AppError, not ${error}`);
  return error;
}

/** The bad value in row 6 of 9; rows 1 to 4 are whole chunks by then. */
export async function refuse(
  bad: Omit<Column, 'name'>,
  value: WireValue,
  { nul = 'error' as NulPolicy, keyFirst = true, sparse = false } = {},
): Promise<AppError> {
  const id: Column = { ...INT, name: 'id' };
  const columns = keyFirst ? [id, { ...bad, name: 'bad' }] : [{ ...bad, name: 'bad' }, id];
  const rows = Array.from({ length: 9 }, (_, i) => {
    const values = [int(i + 1), i === 5 ? value : null];
    return { sparse, values: keyFirst ? values : values.reverse() };
  });
  const payload = answer(columns, rows);
  const pieces = Array.from({ length: Math.ceil(payload.length / 4096) }, (_, i) =>
    payload.subarray(i * 4096, i * 4096 + 4096),
  );
  const result = await pump.run(plan(columns, ['id']), pieces, nul);
  const error = appError(result.error);
  assert.deepEqual([result.chunks, result.aborted], [[2, 2], 1]);
  assert.deepEqual(error.place, { table: 'dbo.t', column: 'bad', key: 'id=6' });
  assert.match(error.message, /^Table dbo\.t, column bad, row id=6: ./);
  await nextResponseIsFine();
  return error;
}
