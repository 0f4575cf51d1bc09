/**
 * The hash tier's kernels in WebAssembly: every length in every lane, rows of very different lengths, and what the
 * kernels leave to the loops. `hashInPieces` holds them against the loops, the oracle against node:crypto. Test
 * process, main thread.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../src/errors.js';
import { AREA, LANES, LONGEST_MESSAGE_BYTES, QUEUE_MESSAGES } from '../src/hash/hashArea.js';
import { md5Constants } from '../src/hash/md5Kernel.js';
import { createRowHasher } from '../src/hash/rowHasher.js';
import { RowKernel } from '../src/hash/rowKernel.js';
import { HASH_BYTES } from '../src/ring/layout.js';
import {
  type Column,
  expectedStream,
  hashInPieces,
  int16,
  int32,
  mixed,
  mixedRows,
  tuple,
  type Value,
} from './support/hashOracle.js';
import { kernelBuffer } from './support/kernelMemory.js';

const text: Column[] = [
  { field: 'int4', hashed: false },
  { field: 'text', hashed: true },
];

/** Bytes that differ from place to place. */
function patterned(length: number, seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7 + (i >> 8)) & 255));
}

function check(columns: Column[], rows: Value[][], cuts: number[] = []): void {
  const { raw, hashed } = expectedStream(columns, rows);
  const found = hashInPieces(columns, raw, cuts);
  assert.ok(found.bytes.equals(hashed));
  const digits = rows.map((row) => tuple(columns, row).digits);
  const sum = (at: number) =>
    digits.reduce((all, one) => all + Number.parseInt(one.slice(at, at + 8), 16), 0);
  assert.deepEqual(found.sums, { first: sum(0), second: sum(8) });
}

test('the kernels can be used here, and their area fits', () => {
  // Copying in strides reads a little beyond.
  assert.ok(AREA.STAGING_END + 64 <= HASH_BYTES);
  const memory = kernelBuffer(HASH_BYTES);
  assert.notEqual(RowKernel.over(memory.buffer, 0), null);
  assert.equal(RowKernel.over(new SharedArrayBuffer(HASH_BYTES), 0), null);
});

test('the constants are those of RFC 1321', () => {
  const constants = md5Constants();
  assert.deepEqual(
    [0, 1, 31, 32, 47].map((i) => (constants[i]! >>> 0).toString(16)),
    ['d76aa478', 'e8c7b756', '8d2a4c8a', 'fffa3942', 'c4ac5665'],
  );
  assert.deepEqual(
    [48, 63].map((i) => ((constants[i]! + 1) >>> 0).toString(16)),
    ['f4292244', 'eb86d391'],
  );
});

test('messages of every length, each in every lane', () => {
  for (let first = 0; first < LANES; first++) {
    // `first` rows in front move all others to other lanes; alone, the last ones share the lanes with none.
    const lengths = [...new Array<number>(first).fill(5), ...Array.from({ length: 200 }, (_, i) => i)];
    check(
      text,
      lengths.map((length, i) => [int32(i), patterned(length, i)]),
    );
    check(
      text,
      lengths.slice(0, first).map((length, i) => [int32(i), patterned(length, i)]),
    );
  }
});

test('a message is what RFC 1321 hashes', () => {
  // The test suite's own texts can't be messages, which begin with a length.
  const body = Buffer.from('message digest');
  const expected = createHash('md5')
    .update(Buffer.concat([int32(body.length), body]))
    .digest('hex');
  assert.equal(tuple(text, [int32(1), body]).digits, expected);
  check(text, [[int32(1), body]]);
  // Without any hashed field it is empty.
  const nothing: Column[] = [{ field: 'int4', hashed: false }];
  assert.equal(tuple(nothing, [int32(1)]).digits, 'd41d8cd98f00b204e9800998ecf8427e');
  check(nothing, [[int32(1)], [null]]);
});

test('fields in groups, NULL and of no bytes', () => {
  const shapes: boolean[][] = [
    [true],
    [true, false],
    [false, false, true, true, false, true],
    [true, false, true, false, true, false, false],
    Array.from({ length: 300 }, (_, i) => i % 7 !== 3),
  ];
  for (const [seed, shape] of shapes.entries()) {
    const columns = shape.map((hashed): Column => ({ field: 'text', hashed }));
    const value = (n: number): Value => (n % 5 === 0 ? null : patterned([0, 4, 8, 3, 70][n % 7] ?? 16, n));
    check(
      columns,
      Array.from({ length: 40 }, (_, r) => columns.map((_column, c) => value(r * 3 + c + seed))),
    );
  }
});

test('more rows than a queue takes, some longer than the kernels take', () => {
  const lengths = [
    ...new Array<number>(QUEUE_MESSAGES).fill(20),
    LONGEST_MESSAGE_BYTES - 5,
    LONGEST_MESSAGE_BYTES - 4,
    LONGEST_MESSAGE_BYTES - 3,
    ...Array.from({ length: 2 * QUEUE_MESSAGES + 3 }, (_, i) => (i * 13) % 90),
    ...new Array<number>(20).fill(LONGEST_MESSAGE_BYTES - 4),
    40_000,
    1,
  ];
  check(
    text,
    lengths.map((length, i) => [int32(i), patterned(length, i)]),
    [700, 30_000, 100_001],
  );
});

