/**
 * Server responses from plain JavaScript values, written from [MS-TDS] and from nothing in `src`: the oracle the
 * token reader and the transcoder are held against. Test process, main thread.
 */

/** How a value's extent is written in front of it. */
export type Frame = 'fixed' | 'byte' | 'ushort' | 'textptr' | 'long' | 'plp';

/** A column as COLMETADATA announces it. */
export interface WireColumn {
  name: string;
  /** TYPE_INFO: the type byte and what follows it. */
  info: Buffer;
  frame: Frame;
}

/** A value's bytes, and for PLP how they are sent. */
export interface WireValue {
  bytes: Buffer;
  /** PLP: whether the total length goes first, or UNKNOWN_PLP_LEN. */
  known?: boolean;
  /** PLP: lengths of the chunks but the last, cut to what there is. */
  chunks?: readonly number[];
}

export const u8 = (value: number): Buffer => Buffer.from([value]);
export const u16 = (value: number): Buffer => Buffer.from([value & 255, value >> 8]);

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes;
}

/** `value` in `size` little-endian bytes. */
export function uint(value: bigint, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0, rest = value; i < size; i++, rest >>= 8n) bytes[i] = Number(rest & 255n);
  return bytes;
}

const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');
const bVarchar = (text: string): Buffer => Buffer.concat([u8(text.length), utf16(text)]);
const usVarchar = (text: string): Buffer => Buffer.concat([u16(text.length), utf16(text)]);

/** The five bytes of a collation: LCID with flags, then the sort id of an old SQL_ collation. */
export function collation(lcid: number, sortId = 0, flags = 0x00d0_0000): Buffer {
  return Buffer.concat([u32(lcid | flags), u8(sortId)]);
}

/** TYPE_INFO of every kind of type. */
export const typeInfo = {
  /** Fixed-length types, date, and the types that only have a size or scale byte. */
  plain: (type: number, ...bytes: number[]): Buffer => Buffer.from([type, ...bytes]),
  decimal: (type: number, precision: number, scale: number): Buffer =>
    Buffer.from([type, decimalBytes(precision), precision, scale]),
  binary: (type: number, maxBytes: number): Buffer => Buffer.concat([u8(type), u16(maxBytes)]),
  text: (type: number, maxBytes: number, collationBytes: Buffer): Buffer =>
    Buffer.concat([u8(type), u16(maxBytes), collationBytes]),
  /** text, ntext, image: the table's name has several parts. */
  long: (type: number, collationBytes: Buffer | null, table: string[] = ['dbo', 't']): Buffer =>
    Buffer.concat([
      u8(type),
      u32(0x7fff_ffff),
      collationBytes ?? Buffer.alloc(0),
      u8(table.length),
      ...table.map(usVarchar),
    ]),
  xml: (schema?: string): Buffer =>
    schema === undefined
      ? Buffer.from([0xf1, 0])
      : Buffer.concat([Buffer.from([0xf1, 1]), bVarchar('db'), bVarchar('dbo'), usVarchar(schema)]),
  variant: (): Buffer => Buffer.concat([u8(0x62), u32(8009)]),
};

export function decimalBytes(precision: number): number {
  return precision <= 9 ? 5 : precision <= 19 ? 9 : precision <= 28 ? 13 : 17;
}

export function colmetadata(columns: readonly WireColumn[]): Buffer {
  return Buffer.concat([
    u8(0x81),
    u16(columns.length),
    ...columns.flatMap(({ name, info, frame }) => [
      u32(0),
      u16(frame === 'fixed' ? 0x0008 : 0x0009),
      info,
      bVarchar(name),
    ]),
  ]);
}

/** A value with its length, as it stands in a ROW. */
export function framed(frame: Frame, value: WireValue | null): Buffer {
  const bytes = value?.bytes ?? null;
  switch (frame) {
    case 'fixed':
      if (bytes === null) throw new Error('a fixed-length value is never NULL');
      return bytes;
    case 'byte':
      return bytes === null ? u8(0) : Buffer.concat([u8(bytes.length), bytes]);
    case 'ushort':
      return bytes === null ? u16(0xffff) : Buffer.concat([u16(bytes.length), bytes]);
    case 'long':
      return bytes === null ? u32(0) : Buffer.concat([u32(bytes.length), bytes]);
    case 'textptr':
      return bytes === null
        ? u8(0)
        : Buffer.concat([u8(16), Buffer.alloc(16, 'P'), Buffer.alloc(8, 'T'), u32(bytes.length), bytes]);
    case 'plp':
      return value === null ? u64(-1n) : plp(value);
  }
}

