/**
 * Text into UTF-8 for binary COPY. Hot: called from generated code on the reader workers.
 *
 * These functions write the text only; the caller patches the length prefix, since the length is known
 * afterwards. Each returns the offset after the text, or one of the negative codes below; then what lies in `out`
 * from `o` on is undefined. Where both buffers lie in a lane's memory, the kernel does it (a call costs 5 ns, ASCII
 * 0.08 ns a character). Elsewhere short values go through loops with an ASCII lane, long ones through the engine's own
 * converters, which cost a fixed 0.1 us or more a call and are several times faster per byte.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { type TextEncoding, UNDEFINED_UNIT } from './codepages.js';
import { TEXT_HAS_NUL, TEXT_LONE_SURROGATE, type TextKernel, textKernel } from './textKernel.js';

/** Bytes that are no character of the encoding occur. */
export const TEXT_INVALID = -3;

/** From this many bytes of ASCII in UTF-16 on, the engine is faster than the loop (measured). */
const UTF16_ENGINE_BYTES = 512;
/** The same with other characters among them. */
const UTF16_WIDE_ENGINE_BYTES = 128;
/** From this many bytes on, the engine's ASCII and UTF-8 checks and its copy are faster than the loops. */
const BYTES_ENGINE_BYTES = 400;

/** The highest bit of each byte of an int32. */
const SIGN_BITS = 0x80808080 | 0;

/**
 * The views of the buffers used last, for reading and writing four bytes at a time at any alignment. Values come
 * by the thousands from one buffer and go into one, so making a view for each new buffer costs nothing.
 */
let source: Buffer = Buffer.alloc(0);
let sourceView = viewOf(source);
let target: Buffer = source;
let targetView = sourceView;
/** Where they begin in their memories. */
let sourceStart = 0;
let targetStart = 0;
/** The kernel where it reaches both; null elsewhere. */
let kernel: TextKernel | null = null;
/** A value the kernel is called for; below, the loop has done it before it begins. */
const KERNEL_BYTES = 16;

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}

function bindSource(src: Buffer): void {
  source = src;
  sourceView = viewOf(src);
  sourceStart = src.byteOffset;
  bindKernel();
}

function bindTarget(out: Buffer): void {
  target = out;
  targetView = viewOf(out);
  targetStart = out.byteOffset;
  bindKernel();
}

function bindKernel(): void {
  kernel = source.buffer === target.buffer ? textKernel.over(source.buffer) : null;
}

/**
 * @returns the capacity in bytes a conversion needs at `out`, whatever the text and the policy for U+0000: three
 *   bytes for each UTF-16 unit or code page byte (U+0000 replaced by U+FFFD makes it three for UTF-8 too)
 */
export function maxUtf8Bytes(encoding: TextEncoding, byteLength: number): number {
  return encoding === 'utf16le' ? (byteLength >> 1) * 3 + (byteLength & 1) : byteLength * 3;
}

/** UTF-16LE at any alignment; at most 3 bytes for each unit. */
export function writeUtf16le(src: Buffer, p: number, byteLength: number, out: Buffer, o: number): number {
  if ((byteLength & 1) !== 0) return TEXT_LONE_SURROGATE;
  if (src !== source) bindSource(src);
  if (out !== target) bindTarget(out);
  if (kernel !== null && byteLength >= KERNEL_BYTES) {
    const to = kernel.utf16(sourceStart + p, byteLength, targetStart + o);
    return to < 0 ? to : to - targetStart;
  }
  if (byteLength >= UTF16_ENGINE_BYTES) return writeUtf16leByEngine(src, p, byteLength, out, o);
  const from = sourceView;
  const to = targetView;
  const end = p + byteLength;
  const lanesEnd = end - 16;
  let i = p;
  let at = o;
  while (i < end) {
    while (i <= lanesEnd) {
      const first = from.getInt32(i, true);
      const second = from.getInt32(i + 4, true);
      const third = from.getInt32(i + 8, true);
      const fourth = from.getInt32(i + 12, true);
      const low = ((first | (first >>> 8)) & 0xffff) | ((second | (second >>> 8)) << 16);
      const high = ((third | (third >>> 8)) & 0xffff) | ((fourth | (fourth >>> 8)) << 16);
      // A unit over 0x7f shows by its upper bits, a zero unit, once all are ASCII, by the borrow of subtracting one.
      const wide = (first | second | third | fourth) & 0xff80ff80;
      if ((wide | (((low - 0x01010101) | (high - 0x01010101)) & SIGN_BITS)) !== 0) break;
      to.setInt32(at, low, true);
      to.setInt32(at + 4, high, true);
      at += 8;
      i += 16;
    }
    // Other than ASCII the loop is slow, so the engine pays sooner.
    if (i + UTF16_WIDE_ENGINE_BYTES <= end) return writeUtf16leByEngine(src, i, end - i, out, at);
    const singlesEnd = Math.min(i + 16, end);
    while (i < singlesEnd) {
      const unit = src[i]! | (src[i + 1]! << 8);
      i += 2;
      if (unit < 0x80) {
        if (unit === 0) return TEXT_HAS_NUL;
        out[at] = unit;
        at += 1;
      } else if (unit < 0x800) {
        out[at] = 0xc0 | (unit >> 6);
        out[at + 1] = 0x80 | (unit & 0x3f);
        at += 2;
      } else if ((unit & 0xf800) !== 0xd800) {
        out[at] = 0xe0 | (unit >> 12);
        out[at + 1] = 0x80 | ((unit >> 6) & 0x3f);
        out[at + 2] = 0x80 | (unit & 0x3f);
        at += 3;
      } else {
        if (unit >= 0xdc00 || i >= end) return TEXT_LONE_SURROGATE;
        const low = src[i]! | (src[i + 1]! << 8);
        if ((low & 0xfc00) !== 0xdc00) return TEXT_LONE_SURROGATE;
        i += 2;
        const point = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
        out[at] = 0xf0 | (point >> 18);
        out[at + 1] = 0x80 | ((point >> 12) & 0x3f);
        out[at + 2] = 0x80 | ((point >> 6) & 0x3f);
        out[at + 3] = 0x80 | (point & 0x3f);
        at += 4;
      }
    }
  }
  return at;
}

