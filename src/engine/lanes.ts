/**
 * The lanes of a run, over the worker threads of `threads.ts`. Main thread.
 *
 * Each lane is one reader task, one writer task an open ring and, where rows are hashed and the reader doesn't do it, one
 * hasher task. Lanes and rings are begun as `growth.ts` finds them needed, and take part once their threads are connected:
 * where a server takes no more connections, it stays at those there are. Any other task that fails aborts every lane: a
 * worker that throws or dies ends the run with its error and never leaves the others waiting.
 */
import { cancellation, type ErrorData, toErrorData } from '../errors.js';
import { CoreLoad } from '../host/load.js';
import type { JoiningWriterControl, ReaderControl, StopFlags, WriterControl } from '../plan/work.js';
import type { ReaderTask } from '../read/readLane.js';
import { readProgress } from '../ring/counters.js';
import { abortLane, createLane, type Hashing, type LaneLayout, openNextRing } from '../ring/layout.js';
import type { WriterTask } from '../write/writeLane.js';
import { type Growth, growth, growthLines, type LaneLook, limitLine } from './growth.js';
import { refusalOf, type Thread, threadOf, unconnected } from './joining.js';
import { type LaneSample, LaneSampler, SAMPLE_MS } from './sampler.js';
import type { Threads, Tier } from './threads.js';

export interface LanesOptions {
  threads: Threads;
  /** Lanes there may be, and of them those to begin with; left out, all. */
  lanes: number;
  lanesAtFirst?: number;
  writersPerLane: number;
  writersAtFirst?: number;
  slotsPerRing: number;
  slotBytes: number;
  /** Which thread fills in the row hashes. */
  hashing: Hashing;
  reader: Pick<ReaderTask, 'source' | 'nul' | 'binaryCopy' | 'retry'>;
  /** What the writer workers are given, or what empties each ring on this thread in their place. */
  writer: Pick<WriterTask, 'target' | 'retry'> | ((lane: LaneLayout, ring: number) => Promise<void>);
  /** @returns whether there is work that no lane has taken. Left out, there may always be some. */
  workWaits?: () => boolean;
  stopFlags: StopFlags;
  signal: AbortSignal;
  /** Told which threads are begun on the way, and why. */
  onGrowth?: (message: string) => void;
  /** Told, once, why there will be no more threads than there are. */
  onLimit?: (message: string) => void;
  /** Told what the lanes do, every `SAMPLE_MS`. */
  onSample?: (lanes: LaneSample[]) => void;
}

/** How often is looked whether more threads are needed. */
const LOOK_MS = 100;

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
  const lanes = new Lanes(options, reader, writer);
  const { signal } = options;
  const onAbort = (): void => lanes.fail(cancellation(signal), true);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    await lanes.run();
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Takes a chunk's rows off those under way in the moment they are counted as committed. */
function watched(writer: WriterControl, sampler: LaneSampler): WriterControl {
  return {
    failed: writer.failed,
    committed: (chunk, done) => {
      sampler.settled(chunk);
      return writer.committed(chunk, done);
    },
  };
}

interface Lane {
  layout: LaneLayout;
  openRings: number;
  /** Its reader waits for work. */
  idle: boolean;
  waitedForWriters: boolean;
}

class Lanes {
  readonly #options: LanesOptions;
  readonly #reader: ReaderControl;
  readonly #writer: WriterControl | null;
  readonly #lanes: Lane[] = [];
  /** Of `#lanes`, for the sampler. */
  readonly #layouts: LaneLayout[] = [];
  readonly #sampler: LaneSampler;
  readonly #tasks = new Set<Promise<void>>();
  /** Of lanes that take no part yet, and may never. */
  readonly #joining = new Set<LaneLayout>();
  /** Whether threads are being added at the moment; null once it turned out that there can't be more. */
  #grows: boolean | null = false;
  #error: unknown = null;
  #isCause = false;
  #failed = false;

  constructor(options: LanesOptions, reader: ReaderControl, writer: WriterControl | null) {
    this.#options = options;
    this.#reader = reader;
    this.#sampler = new LaneSampler(this.#layouts, () => options.threads.withSockets);
    this.#writer = writer === null ? null : watched(writer, this.#sampler);
  }

