/**
 * What a writer worker does: empties one ring into PostgreSQL, one chunk a COPY in one transaction.
 *
 * A chunk that fails is rolled back, reported, and its remaining slots dropped; the ring goes on with the next.
 */
import type { MessagePort } from 'node:worker_threads';
import { AppError, atPlace, toErrorData } from '../errors.js';
import type { ChunkBegin, ChunkEnd } from '../plan/chunk.js';
import type { StopFlags, WriterControl } from '../plan/work.js';
import { RingConsumer } from '../ring/consumer.js';
import { isLaneAborted, type LaneLayout, SLOT_KIND } from '../ring/layout.js';
import {
  connectTarget,
  type TargetConnection,
  type TargetOptions,
  targetError,
} from '../target/connection.js';
import { CopyChunk } from './copyChunk.js';

/** What a writer worker is started with; `control` carries a comlink `WriterControl`. */
export interface WriterTask {
  lane: LaneLayout;
  ring: number;
  target: TargetOptions;
  /** Shared memory of `StopFlags`. */
  stopFlags: SharedArrayBuffer;
  control: MessagePort;
}

/** How soon a lane's abort ends a wait for the server. */
const ABORT_CHECK_MS = 100;

/**
 * Writes until the ring is closed.
 *
 * @throws AppError where the target can't be connected to, or CANCELLED where the lane was aborted
 */
export async function writeLane(
  task: Omit<WriterTask, 'control' | 'stopFlags'>,
  control: WriterControl,
  stopFlags: StopFlags,
): Promise<void> {
  const ring = new RingConsumer(task.lane, task.ring);
  let target: TargetConnection | null = null;
  const abortCheck = setInterval(() => {
    // Ends whatever the client waits for: its socket is gone, and the server rolls back.
    if (isLaneAborted(task.lane)) target?.client.connection.stream.destroy();
  }, ABORT_CHECK_MS);
  try {
    for (;;) {
      await nextSlot(ring);
      if (ring.kind === SLOT_KIND.CLOSE) {
        pass(ring);
        return;
      }
      const begin = ring.json() as ChunkBegin;
      pass(ring);
      if (stopFlags.isStopped(begin.table)) {
        await skipChunk(ring);
        continue;
      }
      target ??= await connectTarget(task.target);
      const failure = await writeChunk(ring, begin, target, control);
      if (failure === null) continue;
      if (isLaneAborted(task.lane)) throw new AppError('CANCELLED', 'the lane was aborted');
      stopFlags.stop(begin.table);
      await control.failed(begin, toErrorData(failure));
      if (failure.code !== 'TARGET_CONNECTION_LOST') continue;
      await target.close().catch(() => {});
      target = null;
    }
  } finally {
    clearInterval(abortCheck);
    await target?.close().catch(() => {});
  }
}

async function nextSlot(ring: RingConsumer): Promise<void> {
  while (!ring.tryPeek()) await ring.waitForSlot();
}

/** Frees the slot at the cursor. */
function pass(ring: RingConsumer): void {
  ring.advance();
  ring.release(1);
}

/** Drops a chunk's slots up to its end. */
async function skipChunk(ring: RingConsumer): Promise<void> {
  for (;;) {
    await nextSlot(ring);
    const { kind } = ring;
    pass(ring);
    if (kind === SLOT_KIND.END || kind === SLOT_KIND.ABORT) return;
  }
}

/** @returns why the chunk was not written, or null; the ring stands behind the chunk's last slot either way. */
async function writeChunk(
  ring: RingConsumer,
  begin: ChunkBegin,
  target: TargetConnection,
  control: WriterControl,
): Promise<AppError | null> {
  let passed = false;
  const copy = new CopyChunk(target.client, begin);
  try {
    await copy.begin();
    for (;;) {
      await nextSlot(ring);
      const { kind, offset, bytes } = ring;
      if (kind === SLOT_KIND.DATA) {
        await copy.write(ring.buffer, offset, bytes);
        pass(ring);
        continue;
      }
      const end = kind === SLOT_KIND.END ? (ring.json() as ChunkEnd) : null;
      pass(ring);
      passed = true;
      if (end === null) {
        await copy.abort('the reader gave the chunk up');
        return null;
      }
      await copy.commit(end.rows);
      await control.committed(begin, end);
      return null;
    }
  } catch (error) {
    const { label: table, partition } = begin;
    const known =
      error instanceof AppError
        ? atPlace(error, { table, partition })
        : targetError(error, { table, partition });
    await copy.abort(known.message).catch(() => {});
    if (!passed) await skipChunk(ring);
    return known;
  }
}