function writeUtf16leByEngine(src: Buffer, p: number, byteLength: number, out: Buffer, o: number): number {
  const text = src.toString('utf16le', p, p + byteLength);
  // The engine would silently write U+FFFD for a lone surrogate.
  if (!text.isWellFormed()) return TEXT_LONE_SURROGATE;
  if (text.indexOf('\0') >= 0) return TEXT_HAS_NUL;
  return o + out.write(text, o, 'utf8');
}

/** A code page of one byte a character; at most 3 bytes for each byte. `table`: see `SingleBytePage`. */
export function writeSingleByte(
  src: Buffer,
  p: number,
  byteLength: number,
  table: Uint16Array,
  out: Buffer,
  o: number,
): number {
  if (src !== source) bindSource(src);
  if (out !== target) bindTarget(out);
  const plain = plainAscii(src, p, byteLength, out, o);
  const from = sourceView;
  const to = targetView;
  const end = p + byteLength;
  const lanesEnd = end - 4;
  let i = p + plain;
  let at = o + plain;
  while (i < end) {
    while (i <= lanesEnd) {
      const word = from.getInt32(i, true);
      // A byte over 0x7f shows by its high bit, a zero byte by the borrow of subtracting one.
      if (((word | (word - 0x01010101)) & SIGN_BITS) !== 0) break;
      to.setInt32(at, word, true);
      at += 4;
      i += 4;
    }
    const singlesEnd = Math.min(i + 4, end);
    while (i < singlesEnd) {
      const unit = table[src[i]!]!;
      i += 1;
      if (unit < 0x80) {
        if (unit === 0) return TEXT_HAS_NUL;
        out[at] = unit;
        at += 1;
      } else if (unit < 0x800) {
        out[at] = 0xc0 | (unit >> 6);
        out[at + 1] = 0x80 | (unit & 0x3f);
        at += 2;
      } else {
        if (unit === UNDEFINED_UNIT) return TEXT_INVALID;
        out[at] = 0xe0 | (unit >> 12);
        out[at + 1] = 0x80 | ((unit >> 6) & 0x3f);
        out[at + 2] = 0x80 | (unit & 0x3f);
        at += 3;
      }
    }
  }
  return at;
}

/** A code page of one or two bytes a character; at most 3 bytes for each byte. See `DoubleBytePage`. */
export function writeDoubleByte(
  src: Buffer,
  p: number,
  byteLength: number,
  table: Uint16Array,
  isLead: Uint8Array,
  out: Buffer,
  o: number,
): number {
  if (src !== source) bindSource(src);
  if (out !== target) bindTarget(out);
  const plain = plainAscii(src, p, byteLength, out, o);
  const from = sourceView;
  const to = targetView;
  const end = p + byteLength;
  const lanesEnd = end - 4;
  let i = p + plain;
  let at = o + plain;
  while (i < end) {
    while (i <= lanesEnd) {
      const word = from.getInt32(i, true);
      // A byte over 0x7f shows by its high bit, a zero byte by the borrow of subtracting one.
      if (((word | (word - 0x01010101)) & SIGN_BITS) !== 0) break;
      to.setInt32(at, word, true);
      at += 4;
      i += 4;
    }
    const singlesEnd = Math.min(i + 4, end);
    while (i < singlesEnd) {
      const byte = src[i]!;
      i += 1;
      if (byte < 0x80) {
        if (byte === 0) return TEXT_HAS_NUL;
        out[at] = byte;
        at += 1;
        continue;
      }
      let unit: number;
      if (isLead[byte] === 1) {
        if (i >= end) return TEXT_INVALID;
        unit = table[(byte << 8) | src[i]!]!;
        i += 1;
      } else {
        unit = table[byte]!;
      }
      if (unit < 0x800) {
        // No pair is ASCII, and U+0080 is the least a single byte becomes.
        out[at] = 0xc0 | (unit >> 6);
        out[at + 1] = 0x80 | (unit & 0x3f);
        at += 2;
      } else {
        if (unit === UNDEFINED_UNIT) return TEXT_INVALID;
        out[at] = 0xe0 | (unit >> 12);
        out[at + 1] = 0x80 | ((unit >> 6) & 0x3f);
        out[at + 2] = 0x80 | (unit & 0x3f);
        at += 3;
      }
    }
  }
  return at;
}

