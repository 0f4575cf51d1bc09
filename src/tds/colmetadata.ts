/**
 * Reads [MS-TDS] COLMETADATA: the columns of a result set as they lie on the wire.
 *
 * Reader thread, once per result set; clarity over speed.
 */
import type { TextEncoding } from '../copy/codepages.js';
import { AppError } from '../errors.js';
import { encodingOfCollation } from './collation.js';
import { FIXED_BYTES, type Framing, TYPE } from './tokens.js';

/** One column of a result set on the wire. */
export interface WireColumn {
  name: string;
  /** Data type number, one of `TYPE`. */
  type: number;
  framing: Framing;
  /** Largest value in bytes; the value's exact size for `fixed` framing. */
  maxBytes: number;
  precision: number;
  scale: number;
  nullable: boolean;
  /** Encoding of a character column, null for the others. */
  encoding: TextEncoding | null;
}

export interface ColMetadata {
  columns: WireColumn[];
  /** Offset of the byte after the token. */
  end: number;
}

/** A read position that runs out by returning null from `readColMetadata`, not by throwing. */
class Cursor {
  overrun = false;
  constructor(
    private readonly bytes: Buffer,
    public position: number,
    private readonly end: number,
  ) {}

  private take(count: number): number {
    const at = this.position;
    this.position += count;
    if (this.position > this.end) {
      this.overrun = true;
      return -1;
    }
    return at;
  }

  u8(): number {
    const at = this.take(1);
    return at < 0 ? 0 : this.bytes.readUInt8(at);
  }

  u16(): number {
    const at = this.take(2);
    return at < 0 ? 0 : this.bytes.readUInt16LE(at);
  }

  u32(): number {
    const at = this.take(4);
    return at < 0 ? 0 : this.bytes.readUInt32LE(at);
  }

  ucs2(characters: number): string {
    const at = this.take(characters * 2);
    return at < 0 ? '' : this.bytes.toString('ucs2', at, at + characters * 2);
  }
}

const NO_METADATA = 0xffff;
const MAX_LENGTH = 0xffff;
const SCALE_BYTES = [3, 3, 3, 4, 4, 5, 5, 5];
const MAX_PRECISION = 38;

/** The sizes a nullable type of several sizes may have. [MS-TDS] BYTELEN_TYPE. */
const SIZES: ReadonlyMap<number, readonly number[]> = new Map([
  [TYPE.INTN, [1, 2, 4, 8]],
  [TYPE.BITN, [1]],
  [TYPE.FLTN, [4, 8]],
  [TYPE.MONEYN, [4, 8]],
  [TYPE.DATETIMN, [4, 8]],
  [TYPE.GUID, [16]],
  [TYPE.DECIMALN, [5, 9, 13, 17]],
  [TYPE.NUMERICN, [5, 9, 13, 17]],
]);

function readSize(cursor: Cursor, type: number): number {
  const bytes = cursor.u8();
  if (!cursor.overrun && !SIZES.get(type)!.includes(bytes)) {
    throw new AppError(
      'PROTOCOL',
      `The server sent a column of data type 0x${type.toString(16)} with the impossible size ${bytes}`,
    );
  }
  return bytes;
}

/** @returns bytes of a time(n) value of this scale. [MS-TDS] TIMEN. */
export function timeBytes(scale: number): number {
  const bytes = SCALE_BYTES[scale];
  if (bytes === undefined) throw new AppError('PROTOCOL', `time scale ${scale} is outside 0 to 7`);
  return bytes;
}

/**
 * Reads the column list after the COLMETADATA token byte.
 *
 * @param at offset of the first byte after the token type
 * @param end end of the bytes that have arrived
 * @returns the columns and where they end, or null when more bytes are needed
 * @throws AppError PROTOCOL for a type this protocol version does not have
 */
export function readColMetadata(bytes: Buffer, at: number, end: number): ColMetadata | null {
  const cursor = new Cursor(bytes, at, end);
  const count = cursor.u16();
  if (cursor.overrun) return null;
  const columns: WireColumn[] = [];
  if (count === NO_METADATA) return { columns, end: cursor.position };
  for (let i = 0; i < count; i++) {
    cursor.u32(); // user type
    const flags = cursor.u16();
    const type = cursor.u8();
    if (cursor.overrun) return null;
    const info = readTypeInfo(cursor, type);
    if (cursor.overrun) return null;
    const name = cursor.ucs2(cursor.u8());
    if (cursor.overrun) return null;
    columns.push({ name, type, ...info, nullable: (flags & 1) !== 0 });
  }
  return { columns, end: cursor.position };
}

