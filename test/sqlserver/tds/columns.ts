/**
 * A result's columns on the wire: COLMETADATA and TYPE_INFO of [MS-TDS], and the wire type each declared T-SQL
 * type has. Runs on the server's thread, once a result.
 */
import { type ResultColumn, SqlError, type SqlType } from '../contract.js';
import { type Collation, collationOf, DEFAULT_COLLATION } from './collations.js';
import { decimalBytes } from './fixed.js';
import type { PacketWriter } from './packets.js';
import { TOKEN, TYPE, USHORT_PLP } from './wire.js';

/** How a value's length stands before its bytes. */
type Prefix = 'none' | 'byte' | 'ushort' | 'plp' | 'textPointer' | 'variant';

export interface WireType {
  token: number;
  prefix: Prefix;
  /** The bytes of TYPE_INFO behind the type's own byte. */
  info: Buffer;
  collation?: Collation;
  /** Wire bytes a value is blank- or zero-padded to (char, nchar, binary). */
  padTo?: number;
  /** The most wire bytes a USHORTLEN value has. */
  maxBytes?: number;
  hasTableName?: boolean;
}

/** Type byte of a NOT NULL column, or [type byte, size] of a nullable one. */
const SIMPLE: Readonly<Record<string, { fixed: number; nullable: number; bytes: number }>> = {
  bit: { fixed: TYPE.bit, nullable: TYPE.bitN, bytes: 1 },
  tinyint: { fixed: TYPE.int1, nullable: TYPE.intN, bytes: 1 },
  smallint: { fixed: TYPE.int2, nullable: TYPE.intN, bytes: 2 },
  int: { fixed: TYPE.int4, nullable: TYPE.intN, bytes: 4 },
  bigint: { fixed: TYPE.int8, nullable: TYPE.intN, bytes: 8 },
  real: { fixed: TYPE.float4, nullable: TYPE.floatN, bytes: 4 },
  float: { fixed: TYPE.float8, nullable: TYPE.floatN, bytes: 8 },
  smallmoney: { fixed: TYPE.money4, nullable: TYPE.moneyN, bytes: 4 },
  money: { fixed: TYPE.money, nullable: TYPE.moneyN, bytes: 8 },
  smalldatetime: { fixed: TYPE.datetime4, nullable: TYPE.datetimeN, bytes: 4 },
  datetime: { fixed: TYPE.datetime, nullable: TYPE.datetimeN, bytes: 8 },
};

const MAX_INT = 0x7fff_ffff;
const none = Buffer.alloc(0);

