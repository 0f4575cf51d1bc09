/** The parts of a comparison by themselves: merging, groups, collecting keys from cut tuples, iterating side by side. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../src/errors.js';
import type { SourceConnection } from '../src/source/connection.js';
import type { TargetConnection } from '../src/target/connection.js';
import { type CollectedRow, TupleCollector } from '../src/verify/collect.js';
import { compareGroups, type DifferingGroup, TotalsPacker } from '../src/verify/groupTotals.js';
import { bitmapOf, changesOf, groupBits, groupRows, scopesOfGroups } from '../src/verify/hashGroups.js';
import { interleave, mapParallel } from '../src/verify/interleave.js';
import { mergeSides, type RowChange } from '../src/verify/merge.js';
import { PairPool } from '../src/verify/pairs.js';
import { type KeyedDigest, NO_ROWS, sameTotals, WHOLE } from '../src/verify/side.js';
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

test('totals are the same where rows and both sums are', () => {
  const totals = { rows: 3n, first: 5n, second: 7n };
  assert.ok(sameTotals(totals, { ...totals }));
  for (const part of ['rows', 'first', 'second'] as const) {
    assert.ok(!sameTotals(totals, { ...totals, [part]: 4n }), part);
  }
});

test('groups of key hashes: how many, how fine, in which scopes', () => {
  assert.equal(groupBits(10, 100), 1);
  assert.equal(groupBits(1_000_000n, 10_000), 7);
  assert.equal(groupBits(10n ** 15n, 1), 20);
  assert.equal(groupRows(0.5), null);
  assert.equal(groupRows(0.1), 4);
  assert.equal(Math.round(groupRows(0.0015)!), 100);
  assert.equal(groupRows(0), Number.POSITIVE_INFINITY);
  const group = (number: bigint, sourceRows: bigint, targetRows: bigint): DifferingGroup => {
    return { group: number, sourceRows, targetRows, change: null };
  };
  const differing = [group(0n, 3n, 0n), group(7n, 2n, 9n), group(9n, 0n, 1n)];
  const groupsOf = (rows: number) => scopesOfGroups(differing, 4, WHOLE, rows).map(({ groups }) => groups);
  assert.deepEqual(groupsOf(10), [[0], [7, 9]]);
  assert.deepEqual(groupsOf(1), [[0], [7], [9]]);
  assert.deepEqual(groupsOf(Number.POSITIVE_INFINITY), [[0, 7, 9]]);
  const [scope] = scopesOfGroups(differing, 4, WHOLE, 100);
  assert.deepEqual([...bitmapOf(scope!)], [0b1000_0001, 0b0000_0010]);
});

test('the number of changes is known well enough by the groups that differ', () => {
  const groups = 1024;
  for (const changes of [1, 3, 10, 100, 1000, 4000]) {
    const hit = new Set<number>();
    for (let i = 0; i < changes; i++) hit.add(Number.parseInt(md5(`row ${i}`).slice(0, 8), 16) % groups);
    const differing = [...hit].map((group) => ({
      ...{ group: BigInt(group), sourceRows: 1n, targetRows: 1n },
      change: null,
    }));
    const estimate = changesOf({ groups, differing, source: NO_ROWS, target: NO_ROWS });
    assert.ok(Math.abs(estimate / changes - 1) < 0.1, `${estimate} of ${changes}`);
  }
});

test('totals added up here are those a server would give', () => {
  const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const row = fc.record({ group: fc.nat({ max: 15 }), first: word, second: word });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 200 }), (rows) => {
      const packer = new TotalsPacker(16);
      for (const { group, first, second } of rows) packer.add(group, first, second);
      const records = [...new Set(rows.map(({ group }) => group))].map((group) => {
        const of = rows.filter((one) => one.group === group);
        const sum = (what: 'first' | 'second') => of.reduce((all, one) => all + BigInt(one[what]), 0n);
        const record = Buffer.alloc(32);
        [BigInt(group), BigInt(of.length), sum('first'), sum('second')].forEach((number, i) => {
          record.writeBigInt64BE(number, 8 * i);
        });
        return record;
      });
      const packed = packer.packed();
      assert.equal(packed.length, 32 * records.length);
      const span = { first: 0n, last: 15n, size: 1n, located: false };
      const { source, target, differing } = compareGroups(packed, Buffer.concat(records), span);
      assert.deepEqual([source, differing], [target, []]);
      assert.equal(source.rows, BigInt(rows.length));
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

describe('pairs of connections', () => {
  class Half {
    isOpen = true;
    async close(): Promise<void> {
      this.isOpen = false;
    }
  }

  /** A pool of `limit` pairs, and a switch for whether the source can be connected to. */
  function pool(limit: number): { pairs: PairPool; source: { reachable: boolean; connected: number } } {
    const source = { reachable: true, connected: 0 };
    const connectSource = async (): Promise<SourceConnection> => {
      await null;
      if (!source.reachable) throw new AppError('SOURCE_UNREACHABLE', 'gone');
      source.connected++;
      return new Half() as unknown as SourceConnection;
    };
    const connectTarget = async () => new Half() as unknown as TargetConnection;
    return { pairs: new PairPool(connectSource, connectTarget, limit), source };
  }

  test('one that was lost while nobody used it is not handed out again', async () => {
    const { pairs, source } = pool(2);
    const used = await Promise.all([pairs.acquire(), pairs.acquire()]);
    for (const pair of used) pairs.release(pair);
    for (const { target } of used) await target.close();
    const again = await Promise.all([pairs.acquire(), pairs.acquire()]);
    for (const pair of again) assert.ok(pair.target.isOpen && pair.source.isOpen);
    assert.equal(source.connected, 4);
    await pairs.close();
  });

  test('whoever waits for one is told where there can be none, and the next one may try', async () => {
    const { pairs, source } = pool(1);
    const pair = await pairs.acquire();
    const waiting = [pairs.acquire(), pairs.acquire(), pairs.acquire()];
    source.reachable = false;
    await pair.source.close();
    pairs.release(pair);
    for (const one of waiting) await assert.rejects(one, { code: 'SOURCE_UNREACHABLE' });
    source.reachable = true;
    assert.ok((await pairs.acquire()).source.isOpen);
    await pairs.close();
  });

  test('whoever waits while others have pairs gets one of theirs, though no further one can be had', async () => {
    const { pairs, source } = pool(2);
    const [kept, lost] = await Promise.all([pairs.acquire(), pairs.acquire()]);
    const waiting = [pairs.acquire(), pairs.acquire()];
    source.reachable = false;
    await lost.target.close();
    pairs.release(lost);
    await assert.rejects(waiting[0]!, { code: 'SOURCE_UNREACHABLE' });
    pairs.release(kept);
    assert.equal(await waiting[1], kept);
    await pairs.close();
  });
});
