/**
 * Values a client sends (RPC parameters, bulk rows): TYPE_INFO and value of [MS-TDS] to the contract's types and
 * PostgreSQL texts. Runs on the server's thread, once a value.
 */
import { SqlError, type SqlType } from '../contract.js';
import { codePageOfBytes } from './collations.js';
import type { ByteReader } from './reader.js';
import { decodeCodePage, escapeText } from './text.js';
import { PLP_NULL, ProtocolViolation, TYPE, USHORT_NULL, USHORT_PLP } from './wire.js';

export interface WireValueType {
  token: number;
  /** Size in bytes from TYPE_INFO, where the type has one. */
  size: number;
  type: SqlType;
  /** Code page of narrow text. */
  codePage: string;
}

const INT_NAMES: Readonly<Record<number, string>> = { 1: 'tinyint', 2: 'smallint', 4: 'int', 8: 'bigint' };

/** Reads a TYPE_INFO; SqlError 8009 for a type the server does not take. */
export function readTypeInfo(reader: ByteReader): WireValueType {
  const token = reader.u8();
  const simple = (name: string | undefined, size: number): WireValueType => {
    if (name === undefined) throw new ProtocolViolation(`type 0x${token.toString(16)} of ${size} bytes`);
    return { token, size, type: { name }, codePage: '' };
  };
  switch (token) {
    case TYPE.null:
      return simple('int', 0);
    case TYPE.int1:
      return simple('tinyint', 1);
    case TYPE.bit:
      return simple('bit', 1);
    case TYPE.int2:
      return simple('smallint', 2);
    case TYPE.int4:
      return simple('int', 4);
    case TYPE.int8:
      return simple('bigint', 8);
    case TYPE.float4:
      return simple('real', 4);
    case TYPE.float8:
      return simple('float', 8);
    case TYPE.money:
      return simple('money', 8);
    case TYPE.money4:
      return simple('smallmoney', 4);
    case TYPE.datetime:
      return simple('datetime', 8);
    case TYPE.datetime4:
      return simple('smalldatetime', 4);
    case TYPE.intN: {
      const size = reader.u8();
      return simple(INT_NAMES[size], size);
    }
    case TYPE.bitN:
      return simple('bit', reader.u8());
    case TYPE.floatN: {
      const size = reader.u8();
      return simple(size === 4 ? 'real' : 'float', size);
    }
    case TYPE.moneyN: {
      const size = reader.u8();
      return simple(size === 4 ? 'smallmoney' : 'money', size);
    }
    case TYPE.datetimeN: {
      const size = reader.u8();
      return simple(size === 4 ? 'smalldatetime' : 'datetime', size);
    }
    case TYPE.guid:
      return simple('uniqueidentifier', reader.u8());
    case TYPE.date:
      return simple('date', 3);
    case TYPE.time:
    case TYPE.datetime2:
    case TYPE.datetimeOffset: {
      const scale = reader.u8();
      const name = token === TYPE.time ? 'time' : token === TYPE.datetime2 ? 'datetime2' : 'datetimeoffset';
      return { token, size: 0, type: { name, scale }, codePage: '' };
    }
    case TYPE.decimalN:
    case TYPE.numericN: {
      const size = reader.u8();
      const precision = reader.u8();
      const scale = reader.u8();
      const name = token === TYPE.decimalN ? 'decimal' : 'numeric';
      return { token, size, type: { name, precision, scale }, codePage: '' };
    }
    case TYPE.bigVarBinary:
    case TYPE.bigBinary: {
      const size = reader.u16();
      const name = token === TYPE.bigBinary ? 'binary' : 'varbinary';
      return { token, size, type: { name, length: size === USHORT_PLP ? -1 : size }, codePage: '' };
    }
    case TYPE.bigVarChar:
    case TYPE.bigChar:
    case TYPE.nvarchar:
    case TYPE.nchar: {
      const size = reader.u16();
      const codePage = codePageOfBytes(reader.bytes(5));
      const wide = token === TYPE.nvarchar || token === TYPE.nchar;
      const length = size === USHORT_PLP ? -1 : wide ? size / 2 : size;
      const fixed = token === TYPE.bigChar || token === TYPE.nchar;
      return { token, size, type: { name: `${wide ? 'n' : ''}${fixed ? '' : 'var'}char`, length }, codePage };
    }
    case TYPE.text:
    case TYPE.ntext: {
      const size = reader.u32();
      const codePage = codePageOfBytes(reader.bytes(5));
      return { token, size, type: { name: token === TYPE.text ? 'text' : 'ntext' }, codePage };
    }
    case TYPE.image:
      return simple('image', reader.u32());
    case TYPE.xml:
      if (reader.u8() !== 0)
        throw new SqlError(8009, 'XML schema collections are not supported by the stand-in server.');
      return simple('xml', 0);
    default:
      throw new SqlError(
        8009,
        `The incoming tabular data stream (TDS) remote procedure call (RPC) protocol stream is incorrect. Data type 0x${token
          .toString(16)
          .toUpperCase()} is unknown.`,
        { state: 4 },
      );
  }
}

/** Reads a value of a parameter. @returns its storage type's PostgreSQL text, or null. */
export function readValue(reader: ByteReader, wire: WireValueType): string | null {
  const bytes = readBytes(reader, wire);
  return bytes === null ? null : textOf(bytes, wire);
}

