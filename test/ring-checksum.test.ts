/** The checksum of a chunk's tuples: the kernel in WebAssembly against zlib's CRC-32. Test process, main thread. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { crc32 as expected } from 'node:zlib';
import { CHECKSUM_BYTES, crc32 } from '../src/ring/checksum.js';
import { RingConsumer } from '../src/ring/consumer.js';
import { createLane, MIN_SLOT_BYTES, SLOT_KIND } from '../src/ring/layout.js';
import { LaneProducer } from '../src/ring/producer.js';
import { kernelBuffer } from './support/kernelMemory.js';

const DATA_BYTES = 300_000;
const AREA = 300_032;
const memory = kernelBuffer(AREA + CHECKSUM_BYTES + 65_536);
memory.fill(0xee);
randomBytes(DATA_BYTES).copy(memory);

function check(from: number, bytes: number, before: number): void {
  const sum = expected(memory.subarray(from, from + bytes), before);
  assert.equal(crc32(memory, from, bytes, AREA, before), sum, `${bytes} bytes from ${from}`);
}

test('as zlib, at every length around turns, strides and the shortest one reduced', () => {
  for (const around of [64, 4800, 4 * 4800, 16_384, 4800 + 724 * 16 * 2, 65_536]) {
    for (let bytes = around - 66; bytes <= around + 66; bytes++) {
      if (bytes >= 0) check(bytes % 19, bytes, bytes % 3 === 0 ? 0 : 0x9e3779b1);
    }
  }
  for (let i = 0; i < 200; i++) {
    const from = (i * 37) % 1000;
    check(from, (i * 7919 * 31) % (DATA_BYTES - from), (i * 0x9e3779b1) >>> 0);
  }
});

test('of zeros and of ones, whose registers are the easiest to get wrong', () => {
  const zeros = kernelBuffer(200_000 + CHECKSUM_BYTES);
  for (const filler of [0, 255]) {
    zeros.fill(filler, 0, 100_000);
    for (const before of [0, 1, 0xffff_ffff]) {
      const sum = expected(zeros.subarray(0, 100_000), before);
      assert.equal(crc32(zeros, 0, 100_000, 200_000, before), sum);
    }
  }
});

test('nothing but its area is written, and other memory is summed by zlib', () => {
  const data = Buffer.from(memory.subarray(0, AREA));
  check(3, 250_000, 7);
  assert.ok(memory.subarray(0, AREA).equals(data));
  assert.ok(memory.subarray(AREA + CHECKSUM_BYTES).every((byte) => byte === 0xee));
  assert.equal(crc32(data, 5, 100_000, 0, 9), expected(data.subarray(5, 100_005), 9));
});

test('a lane without a hash thread: each slot has the sum of its chunk up to there', () => {
  const layout = createLane({ rings: 2, slotsPerRing: 8, slotBytes: MIN_SLOT_BYTES, hashing: 'none' });
  const lane = new LaneProducer(layout);
  for (const [index, ring] of lane.rings.entries()) {
    for (let chunk = 0; chunk < 2; chunk++) {
      ring.publishJson(SLOT_KIND.BEGIN, {});
      for (const bytes of [50_000, 100 + index]) {
        memory.copy(lane.bytes, ring.tryReserve(), chunk * 1000, chunk * 1000 + bytes);
        ring.publish(SLOT_KIND.DATA, bytes, 1, 0);
      }
      ring.publishJson(SLOT_KIND.END, {});
    }
  }
  for (const index of [0, 1]) {
    const found: number[] = [];
    for (const ring = new RingConsumer(layout, index); ring.tryPeek(); ring.advance()) {
      if (ring.kind === SLOT_KIND.DATA) found.push(ring.checksum);
    }
    const sums = [0, 1000].flatMap((from) => {
      const first = expected(memory.subarray(from, from + 50_000));
      return [first, expected(memory.subarray(from, from + 100 + index), first)];
    });
    assert.deepEqual(found, sums);
  }
});
