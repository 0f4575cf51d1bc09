/**
 * The contract's storage types: PostgreSQL's text form to its binary COPY field. Used for sql_variant and by tests.
 * Runs on the server's thread.
 */
import type { SqlType } from '../contract.js';
import { numericBinary } from './numeric.js';

/** @returns the bytes of PostgreSQL's hex form of a bytea. */
export function byteaOf(text: string): Buffer {
  if (!/^\\x(?:[0-9a-f]{2})*$/i.test(text)) throw new Error(`not a bytea in hex form: ${text.slice(0, 40)}`);
  return Buffer.from(text.slice(2), 'hex');
}

/** @returns the binary COPY field of a storage type's PostgreSQL text. */
export function storageBinary(type: SqlType, text: string): Buffer {
  switch (type.name) {
    case 'bit':
      return Buffer.from([text === 't' || text === 'true' || text === '1' ? 1 : 0]);
    case 'tinyint':
    case 'smallint':
      return sized(2, (bytes) => bytes.writeInt16BE(Number(text)));
    case 'int':
    case 'date':
    case 'smalldatetime':
      return sized(4, (bytes) => bytes.writeInt32BE(Number(text)));
    case 'bigint':
    case 'time':
    case 'datetime':
    case 'datetime2':
      return sized(8, (bytes) => bytes.writeBigInt64BE(BigInt(text)));
    case 'real':
      return sized(4, (bytes) => bytes.writeFloatBE(Number(text)));
    case 'float':
      return sized(8, (bytes) => bytes.writeDoubleBE(Number(text)));
    case 'decimal':
    case 'numeric':
    case 'money':
    case 'smallmoney':
      return numericBinary(text);
    case 'uniqueidentifier':
      return Buffer.from(text.replaceAll('-', ''), 'hex');
    case 'datetimeoffset':
      return byteaOf(text);
    case 'binary':
    case 'varbinary':
    case 'image':
    case 'rowversion':
    case 'timestamp':
      return byteaOf(text);
    default:
      return Buffer.from(text, 'utf8');
  }
}

function sized(bytes: number, write: (into: Buffer) => void): Buffer {
  const buffer = Buffer.alloc(bytes);
  write(buffer);
  return buffer;
}
