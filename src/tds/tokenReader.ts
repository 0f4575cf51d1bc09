/**
 * Reads the tokens of a response other than rows: metadata, messages, completion. Reader thread.
 *
 * [MS-TDS] Packet Data Token Stream. "Need more bytes" is the return value null; the token is read again from
 * its first byte when more has arrived.
 */
import { AppError } from '../errors.js';
import { type ColMetadata, readColMetadata } from './colmetadata.js';
import { TOKEN } from './tokens.js';

/** [MS-TDS] ERROR and INFO, in tedious's words: its request handler takes them as they are. */
export interface ServerMessageToken {
  kind: 'error' | 'info';
  end: number;
  number: number;
  state: number;
  class: number;
  message: string;
  serverName: string;
  procName: string;
  lineNumber: number;
}

/** [MS-TDS] DONE, DONEPROC, DONEINPROC. */
export interface DoneToken {
  kind: 'done';
  end: number;
  /** More results follow in this response. */
  more: boolean;
  /** The statement failed, whether or not an ERROR token said so. */
  failed: boolean;
}

export interface MetadataToken extends ColMetadata {
  kind: 'columns';
}

/** A token that bulk reading has no use for, skipped whole. */
export interface SkippedToken {
  kind: 'skipped';
  end: number;
}

export type Token = ServerMessageToken | DoneToken | MetadataToken | SkippedToken;

const DONE_MORE = 0x1;
const DONE_ERROR = 0x2;
const DONE_SRVERROR = 0x100;
const DONE_BYTES = 12;

/**
 * @param at offset of the token's type byte
 * @param end end of the bytes that have arrived
 * @returns the token, or null when more bytes are needed
 * @throws AppError PROTOCOL for a token that has no place in the response to a query
 */
export function readToken(bytes: Buffer, at: number, end: number): Token | null {
  if (at >= end) return null;
  const type = bytes.readUInt8(at);
  switch (type) {
    case TOKEN.COLMETADATA: {
      const metadata = readColMetadata(bytes, at + 1, end);
      return metadata === null ? null : { kind: 'columns', ...metadata };
    }
    case TOKEN.ERROR:
    case TOKEN.INFO:
      return readMessage(bytes, at, end, type === TOKEN.ERROR ? 'error' : 'info');
    case TOKEN.DONE:
    case TOKEN.DONEPROC:
    case TOKEN.DONEINPROC: {
      if (at + 1 + DONE_BYTES > end) return null;
      const status = bytes.readUInt16LE(at + 1);
      return {
        kind: 'done',
        end: at + 1 + DONE_BYTES,
        more: (status & DONE_MORE) !== 0,
        failed: (status & (DONE_ERROR | DONE_SRVERROR)) !== 0,
      };
    }
    case TOKEN.RETURNSTATUS:
      return at + 5 > end ? null : { kind: 'skipped', end: at + 5 };
    case TOKEN.ORDER:
    case TOKEN.ENVCHANGE:
    case TOKEN.TABNAME:
    case TOKEN.COLINFO: {
      if (at + 3 > end) return null;
      const after = at + 3 + bytes.readUInt16LE(at + 1);
      return after > end ? null : { kind: 'skipped', end: after };
    }
    case TOKEN.SESSIONSTATE: {
      if (at + 5 > end) return null;
      const after = at + 5 + bytes.readUInt32LE(at + 1);
      return after > end ? null : { kind: 'skipped', end: after };
    }
    default:
      throw new AppError(
        'PROTOCOL',
        `The server sent token 0x${type.toString(16)}, which has no place in the answer to a query`,
      );
  }
}

function readMessage(
  bytes: Buffer,
  at: number,
  end: number,
  kind: 'error' | 'info',
): ServerMessageToken | null {
  if (at + 3 > end) return null;
  const length = bytes.readUInt16LE(at + 1);
  const after = at + 3 + length;
  if (after > end) return null;
  let position = at + 3;
  const need = (count: number): number => {
    if (position + count > after) {
      throw new AppError(
        'PROTOCOL',
        `The server sent a message token whose parts exceed its length of ${length} bytes`,
      );
    }
    position += count;
    return position - count;
  };
  const text = (characters: number): string => {
    const from = need(characters * 2);
    return bytes.toString('ucs2', from, position);
  };
  const number = bytes.readInt32LE(need(4));
  const state = bytes.readUInt8(need(1));
  const severity = bytes.readUInt8(need(1));
  const message = text(bytes.readUInt16LE(need(2)));
  const serverName = text(bytes.readUInt8(need(1)));
  const procName = text(bytes.readUInt8(need(1)));
  const lineNumber = bytes.readUInt32LE(need(4));
  return { kind, end: after, number, state, class: severity, message, serverName, procName, lineNumber };
}
