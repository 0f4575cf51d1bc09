/**
 * SSVARIANTTYPE of [MS-TDS]: base type, its properties and the value, from the contract's JSON form. Runs on the
 * server's thread, once a value.
 */
import type { SqlType } from '../contract.js';
import { wireType } from './columns.js';
import { fixedEncoder } from './fixed.js';
import type { PacketWriter } from './packets.js';
import { byteaOf, storageBinary } from './storage.js';
import { textEncoding, unescapeText } from './text.js';
import { TYPE } from './wire.js';

/** Writes a variant: total length, base type, property bytes, value. */
export function writeVariant(json: string, out: PacketWriter): void {
  const { type, value } = JSON.parse(json) as { type: SqlType; value: string };
  const at = out.position;
  out.u32(0);
  // The base type is written as in a NOT NULL column.
  const wire = wireType(type, false);
  const properties = variantProperties(type, wire.info);
  out.u8(wire.token);
  out.u8(properties.length);
  out.bytes(properties);
  const fixed = fixedEncoder(type);
  if (fixed !== undefined) {
    const field = storageBinary(type, value);
    out.ensure(fixed.bytes);
    fixed.write(field, 0, out, field.length);
  } else if (isBinary(type)) out.bytes(byteaOf(value));
  else {
    const text = unescapeText(value);
    const wide = wire.token === TYPE.nvarchar || wire.token === TYPE.nchar;
    out.bytes(wide ? Buffer.from(text, 'utf16le') : textEncoding(wire.collation!.codePage).encode(text));
  }
  out.buffer.writeUInt32LE(out.position - at - 4, at);
}

function isBinary(type: SqlType): boolean {
  return type.name === 'binary' || type.name === 'varbinary';
}

function variantProperties(type: SqlType, info: Buffer): Buffer {
  switch (type.name) {
    case 'decimal':
    case 'numeric':
      return info.subarray(1);
    case 'time':
    case 'datetime2':
    case 'datetimeoffset':
      return info;
    case 'binary':
    case 'varbinary':
      return info;
    case 'char':
    case 'varchar':
    case 'nchar':
    case 'nvarchar':
      // In a variant the collation stands before the maximal length.
      return Buffer.concat([info.subarray(2), info.subarray(0, 2)]);
    default:
      return Buffer.alloc(0);
  }
}
