/**
 * The functions that work on whole rows: the generated transcoder and the row hasher, on rows of several kinds.
 * Benchmark process, main thread.
 */
import { createRowHasher } from '../../src/hash/rowHasher.js';
import { RowKernel } from '../../src/hash/rowKernel.js';
import { hashFields } from '../../src/plan/chunk.js';
import { rowLayout } from '../../src/read/layout.js';
import { generateTranscoder, STOP, type TranscodeState } from '../../src/read/transcoder.js';
import { HASH_BYTES } from '../../src/ring/layout.js';
import { readColMetadata } from '../../src/tds/colmetadata.js';
import { kernelBuffer } from '../../test/support/kernelMemory.js';
import { type PlanColumn, planOf } from '../../test/support/transcode.js';
import {
  collation,
  colmetadata,
  nbcRow,
  row,
  typeInfo,
  u32,
  type WireColumn,
} from '../../test/support/wire.js';
import type { Micro } from './micro.js';

const ROWS = 1000;
const LATIN1 = collation(1033, 52);

interface Column {
  wire: Omit<WireColumn, 'name'>;
  pgType: string;
  /** Bytes of the value in a row, or null. */
  value: (row: number) => Buffer | null;
}

const int = (value: (row: number) => number): Column => ({
  wire: { info: typeInfo.plain(0x38), frame: 'fixed' },
  pgType: 'integer',
  value: (row) => u32(value(row)),
});
const intOrNull = (every: number): Column => ({
  wire: { info: typeInfo.plain(0x26, 4), frame: 'byte' },
  pgType: 'integer',
  value: (row) => (row % every === 0 ? u32(row) : null),
});
const datetime: Column = {
  wire: { info: typeInfo.plain(0x3d), frame: 'fixed' },
  pgType: 'timestamp',
  value: (row) => Buffer.concat([u32(39_000 + (row % 800)), u32(row * 997)]),
};
const text = (characters: number): Column => ({
  wire: { info: typeInfo.text(0xe7, 8000, LATIN1), frame: 'ushort' },
  pgType: 'varchar(4000)',
  value: () =>
    Buffer.from('All letters of this text are ASCII. '.repeat(200).slice(0, characters), 'utf16le'),
});
const decimal: Column = {
  wire: { info: typeInfo.decimal(0x6a, 19, 4), frame: 'byte' },
  pgType: 'numeric(19,4)',
  value: (row) => Buffer.concat([Buffer.from([1]), u32(row * 7919), u32(row % 1000)]),
};
const guid: Column = {
  wire: { info: typeInfo.plain(0x24, 16), frame: 'byte' },
  pgType: 'uuid',
  value: (row) => Buffer.alloc(16, row & 255),
};

const KINDS: Record<string, Column[]> = {
  'votes (6 numbers)': [
    int((r) => r),
    int((r) => r * 7),
    intOrNull(25),
    intOrNull(800),
    int((r) => r % 5),
    datetime,
  ],
  'short text (40 characters)': [int((r) => r), datetime, text(40)],
  'long text (1400 characters)': [int((r) => r), datetime, text(1400)],
  'decimals and GUIDs': [int((r) => r), decimal, decimal, decimal, guid, guid],
  '120 columns, mostly NULL': [
    int((r) => r),
    ...Array.from({ length: 119 }, (_, i) => intOrNull(3 + (i % 2))),
  ],
};

/** @returns the transcoder and the hasher on a thousand rows of each kind. */
export function rowFunctions(): Micro[] {
  return Object.entries(KINDS).flatMap(([kind, columns]) => [
    transcoder(kind, columns, false),
    hasher(kind, columns),
  ]);
}

interface Transcoding extends Micro {
  /** The tuples the last call has written. */
  tuples(): Buffer;
}

function transcoder(kind: string, columns: readonly Column[], rowHash: boolean): Transcoding {
  const wire = columns.map((column, i) => ({ ...column.wire, name: `c${i}` }));
  const metadata = readColMetadata(colmetadata(wire), 1, colmetadata(wire).length);
  if (metadata === null) throw new Error('the column list is cut short');
  const layout = rowLayout(planOf(planned(columns), 1, rowHash), metadata.columns, 'error');
  const transcode = generateTranscoder(layout);
  const rows = Buffer.concat(
    Array.from({ length: ROWS }, (_, i) => {
      const values = columns.map(({ value }) => value(i)).map((bytes) => (bytes === null ? null : { bytes }));
      return values.includes(null) ? nbcRow(wire, values) : row(wire, values);
    }),
  );
  const end = rows.length;
  const room = 2 * end + ROWS * (60 + 4 * columns.length);
  // As in a lane: input, scratch and output lie in one memory.
  const memory = kernelBuffer(2 * end + room);
  const view = new DataView(memory.buffer);
  memory.set(rows);
  const state: TranscodeState = { position: 0, output: 0, rows: 0, lastRow: -1 };
  const call = () => transcode(memory, view, 0, end, memory, view, 2 * end, memory.length, ROWS, end, state);
  return {
    name: `transcoder, a row of ${kind}`,
    bytes: end,
    rows: ROWS,
    call,
    check: () => {
      const stop = call();
      if (stop !== STOP.ENOUGH_ROWS || state.rows !== ROWS || state.position !== end) {
        throw new Error(`the transcoder stopped with ${stop} after ${state.rows} rows of ${kind}`);
      }
    },
    tuples: () => memory.subarray(2 * end, state.output),
  };
}

function hasher(kind: string, columns: readonly Column[]): Micro {
  const made = transcoder(kind, columns, true);
  made.check();
  const transcoded = made.tuples();
  // As in a lane: the hash thread's own part lies behind the slots.
  const slotBytes = Math.ceil(transcoded.length / 64) * 64;
  const memory = kernelBuffer(slotBytes + HASH_BYTES);
  memory.set(transcoded);
  const tuples = memory.subarray(0, transcoded.length);
  const view = new DataView(memory.buffer);
  const kernel = RowKernel.over(memory.buffer, slotBytes);
  const rows = createRowHasher(hashFields(planOf(planned(columns), 1, true).columns), kernel);
  return {
    name: `row hash, a row of ${kind}`,
    bytes: tuples.length,
    rows: ROWS,
    call: () => rows.hashSlot(view, 0, tuples.length),
    check: () => {
      const found = rows.hashSlot(view, 0, tuples.length);
      if (found !== ROWS || !/^[0-9a-f]{32}$/.test(tuples.toString('latin1', tuples.length - 32))) {
        throw new Error(`the hasher found ${found} rows of ${kind}`);
      }
    },
  };
}

function planned(columns: readonly Column[]): PlanColumn[] {
  return columns.map(({ pgType }, i) => ({ name: `c${i}`, pgType, key: i === 0 }));
}
