/**
 * A result's rows: the binary COPY stream of PostgreSQL in, ROW and NBCROW tokens out. COPY bytes may be split
 * anywhere; a tuple is gathered until it is whole. Runs on the server's thread; this is its hot loop.
 */
import type { ResultColumn } from '../contract.js';
import type { WireType } from './columns.js';
import { type FieldEncoder, fieldEncoder, LARGE_FIELD_BYTES, type PlpOptions } from './fields.js';
import type { PacketWriter } from './packets.js';
import { TOKEN } from './wire.js';

export interface RowOptions extends PlpOptions {
  /** Send rows that hold a NULL as NBCROW, as SQL Server does for clients of TDS 7.3B and later. */
  nbcRow: boolean;
}

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const COPY_HEADER_BYTES = 19;

export class RowEncoder {
  /** Rows written so far. */
  rows = 0;
  private readonly fields: FieldEncoder[];
  private readonly columns: readonly ResultColumn[];
  private readonly nbcRow: boolean;
  private readonly starts: Int32Array;
  private readonly lengths: Int32Array;
  private readonly out: PacketWriter;
  private state: 'header' | 'tuples' | 'ended' = 'header';
  /** Bytes of an unfinished tuple, and how many it is known to need. */
  private parts: Buffer[] = [];
  private partsBytes = 0;
  private neededBytes = COPY_HEADER_BYTES;
  /** Facts about the tuple `findFields` found last. */
  private hasNull = false;
  private hasLarge = false;

  constructor(
    columns: readonly ResultColumn[],
    wires: readonly WireType[],
    out: PacketWriter,
    options: RowOptions,
  ) {
    this.columns = columns;
    this.fields = columns.map((column, index) => fieldEncoder(column, wires[index]!, options));
    this.nbcRow = options.nbcRow && columns.some((column) => column.nullable);
    this.starts = new Int32Array(columns.length);
    this.lengths = new Int32Array(columns.length);
    this.out = out;
  }

  /**
   * Takes the next bytes of the COPY stream. Yields after every piece of a large value, when whoever drives this
   * should wait until the client has taken what was sent.
   */
  *push(bytes: Buffer): Generator<void> {
    let source = bytes;
    if (this.partsBytes > 0) {
      this.parts.push(bytes);
      this.partsBytes += bytes.length;
      if (this.partsBytes < this.neededBytes) return;
      source = Buffer.concat(this.parts);
      this.parts = [];
      this.partsBytes = 0;
    }
    let at = 0;
    if (this.state === 'header') {
      at = this.header(source);
      if (at < 0) {
        this.keep(source, 0, COPY_HEADER_BYTES);
        return;
      }
    }
    const { out } = this;
    while (at < source.length) {
      const next = this.findFields(source, at);
      if (next < 0) {
        this.keep(source, at, -next);
        return;
      }
      if (this.state === 'ended') {
        if (next !== source.length) throw new Error('bytes behind the trailer of a COPY stream');
        return;
      }
      if (this.hasLarge) yield* this.largeRow(source);
      else {
        const rowStart = out.position;
        try {
          this.row(source);
        } catch (error) {
          out.position = rowStart;
          throw error;
        }
      }
      this.rows++;
      out.flushIfLarge();
      at = next;
    }
  }

  /** Called when the COPY stream is over; throws if it was cut short. */
  end(): void {
    // A result that never had rows may come without a COPY stream at all.
    const untouched = this.state === 'header' && this.partsBytes === 0;
    if (this.state !== 'ended' && !untouched) throw new Error('COPY stream without its trailer');
  }

  private keep(source: Buffer, at: number, neededBytes: number): void {
    // A copy, because the engine may use its buffer again.
    this.parts = [Buffer.from(source.subarray(at))];
    this.partsBytes = source.length - at;
    this.neededBytes = neededBytes;
  }

  private header(source: Buffer): number {
    if (source.length < COPY_HEADER_BYTES) return -1;
    if (!source.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw new Error('not a binary COPY stream');
    const end = COPY_HEADER_BYTES + source.readUInt32BE(15);
    if (source.length < end) return -1;
    this.state = 'tuples';
    return end;
  }

  /**
   * Finds the fields of the tuple at `at`.
   * @returns where the next tuple begins, or minus the bytes from `at` that are needed to know.
   */
  private findFields(source: Buffer, at: number): number {
    const end = source.length;
    if (at + 2 > end) return -2;
    const count = (source[at]! << 8) | source[at + 1]!;
    if (count === 0xffff) {
      this.state = 'ended';
      return at + 2;
    }
    const { starts, lengths } = this;
    if (count !== starts.length) throw new Error(`COPY tuple of ${count} fields, announced ${starts.length}`);
    this.hasNull = false;
    this.hasLarge = false;
    let position = at + 2;
    for (let index = 0; index < count; index++) {
      if (position + 4 > end) return at - position - 4;
      const length =
        (source[position]! << 24) |
        (source[position + 1]! << 16) |
        (source[position + 2]! << 8) |
        source[position + 3]!;
      position += 4;
      starts[index] = position;
      lengths[index] = length;
      if (length < 0) this.hasNull = true;
      else {
        if (length >= LARGE_FIELD_BYTES) this.hasLarge = true;
        position += length;
      }
    }
    return position > end ? at - position : position;
  }

  private row(source: Buffer): void {
    const { fields, starts, lengths, out } = this;
    const bitmap = this.startRow();
    for (let index = 0; index < fields.length; index++) {
      const length = lengths[index]!;
      if (length >= 0) fields[index]!.write(source, starts[index]!, length, out);
      else if (!bitmap) fields[index]!.writeNull(out);
    }
  }

  private *largeRow(source: Buffer): Generator<void> {
    const { fields, starts, lengths, out } = this;
    const bitmap = this.startRow();
    for (let index = 0; index < fields.length; index++) {
      const field = fields[index]!;
      const length = lengths[index]!;
      if (length < 0) {
        if (!bitmap) field.writeNull(out);
      } else if (length >= LARGE_FIELD_BYTES && field.pieces !== undefined) {
        for (const _piece of field.pieces(source, starts[index]!, length, out)) {
          out.flushIfLarge();
          yield;
        }
      } else field.write(source, starts[index]!, length, out);
    }
  }

  /** A NULL where none was announced would be read as something else, or crash the client. */
  private checkNulls(): void {
    const { columns, lengths } = this;
    for (let index = 0; index < columns.length; index++) {
      if (lengths[index]! < 0 && !columns[index]!.nullable) {
        throw new Error(`NULL in the NOT NULL column ${columns[index]!.name}`);
      }
    }
  }

  /** Writes the token byte, and the bitmap of an NBCROW; @returns whether NULLs are in the bitmap. */
  private startRow(): boolean {
    const { out, lengths } = this;
    if (this.hasNull) this.checkNulls();
    if (!this.hasNull || !this.nbcRow) {
      out.u8(TOKEN.row);
      return false;
    }
    const count = lengths.length;
    const bytes = (count + 7) >> 3;
    out.ensure(1 + bytes);
    const { buffer } = out;
    buffer[out.position] = TOKEN.nbcRow;
    const at = out.position + 1;
    buffer.fill(0, at, at + bytes);
    for (let index = 0; index < count; index++) {
      if (lengths[index]! < 0) buffer[at + (index >> 3)]! |= 1 << (index & 7);
    }
    out.position = at + bytes;
    return true;
  }
}
