/**
 * What a writer worker does: empties one ring into PostgreSQL, one chunk a COPY in one transaction.
 *
 * A chunk that fails is rolled back, reported, and its remaining slots dropped; the ring goes on with the next.
 */
import type { MessagePort } from 'node:worker_threads';
import { AppError, isRetryable, toErrorData } from '../errors.js';
import type { ChunkBegin, ChunkEnd } from '../plan/chunk.js';
import { type RetryPolicy, withRetries } from '../plan/retry.js';
import type { ChunkPlace, JoiningWriterControl, StopFlags } from '../plan/work.js';
import { RingConsumer } from '../ring/consumer.js';
import { isLaneAborted, type LaneLayout, SLOT_KIND } from '../ring/layout.js';
import { nameLockHolders } from '../target/catalog.js';
import {
  cancelStatement,
  connectTarget,
  type TargetConnection,
  type TargetOptions,
  targetError,
} from '../target/connection.js';
import { CopyChunk } from './copyChunk.js';

/** What a writer worker is started with; `control` carries a comlink `JoiningWriterControl`. */
export interface WriterTask {
  lane: LaneLayout;
  ring: number;
  target: TargetOptions;
  /** What becomes of a target that can't be reached for a while; left out, it ends the run. */
  retry?: RetryPolicy;
  /** Connects before there is a chunk, says so, and fails where that does not succeed at once. */
  connectFirst?: boolean;
  /** Shared memory of `StopFlags`. */
  stopFlags: SharedArrayBuffer;
  control: MessagePort;
}

/** How soon a lane's abort or a silent server ends a wait for the server. */
const CHECK_MS = 100;
/** Of a run that is to stop: how often is looked whether a chunk waits for a lock. */
const LOCK_CHECK_MS = 1000;
/** SQLSTATE query_canceled. */
const QUERY_CANCELED = '57014';
/** SQLSTATE program_limit_exceeded. */
const PROGRAM_LIMIT = '54000';
const NO_RETRIES: RetryPolicy = { retries: 0, delayMs: 0 };

/**
 * Writes until the ring is closed.
 *
 * @throws AppError where the target can't be connected to, or CANCELLED where the lane was aborted
 */
export async function writeLane(
  task: Omit<WriterTask, 'control' | 'stopFlags'>,
  control: JoiningWriterControl,
  stopFlags: StopFlags,
): Promise<void> {
  const writer = new LaneWriter(task, control, stopFlags);
  try {
    await writer.run();
  } finally {
    await writer.close();
  }
}

class LaneWriter {
  readonly #task: Omit<WriterTask, 'control' | 'stopFlags'>;
  readonly #control: JoiningWriterControl;
  readonly #stopFlags: StopFlags;
  readonly #ring: RingConsumer;
  readonly #check: NodeJS.Timeout;
  #target: TargetConnection | null = null;
  #copy: CopyChunk | null = null;
  /** The server has let us wait for too long, and was hung up on. */
  #silent = false;
  /** When to look next whether a chunk waits for a lock; null until the run is to stop. */
  #lockCheckMs: number | null = null;
  /** The server was asked to end a wait for a lock. */
  #askedToEnd = false;
  /** Tables of which chunks were given up for a lock: the next ones would only wait for it, too. */
  readonly #locked = new Set<number>();

  constructor(
    task: Omit<WriterTask, 'control' | 'stopFlags'>,
    control: JoiningWriterControl,
    stopFlags: StopFlags,
  ) {
    this.#task = task;
    this.#control = control;
    this.#stopFlags = stopFlags;
    this.#ring = new RingConsumer(task.lane, task.ring);
    this.#check = setInterval(() => this.#lookAround(), CHECK_MS);
  }

