/**
 * One column's values on the wire: length prefix, padding, text pointer or PLP chunks around the bytes of the
 * value. Small values are written at once; large ones piece by piece, so that a slow client bounds the memory.
 * Runs on the server's thread, once a value.
 */
import type { ResultColumn } from '../contract.js';
import type { WireType } from './columns.js';
import { type FixedEncoder, fixedEncoder } from './fixed.js';
import type { PacketWriter } from './packets.js';
import { readText, type TextEncoding, textEncoding, UTF16 } from './text.js';
import { writeVariant } from './variant.js';
import { PLP_NULL, PLP_UNKNOWN_LENGTH, USHORT_NULL } from './wire.js';

/** Fields of this many COPY bytes and more are sent piecewise. */
export const LARGE_FIELD_BYTES = 128 * 1024;
/** COPY bytes in one piece. */
const PIECE_BYTES = 64 * 1024;

export interface PlpOptions {
  /** Announce PLP_UNKNOWN_LEN rather than the value's length. */
  unknownLength: boolean;
  /** The most bytes of a PLP chunk. */
  chunkBytes: number;
}

export interface FieldEncoder {
  /** Writes a value of `length` COPY bytes at `start`, length prefix included; makes its own room. */
  write(source: Buffer, start: number, length: number, out: PacketWriter): void;
  writeNull(out: PacketWriter): void;
  /** Writes a large value; whoever drives it sends what is gathered at every step. */
  pieces?(source: Buffer, start: number, length: number, out: PacketWriter): Generator<void>;
}

/** The bytes of a value whose size depends on the value. */
interface Body {
  maxBytes(length: number): number;
  write(source: Buffer, start: number, length: number, out: PacketWriter): void;
  /** How many bytes `write` makes, for a value that is announced before it is written. */
  byteLength(source: Buffer, start: number, length: number): number;
  /** The same bytes in pieces. */
  slices(source: Buffer, start: number, length: number): Generator<Buffer>;
}

const BINARY: Body = {
  maxBytes: (length) => length,
  byteLength: (_source, _start, length) => length,
  write(source, start, length, out) {
    source.copy(out.buffer, out.position, start, start + length);
    out.position += length;
  },
  *slices(source, start, length) {
    for (let at = 0; at < length; at += PIECE_BYTES) {
      yield source.subarray(start + at, start + Math.min(length, at + PIECE_BYTES));
    }
  },
};

/** Cuts UTF-8 into texts of about a piece, never inside a character. */
function* textPieces(source: Buffer, start: number, length: number): Generator<string> {
  const end = start + length;
  let from = start;
  while (from < end) {
    let to = Math.min(end, from + PIECE_BYTES);
    // Step back over UTF-8 continuation bytes.
    while (to < end && (source[to]! & 0xc0) === 0x80) to--;
    yield readText(source, from, to);
    from = to;
  }
}

function textBody(encoding: TextEncoding): Body {
  return {
    maxBytes: encoding.maxBytes,
    write: encoding.write,
    byteLength(source, start, length) {
      let total = 0;
      for (const text of textPieces(source, start, length)) total += encoding.byteLength(text);
      return total;
    },
    *slices(source, start, length) {
      for (const text of textPieces(source, start, length)) yield encoding.encode(text);
    },
  };
}

/** @returns the encoder of a column's values. */
export function fieldEncoder(column: ResultColumn, wire: WireType, plp: PlpOptions): FieldEncoder {
  const fixed = fixedEncoder(column.type);
  if (fixed !== undefined) return wire.prefix === 'none' ? bareField(fixed) : byteField(fixed);
  const body = isBinary(column) ? BINARY : textBody(textOf(column, wire));
  switch (wire.prefix) {
    case 'ushort':
      return ushortField(column, wire, body);
    case 'plp':
      return plpField(body, plp);
    case 'textPointer':
      return textPointerField(body);
    case 'variant':
      return variantField();
    default:
      throw new Error(`no encoder for ${column.type.name}`);
  }
}

function isBinary(column: ResultColumn): boolean {
  return ['binary', 'varbinary', 'image', 'rowversion', 'timestamp'].includes(column.type.name);
}

function textOf(column: ResultColumn, wire: WireType): TextEncoding {
  const narrow = ['char', 'varchar', 'text'].includes(column.type.name);
  return narrow ? textEncoding(wire.collation!.codePage) : UTF16;
}

