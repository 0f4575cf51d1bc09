/**
 * Streaming MD5 over bytes in (shared) memory, without allocating: state in, 32 hex digits out.
 *
 * Runs on the thread that hashes. `crypto.createHash` costs 1.5 us a row in object creation alone, more than the
 * whole row here; for short rows it is the calls that count, not the bytes.
 */
import { md5Block } from './md5Block.js';

/** Digits of a hash. */
export const MD5_HEX_BYTES = 32;

/** @returns the four hex digits of the low 16 bits of `value`, low byte first, as little-endian ASCII. */
function hexDigits(value: number): number {
  const nibbles =
    ((value >>> 4) & 0xf) | ((value & 0xf) << 8) | ((value & 0xf000) << 4) | ((value & 0xf00) << 16);
  // A nibble above 9 carries into the fourth bit when 6 is added; such a digit lies 39 further, from `0` to `a`.
  const letters = ((nibbles + 0x06060606) >>> 4) & 0x01010101;
  return (nibbles + 0x30303030 + Math.imul(letters, 39)) | 0;
}

/** @returns a word with its bytes turned round, as an unsigned number: its digits begin with its low byte. */
function bigEndian(word: number): number {
  const swapped = ((word & 0x00ff00ff) << 8) | ((word >>> 8) & 0x00ff00ff);
  return ((swapped << 16) | (swapped >>> 16)) >>> 0;
}

/** One MD5 computation after another: `init`, any number of `update`, `finish`. */
export class Md5 {
  readonly #state = new Int32Array(4);
  /** The block being filled, as words and as bytes in little-endian order. */
  readonly #block = new Int32Array(16);
  readonly #blockView = new DataView(this.#block.buffer);
  /** Sums of the first and the second word of the hashes finished since they were taken. */
  readonly #sums = new Float64Array(2);
  #filled = 0;
  #total = 0;

  /** @returns the sums of the first and the second 32-bit word, as the digits read, of all hashes since the last call. */
  takeSums(): { first: number; second: number } {
    const sums = { first: this.#sums[0]!, second: this.#sums[1]! };
    this.#sums.fill(0);
    return sums;
  }

  /** Starts a new hash. */
  init(): void {
    const state = this.#state;
    state[0] = 0x67452301;
    state[1] = -0x10325477;
    state[2] = -0x67452302;
    state[3] = 0x10325476;
    this.#filled = 0;
    this.#total = 0;
  }

  /** Adds the `length` bytes of `view` from byte `position`. */
  update(view: DataView, position: number, length: number): void {
    const end = position + length;
    let p = position;
    let filled = this.#filled;
    this.#total += length;
    if (filled > 0) {
      const stop = Math.min(end, p + 64 - filled);
      filled = this.#append(filled, view, p, stop);
      p = stop;
      if (filled < 64) {
        this.#filled = filled;
        return;
      }
      md5Block(this.#state, this.#blockView, 0);
    }
    for (; end - p >= 64; p += 64) {
      md5Block(this.#state, view, p);
    }
    this.#filled = this.#append(0, view, p, end);
  }

  /** Writes the hash of everything since `init` as 32 lower-case hex digits to `out` at byte `position`. */
  finish(out: DataView, position: number): void {
    const block = this.#block;
    const state = this.#state;
    const filled = this.#filled;
    let word = filled >> 2;
    const shift = (filled & 3) << 3;
    // One bit behind the message; the rest of its word cleared.
    block[word] = (block[word]! & ((1 << shift) - 1)) | (0x80 << shift);
    word++;
    if (word > 14) {
      if (word === 15) block[15] = 0;
      md5Block(state, this.#blockView, 0);
      word = 0;
    }
    while (word < 14) block[word++] = 0;
    // The length in bits, 64 of them; a length in bytes is exact to 2^53.
    block[14] = this.#total << 3;
    block[15] = Math.floor(this.#total / 2 ** 29);
    md5Block(state, this.#blockView, 0);
    this.#sums[0]! += bigEndian(state[0]!);
    this.#sums[1]! += bigEndian(state[1]!);
    for (let i = 0; i < 4; i++) {
      const value = state[i]!;
      out.setInt32(position + 8 * i, hexDigits(value), true);
      out.setInt32(position + 8 * i + 4, hexDigits(value >>> 16), true);
    }
  }

  /** Copies bytes `p` to `stop` behind the `filled` bytes of the block. @returns the bytes then filled. */
  #append(filled: number, view: DataView, p: number, stop: number): number {
    const block = this.#blockView;
    let from = p;
    let to = filled;
    for (; stop - from >= 4; from += 4, to += 4) block.setInt32(to, view.getInt32(from, true), true);
    for (; from < stop; from++, to++) block.setUint8(to, view.getUint8(from));
    return to;
  }
}
