/**
 * The thread body of ring-stress.test.ts: plays reader, hash thread or writer of one lane, checking every byte.
 *
 * Content is derived from position: byte `p` of ring `r`'s stream is `byteAt(r, p)`. The hash thread's work is
 * to complement the first and last byte of every DATA slot, which shows that each slot passed it exactly once.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { toErrorData } from '../src/errors.js';
import { RingConsumer } from '../src/ring/consumer.js';
import { HashConsumer } from '../src/ring/hashConsumer.js';
import { type LaneLayout, SLOT_FLAG, SLOT_KIND } from '../src/ring/layout.js';
import { LaneProducer, type RingProducer } from '../src/ring/producer.js';
import { fractionsFrom } from './support/random.js';

export interface StressJob {
  role: 'reader' | 'hasher' | 'writer';
  layout: LaneLayout;
  ring: number;
  slots: number;
  seed: number;
  /** Share of slots that are full; the others are 1 to 200 bytes. */
  fullShare: number;
  /** Chance per slot that the writer pauses. */
  pauseShare: number;
  /** The writer keeps up to this many slots before it releases them. */
  holdSlots: number;
  /** Fill and check whole slots; false measures the ring alone. */
  content: boolean;
}

export interface StressResult {
  error?: string;
  slots: number;
  bytes: number;
  ms: number;
}

const job = workerData as StressJob;

/** 64 KiB + a prime, so that no slot size divides the pattern. */
const PERIOD = 65_537;
const pattern = Buffer.alloc(PERIOD * 6);
{
  const random = fractionsFrom(99);
  for (let i = 0; i < PERIOD; i++) pattern[i] = random() * 256;
  for (let i = 1; i < 6; i++) pattern.copy(pattern, i * PERIOD, 0, PERIOD);
}
/** @returns where in `pattern` position `p` of ring `ring`'s stream lies. */
const at = (ring: number, p: number) => (p + ring * 7919) % PERIOD;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function produce(ring: RingProducer, done: StressResult): Promise<void> {
  const random = fractionsFrom(job.seed + ring.index);
  const { slotBytes } = job.layout;
  await ring.sendJson(SLOT_KIND.BEGIN, { ring: ring.index, hash: null });
  let position = 0;
  for (let n = 0; n < job.slots; n++) {
    const bytes = random() < job.fullShare ? slotBytes : 1 + Math.floor(random() * 200);
    let offset = ring.tryReserve();
    while (offset < 0) {
      await ring.waitForSpace();
      offset = ring.tryReserve();
    }
    if (job.content) {
      const from = at(ring.index, position);
      pattern.copy(ring.lane.bytes, offset, from, from + bytes);
    }
    ring.publish(
      SLOT_KIND.DATA,
      bytes,
      n & 7,
      n % 3 === 0 ? SLOT_FLAG.STARTS_IN_ROW : 0,
      n % 3 === 0 ? 1 : 0,
    );
    position += bytes;
    done.slots++;
    done.bytes += bytes;
    if ((n & 63) === 0) await turn();
  }
  await ring.sendJson(SLOT_KIND.END, { slots: job.slots, bytes: position });
  await ring.close();
}

function hash(done: StressResult): void {
  const consumer = new HashConsumer(job.layout);
  let rows = 0;
  for (let slot = consumer.next(); slot !== null; slot = consumer.next()) {
    if (slot.kind === SLOT_KIND.DATA && job.content) {
      const last = slot.offset + slot.bytes - 1;
      consumer.buffer[slot.offset]! ^= 0xff;
      if (last !== slot.offset) consumer.buffer[last]! ^= 0xff;
    }
    done.slots++;
    rows += slot.rows;
    consumer.done(rows, true);
  }
}

async function consume(done: StressResult): Promise<void> {
  const ring = new RingConsumer(job.layout, job.ring);
  const random = fractionsFrom(job.seed * 31 + job.ring);
  const hashed = job.layout.hashing === 'hasher';
  let position = 0;
  let begun = false;
  let ended = false;
  /** Offsets of held slots: their bytes are checked on release, so a slot reused too early shows. */
  const held: { offset: number; bytes: number; from: number }[] = [];
  const check = (slot: { offset: number; bytes: number; from: number }) => {
    if (slot.bytes === 0 || !job.content) return;
    const data = ring.buffer.subarray(slot.offset, slot.offset + slot.bytes);
    if (hashed) {
      data[0]! ^= 0xff;
      if (slot.bytes > 1) data[slot.bytes - 1]! ^= 0xff;
    }
    if (pattern.compare(data, 0, slot.bytes, slot.from, slot.from + slot.bytes) !== 0) {
      throw new Error(`ring ${job.ring}: wrong bytes in slot ${done.slots} of ${slot.bytes} bytes`);
    }
  };
  for (;;) {
    while (!ring.tryPeek()) {
      if (held.length > 0) {
        // Nothing to read: what is held has "flushed" meanwhile.
        for (const slot of held) check(slot);
        ring.release(held.length);
        held.length = 0;
      } else {
        await ring.waitForSlot();
      }
    }
    const { kind, bytes, offset, rows, flags } = ring;
    if (kind === SLOT_KIND.BEGIN) {
      const begin = ring.json() as { ring: number };
      if (begin.ring !== job.ring || begun) throw new Error('a BEGIN of another ring');
      begun = true;
    } else if (kind === SLOT_KIND.END) {
      const end = ring.json() as { slots: number; bytes: number };
      if (end.slots !== done.slots || end.bytes !== position) throw new Error('END does not match');
      ended = true;
    } else if (kind === SLOT_KIND.DATA) {
      const n = done.slots;
      const inRow = n % 3 === 0;
      if (
        rows !== (n & 7) ||
        flags !== (inRow ? SLOT_FLAG.STARTS_IN_ROW : 0) ||
        ring.firstRowOffset !== (inRow ? 1 : 0)
      ) {
        throw new Error(`ring ${job.ring}: wrong header in slot ${n}`);
      }
      done.slots++;
      done.bytes += bytes;
    }
    const data = kind === SLOT_KIND.DATA ? bytes : 0;
    held.push({ offset, bytes: data, from: at(job.ring, position) });
    position += data;
    ring.advance();
    if (ring.held !== held.length) throw new Error('held slots miscounted');
    if (random() < job.pauseShare) await pause(random() * 3);
    const count =
      held.length >= job.holdSlots || kind === SLOT_KIND.CLOSE ? held.length : random() < 0.3 ? 1 : 0;
    for (let i = 0; i < count; i++) check(held[i]!);
    held.splice(0, count);
    ring.release(count);
    if (kind === SLOT_KIND.CLOSE) break;
  }
  if (!begun || !ended) throw new Error('CLOSE without BEGIN and END');
}

async function main(): Promise<StressResult> {
  const done: StressResult = { slots: 0, bytes: 0, ms: 0 };
  const startedMs = performance.now();
  try {
    if (job.role === 'reader') {
      const lane = new LaneProducer(job.layout);
      await Promise.all(lane.rings.map((ring) => produce(ring, done)));
    } else if (job.role === 'hasher') {
      hash(done);
    } else {
      await consume(done);
    }
  } catch (error) {
    const { code, message } = toErrorData(error);
    done.error = `${code}: ${message}`;
  }
  done.ms = performance.now() - startedMs;
  return done;
}

parentPort!.postMessage(await main());
