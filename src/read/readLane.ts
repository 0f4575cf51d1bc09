/**
 * What a reader worker does: takes partitions from the orchestrator, one after another, and puts their rows
 * into its lane's rings. One source connection, which outlives a partition unless that one failed.
 */
import type { MessagePort } from 'node:worker_threads';
import type { NulPolicy } from '../copy/text.js';
import { AppError, toErrorData } from '../errors.js';
import { Retries, type RetryPolicy, withRetries } from '../plan/retry.js';
import type { ReaderControl, ReadWork, StopFlags } from '../plan/work.js';
import { inputOffset, isLaneAborted, type LaneLayout } from '../ring/layout.js';
import { LaneProducer } from '../ring/producer.js';
import type { SlotStage } from '../ring/stage.js';
import { connectSource, type SourceConnection, type SourceOptions } from '../source/connection.js';
import { InputWindow } from '../tds/window.js';
import { ChunkSink } from './chunkSink.js';
import { readPartition, startOf } from './readPartition.js';

/** What a reader worker is started with; `control` carries a comlink `ReaderControl`. */
export interface ReaderTask {
  lane: LaneLayout;
  source: SourceOptions;
  nul: NulPolicy;
  binaryCopy: boolean;
  /** What becomes of passing troubles; left out, the first one fails the table. */
  retry?: RetryPolicy;
  /** Connects before it asks for work, and fails where that does not succeed at once. */
  connectFirst?: boolean;
  /** Shared memory of `StopFlags`. */
  stopFlags: SharedArrayBuffer;
  control: MessagePort;
}

/** Bytes of a response a reader holds at most; a row that does not fit is streamed. */
const WINDOW_BYTES = 1024 * 1024;
/** How soon an abort or a stop ends a read that waits. */
const CHECK_MS = 100;
const NO_RETRIES: RetryPolicy = { retries: 0, delayMs: 0 };

/**
 * Reads until the orchestrator has no more work, then closes the rings.
 *
 * @param hasher of a lane whose reader hashes
 * @throws AppError where the source can't be connected to, or CANCELLED where the lane was aborted
 */
export async function readLane(
  task: Omit<ReaderTask, 'control' | 'stopFlags'>,
  control: ReaderControl,
  stopFlags: StopFlags,
  hasher: SlotStage | null,
): Promise<void> {
  const reader = new LaneReader(task, control, stopFlags, hasher);
  try {
    await reader.run();
  } finally {
    await reader.close();
  }
}

class LaneReader {
  readonly #task: Omit<ReaderTask, 'control' | 'stopFlags'>;
  readonly #control: ReaderControl;
  readonly #stopFlags: StopFlags;
  readonly #lane: LaneProducer;
  readonly #sink: ChunkSink;
  readonly #window: InputWindow;
  readonly #policy: RetryPolicy;
  readonly #check: NodeJS.Timeout;
  #source: SourceConnection | null = null;
  #onAbort: () => void = () => {};
  readonly #aborted: Promise<null>;

  constructor(
    task: Omit<ReaderTask, 'control' | 'stopFlags'>,
    control: ReaderControl,
    stopFlags: StopFlags,
    hasher: SlotStage | null,
  ) {
    this.#task = task;
    this.#control = control;
    this.#stopFlags = stopFlags;
    this.#lane = new LaneProducer(task.lane, hasher);
    this.#sink = new ChunkSink(this.#lane);
    this.#window = new InputWindow(WINDOW_BYTES, { bytes: this.#lane.bytes, from: inputOffset(task.lane) });
    this.#policy = task.retry ?? NO_RETRIES;
    this.#aborted = new Promise<null>((resolve) => {
      this.#onAbort = () => resolve(null);
    });
    this.#check = setInterval(() => this.#lookAround(), CHECK_MS);
  }

  async run(): Promise<void> {
    if (this.#task.connectFirst === true) this.#source = await this.#newConnection();
    for (let work = await this.#next(); work !== null; work = await this.#next()) {
      this.#lane.reads(work.plan.index);
      await this.#read(work);
      this.#lane.reads(null);
    }
    await this.#lane.closeAll();
  }

  async close(): Promise<void> {
    clearInterval(this.#check);
    await this.#disconnect();
  }

  /** The orchestrator may hold work back until another lane is through: an abort ends that wait, too. */
  #next(): Promise<ReadWork | null> {
    return Promise.race([this.#control.next(), this.#aborted]);
  }

  /** Ends a read that waits for the source: where the lane is aborted, or the run stops. */
  #lookAround(): void {
    if (isLaneAborted(this.#task.lane)) {
      this.#source?.connection.close();
      this.#onAbort();
      return;
    }
    if (this.#stopFlags.isDraining && !this.#sink.chunkOpen) this.#source?.connection.close();
  }

  /** Reads one partition, again and again while what goes wrong is passing. */
  async #read(work: ReadWork): Promise<void> {
    const { plan, partition } = work;
    const progress = startOf(work);
    const reading = {
      work,
      progress,
      task: this.#task,
      sink: this.#sink,
      window: this.#window,
      stopFlags: this.#stopFlags,
    };
    const retries = new Retries(this.#policy);
    for (;;) {
      const ended = progress.chunks;
      const source = await this.#connect();
      if (source === null) return;
      const error = await readPartition(reading, source);
      if (error === null) {
        const { rows, chunks } = progress;
        return this.#control.read({ table: plan.index, partition, rows, chunks });
      }
      if (isLaneAborted(this.#task.lane)) throw new AppError('CANCELLED', 'the lane was aborted');
      await this.#sink.abort(error.message);
      await this.#disconnect();
      // Whatever was read of it up to here is committed, and the rest is for another run.
      if (this.#stopFlags.isDraining) return;
      if (progress.chunks > ended) retries.reset();
      const again = retries.mayRetry(error);
      await this.#control.failed(plan.index, partition, toErrorData(error), again);
      if (!again) return;
      await retries.pause(() => this.#ended);
    }
  }

  get #ended(): boolean {
    return isLaneAborted(this.#task.lane) || this.#stopFlags.isDraining;
  }

  /** @returns the connection, or null where the run stops before there is one */
  async #connect(): Promise<SourceConnection | null> {
    try {
      this.#source ??= await withRetries(this.#policy, () => this.#newConnection(), {
        ended: () => this.#ended,
      });
      return this.#source;
    } catch (error) {
      if (this.#stopFlags.isDraining) return null;
      throw error;
    }
  }

  #newConnection(): Promise<SourceConnection> {
    return connectSource({ ...this.#task.source, request_timeout_seconds: 0 });
  }

  async #disconnect(): Promise<void> {
    const source = this.#source;
    this.#source = null;
    await source?.close();
  }
}
