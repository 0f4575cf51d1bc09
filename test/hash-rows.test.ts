/**
 * Row hashing against an independent oracle: canonical form built with Buffers and BigInt from the values,
 * MD5 by node:crypto. Slots are cut anywhere. `HASH_BENCH=1` also prints rows/s.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import type { HashLaneResult } from '../src/hash/hashLane.js';
import { NUMERIC_FIELD_BYTES, numericTextBytes, writeNumericText } from '../src/hash/numericText.js';
import type { HashField } from '../src/hash/rowFormat.js';
import { createRowHasher } from '../src/hash/rowHasher.js';
import { RingConsumer } from '../src/ring/consumer.js';
import { abortLane, createLane, MIN_SLOT_BYTES, SLOT_FLAG, SLOT_KIND } from '../src/ring/layout.js';
import { LaneProducer } from '../src/ring/producer.js';

const int16 = (value: number) => Buffer.from([(value >> 8) & 255, value & 255]);
const int32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

/** `numeric_send` of `unscaled` / 10^`scale`, the way PostgreSQL normalises: no zero digits at either end. */
function numericSend(unscaled: bigint, scale: number): Buffer {
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
function decimalText(unscaled: bigint, scale: number): string {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  return `${unscaled < 0n ? '-' : ''}${whole}${scale > 0 ? `.${digits.slice(digits.length - scale)}` : ''}`;
}

interface Column extends HashField {
  scale?: number;
}
type Value = Buffer | bigint | null;

/** @returns a tuple with its placeholder, and the digits the oracle expects there. */
function tuple(columns: Column[], values: Value[]): { bytes: Buffer; digits: string } {
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
      fc.option(
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

/** Hashes `stream` cut at `cuts`, each piece in a memory of its own. @returns the hashed stream and the rows counted. */
function hashInPieces(columns: Column[], stream: Buffer, cuts: number[]): { bytes: Buffer; rows: number[] } {
  const hasher = createRowHasher(columns);
  const edges = [0, ...cuts.map((cut) => cut % (stream.length + 1)).sort((a, b) => a - b), stream.length];
  const rows: number[] = [];
  const pieces: Buffer[] = [];
  for (let i = 1; i < edges.length; i++) {
    const piece = stream.subarray(edges[i - 1], edges[i]);
    const memory = Buffer.from(new SharedArrayBuffer(piece.length + 10)).fill(0x2e);
    piece.copy(memory, 3);
    rows.push(hasher.hashSlot(new DataView(memory.buffer), 3, piece.length));
    assert.equal(
      memory.subarray(0, 3).toString() + memory.subarray(3 + piece.length).toString(),
      '.'.repeat(10),
    );
    pieces.push(memory.subarray(3, 3 + piece.length));
  }
  assert.equal(hasher.atRowEnd, true);
  return { bytes: Buffer.concat(pieces), rows };
}

function expectedStream(columns: Column[], rows: Value[][]): { raw: Buffer; hashed: Buffer; ends: number[] } {
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

const mixed: Column[] = [
  { field: 'int4', hashed: false },
  { field: 'numeric', hashed: true, scale: 4 },
  { field: 'text', hashed: true },
  { field: 'bytea', hashed: false },
  { field: 'numeric', hashed: false },
  { field: 'numeric', hashed: true, scale: 0 },
];
const mixedRows: Value[][] = [
  [int32(1), -5n, Buffer.from('naïve \u{1F600}'), Buffer.alloc(70, 1), null, 10n ** 37n],
  [int32(2), null, null, null, Buffer.from('x') as Value, null],
  [int32(3), 0n, Buffer.alloc(0), Buffer.alloc(0), null, -1n],
];

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

/** A hash thread as piscina would run it: the worker's default export with one task. */
function startHasher(lane: ReturnType<typeof createLane>): Promise<HashLaneResult> {
  const url = JSON.stringify(new URL('../workers/hasher.js', import.meta.url).href);
  const source = `import(${url}).then((m) => m.default(require('node:worker_threads').workerData)).then(
    (result) => require('node:worker_threads').parentPort.postMessage({ result }),
    (error) => require('node:worker_threads').parentPort.postMessage({ code: error.code, message: error.message }));`;
  return new Promise((resolve, reject) => {
    const worker = new Worker(source, { eval: true, workerData: { lane } });
    worker.once('error', reject);
    worker.once('message', (message: { result?: HashLaneResult; code?: string; message?: string }) => {
      if (message.result === undefined)
        reject(Object.assign(new Error(message.message), { code: message.code }));
      else resolve(message.result);
    });
  });
}

test('the hash worker serves the rings of a lane, hashed and unhashed chunks alike', async () => {
  const layout = createLane({ rings: 2, slotsPerRing: 4, slotBytes: MIN_SLOT_BYTES, hashed: true });
  const hasher = startHasher(layout);
  const lane = new LaneProducer(layout);
  const { raw, hashed } = expectedStream(mixed, mixedRows);
  const chunks = [mixed, null, mixed];
  const write = async (index: number) => {
    const ring = lane.rings[index]!;
    for (const fields of chunks) {
      await ring.sendJson(SLOT_KIND.BEGIN, { hash: fields === null ? null : { fields } });
      for (let half = 0; half < 2; half++) {
        const piece = half === 0 ? raw.subarray(0, 50) : raw.subarray(50);
        while (ring.tryReserve() < 0) await ring.waitForSpace();
        piece.copy(lane.bytes, ring.tryReserve());
        ring.publish(
          SLOT_KIND.DATA,
          piece.length,
          half === 0 ? 0 : 3,
          half === 0 ? SLOT_FLAG.CONTINUES_ROW : SLOT_FLAG.STARTS_IN_ROW,
        );
      }
      await ring.sendJson(SLOT_KIND.END, {});
    }
    await ring.close();
  };
  const read = async (index: number) => {
    const ring = new RingConsumer(layout, index);
    const found: Buffer[] = [];
    for (;;) {
      while (!ring.tryPeek()) await ring.waitForSlot();
      const { kind } = ring;
      if (kind === SLOT_KIND.DATA)
        found.push(Buffer.from(ring.buffer.subarray(ring.offset, ring.offset + ring.bytes)));
      ring.advance();
      ring.release(1);
      if (kind === SLOT_KIND.CLOSE) return Buffer.concat(found);
    }
  };
  const [result, , , ...found] = await Promise.all([hasher, write(0), write(1), read(0), read(1)]);
  for (const bytes of found) assert.deepEqual(bytes, Buffer.concat([hashed, raw, hashed]));
  assert.deepEqual(result, { rowsHashed: 12, bytesHashed: 4 * raw.length, slots: 2 * 13 });
});

test('the hash worker refuses slots that do not hold what they say', async () => {
  const row = tuple(mixed, mixedRows[0]!).bytes;
  const cases: [RegExp, (lane: LaneProducer) => void][] = [
    [/outside of a chunk/, (lane) => lane.rings[0]!.publish(SLOT_KIND.DATA, row.length, 1, 0)],
    [/does not say how/, (lane) => lane.rings[0]!.publishJson(SLOT_KIND.BEGIN, {})],
    [
      /said to complete 2 rows completes 1/,
      (lane) => lane.rings[0]!.publish(SLOT_KIND.DATA, row.length, 2, 0),
    ],
    [
      /ended inside a row/,
      (lane) => {
        lane.rings[0]!.publish(SLOT_KIND.DATA, row.length - 1, 0, SLOT_FLAG.CONTINUES_ROW);
        lane.rings[0]!.publishJson(SLOT_KIND.END, {});
      },
    ],
  ];
  for (const [message, publish] of cases) {
    const layout = createLane({ rings: 1, slotsPerRing: 4, slotBytes: MIN_SLOT_BYTES, hashed: true });
    const lane = new LaneProducer(layout);
    if (!message.source.startsWith('outside') && !message.source.startsWith('does')) {
      lane.rings[0]!.publishJson(SLOT_KIND.BEGIN, { hash: { fields: mixed } });
    }
    row.copy(lane.bytes, lane.rings[0]!.tryReserve());
    publish(lane);
    await assert.rejects(startHasher(layout), message);
  }
  const layout = createLane({ rings: 1, slotsPerRing: 4, slotBytes: MIN_SLOT_BYTES, hashed: true });
  const waiting = assert.rejects(startHasher(layout), { code: 'CANCELLED' });
  setTimeout(() => abortLane(layout), 50);
  await waiting;
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
