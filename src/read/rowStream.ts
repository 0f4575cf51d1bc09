/**
 * The plain interpreter of a column layout: one row, piece by piece. Reader thread.
 *
 * It is the way for rows that fit no slot or no input window (their large values stream through, memory
 * bounded), the one that finds the words when a value can't be represented, and the generated code's oracle.
 * Written as a generator: it yields whenever it needs bytes or room, and goes on when there are some.
 */
import { fieldToText } from '../copy/fieldText.js';
import { FIELD_OVERHEAD_BYTES, MAX_FIELD_BYTES, MAX_ROW_BYTES, rowOverheadBytes } from '../copy/frame.js';
import { TextStream } from '../copy/text.js';
import { AppError, toErrorData } from '../errors.js';
import type { WireColumn } from '../tds/colmetadata.js';
import { TOKEN, TYPE } from '../tds/tokens.js';
import type { InputWindow } from '../tds/window.js';
import { copyBytes } from '../wasm/memory.js';
import { ROW_HASH_BYTES, type RowLayout } from './layout.js';
import { Spool } from './spool.js';

/** What the interpreter waits for. */
export type Need = 'input' | 'output';

/** Where the tuple goes: the free part of a slot. On 'output' the driver hands the slot on and opens the next. */
export interface SlotRoom {
  bytes: Buffer;
  position: number;
  end: number;
}

/** The longest key text a message shows, in characters. */
const SHOWN_CHARACTERS = 100;
const SHOWN_BYTES = 32;
const SHORTEN = 'Split or shorten the value in the source, or exclude the table.';
const UNKNOWN_LENGTH = 0xffff_ffff_ffff_fffen;
const NULL_LENGTH = 0xffff_ffff_ffff_ffffn;

export class RowStream {
  readonly #layout: RowLayout;
  readonly #input: InputWindow;
  readonly #room: SlotRoom;
  readonly #header = Buffer.alloc(4);
  /** What is wrong with this row, once something is: the rest is only read, for the key. */
  #failure: AppError | null = null;
  #keyTexts: (string | null)[] = [];
  #keyValues: Buffer[] = [];
  /** What PostgreSQL needs for the row so far. */
  #rowBytes = 0;

  constructor(layout: RowLayout, input: InputWindow, room: SlotRoom) {
    this.#layout = layout;
    this.#input = input;
    this.#room = room;
  }