/** @returns the wire type of a column; SqlError for a type that never goes out raw. */
export function wireType(type: SqlType, nullable: boolean): WireType {
  const simple = SIMPLE[type.name];
  if (simple !== undefined) {
    return nullable
      ? { token: simple.nullable, prefix: 'byte', info: Buffer.from([simple.bytes]) }
      : { token: simple.fixed, prefix: 'none', info: none };
  }
  switch (type.name) {
    case 'decimal':
    case 'numeric': {
      const precision = type.precision ?? 18;
      const info = Buffer.from([decimalBytes(precision), precision, type.scale ?? 0]);
      return { token: type.name === 'decimal' ? TYPE.decimalN : TYPE.numericN, prefix: 'byte', info };
    }
    case 'date':
      return { token: TYPE.date, prefix: 'byte', info: none };
    case 'time':
      return { token: TYPE.time, prefix: 'byte', info: Buffer.from([type.scale ?? 7]) };
    case 'datetime2':
      return { token: TYPE.datetime2, prefix: 'byte', info: Buffer.from([type.scale ?? 7]) };
    case 'datetimeoffset':
      return { token: TYPE.datetimeOffset, prefix: 'byte', info: Buffer.from([type.scale ?? 7]) };
    case 'uniqueidentifier':
      return { token: TYPE.guid, prefix: 'byte', info: Buffer.from([16]) };
    case 'char':
      return sizedText(TYPE.bigChar, type, 1, true);
    case 'varchar':
      return sizedText(TYPE.bigVarChar, type, 1, false);
    case 'nchar':
      return sizedText(TYPE.nchar, type, 2, true);
    case 'nvarchar':
      return sizedText(TYPE.nvarchar, type, 2, false);
    case 'sysname':
      return sizedText(TYPE.nvarchar, { ...type, length: 128 }, 2, false);
    case 'binary':
      return sizedBinary(TYPE.bigBinary, type.length ?? 1, true);
    case 'varbinary':
      return sizedBinary(TYPE.bigVarBinary, type.length ?? 1, false);
    case 'rowversion':
    case 'timestamp':
      return sizedBinary(TYPE.bigBinary, 8, true);
    case 'text':
      return longText(TYPE.text, type, MAX_INT);
    case 'ntext':
      return longText(TYPE.ntext, type, MAX_INT - 1);
    case 'image':
      return { token: TYPE.image, prefix: 'textPointer', info: u32(MAX_INT), hasTableName: true };
    case 'xml':
      return { token: TYPE.xml, prefix: 'plp', info: Buffer.from([0]) };
    case 'sql_variant':
      return { token: TYPE.variant, prefix: 'variant', info: u32(8009) };
    default:
      throw new SqlError(245, `The stand-in server does not send values of type ${type.name}.`);
  }
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function sizedText(token: number, type: SqlType, unitBytes: number, padded: boolean): WireType {
  const collation = collationOf(type.collation ?? DEFAULT_COLLATION);
  const length = type.length ?? 1;
  if (length === -1) {
    return { token, prefix: 'plp', info: Buffer.concat([u16(USHORT_PLP), collation.bytes]), collation };
  }
  const bytes = length * unitBytes;
  const info = Buffer.concat([u16(bytes), collation.bytes]);
  return { token, prefix: 'ushort', info, collation, maxBytes: bytes, ...(padded && { padTo: bytes }) };
}

function sizedBinary(token: number, length: number, padded: boolean): WireType {
  if (length === -1) return { token, prefix: 'plp', info: u16(USHORT_PLP) };
  return { token, prefix: 'ushort', info: u16(length), maxBytes: length, ...(padded && { padTo: length }) };
}

function longText(token: number, type: SqlType, bytes: number): WireType {
  const collation = collationOf(type.collation ?? DEFAULT_COLLATION);
  const info = Buffer.concat([u32(bytes), collation.bytes]);
  return { token, prefix: 'textPointer', info, collation, hasTableName: true };
}

const FLAG_NULLABLE = 0x0001;
/** usUpdateable = unknown, what SQL Server says of a plain SELECT. */
const FLAG_UPDATE_UNKNOWN = 0x0008;

/** The contract does not say which table a text column comes from; clients only have to step over the name. */
const TABLE_NAME = ['dbo', 'stand-in'];

/** User types that SQL Server itself gives. */
const USER_TYPE: Readonly<Record<string, number>> = { timestamp: 80, rowversion: 80, sysname: 256 };

/** Writes the COLMETADATA token of a result. */
export function writeColMetadata(
  out: PacketWriter,
  columns: readonly ResultColumn[],
  wires: readonly WireType[],
): void {
  out.u8(TOKEN.colMetadata);
  out.u16(columns.length);
  columns.forEach((column, index) => {
    const wire = wires[index]!;
    out.u32(USER_TYPE[column.type.name] ?? 0);
    out.u16(FLAG_UPDATE_UNKNOWN | (column.nullable ? FLAG_NULLABLE : 0));
    out.u8(wire.token);
    out.bytes(wire.info);
    if (wire.hasTableName === true) {
      out.u8(TABLE_NAME.length);
      for (const part of TABLE_NAME) out.usVarChar(part);
    }
    out.bVarChar(column.name);
  });
}
