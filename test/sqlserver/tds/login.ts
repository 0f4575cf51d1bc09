/**
 * LOGIN7 of [MS-TDS]: the client's name, password, database and wishes. Runs on the server's thread.
 */
import { SqlError } from '../contract.js';
import { ProtocolViolation, TDS_VERSION } from './wire.js';

export interface Login {
  tdsVersion: number;
  /** The client's wish; 0 means the server's default. */
  packetSize: number;
  user: string;
  password: string;
  appName: string;
  database: string;
  /** The client will only read, and takes a secondary for it. */
  readOnlyIntent: boolean;
  /** The client offers the UTF8_SUPPORT feature. */
  wantsUtf8: boolean;
}

const FIXED_BYTES = 94;
const SUPPORTED: readonly number[] = Object.values(TDS_VERSION);

/** @returns the login a LOGIN7 payload holds; SqlError for a kind of login this server does not have. */
export function readLogin(payload: Buffer): Login {
  if (payload.length < FIXED_BYTES || payload.readUInt32LE(0) > payload.length) {
    throw new ProtocolViolation('LOGIN7 shorter than it says');
  }
  const tdsVersion = payload.readUInt32LE(4);
  if (!SUPPORTED.includes(tdsVersion)) {
    throw new SqlError(17835, `TDS version 0x${tdsVersion.toString(16)} is not supported by this server.`, {
      class: 20,
    });
  }
  const sspiBytes = payload.readUInt16LE(80);
  if (((payload[25] ?? 0) & 0x80) !== 0 || sspiBytes !== 0) {
    throw new SqlError(
      18452,
      'Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication.',
      { class: 14 },
    );
  }
  const extended = ((payload[27] ?? 0) & 0x10) !== 0;
  const features = extended ? featureIds(payload) : [];
  if (features.includes(0x02)) {
    throw new SqlError(18456, 'Login failed. Federated authentication is not supported.', { class: 14 });
  }
  return {
    tdsVersion,
    packetSize: payload.readUInt32LE(8),
    user: field(payload, 40).toString('utf16le'),
    password: clearPassword(field(payload, 44)).toString('utf16le'),
    appName: field(payload, 48).toString('utf16le'),
    database: field(payload, 68).toString('utf16le'),
    readOnlyIntent: ((payload[26] ?? 0) & 0x20) !== 0,
    wantsUtf8: features.includes(0x0a),
  };
}

/** The bytes that an offset and a count of characters at `at` point to. */
function field(payload: Buffer, at: number): Buffer {
  const offset = payload.readUInt16LE(at);
  const bytes = payload.readUInt16LE(at + 2) * 2;
  if (offset + bytes > payload.length) throw new ProtocolViolation('LOGIN7 field outside the message');
  return payload.subarray(offset, offset + bytes);
}

function clearPassword(scrambled: Buffer): Buffer {
  const clear = Buffer.alloc(scrambled.length);
  scrambled.forEach((byte, index) => {
    const swapped = byte ^ 0xa5;
    clear[index] = ((swapped << 4) | (swapped >> 4)) & 0xff;
  });
  return clear;
}

function featureIds(payload: Buffer): number[] {
  const pointer = payload.readUInt16LE(56);
  if (pointer + 4 > payload.length) throw new ProtocolViolation('LOGIN7 extension outside the message');
  const ids: number[] = [];
  let at = payload.readUInt32LE(pointer);
  while (at < payload.length && payload[at] !== 0xff) {
    ids.push(payload[at]!);
    if (at + 5 > payload.length) throw new ProtocolViolation('LOGIN7 feature outside the message');
    at += 5 + payload.readUInt32LE(at + 1);
  }
  return ids;
}
