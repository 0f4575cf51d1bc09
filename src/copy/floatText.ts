/**
 * Floating point numbers as PostgreSQL prints them with its default extra_float_digits: the shortest digits that
 * read back as the same number. Used by text COPY and by tests.
 *
 * JavaScript prints shortest digits too, but counts a decimal exactly halfway to a neighbour as reading back (ties
 * go to the even number) where PostgreSQL does not; and it knows no float4.
 */

interface Digits {
  /** Decimal digits, no trailing zeros. */
  digits: string;
  /** Power of ten of the first digit. */
  exponent: number;
}

const LEAST_NORMAL4 = 2 ** -126;

const bits = new DataView(new ArrayBuffer(8));

/** @returns the text of a float8: exponent form below 1e-4 and from 1e15 on */
export function float8ToText(value: number): string {
  // Here JavaScript prints the same, and without detour.
  const magnitude = Math.abs(value);
  if (magnitude >= 1e-4 && magnitude < 1e15) return String(value);
  return special(value) ?? format(value < 0, shortest8(Math.abs(value)), 15);
}

/** @returns the text of a float4 (a number that `Math.fround` leaves alone): exponent form below 1e-4 and from 1e6 on */
export function float4ToText(value: number): string {
  return special(value) ?? format(value < 0, shortest4(Math.abs(value)), 6);
}

function special(value: number): string | null {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Number.POSITIVE_INFINITY) return 'Infinity';
  if (value === Number.NEGATIVE_INFINITY) return '-Infinity';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  return null;
}

function format(negative: boolean, { digits, exponent }: Digits, exponentFrom: number): string {
  const sign = negative ? '-' : '';
  if (exponent < -4 || exponent >= exponentFrom) {
    const power = String(Math.abs(exponent)).padStart(2, '0');
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
    return `${sign}${digits[0]}${fraction}e${exponent < 0 ? '-' : '+'}${power}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  const fraction = digits.slice(exponent + 1);
  return sign + whole + (fraction === '' ? '' : `.${fraction}`);
}

function digitsOf(scientific: string): Digits {
  const [mantissa = '', exponent = '0'] = scientific.split('e');
  return { digits: mantissa.replace('.', '').replace(/0+$/, ''), exponent: Number(exponent) };
}

function shortest8(value: number): Digits {
  const found = digitsOf(value.toExponential());
  if (value < 2 ** 53 || !onBoundary(value, found)) return found;
  for (let precision = found.digits.length + 1; precision < 17; precision += 1) {
    const longer = nearestEven(value, precision);
    if (Number(longer) === value && !onBoundary(value, digitsOf(longer))) return digitsOf(longer);
  }
  return digitsOf(nearestEven(value, 17));
}

/** Whether the digits lie exactly halfway between `value` (2^53 or more) and a neighbour. */
function onBoundary(value: number, { digits, exponent }: Digits): boolean {
  const zeros = exponent + 1 - digits.length;
  // Halfway points from 2^53 on are integers.
  if (zeros < 0) return false;
  const decimal = BigInt(digits) * 10n ** BigInt(zeros);
  const exact = BigInt(value);
  bits.setFloat64(0, value);
  const raw = bits.getBigInt64(0);
  bits.setBigInt64(0, decimal > exact ? raw + 1n : raw - 1n);
  const neighbour = bits.getFloat64(0);
  if (!Number.isFinite(neighbour)) return false;
  return 2n * decimal === exact + BigInt(neighbour);
}

function shortest4(value: number): Digits {
  bits.setFloat32(0, value);
  const raw = bits.getInt32(0);
  bits.setInt32(0, raw - 1);
  const below = bits.getFloat32(0);
  bits.setInt32(0, raw + 1);
  const above = bits.getFloat32(0);
  // Halfway points of float4 are exact in float8. Over the largest float4 the gap stays what it was below it.
  const least = (value + below) / 2;
  const most = Number.isFinite(above) ? (value + above) / 2 : value + (value - below) / 2;
  // Six digits always survive a normal float4, so no two such decimals share one: shorter ones are found there too.
  for (let precision = value >= LEAST_NORMAL4 ? 6 : 1; precision < 9; precision += 1) {
    const nearest = nearestEven(value, precision);
    if (Number(nearest) > least && Number(nearest) < most) return digitsOf(nearest);
    // At a power of two the gap below is half the gap above: the nearest decimal below may be out, the next above in.
    const next = nextAbove(nearest);
    if (Number(nearest) <= least && Number(next) < most) return digitsOf(next);
  }
  return digitsOf(nearestEven(value, 9));
}

/** The nearest decimal of so many digits; of two equally near the even one, where JavaScript takes the larger. */
function nearestEven(value: number, precision: number): string {
  const nearest = value.toExponential(precision - 1);
  // A tie shows as a five in the next place, mostly ruling it out at once.
  if (!/5e/.test(value.toExponential(precision))) return nearest;
  const [mantissa = '', exponent = '0'] = value.toExponential(60).split('e');
  const digits = mantissa.replace('.', '');
  if (digits[precision] !== '5' || !/^0*$/.test(digits.slice(precision + 1))) return nearest;
  if (Number(digits[precision - 1]) % 2 !== 0) return nearest;
  const below = digits.slice(0, precision);
  return `${below[0]}${precision > 1 ? '.' : ''}${below.slice(1)}e${exponent}`;
}

/** The decimal one unit in the last place above, in scientific form. */
function nextAbove(scientific: string): string {
  const [mantissa = '', exponent = '0'] = scientific.split('e');
  const decimals = mantissa.includes('.') ? mantissa.length - 2 : 0;
  return Number(`${BigInt(mantissa.replace('.', '')) + 1n}e${Number(exponent) - decimals}`).toExponential(
    decimals,
  );
}
