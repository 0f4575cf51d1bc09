/**
 * Row hashing against an independent oracle: canonical form built with Buffers and BigInt from the values,
 * MD5 by node:crypto. Slots are cut anywhere. `HASH_BENCH=1` also prints rows/s.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NUMERIC_FIELD_BYTES, numericTextBytes, writeNumericText } from '../src/hash/numericText.js';
import { createRowHasher } from '../src/hash/rowHasher.js';
import {
  type Column,
  decimalText,
  expectedStream,
  hashInPieces,
  int16,
  int32,
  mixed,
  mixedRows,
  numericSend,
  tuple,
  type Value,
} from './support/hashOracle.js';

const column = fc.record({
  numeric: fc.boolean(),
  hashed: fc.boolean(),
  scale: fc.integer({ min: 0, max: 38 }),
});
const table = fc.array(column, { minLength: 1, maxLength: 8 }).chain((drawn) => {
  const columns: Column[] = drawn.map(({ numeric, hashed, scale }) =>
    numeric ? { field: 'numeric', hashed, scale } : { field: 'text', hashed },
  );
  const row = fc.tuple(
    ...columns.map((one) =>
      fc.option<Value>(
        one.field === 'numeric'
          ? fc.integer({ min: 1, max: 38 }).chain((digits) => {
              const limit = 10n ** BigInt(digits) - 1n;
              return fc.bigInt({ min: -limit, max: limit });
            })
          : fc.uint8Array({ maxLength: 150 }).map((bytes) => Buffer.from(bytes)),
        { nil: null, freq: 5 },
      ),
    ),
  );
  return fc.record({ columns: fc.constant(columns), rows: fc.array(row, { maxLength: 12 }) });
});

test('rows of any shape, cut anywhere, hash like the oracle', () => {
  fc.assert(
    fc.property(table, fc.array(fc.nat(), { maxLength: 9 }), ({ columns, rows }, cuts) => {
      const { raw, hashed, ends } = expectedStream(columns, rows as Value[][]);
      const found = hashInPieces(columns, raw, cuts);
      assert.deepEqual(found.bytes, hashed);
      assert.equal(
        found.rows.reduce((sum, count) => sum + count, 0),
        ends.length,
      );
    }),
    { numRuns: 600 },
  );
});

test('one cut at every byte, and every byte a slot of its own', () => {
  const { raw, hashed, ends } = expectedStream(mixed, mixedRows);
  for (let cut = 0; cut <= raw.length; cut++) {
    const found = hashInPieces(mixed, raw, [cut]);
    assert.deepEqual(found.bytes, hashed);
    // A row counts in the slot that holds its last byte.
    const before = ends.filter((end) => end <= cut).length;
    assert.deepEqual(found.rows, [before, ends.length - before]);
  }
  const each = Array.from({ length: raw.length }, (_, i) => i);
  assert.deepEqual(hashInPieces(mixed, raw, each).bytes, hashed);
});

test('a value larger than many slots', () => {
  const columns: Column[] = [
    { field: 'int4', hashed: false },
    { field: 'text', hashed: true },
    { field: 'bytea', hashed: false },
    { field: 'int4', hashed: true },
  ];
  const { raw, hashed } = expectedStream(columns, [
    [int32(1), Buffer.alloc(1_000_003, 'abcdefg'), Buffer.alloc(300_000, 9), int32(7)],
    [int32(2), Buffer.from('z'), null, int32(8)],
  ]);
  const cuts = Array.from({ length: 20 }, (_, i) => i * 65_536);
  assert.deepEqual(hashInPieces(columns, raw, cuts).bytes, hashed);
});

test('numeric text has exactly the scale, whatever way the value is sent', () => {
  const text = (field: Buffer, scale: number) => {
    const out = Buffer.alloc(numericTextBytes(scale) + 2);
    const memory = Buffer.concat([Buffer.alloc(1), field]);
    const view = new DataView(memory.buffer, memory.byteOffset, memory.length);
    return out.toString('ascii', 2, 2 + writeNumericText(view, 1, field.length, scale, out, 2));
  };
  const send = (...words: number[]) => Buffer.concat(words.map(int16));
  assert.equal(text(numericSend(5n, 2), 2), '0.05');
  assert.equal(text(numericSend(-1n, 38), 38), `-0.${'0'.repeat(37)}1`);
  assert.equal(text(numericSend(10n ** 38n - 1n, 0), 0), '9'.repeat(38));
  assert.equal(text(numericSend(100_000_000n, 0), 0), '100000000');
  // Zero with a sign or with digits, leading zero digits, an undeclared scale: all the same value.
  assert.equal(text(send(0, 0, 0x4000, 3), 3), '0.000');
  assert.equal(text(send(2, 1, 0x4000, 3, 0, 0), 3), '0.000');
  assert.equal(text(send(3, 2, 0, 0, 0, 7, 50), 1), '70050.0');
  assert.equal(text(send(0, -3, 0, 9), 9), '0.000000000');
  assert.equal(text(send(1, -2, 0, 8, 1234), 8), '0.00001234');
  for (let scale = 0; scale <= 38; scale++) {
    for (const unscaled of [0n, 1n, -(10n ** 20n), 10n ** 38n - 1n, 9999n, -10_000n]) {
      assert.equal(text(numericSend(unscaled, scale), scale), decimalText(unscaled, scale));
    }
  }
  const internal = { code: 'INTERNAL' };
  assert.throws(() => text(numericSend(1234n, 3), 2), internal);
  assert.throws(() => text(numericSend(1n, 8), 3), internal);
  assert.throws(() => text(numericSend(1n, 1), 0), internal);
  assert.throws(() => text(send(0, 0, 0xc000, 0), 2), internal);
  assert.throws(() => text(send(0, 0, 0xd000, 0), 2), internal);
  assert.throws(() => text(send(2, 0, 0, 0, 1), 2), internal);
  assert.throws(() => text(send(1, 0, 0, 0, 10_000), 2), internal);
  assert.throws(() => text(Buffer.alloc(3), 2), internal);
  assert.throws(() => text(send(65, 64, 0, 0, ...new Array(65).fill(1)), 2), internal);
  const largest = send(64, 64, 0x4000, 0, ...new Array(64).fill(9999));
  assert.equal(largest.length, NUMERIC_FIELD_BYTES);
  assert.equal(text(largest, 3), `-${'9'.repeat(256)}0000.000`);
});

test('bytes that are not tuples of the chunk are refused, whole or cut', () => {
  const columns: Column[] = [{ field: 'int4', hashed: true }];
  const good = tuple(columns, [int32(1)]).bytes;
  const wrongCount = Buffer.from(good);
  wrongCount[1] = 3;
  const wrongLength = Buffer.from(good);
  wrongLength.writeInt32BE(-2, 2);
  const wrongHash = Buffer.from(good);
  wrongHash.writeInt32BE(31, 10);
  for (const bad of [wrongCount, wrongLength, wrongHash]) {
    for (const cuts of [[], [1], [4], [12]]) {
      assert.throws(() => hashInPieces(columns, Buffer.concat([bad, good]), cuts), { code: 'INTERNAL' });
    }
  }
  assert.throws(() => createRowHasher([{ field: 'numeric', hashed: true }]), { code: 'INTERNAL' });
  const unfinished = createRowHasher(columns);
  unfinished.hashSlot(new DataView(new Uint8Array(good).buffer), 0, good.length - 1);
  assert.equal(unfinished.atRowEnd, false);
});

test('rows/s through the row hasher', { skip: process.env.HASH_BENCH !== '1' }, (t) => {
  const votes: Column[] = [
    { field: 'int4', hashed: false },
    { field: 'int4', hashed: true },
    { field: 'int4', hashed: true },
    { field: 'int4', hashed: true },
    { field: 'int4', hashed: true },
    { field: 'timestamp', hashed: true },
  ];
  const wide: Column[] = [
    { field: 'int4', hashed: false },
    ...Array.from({ length: 17 }, (): Column => ({ field: 'text', hashed: true })),
  ];
  const prices: Column[] = [
    { field: 'int4', hashed: false },
    { field: 'numeric', hashed: true, scale: 4 },
  ];
  const shapes: [string, Column[], (n: number) => Value[]][] = [
    [
      'Votes',
      votes,
      (n) => [
        int32(n),
        int32(n * 7),
        int32(2),
        n % 10 === 0 ? int32(n) : null,
        n % 50 === 0 ? int32(50) : null,
        Buffer.alloc(8, n),
      ],
    ],
    [
      '18 columns, 1.7 KB',
      wide,
      (n) => [int32(n), ...Array.from({ length: 17 }, () => Buffer.alloc(100, n & 127))],
    ],
    ['key and decimal(19,4)', prices, (n) => [int32(n), BigInt(n) * 123_457n]],
  ];
  for (const [name, columns, values] of shapes) {
    const { raw, ends } = expectedStream(
      columns,
      Array.from({ length: 5000 }, (_, n) => values(n)),
    );
    const length = ends.filter((end) => end <= 262_144).at(-1)!;
    const rows = ends.indexOf(length) + 1;
    const memory = Buffer.from(new SharedArrayBuffer(262_144));
    raw.copy(memory, 0, 0, length);
    const view = new DataView(memory.buffer);
    const hasher = createRowHasher(columns);
    const rounds = Math.ceil(name.startsWith('18') ? 400_000 / rows : 4_000_000 / rows);
    let perSecond = 0;
    for (let pass = 0; pass < 3; pass++) {
      const startedMs = performance.now();
      for (let i = 0; i < rounds; i++) hasher.hashSlot(view, 0, length);
      perSecond = (rounds * rows * 1000) / (performance.now() - startedMs);
    }
    t.diagnostic(
      `${name}: ${(perSecond / 1e6).toFixed(2)} M rows/s, ${((perSecond * length) / rows / 1e6).toFixed(0)} MB/s, ${(1e9 / perSecond).toFixed(0)} ns a row`,
    );
  }
});
