/**
 * Text of values larger than a slot, piece by piece into UTF-8. Runs on the reader workers.
 *
 * A piece may end anywhere, also inside a character or between the halves of a surrogate pair: what is incomplete
 * waits (at most three bytes) for the next piece.
 */
import { codePage, type TextEncoding } from './codepages.js';
import { convertWithNul, findTextFault, type NulPolicy, textFaultError } from './textFaults.js';
import { maxUtf8Bytes } from './textWriters.js';

/** Bytes converted at a time: bounds the scratch memory whatever the size of a pushed piece. */
const BLOCK_BYTES = 64 * 1024;

const NOTHING: Buffer = Buffer.alloc(0);

/** One stream decodes one value after another: `end` makes it ready for the next. */
export class TextStream {
  readonly #encoding: TextEncoding;
  readonly #nul: NulPolicy;
  /** The bytes of a character that is not complete yet. */
  #carry: Buffer = NOTHING;
  /** Characters of the value already converted, for messages. */
  #characters = 0;

  constructor(encoding: TextEncoding, nul: NulPolicy) {
    this.#encoding = encoding;
    this.#nul = nul;
  }

  /**
   * @returns the UTF-8 of the characters that are complete with this piece, a buffer of its own
   * @throws AppError VALUE_UNREPRESENTABLE saying what can't be represented and at which character offset
   */
  push(chunk: Buffer): Buffer {
    const bytes = this.#carry.length === 0 ? chunk : Buffer.concat([this.#carry, chunk]);
    const parts: Buffer[] = [];
    let start = 0;
    while (start < bytes.length) {
      const end = Math.min(bytes.length, start + BLOCK_BYTES);
      const complete = start + this.#completeBytes(bytes.subarray(start, end));
      if (complete === start) break;
      parts.push(this.#convert(bytes.subarray(start, complete)));
      start = complete;
    }
    // A copy: the piece may lie in a network buffer that is used again.
    this.#carry = start === bytes.length ? NOTHING : Buffer.from(bytes.subarray(start));
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  /**
   * Ends the value.
   *
   * @returns what was still waiting: always empty, since a waiting character without its rest is an error
   * @throws AppError VALUE_UNREPRESENTABLE if the value ends inside a character
   */
  end(): Buffer {
    const rest = this.#carry;
    const converted = rest.length === 0 ? NOTHING : this.#convert(rest);
    this.#carry = NOTHING;
    this.#characters = 0;
    return converted;
  }

  #convert(bytes: Buffer): Buffer {
    const out = Buffer.allocUnsafe(maxUtf8Bytes(this.#encoding, bytes.length));
    const end = convertWithNul(bytes, 0, bytes.length, this.#encoding, this.#nul, out, 0);
    if (end < 0) {
      const fault = findTextFault(bytes, this.#encoding, this.#nul === 'error');
      // `findTextFault` and the converters agree (tested): there is one wherever a converter refused.
      throw textFaultError(fault!, this.#encoding, this.#characters);
    }
    this.#characters += countCharacters(bytes, this.#encoding);
    return out.subarray(0, end);
  }

  /** @returns how many of the bytes are whole characters; what can't become one is left to the converter */
  #completeBytes(bytes: Buffer): number {
    const length = bytes.length;
    if (this.#encoding === 'utf16le') {
      const even = length & ~1;
      return even >= 2 && (bytes[even - 1]! & 0xfc) === 0xd8 ? even - 2 : even;
    }
    if (this.#encoding === 'utf8') {
      for (let back = 1; back <= 3 && back <= length; back += 1) {
        const byte = bytes[length - back]!;
        if (byte < 0x80) return length;
        if (byte >= 0xc0) {
          const wanted = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
          return wanted > back ? length - back : length;
        }
      }
      return length;
    }
    const page = codePage(this.#encoding);
    if (page.kind === 'single') return length;
    let i = 0;
    while (i < length) i += page.isLead[bytes[i]!] === 1 ? 2 : 1;
    return i > length ? length - 1 : length;
  }
}

/** Characters in well-formed text: UTF-16 units for UTF-16, as SQL Server's LEN counts them. */
function countCharacters(bytes: Buffer, encoding: TextEncoding): number {
  if (encoding === 'utf16le') return bytes.length >> 1;
  let count = 0;
  if (encoding === 'utf8') {
    for (const byte of bytes) if ((byte & 0xc0) !== 0x80) count += 1;
    return count;
  }
  const page = codePage(encoding);
  if (page.kind === 'single') return bytes.length;
  for (let i = 0; i < bytes.length; count += 1) i += page.isLead[bytes[i]!] === 1 ? 2 : 1;
  return count;
}
