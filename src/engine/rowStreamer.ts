/**
 * Rows through reader and hash tier and no further: sums, or keys and row hashes, for comparisons where SQL Server
 * can't hash. Main thread, over one lane whose ring is emptied here instead of by a writer.
 */
import { AppError, type ErrorData, fromErrorData } from '../errors.js';
import { readSlotTotals } from '../hash/slotTotals.js';
import type { ChunkBegin, ChunkStatements } from '../plan/chunk.js';
import type { SourceQuery, TablePlan } from '../plan/model.js';
import { type ReaderControl, type ReadWork, StopFlags } from '../plan/work.js';
import type { ReaderTask } from '../read/readLane.js';
import { RingConsumer } from '../ring/consumer.js';
import { type Hashing, type LaneLayout, SLOT_KIND } from '../ring/layout.js';
import { type CollectedRow, TupleCollector } from '../verify/collect.js';
import { NO_ROWS, type Totals } from '../verify/side.js';
import type { StreamSource } from '../verify/streamedSide.js';
import { runLanes } from './lanes.js';
import { Threads } from './threads.js';

export interface RowStreamerOptions {
  source: ReaderTask['source'];
  nul: ReaderTask['nul'];
  slotsPerRing: number;
  slotBytes: number;
  hashing: Hashing;
  signal: AbortSignal;
  /** Left out, threads are begun with the first rows and end with `close`. */
  threads?: Threads | undefined;
}

/** Batches that wait for whoever reads them; then the ring fills, and the source waits. */
const WAITING_BATCHES = 2;
const BATCH_ROWS = 1000;

/** One query's rows on their way. */
abstract class Stream {
  collected = 0;
  /** Rows the reader has read, known once it is through. */
  rows: number | null = null;
  error: unknown = null;
  /** Nobody listens any more: what still comes is dropped. */
  abandoned = false;
  changed: () => void = () => {};
  taken: () => void = () => {};

  fail(error: unknown): void {
    this.error = error;
    this.changed();
    this.taken();
  }

  get complete(): boolean {
    return this.rows !== null && this.collected === this.rows;
  }

  /** Takes a DATA slot; the slot is free again when it resolves. */
  abstract push(buffer: Buffer, offset: number, bytes: number): Promise<void>;
  /** A chunk has ended. */
  abstract flush(): void;
}

/** Keys and hashes, in batches. */
class RowsStream extends Stream {
  readonly collector: TupleCollector;
  readonly batches: CollectedRow[][] = [];

  constructor(plan: TablePlan) {
    super();
    this.collector = new TupleCollector(plan.columns.map(({ keyPosition }) => keyPosition));
  }

  /** Waits while enough batches lie there. */
  async push(buffer: Buffer, offset: number, bytes: number): Promise<void> {
    this.collector.push(buffer.subarray(offset, offset + bytes));
    this.#moveRows(BATCH_ROWS);
    while (this.batches.length > WAITING_BATCHES && !this.abandoned && this.error === null) {
      await new Promise<void>((resolve) => {
        this.taken = resolve;
      });
    }
  }

  /** Hands on what was collected, from `least` rows on. */
  #moveRows(least: number): void {
    const { rows } = this.collector;
    if (rows.length < least) return;
    this.collector.rows = [];
    this.collected += rows.length;
    if (!this.abandoned) this.batches.push(rows);
    this.changed();
  }

  flush(): void {
    this.#moveRows(1);
  }
}

/** Sums, as the hash tier leaves them in the slots. */
class TotalsStream extends Stream {
  totals: Totals = NO_ROWS;

  async push(buffer: Buffer, offset: number): Promise<void> {
    const { rows, first, second } = readSlotTotals(buffer, offset);
    this.collected += rows;
    this.totals = {
      rows: this.totals.rows + BigInt(rows),
      first: this.totals.first + BigInt(first),
      second: this.totals.second + BigInt(second),
    };
    this.changed();
  }

  flush(): void {}
}

export class RowStreamer implements StreamSource {
  readonly #options: RowStreamerOptions;
  readonly #threads: Threads;
  /** By the number they go by as partitions. */
  readonly #streams = new Map<number, Stream>();
  #begun = 0;
  readonly #queue: ReadWork[] = [];
  #waiting: ((work: ReadWork | null) => void) | null = null;
  #closing = false;
  /** Null before the first rows, and after it has failed: whoever wants rows then begins another. */
  #lane: Promise<void> | null = null;

  constructor(options: RowStreamerOptions) {
    this.#options = options;
    this.#threads = options.threads ?? new Threads();
  }

