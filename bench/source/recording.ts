/**
 * The wire form of a statement's rows, recorded once from the stand-in and replayed with Ids that count on.
 *
 * Runs in the process of the replay source. A recording is the answer to `SELECT ... ORDER BY Id` over the few
 * thousand rows the table really has; row n of the table it pretends to be is row `(n - 1) % rows` of them.
 */
import { Duplex } from 'node:stream';
import type { EncodedSink, EngineSession, ResultColumn } from '../../test/sqlserver/contract.js';
import { wireType } from '../../test/sqlserver/tds/columns.js';
import { PacketWriter } from '../../test/sqlserver/tds/packets.js';
import { RowEncoder } from '../../test/sqlserver/tds/rows.js';
import { HEADER_BYTES, PACKET, TOKEN } from '../../test/sqlserver/tds/wire.js';
import { splitTuples } from '../tuples.js';

/** Bytes of rows that go to the socket at once: small enough that several are under way in one recording. */
const SEGMENT_BYTES = 512 * 1024;
/** Segments a connection may have under way. */
const IN_FLIGHT = 3;
const ID_BYTES = 4;

/** Gathers tokens and sends nothing. */
class TokenRecorder extends PacketWriter {
  constructor() {
    super(new Duplex(), 0);
  }
  override flushIfLarge(): void {}
  override sendWholePackets(): void {}
}

/** Consecutive rows as packets, and where each row's Id stands in them. */
interface Segment {
  firstRow: number;
  rows: number;
  packets: Buffer;
  idAt: Int32Array;
}

/** A connection's own copy of the segments: bytes under way must not change. */
interface Copy {
  segments: { packets: Buffer; view: DataView; underWay: Promise<void> | null }[];
}

export class Recording {
  readonly columns: ResultColumn[];
  /** Rows recorded. */
  readonly rows: number;
  readonly #tokens: Buffer;
  /** Where each row begins in the tokens; one more for the end. */
  readonly #starts: Int32Array;
  readonly #ids: Int32Array;
  readonly #segments = new Map<number, Segment[]>();
  readonly #idle = new Map<number, Copy[]>();

  private constructor(columns: ResultColumn[], tokens: Buffer, starts: Int32Array, ids: Int32Array) {
    this.columns = columns;
    this.rows = ids.length;
    this.#tokens = tokens;
    this.#starts = starts;
    this.#ids = ids;
  }

  /** Records a statement whose first column is the Id, a NOT NULL int that counts from 1. */
  static async record(session: EngineSession, sql: string): Promise<Recording> {
    let columns: ResultColumn[] = [];
    const copy: Buffer[] = [];
    for await (const event of session.execute(sql, [], new AbortController().signal)) {
      if (event.kind === 'columns') columns = event.columns;
      if (event.kind === 'copy') copy.push(Buffer.from(event.bytes));
    }
    const first = columns[0];
    if (first?.type.name !== 'int' || first.nullable) {
      throw new Error(`the first column of a recording must be an int that is never NULL: ${sql}`);
    }
    const out = new TokenRecorder();
    const wires = columns.map((column) => wireType(column.type, column.nullable));
    const encoder = new RowEncoder(columns, wires, out, {
      nbcRow: true,
      unknownLength: false,
      chunkBytes: 8192,
    });
    const { header, tuples } = splitTuples(Buffer.concat(copy));
    for (const _ of encoder.push(header));
    const starts = new Int32Array(tuples.length + 1);
    for (const [row, tuple] of tuples.entries()) {
      starts[row] = out.position;
      for (const _ of encoder.push(tuple));
    }
    starts[tuples.length] = out.position;
    const tokens = Buffer.from(out.buffer.subarray(0, out.position));
    const bitmap = (columns.length + 7) >> 3;
    const ids = new Int32Array(tuples.length);
    for (let row = 0; row < ids.length; row++) {
      const at = starts[row]!;
      ids[row] = at + 1 + (tokens[at] === TOKEN.nbcRow ? bitmap : 0);
      if (tokens.readInt32LE(ids[row]) !== row + 1) throw new Error(`row ${row + 1} has another Id: ${sql}`);
    }
    return new Recording(columns, tokens, starts, ids);
  }

  /** Token bytes of rows `from` + 1 to `to`. */
  tokenBytes(from: number, to: number): number {
    const whole = Math.floor(to / this.rows) - Math.floor(from / this.rows);
    return whole * this.#tokens.length + this.#starts[to % this.rows]! - this.#starts[from % this.rows]!;
  }

  /** Appends one row. */
  appendRow(out: EncodedSink, id: number): void {
    const row = (id - 1) % this.rows;
    this.#append(out, row, row + 1, id);
  }

