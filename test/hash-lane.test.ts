/** The hash tier on a lane: the worker's own entry on a real thread, between a producer and consumers. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { Piscina } from 'piscina';
import { fromErrorData } from '../src/errors.js';
import type { HashLaneResult } from '../src/hash/hashLane.js';
import { LaneHasher } from '../src/hash/laneHasher.js';
import { readSlotTotals } from '../src/hash/slotTotals.js';
import { RingConsumer } from '../src/ring/consumer.js';
import { readProgress } from '../src/ring/counters.js';
import {
  abortLane,
  createLane,
  type LaneLayout,
  MIN_SLOT_BYTES,
  SLOT_FLAG,
  SLOT_KIND,
} from '../src/ring/layout.js';
import { LaneProducer } from '../src/ring/producer.js';
import type { HasherEnd, HasherTask } from '../workers/hasher.js';
import { expectedStream, mixed, mixedRows, tuple } from './support/hashOracle.js';

let pool: Piscina<HasherTask, HasherEnd>;
before(() => {
  const filename = new URL('../workers/hasher.js', import.meta.url).href;
  pool = new Piscina({ filename, minThreads: 1, maxThreads: 2, atomics: 'disabled' });
});
after(() => pool.destroy());

/** Runs the hash tier on a lane. @returns what it did; rejects with its error. */
async function startHasher(lane: LaneLayout): Promise<HashLaneResult> {
  const { error, done } = await pool.run({ lane });
  if (error !== null) throw fromErrorData(error);
  return done!;
}

/** A lane's hashing as it is done by one of the threads that may do it. */
function laneOf(hashing: 'reader' | 'hasher', shape: { rings: number; slotsPerRing: number }) {
  const layout = createLane({ ...shape, slotBytes: MIN_SLOT_BYTES, hashing });
  const stage = hashing === 'reader' ? new LaneHasher(layout) : null;
  return { layout, stage, lane: new LaneProducer(layout, stage) };
}

for (const hashing of ['hasher', 'reader'] as const) {
  test(`rings of a lane, hashed and unhashed chunks alike, hashed by the ${hashing}`, async () => {
    const { layout, stage, lane } = laneOf(hashing, { rings: 2, slotsPerRing: 4 });
    const hasher = stage === null ? startHasher(layout) : null;
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
      let checksum = 0;
      for (;;) {
        while (!ring.tryPeek()) await ring.waitForSlot();
        const { kind } = ring;
        if (kind === SLOT_KIND.BEGIN) checksum = 0;
        if (kind === SLOT_KIND.DATA) {
          const tuples = Buffer.from(ring.buffer.subarray(ring.offset, ring.offset + ring.bytes));
          checksum = crc32(tuples, checksum);
          assert.equal(ring.checksum, checksum, 'the checksum is that of the tuples with their digits');
          found.push(tuples);
        }
        ring.advance();
        ring.release(1);
        if (kind === SLOT_KIND.CLOSE) return Buffer.concat(found);
      }
    };
    const [result, , , ...found] = await Promise.all([hasher, write(0), write(1), read(0), read(1)]);
    for (const bytes of found) assert.deepEqual(bytes, Buffer.concat([hashed, raw, hashed]));
    const { rowsHashed, bytesHashed } = result ?? stage!;
    assert.deepEqual({ rowsHashed, bytesHashed }, { rowsHashed: 12, bytesHashed: 4 * raw.length });
    if (result !== null) assert.equal(result.slots, 2 * 13);
    assert.equal(readProgress(layout).rowsHashed, 12);
  });

  test(`where only totals are wanted a slot is left with the sums of its rows, by the ${hashing}`, async () => {
    const { layout, stage, lane } = laneOf(hashing, { rings: 1, slotsPerRing: 8 });
    const { raw } = expectedStream(mixed, mixedRows);
    const ring = lane.rings[0]!;
    const begin = Buffer.from(JSON.stringify({ hash: { fields: mixed }, totalsOnly: true }));
    ring.publishBytes(SLOT_KIND.PART, begin.subarray(0, 20));
    ring.publishBytes(SLOT_KIND.BEGIN, begin.subarray(20));
    // Cut inside the first row, and inside the digits of the last: that row is complete with the last slot.
    const pieces = [raw.subarray(0, 50), raw.subarray(50, -20), raw.subarray(-20)];
    for (const [i, piece] of pieces.entries()) {
      piece.copy(lane.bytes, ring.tryReserve());
      ring.publish(SLOT_KIND.DATA, piece.length, [0, mixedRows.length - 1, 1][i]!, SLOT_FLAG.CONTINUES_ROW);
    }
    ring.publishJson(SLOT_KIND.END, {});
    ring.publish(SLOT_KIND.CLOSE, 0, 0, 0);
    assert.equal((stage ?? (await startHasher(layout))).rowsHashed, mixedRows.length);
    const found = { rows: 0, first: 0, second: 0 };
    for (const consumer = new RingConsumer(layout, 0); consumer.tryPeek(); consumer.advance()) {
      if (consumer.kind !== SLOT_KIND.DATA) continue;
      const sums = readSlotTotals(consumer.buffer, consumer.offset);
      for (const name of ['rows', 'first', 'second'] as const) found[name] += sums[name];
    }
    const digests = mixedRows.map((row) => tuple(mixed, row).digits);
    const sum = (at: number) => digests.reduce((all, d) => all + Number.parseInt(d.slice(at, at + 8), 16), 0);
    assert.deepEqual(found, { rows: mixedRows.length, first: sum(0), second: sum(8) });
  });
}

test('a lane whose reader hashes is refused without a hasher, and any other with one', () => {
  const { layout } = laneOf('reader', { rings: 1, slotsPerRing: 2 });
  assert.throws(() => new LaneProducer(layout), /'reader' got no hasher/);
  const other = laneOf('hasher', { rings: 1, slotsPerRing: 2 }).layout;
  assert.throws(() => new LaneProducer(other, new LaneHasher(layout)), /'hasher' got a hasher/);
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
    const layout = createLane({ rings: 1, slotsPerRing: 4, slotBytes: MIN_SLOT_BYTES, hashing: 'hasher' });
    const lane = new LaneProducer(layout);
    if (!message.source.startsWith('outside') && !message.source.startsWith('does')) {
      lane.rings[0]!.publishJson(SLOT_KIND.BEGIN, { hash: { fields: mixed } });
    }
    row.copy(lane.bytes, lane.rings[0]!.tryReserve());
    publish(lane);
    await assert.rejects(startHasher(layout), message);
  }
  const layout = createLane({ rings: 1, slotsPerRing: 4, slotBytes: MIN_SLOT_BYTES, hashing: 'hasher' });
  const waiting = assert.rejects(startHasher(layout), { code: 'CANCELLED' });
  setTimeout(() => abortLane(layout), 50);
  await waiting;
});

test('a hash worker blocked on a silent lane can be ended with its pool', async () => {
  const filename = new URL('../workers/hasher.js', import.meta.url).href;
  const own = new Piscina<HasherTask, HasherEnd>({ filename, maxThreads: 1, atomics: 'disabled' });
  const lane = createLane({ rings: 1, slotsPerRing: 2, slotBytes: MIN_SLOT_BYTES, hashing: 'hasher' });
  const ended = assert.rejects(own.run({ lane }));
  while (readProgress(lane).hasherWaits === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await own.destroy();
  await ended;
});
