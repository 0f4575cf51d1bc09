/**
 * Row hashes built another way than the program does: canonical form from values with Buffers and BigInt, MD5 by
 * node:crypto. Test process, main thread.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createRowHasher, type RowHasher } from '../../src/hash/rowHasher.js';
import { RowKernel } from '../../src/hash/rowKernel.js';
import type { HashField } from '../../src/plan/chunk.js';
import { HASH_BYTES } from '../../src/ring/layout.js';
import { kernelBuffer } from './kernelMemory.js';

export const int16 = (value: number) => Buffer.from([(value >> 8) & 255, value & 255]);
export const int32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

/** `numeric_send` of `unscaled` / 10^`scale`, the way PostgreSQL normalises: no zero digits at either end. */
export function numericSend(unscaled: bigint, scale: number): Buffer {
  const negative = unscaled < 0n;
  let text = (negative ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  let fraction = text.slice(text.length - scale);
  text = text.slice(0, text.length - scale);
  if (scale === 0) fraction = '';
  text = text.padStart(Math.ceil(text.length / 4) * 4, '0');
  fraction = fraction.padEnd(Math.ceil(fraction.length / 4) * 4, '0');
  const groups = (text + fraction).match(/.{4}/g)!.map(Number);
  let weight = text.length / 4 - 1;
  while (groups[0] === 0) {
    groups.shift();
    weight--;
  }
  while (groups.at(-1) === 0) groups.pop();
  if (groups.length === 0) weight = 0;
  const sign = negative && groups.length > 0 ? 0x4000 : 0;
  return Buffer.concat([groups.length, weight, sign, scale, ...groups].map(int16));
}

/** Exact decimal text by BigInt. */
export function decimalText(unscaled: bigint, scale: number): string {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  return `${unscaled < 0n ? '-' : ''}${whole}${scale > 0 ? `.${digits.slice(digits.length - scale)}` : ''}`;
}

export interface Column extends HashField {
  scale?: number;
}
export type Value = Buffer | bigint | null;

/** @returns a tuple with its placeholder, and the digits the oracle expects there. */
export function tuple(columns: Column[], values: Value[]): { bytes: Buffer; digits: string } {
  const parts = [int16(columns.length + 1)];
  const hash = createHash('md5');
  for (const [i, column] of columns.entries()) {
    const value = values[i]!;
    const field = typeof value === 'bigint' ? numericSend(value, column.scale!) : value;
    parts.push(field === null ? int32(-1) : Buffer.concat([int32(field.length), field]));
    if (!column.hashed) continue;
    const canonical =
      typeof value === 'bigint' ? Buffer.from(decimalText(value, column.scale!), 'ascii') : value;
    hash.update(
      canonical === null
        ? Buffer.from('ffffffff', 'hex')
        : Buffer.concat([int32(canonical.length), canonical]),
    );
  }
  parts.push(int32(32), Buffer.alloc(32, '?'));
  return { bytes: Buffer.concat(parts), digits: hash.digest('hex') };
}

/** What became of a stream. */
export interface Hashed {
  bytes: Buffer;
  /** Rows completed in each piece. */
  rows: number[];
  /** Of the first and the second words of all digests. */
  sums: { first: number; second: number };
}

/** Memory as a lane's is, for pieces up to so many bytes, and the kernel over it. */
const PIECE_BYTES = 2 * 1024 * 1024;
const laneMemory = kernelBuffer(PIECE_BYTES + HASH_BYTES);
const laneKernel = RowKernel.over(laneMemory.buffer, PIECE_BYTES);

/**
 * Hashes `stream` cut at `cuts`, once in memory the kernel works on and once, each piece in a memory of its own, by the
 * loops; both must agree. @returns the hashed stream and the rows counted.
 */
export function hashInPieces(columns: Column[], stream: Buffer, cuts: number[]): Hashed {
  assert.ok(laneKernel !== null);
  const byKernel = hashPieces(createRowHasher(columns, laneKernel), stream, cuts, (bytes) =>
    laneMemory.subarray(0, bytes),
  );
  const plain = hashPieces(createRowHasher(columns), stream, cuts, (bytes) =>
    Buffer.from(new SharedArrayBuffer(bytes)),
  );
  assert.deepEqual(byKernel, plain);
  return byKernel;
}

function hashPieces(
  hasher: RowHasher,
  stream: Buffer,
  cuts: number[],
  memoryOf: (bytes: number) => Buffer,
): Hashed {
  const edges = [0, ...cuts.map((cut) => cut % (stream.length + 1)).sort((a, b) => a - b), stream.length];
  const rows: number[] = [];
  const pieces: Buffer[] = [];
  const sums = { first: 0, second: 0 };
  for (let i = 1; i < edges.length; i++) {
    const piece = stream.subarray(edges[i - 1], edges[i]);
    const memory = memoryOf(piece.length + 10).fill(0x2e);
    piece.copy(memory, 3);
    rows.push(hasher.hashSlot(new DataView(memory.buffer), 3, piece.length));
    assert.equal(
      memory.subarray(0, 3).toString() + memory.subarray(3 + piece.length).toString(),
      '.'.repeat(10),
    );
    pieces.push(Buffer.from(memory.subarray(3, 3 + piece.length)));
    const some = hasher.takeSums();
    sums.first += some.first;
    sums.second += some.second;
  }
  assert.equal(hasher.atRowEnd, true);
  return { bytes: Buffer.concat(pieces), rows, sums };
}

export function expectedStream(
  columns: Column[],
  rows: Value[][],
): { raw: Buffer; hashed: Buffer; ends: number[] } {
  const raw: Buffer[] = [];
  const hashed: Buffer[] = [];
  const ends: number[] = [];
  let position = 0;
  for (const values of rows) {
    const { bytes, digits } = tuple(columns, values);
    raw.push(bytes);
    hashed.push(Buffer.concat([bytes.subarray(0, -32), Buffer.from(digits)]));
    position += bytes.length;
    ends.push(position);
  }
  return { raw: Buffer.concat(raw), hashed: Buffer.concat(hashed), ends };
}

/** Numeric, text, NULLs, empties, an unhashed column of each kind. */
export const mixed: Column[] = [
  { field: 'int4', hashed: false },
  { field: 'numeric', hashed: true, scale: 4 },
  { field: 'text', hashed: true },
  { field: 'bytea', hashed: false },
  { field: 'numeric', hashed: false },
  { field: 'numeric', hashed: true, scale: 0 },
];
export const mixedRows: Value[][] = [
  [int32(1), -5n, Buffer.from('naïve \u{1F600}'), Buffer.alloc(70, 1), null, 10n ** 37n],
  [int32(2), null, null, null, Buffer.from('x') as Value, null],
  [int32(3), 0n, Buffer.alloc(0), Buffer.alloc(0), null, -1n],
];