  /**
   * The rows of Ids above `from` up to `to`, a segment at a time.
   * @param out the connection they go to; every step must be awaited before the next is taken
   */
  *send(from: number, to: number): Generator<(out: EncodedSink) => Promise<void>> {
    let copy: Copy | null = null;
    let size = 0;
    const underWay: Promise<void>[] = [];
    let id = from;
    while (id < to) {
      const begin = id;
      yield async (out) => {
        size = out.packetSize;
        const row = begin % this.rows;
        const segments = this.#framed(size);
        const index = segmentAt(segments, row);
        const segment = segments[index]!;
        const end = Math.min(to, begin - row + segment.firstRow + segment.rows);
        id = end;
        if (row !== segment.firstRow || end - begin < segment.rows) {
          // The segments before must have left, and these rows with them, before more is framed.
          this.#append(out, row, row + end - begin, begin + 1);
          out.sendWholePackets();
          await out.drained();
          return;
        }
        copy ??= this.#takeCopy(size);
        const own = copy.segments[index]!;
        if (own.underWay !== null) await own.underWay;
        const { idAt } = segment;
        for (let i = 0; i < idAt.length; i++) own.view.setInt32(idAt[i]!, begin + 1 + i, true);
        const sent = out.framed(own.packets);
        sent.catch(() => {});
        own.underWay = sent;
        underWay.push(sent);
        if (underWay.length > IN_FLIGHT) await underWay.shift();
      };
    }
    yield async () => {
      await Promise.all(underWay);
      if (copy !== null) this.#idle.get(size)!.push(copy);
    };
  }

  #append(out: EncodedSink, row: number, endRow: number, firstId: number): void {
    const start = this.#starts[row]!;
    const bytes = Buffer.from(this.#tokens.subarray(start, this.#starts[endRow]!));
    for (let i = row; i < endRow; i++) bytes.writeInt32LE(firstId + i - row, this.#ids[i]! - start);
    out.bytes(bytes);
  }

  #takeCopy(packetSize: number): Copy {
    const idle = this.#idle.get(packetSize) ?? [];
    this.#idle.set(packetSize, idle);
    const found = idle.pop();
    if (found !== undefined) return found;
    const segments = this.#framed(packetSize).map(({ packets }) => {
      const own = Buffer.from(packets);
      return {
        packets: own,
        view: new DataView(own.buffer, own.byteOffset, own.length),
        underWay: null,
      };
    });
    return { segments };
  }

  #framed(packetSize: number): Segment[] {
    const known = this.#segments.get(packetSize);
    if (known !== undefined) return known;
    const segments: Segment[] = [];
    for (let row = 0; row < this.rows; ) {
      const firstRow = row;
      while (row < this.rows && this.#starts[row + 1]! - this.#starts[firstRow]! <= SEGMENT_BYTES) row++;
      // A row larger than a segment is one by itself.
      if (row === firstRow) row++;
      segments.push(this.#frame(firstRow, row, packetSize));
    }
    this.#segments.set(packetSize, segments);
    return segments;
  }

  /** Cuts rows into packets, none of them inside an Id, which is then written in one piece. */
  #frame(firstRow: number, endRow: number, packetSize: number): Segment {
    const start = this.#starts[firstRow]!;
    const end = this.#starts[endRow]!;
    const bodyBytes = packetSize - HEADER_BYTES;
    const pieces: Buffer[] = [];
    const idAt = new Int32Array(endRow - firstRow);
    let framedBytes = 0;
    let row = firstRow;
    for (let at = start; at < end; ) {
      let cut = Math.min(end, at + bodyBytes);
      let next = row;
      while (next < endRow && this.#ids[next]! < cut) next++;
      if (next > row && this.#ids[next - 1]! + ID_BYTES > cut) {
        next--;
        cut = this.#ids[next]!;
      }
      for (; row < next; row++) idAt[row - firstRow] = framedBytes + HEADER_BYTES + this.#ids[row]! - at;
      const header = Buffer.alloc(HEADER_BYTES);
      header[0] = PACKET.response;
      header.writeUInt16BE(HEADER_BYTES + cut - at, 2);
      pieces.push(header, this.#tokens.subarray(at, cut));
      framedBytes += HEADER_BYTES + cut - at;
      at = cut;
    }
    return { firstRow, rows: endRow - firstRow, packets: Buffer.concat(pieces), idAt };
  }
}

/** The segment that holds a row. */
function segmentAt(segments: readonly Segment[], row: number): number {
  let low = 0;
  let high = segments.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (segments[middle]!.firstRow <= row) low = middle;
    else high = middle - 1;
  }
  return low;
}