/**
 * UTF-8 (a _UTF8 collation), copied after a strict check: no overlong forms, no surrogates, nothing over U+10FFFF.
 * As many bytes as `src` has.
 */
export function writeUtf8(src: Buffer, p: number, byteLength: number, out: Buffer, o: number): number {
  if (byteLength >= BYTES_ENGINE_BYTES) {
    const value = src.subarray(p, p + byteLength);
    if (value.indexOf(0) >= 0) return TEXT_HAS_NUL;
    if (!isUtf8(value)) return TEXT_INVALID;
    src.copy(out, o, p, p + byteLength);
    return o + byteLength;
  }
  if (src !== source) bindSource(src);
  if (out !== target) bindTarget(out);
  const plain = plainAscii(src, p, byteLength, out, o);
  const from = sourceView;
  const to = targetView;
  const end = p + byteLength;
  const lanesEnd = end - 4;
  let i = p + plain;
  let at = o + plain;
  while (i < end) {
    while (i <= lanesEnd) {
      const word = from.getInt32(i, true);
      // A byte over 0x7f shows by its high bit, a zero byte by the borrow of subtracting one.
      if (((word | (word - 0x01010101)) & SIGN_BITS) !== 0) break;
      to.setInt32(at, word, true);
      at += 4;
      i += 4;
    }
    if (i >= end) break;
    const lead = src[i]!;
    i += 1;
    out[at] = lead;
    at += 1;
    if (lead < 0x80) {
      if (lead === 0) return TEXT_HAS_NUL;
      continue;
    }
    // Unicode's table of well-formed sequences: only the first continuation byte has bounds of its own.
    let least = 0x80;
    let most = 0xbf;
    let more: number;
    if (lead < 0xc2) return TEXT_INVALID;
    if (lead < 0xe0) {
      more = 1;
    } else if (lead < 0xf0) {
      more = 2;
      if (lead === 0xe0) least = 0xa0;
      else if (lead === 0xed) most = 0x9f;
    } else if (lead < 0xf5) {
      more = 3;
      if (lead === 0xf0) least = 0x90;
      else if (lead === 0xf4) most = 0x8f;
    } else {
      return TEXT_INVALID;
    }
    if (i + more > end) return TEXT_INVALID;
    while (more > 0) {
      const byte = src[i]!;
      if (byte < least || byte > most) return TEXT_INVALID;
      out[at] = byte;
      at += 1;
      i += 1;
      more -= 1;
      least = 0x80;
      most = 0xbf;
    }
  }
  return at;
}

/** Copies the ASCII, other than NUL, that a value begins with, as far as that is quick. @returns the bytes copied */
function plainAscii(src: Buffer, p: number, byteLength: number, out: Buffer, o: number): number {
  if (kernel !== null) {
    return byteLength < KERNEL_BYTES ? 0 : kernel.ascii(sourceStart + p, byteLength, targetStart + o);
  }
  if (byteLength < BYTES_ENGINE_BYTES) return 0;
  const value = src.subarray(p, p + byteLength);
  if (!isAscii(value) || value.indexOf(0) >= 0) return 0;
  src.copy(out, o, p, p + byteLength);
  return byteLength;
}

/**
 * Fills a char(n) up with blanks, as PostgreSQL's bpchar stores it.
 *
 * @param start where its UTF-8 begins in `out`
 * @param end the offset after it
 * @param characters n, counted in code points
 * @returns the offset after the blanks; `out` has room for `characters` bytes beyond what the text needs
 */
export function padBlank(out: Buffer, start: number, end: number, characters: number): number {
  let missing = characters;
  for (let i = start; i < end; i += 1) if ((out[i]! & 0xc0) !== 0x80) missing -= 1;
  let at = end;
  for (; missing > 0; missing -= 1) {
    out[at] = 0x20;
    at += 1;
  }
  return at;
}