  /** The exact key texts of the row that was read last, in key order; empty where the table has no key. */
  get key(): string[] {
    const { keyOrdinals, codecs, columns } = this.#layout;
    return keyOrdinals.map((i) => codecs[i]!.keyText(columns[i]!, this.#keyValues[i]!));
  }

  /**
   * Reads the row whose ROW or NBCROW token is next in the window and writes its tuple.
   *
   * @throws AppError VALUE_UNREPRESENTABLE or VALUE_TOO_LARGE with table, column and key, after the whole row was read
   */
  *row(): Generator<Need, void, void> {
    const { columns, rowHash, keyOrdinals } = this.#layout;
    this.#failure = null;
    this.#keyTexts = columns.map(() => null);
    this.#keyValues = [];
    this.#rowBytes = rowOverheadBytes(columns.length);
    yield* this.#need(1);
    const sparse = this.#take(1)[0] === TOKEN.NBCROW;
    let bitmap: Buffer | null = null;
    if (sparse) {
      const bytes = Math.ceil(columns.length / 8);
      yield* this.#need(bytes);
      bitmap = Buffer.from(this.#take(bytes));
    }
    this.#header.writeInt16BE(columns.length + (rowHash ? 1 : 0));
    yield* this.#put(this.#header.subarray(0, 2));
    for (let i = 0; i < columns.length; i++) {
      if (bitmap !== null && (bitmap[i >> 3]! & (1 << (i & 7))) !== 0) yield* this.#putLength(-1);
      else yield* this.#value(i);
    }
    if (rowHash) {
      yield* this.#putLength(ROW_HASH_BYTES);
      yield* this.#put(Buffer.alloc(ROW_HASH_BYTES, '0'));
    }
    if (this.#failure !== null) throw this.#named(this.#failure, keyOrdinals);
  }

  *#value(i: number): Generator<Need, void, void> {
    const column = this.#layout.columns[i]!;
    switch (column.framing) {
      case 'fixed':
        return yield* this.#small(i, column.maxBytes);
      case 'byte': {
        yield* this.#need(1);
        const length = this.#take(1).readUInt8();
        return yield* length === 0 ? this.#putLength(-1) : this.#small(i, length);
      }
      case 'ushort': {
        yield* this.#need(2);
        const length = this.#take(2).readUInt16LE();
        return yield* length === 0xffff ? this.#putLength(-1) : this.#small(i, length);
      }
      case 'long': {
        yield* this.#need(4);
        const length = this.#take(4).readUInt32LE();
        return yield* length === 0 ? this.#putLength(-1) : this.#small(i, length);
      }
      case 'textptr': {
        yield* this.#need(1);
        const pointer = this.#take(1).readUInt8();
        if (pointer === 0) return yield* this.#putLength(-1);
        yield* this.#need(pointer + 12);
        const length = this.#take(pointer + 12).readUInt32LE(pointer + 8);
        return yield* this.#large(i, BigInt(length), this.#plain(length));
      }
      case 'plp': {
        yield* this.#need(8);
        const length = this.#take(8).readBigUInt64LE();
        if (length === NULL_LENGTH) return yield* this.#putLength(-1);
        return yield* this.#large(i, length, this.#chunks(column, length));
      }
    }
  }

  /** A value that fits the window: encoded whole. */
  *#small(i: number, length: number): Generator<Need, void, void> {
    yield* this.#need(length);
    const column = this.#layout.columns[i]!;
    const target = this.#layout.targets[i]!;
    const value = this.#take(length);
    let content: Buffer;
    try {
      if (wrongLength(column, length)) {
        throw new AppError(
          'PROTOCOL',
          `The source sent a value of ${length} bytes for a type of ${column.maxBytes}`,
        );
      }
      content = this.#layout.codecs[i]!.encode(column, target, value);
    } catch (error) {
      this.#fail(column, error, value);
      return;
    }
    if (this.#layout.keyOrdinals.includes(i)) {
      this.#keyTexts[i] = fieldToText(target.field, content, 0, content.length);
      this.#keyValues[i] = Buffer.from(value);
    }
    this.#count(column, content.length);
    yield* this.#putLength(content.length);
    yield* this.#put(Buffer.from(content));
  }

  /** A value that may be larger than window and slot together: its pieces pass through. */
  *#large(
    i: number,
    length: bigint,
    pieces: Generator<Need | Buffer, void, void>,
  ): Generator<Need, void, void> {
    const column = this.#layout.columns[i]!;
    const { field, nul } = this.#layout.targets[i]!;
    if (field === 'bytea' && length !== UNKNOWN_LENGTH) {
      yield* this.#binary(column, Number(length), pieces);
      return;
    }
    const spool = new Spool();
    try {
      const text = column.encoding === null ? null : new TextStream(column.encoding, nul);
      for (const piece of column.type === TYPE.XML ? withoutMark(pieces) : pieces) {
        if (typeof piece === 'string') {
          yield piece;
          continue;
        }
        if (this.#failure !== null) continue;
        this.#attempt(column, () => {
          // The window's bytes move on: what the spool keeps must be its own.
          spool.push(text === null ? Buffer.from(piece) : text.push(piece));
          checkSize(spool.size);
        });
      }
      if (text !== null && this.#failure === null) this.#attempt(column, () => spool.push(text.end()));
      if (this.#failure !== null) return;
      this.#count(column, spool.size);
      yield* this.#putLength(spool.size);
      for (const piece of spool.pieces()) yield* this.#put(piece);
    } finally {
      spool.dispose();
    }
  }

  /** Binary of known length needs no spool: its length goes first and its pieces straight on. */
  *#binary(
    column: WireColumn,
    length: number,
    pieces: Generator<Need | Buffer, void, void>,
  ): Generator<Need, void, void> {
    this.#attempt(column, () => checkSize(length));
    this.#count(column, length);
    yield* this.#putLength(length);
    for (const piece of pieces) {
      if (typeof piece === 'string') yield piece;
      else yield* this.#put(piece);
    }
  }

  /** The pieces of a value of `length` bytes in one run. */
  *#plain(length: number): Generator<Need | Buffer, void, void> {
    for (let left = length; left > 0; ) {
      if (this.#input.available === 0) yield 'input';
      const piece = this.#take(Math.min(left, this.#input.available));
      left -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }

  /** The pieces of a PLP value: chunks, until one of length 0. */
  *#chunks(column: WireColumn, announced: bigint): Generator<Need | Buffer, void, void> {
    let seen = 0;
    for (;;) {
      while (this.#input.available < 4) yield 'input';
      const length = this.#take(4).readUInt32LE();
      if (length === 0) break;
      seen += length;
      yield* this.#plain(length);
    }
    if (announced !== UNKNOWN_LENGTH && announced !== BigInt(seen)) {
      throw new AppError(
        'PROTOCOL',
        `Table ${this.#layout.table}, column ${column.name}: SQL Server announced a value of ${announced} bytes and sent ${seen}`,
        { table: this.#layout.table, column: column.name },
      );
    }
  }

  *#need(bytes: number): Generator<Need, void, void> {
    if (bytes > this.#input.sizeBytes) {
      throw new AppError(
        'PROTOCOL',
        `Table ${this.#layout.table}: SQL Server sent a value of ${bytes} bytes of a type that has none so large`,
        { table: this.#layout.table },
      );
    }
    while (this.#input.available < bytes) yield 'input';
  }

  #take(bytes: number): Buffer {
    const { position } = this.#input;
    this.#input.position += bytes;
    return this.#input.bytes.subarray(position, position + bytes);
  }

  *#putLength(length: number): Generator<Need, void, void> {
    if (this.#failure !== null) return;
    this.#header.writeInt32BE(length);
    yield* this.#put(this.#header);
  }

  *#put(bytes: Buffer): Generator<Need, void, void> {
    if (this.#failure !== null) return;
    const room = this.#room;
    for (let at = 0; at < bytes.length; ) {
      if (room.position === room.end) yield 'output';
      const count = Math.min(bytes.length - at, room.end - room.position);
      copyBytes(bytes, at, at + count, room.bytes, room.position);
      room.position += count;
      at += count;
    }
  }

  /** Counts a value's bytes: the one that makes its row too large is the one that fails it. */
  #count(column: WireColumn, bytes: number): void {
    this.#rowBytes += bytes + FIELD_OVERHEAD_BYTES;
    if (this.#rowBytes <= MAX_ROW_BYTES) return;
    const text = `With this value its row has ${this.#rowBytes} bytes or more; PostgreSQL takes at most ${MAX_ROW_BYTES} in one row`;
    this.#fail(column, new AppError('VALUE_TOO_LARGE', text, { remedy: SHORTEN }), null);
  }

  #attempt(column: WireColumn, action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#fail(column, error, null);
    }
  }

  #fail(column: WireColumn, error: unknown, value: Buffer | null): void {
    const data = toErrorData(error);
    const shown =
      value === null
        ? ''
        : ` (bytes 0x${value.toString('hex', 0, SHOWN_BYTES)}${value.length > SHOWN_BYTES ? '...' : ''})`;
    this.#failure ??= new AppError(data.code, data.message + shown, {
      column: column.name,
      ...(data.remedy !== undefined && { remedy: data.remedy }),
      cause: error,
    });
  }

  #named(failure: AppError, keyOrdinals: readonly number[]): AppError {
    const { columns, table } = this.#layout;
    const parts = keyOrdinals.map((i) => {
      const text = this.#keyTexts[i] ?? '?';
      return `${columns[i]!.name}=${text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}...` : text}`;
    });
    const { column } = failure.place;
    const key = parts.join(', ');
    const where = `Table ${table}, column ${column}, ${key === '' ? 'a row (the table has no key)' : `row ${key}`}`;
    return new AppError(failure.code, `${where}: ${failure.message}`, {
      table,
      column: column!,
      ...(key !== '' && { key }),
      ...(failure.remedy !== undefined && { remedy: failure.remedy }),
    });
  }
}

/** Drops a leading byte order mark, wherever the value is cut into pieces. */
function* withoutMark(pieces: Iterable<Need | Buffer>): Generator<Need | Buffer, void, void> {
  let head: Buffer | null = Buffer.alloc(0);
  for (const piece of pieces) {
    if (head === null || typeof piece === 'string') {
      yield piece;
      continue;
    }
    head = Buffer.concat([head, piece]);
    if (head.length < 2) continue;
    yield head.readUInt16LE() === 0xfeff ? head.subarray(2) : head;
    head = null;
  }
  if (head !== null) yield head;
}

/** A type of one size must come in that size; character, binary and decimal values may be shorter. */
function wrongLength(column: WireColumn, length: number): boolean {
  return column.framing === 'byte' && column.precision === 0 ? length !== column.maxBytes : false;
}

function checkSize(bytes: number): void {
  if (bytes <= MAX_FIELD_BYTES) return;
  throw new AppError(
    'VALUE_TOO_LARGE',
    `The value has ${bytes} bytes or more; PostgreSQL takes at most ${MAX_FIELD_BYTES} in one field`,
    { remedy: SHORTEN },
  );
}
