/**
 * Generates the function that turns TDS rows into binary COPY tuples for one column layout. Reader thread.
 *
 * The source text is put together from type ids, ordinals, lengths and code page names of this program only:
 * no name and no value from a database ever goes into it. The generated function makes no object, promise
 * or exception per row; a row that can't go on is given back whole, from its first byte.
 */
import { codePage } from '../copy/codepages.js';
import type { WireColumn } from '../tds/colmetadata.js';
import { TOKEN } from '../tds/tokens.js';
import { copyBytes } from '../wasm/memory.js';
import { ROW_HASH_BYTES, type RowLayout } from './layout.js';

/** Why the function returned. */
export const STOP = {
  /** The row at `position` is not all there yet. */
  NEED_INPUT: 0,
  /** The row at `position` does not fit into what is left of the slot. */
  NEED_OUTPUT: 1,
  /** The byte at `position` is no ROW or NBCROW token. */
  OTHER_TOKEN: 2,
  /** A value of the row at `position` can't be represented: the interpreter says which and why. */
  BAD_VALUE: 3,
  /** `maxRows` rows were written. */
  ENOUGH_ROWS: 4,
} as const;

/** Where the function left off; one object for the life of a reader. */
export interface TranscodeState {
  /** Input offset after the last whole row. */
  position: number;
  /** Output offset after the last whole row. */
  output: number;
  /** Rows written by this call. */
  rows: number;
  /** Input offset of the last row written by this call, -1 where it wrote none. */
  lastRow: number;
}

/**
 * Writes whole rows while it can.
 *
 * @param scratch offset in the input of room as large as the window: PLP values in several chunks are put together there
 * @returns one of `STOP`
 */
export type Transcode = (
  input: Buffer,
  inputView: DataView,
  position: number,
  end: number,
  output: Buffer,
  outputView: DataView,
  outputPosition: number,
  outputEnd: number,
  maxRows: number,
  scratch: number,
  state: TranscodeState,
) => number;

const LENGTH_BYTES = 4;
const FIELD_COUNT_BYTES = 2;

interface Generated {
  /** What the source's free names stand for. */
  values: readonly unknown[];
  transcode: Transcode;
}

/** By source text. A table's partitions, and its rows asked for by key, have one shape: it is compiled and warmed up once. */
const generated = new Map<string, Generated>();
const MOST_GENERATED = 100;

/** @returns the transcoder of a layout: a new one where there is none of its shape yet, which costs a compilation */
export function generateTranscoder(layout: RowLayout): Transcode {
  const source = transcoderSource(layout);
  const helpers: Record<string, unknown> = { gatherPlp };
  for (const codec of layout.codecs) Object.assign(helpers, codec.helpers);
  for (const { encoding } of layout.columns) {
    if (encoding === null || encoding === 'utf16le' || encoding === 'utf8') continue;
    const page = codePage(encoding);
    helpers[`${encoding}Table`] = page.table;
    if (page.kind === 'double') helpers[`${encoding}Lead`] = page.isLead;
  }
  const names = Object.keys(helpers);
  const values = Object.values(helpers);
  const shape = `${names.join()}\n${source}`;
  const known = generated.get(shape);
  if (known?.values.every((value, i) => value === values[i])) return known.transcode;
  const factory = new Function(...names, source) as (...values: unknown[]) => Transcode;
  const transcode = factory(...values);
  if (generated.size >= MOST_GENERATED) generated.clear();
  generated.set(shape, { values, transcode });
  return transcode;
}

/** Largest content of each column where it is a constant, else null. */
function fixedContent(layout: RowLayout): (number | null)[] {
  return layout.columns.map((column, i) => {
    const bytes = layout.codecs[i]!.contentBytes(column, layout.targets[i]!);
    return typeof bytes === 'number' ? bytes : null;
  });
}

function transcoderSource(layout: RowLayout): string {
  const { columns } = layout;
  const fixed = fixedContent(layout);
  const hashBytes = layout.rowHash ? LENGTH_BYTES + ROW_HASH_BYTES : 0;
  // Room every row needs whatever its values: length prefixes and the fixed contents.
  const rowBytes =
    FIELD_COUNT_BYTES +
    hashBytes +
    fixed.reduce<number>((sum, bytes) => sum + LENGTH_BYTES + (bytes ?? 0), 0);
  let restBytes = rowBytes - FIELD_COUNT_BYTES;
  const body: string[] = [];
  columns.forEach((column, i) => {
    restBytes -= LENGTH_BYTES + (fixed[i] ?? 0);
    body.push(columnSource(layout, column, i, restBytes));
  });
  const bitmapBytes = Math.ceil(columns.length / 8);
  const text = `'use strict';
return function transcode(ib, iv, p, end, ob, ov, o, oEnd, maxRows, scratch, state) {
  let rows = 0, status = 0, rowStart = p, rowOut = o, lastRow = -1, bitmap = 0, nbc = false;
  let v = 0, n = 0, i = 0, r = 0, w = 0, d = 0, t = 0, u = 0;
  loop: for (;;) {
    rowStart = p; rowOut = o;
    if (rows === maxRows) { status = ${STOP.ENOUGH_ROWS}; break; }
    if (p >= end) { status = ${STOP.NEED_INPUT}; break; }
    t = ib[p];
    if (t === ${TOKEN.ROW}) { nbc = false; p += 1; }
    else if (t === ${TOKEN.NBCROW}) {
      nbc = true; bitmap = p + 1; p += ${1 + bitmapBytes};
      if (p > end) { status = ${STOP.NEED_INPUT}; break; }
    } else { status = ${STOP.OTHER_TOKEN}; break; }
    if (o + ${rowBytes} > oEnd) { status = ${STOP.NEED_OUTPUT}; break; }
    ov.setInt16(o, ${columns.length + (layout.rowHash ? 1 : 0)}); o += ${FIELD_COUNT_BYTES};
${body.join('\n')}
    ${layout.rowHash ? `ov.setInt32(o, ${ROW_HASH_BYTES}); o += ${LENGTH_BYTES + ROW_HASH_BYTES};` : ''}
    rows++; lastRow = rowStart;
  }
  state.position = rowStart; state.output = rowOut; state.rows = rows; state.lastRow = lastRow;
  return status;
};`;
  return text
    .replace(/\bBAD;/g, `{ status = ${STOP.BAD_VALUE}; break loop; }`)
    .replace(/\bNEED;/g, `{ status = ${STOP.NEED_INPUT}; break loop; }`);
}

