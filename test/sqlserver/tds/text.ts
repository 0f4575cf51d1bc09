/**
 * Text between PostgreSQL's UTF-8 (with the contract's escapes for U+0000 and lone surrogates) and the wire's
 * UTF-16LE or code pages. Runs on the server's thread, once a character value.
 */
import iconv from 'iconv-lite';
import type { PacketWriter } from './packets.js';

const NUL_ESCAPE = /\u{10FFFF}/gu;
const SURROGATE_ESCAPE = /[\u{10F000}-\u{10F7FF}]/gu;

/** Undoes the contract's escapes. */
export function unescapeText(text: string): string {
  return text
    .replace(NUL_ESCAPE, '\0')
    .replace(SURROGATE_ESCAPE, (mark) => String.fromCharCode(0xd800 + mark.codePointAt(0)! - 0x10f000));
}

/** Writes U+0000 and lone surrogates, which PostgreSQL's text cannot hold, as the contract's escapes. */
export function escapeText(text: string): string {
  if (!text.includes('\0') && text.isWellFormed()) return text;
  let out = '';
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code === 0) out += '\u{10FFFF}';
    else if (code >= 0xd800 && code <= 0xdfff) out += String.fromCodePoint(0x10f000 + code - 0xd800);
    else out += character;
  }
  return out;
}

/** @returns the text of UTF-8 bytes, escapes undone. */
export function readText(source: Buffer, start: number, end: number): string {
  const text = source.toString('utf8', start, end);
  // Escapes are the code points whose UTF-16 form begins with U+DBFC to U+DBFD or is U+DBFF U+DFFF.
  return text.includes('\udbfc') || text.includes('\udbfd') || text.includes('\u{10FFFF}')
    ? unescapeText(text)
    : text;
}

/** How character values of one column become bytes. */
export interface TextEncoding {
  /** The most bytes that `utf8Bytes` bytes of UTF-8 can become. */
  maxBytes(utf8Bytes: number): number;
  /** Writes a value at `out.position`, where there is room for `maxBytes`. */
  write(source: Buffer, start: number, length: number, out: PacketWriter): void;
  /** The bytes of a text, for values that are sent piecewise. */
  encode(text: string): Buffer;
  /** How many bytes `encode` makes. */
  byteLength(text: string): number;
}

const SHORT_BYTES = 48;

export const UTF16: TextEncoding = {
  maxBytes: (utf8Bytes) => utf8Bytes * 2,
  write(source, start, length, out) {
    const { buffer } = out;
    let at = out.position;
    const end = start + length;
    if (length <= SHORT_BYTES) {
      let from = start;
      for (; from < end; from++) {
        const byte = source[from]!;
        if (byte >= 0x80) break;
        buffer[at++] = byte;
        buffer[at++] = 0;
      }
      if (from === end) {
        out.position = at;
        return;
      }
      at = out.position;
    }
    out.position = at + buffer.write(readText(source, start, end), at, 'utf16le');
  },
  encode: (text) => Buffer.from(text, 'utf16le'),
  byteLength: (text) => text.length * 2,
};

const UTF8: TextEncoding = {
  maxBytes: (utf8Bytes) => utf8Bytes,
  write(source, start, length, out) {
    out.position += out.buffer.write(readText(source, start, start + length), out.position, 'utf8');
  },
  encode: (text) => Buffer.from(text, 'utf8'),
  byteLength: (text) => Buffer.byteLength(text, 'utf8'),
};

/** The code points 80 to 9F that a Windows code page leaves undefined: Windows maps them to themselves. */
const UNDEFINED_C1: Readonly<Record<string, readonly number[]>> = {
  cp1252: [0x81, 0x8d, 0x8f, 0x90, 0x9d],
  cp1250: [0x81, 0x83, 0x88, 0x90, 0x98],
  cp1251: [0x98],
  cp1253: [0x81, 0x88, 0x8a, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x98, 0x9a, 0x9c, 0x9d, 0x9e, 0x9f],
  cp1254: [0x81, 0x8d, 0x8e, 0x8f, 0x90, 0x9d, 0x9e],
  cp1255: [0x81, 0x8a, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x9a, 0x9c, 0x9d, 0x9e, 0x9f],
  cp1257: [0x81, 0x83, 0x88, 0x8a, 0x8c, 0x90, 0x98, 0x9a, 0x9c, 0x9f],
  cp1258: [0x81, 0x8a, 0x8d, 0x8e, 0x8f, 0x90, 0x9a, 0x9d, 0x9e],
};
const MULTI_BYTE = new Set(['cp932', 'cp936', 'cp949', 'cp950']);

/** Every UTF-16 code unit's byte in a code page of one byte a character; what it lacks is `?`. */
function singleByteTable(codePage: string): Uint8Array {
  const table = new Uint8Array(0x1_0000).fill(0x3f);
  const characters = decodeCodePage(Buffer.from(Array.from({ length: 256 }, (_one, byte) => byte)), codePage);
  for (let byte = 255; byte >= 0; byte--) {
    const code = characters.charCodeAt(byte);
    if (code !== 0xfffd) table[code] = byte;
  }
  return table;
}

function singleByteEncode(codePage: string): (text: string) => Buffer {
  const table = singleByteTable(codePage);
  return (text) => {
    const bytes = Buffer.allocUnsafe(text.length);
    for (let index = 0; index < text.length; index++) bytes[index] = table[text.charCodeAt(index)]!;
    return bytes;
  };
}

function codePageEncoding(codePage: string): TextEncoding {
  const multiByte = MULTI_BYTE.has(codePage);
  const encode = multiByte ? (text: string) => iconv.encode(text, codePage) : singleByteEncode(codePage);
  return {
    // Every character of these code pages takes as many bytes or more in UTF-8 (GB and Shift_JIS: 2 of 2 or 3),
    // but a character that is replaced by '?' may be the contract's 4-byte escape.
    maxBytes: (utf8Bytes) => utf8Bytes,
    write(source, start, length, out) {
      const { buffer } = out;
      const end = start + length;
      let at = out.position;
      let from = start;
      for (; from < end; from++) {
        const byte = source[from]!;
        if (byte >= 0x80) break;
        buffer[at++] = byte;
      }
      if (from === end) {
        out.position = at;
        return;
      }
      const bytes = encode(readText(source, from, end));
      buffer.set(bytes, at);
      out.position = at + bytes.length;
    },
    encode,
    byteLength: multiByte ? (text) => encode(text).length : (text) => text.length,
  };
}

const encodings = new Map<string, TextEncoding>([['utf8', UTF8]]);

/** @returns the encoding of a code page by iconv-lite's name. */
export function textEncoding(codePage: string): TextEncoding {
  let encoding = encodings.get(codePage);
  if (encoding === undefined) {
    if (!iconv.encodingExists(codePage)) throw new Error(`no code page ${codePage}`);
    encoding = codePageEncoding(codePage);
    encodings.set(codePage, encoding);
  }
  return encoding;
}

/** @returns the text of bytes in a code page, the undefined C1 bytes as the C1 characters. */
export function decodeCodePage(bytes: Buffer, codePage: string): string {
  const text = iconv.decode(bytes, codePage);
  const self = UNDEFINED_C1[codePage];
  if (self === undefined || !text.includes('\ufffd') || text.length !== bytes.length) return text;
  return Array.from(text, (character, index) =>
    character === '\ufffd' && self.includes(bytes[index]!) ? String.fromCharCode(bytes[index]!) : character,
  ).join('');
}
