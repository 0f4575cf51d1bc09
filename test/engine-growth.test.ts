/** When a run gets more lanes and writers: by what its lanes wait for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { growth, growthLines, type LaneLook } from '../src/engine/growth.js';
import { CoreLoad } from '../src/host/load.js';
import { createLane, MIN_SLOT_BYTES, openNextRing, SLOT_KIND } from '../src/ring/layout.js';
import { LaneProducer } from '../src/ring/producer.js';

const NOTHING = { openRing: [], lanes: 0 };

function lane(changes: Partial<LaneLook> = {}): LaneLook {
  const reading = { hasRead: true, idle: false, waitsForWriters: false, writersUp: true };
  return { ...reading, openRings: 1, rings: 3, ...changes };
}

test('where every lane is busy and work waits, there are twice as many lanes, up to the most', () => {
  assert.deepEqual(growth([lane()], 7, true, 0.5), { openRing: [], lanes: 1 });
  assert.deepEqual(growth([lane(), lane()], 6, true, 0.5), { openRing: [], lanes: 2 });
  assert.deepEqual(growth([lane(), lane()], 1, true, 0.5), { openRing: [], lanes: 1 });
  assert.deepEqual(growth([lane(), lane()], 0, true, 0.5), NOTHING);
});

test('no lane is begun without work, beside an idle or a new one, or on busy cores', () => {
  assert.deepEqual(growth([lane()], 7, false, 0.5), NOTHING);
  assert.deepEqual(growth([lane(), lane({ idle: true })], 6, true, 0.5), NOTHING);
  assert.deepEqual(growth([lane(), lane({ hasRead: false })], 6, true, 0.5), NOTHING);
  assert.deepEqual(growth([lane()], 7, true, 0.95), NOTHING);
});

test('where rows wait for the writers, another one begins before another lane does', () => {
  const waiting = lane({ waitsForWriters: true });
  assert.deepEqual(growth([lane(), waiting], 6, true, 0.5), { openRing: [1], lanes: 0 });
  assert.deepEqual(growth([waiting], 6, true, 0.95), NOTHING);
  const starting = lane({ waitsForWriters: true, writersUp: false });
  assert.deepEqual(growth([starting], 0, true, 0.5), NOTHING);
  const allOpen = lane({ waitsForWriters: true, openRings: 3 });
  assert.deepEqual(growth([allOpen], 6, true, 0.5), { openRing: [], lanes: 1 });
});

test('what is begun is said, with what was seen', () => {
  const looks = [lane({ waitsForWriters: true }), lane()];
  const lines = (lanesLeft: number, some: LaneLook[]) =>
    growthLines(growth(some, lanesLeft, true, 0.456), some, some.length + lanesLeft, 0.456);
  assert.deepEqual(lines(6, looks), [
    'lane 1: writer 2 of up to 3 begins; rows wait for the writers, and the cores are 46 % busy',
  ]);
  assert.deepEqual(lines(6, [lane(), lane()]), [
    'lanes: now 4 of up to 8; work waits, every lane is busy, and the cores are 46 % busy',
  ]);
  assert.deepEqual(lines(0, [lane()]), []);
});

test('a reader begins chunks in open rings only, and closes the others, too', async () => {
  const layout = createLane({
    rings: 2,
    openRings: 1,
    slotsPerRing: 2,
    slotBytes: MIN_SLOT_BYTES,
    hashing: 'none',
  });
  const producer = new LaneProducer(layout);
  const [first, second] = producer.rings;
  first!.publishJson(SLOT_KIND.BEGIN, {});
  assert.equal(producer.roomiest(), first);
  assert.equal(producer.chunkBytes, Number.POSITIVE_INFINITY, 'nobody else waits');
  first!.publishJson(SLOT_KIND.END, {});
  const room = producer.waitForRoom();
  openNextRing(layout);
  await room;
  assert.equal(producer.roomiest(), second);
  assert.equal(producer.chunkBytes, 2 * 2 * MIN_SLOT_BYTES, 'while one ring is filled the other lasts');
  await second!.close();
  assert.throws(() => openNextRing(layout), /all 2 rings/);
});

test('the load of the cores is a share', () => {
  const load = new CoreLoad();
  for (const until = performance.now() + 30; performance.now() < until; );
  const share = load.look();
  assert.ok(share >= 0 && share <= 1, String(share));
});
