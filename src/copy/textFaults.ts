/**
 * Text of any encoding, with a policy for U+0000: the slower way round `textWriters.ts`, for long values, for
 * `on_nul` other than error, and for saying what exactly is wrong with a value. Runs on the reader workers.
 */
import { AppError } from '../errors.js';
import { type CodePage, codePage, type TextEncoding, UNDEFINED_UNIT } from './codepages.js';
import { TEXT_HAS_NUL, TEXT_LONE_SURROGATE } from './textKernel.js';
import { TEXT_INVALID, writeDoubleByte, writeSingleByte, writeUtf8, writeUtf16le } from './textWriters.js';

/** What becomes of U+0000: refuse the value, drop the character, or write U+FFFD in its place. */
export type NulPolicy = 'error' | 'strip' | 'replace';

/** Converts text of any encoding; returns as the functions of `textWriters.ts` do. */
export function convertText(
  src: Buffer,
  p: number,
  byteLength: number,
  encoding: TextEncoding,
  out: Buffer,
  o: number,
): number {
  if (encoding === 'utf16le') return writeUtf16le(src, p, byteLength, out, o);
  if (encoding === 'utf8') return writeUtf8(src, p, byteLength, out, o);
  const page = codePage(encoding);
  if (page.kind === 'single') return writeSingleByte(src, p, byteLength, page.table, out, o);
  return writeDoubleByte(src, p, byteLength, page.table, page.isLead, out, o);
}

/**
 * Converts text of any encoding and treats U+0000 as `nul` says; `out` must have room for `maxUtf8Bytes`.
 *
 * @returns the offset after the text, or a negative code of `textWriters.ts`; `TEXT_HAS_NUL` only under 'error'
 */
export function convertWithNul(
  src: Buffer,
  p: number,
  byteLength: number,
  encoding: TextEncoding,
  nul: NulPolicy,
  out: Buffer,
  o: number,
): number {
  if (nul === 'error') return convertText(src, p, byteLength, encoding, out, o);
  const unitBytes = encoding === 'utf16le' ? 2 : 1;
  const end = p + byteLength;
  let i = p;
  let at = o;
  for (;;) {
    const next = indexOfNul(src, i, end, unitBytes);
    at = convertText(src, i, next - i, encoding, out, at);
    if (at < 0 || next >= end) return at;
    if (nul === 'replace') {
      out[at] = 0xef;
      out[at + 1] = 0xbf;
      out[at + 2] = 0xbd;
      at += 3;
    }
    i = next + unitBytes;
  }
}

/** No encoding has a zero byte inside a longer character, except UTF-16 which is searched by units. */
function indexOfNul(src: Buffer, start: number, end: number, unitBytes: number): number {
  if (unitBytes === 1) {
    const found = src.subarray(start, end).indexOf(0);
    return found < 0 ? end : start + found;
  }
  for (let i = start; i + 1 < end; i += 2) {
    if ((src[i]! | src[i + 1]!) === 0) return i;
  }
  return end;
}

/** What is wrong with a text, and where. */
export interface TextFault {
  code: typeof TEXT_HAS_NUL | typeof TEXT_LONE_SURROGATE | typeof TEXT_INVALID;
  /** Characters before it; UTF-16 units for UTF-16, as SQL Server's LEN counts them. */
  character: number;
  /** The offending bytes. */
  bytes: Buffer;
}

/**
 * @param nulIsFault whether U+0000 counts
 * @returns the first thing in `bytes` that PostgreSQL's text cannot hold, or null. Plain and slow.
 */
export function findTextFault(bytes: Buffer, encoding: TextEncoding, nulIsFault = true): TextFault | null {
  const unitBytes = encoding === 'utf16le' ? 2 : 1;
  let character = 0;
  let i = 0;
  while (i < bytes.length) {
    const length = characterBytes(bytes, i, encoding);
    if (length < 0) {
      const code = encoding === 'utf16le' ? TEXT_LONE_SURROGATE : TEXT_INVALID;
      return { code, character, bytes: Buffer.from(bytes.subarray(i, i - length)) };
    }
    if (nulIsFault && length === unitBytes && bytes[i] === 0 && bytes[i + unitBytes - 1] === 0) {
      return { code: TEXT_HAS_NUL, character, bytes: Buffer.alloc(unitBytes) };
    }
    character += encoding === 'utf16le' ? length / 2 : 1;
    i += length;
  }
  return null;
}

