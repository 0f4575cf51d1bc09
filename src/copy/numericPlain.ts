/**
 * The plain forms of numeric: written with BigInt and strings for clearness, not speed.
 *
 * The interpreter, text COPY and the tests use them; `numeric.ts` is the fast form of `numericField`.
 */
import { AppError } from '../errors.js';

const SIGN_NEGATIVE = 0x4000;
const SIGN_NAN = 0xc000;
const SIGN_INFINITY = 0xd000;
const SIGN_MINUS_INFINITY = 0xf000;

/**
 * @param value the number times 10^scale
 * @param scale decimals, 0 or more
 * @returns the whole numeric field, length prefix included
 */
export function numericField(value: bigint, scale: number): Buffer {
  const magnitude = (value < 0n ? -value : value).toString().padStart(scale + 1, '0');
  const point = magnitude.length - scale;
  const whole = magnitude.slice(0, point);
  const fraction = magnitude.slice(point);
  const aligned =
    whole.padStart(Math.ceil(whole.length / 4) * 4, '0') +
    fraction.padEnd(Math.ceil(fraction.length / 4) * 4, '0');
  const digits = (aligned.match(/.{4}/g) ?? []).map(Number);
  let weight = Math.ceil(whole.length / 4) - 1;
  while (digits[0] === 0) {
    digits.shift();
    weight -= 1;
  }
  while (digits.at(-1) === 0) digits.pop();
  if (digits.length === 0) weight = 0;
  const field = Buffer.alloc(12 + 2 * digits.length);
  field.writeInt32BE(8 + 2 * digits.length, 0);
  field.writeInt16BE(digits.length, 4);
  field.writeInt16BE(weight, 6);
  field.writeUInt16BE(value < 0n ? SIGN_NEGATIVE : 0, 8);
  field.writeInt16BE(scale, 10);
  for (const [index, digit] of digits.entries()) field.writeInt16BE(digit, 12 + 2 * index);
  return field;
}

/**
 * Reads the `len` bytes of a numeric field (without its length prefix).
 *
 * @returns the number as `unscaled` / 10^`scale`, with the field's display scale
 * @throws AppError VALUE_UNREPRESENTABLE for NaN and the infinities, PROTOCOL for bytes that are no numeric
 */
export function parseNumericField(buf: Buffer, p: number, len: number): { unscaled: bigint; scale: number } {
  const text = numericToText(buf, p, len);
  if (!/^-?[0-9]/.test(text)) {
    throw new AppError('VALUE_UNREPRESENTABLE', `numeric value ${text} is not a finite number`);
  }
  const point = text.indexOf('.');
  if (point < 0) return { unscaled: BigInt(text), scale: 0 };
  return {
    unscaled: BigInt(text.slice(0, point) + text.slice(point + 1)),
    scale: text.length - point - 1,
  };
}

/**
 * @returns the text PostgreSQL prints for the `len` bytes of a numeric field: exactly dscale decimals, `NaN`,
 *   `Infinity` or `-Infinity`
 */
export function numericToText(buf: Buffer, p: number, len: number): string {
  const count = len >= 8 ? buf.readUInt16BE(p) : -1;
  if (len !== 8 + 2 * count) {
    throw new AppError('PROTOCOL', `numeric field of ${len} bytes does not match its digit count ${count}`);
  }
  const weight = buf.readInt16BE(p + 2);
  const sign = buf.readUInt16BE(p + 4);
  const scale = buf.readUInt16BE(p + 6);
  if (sign === SIGN_NAN) return 'NaN';
  if (sign === SIGN_INFINITY) return 'Infinity';
  if (sign === SIGN_MINUS_INFINITY) return '-Infinity';
  const digitAt = (index: number): string =>
    index >= 0 && index < count ? String(buf.readUInt16BE(p + 8 + 2 * index)).padStart(4, '0') : '0000';
  let whole = '';
  for (let index = 0; index <= weight; index += 1) whole += digitAt(index);
  let fraction = '';
  for (let index = weight + 1; fraction.length < scale; index += 1) fraction += digitAt(index);
  const text = (whole.replace(/^0+/, '') || '0') + (scale > 0 ? `.${fraction.slice(0, scale)}` : '');
  return sign === SIGN_NEGATIVE ? `-${text}` : text;
}
