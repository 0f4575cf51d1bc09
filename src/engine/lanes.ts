/**
 * The three piscina tiers and the lanes between them. Main thread.
 *
 * Each lane is one reader task, one writer task a ring and, where rows are hashed, one hasher task. A task that
 * can't run blocks its lane, so a pool is as large as the tasks given to it. The first task that fails aborts
 * every lane: a worker that throws or dies ends the run with its error and never leaves the others waiting.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { expose } from 'comlink';
import { Piscina } from 'piscina';
import { AppError, type ErrorData, fromErrorData, toErrorData } from '../errors.js';
import { controlEndpoint } from '../plan/endpoint.js';
import type { ReaderControl, StopFlags, WriterControl } from '../plan/work.js';
import type { ReaderTask } from '../read/readLane.js';
import { abortLane, createLane, type LaneLayout } from '../ring/layout.js';
import type { WriterTask } from '../write/writeLane.js';
import { cancellation } from './abort.js';
import { type LaneSample, LaneSampler, SAMPLE_MS } from './sampler.js';

export interface LanesOptions {
  lanes: number;
  writersPerLane: number;
  slotsPerRing: number;
  slotBytes: number;
  /** True where a hash thread fills in the row hashes. */
  hashed: boolean;
  reader: Pick<ReaderTask, 'source' | 'nul' | 'binaryCopy' | 'retry'>;
  /** What the writer workers are given, or what empties each ring on this thread in their place. */
  writer: Pick<WriterTask, 'target' | 'retry'> | ((lane: LaneLayout, ring: number) => Promise<void>);
  stopFlags: StopFlags;
  signal: AbortSignal;
  /** Told what the lanes do, every `SAMPLE_MS`. */
  onSample?: (lanes: LaneSample[]) => void;
  /** Folder of the worker files; tests put one there that dies. */
  workerFolder?: URL;
}

const WORKERS = new URL('../../workers/', import.meta.url);

type Tier = 'reader' | 'hasher' | 'writer';

/** How a reader or writer task ended, as `workers/entry.ts` reports it. */
interface WorkerEnd {
  error?: ErrorData | null;
}

/**
 * Runs all lanes until the work is done.
 *
 * @throws the first error of any worker; AppError WORKER_DIED where a thread ended without one; CANCELLED
 */
export async function runLanes(
  options: LanesOptions,
  reader: ReaderControl,
  writer: WriterControl | null,
): Promise<void> {
  const { lanes, writersPerLane, hashed, signal, stopFlags, workerFolder = WORKERS } = options;
  const writerTask = typeof options.writer === 'function' ? null : options.writer;
  const consume = typeof options.writer === 'function' ? options.writer : null;
  const layouts = Array.from({ length: lanes }, () => createLane({ ...options, rings: writersPerLane }));
  const pools: Record<Tier, Piscina | null> = {
    reader: pool(workerFolder, 'reader', lanes),
    hasher: hashed ? pool(workerFolder, 'hasher', lanes) : null,
    writer: writerTask === null ? null : pool(workerFolder, 'writer', lanes * writersPerLane),
  };
  const sampler = new LaneSampler(layouts, () =>
    [pools.reader, pools.writer].flatMap((tier) => tier?.threads ?? []),
  );
  const sampling = setInterval(() => options.onSample?.(sampler.sample()), SAMPLE_MS);
  const failure = new FirstFailure(layouts);
  const onAbort = (): void => failure.set(cancellation(signal), true);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const tasks: Promise<void>[] = [];
  const start = (
    tier: Tier,
    lane: LaneLayout,
    task: object,
    control: ReaderControl | WriterControl | null,
  ): void => {
    tasks.push(runTask(pools[tier]!, tier, { ...task, lane }, control).catch((error) => failure.set(error)));
  };
  try {
    for (const lane of layouts) {
      for (let ring = 0; ring < writersPerLane; ring++) {
        if (consume === null)
          start(
            'writer',
            lane,
            { ...writerTask, ring, stopFlags: stopFlags.buffer },
            watched(writer, sampler),
          );
        else tasks.push(consume(lane, ring).catch((error) => failure.set(error)));
      }
      if (hashed) start('hasher', lane, {}, null);
      start('reader', lane, { ...options.reader, stopFlags: stopFlags.buffer }, reader);
    }
    await Promise.all(tasks);
  } finally {
    clearInterval(sampling);
    signal.removeEventListener('abort', onAbort);
    await Promise.all(Object.values(pools).map((tier) => tier?.destroy()));
  }
  failure.throwIfSet();
}

/** Takes a chunk's rows off those under way in the moment they are counted as committed. */
function watched(writer: WriterControl | null, sampler: LaneSampler): WriterControl | null {
  if (writer === null) return null;
  return {
    failed: writer.failed,
    committed: (chunk, done) => {
      sampler.settled(chunk);
      return writer.committed(chunk, done);
    },
  };
}

/** Keeps the first error; every lane is aborted by it, and the errors that follow are its echo. */
class FirstFailure {
  #error: unknown = null;
  #isCause = false;

  constructor(private readonly lanes: readonly LaneLayout[]) {}

  /** @param isCause false for what a worker throws because its lane was aborted */
  set(error: unknown, isCause = toErrorData(error).code !== 'CANCELLED'): void {
    // The echo of an abort may arrive before what caused it.
    if (this.#error === null || (isCause && !this.#isCause)) {
      this.#error = error;
      this.#isCause = isCause;
    }
    for (const lane of this.lanes) abortLane(lane);
  }

  throwIfSet(): void {
    if (this.#error !== null) throw this.#error;
  }
}

function pool(folder: URL, tier: Tier, threads: number): Piscina {
  return new Piscina({
    filename: new URL(`${tier}.js`, folder).href,
    minThreads: threads,
    maxThreads: threads,
    // An idle worker must not be parked in Atomics.wait: that would stall its sockets.
    atomics: 'disabled',
  });
}

/** Runs one task with a comlink control port of its own. */
async function runTask(
  tier: Piscina,
  name: Tier,
  task: object,
  control: ReaderControl | WriterControl | null,
): Promise<void> {
  const ports: MessagePort[] = [];
  let payload = task;
  if (control !== null) {
    const { port1, port2 } = new MessageChannel();
    expose(control, controlEndpoint(port1));
    payload = { ...task, control: port2 };
    ports.push(port1, port2);
  }
  let end: WorkerEnd;
  try {
    end = (await tier.run(payload, { transferList: ports.slice(1) })) as WorkerEnd;
  } catch (error) {
    const data = toErrorData(error);
    if (data.code !== 'INTERNAL') throw error;
    throw new AppError('WORKER_DIED', `A ${name} thread ended: ${data.message}`, {
      remedy:
        'If it ran out of memory, lower migration.memory_budget_percent, chunk_size or parallel_readers.',
      cause: error,
    });
  } finally {
    ports[0]?.close();
  }
  if (end.error) throw fromErrorData(end.error);
}