  async run(): Promise<void> {
    if (this.#task.connectFirst === true) {
      this.#target = await connectTarget(this.#task.target);
      await this.#control.connected();
    }
    for (;;) {
      await this.#nextSlot();
      if (this.#ring.kind === SLOT_KIND.CLOSE) {
        this.#pass();
        return;
      }
      if (this.#ring.kind === SLOT_KIND.PART || this.#ring.kind === SLOT_KIND.ABORT) {
        // Of a long BEGIN, or what took its place.
        this.#pass();
        continue;
      }
      const begin = this.#ring.json() as ChunkBegin;
      this.#pass();
      if (this.#stopFlags.isStopped(begin.table)) await this.#skipChunk();
      else await this.#chunk(begin);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#check);
    await this.#disconnect();
  }

  /** Ends a wait for the server: its socket is gone then, and the server rolls back. */
  #lookAround(): void {
    const limitMs = (this.#task.target.stall_timeout_seconds ?? 0) * 1000;
    const since = this.#copy?.waitingSinceMs ?? null;
    this.#silent ||= limitMs > 0 && since !== null && performance.now() - since > limitMs;
    if (this.#silent || isLaneAborted(this.#task.lane)) this.#target?.client.connection.stream.destroy();
    if (this.#stopFlags.isDraining) this.#endLockWait();
  }

  /** A chunk that only waits for another session's lock would hold up a run that is to stop. */
  #endLockWait(): void {
    const now = performance.now();
    this.#lockCheckMs ??= now + LOCK_CHECK_MS;
    const session = this.#copy === null ? null : (this.#target?.session ?? null);
    if (session === null || now < this.#lockCheckMs) return;
    this.#lockCheckMs = Number.POSITIVE_INFINITY;
    this.#askedToEnd = true;
    cancelStatement(this.#task.target, session, 'if it waits for a lock')
      .catch(() => {})
      .finally(() => {
        this.#lockCheckMs = performance.now() + LOCK_CHECK_MS;
      });
  }

  /** Writes the chunk that has begun, or reports why not; the ring stands behind its last slot either way. */
  async #chunk(begin: ChunkBegin): Promise<void> {
    this.#ring.chunkBegins(begin);
    this.#target ??= await withRetries(
      this.#task.retry ?? NO_RETRIES,
      () => connectTarget(this.#task.target),
      {
        ended: () => isLaneAborted(this.#task.lane),
      },
    );
    const target = this.#target;
    const copy = new CopyChunk(target.client, begin);
    this.#copy = copy;
    /** Undefined until the chunk's last slot is passed; null where the reader gave it up. */
    let end: ChunkEnd | null | undefined;
    try {
      await copy.begin();
      while (end === undefined) {
        await this.#nextSlot();
        const { kind, offset, bytes, checksum, buffer } = this.#ring;
        if (kind === SLOT_KIND.DATA) await copy.write(buffer, offset, bytes, checksum);
        else end = kind === SLOT_KIND.END ? (this.#ring.json() as ChunkEnd) : null;
        this.#pass();
      }
      if (end === null) {
        await copy.abort('the reader gave the chunk up');
        return;
      }
      await this.#control.committed(place(begin), await copy.commit(end));
    } catch (thrown) {
      this.#ring.chunkEnds();
      const error = await this.#explain(thrown, begin, copy);
      if (end === undefined) end = await this.#skipChunk();
      if (isLaneAborted(this.#task.lane)) throw new AppError('CANCELLED', 'the lane was aborted');
      if (this.#askedToEnd && error.serverCode === QUERY_CANCELED) {
        // It has not failed: nothing of it was committed, and whoever goes on with the run reads its rows.
        this.#locked.add(begin.table);
        return;
      }
      if (!isRetryable(error)) this.#stopFlags.stop(begin.table);
      const lost = error.code === 'TARGET_CONNECTION_LOST';
      if (lost) await this.#disconnect();
      await this.#control.failed(place(begin), end, toErrorData(error), lost ? target.session : null);
    } finally {
      this.#ring.chunkEnds();
      this.#copy = null;
    }
  }

  /** Rolls back what is left of the chunk, and finds the words for why it failed. */
  async #explain(thrown: unknown, begin: ChunkBegin, copy: CopyChunk): Promise<AppError> {
    const at = { table: begin.label, partition: begin.partition };
    const error = tooLarge(targetError(thrown, at), begin);
    await copy.abort(error.message).catch(() => {});
    if (this.#silent) {
      this.#silent = false;
      const seconds = this.#task.target.stall_timeout_seconds;
      const text = `The target let a chunk wait for more than ${seconds} s`;
      return new AppError('TARGET_CONNECTION_LOST', text, {
        ...at,
        remedy: 'Look for what blocks its session, or raise target.stall_timeout_seconds.',
        cause: error,
      });
    }
    if (this.#target === null || begin.into === undefined) return error;
    return nameLockHolders(this.#target, [begin.into], error);
  }

  async #disconnect(): Promise<void> {
    const target = this.#target;
    this.#target = null;
    await target?.close().catch(() => {});
  }

  async #nextSlot(): Promise<void> {
    while (!this.#ring.tryPeek()) await this.#ring.waitForSlot();
  }

  /** Frees the slot at the cursor. */
  #pass(): void {
    this.#ring.advance();
    this.#ring.release(1);
  }

  /** Drops a chunk's slots up to its end. @returns its end, or null where the reader gave it up. */
  async #skipChunk(): Promise<ChunkEnd | null> {
    for (;;) {
      await this.#nextSlot();
      const { kind } = this.#ring;
      const end = kind === SLOT_KIND.END ? (this.#ring.json() as ChunkEnd) : null;
      this.#pass();
      if (kind === SLOT_KIND.END || kind === SLOT_KIND.ABORT) return end;
    }
  }
}

function place({ table, partition, chunk, lower }: ChunkBegin): ChunkPlace {
  return { table, partition, chunk, lower };
}

/** A row that is wider than a page: the server says how wide, and where the lot that it was in ends. */
function tooLarge(error: AppError, { label, lower, keys, text }: ChunkBegin): AppError {
  if (error.serverCode !== PROGRAM_LIMIT) return error;
  const after = lower === null ? 'of its first chunk' : `after key ${lower.join(', ')}`;
  const where = keys === undefined ? after : `from key ${keys.first.join(', ')} to ${keys.last.join(', ')}`;
  const ways = [
    'Without long values, which are stored apart, a row has to fit a page of 8 kB: give columns smaller types (migration.type_overrides), move some to a second table in the source, or exclude the table. `plan --scan` names such rows.',
    ...(text === null ? [] : ['With migration.use_binary_copy: true long values need less room on the way.']),
  ];
  return new AppError(error.code, `${label}, a row ${where}: ${error.message}`, {
    ...error.place,
    remedy: ways.join(' '),
    serverCode: PROGRAM_LIMIT,
    cause: error,
  });
}