function bareField(fixed: FixedEncoder): FieldEncoder {
  return {
    write(source, start, length, out) {
      out.ensure(fixed.bytes);
      fixed.write(source, start, out, length);
    },
    writeNull() {
      throw new Error('NULL has no form in a fixed type');
    },
  };
}

function byteField(fixed: FixedEncoder): FieldEncoder {
  return {
    write(source, start, length, out) {
      out.ensure(fixed.bytes + 1);
      out.buffer[out.position++] = fixed.bytes;
      fixed.write(source, start, out, length);
    },
    writeNull: (out) => out.u8(0),
  };
}

function ushortField(column: ResultColumn, wire: WireType, body: Body): FieldEncoder {
  const limit = wire.maxBytes!;
  const padTo = wire.padTo ?? 0;
  const wide = column.type.name === 'nchar';
  const blank = isBinary(column) ? 0 : 0x20;
  return {
    write(source, start, length, out) {
      out.ensure(2 + Math.max(body.maxBytes(length), padTo));
      const at = out.position;
      out.position = at + 2;
      body.write(source, start, length, out);
      let bytes = out.position - at - 2;
      if (bytes > limit) {
        throw new Error(`value of ${bytes} bytes in column ${column.name}, declared for at most ${limit}`);
      }
      if (bytes < padTo) {
        if (wide)
          for (let pad = out.position; pad < at + 2 + padTo; pad += 2) out.buffer.writeUInt16LE(blank, pad);
        else out.buffer.fill(blank, out.position, at + 2 + padTo);
        out.position = at + 2 + padTo;
        bytes = padTo;
      }
      out.buffer.writeUInt16LE(bytes, at);
    },
    writeNull: (out) => out.u16(USHORT_NULL),
  };
}

function plpField(body: Body, options: PlpOptions): FieldEncoder {
  const { chunkBytes, unknownLength } = options;
  const announce = (bytes: number, out: PacketWriter) =>
    out.u64(unknownLength ? PLP_UNKNOWN_LENGTH : BigInt(bytes));
  const chunks = (bytes: Buffer, out: PacketWriter) => {
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      const chunk = bytes.subarray(at, at + chunkBytes);
      out.u32(chunk.length);
      out.bytes(chunk);
    }
  };
  function* pieces(source: Buffer, start: number, length: number, out: PacketWriter): Generator<void> {
    announce(unknownLength ? 0 : body.byteLength(source, start, length), out);
    for (const slice of body.slices(source, start, length)) {
      chunks(slice, out);
      yield;
    }
    out.u32(0);
  }
  return {
    write(source, start, length, out) {
      const most = body.maxBytes(length);
      if (most > chunkBytes) {
        for (const _step of pieces(source, start, length, out));
        return;
      }
      out.ensure(8 + 4 + most + 4);
      const at = out.position;
      out.position = at + 12;
      body.write(source, start, length, out);
      const bytes = out.position - at - 12;
      const end = out.position;
      out.position = at;
      announce(bytes, out);
      if (bytes > 0) {
        out.u32(bytes);
        out.position = end;
      }
      out.u32(0);
    },
    writeNull: (out) => out.u64(PLP_NULL),
    pieces,
  };
}

/** Sixteen bytes of text pointer and eight of timestamp; their content means nothing to a client that only reads. */
const TEXT_POINTER = Buffer.concat([
  Buffer.from([16]),
  Buffer.from('stand-in textptr'),
  Buffer.from('standin '),
]);

function textPointerField(body: Body): FieldEncoder {
  function* pieces(source: Buffer, start: number, length: number, out: PacketWriter): Generator<void> {
    out.bytes(TEXT_POINTER);
    out.u32(body.byteLength(source, start, length));
    for (const slice of body.slices(source, start, length)) {
      out.bytes(slice);
      yield;
    }
  }
  return {
    write(source, start, length, out) {
      out.bytes(TEXT_POINTER);
      out.ensure(4 + body.maxBytes(length));
      const at = out.position;
      out.position = at + 4;
      body.write(source, start, length, out);
      out.buffer.writeUInt32LE(out.position - at - 4, at);
    },
    writeNull: (out) => out.u8(0),
    pieces,
  };
}

function variantField(): FieldEncoder {
  return {
    write: (source, start, length, out) => writeVariant(source.toString('utf8', start, start + length), out),
    writeNull: (out) => out.u32(0),
  };
}
