/**
 * Lanes under real threads: every byte checked, small and full slots, slow writers, sequence wrap-around, abort,
 * wake-ups. `RING_BENCH=1` also prints throughput and wake-up latency.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { AppError } from '../src/errors.js';
import type { ChunkBegin } from '../src/plan/chunk.js';
import { ChunkSink } from '../src/read/chunkSink.js';
import { CHECKSUM_BYTES } from '../src/ring/checksum.js';
import { RingConsumer } from '../src/ring/consumer.js';
import { loadCount, readProgress, storeCount } from '../src/ring/counters.js';
import { HashConsumer } from '../src/ring/hashConsumer.js';
import {
  abortLane,
  createLane,
  INPUT_BYTES,
  inputOffset,
  isLaneAborted,
  type LaneLayout,
  laneBytes,
  laneWords,
  MIN_SLOT_BYTES,
  SLOT_KIND,
  SLOT_PREFIX_BYTES,
} from '../src/ring/layout.js';
import { LaneProducer } from '../src/ring/producer.js';
import type { StressJob, StressResult } from './ring-stress.worker.js';

function start(job: StressJob): Promise<StressResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./ring-stress.worker.js', import.meta.url), { workerData: job });
    worker.once('message', (result: StressResult) => {
      // One role's failure ends the others, as in the program; else the test would hang.
      if (result.error !== undefined) abortLane(job.layout);
      resolve(result);
    });
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error(`the ${job.role} exited without a result`)));
  });
}

type Shape = Omit<StressJob, 'role' | 'ring'>;

async function stress(
  shape: Shape,
): Promise<{ reader: StressResult; hasher: StressResult | null; writers: StressResult[] }> {
  const { layout } = shape;
  const rings = Array.from({ length: layout.rings }, (_, ring) => ring);
  const [reader, hasher, ...writers] = await Promise.all([
    start({ ...shape, role: 'reader', ring: 0 }),
    layout.hashing === 'hasher' ? start({ ...shape, role: 'hasher', ring: 0 }) : null,
    ...rings.map((ring) => start({ ...shape, role: 'writer', ring })),
  ]);
  return { reader, hasher, writers: writers as StressResult[] };
}

const shape: Shape = {
  layout: createLane({ rings: 1, slotsPerRing: 4, slotBytes: MIN_SLOT_BYTES, hashing: 'none' }),
  slots: 3000,
  seed: 1,
  fullShare: 0.1,
  pauseShare: 0.02,
  holdSlots: 3,
  content: true,
};

async function runClean(given: Shape): Promise<void> {
  const { reader, hasher, writers } = await stress(given);
  const { layout } = given;
  const errors = [reader, hasher, ...writers]
    .map((result) => result?.error)
    .filter((error) => error !== undefined);
  assert.deepEqual(errors, []);
  for (const writer of writers) {
    assert.equal(writer.slots, given.slots);
  }
  // BEGIN, END and CLOSE on top of the data.
  if (hasher !== null) assert.equal(hasher.slots, (given.slots + 3) * layout.rings);
  const bytes = writers.reduce((sum, writer) => sum + writer.bytes, 0);
  assert.equal(bytes, reader.bytes);
  const progress = readProgress(layout);
  let rows = 0;
  for (let n = 0; n < given.slots; n++) rows += n & 7;
  assert.equal(progress.rowsRead, rows * layout.rings);
  assert.equal(progress.bytesRead, reader.bytes);
  for (const [index, ring] of progress.rings.entries()) {
    assert.equal(ring.rowsWritten, rows);
    assert.equal(ring.bytesWritten, writers[index]!.bytes);
    assert.equal(ring.slotsInUse, 0);
  }
}

test('one ring, slow writer holding slots, small frames and full slots', () => runClean(shape));

test('several rings with a hash thread', () =>
  runClean({
    ...shape,
    layout: createLane({ rings: 3, slotsPerRing: 8, slotBytes: 100_000, hashing: 'hasher' }),
    slots: 2000,
    seed: 2,
    holdSlots: 6,
  }));

test('sequences wrap around at 2^31 and at 2^32', async () => {
  for (const firstSequence of [2 ** 31 - 700, -500]) {
    for (const hashing of ['none', 'hasher'] as const) {
      await runClean({
        ...shape,
        layout: createLane({ rings: 2, slotsPerRing: 4, slotBytes: MIN_SLOT_BYTES, hashing, firstSequence }),
        slots: 1500,
        seed: firstSequence,
        pauseShare: 0.002,
      });
    }
  }
});

test('abort wakes reader, hash thread and writers, waiting or busy', async () => {
  // Writers that pause at every slot and hold everything: the reader waits for room, the hash thread for slots.
  for (const pauseShare of [1, 0]) {
    const layout = createLane({ rings: 2, slotsPerRing: 2, slotBytes: MIN_SLOT_BYTES, hashing: 'hasher' });
    const running = stress({ ...shape, layout, slots: 2 ** 30, pauseShare, holdSlots: 2 });
    while (readProgress(layout).rowsRead < 100) await new Promise((resolve) => setTimeout(resolve, 5));
    const abortedMs = performance.now();
    abortLane(layout);
    const { reader, hasher, writers } = await running;
    assert.ok(performance.now() - abortedMs < 1000);
    for (const result of [reader, hasher!, ...writers]) assert.match(result.error!, /^CANCELLED/);
    assert.equal(isLaneAborted(layout), true);
  }
});

test('abort wakes threads that wait for a lane in which nothing happens', async () => {
  const layout = createLane({ rings: 1, slotsPerRing: 2, slotBytes: MIN_SLOT_BYTES, hashing: 'hasher' });
  const hasher = start({ ...shape, layout, role: 'hasher', ring: 0 });
  const writer = start({ ...shape, layout, role: 'writer', ring: 0 });
  await new Promise((resolve) => setTimeout(resolve, 300));
  abortLane(layout);
  for (const result of await Promise.all([hasher, writer])) assert.match(result.error!, /^CANCELLED/);
});

test('every look at an aborted lane throws CANCELLED', async () => {
  const layout = createLane({ rings: 1, slotsPerRing: 2, slotBytes: MIN_SLOT_BYTES, hashing: 'none' });
  const lane = new LaneProducer(layout);
  const ring = lane.rings[0]!;
  const consumer = new RingConsumer(layout, 0);
  ring.publishJson(SLOT_KIND.BEGIN, {});
  ring.publishJson(SLOT_KIND.BEGIN, {});
  const waiting = ring.waitForSpace();
  abortLane(layout);
  const cancelled = (error: unknown) => error instanceof AppError && error.code === 'CANCELLED';
  await assert.rejects(waiting, cancelled);
  await assert.rejects(ring.waitForSpace(), cancelled);
  await assert.rejects(lane.waitForRoom(), cancelled);
  assert.throws(() => ring.tryReserve(), cancelled);
  assert.throws(() => consumer.tryPeek(), cancelled);
  assert.throws(() => new HashConsumer(layout).next(), cancelled);
});

test('one thread: reserve, publish, read ahead, release, refuse misuse', async () => {
  const layout = createLane({ rings: 2, slotsPerRing: 3, slotBytes: 70_001, hashing: 'none' });
  assert.equal(layout.slotsPerRing, 4);
  assert.equal(layout.slotBytes, 70_016);
  const bytes = laneBytes({ rings: 2, slotsPerRing: 3, slotBytes: 70_001, hashing: 'none' });
  // WebAssembly's memory comes in pages of 64 KiB.
  assert.equal(layout.buffer.byteLength, Math.ceil(bytes / 65_536) * 65_536);
  assert.equal(inputOffset(layout) + INPUT_BYTES + CHECKSUM_BYTES, bytes);
  const lane = new LaneProducer(layout);
  const [first, second] = lane.rings;
  const consumer = new RingConsumer(layout, 0);
  assert.equal(lane.roomiest(), first);
  const offset = first!.tryReserve();
  assert.equal(first!.tryReserve(), offset);
  assert.equal(offset % 64, 0);
  assert.ok(offset >= SLOT_PREFIX_BYTES);
  assert.throws(() => first!.publish(SLOT_KIND.DATA, layout.slotBytes + 1, 0, 0), /70017 bytes/);
  first!.publish(SLOT_KIND.DATA, 7, 1, 0);
  assert.equal(lane.roomiest(), second);
  assert.equal(first!.publishJson(SLOT_KIND.END, { text: 'é\u{1F600}' }), true);
  assert.equal(first!.publishJson(SLOT_KIND.CLOSE, null), true);
  assert.equal(first!.freeSlots(), 1);
  assert.throws(() => first!.publishJson(SLOT_KIND.BEGIN, 'x'.repeat(layout.slotBytes)), /do not fit a slot/);
  first!.publish(SLOT_KIND.DATA, 9, 1, 0);
  assert.equal(first!.tryReserve(), -1);
  assert.equal(first!.publishJson(SLOT_KIND.BEGIN, {}), false);

  assert.equal(consumer.tryPeek(), true);
  assert.equal(consumer.offset, offset);
  consumer.advance();
  assert.deepEqual(consumer.json(), { text: 'é\u{1F600}' });
  consumer.advance();
  assert.equal(first!.tryReserve(), -1);
  assert.throws(() => consumer.release(3), /3 slots were released where 2 are held/);
  const space = first!.waitForSpace();
  consumer.release(1);
  await space;
  assert.equal(first!.tryReserve(), offset);
  consumer.advance();
  consumer.advance();
  assert.equal(consumer.tryPeek(), false);
  assert.throws(() => consumer.advance(), /past the last slot/);
  assert.equal(consumer.held, 3);
  consumer.release(3);
  const ring = readProgress(layout).rings[0]!;
  assert.equal(ring.rowsWritten, 2);
  assert.equal(ring.bytesWritten, 16);
  assert.equal(ring.readerWaits, 1);
});

test('what begins a chunk may be longer than the ring: it comes in parts', async () => {
  const layout = createLane({ rings: 2, slotsPerRing: 2, slotBytes: MIN_SLOT_BYTES, hashing: 'none' });
  const sink = new ChunkSink(new LaneProducer(layout));
  const consumer = new RingConsumer(layout, 0);
  const chunk = (copy: string) =>
    ({ label: 'é', before: [], copy, chunk: 0, lower: null }) as unknown as ChunkBegin;
  const pass = (): void => {
    consumer.advance();
    consumer.release(1);
  };
  const long = chunk('ü'.repeat(150_000));
  const kinds: number[] = [];
  while (!sink.begin(long)) {
    kinds.push(consumer.kind);
    pass();
    await sink.waitForRoom();
  }
  for (; consumer.kind === SLOT_KIND.PART; pass()) kinds.push(consumer.kind);
  assert.deepEqual(kinds, [SLOT_KIND.PART, SLOT_KIND.PART, SLOT_KIND.PART, SLOT_KIND.PART]);
  assert.deepEqual([consumer.kind, consumer.json()], [SLOT_KIND.BEGIN, long]);
  pass();
  assert.equal(sink.end(null), true);
  assert.deepEqual(consumer.json(), { rows: 0, bytes: 0, upper: null });
  pass();
  // Given up before it was all there.
  assert.equal(sink.begin(long), false);
  pass();
  await sink.abort('no');
  pass();
  assert.deepEqual([consumer.kind, consumer.json()], [SLOT_KIND.ABORT, { reason: 'no' }]);
  pass();
  assert.equal(sink.begin(chunk('')), true);
  assert.deepEqual(consumer.json(), chunk(''));
});

test('a lane beyond 2 GiB is refused', () => {
  assert.throws(
    () => createLane({ rings: 64, slotsPerRing: 64, slotBytes: 1 << 20, hashing: 'none' }),
    /takes \d+ bytes; the limit is 2 GiB/,
  );
});

test('counts beyond 2^32 are kept', () => {
  const words = laneWords(
    createLane({ rings: 1, slotsPerRing: 2, slotBytes: MIN_SLOT_BYTES, hashing: 'none' }),
  );
  for (const value of [0, 2 ** 30 - 1, 2 ** 30, 2 ** 31, 2 ** 32 + 5, 2 ** 53 - 1]) {
    storeCount(words, 100, value);
    assert.equal(loadCount(words, 100), value);
  }
});

/** A lane whose writer waits for each slot: the time from publishing to the release seen is one wake-up there and one back. */
async function roundTrips(layout: LaneLayout, count: number): Promise<number[]> {
  const writer = start({
    ...shape,
    layout,
    role: 'writer',
    ring: 0,
    holdSlots: 1,
    pauseShare: 0,
    content: false,
    slots: count,
  });
  const ring = new LaneProducer(layout).rings[0]!;
  await ring.sendJson(SLOT_KIND.BEGIN, { ring: 0 });
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    // Full but for one slot would hide the wake-up: wait until the ring is empty.
    while (ring.freeSlots() < layout.slotsPerRing) await new Promise((resolve) => setTimeout(resolve, 1));
    const startedMs = performance.now();
    ring.publish(SLOT_KIND.DATA, 1, n & 7, n % 3 === 0 ? 1 : 0, n % 3 === 0 ? 1 : 0);
    while (ring.freeSlots() < layout.slotsPerRing) await new Promise((resolve) => setImmediate(resolve));
    times.push((performance.now() - startedMs) * 1000);
  }
  await ring.sendJson(SLOT_KIND.END, { slots: count, bytes: count });
  await ring.close();
  assert.equal((await writer).error, undefined);
  return times.sort((a, b) => a - b);
}