function readBytes(reader: ByteReader, wire: WireValueType): Buffer | null {
  switch (wire.token) {
    case TYPE.null:
      return null;
    case TYPE.int1:
    case TYPE.bit:
    case TYPE.int2:
    case TYPE.int4:
    case TYPE.int8:
    case TYPE.float4:
    case TYPE.float8:
    case TYPE.money:
    case TYPE.money4:
    case TYPE.datetime:
    case TYPE.datetime4:
      return reader.bytes(wire.size);
    case TYPE.xml:
      return readPlp(reader);
    case TYPE.text:
    case TYPE.ntext:
    case TYPE.image: {
      // As a parameter a long value has no text pointer, only its length.
      const length = reader.i32();
      return length < 0 ? null : reader.bytes(length);
    }
    case TYPE.bigVarBinary:
    case TYPE.bigBinary:
    case TYPE.bigVarChar:
    case TYPE.bigChar:
    case TYPE.nvarchar:
    case TYPE.nchar: {
      if (wire.size === USHORT_PLP) return readPlp(reader);
      const length = reader.u16();
      return length === USHORT_NULL ? null : reader.bytes(length);
    }
    default: {
      const length = reader.u8();
      return length === 0 ? null : reader.bytes(length);
    }
  }
}

/** Reads a PLP value of known or unknown length, in any number of chunks. */
function readPlp(reader: ByteReader): Buffer | null {
  if (reader.u64() === PLP_NULL) return null;
  const chunks: Buffer[] = [];
  for (let bytes = reader.u32(); bytes !== 0; bytes = reader.u32()) chunks.push(reader.bytes(bytes));
  return Buffer.concat(chunks);
}

function textOf(bytes: Buffer, wire: WireValueType): string {
  const { type } = wire;
  switch (type.name) {
    case 'bit':
      return bytes[0] === 0 ? 'f' : 't';
    case 'tinyint':
      return String(bytes.readUInt8());
    case 'smallint':
      return String(bytes.readInt16LE());
    case 'int':
      return String(bytes.readInt32LE());
    case 'bigint':
      return String(bytes.readBigInt64LE());
    case 'real':
      return String(bytes.readFloatLE());
    case 'float':
      return String(bytes.readDoubleLE());
    case 'decimal':
    case 'numeric':
      return decimalText(bytes[0] === 0, bytes.subarray(1), type.scale ?? 0);
    case 'money':
      return unitsText((BigInt(bytes.readInt32LE(0)) << 32n) | BigInt(bytes.readUInt32LE(4)), 4);
    case 'smallmoney':
      return unitsText(BigInt(bytes.readInt32LE()), 4);
    case 'datetime':
      return String(bytes.readInt32LE(0) * 25_920_000 + bytes.readUInt32LE(4));
    case 'smalldatetime':
      return String(bytes.readUInt16LE(0) * 1440 + bytes.readUInt16LE(2));
    case 'date':
      return String(bytes.readUIntLE(0, 3));
    case 'time':
      return String(timeTicks(bytes, type.scale ?? 7));
    case 'datetime2':
      return String(dateTimeTicks(bytes, type.scale ?? 7));
    case 'datetimeoffset': {
      const field = Buffer.alloc(10);
      field.writeBigInt64BE(dateTimeTicks(bytes.subarray(0, -2), type.scale ?? 7), 0);
      field.writeUInt16BE(bytes.readInt16LE(bytes.length - 2) + 840, 8);
      return `\\x${field.toString('hex')}`;
    }
    case 'uniqueidentifier':
      return guidText(bytes);
    case 'binary':
    case 'varbinary':
    case 'image':
      return `\\x${bytes.toString('hex')}`;
    case 'nchar':
    case 'nvarchar':
    case 'ntext':
    case 'xml':
      if (bytes.length % 2 !== 0) throw new ProtocolViolation('UTF-16 of an odd number of bytes');
      return escapeText(bytes.toString('utf16le'));
    case 'char':
    case 'varchar':
    case 'text':
      return escapeText(decodeCodePage(bytes, wire.codePage));
    default:
      throw new ProtocolViolation(`no value of type ${type.name}`);
  }
}

function decimalText(negative: boolean, magnitude: Buffer, scale: number): string {
  let units = 0n;
  for (let index = magnitude.length - 1; index >= 0; index--)
    units = (units << 8n) | BigInt(magnitude[index]!);
  return unitsText(negative ? -units : units, scale);
}

function unitsText(units: bigint, scale: number): string {
  const negative = units < 0n;
  const digits = (negative ? -units : units).toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  return `${negative ? '-' : ''}${whole}${scale > 0 ? `.${digits.slice(-scale)}` : ''}`;
}

function timeTicks(bytes: Buffer, scale: number): bigint {
  return BigInt(bytes.readUIntLE(0, bytes.length)) * 10n ** BigInt(7 - scale);
}

function dateTimeTicks(bytes: Buffer, scale: number): bigint {
  const days = bytes.readUIntLE(bytes.length - 3, 3);
  return BigInt(days) * 864_000_000_000n + timeTicks(bytes.subarray(0, -3), scale);
}

function guidText(bytes: Buffer): string {
  const swapped = Buffer.from(bytes);
  swapped.subarray(0, 4).reverse();
  swapped.subarray(4, 6).reverse();
  swapped.subarray(6, 8).reverse();
  const hex = swapped.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
