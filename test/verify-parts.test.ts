/** The parts of a comparison by themselves: merging, buckets, collecting keys from cut tuples, iterating side by side. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { bucketBits, differingBuckets, groupsOf, intervalsOf } from '../src/verify/buckets.js';
import { type CollectedRow, TupleCollector } from '../src/verify/collect.js';
import { interleave, mapParallel } from '../src/verify/interleave.js';
import { mergeSides, type RowChange } from '../src/verify/merge.js';
import { type KeyedDigest, NO_ROWS, type Totals } from '../src/verify/side.js';
import { framed, tuple } from './support/copyBinary.js';

const md5 = (text: string) => createHash('md5').update(text).digest('hex');

async function* inBatches(
  rows: Map<string, string>,
  size: number,
): AsyncGenerator<KeyedDigest[], void, void> {
  const all = [...rows]
    .map(([key, value]) => ({ key: [key], keyHash: md5(key), digest: md5(`${key}/${value}`) }))
    .sort((a, b) => (a.keyHash < b.keyHash ? -1 : 1));
  for (let at = 0; at < all.length; at += size) {
    // Now and then a batch without rows, and one that comes late.
    if (at % 3 === 0) yield [];
    await null;
    yield all.slice(at, at + size);
  }
}

test('merging names exactly what differs, however the batches fall', async () => {
  const rows = fc.dictionary(fc.stringMatching(/^[a-h]{1,2}$/), fc.constantFrom('1', '2'), { maxKeys: 40 });
  const size = fc.integer({ min: 1, max: 9 });
  await fc.assert(
    fc.asyncProperty(rows, rows, size, size, size, async (a, b, sizeA, sizeB, out) => {
      const source = new Map(Object.entries(a));
      const target = new Map(Object.entries(b));
      const changes: RowChange[] = [];
      for await (const batch of mergeSides(inBatches(source, sizeA), inBatches(target, sizeB), out)) {
        assert.ok(batch.length > 0 && batch.length <= out);
        changes.push(...batch);
      }
      const keysOf = (change: RowChange['change']) =>
        changes.filter((one) => one.change === change).map(({ key }) => key[0]!);
      const keys = (one: Map<string, string>, where: (key: string) => boolean) =>
        [...one.keys()].filter(where);
      assert.deepEqual(keysOf('insert').sort(), keys(source, (key) => !target.has(key)).sort());
      assert.deepEqual(keysOf('delete').sort(), keys(target, (key) => !source.has(key)).sort());
      assert.deepEqual(
        keysOf('update').sort(),
        keys(source, (key) => target.has(key) && target.get(key) !== source.get(key)).sort(),
      );
    }),
  );
});

test('rows that are there twice are a difference', async () => {
  const one = { key: ['k'], keyHash: md5('k'), digest: md5('1') };
  const two = { key: ['k'], keyHash: md5('k'), digest: md5('2') };
  const merged = async (source: KeyedDigest[], target: KeyedDigest[]) => {
    const of = async function* (rows: KeyedDigest[]): AsyncGenerator<KeyedDigest[], void, void> {
      yield rows;
    };
    const changes: string[] = [];
    for await (const batch of mergeSides(of(source), of(target), 10))
      changes.push(...batch.map((c) => c.change));
    return changes;
  };
  assert.deepEqual(await merged([one], [one, one]), ['delete']);
  assert.deepEqual(await merged([one, one], [one]), ['insert']);
  assert.deepEqual(await merged([one], [two]), ['update']);
  assert.deepEqual(await merged([one, two], [one, two]), []);
});

test('merging holds no more of many rows than of few', async () => {
  const many = async function* (digest: string): AsyncGenerator<KeyedDigest[], void, void> {
    for (let batch = 0; batch < 300; batch++) {
      yield Array.from({ length: 1000 }, (_, i) => {
        const number = String(batch * 1000 + i).padStart(32, '0');
        return { key: [`key ${number}`], keyHash: number, digest: `${digest}${number.slice(1)}` };
      });
    }
  };
  const before = process.memoryUsage().heapUsed;
  let most = 0;
  let changes = 0;
  for await (const batch of mergeSides(many('a'), many('b'), 10_000)) {
    changes += batch.length;
    most = Math.max(most, process.memoryUsage().heapUsed - before);
  }
  assert.equal(changes, 300_000);
  // All of them at once are more than 150 MB.
  assert.ok(most < 100e6, `${Math.round(most / 1e6)} MB`);
});

test('merging ends both sides when nobody listens any more', async () => {
  const ended: string[] = [];
  const endless = async function* (name: string): AsyncGenerator<KeyedDigest[], void, void> {
    try {
      for (let i = 0; ; i++) yield [{ key: [name], keyHash: String(i).padStart(9, '0'), digest: name }];
    } finally {
      ended.push(name);
    }
  };
  for await (const _batch of mergeSides(endless('a'), endless('b'), 5)) break;
  assert.deepEqual(ended.sort(), ['a', 'b']);
});

test('buckets: bits, differences, intervals that cover them and are few', () => {
  assert.equal(bucketBits(10, 100), 0);
  assert.equal(bucketBits(1_000_000n, 10_000), 7);
  assert.equal(bucketBits(10n ** 15n, 1), 22);
  const total = (rows: bigint): Totals => ({ ...NO_ROWS, rows });
  const differing = differingBuckets(
    new Map([
      [0, total(3n)],
      [1, total(5n)],
      [7, total(2n)],
    ]),
    new Map([
      [1, total(5n)],
      [7, total(9n)],
      [9, total(1n)],
    ]),
  );
  assert.deepEqual(differing, [
    { bucket: 0, rows: 3n },
    { bucket: 7, rows: 9n },
    { bucket: 9, rows: 1n },
  ]);
  assert.deepEqual(groupsOf(differing, 10), [[0], [7, 9]]);
  assert.deepEqual(groupsOf(differing, 1), [[0], [7], [9]]);
  assert.deepEqual(intervalsOf([0, 1, 15], 4).intervals, [
    [0, 2 ** 29],
    [15 * 2 ** 28, 2 ** 32],
  ]);
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat({ max: 1023 }), { minLength: 1, maxLength: 600 }), (numbers) => {
      const buckets = numbers.sort((a, b) => a - b);
      const { intervals } = intervalsOf(buckets, 10);
      assert.ok(intervals.length <= 64);
      for (const [i, [from, to]] of intervals.entries()) {
        assert.ok(from < to && (i === 0 || intervals[i - 1]![1] < from));
      }
      for (const bucket of buckets) {
        const from = bucket * 2 ** 22;
        assert.ok(intervals.some(([a, b]) => a <= from && from + 2 ** 22 <= b));
      }
    }),
  );
});

test('keys and hashes are taken out of tuples cut anywhere', () => {
  const hash = fc.stringMatching(/^[0-9a-f]{32}$/);
  const field = fc.option(fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)));
  const row = fc.record({ a: field, b: field, c: field, hash });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 20 }), fc.integer({ min: 1, max: 50 }), (rows, pieceBytes) => {
      const bytes = Buffer.concat(
        rows.map(({ a, b, c, hash: digits }) =>
          tuple([framed(a), framed(b), framed(c), framed(Buffer.from(digits))]),
        ),
      );
      // The key is (c, a).
      const collector = new TupleCollector([1, -1, 0]);
      const seen: CollectedRow[] = [];
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        const piece = Buffer.from(bytes.subarray(at, at + pieceBytes));
        collector.push(piece);
        piece.fill(0xee);
        seen.push(...collector.rows);
        collector.rows = [];
      }
      assert.ok(collector.atRowEnd);
      assert.deepEqual(
        seen,
        rows.map(({ a, c, hash: digits }) => ({ key: [c, a], hash: digits })),
      );
    }),
  );
});

test('at most so many at a time; the first failure ends all', async () => {
  let running = 0;
  let most = 0;
  const results = await mapParallel([...Array(20).keys()], 4, async (item) => {
    running++;
    most = Math.max(most, running);
    await new Promise((resolve) => setTimeout(resolve, item % 3));
    running--;
    return item * 2;
  });
  assert.deepEqual(
    results,
    [...Array(20).keys()].map((item) => item * 2),
  );
  assert.equal(most, 4);
  let ended = 0;
  const failing = interleave([1, 2, 3], 3, async function* (item) {
    try {
      yield item;
      if (item === 2) throw new Error('two');
      yield item;
    } finally {
      ended++;
    }
  });
  await assert.rejects(async () => {
    for await (const _item of failing);
  }, /two/);
  assert.equal(ended, 3);
});