type TypeInfo = Omit<WireColumn, 'name' | 'type' | 'nullable'>;

function typeInfo(framing: Framing, maxBytes: number, more: Partial<TypeInfo> = {}): TypeInfo {
  return { framing, maxBytes, precision: 0, scale: 0, encoding: null, ...more };
}

function readTypeInfo(cursor: Cursor, type: number): TypeInfo {
  const fixed = FIXED_BYTES.get(type);
  if (fixed !== undefined) return typeInfo('fixed', fixed);
  switch (type) {
    case TYPE.INTN:
    case TYPE.BITN:
    case TYPE.FLTN:
    case TYPE.MONEYN:
    case TYPE.DATETIMN:
    case TYPE.GUID:
      return typeInfo('byte', readSize(cursor, type));
    case TYPE.DECIMALN:
    case TYPE.NUMERICN: {
      const maxBytes = readSize(cursor, type);
      const precision = cursor.u8();
      const scale = cursor.u8();
      if (!cursor.overrun && (precision < 1 || precision > MAX_PRECISION || scale > precision)) {
        throw new AppError('PROTOCOL', `The server sent a column of type decimal(${precision},${scale})`);
      }
      return typeInfo('byte', maxBytes, { precision, scale });
    }
    case TYPE.DATEN:
      return typeInfo('byte', 3);
    case TYPE.TIMEN:
    case TYPE.DATETIME2N:
    case TYPE.DATETIMEOFFSETN: {
      const scale = cursor.u8();
      if (cursor.overrun) return typeInfo('byte', 0);
      const extra = type === TYPE.TIMEN ? 0 : type === TYPE.DATETIME2N ? 3 : 5;
      return typeInfo('byte', timeBytes(scale) + extra, { scale });
    }
    case TYPE.BIGBINARY:
    case TYPE.BIGVARBIN: {
      const maxBytes = cursor.u16();
      return maxBytes === MAX_LENGTH ? typeInfo('plp', -1) : typeInfo('ushort', maxBytes);
    }
    case TYPE.BIGCHAR:
    case TYPE.BIGVARCHAR:
    case TYPE.NCHAR:
    case TYPE.NVARCHAR: {
      const maxBytes = cursor.u16();
      const encoding = readCollation(cursor, type === TYPE.NCHAR || type === TYPE.NVARCHAR);
      return maxBytes === MAX_LENGTH
        ? typeInfo('plp', -1, { encoding })
        : typeInfo('ushort', maxBytes, { encoding });
    }
    case TYPE.TEXT:
    case TYPE.NTEXT:
    case TYPE.IMAGE: {
      const maxBytes = cursor.u32();
      const encoding = type === TYPE.IMAGE ? null : readCollation(cursor, type === TYPE.NTEXT);
      const parts = cursor.u8();
      for (let i = 0; i < parts && !cursor.overrun; i++) cursor.ucs2(cursor.u16());
      return typeInfo('textptr', maxBytes, { encoding });
    }
    case TYPE.XML: {
      if (cursor.u8() === 1) {
        cursor.ucs2(cursor.u8()); // database
        cursor.ucs2(cursor.u8()); // owning schema
        cursor.ucs2(cursor.u16()); // schema collection
      }
      return typeInfo('plp', -1, { encoding: 'utf16le' });
    }
    case TYPE.UDT: {
      cursor.u16(); // maximum size
      cursor.ucs2(cursor.u8()); // database
      cursor.ucs2(cursor.u8()); // schema
      cursor.ucs2(cursor.u8()); // type
      cursor.ucs2(cursor.u16()); // assembly
      return typeInfo('plp', -1);
    }
    case TYPE.SSVARIANT:
      return typeInfo('long', cursor.u32());
    default:
      throw new AppError(
        'PROTOCOL',
        `The server sent a column of data type 0x${type.toString(16)}, which TDS 7.4 does not define`,
      );
  }
}

function readCollation(cursor: Cursor, unicode: boolean): TextEncoding | null {
  const info = cursor.u32();
  const sortId = cursor.u8();
  return unicode ? 'utf16le' : encodingOfCollation(info, sortId);
}
