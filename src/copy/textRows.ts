/**
 * Binary COPY tuples into lines of text COPY, for targets that are loaded with `use_binary_copy: false`.
 * Runs on the writer workers.
 *
 * Tuples may be split anywhere between pushes. Text and bytea pass through piece by piece, so a value of any size
 * costs no more memory than the pieces it arrives in; the other fields are short and wait until they are whole.
 */
import { AppError } from '../errors.js';
import type { CopyField } from './fields.js';
import { fieldToText } from './fieldText.js';
import { FIELD_HEADER_BYTES, NULL_FIELD_LENGTH, TUPLE_HEADER_BYTES } from './frame.js';

const TAB = 0x09;
const NEWLINE = 0x0a;
const BACKSLASH = 0x5c;
const UPPER_N = 0x4e;
const LOWER_X = 0x78;

/** Longest field that is collected before it is printed: a numeric with all its possible digits. */
const MAX_COLLECTED_BYTES = 8 + 2 * 0xffff;

/** The letter after the backslash for each byte that text COPY escapes, else 0. */
const ESCAPES = new Uint8Array(256);
for (const [byte, letter] of [
  [0x08, 'b'],
  [0x0c, 'f'],
  [0x0a, 'n'],
  [0x0d, 'r'],
  [0x09, 't'],
  [0x0b, 'v'],
  [0x5c, '\\'],
] as const) {
  ESCAPES[byte] = letter.charCodeAt(0);
}

const HEX_DIGITS = Buffer.from('0123456789abcdef', 'latin1');

export class TextRows {
  readonly #fields: readonly CopyField[];
  /** The field being read; -1 before a tuple's field count. */
  #column = -1;
  /** Bytes of the current text or bytea still to come; 0 when none is open. */
  #openBytes = 0;
  /** The start of a header or short field that is not complete yet. */
  #carry: Buffer = Buffer.alloc(0);
  #out: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(fields: readonly CopyField[]) {
    this.#fields = fields;
  }

  /**
   * @param binary a piece of tuples, without the stream's header and trailer
   * @returns the text these bytes complete, a buffer of its own; lines may be split between returns
   * @throws AppError PROTOCOL where the bytes are no tuples of these fields
   */
  push(binary: Buffer): Buffer {
    const bytes = this.#carry.length === 0 ? binary : Buffer.concat([this.#carry, binary]);
    this.#out = Buffer.allocUnsafe(bytes.length * 2 + 64);
    this.#at = 0;
    let p = 0;
    for (;;) {
      const next = this.#step(bytes, p);
      if (next < 0) break;
      p = next;
    }
    // A copy: the piece lies in a ring slot that is used again.
    this.#carry = Buffer.from(bytes.subarray(p));
    const text = this.#out.subarray(0, this.#at);
    this.#out = Buffer.alloc(0);
    return text;
  }

  /** @throws AppError PROTOCOL if the tuples ended inside one */
  end(): void {
    if (this.#column >= 0 || this.#carry.length > 0) {
      throw new AppError('PROTOCOL', 'binary COPY data ended inside a tuple');
    }
  }

  /** Reads one piece of the tuple. @returns the offset after it, or -1 where more bytes are needed */
  #step(bytes: Buffer, p: number): number {
    const left = bytes.length - p;
    if (this.#openBytes > 0) {
      if (left === 0) return -1;
      const taken = Math.min(left, this.#openBytes);
      this.#writePiece(this.#fields[this.#column]!, bytes, p, taken);
      this.#openBytes -= taken;
      if (this.#openBytes === 0) this.#closeField();
      return p + taken;
    }
    if (this.#column < 0) {
      if (left < TUPLE_HEADER_BYTES) return -1;
      const count = bytes.readInt16BE(p);
      if (count !== this.#fields.length) {
        throw new AppError(
          'PROTOCOL',
          `binary COPY tuple has ${count} fields, ${this.#fields.length} are expected`,
        );
      }
      this.#column = 0;
      if (count === 0) {
        this.#column = -1;
        this.#byte(NEWLINE);
      }
      return p + TUPLE_HEADER_BYTES;
    }
    if (left < FIELD_HEADER_BYTES) return -1;
    return this.#startField(bytes, p, left - FIELD_HEADER_BYTES);
  }

  #startField(bytes: Buffer, p: number, left: number): number {
    const field = this.#fields[this.#column]!;
    const length = bytes.readInt32BE(p);
    const start = p + FIELD_HEADER_BYTES;
    if (length === NULL_FIELD_LENGTH) {
      this.#byte(BACKSLASH);
      this.#byte(UPPER_N);
      this.#closeField();
      return start;
    }
    if (length < 0) throw new AppError('PROTOCOL', `binary COPY field has the length ${length}`);
    if (field === 'text' || field === 'bpchar' || field === 'bytea') {
      if (field === 'bytea') {
        this.#byte(BACKSLASH);
        this.#byte(BACKSLASH);
        this.#byte(LOWER_X);
      }
      this.#openBytes = length;
      if (length === 0) this.#closeField();
      return start;
    }
    if (length > MAX_COLLECTED_BYTES) {
      throw new AppError('PROTOCOL', `binary COPY ${field} field has ${length} bytes`);
    }
    if (left < length) return -1;
    // None of these texts has a character that needs escaping.
    const text = fieldToText(field, bytes, start, length);
    this.#reserve(text.length);
    // So short that a call into the engine costs more.
    const out = this.#out;
    const at = this.#at;
    for (let i = 0; i < text.length; i += 1) out[at + i] = text.charCodeAt(i);
    this.#at = at + text.length;
    this.#closeField();
    return start + length;
  }

  #closeField(): void {
    this.#column += 1;
    if (this.#column < this.#fields.length) {
      this.#byte(TAB);
    } else {
      this.#byte(NEWLINE);
      this.#column = -1;
    }
  }

  #writePiece(field: CopyField, bytes: Buffer, p: number, length: number): void {
    this.#reserve(2 * length);
    const out = this.#out;
    const end = p + length;
    let at = this.#at;
    if (field === 'bytea') {
      for (let i = p; i < end; i += 1) {
        const byte = bytes[i]!;
        out[at] = HEX_DIGITS[byte >> 4]!;
        out[at + 1] = HEX_DIGITS[byte & 15]!;
        at += 2;
      }
    } else {
      for (let i = p; i < end; i += 1) {
        const byte = bytes[i]!;
        const escaped = ESCAPES[byte]!;
        if (escaped === 0) {
          out[at] = byte;
          at += 1;
        } else {
          out[at] = BACKSLASH;
          out[at + 1] = escaped;
          at += 2;
        }
      }
    }
    this.#at = at;
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#out[this.#at] = value;
    this.#at += 1;
  }

  /** Makes room for `more` bytes: short numbers print longer than twice their binary size. */
  #reserve(more: number): void {
    if (this.#at + more <= this.#out.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#out.length * 2, this.#at + more));
    this.#out.copy(larger, 0, 0, this.#at);
    this.#out = larger;
  }
}
