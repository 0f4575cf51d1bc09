/**
 * Binary COPY fields of numeric, from SQL Server's decimals and money. Hot: called from generated code on the
 * reader workers.
 *
 * A numeric is int16 ndigits, weight (power of 10000 of the first digit), sign, dscale (decimals shown), then
 * ndigits base-10000 digits without leading or trailing zero digits. Base-10000 digits are aligned at the decimal
 * point, so a scale that is no multiple of four leaves a lowest group of fewer decimals.
 */

export { numericField, numericToText, parseNumericField } from './numericPlain.js';

const HEADER_BYTES = 12;
const SIGN_NEGATIVE = 0x4000;

/** Base-10000 digits of the largest 16-byte magnitude (39 decimal digits) at the worst alignment. */
const MAX_GROUPS = 11;

/** Most bytes `writeDecimal` writes, length prefix included. */
export const NUMERIC_MAX_BYTES: number = HEADER_BYTES + 2 * MAX_GROUPS;
/** Most bytes `writeMoney` and `writeSmallMoney` write, length prefix included. */
export const MONEY_MAX_BYTES: number = HEADER_BYTES + 2 * 6;

const TWO_32 = 0x100000000;
/** The high 32 bits of 2^53: below it, a 64-bit magnitude is an exact double. */
const EXACT_HIGH = 0x200000;

/** Scratch of one call, lowest group first; a worker thread has its own copy of this module. */
const groups = new Int32Array(MAX_GROUPS + 1);
const POWERS_OF_TEN = new Int32Array([1, 10, 100, 1000, 10000]);

const PAIR = 100_000_000;
/** Bits of a piece of a wide magnitude: so few that `PAIRS` pieces times a pair add up to less than 2^53. */
const PIECE_BITS = 22;
/** Pieces of 128 bits, and pairs of base-10000 digits of 128 bits times 1000. */
const PAIRS = 6;

/**
 * By decimals missing in the lowest group, pair, and piece: the base-10^8 digit of what a 1 in the piece is worth.
 * As doubles: products with a piece and their sums are exact.
 */
const PIECE_WORTH = new Float64Array(
  [0, 1, 2, 3].flatMap((missing) =>
    indexes(PAIRS).flatMap((pair) =>
      indexes(PAIRS).map((piece) => {
        const worth = 2n ** BigInt(PIECE_BITS * piece) * 10n ** BigInt(missing);
        return Number((worth / BigInt(PAIR) ** BigInt(pair)) % BigInt(PAIR));
      }),
    ),
  ),
);

