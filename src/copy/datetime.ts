/**
 * Binary COPY fields of date, time and timestamp. Hot: called from generated code on the reader workers.
 *
 * PostgreSQL counts days since 2000-01-01 (int32) and microseconds since midnight or since 2000-01-01 00:00
 * (int64). The int64s are built from two doubles' worth of exact integers, without BigInt.
 */

/** Bytes of each field, length prefix included. */
export const DATE_FIELD_BYTES = 8;
export const TIME_FIELD_BYTES = 12;
export const TIMESTAMP_FIELD_BYTES = 12;

/** Days from 0001-01-01 ([MS-TDS] DATE) to 2000-01-01, proleptic Gregorian. */
export const DAYS_0001_TO_2000 = 730119;
/** Days from 1900-01-01 ([MS-TDS] DATETIME, SMALLDATETIME) to 2000-01-01. */
export const DAYS_1900_TO_2000 = 36524;

const TWO_26 = 0x4000000;
const TWO_32 = 0x100000000;
const MICROS_PER_DAY = 86_400_000_000n;

/**
 * Writes a timestamp or timestamptz field of `TIMESTAMP_FIELD_BYTES`; exact for the years 1 to 9999 and far beyond.
 *
 * @param daysSince2000 whole days, negative before 2000-01-01
 * @param microsOfDay 0 to 86,399,999,999
 * @returns the offset after the field
 */
export function writeTimestamp(
  daysSince2000: number,
  microsOfDay: number,
  _out: Buffer,
  outView: DataView,
  o: number,
): number {
  const secondOfDay = Math.floor(microsOfDay / 1_000_000);
  const fraction = microsOfDay - secondOfDay * 1_000_000;
  // 10^6 = 15625 * 2^6: the multiple of 2^6 stays below 2^53, the rest is added after splitting at bit 32.
  const multiple = (daysSince2000 * 86_400 + secondOfDay) * 15_625;
  let high = Math.floor(multiple / TWO_26);
  let low = (multiple - high * TWO_26) * 64 + fraction;
  if (low >= TWO_32) {
    low -= TWO_32;
    high += 1;
  }
  outView.setInt32(o, 8);
  outView.setInt32(o + 4, high);
  outView.setUint32(o + 8, low);
  return o + 12;
}

/**
 * Writes a time field of `TIME_FIELD_BYTES`.
 *
 * @param microsOfDay 0 to 86,400,000,000
 * @returns the offset after the field
 */
export function writeTime(microsOfDay: number, _out: Buffer, outView: DataView, o: number): number {
  const high = Math.floor(microsOfDay / TWO_32);
  outView.setInt32(o, 8);
  outView.setInt32(o + 4, high);
  outView.setUint32(o + 8, microsOfDay - high * TWO_32);
  return o + 12;
}

/**
 * Writes a date field of `DATE_FIELD_BYTES`.
 *
 * @returns the offset after the field
 */
export function writeDate(daysSince2000: number, _out: Buffer, outView: DataView, o: number): number {
  outView.setInt32(o, 4);
  outView.setInt32(o + 4, daysSince2000);
  return o + 8;
}

/**
 * Microseconds since midnight of an [MS-TDS] DATETIME's ticks of 1/300 s, rounded to the millisecond as SQL Server
 * itself prints them (.000, .003, .007).
 *
 * @param ticks 0 to 25,919,999
 */
export function datetimeTicksToMicros(ticks: number): number {
  // ticks * 10 / 3 has the thirds 0, 1/3 or 2/3 only, so adding a third before cutting rounds to the nearest.
  return (((ticks * 10 + 1) / 3) | 0) * 1000;
}

/** The plain form of `writeTimestamp`: microseconds since 2000-01-01 00:00. */
export function timestampMicros(daysSince2000: number, microsOfDay: number): bigint {
  return BigInt(daysSince2000) * MICROS_PER_DAY + BigInt(microsOfDay);
}

/** @returns a timestamp, timestamptz, time or int8 field (length prefix and int64), the plain way. */
export function int64Field(value: bigint): Buffer {
  const field = Buffer.alloc(12);
  field.writeInt32BE(8, 0);
  field.writeBigInt64BE(value, 4);
  return field;
}