test('rows of very different lengths', () => {
  const length = fc.oneof(
    { weight: 8, arbitrary: fc.nat(80) },
    { weight: 3, arbitrary: fc.nat(1500) },
    { weight: 1, arbitrary: fc.nat(20_000) },
  );
  const columns: Column[] = [
    { field: 'text', hashed: true },
    { field: 'int4', hashed: false },
    { field: 'text', hashed: true },
    { field: 'int4', hashed: true },
  ];
  const drawn = fc.record({
    a: fc.option(length, { freq: 5 }),
    b: fc.option(length, { freq: 5 }),
    c: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(drawn, { maxLength: 60 }), fc.array(fc.nat(), { maxLength: 2 }), (rows, cuts) => {
      check(
        columns,
        rows.map(({ a, b, c }, i): Value[] => [
          a === null ? null : patterned(a, i),
          int32(i),
          b === null ? null : patterned(b, i + 1),
          c ? int32(i) : null,
        ]),
        cuts,
      );
    }),
    { numRuns: 150 },
  );
});

test('numerics, sent in any way, in the kernel and by the loops', () => {
  const memory = kernelBuffer(65_536 + HASH_BYTES);
  const kernel = RowKernel.over(memory.buffer, 65_536)!;
  const hashed = (columns: Column[], row: Buffer, by: RowKernel | null): string => {
    row.copy(memory, 5);
    try {
      assert.equal(createRowHasher(columns, by).hashSlot(new DataView(memory.buffer), 5, row.length), 1);
    } catch (error) {
      return error instanceof AppError ? error.message : String(error);
    }
    return memory.toString('latin1', 5, 5 + row.length);
  };
  const digit = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(0, 1, 9, 10, 99, 100, 999, 1000, 9999) },
    { weight: 4, arbitrary: fc.nat(9999) },
    { weight: 1, arbitrary: fc.constantFrom(10_000, 0xffff) },
  );
  const sent = fc.record({
    digits: fc.array(digit, { maxLength: 12 }),
    weight: fc.oneof(fc.integer({ min: -4, max: 12 }), fc.constantFrom(-32_768, -20, 63, 64, 65, 32_767)),
    sign: fc.constantFrom(0, 0, 0, 0x4000, 0x4000, 0xc000),
    scale: fc.oneof(fc.integer({ min: 0, max: 44 }), fc.constantFrom(1000)),
    more: fc.constantFrom(0, 0, 0, 0, 2, -1),
  });
  let inKernel = 0;
  fc.assert(
    fc.property(sent, fc.boolean(), ({ digits, weight, sign, scale, more }, between) => {
      const words = Buffer.concat([digits.length, weight & 0xffff, sign, scale, ...digits].map(int16));
      const field = more < 0 ? words.subarray(0, more) : Buffer.concat([words, Buffer.alloc(more)]);
      const numeric: Column = { field: 'numeric', hashed: true, scale };
      const columns = between ? [text[1]!, numeric, text[1]!] : [numeric];
      const fields = between ? [Buffer.from('a'), field, Buffer.from('bc')] : [field];
      const row = Buffer.concat([
        int16(columns.length + 1),
        ...fields.flatMap((bytes) => [int32(bytes.length), bytes]),
        int32(32),
        Buffer.alloc(32, '?'),
      ]);
      const plain = hashed(columns, row, null);
      kernel.rows = 0;
      assert.equal(hashed(columns, row, kernel), plain);
      inKernel += kernel.rows;
    }),
    { numRuns: 4000, seed: 20261122 },
  );
  assert.ok(inKernel > 300, `the kernel took ${inKernel}`);
  // Every group of four digits there is.
  const columns: Column[] = [{ field: 'numeric', hashed: true, scale: 4 }];
  for (let first = 0; first < 10_000; first += 500) {
    check(
      columns,
      Array.from({ length: 500 }, (_, i) => [BigInt(first + i) * 100_010_001n * (i % 2 === 0 ? 1n : -1n)]),
    );
  }
});

test('chunks of different tables take turns in one area', () => {
  const memory = kernelBuffer(65_536 + HASH_BYTES);
  const kernel = RowKernel.over(memory.buffer, 65_536);
  const view = new DataView(memory.buffer);
  const chunks = [text, mixed, [...text, ...text]].map((columns) => ({
    columns,
    hasher: createRowHasher(columns, kernel),
  }));
  for (let turn = 0; turn < 9; turn++) {
    const { columns, hasher } = chunks[turn % 3]!;
    const rows =
      columns === mixed ? mixedRows : [0, 1, 2].map((n) => columns.map(() => patterned(turn * 9 + n, n)));
    const { raw, hashed } = expectedStream(columns, rows);
    raw.copy(memory, 64);
    assert.equal(hasher.hashSlot(view, 64, raw.length), rows.length);
    assert.ok(memory.subarray(64, 64 + raw.length).equals(hashed));
  }
});

test('bytes that are no tuple are refused behind good ones', () => {
  const row = (): Buffer => tuple(text, [int32(1), patterned(20, 1)]).bytes;
  const spoilt = (at: number, bytes: Buffer): Buffer => {
    const copy = row();
    bytes.copy(copy, at);
    return copy;
  };
  for (const [bad, message] of [
    [spoilt(0, int16(4)), /a tuple of 4 fields/],
    [spoilt(2, int32(-2)), /length of -2 bytes/],
    [spoilt(10, int32(-0x8000_0000)), /length of -2147483648 bytes/],
    [spoilt(34, int32(31)), /leaves 31 bytes/],
  ] as const) {
    const stream = Buffer.concat([row(), row(), bad, row()]);
    assert.throws(() => hashInPieces(text, stream, []), { code: 'INTERNAL', message });
  }
  // A length that reaches beyond the memory is a row that goes on in the next slot.
  const memory = kernelBuffer(65_536 + HASH_BYTES);
  const endless = Buffer.concat([row(), spoilt(10, int32(0x7fff_ffff))]);
  endless.copy(memory);
  const hasher = createRowHasher(text, RowKernel.over(memory.buffer, 65_536));
  assert.equal(hasher.hashSlot(new DataView(memory.buffer), 0, endless.length), 1);
  assert.equal(hasher.atRowEnd, false);
});