  async run(): Promise<void> {
    const { lanes, lanesAtFirst = lanes, onSample } = this.#options;
    for (let lane = 0; lane < lanesAtFirst && !this.#failed; lane++) await this.#begin(false);
    const load = new CoreLoad();
    const looking = setInterval(() => this.#look(load), LOOK_MS);
    const sampling = setInterval(() => onSample?.(this.#sampler.sample()), SAMPLE_MS);
    try {
      // A task may be begun while others are waited for.
      while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    } finally {
      clearInterval(looking);
      clearInterval(sampling);
    }
    if (this.#failed) throw this.#error;
  }

  /**
   * Keeps the first error; every lane is aborted by it, and the errors that follow are its echo.
   *
   * @param isCause false for what a worker throws because its lane was aborted
   */
  fail(error: unknown, isCause = toErrorData(error).code !== 'CANCELLED'): void {
    // The echo of an abort may arrive before what caused it.
    if (!this.#failed || (isCause && !this.#isCause)) {
      this.#error = error;
      this.#isCause = isCause;
    }
    this.#failed = true;
    for (const layout of [...this.#layouts, ...this.#joining]) abortLane(layout);
  }

  /**
   * Begins a lane.
   *
   * @param added where others work already
   * @returns why it takes no part, or null
   */
  async #begin(added: boolean): Promise<ErrorData | null> {
    const { writersPerLane, writersAtFirst = writersPerLane, hashing, reader } = this.#options;
    const layout = createLane({ ...this.#options, rings: writersPerLane, openRings: writersAtFirst });
    const lane: Lane = { layout, openRings: writersAtFirst, idle: false, waitedForWriters: false };
    const beginsToWork = (): void => {
      this.#lanes.push(lane);
      this.#layouts.push(layout);
    };
    if (added) this.#joining.add(layout);
    else beginsToWork();
    const threads = Array.from({ length: writersAtFirst }, (_, i) => this.#beginWriter(layout, i, added));
    if (hashing === 'hasher') threads.push(unconnected(this.#start('hasher', layout, {}, null)));
    const reading = threadOf((onConnected) => {
      const control: ReaderControl = {
        ...this.#reader,
        next: async () => {
          onConnected();
          if (added && (await joined) !== null) return null;
          lane.idle = true;
          const work = await this.#reader.next();
          // Where one lane is sent home, no other one is needed.
          lane.idle = work === null;
          return work;
        },
      };
      return this.#start('reader', layout, { ...reader, connectFirst: added }, control);
    });
    const joined = this.#join([...threads, reading], added);
    if (!added) return null;
    const refusal = await joined;
    this.#joining.delete(layout);
    if (refusal === null) beginsToWork();
    else abortLane(layout);
    return refusal;
  }

  #beginWriter(layout: LaneLayout, ring: number, added: boolean): Thread {
    const { writer } = this.#options;
    if (typeof writer === 'function') return unconnected(writer(layout, ring));
    return threadOf((onConnected) => {
      const control: JoiningWriterControl = { ...this.#writer!, connected: async () => onConnected() };
      return this.#start('writer', layout, { ...writer, ring, connectFirst: added }, control);
    });
  }

  #start(
    tier: Tier,
    lane: LaneLayout,
    task: object,
    control: ReaderControl | WriterControl | null,
  ): Promise<void> {
    const { threads, stopFlags } = this.#options;
    const shared = tier === 'hasher' ? {} : { stopFlags: stopFlags.buffer };
    return threads.run(tier, { ...task, ...shared, lane }, control);
  }

  /**
   * Keeps the threads' tasks.
   *
   * @param added where others work already
   * @returns null once they take part, or why they don't: no error of theirs is the run's then
   */
  #join(threads: readonly Thread[], added: boolean): Promise<ErrorData | null> {
    const refusal = added ? refusalOf(threads) : Promise.resolve(null);
    for (const { task } of threads) {
      const kept = task
        .catch(async (error) => {
          if ((await refusal) === null) throw error;
        })
        .catch((error) => this.fail(error))
        .finally(() => this.#tasks.delete(kept));
      this.#tasks.add(kept);
    }
    return refusal;
  }

  /** Begins what is needed. */
  #look(load: CoreLoad): void {
    const { lanes, writersPerLane, workWaits = () => true } = this.#options;
    const left = lanes - this.#lanes.length;
    const grown = left === 0 && this.#lanes.every(({ openRings }) => openRings === writersPerLane);
    if (this.#failed || grown || this.#grows !== false) return;
    const looks = this.#lanes.map(lookAt);
    const busyShare = load.look();
    const more = growth(looks, left, workWaits(), busyShare);
    if (more.openRing.length + more.lanes === 0) return;
    this.#grow(more, looks, busyShare).catch((error) => this.fail(error));
  }

  async #grow({ openRing, lanes }: Growth, looks: readonly LaneLook[], busyShare: number): Promise<void> {
    const { lanes: mostLanes, onGrowth, onLimit } = this.#options;
    this.#grows = true;
    const [ofRings, ofLanes] = await Promise.all([
      Promise.all(openRing.map((number) => this.#openRing(this.#lanes[number]!))),
      Promise.all(Array.from({ length: lanes }, () => this.#begin(true))),
    ]);
    if (this.#failed) return;
    const come = {
      openRing: openRing.filter((_, i) => ofRings[i] === null),
      lanes: ofLanes.filter((refusal) => refusal === null).length,
    };
    for (const line of growthLines(come, looks, mostLanes, busyShare)) onGrowth?.(line);
    const refusal = [...ofRings, ...ofLanes].find((one) => one !== null);
    this.#grows = refusal === undefined ? false : null;
    if (refusal !== undefined) onLimit?.(limitLine(this.#lanes.length, refusal));
  }

  /** Begins a lane's next writer. @returns why it takes no part, or null */
  async #openRing(lane: Lane): Promise<ErrorData | null> {
    const refusal = await this.#join([this.#beginWriter(lane.layout, lane.openRings, true)], true);
    if (refusal === null) {
      lane.openRings++;
      openNextRing(lane.layout);
    }
    return refusal;
  }
}

function lookAt(lane: Lane): LaneLook {
  const { rowsRead, rings } = readProgress(lane.layout);
  const open = rings.slice(0, lane.openRings);
  const waiting = open.every(
    ({ slotsInUse, slotsUnhashed }) => 2 * (slotsInUse - slotsUnhashed) >= lane.layout.slotsPerRing,
  );
  const before = lane.waitedForWriters;
  lane.waitedForWriters = waiting;
  return {
    hasRead: rowsRead > 0,
    idle: lane.idle,
    waitsForWriters: waiting && before,
    writersUp: open.at(-1)!.bytesWritten > 0,
    openRings: lane.openRings,
    rings: rings.length,
  };
}
