/**
 * Drives one partition's response through the transcoder into chunks. Reader thread.
 *
 * Bytes come in by `push`; the pump works until it needs more bytes, or until a ring is full: then it
 * returns a promise, tedious stops reading the socket, and the backpressure reaches SQL Server.
 */
import type { NulPolicy } from '../copy/text.js';
import { AppError } from '../errors.js';
import type { ChunkBegin } from '../plan/chunk.js';
import { type KeyRange, type TablePlan, WHOLE_TABLE_ROWS } from '../plan/model.js';
import { isExactKey, type RangeColumn, rangeColumns } from '../plan/queries.js';
import type { ResponseSink } from '../tds/bulkRead.js';
import type { WireColumn } from '../tds/colmetadata.js';
import { readToken, type ServerMessageToken } from '../tds/tokenReader.js';
import { TOKEN } from '../tds/tokens.js';
import type { InputWindow } from '../tds/window.js';
import type { ChunkSink } from './chunkSink.js';
import { type RowLayout, rowLayout } from './layout.js';
import { type Need, RowStream } from './rowStream.js';
import { generateTranscoder, STOP, type Transcode, type TranscodeState } from './transcoder.js';

/**
 * A row of which so much has come, and not all, is streamed: the transcoder would begin it anew with every packet, and
 * put its value's pieces together each time.
 */
const STREAMED_ROW_BYTES = 256 * 1024;

/** How far a partition was read, in whole chunks; what a next try goes on from. */
export interface RangeProgress {
  /** The last key of the last chunk; at first the partition's own bound. */
  lower: string[] | null;
  rows: number;
  chunks: number;
}

export interface PumpOptions {
  plan: TablePlan;
  nul: NulPolicy;
  /** Where the range that is read ends; null where it is no range, and chunks have no bounds. */
  range: Pick<KeyRange, 'upper'> | null;
  /** Moved on with each chunk. */
  progress: RangeProgress;
  /** Describes the chunk that `progress` leads up to. */
  describe(progress: RangeProgress): ChunkBegin;
  /** True once the table has failed elsewhere and reading on is of no use. */
  stopped(): boolean;
  /** True once the run is to stop at the next chunk's end. */
  draining(): boolean;
}

export class RowPump implements ResponseSink {
  onMessage: ((token: ServerMessageToken) => void) | null = null;
  /** Rows read so far. */
  rows = 0;
  /** It waits for room in the rings, and takes nothing meanwhile. */
  blocked = false;
  readonly #options: PumpOptions;
  readonly #sink: ChunkSink;
  readonly window: InputWindow;
  readonly #state: TranscodeState = { position: 0, output: 0, rows: 0, lastRow: -1 };
  #layout: RowLayout | null = null;
  #transcode: Transcode | null = null;
  /** The interpreter, while it is inside a row. */
  #stream: Generator<Need, void, void> | null = null;
  #interpreter: RowStream | null = null;
  /** The interpreter's open slot is full and was handed on; the row goes on in the next. */
  #midRow = false;
  #chunkFull = false;
  /** The last key of the full chunk. */
  #lastKey: string[] | null = null;
  #keyColumns: RangeColumn[] | null = null;
  #done = false;
  #abandoned = false;
  /** The server has sent an ERROR: the request ends with it. */
  #failed = false;

  constructor(options: PumpOptions, sink: ChunkSink, window: InputWindow) {
    this.#options = options;
    this.#sink = sink;
    this.window = window;
    this.window.clear();
  }

  push(chunk: Buffer): Promise<void> | undefined {
    for (let from = 0; from < chunk.length; ) {
      from = this.window.append(chunk, from);
      const wait = this.work();
      if (wait !== undefined) return from === chunk.length ? wait : this.#pushSlowly(wait, chunk, from);
    }
    return undefined;
  }

  work(): Promise<void> | undefined {
    this.#throwIfStopped();
    return this.#work() === 'output' ? this.#workSlowly() : undefined;
  }

