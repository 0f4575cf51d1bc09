/**
 * A binary numeric field as ASCII text with a fixed number of decimals: the one type whose canonical hash
 * form is not its COPY bytes. Runs on the thread that hashes, without allocating.
 */
import { AppError } from '../errors.js';

const NEGATIVE = 0x4000;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
/** Base-10000 digits, and the largest weight, of a numeric here; SQL Server's 38 decimal digits are 11. */
const MAX_GROUPS = 64;
/** Header of a numeric field: digits, weight, sign, scale, 16 bits each. */
const HEADER_BYTES = 8;
/** The largest numeric field there is. */
export const NUMERIC_FIELD_BYTES = HEADER_BYTES + 2 * MAX_GROUPS;
const POWERS = [1, 10, 100, 1000, 10_000] as const;

/** @returns the most bytes `writeNumericText` writes. */
export function numericTextBytes(scale: number): number {
  return 2 + 4 * (MAX_GROUPS + 1) + scale;
}

/**
 * Writes a numeric field (`numeric_send`: ndigits, weight, sign, dscale, base-10000 digits) as `-123.4500`: exactly
 * `scale` decimals, no exponent, no leading zeros but one before the point, zero without sign.
 * @returns the bytes written to `out` from `start`.
 * @throws AppError INTERNAL where the field is no finite number or has more decimals than `scale`: such a
 *   value can't have come out of the column it is said to come from.
 */
export function writeNumericText(
  view: DataView,
  position: number,
  fieldBytes: number,
  scale: number,
  out: Uint8Array,
  start: number,
): number {
  const groups = fieldBytes >= HEADER_BYTES ? view.getInt16(position, false) : -1;
  if (groups < 0 || groups > MAX_GROUPS || fieldBytes !== HEADER_BYTES + 2 * groups) {
    throw new AppError('INTERNAL', `a numeric field of ${fieldBytes} bytes declares ${groups} digits`);
  }
  const weight = view.getInt16(position + 2, false);
  const sign = view.getUint16(position + 4, false);
  if ((sign !== 0 && sign !== NEGATIVE) || weight > MAX_GROUPS) {
    throw new AppError('INTERNAL', `a numeric field has sign 0x${sign.toString(16)} and weight ${weight}`);
  }
  const digits = position + HEADER_BYTES;
  let p = start;
  // Sign last seen first: dropped again where every digit is zero.
  if (sign === NEGATIVE) out[p++] = MINUS;
  const whole = p;
  let any = 0;
  for (let group = 0; group <= weight; group++) {
    const value = groupAt(view, digits, group, groups);
    any |= value;
    p = writeGroup(
      out,
      p,
      value,
      p > whole ? 4 : value > 999 ? 4 : value > 99 ? 3 : value > 9 ? 2 : value > 0 ? 1 : 0,
      4,
    );
  }
  if (p === whole) out[p++] = ZERO;
  if (scale > 0) out[p++] = POINT;
  let group = weight + 1;
  for (let left = scale; left > 0; left -= 4, group++) {
    const value = groupAt(view, digits, group, groups);
    any |= value;
    const width = Math.min(left, 4);
    if (value % POWERS[4 - width]! !== 0) refuseDecimals(scale);
    p = writeGroup(out, p, value, 4, width);
  }
  for (group = Math.max(group, 0); group < groups; group++) {
    if (groupAt(view, digits, group, groups) !== 0) refuseDecimals(scale);
  }
  if (any === 0 && sign === NEGATIVE) {
    out.copyWithin(start, whole, p);
    p--;
  }
  return p - start;
}

/** @returns base-10000 digit number `group`; zero outside of those sent. */
function groupAt(view: DataView, digits: number, group: number, groups: number): number {
  if (group < 0 || group >= groups) return 0;
  const value = view.getUint16(digits + 2 * group, false);
  if (value > 9999) throw new AppError('INTERNAL', `a numeric field has a base-10000 digit of ${value}`);
  return value;
}

/** Writes the four decimal digits of `value` but for those left of the last `from` and right of the first `to`. */
function writeGroup(out: Uint8Array, position: number, value: number, from: number, to: number): number {
  let p = position;
  for (let place = from; place > 4 - to; place--) {
    out[p++] = ZERO + (((value / POWERS[place - 1]!) | 0) % 10);
  }
  return p;
}

function refuseDecimals(scale: number): never {
  throw new AppError('INTERNAL', `a numeric field has more than the ${scale} decimals of its column`);
}
