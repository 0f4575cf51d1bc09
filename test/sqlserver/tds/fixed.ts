/**
 * Values whose wire size follows from the type alone: PostgreSQL's binary COPY fields (contract's storage types)
 * to the bytes of [MS-TDS], without any length prefix. Runs on the server's thread, once a value.
 */
import type { SqlType } from '../contract.js';
import { scaled, scaleNumeric } from './numeric.js';
import type { PacketWriter } from './packets.js';

/** Writes `bytes` bytes at `out.position`, where there is room, from the COPY field of `length` bytes at `start`. */
export interface FixedEncoder {
  bytes: number;
  write(source: Buffer, start: number, out: PacketWriter, length: number): void;
}

const TICKS_A_DAY = 864_000_000_000n;
const THIRDS_A_DAY = 25_920_000;
const MINUTES_A_DAY = 1440;
const TWO_32 = 0x1_0000_0000;

function reversed(bytes: number): FixedEncoder {
  return {
    bytes,
    write(source, start, out, length) {
      if (length !== bytes) throw new Error(`COPY field of ${length} bytes where ${bytes} belong`);
      const { buffer } = out;
      const at = out.position;
      for (let index = 0; index < bytes; index++) buffer[at + index] = source[start + bytes - 1 - index]!;
      out.position = at + bytes;
    },
  };
}

const BIT: FixedEncoder = {
  bytes: 1,
  write(source, start, out) {
    out.buffer[out.position++] = source[start]! === 0 ? 0 : 1;
  },
};

const TINYINT: FixedEncoder = {
  bytes: 1,
  write(source, start, out) {
    if (source[start] !== 0) throw new Error('tinyint out of range');
    out.buffer[out.position++] = source[start + 1]!;
  },
};

const GUID: FixedEncoder = {
  bytes: 16,
  write(source, start, out) {
    const { buffer } = out;
    const at = out.position;
    buffer[at] = source[start + 3]!;
    buffer[at + 1] = source[start + 2]!;
    buffer[at + 2] = source[start + 1]!;
    buffer[at + 3] = source[start]!;
    buffer[at + 4] = source[start + 5]!;
    buffer[at + 5] = source[start + 4]!;
    buffer[at + 6] = source[start + 7]!;
    buffer[at + 7] = source[start + 6]!;
    source.copy(buffer, at + 8, start + 8, start + 16);
    out.position = at + 16;
  },
};

/** Size of a decimal's wire form: sign and magnitude. */
export function decimalBytes(precision: number): number {
  return precision <= 9 ? 5 : precision <= 19 ? 9 : precision <= 28 ? 13 : 17;
}

function decimal(precision: number, scale: number): FixedEncoder {
  const bytes = decimalBytes(precision);
  const limit = 10n ** BigInt(precision);
  const smallLimit = precision <= 15 ? 10 ** precision : Number.MAX_SAFE_INTEGER;
  const refuse = (): never => {
    throw new Error(`numeric value does not fit decimal(${precision}, ${scale})`);
  };
  return {
    bytes,
    write(source, start, out) {
      scaleNumeric(source, start, scale);
      const { buffer } = out;
      let at = out.position;
      const end = at + bytes;
      buffer[at++] = scaled.negative ? 0 : 1;
      if (scaled.small >= 0) {
        if (scaled.small >= smallLimit && BigInt(scaled.small) >= limit) refuse();
        at = buffer.writeUInt32LE(scaled.small % TWO_32, at);
        if (at < end) at = buffer.writeUInt32LE(Math.floor(scaled.small / TWO_32), at);
      } else {
        let rest = scaled.large;
        if (rest >= limit) refuse();
        while (at < end) {
          at = buffer.writeUInt32LE(Number(rest & 0xffff_ffffn), at);
          rest >>= 32n;
        }
      }
      if (at < end) buffer.fill(0, at, end);
      out.position = end;
    },
  };
}

const MONEY: FixedEncoder = {
  bytes: 8,
  write(source, start, out) {
    scaleNumeric(source, start, 4);
    const magnitude = scaled.small >= 0 ? BigInt(scaled.small) : scaled.large;
    const units = scaled.negative ? -magnitude : magnitude;
    if (BigInt.asIntN(64, units) !== units) throw new Error('numeric value does not fit money');
    // The high half comes first, each half little-endian.
    out.position = out.buffer.writeInt32LE(Number(units >> 32n), out.position);
    out.position = out.buffer.writeUInt32LE(Number(units & 0xffff_ffffn), out.position);
  },
};