  end(): void {
    if (this.window.available > 0 || !this.#done) {
      throw new AppError('PROTOCOL', 'The answer of SQL Server ended in the middle of a token');
    }
  }

  /** Ends the last chunk; only after the server has said that the whole answer is good. */
  async finish(): Promise<void> {
    if (!this.#sink.chunkOpen) return;
    // There is no row left in the range: the chunk reaches up to its end.
    while (!this.#endChunk(this.#options.range?.upper ?? null)) await this.#sink.waitForRoom();
  }

  /** @returns false where the ring is full. */
  #endChunk(upper: string[] | null): boolean {
    if (this.#sink.slotOpen) this.#sink.publish(false);
    if (!this.#sink.end(upper)) return false;
    const { progress } = this.#options;
    progress.rows += this.#sink.rows;
    progress.chunks++;
    progress.lower = upper;
    return true;
  }

  /**
   * Takes nothing more and touches the rings no more. A request may fail while `push` still waits for room: what it
   * would go on with is read again by another pump.
   */
  abandon(): void {
    this.#abandoned = true;
  }

  #throwIfStopped(): void {
    if (this.#abandoned) throw new AppError('CANCELLED', 'the read was given up');
    if (this.#options.stopped()) throw new AppError('CANCELLED', 'the table was stopped');
    if (!this.#sink.chunkOpen && this.#options.draining()) throw new AppError('CANCELLED', 'the run stops');
  }

  async #pushSlowly(wait: Promise<void>, chunk: Buffer, taken: number): Promise<void> {
    await wait;
    for (let from = taken; from < chunk.length; ) {
      from = this.window.append(chunk, from);
      await this.work();
    }
  }

  async #workSlowly(): Promise<void> {
    this.blocked = true;
    do {
      await this.#sink.waitForRoom();
      this.#throwIfStopped();
    } while (this.#work() === 'output');
    this.blocked = false;
  }

  /** Works until bytes or room are wanting. */
  #work(): Need {
    for (;;) {
      if (this.#stream !== null) {
        const need = this.#resume();
        if (need !== null) return need;
        continue;
      }
      if (this.#chunkFull) {
        if (!this.#endChunk(this.#lastKey)) return 'output';
        this.#chunkFull = false;
        this.#throwIfStopped();
      }
      if (this.window.available === 0) return 'input';
      const type = this.window.bytes[this.window.position];
      if (type === TOKEN.ROW || type === TOKEN.NBCROW) {
        if (!this.#open()) return 'output';
        const need = this.#rows();
        if (need !== null) return need;
      } else if (!this.#token()) {
        return 'input';
      }
    }
  }

  /** A row is next: begins a chunk if none is open and opens a slot if none is; false where a ring is full. */
  #open(): boolean {
    if (this.#layout === null || this.#done) {
      throw new AppError('PROTOCOL', 'SQL Server sent a row outside of a result');
    }
    if (!this.#sink.chunkOpen) {
      if (!this.#sink.begin(this.#options.describe(this.#options.progress))) return false;
    }
    return this.#sink.slotOpen || this.#sink.openSlot(false);
  }

  /** Transcodes rows while it can; null where something else than waiting is next. */
  #rows(): Need | null {
    const sink = this.#sink;
    const window = this.window;
    const { room } = sink;
    const stop = this.#transcode!(
      window.bytes,
      window.view,
      window.position,
      window.fill,
      room.bytes,
      sink.view,
      room.position,
      room.end,
      Math.max(1, this.#options.plan.chunkRows - sink.rows),
      window.scratch,
      this.#state,
    );
    window.position = this.#state.position;
    room.position = this.#state.output;
    sink.count(this.#state.rows);
    this.rows += this.#state.rows;
    const { lastRow } = this.#state;
    // The key of the chunk's last row is still at hand where this call wrote it.
    if (lastRow >= 0 && this.#chunkLarge) {
      this.#chunkIsFull(() => this.#keyAt(lastRow));
      return null;
    }
    switch (stop) {
      case STOP.NEED_INPUT:
        if (window.full || window.available >= STREAMED_ROW_BYTES) this.#startStream();
        else return 'input';
        return null;
      case STOP.NEED_OUTPUT:
        if (sink.slotEmpty) this.#startStream();
        else sink.publish(false);
        return null;
      case STOP.ENOUGH_ROWS:
        this.#chunkIsFull(() => this.#keyAt(lastRow));
        return null;
      case STOP.BAD_VALUE:
        this.#startStream();
        return null;
      default:
        return null;
    }
  }

  /** Only a table whose key bounds ranges may be cut: another one is all or nothing. */
  get #chunkLarge(): boolean {
    return this.#sink.bytes >= this.#sink.enoughBytes && this.#options.plan.chunkRows !== WHOLE_TABLE_ROWS;
  }

  #startStream(): void {
    this.#interpreter = new RowStream(this.#layout!, this.window, this.#sink.room);
    this.#stream = this.#interpreter.row();
    this.#midRow = false;
  }

  /** The chunk ends here, or goes on to a row whose key can bound what follows. */
  #chunkIsFull(key: () => string[]): void {
    const { plan, range } = this.#options;
    if (range === null) {
      this.#chunkFull = true;
      return;
    }
    this.#keyColumns ??= rangeColumns(plan) ?? [];
    const texts = key();
    if (!isExactKey(this.#keyColumns, texts)) return;
    this.#chunkFull = true;
    this.#lastKey = texts;
  }

  /** Reads the key of a row that is whole in the window, once a chunk: the tuple made on the way is thrown away. */
  #keyAt(position: number): string[] {
    const window = this.window;
    const after = window.position;
    const { bytes, scratch, sizeBytes } = window;
    const room = { bytes, position: scratch, end: scratch + sizeBytes };
    const interpreter = new RowStream(this.#layout!, window, room);
    window.position = position;
    for (const need of interpreter.row()) {
      if (need === 'input') throw new AppError('INTERNAL', 'the last row of a chunk is not whole any more');
      room.position = scratch;
    }
    window.position = after;
    return interpreter.key;
  }

  /** Lets the interpreter go on; null once its row is complete. */
  #resume(): Need | null {
    const sink = this.#sink;
    if (!sink.slotOpen && !sink.openSlot(this.#midRow)) return 'output';
    const step = this.#stream!.next();
    if (step.done) {
      this.#stream = null;
      sink.rowEnded();
      sink.count(1);
      this.rows++;
      if (sink.rows >= this.#options.plan.chunkRows || this.#chunkLarge) {
        this.#chunkIsFull(() => this.#interpreter!.key);
      }
      return null;
    }
    if (step.value === 'input') return 'input';
    sink.publish(true);
    this.#midRow = true;
    return null;
  }

  /** Reads one token that is no row; false where bytes are wanting. */
  #token(): boolean {
    const window = this.window;
    const token = readToken(window.bytes, window.position, window.fill);
    if (token === null) {
      if (window.full)
        throw new AppError('PROTOCOL', `SQL Server sent a token of more than ${window.sizeBytes} bytes`);
      return false;
    }
    window.position = token.end;
    switch (token.kind) {
      case 'columns':
        this.#startResult(token.columns);
        break;
      case 'error':
      case 'info':
        this.#failed ||= token.kind === 'error';
        this.onMessage?.(token);
        break;
      case 'done':
        if (token.failed && !this.#failed) {
          throw new AppError('SOURCE_QUERY', 'SQL Server ended the query as failed without saying why');
        }
        this.#done = !token.more;
        break;
      default:
        break;
    }
    return true;
  }

  #startResult(columns: WireColumn[]): void {
    if (this.#layout !== null)
      throw new AppError('PROTOCOL', 'SQL Server sent a second result where one was asked for');
    this.#layout = rowLayout(this.#options.plan, columns, this.#options.nul);
    this.#transcode = generateTranscoder(this.#layout);
  }
}