function plp({ bytes, known = true, chunks = [] }: WireValue): Buffer {
  const parts = [u64(known ? BigInt(bytes.length) : -2n)];
  let at = 0;
  for (const wanted of [...chunks, bytes.length]) {
    const length = Math.min(wanted, bytes.length - at);
    if (length > 0) parts.push(u32(length), bytes.subarray(at, at + length));
    at += length;
  }
  parts.push(u32(0));
  return Buffer.concat(parts);
}

export function row(columns: readonly WireColumn[], values: readonly (WireValue | null)[]): Buffer {
  return Buffer.concat([u8(0xd1), ...values.map((value, i) => framed(columns[i]!.frame, value))]);
}

/** Like ROW, its NULLs in a bitmap in front. */
export function nbcRow(columns: readonly WireColumn[], values: readonly (WireValue | null)[]): Buffer {
  const bitmap = Buffer.alloc(Math.ceil(columns.length / 8));
  values.forEach((value, i) => {
    if (value === null) bitmap[i >> 3]! |= 1 << (i & 7);
  });
  return Buffer.concat([
    u8(0xd2),
    bitmap,
    ...values.map((value, i) => (value === null ? Buffer.alloc(0) : framed(columns[i]!.frame, value))),
  ]);
}

export interface MessageParts {
  number: number;
  message: string;
  class?: number;
  state?: number;
  line?: number;
}

function messageToken(
  token: number,
  { number, message, state = 1, line = 1, ...rest }: MessageParts,
): Buffer {
  const body = Buffer.concat([
    u32(number),
    u8(state),
    u8(rest.class ?? (token === 0xaa ? 16 : 0)),
    usVarchar(message),
    bVarchar('SERVER'),
    bVarchar('proc'),
    u32(line),
  ]);
  return Buffer.concat([u8(token), u16(body.length), body]);
}

export const errorToken = (parts: MessageParts): Buffer => messageToken(0xaa, parts);
export const infoToken = (parts: MessageParts): Buffer => messageToken(0xab, parts);

/** DONE 0xfd, DONEPROC 0xfe or DONEINPROC 0xff. Status: 1 more, 2 error, 0x10 count valid, 0x100 server error. */
export function done(rows: number, status = 0x10, token = 0xfd): Buffer {
  return Buffer.concat([u8(token), u16(status), u16(0xc1), u64(BigInt(rows))]);
}

export const returnStatus = (value: number): Buffer => Buffer.concat([u8(0x79), u32(value)]);
export const order = (...columns: number[]): Buffer =>
  Buffer.concat([u8(0xa9), u16(columns.length * 2), ...columns.map(u16)]);
export function environment(type: number, value: Buffer): Buffer {
  return Buffer.concat([u8(0xe3), u16(value.length + 1), u8(type), value]);
}
export function sessionState(data: Buffer): Buffer {
  const body = Buffer.concat([u32(1), u8(1), u8(7), u8(data.length), data]);
  return Buffer.concat([u8(0xe4), u32(body.length), body]);
}
export function tableName(...parts: string[]): Buffer {
  const body = Buffer.concat([u8(parts.length), ...parts.map(usVarchar)]);
  return Buffer.concat([u8(0xa4), u16(body.length), body]);
}
export const columnInfo = (columns: number): Buffer =>
  Buffer.concat([
    u8(0xa5),
    u16(columns * 3),
    ...Array.from({ length: columns }, (_, i) => Buffer.from([i + 1, 1, 0])),
  ]);

/** A whole good answer. */
export function answer(
  columns: readonly WireColumn[],
  rows: readonly { sparse?: boolean; values: readonly (WireValue | null)[] }[],
): Buffer {
  return Buffer.concat([
    colmetadata(columns),
    ...rows.map(({ sparse, values }) => (sparse ? nbcRow(columns, values) : row(columns, values))),
    done(rows.length),
  ]);
}