const SMALLMONEY: FixedEncoder = {
  bytes: 4,
  write(source, start, out) {
    scaleNumeric(source, start, 4);
    const units = scaled.negative ? -scaled.small : scaled.small;
    if (scaled.small < 0 || units !== (units | 0)) throw new Error('numeric value does not fit smallmoney');
    out.position = out.buffer.writeInt32LE(units, out.position);
  },
};

/** Reads an int64 that is a safe integer, much faster than through BigInt. */
function readSafeInt64(source: Buffer, start: number): number {
  return source.readInt32BE(start) * TWO_32 + source.readUInt32BE(start + 4);
}

const DATETIME: FixedEncoder = {
  bytes: 8,
  write(source, start, out) {
    const thirds = readSafeInt64(source, start);
    const days = Math.floor(thirds / THIRDS_A_DAY);
    out.position = out.buffer.writeInt32LE(days, out.position);
    out.position = out.buffer.writeUInt32LE(thirds - days * THIRDS_A_DAY, out.position);
  },
};

const SMALLDATETIME: FixedEncoder = {
  bytes: 4,
  write(source, start, out) {
    const minutes = source.readInt32BE(start);
    const days = Math.floor(minutes / MINUTES_A_DAY);
    out.position = out.buffer.writeUInt16LE(days, out.position);
    out.position = out.buffer.writeUInt16LE(minutes - days * MINUTES_A_DAY, out.position);
  },
};

function writeUInt24(value: number, out: PacketWriter): void {
  const { buffer } = out;
  buffer[out.position++] = value & 0xff;
  buffer[out.position++] = (value >>> 8) & 0xff;
  buffer[out.position++] = (value >>> 16) & 0xff;
}

const DATE: FixedEncoder = {
  bytes: 3,
  write(source, start, out) {
    writeUInt24(source.readInt32BE(start), out);
  },
};

/** Size of a time of day at a scale. */
export function timeBytes(scale: number): number {
  return scale <= 2 ? 3 : scale <= 4 ? 4 : 5;
}

/** @returns a writer of a time of day in 100 ns at a scale; the value must be a multiple of the scale's unit. */
function timeOfDay(scale: number): (ticks: number, out: PacketWriter) => void {
  const unit = 10 ** (7 - scale);
  const bytes = timeBytes(scale);
  return (ticks, out) => {
    if (ticks % unit !== 0) throw new Error(`time has more than ${scale} decimals`);
    let value = ticks / unit;
    const { buffer } = out;
    for (let index = 0; index < bytes; index++) {
      buffer[out.position++] = value % 256;
      value = Math.floor(value / 256);
    }
  };
}

function time(scale: number): FixedEncoder {
  const writeTime = timeOfDay(scale);
  return {
    bytes: timeBytes(scale),
    write: (source, start, out) => writeTime(readSafeInt64(source, start), out),
  };
}

function datetime2(scale: number): FixedEncoder {
  const writeTime = timeOfDay(scale);
  return {
    bytes: timeBytes(scale) + 3,
    write(source, start, out) {
      const ticks = source.readBigInt64BE(start);
      const days = ticks / TICKS_A_DAY;
      writeTime(Number(ticks - days * TICKS_A_DAY), out);
      writeUInt24(Number(days), out);
    },
  };
}

function datetimeOffset(scale: number): FixedEncoder {
  const local = datetime2(scale);
  return {
    bytes: local.bytes + 2,
    write(source, start, out, length) {
      if (length !== 10) throw new Error(`datetimeoffset field of ${length} bytes`);
      local.write(source, start, out, 8);
      out.position = out.buffer.writeInt16LE(source.readUInt16BE(start + 8) - 840, out.position);
    },
  };
}

const INT2 = reversed(2);
const INT4 = reversed(4);
const INT8 = reversed(8);

/** @returns the encoder of a type with a fixed wire size, or undefined for one without. */
export function fixedEncoder(type: SqlType): FixedEncoder | undefined {
  switch (type.name) {
    case 'bit':
      return BIT;
    case 'tinyint':
      return TINYINT;
    case 'smallint':
      return INT2;
    case 'int':
    case 'real':
      return INT4;
    case 'bigint':
    case 'float':
      return INT8;
    case 'decimal':
    case 'numeric':
      return decimal(type.precision ?? 18, type.scale ?? 0);
    case 'money':
      return MONEY;
    case 'smallmoney':
      return SMALLMONEY;
    case 'datetime':
      return DATETIME;
    case 'smalldatetime':
      return SMALLDATETIME;
    case 'date':
      return DATE;
    case 'time':
      return time(type.scale ?? 7);
    case 'datetime2':
      return datetime2(type.scale ?? 7);
    case 'datetimeoffset':
      return datetimeOffset(type.scale ?? 7);
    case 'uniqueidentifier':
      return GUID;
    default:
      return undefined;
  }
}
