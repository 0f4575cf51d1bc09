/**
 * PostgreSQL's binary numeric (base 10000 digits) to the integer times 10^-scale that decimal, numeric and money
 * are on the wire. Runs on the server's thread, once a value.
 */

const POSITIVE = 0x0000;
const NEGATIVE = 0x4000;
const EXACT = 2 ** 53 / 10_000;

/** What the last `scaleNumeric` call found; module state because this runs once a value. */
export const scaled = {
  negative: false,
  /** The magnitude when it is below 2^53, else -1 and `large` holds it. */
  small: 0,
  large: 0n,
};

/**
 * Reads the numeric field at `start` as an integer in units of 10^-scale, into `scaled`.
 * Throws on NaN, infinity and on digits beyond `scale`.
 */
export function scaleNumeric(source: Buffer, start: number, scale: number): void {
  const groups = source.readUInt16BE(start);
  const weight = source.readInt16BE(start + 2);
  const sign = source.readUInt16BE(start + 4);
  if (sign !== POSITIVE && sign !== NEGATIVE)
    throw new Error('numeric NaN or infinity has no SQL Server form');
  scaled.negative = sign === NEGATIVE;
  // The value is (digits as one integer) * 10^exponent units.
  const exponent = (weight - groups + 1) * 4 + scale;
  let value = 0;
  let index = 0;
  for (; index < groups && value < EXACT; index++)
    value = value * 10_000 + source.readUInt16BE(start + 8 + index * 2);
  if (index === groups) {
    if (exponent < 0) {
      const divisor = 10 ** -exponent;
      if (-exponent <= 15) {
        if (value % divisor !== 0) throw new Error(`numeric value has more than ${scale} decimals`);
        scaled.small = value / divisor;
        return;
      }
    } else if (exponent <= 15) {
      const shifted = value * 10 ** exponent;
      if (shifted <= Number.MAX_SAFE_INTEGER) {
        scaled.small = shifted;
        return;
      }
    }
  }
  let large = 0n;
  for (let at = 0; at < groups; at++)
    large = large * 10_000n + BigInt(source.readUInt16BE(start + 8 + at * 2));
  if (exponent >= 0) large *= 10n ** BigInt(exponent);
  else {
    const divisor = 10n ** BigInt(-exponent);
    if (large % divisor !== 0n) throw new Error(`numeric value has more than ${scale} decimals`);
    large /= divisor;
  }
  scaled.small = -1;
  scaled.large = large;
}

/** @returns the binary numeric of a decimal text such as `-12.5`, as PostgreSQL's COPY has it. */
export function numericBinary(text: string): Buffer {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?$/.exec(text);
  if (match === null || (match[2] === '' && !match[3])) throw new Error(`not a decimal: ${text}`);
  const [, sign, whole = '', fraction = ''] = match;
  const integer = whole.padStart(Math.ceil(whole.length / 4) * 4, '0');
  const decimals = fraction.padEnd(Math.ceil(fraction.length / 4) * 4, '0');
  const digits = (integer + decimals).match(/\d{4}/g)?.map(Number) ?? [];
  let weight = integer.length / 4 - 1;
  while (digits.length > 0 && digits[0] === 0) {
    digits.shift();
    weight--;
  }
  while (digits.length > 0 && digits.at(-1) === 0) digits.pop();
  if (digits.length === 0) weight = 0;
  const out = Buffer.alloc(8 + digits.length * 2);
  out.writeUInt16BE(digits.length, 0);
  out.writeInt16BE(weight, 2);
  out.writeUInt16BE(sign === '-' && digits.length > 0 ? NEGATIVE : POSITIVE, 4);
  out.writeUInt16BE(fraction.length, 6);
  digits.forEach((digit, index) => {
    out.writeUInt16BE(digit, 8 + index * 2);
  });
  return out;
}
