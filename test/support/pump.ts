/**
 * One reader's pump, sink and ring in one thread, used for one response after another as a reader worker does,
 * also after a failed one. Test process, main thread.
 */
import assert from 'node:assert/strict';
import type { NulPolicy } from '../../src/copy/text.js';
import type { ChunkEnd } from '../../src/plan/chunk.js';
import type { TablePlan } from '../../src/plan/model.js';
import { ChunkSink } from '../../src/read/chunkSink.js';
import { type PumpOptions, RowPump } from '../../src/read/rowPump.js';
import { RingConsumer } from '../../src/ring/consumer.js';
import { createLane, INPUT_BYTES, inputOffset, type LaneLayout, SLOT_KIND } from '../../src/ring/layout.js';
import { LaneProducer } from '../../src/ring/producer.js';
import { InputWindow } from '../../src/tds/window.js';

export interface PumpResult {
  /** What the pump threw, or null. */
  error: unknown;
  rows: number;
  /** Rows of each chunk that was ended. */
  chunks: number[];
  /** The key each of them reaches up to. */
  uppers: (string[] | null)[];
  /** Chunks given up. */
  aborted: number;
  messages: string[];
}

export class TestPump {
  readonly lane: LaneLayout;
  readonly ring: RingConsumer;
  /** Called for each DATA slot while it is the ring's current one. */
  onData: (ring: RingConsumer) => void = () => {};
  readonly #sink: ChunkSink;
  readonly #window: InputWindow;

  constructor({ windowBytes = 16_384, slotBytes = 65_536, slotsPerRing = 4 } = {}) {
    this.lane = createLane({ rings: 1, slotsPerRing, slotBytes, hashing: 'none' });
    this.ring = new RingConsumer(this.lane, 0);
    const producer = new LaneProducer(this.lane);
    this.#sink = new ChunkSink(producer);
    const fits = 2 * windowBytes <= INPUT_BYTES;
    const place = { bytes: producer.bytes, from: inputOffset(this.lane) };
    this.#window = new InputWindow(windowBytes, fits ? place : undefined);
  }

  /** Feeds a response; the chunk that is open at an error is given up. A response with an ERROR token is not finished. */
  async run(
    plan: TablePlan,
    pieces: Iterable<Buffer>,
    nul: NulPolicy = 'error',
    range: PumpOptions['range'] = null,
  ): Promise<PumpResult> {
    const result: PumpResult = { error: null, rows: 0, chunks: [], uppers: [], aborted: 0, messages: [] };
    let failed = false;
    const begin = {
      table: 0,
      label: 'dbo.t',
      partition: 0,
      before: [],
      copy: '',
      text: null,
      hash: null,
    };
    const pump = new RowPump(
      {
        plan,
        nul,
        range,
        progress: { lower: null, rows: 0, chunks: 0 },
        describe: ({ chunks: chunk, lower }) => ({ ...begin, chunk, lower, retries: 0 }),
        stopped: () => false,
        draining: () => false,
      },
      this.#sink,
      this.#window,
    );
    pump.onMessage = ({ kind, number, message }) => {
      failed ||= kind === 'error';
      result.messages.push(`${kind} ${number}: ${message}`);
    };
    try {
      for (const piece of pieces) {
        const wait = pump.push(piece);
        // Or its source would be taken for silent meanwhile.
        assert.equal(pump.blocked, wait !== undefined);
        if (wait !== undefined) await this.#whileEmptying(wait, result);
        assert.equal(pump.blocked, false);
        this.#empty(result);
      }
      pump.end();
      if (!failed) await this.#whileEmptying(pump.finish(), result);
    } catch (error) {
      result.error = error;
    }
    this.#empty(result);
    if (this.#sink.chunkOpen) await this.#whileEmptying(this.#sink.abort('test'), result);
    this.#empty(result);
    result.rows = pump.rows;
    return result;
  }

  async #whileEmptying(work: Promise<void>, result: PumpResult): Promise<void> {
    let settled = false;
    const done = work.finally(() => {
      settled = true;
    });
    done.catch(() => {});
    while (!settled) {
      this.#empty(result);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await done;
  }

  #empty(result: PumpResult): void {
    const { ring } = this;
    while (ring.tryPeek()) {
      if (ring.kind === SLOT_KIND.DATA) this.onData(ring);
      else if (ring.kind === SLOT_KIND.END) {
        const { rows, upper } = ring.json() as ChunkEnd;
        result.chunks.push(rows);
        result.uppers.push(upper);
      } else if (ring.kind === SLOT_KIND.ABORT) result.aborted++;
      ring.advance();
      ring.release(1);
    }
  }
}