test('a waiting writer wakes up well before the safety re-check', async (t) => {
  const layout = createLane({ rings: 1, slotsPerRing: 2, slotBytes: MIN_SLOT_BYTES, hashing: 'none' });
  const times = await roundTrips(layout, 200);
  const median = times[100]!;
  t.diagnostic(
    `wake-up: median ${median.toFixed(0)} us, 99 % ${times[197]!.toFixed(0)} us, worst ${times[199]!.toFixed(0)} us`,
  );
  assert.ok(median < 20_000, `a wake-up took ${median} us`);
});

test('throughput of the ring alone', { skip: process.env.RING_BENCH !== '1' }, async (t) => {
  for (const hashing of ['none', 'hasher'] as const) {
    for (const [fullShare, content] of [
      [0, false],
      [1, true],
    ] as const) {
      const layout = createLane({ rings: 1, slotsPerRing: 16, slotBytes: 256 * 1024, hashing });
      const slots = content ? 20_000 : 500_000;
      const { writers } = await stress({
        ...shape,
        layout,
        slots,
        fullShare,
        content,
        pauseShare: 0,
        holdSlots: 4,
      });
      const { ms, bytes, error } = writers[0]!;
      assert.equal(error, undefined);
      t.diagnostic(
        `${hashing === 'hasher' ? 'hashed' : 'plain'}, ${content ? 'full slots, copied and compared' : 'small slots'}: ${((slots / ms) * 1000).toFixed(0)} slots/s, ${(bytes / ms / 1000).toFixed(0)} MB/s`,
      );
    }
  }
});
