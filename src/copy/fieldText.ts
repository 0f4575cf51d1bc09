/**
 * Binary COPY fields as the text PostgreSQL prints for them, with TimeZone UTC, DateStyle ISO, bytea_output hex.
 *
 * Runs on the reader workers for text COPY, and in the tests.
 */
import { AppError } from '../errors.js';
import type { CopyField } from './fields.js';
import { float4ToText, float8ToText } from './floatText.js';
import { numericToText } from './numericPlain.js';

const MICROS_PER_DAY = 86_400_000_000;
const TWO_32 = 0x100000000;
/** The high half of 2^53. */
const EXACT_HIGH = 0x200000;
const INT64_MAX = 0x7fffffffffffffffn;
const INT64_MIN = -0x8000000000000000n;
const INT32_MAX = 0x7fffffff;
const INT32_MIN = -0x80000000;
/** Days from 0000-03-01 to 2000-01-01: years counted from March put the leap day last. */
const DAYS_MARCH_0000_TO_2000 = 730_425;
const DAYS_PER_400_YEARS = 146_097;

/** Bytes of each field of fixed size, or null. */
const FIXED_BYTES: Record<CopyField, number | null> = {
  bool: 1,
  int2: 2,
  int4: 4,
  int8: 8,
  float4: 4,
  float8: 8,
  numeric: null,
  date: 4,
  time: 8,
  timestamp: 8,
  timestamptz: 8,
  uuid: 16,
  bytea: null,
  text: null,
  bpchar: null,
};

/**
 * @param buf holds the field's `len` bytes at `p`, without the length prefix
 * @throws AppError PROTOCOL where `len` is not the size of such a field
 */
export function fieldToText(field: CopyField, buf: Buffer, p: number, len: number): string {
  const fixed = FIXED_BYTES[field];
  if (fixed !== null && len !== fixed) {
    throw new AppError('PROTOCOL', `${field} field has ${len} bytes, not ${fixed}`);
  }
  switch (field) {
    case 'bool':
      return buf[p] === 0 ? 'f' : 't';
    case 'int2':
      return String(buf.readInt16BE(p));
    case 'int4':
      return String(buf.readInt32BE(p));
    case 'int8':
      return String(buf.readBigInt64BE(p));
    case 'float4':
      return float4ToText(buf.readFloatBE(p));
    case 'float8':
      return float8ToText(buf.readDoubleBE(p));
    case 'numeric':
      return numericToText(buf, p, len);
    case 'date':
      return dateText(buf.readInt32BE(p));
    case 'time':
      return timeText(Number(buf.readBigInt64BE(p)));
    case 'timestamp':
      return timestampText(buf.readInt32BE(p), buf.readUInt32BE(p + 4), '');
    case 'timestamptz':
      return timestampText(buf.readInt32BE(p), buf.readUInt32BE(p + 4), '+00');
    case 'uuid':
      return uuidText(buf.toString('hex', p, p + 16));
    case 'bytea':
      return `\\x${buf.toString('hex', p, p + len)}`;
    case 'text':
    case 'bpchar':
      return buf.toString('utf8', p, p + len);
  }
}

function dateText(days: number): string {
  if (days === INT32_MAX) return 'infinity';
  if (days === INT32_MIN) return '-infinity';
  const { text, era } = calendar(days);
  return text + era;
}

function timestampText(high: number, low: number, zone: string): string {
  // Exact doubles: all of the years 1715 to 2285, by far the most there are.
  if (high >= -EXACT_HIGH && high < EXACT_HIGH) {
    const micros = high * TWO_32 + low;
    const days = Math.floor(micros / MICROS_PER_DAY);
    return dayAndTime(days, micros - days * MICROS_PER_DAY, zone);
  }
  const micros = (BigInt(high) << 32n) | BigInt(low);
  if (micros === INT64_MAX) return 'infinity';
  if (micros === INT64_MIN) return '-infinity';
  const perDay = BigInt(MICROS_PER_DAY);
  const ofDay = ((micros % perDay) + perDay) % perDay;
  return dayAndTime(Number((micros - ofDay) / perDay), Number(ofDay), zone);
}

function dayAndTime(days: number, microsOfDay: number, zone: string): string {
  const { text, era } = calendar(days);
  return `${text} ${timeText(microsOfDay)}${zone}${era}`;
}

/** Proleptic Gregorian; the year before 1 is 1 BC. */
function calendar(daysSince2000: number): { text: string; era: string } {
  const days = daysSince2000 + DAYS_MARCH_0000_TO_2000;
  const cycle = Math.floor(days / DAYS_PER_400_YEARS);
  const ofCycle = days - cycle * DAYS_PER_400_YEARS;
  const yearOfCycle = Math.floor(
    (ofCycle - Math.floor(ofCycle / 1460) + Math.floor(ofCycle / 36_524) - Math.floor(ofCycle / 146_096)) /
      365,
  );
  const ofYear = ofCycle - (365 * yearOfCycle + Math.floor(yearOfCycle / 4) - Math.floor(yearOfCycle / 100));
  const monthFromMarch = Math.floor((5 * ofYear + 2) / 153);
  const day = ofYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = cycle * 400 + yearOfCycle + (month <= 2 ? 1 : 0);
  const shown = String(year > 0 ? year : 1 - year).padStart(4, '0');
  return { text: `${shown}-${two(month)}-${two(day)}`, era: year > 0 ? '' : ' BC' };
}

function timeText(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000);
  const fraction = micros - seconds * 1_000_000;
  const clock = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return fraction === 0 ? clock : `${clock}.${String(fraction).padStart(6, '0').replace(/0+$/, '')}`;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

function uuidText(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
