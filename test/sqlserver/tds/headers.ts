/**
 * ALL_HEADERS and transaction manager requests of [MS-TDS]. Runs on the server's thread, once a request.
 */
import { SqlError } from '../contract.js';
import { ByteReader } from './reader.js';
import { ProtocolViolation } from './wire.js';

const HEADER_TRANSACTION = 2;

export interface AllHeaders {
  /** The transaction the client believes it is in; zero for none. */
  descriptor: bigint;
  /** The request behind the headers. */
  body: Buffer;
}

/** Splits a request into its ALL_HEADERS and its body. */
export function readAllHeaders(payload: Buffer): AllHeaders {
  const reader = new ByteReader(payload);
  const totalBytes = reader.u32();
  if (totalBytes < 4 || totalBytes > payload.length)
    throw new ProtocolViolation('ALL_HEADERS longer than the request');
  const headers = new ByteReader(payload.subarray(4, totalBytes));
  let descriptor: bigint | undefined;
  while (headers.left > 0) {
    const header = new ByteReader(headers.bytes(Math.max(headers.u32() - 4, 0)));
    if (header.u16() === HEADER_TRANSACTION) descriptor = header.u64();
  }
  if (descriptor === undefined) throw new ProtocolViolation('request without a transaction descriptor');
  return { descriptor, body: payload.subarray(totalBytes) };
}

/** What a transaction manager request asks for, as T-SQL. */
export interface TransactionRequest {
  kind: 'begin' | 'commit' | 'rollback' | 'save';
  sql: string;
}

const TM = { begin: 5, commit: 7, rollback: 8, save: 9 } as const;
const ISOLATION: readonly string[] = [
  '',
  'READ UNCOMMITTED',
  'READ COMMITTED',
  'REPEATABLE READ',
  'SERIALIZABLE',
  'SNAPSHOT',
];

/** Reads a transaction manager request behind its ALL_HEADERS. */
export function readTransactionRequest(body: Buffer): TransactionRequest {
  const reader = new ByteReader(body);
  const type = reader.u16();
  switch (type) {
    case TM.begin: {
      const isolation = readIsolation(reader);
      return { kind: 'begin', sql: `${isolation}BEGIN TRANSACTION${readName(reader)}` };
    }
    case TM.commit:
      return { kind: 'commit', sql: `COMMIT TRANSACTION${readName(reader)}${readFollower(reader)}` };
    case TM.rollback:
      return { kind: 'rollback', sql: `ROLLBACK TRANSACTION${readName(reader)}${readFollower(reader)}` };
    case TM.save:
      return { kind: 'save', sql: `SAVE TRANSACTION${readName(reader)}` };
    default:
      throw new SqlError(
        3973,
        `Transaction manager request ${type} is not supported by the stand-in server.`,
      );
  }
}

function readIsolation(reader: ByteReader): string {
  const level = ISOLATION[reader.u8()];
  if (level === undefined) throw new ProtocolViolation('unknown isolation level');
  return level === '' ? '' : `SET TRANSACTION ISOLATION LEVEL ${level}; `;
}

/** A name, in bytes on the wire, quoted for T-SQL behind a blank. */
function readName(reader: ByteReader): string {
  const bytes = reader.left > 0 ? reader.u8() : 0;
  const name = reader.bytes(bytes).toString('utf16le');
  return name === '' ? '' : ` [${name.replaceAll(']', ']]')}]`;
}

/** fBeginXact: the end of one transaction begins the next. */
function readFollower(reader: ByteReader): string {
  if (reader.left === 0 || (reader.u8() & 1) === 0) return '';
  const isolation = readIsolation(reader);
  return `; ${isolation}BEGIN TRANSACTION${readName(reader)}`;
}