const NULL_FIELD = `ov.setInt32(o, -1); o += ${LENGTH_BYTES};`;

function columnSource(layout: RowLayout, column: WireColumn, i: number, restBytes: number): string {
  const codec = layout.codecs[i]!;
  const target = layout.targets[i]!;
  const content = codec.contentBytes(column, target);
  const room =
    typeof content === 'number'
      ? ''
      : `if (o + ${LENGTH_BYTES} + ${content} + ${restBytes} > oEnd) { status = ${STOP.NEED_OUTPUT}; break loop; }`;
  const write = `${room} ${codec.emit(column, target)}`;
  return `    // column ${i}
    if (nbc && (ib[bitmap + ${i >> 3}] & ${1 << (i & 7)}) !== 0) { ${NULL_FIELD} }
    else { ${framed(column, write)} }`;
}

/** JavaScript that finds the value (`v`, `n`), moves `p` past it and runs `write`, or writes NULL. */
function framed(column: WireColumn, write: string): string {
  switch (column.framing) {
    case 'fixed':
      return `v = p; n = ${column.maxBytes}; p += n; if (p > end) NEED; ${write}`;
    case 'byte': {
      const exact = isExact(column) ? `if (n !== ${column.maxBytes}) BAD;` : '';
      return `if (p >= end) NEED; n = ib[p]; p += 1;
        if (n === 0) { ${NULL_FIELD} }
        else { v = p; p += n; if (p > end) NEED; ${exact} ${write} }`;
    }
    case 'ushort':
      return `if (p + 2 > end) NEED; n = iv.getUint16(p, true); p += 2;
        if (n === 0xffff) { ${NULL_FIELD} }
        else { v = p; p += n; if (p > end) NEED; ${write} }`;
    case 'long':
      return `if (p + 4 > end) NEED; n = iv.getUint32(p, true); p += 4;
        if (n === 0) { ${NULL_FIELD} }
        else { v = p; p += n; if (p > end) NEED; ${write} }`;
    case 'textptr':
      return `if (p >= end) NEED; n = ib[p]; p += 1;
        if (n === 0) { ${NULL_FIELD} }
        else { v = p + n + 12; if (v > end) NEED; n = iv.getUint32(v - 4, true); p = v + n; if (p > end) NEED; ${write} }`;
    case 'plp':
      // The usual value is one chunk and read where it lies; several chunks are put together first.
      return `if (p + 8 > end) NEED;
        t = iv.getUint32(p, true); u = iv.getUint32(p + 4, true);
        if (u === 0xffffffff && t === 0xffffffff) { p += 8; ${NULL_FIELD} }
        else {
          p += 8; if (p + 4 > end) NEED; n = iv.getUint32(p, true); p += 4; v = p;
          if (n !== 0) {
            if (p + n + 4 > end) NEED;
            if (iv.getUint32(p + n, true) === 0) p += n + 4;
            else { n = gatherPlp(ib, iv, p - 4, end, scratch, state); if (n < 0) NEED; p = state.position; v = scratch; }
          }
          if (u === 0xffffffff ? t !== 0xfffffffe : u !== 0 || t !== n) BAD;
          ${write}
        }`;
  }
}

/** A decimal's value may be shorter than its column's largest; every other byte-framed type has one size. */
function isExact(column: WireColumn): boolean {
  return column.precision === 0;
}

/**
 * Puts the chunks of a PLP value together at `scratch`; they are no more than the window holds.
 *
 * @param p offset of the first chunk's length
 * @returns bytes put together, with `state.position` after the terminator; -1 where chunks are missing
 */
function gatherPlp(
  ib: Buffer,
  iv: DataView,
  p: number,
  end: number,
  scratch: number,
  state: TranscodeState,
): number {
  let total = 0;
  for (;;) {
    if (p + 4 > end) return -1;
    const n = iv.getUint32(p, true);
    p += 4;
    if (n === 0) {
      state.position = p;
      return total;
    }
    if (p + n > end) return -1;
    copyBytes(ib, p, p + n, ib, scratch + total);
    total += n;
    p += n;
  }
}