  /** Streams a query's rows, in the query's order. Queries wait for those before them. */
  async *rows(plan: TablePlan, query: SourceQuery): AsyncGenerator<CollectedRow[], void, void> {
    const stream = new RowsStream(plan);
    const partition = this.#begin(stream, plan, query, {});
    try {
      for (;;) {
        const batch = stream.batches.shift();
        if (batch !== undefined) {
          stream.taken();
          yield batch;
        } else if (await this.#ended(stream)) {
          return;
        }
      }
    } finally {
      this.#leave(stream, partition);
    }
  }

  /** Streams a query's rows as far as the hash tier, which sums their hashes. */
  async totals(plan: TablePlan, query: SourceQuery): Promise<Totals> {
    const stream = new TotalsStream();
    const partition = this.#begin(stream, plan, query, { totalsOnly: true });
    try {
      while (!(await this.#ended(stream)));
      return stream.totals;
    } finally {
      this.#leave(stream, partition);
    }
  }

  #begin(
    stream: Stream,
    plan: TablePlan,
    query: SourceQuery,
    how: Pick<ChunkStatements, 'totalsOnly'>,
  ): number {
    this.#start();
    const partition = this.#begun++;
    this.#streams.set(partition, stream);
    this.#hand({ plan, partition, query, statements: { before: [], copy: '', ...how } });
    return partition;
  }

  /** Waits for the next change unless everything has come. @returns whether it has */
  async #ended(stream: Stream): Promise<boolean> {
    if (stream.error !== null) throw stream.error;
    if (stream.complete) return true;
    await new Promise<void>((resolve) => {
      stream.changed = resolve;
    });
    return false;
  }

  #leave(stream: Stream, partition: number): void {
    stream.abandoned = true;
    stream.taken();
    if (stream.complete || stream.error !== null) this.#streams.delete(partition);
  }

  /** Ends the lane; streams that are under way run to their end first. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#waiting?.(null);
    this.#waiting = null;
    for (const stream of this.#streams.values()) {
      stream.abandoned = true;
      stream.taken();
    }
    await this.#lane;
    if (this.#options.threads === undefined) await this.#threads.end();
  }

  #start(): void {
    const { source, nul, slotsPerRing, slotBytes, hashing, signal } = this.#options;
    this.#lane ??= runLanes(
      {
        threads: this.#threads,
        lanes: 1,
        writersPerLane: 1,
        slotsPerRing,
        slotBytes,
        hashing,
        reader: { source, nul, binaryCopy: true },
        writer: (lane) => this.#consume(lane),
        stopFlags: StopFlags.forTables(1),
        signal,
      },
      this.#control(),
      null,
    ).catch((error) => this.#laneFailed(error));
  }

  /** Nobody reads what was asked for, nor waits for more. */
  #laneFailed(error: unknown): void {
    this.#lane = null;
    this.#waiting = null;
    this.#queue.length = 0;
    for (const stream of this.#streams.values()) stream.fail(error);
    this.#streams.clear();
  }

  #hand(work: ReadWork): void {
    if (this.#waiting === null) {
      this.#queue.push(work);
      return;
    }
    this.#waiting(work);
    this.#waiting = null;
  }

  #control(): ReaderControl {
    return {
      next: () => {
        const work = this.#queue.shift();
        if (work !== undefined) return Promise.resolve(work);
        if (this.#closing) return Promise.resolve(null);
        return new Promise((resolve) => {
          this.#waiting = resolve;
        });
      },
      read: async ({ partition, rows }) => {
        const stream = this.#streams.get(partition);
        if (stream === undefined) return;
        stream.rows = rows;
        stream.changed();
      },
      failed: async (_table: number, partition: number, error: ErrorData) => {
        const stream = this.#streams.get(partition);
        if (stream === undefined) return;
        stream.fail(fromErrorData(error));
      },
    };
  }

  /** Empties the ring until it is closed. */
  async #consume(lane: LaneLayout): Promise<void> {
    const ring = new RingConsumer(lane, 0);
    let stream: Stream | null = null;
    for (;;) {
      while (!ring.tryPeek()) await ring.waitForSlot();
      const { kind } = ring;
      if (kind === SLOT_KIND.BEGIN) {
        stream = this.#streams.get((ring.json() as ChunkBegin).partition) ?? null;
      } else if (kind === SLOT_KIND.DATA) {
        if (stream === null) throw new AppError('INTERNAL', 'rows came to be compared outside of a chunk');
        await stream.push(ring.buffer, ring.offset, ring.bytes);
      } else if (kind === SLOT_KIND.END) {
        stream?.flush();
      }
      ring.advance();
      ring.release(1);
      if (kind === SLOT_KIND.CLOSE) return;
    }
  }
}