/** @returns the bytes of the character at `i`; negative where it is none (then how many bytes to show) */
function characterBytes(bytes: Buffer, i: number, encoding: TextEncoding): number {
  const left = bytes.length - i;
  if (encoding === 'utf16le') {
    if (left < 2) return -left;
    const unit = bytes.readUInt16LE(i);
    if ((unit & 0xf800) !== 0xd800) return 2;
    if (unit >= 0xdc00 || left < 4) return -2;
    return (bytes.readUInt16LE(i + 2) & 0xfc00) === 0xdc00 ? 4 : -2;
  }
  if (encoding === 'utf8') {
    const lead = bytes[i]!;
    const wanted = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const scratch = Buffer.alloc(4);
    const written = writeUtf8(bytes, i, Math.min(wanted, left), scratch, 0);
    return written === TEXT_INVALID ? -1 : wanted;
  }
  const page: CodePage = codePage(encoding);
  const byte = bytes[i]!;
  if (page.kind === 'double' && page.isLead[byte] === 1) {
    if (left < 2) return -1;
    return page.table[(byte << 8) | bytes[i + 1]!] === UNDEFINED_UNIT ? -2 : 2;
  }
  return page.table[byte] === UNDEFINED_UNIT ? -1 : 1;
}

/** @returns the error that says what in the text cannot be represented, where, and what to do about it. */
export function textFaultError(fault: TextFault, encoding: TextEncoding, charactersBefore = 0): AppError {
  const where = `at character offset ${charactersBefore + fault.character}`;
  const hex = `0x${fault.bytes.toString('hex').toUpperCase()}`;
  if (fault.code === TEXT_HAS_NUL) {
    return new AppError(
      'VALUE_UNREPRESENTABLE',
      `text has a NUL character (U+0000) ${where}, which PostgreSQL text cannot hold`,
      { remedy: 'set migration.on_nul to strip or replace, or remove the character at the source' },
    );
  }
  if (fault.code === TEXT_LONE_SURROGATE) {
    return new AppError(
      'VALUE_UNREPRESENTABLE',
      `text has half of a UTF-16 surrogate pair (bytes ${hex}) ${where}, which has no UTF-8 form`,
      { remedy: 'correct the value at the source' },
    );
  }
  return new AppError(
    'VALUE_UNREPRESENTABLE',
    `text has the bytes ${hex} ${where}, which are no character of its encoding ${encoding}`,
    { remedy: 'correct the value at the source' },
  );
}

/**
 * The plain form of all conversions: `bytes` as a string, U+0000 included.
 *
 * @throws AppError VALUE_UNREPRESENTABLE for lone surrogates and for bytes that are no character
 */
export function decodeText(bytes: Buffer, encoding: TextEncoding): string {
  const fault = findTextFault(bytes, encoding, false);
  if (fault !== null) throw textFaultError(fault, encoding);
  if (encoding === 'utf16le' || encoding === 'utf8') return bytes.toString(encoding);
  const page = codePage(encoding);
  const parts: string[] = [];
  for (let i = 0; i < bytes.length; i += 1) {
    let index = bytes[i]!;
    if (page.kind === 'double' && page.isLead[index] === 1) {
      i += 1;
      index = (index << 8) | bytes[i]!;
    }
    parts.push(String.fromCharCode(page.table[index]!));
  }
  return parts.join('');
}

/**
 * Treats U+0000 in a decoded text as `nul` says.
 *
 * @throws AppError VALUE_UNREPRESENTABLE under 'error'
 */
export function applyNul(text: string, nul: NulPolicy): string {
  const character = text.indexOf('\0');
  if (character < 0) return text;
  if (nul === 'error') {
    throw textFaultError({ code: TEXT_HAS_NUL, character, bytes: Buffer.alloc(1) }, 'utf16le');
  }
  return text.replaceAll('\0', nul === 'strip' ? '' : '\ufffd');
}