function indexes(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/**
 * Writes a numeric field from an [MS-TDS] DECIMALN magnitude. A zero is written without sign, whatever `negative`
 * says.
 *
 * @param src holds the unsigned little-endian magnitude at `p`
 * @param magnitudeBytes 4, 8, 12 or 16
 * @param scale decimals, 0 to 38
 * @returns the offset after the field, at most `NUMERIC_MAX_BYTES` on
 */
export function writeDecimal(
  src: Buffer,
  p: number,
  magnitudeBytes: number,
  negative: boolean,
  scale: number,
  _out: Buffer,
  outView: DataView,
  o: number,
): number {
  const word0 = (src[p]! | (src[p + 1]! << 8) | (src[p + 2]! << 16) | (src[p + 3]! << 24)) >>> 0;
  if (magnitudeBytes === 4) return writeExact(word0, negative, scale, outView, o);
  const word1 = (src[p + 4]! | (src[p + 5]! << 8) | (src[p + 6]! << 16) | (src[p + 7]! << 24)) >>> 0;
  if (magnitudeBytes === 8) {
    if (word1 < EXACT_HIGH) return writeExact(word1 * TWO_32 + word0, negative, scale, outView, o);
    return writeWide(word0, word1, 0, 0, negative, scale, outView, o);
  }
  const word2 = (src[p + 8]! | (src[p + 9]! << 8) | (src[p + 10]! << 16) | (src[p + 11]! << 24)) >>> 0;
  let word3 = 0;
  if (magnitudeBytes === 16) {
    word3 = (src[p + 12]! | (src[p + 13]! << 8) | (src[p + 14]! << 16) | (src[p + 15]! << 24)) >>> 0;
  }
  if ((word2 | word3) === 0 && word1 < EXACT_HIGH) {
    return writeExact(word1 * TWO_32 + word0, negative, scale, outView, o);
  }
  return writeWide(word0, word1, word2, word3, negative, scale, outView, o);
}

/**
 * Writes a numeric field with four decimals from an [MS-TDS] MONEY: a signed 64-bit count of 1/10000.
 *
 * @param hi the high half, int32
 * @param lo the low half, uint32
 * @returns the offset after the field, at most `MONEY_MAX_BYTES` on
 */
export function writeMoney(hi: number, lo: number, _out: Buffer, outView: DataView, o: number): number {
  const negative = hi < 0;
  let low = lo >>> 0;
  let high = hi >>> 0;
  if (negative) {
    low = -low >>> 0;
    high = ~high >>> 0;
    if (low === 0) high = (high + 1) >>> 0;
  }
  if (high < EXACT_HIGH) return writeExact(high * TWO_32 + low, negative, 4, outView, o);
  return writeWide(low, high, 0, 0, negative, 4, outView, o);
}

/**
 * Writes a numeric field with four decimals from an [MS-TDS] SMALLMONEY: a signed 32-bit count of 1/10000.
 *
 * @returns the offset after the field, at most `MONEY_MAX_BYTES` on
 */
export function writeSmallMoney(value: number, _out: Buffer, outView: DataView, o: number): number {
  return writeExact(value < 0 ? -value : value, value < 0, 4, outView, o);
}

/** Magnitudes below 2^53: exact in a double. */
function writeExact(magnitude: number, negative: boolean, scale: number, view: DataView, o: number): number {
  const partial = scale & 3;
  let count = 0;
  let rest = magnitude;
  if (partial !== 0) {
    const power = POWERS_OF_TEN[partial]!;
    const quotient = Math.floor(rest / power);
    groups[0] = (rest - quotient * power) * POWERS_OF_TEN[4 - partial]!;
    rest = quotient;
    count = 1;
  }
  return writeGroups(splitExact(rest, count), negative, scale, view, o);
}

/** Appends the base-10000 digits of `rest` (below 2^53), lowest first. @returns the new count of groups */
function splitExact(rest: number, count: number): number {
  let n = count;
  let small: number;
  if (rest >= 0x7fffffff) {
    // At most 2^53: two groups off, and what is left fits 31 bits, where division is an integer multiplication.
    const quotient = Math.floor(rest / PAIR);
    const pair = (rest - quotient * PAIR) | 0;
    const upper = (pair / 10_000) | 0;
    groups[n] = pair - upper * 10_000;
    groups[n + 1] = upper;
    n += 2;
    small = quotient | 0;
  } else {
    small = rest | 0;
  }
  while (small !== 0) {
    const quotient = (small / 10_000) | 0;
    groups[n] = small - quotient * 10_000;
    n += 1;
    small = quotient;
  }
  return n;
}

/**
 * Magnitudes of up to 128 bits. Not by dividing them again and again, where each step waits for the one before: every
 * pair of digits is a sum over the pieces, and only the carry is waited for.
 */
function writeWide(
  word0: number,
  word1: number,
  word2: number,
  word3: number,
  negative: boolean,
  scale: number,
  view: DataView,
  o: number,
): number {
  const piece0 = word0 & 0x3fffff;
  const piece1 = ((word0 >>> 22) | (word1 << 10)) & 0x3fffff;
  const piece2 = ((word1 >>> 12) | (word2 << 20)) & 0x3fffff;
  const piece3 = (word2 >>> 2) & 0x3fffff;
  const piece4 = ((word2 >>> 24) | (word3 << 8)) & 0x3fffff;
  const piece5 = word3 >>> 14;
  // 64 bits times 1000 are 23 decimal digits, 96 bits 32.
  const pairs = word3 !== 0 ? PAIRS : word2 !== 0 ? 4 : 3;
  let at = (-scale & 3) * PAIRS * PAIRS;
  let carry = 0;
  for (let pair = 0; pair < pairs; pair += 1) {
    const sum =
      piece0 * PIECE_WORTH[at]! +
      piece1 * PIECE_WORTH[at + 1]! +
      piece2 * PIECE_WORTH[at + 2]! +
      piece3 * PIECE_WORTH[at + 3]! +
      piece4 * PIECE_WORTH[at + 4]! +
      piece5 * PIECE_WORTH[at + 5]!;
    // Exact: below 2^53, a rounded quotient never reaches the next integer.
    const above = Math.floor(sum / PAIR);
    const carried = ((sum - above * PAIR) | 0) + carry;
    // What is carried is far below a pair: there is one more to carry, or none.
    const one = (PAIR - 1 - carried) >>> 31;
    const digits = carried - one * PAIR;
    carry = (above | 0) + one;
    const upper = (digits / 10_000) | 0;
    groups[2 * pair] = digits - upper * 10_000;
    groups[2 * pair + 1] = upper;
    at += PAIRS;
  }
  return writeGroups(2 * pairs, negative, scale, view, o);
}

/** Writes the field whose groups, lowest first, are in `groups`. */
function writeGroups(count: number, negative: boolean, scale: number, view: DataView, o: number): number {
  let top = count - 1;
  while (top >= 0 && groups[top] === 0) top -= 1;
  if (top < 0) {
    view.setInt32(o, 8);
    view.setInt32(o + 4, 0);
    view.setInt32(o + 8, scale);
    return o + HEADER_BYTES;
  }
  let bottom = 0;
  while (groups[bottom] === 0) bottom += 1;
  const digits = top - bottom + 1;
  view.setInt32(o, 8 + 2 * digits);
  view.setInt16(o + 4, digits);
  view.setInt16(o + 6, top - ((scale + 3) >> 2));
  view.setInt16(o + 8, negative ? SIGN_NEGATIVE : 0);
  view.setInt16(o + 10, scale);
  let at = o + HEADER_BYTES;
  for (let i = top; i >= bottom; i -= 1) {
    view.setInt16(at, groups[i]!);
    at += 2;
  }
  return at;
}
