/**
 * Random values of SQL Server's types with three independent descriptions each: the bytes on the wire, the binary
 * COPY field they must become, and the text PostgreSQL must print. Test process, main thread.
 */
import fc from 'fast-check';
import { decimalText, numericSend } from './hashOracle.js';
import { decimalBytes, u8, uint, type WireValue } from './wire.js';
import { type Encoding, encodeText, randomText } from './wireText.js';

export interface Cell extends WireValue {
  field: Buffer;
  /** What PostgreSQL prints; a number where the printed text only has to mean that number. */
  text: string | number;
}

const DAY_MICROS = 86_400_000_000n;

function bigint(min: bigint, max: bigint): fc.Arbitrary<bigint> {
  return fc.oneof(
    { arbitrary: fc.constantFrom(min, max), weight: 1 },
    { arbitrary: fc.bigInt({ min, max }), weight: 4 },
  );
}

/** `value` as a big-endian two's complement field. */
function bigEndian(value: bigint, size: number): Buffer {
  return Buffer.from(uint(BigInt.asUintN(size * 8, value), size)).reverse();
}

export function integer(size: number, signed: boolean): fc.Arbitrary<Cell> {
  const bits = BigInt(size * 8);
  const [min, max] = signed ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
  return bigint(min, max).map((value) => ({
    bytes: uint(BigInt.asUintN(size * 8, value), size),
    field: bigEndian(value, signed ? size : 2),
    text: String(value),
  }));
}

export const bit = fc
  .boolean()
  .map((on): Cell => ({ bytes: u8(on ? 1 : 0), field: u8(on ? 1 : 0), text: on ? 't' : 'f' }));

function numeric(unscaled: bigint, scale: number): { field: Buffer; text: string } {
  return { field: numericSend(unscaled, scale), text: decimalText(unscaled, scale) };
}

export function decimal(precision: number, scale: number): fc.Arbitrary<Cell> {
  const max = 10n ** BigInt(precision) - 1n;
  const small = 10n ** BigInt(Math.min(precision, scale)) - 1n;
  const value = fc.oneof(bigint(-max, max), bigint(-small, small), fc.constant(0n));
  return fc.tuple(value, fc.boolean()).map(([unscaled, short]) => {
    const magnitude = unscaled < 0n ? -unscaled : unscaled;
    const needed = [4, 8, 12, 16].find((size) => magnitude < 1n << BigInt(size * 8))!;
    const size = short ? needed : decimalBytes(precision) - 1;
    return {
      bytes: Buffer.concat([u8(unscaled < 0n ? 0 : 1), uint(magnitude, size)]),
      ...numeric(unscaled, scale),
    };
  });
}

export function money(size: number): fc.Arbitrary<Cell> {
  const limit = 1n << BigInt(size * 8 - 1);
  return bigint(-limit, limit - 1n).map((value) => {
    const bits = BigInt.asUintN(size * 8, value);
    // [MS-TDS] MONEY: the high half comes first.
    const bytes =
      size === 4 ? uint(bits, 4) : Buffer.concat([uint(bits >> 32n, 4), uint(bits & 0xffff_ffffn, 4)]);
    return { bytes, ...numeric(value, 4) };
  });
}

export function float(size: 4 | 8): fc.Arbitrary<Cell> {
  const options = { noNaN: true, noDefaultInfinity: true };
  return (size === 4 ? fc.float(options) : fc.double(options)).map((value) => {
    const field = Buffer.alloc(size);
    if (size === 4) field.writeFloatBE(value);
    else field.writeDoubleBE(value);
    return { bytes: Buffer.from(field).reverse(), field, text: value };
  });
}

/** Days since 0001-01-01 as PostgreSQL prints them; the years 1 to 9999. */
function dateText(days: bigint): string {
  return new Date(Number(days) * 86_400_000 - 62_135_596_800_000).toISOString().slice(0, 10);
}

function timeText(micros: bigint): string {
  const two = (value: bigint): string => String(value).padStart(2, '0');
  const seconds = micros / 1_000_000n;
  const fraction = String(micros % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '');
  const clock = `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`;
  return fraction === '' ? clock : `${clock}.${fraction}`;
}

const DAYS_TO_2000 = 730_119n;
const DAYS_TO_1900 = 693_595n;
const LAST_DAY = 3_652_058n;

function timestamp(days: bigint, micros: bigint, zone = ''): { field: Buffer; text: string } {
  return {
    field: bigEndian((days - DAYS_TO_2000) * DAY_MICROS + micros, 8),
    text: `${dateText(days)} ${timeText(micros)}${zone}`,
  };
}

export const date = bigint(0n, LAST_DAY).map(
  (days): Cell => ({ bytes: uint(days, 3), field: bigEndian(days - DAYS_TO_2000, 4), text: dateText(days) }),
);

const timeSize = (scale: number): number => (scale <= 2 ? 3 : scale <= 4 ? 4 : 5);
const ticks = (scale: number): fc.Arbitrary<bigint> => bigint(0n, 86_400n * 10n ** BigInt(scale) - 1n);
/** Units of 10^-scale seconds in microseconds; what is finer is dropped. */
const micros = (units: bigint, scale: number): bigint => (units * 10n ** BigInt(7 - scale)) / 10n;

export const time = (scale: number): fc.Arbitrary<Cell> =>
  ticks(scale).map((units) => {
    const value = micros(units, scale);
    return { bytes: uint(units, timeSize(scale)), field: bigEndian(value, 8), text: timeText(value) };
  });

export const datetime2 = (scale: number): fc.Arbitrary<Cell> =>
  fc.tuple(ticks(scale), bigint(0n, LAST_DAY)).map(([units, days]) => ({
    bytes: Buffer.concat([uint(units, timeSize(scale)), uint(days, 3)]),
    ...timestamp(days, micros(units, scale)),
  }));

export const datetimeoffset = (scale: number): fc.Arbitrary<Cell> =>
  fc
    .tuple(ticks(scale), bigint(0n, LAST_DAY), fc.integer({ min: -840, max: 840 }))
    .map(([units, days, offset]) => ({
      bytes: Buffer.concat([
        uint(units, timeSize(scale)),
        uint(days, 3),
        uint(BigInt.asUintN(16, BigInt(offset)), 2),
      ]),
      ...timestamp(days, micros(units, scale), '+00'),
    }));

export const datetime = fc
  .tuple(bigint(-53_690n, 2_958_463n), bigint(0n, 25_919_999n))
  .map(([days, units]): Cell => {
    const milliseconds = (units * 20n + 3n) / 6n;
    return {
      bytes: Buffer.concat([uint(BigInt.asUintN(32, days), 4), uint(units, 4)]),
      ...timestamp(days + DAYS_TO_1900, milliseconds * 1000n),
    };
  });

export const smalldatetime = fc.tuple(bigint(0n, 65_535n), bigint(0n, 1439n)).map(
  ([days, minutes]): Cell => ({
    bytes: Buffer.concat([uint(days, 2), uint(minutes, 2)]),
    ...timestamp(days + DAYS_TO_1900, minutes * 60_000_000n),
  }),
);

export const guid = fc.uuid().map((text): Cell => {
  const field = Buffer.from(text.replaceAll('-', ''), 'hex');
  const bytes = Buffer.concat([
    Buffer.from(field.subarray(0, 4)).reverse(),
    Buffer.from(field.subarray(4, 6)).reverse(),
    Buffer.from(field.subarray(6, 8)).reverse(),
    field.subarray(8),
  ]);
  return { bytes, field, text };
});

function binaryCell(bytes: Buffer): Cell {
  return { bytes, field: bytes, text: `\\x${bytes.toString('hex')}` };
}

/** Mostly short, at times at the limit or far over a window's size. */
export function binary(maxBytes: number): fc.Arbitrary<Cell> {
  const short = fc.uint8Array({ maxLength: Math.min(maxBytes, 60) });
  const long = fc.tuple(
    fc.uint8Array({ minLength: 1, maxLength: 40 }),
    fc.integer({ min: 0, max: maxBytes }),
  );
  return fc.oneof(
    { arbitrary: short.map((bytes) => binaryCell(Buffer.from(bytes))), weight: 8 },
    { arbitrary: long.map(([piece, size]) => binaryCell(Buffer.alloc(size, piece))), weight: 1 },
  );
}

export function textCell(encoding: Encoding, maxBytes: number, pad: number | null): fc.Arbitrary<Cell> {
  return fc.tuple(randomText(encoding, maxBytes), fc.boolean()).map(([text, blanks]) => {
    let bytes = encodeText(text, encoding);
    let whole = text;
    if (pad !== null) {
      const space = encodeText(' ', encoding);
      if (blanks) bytes = Buffer.concat([bytes, Buffer.alloc(maxBytes - bytes.length, space)]);
      whole += ' '.repeat(pad - [...text].length);
    }
    return { bytes, field: Buffer.from(whole), text: whole };
  });
}

/** PLP: total length told or not, in one or several chunks. */
export function asPlp(cell: fc.Arbitrary<Cell>): fc.Arbitrary<Cell> {
  const chunks = fc.oneof(
    fc.constant<number[]>([]),
    fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 20_000 })), { maxLength: 5 }),
  );
  return fc
    .tuple(cell, fc.boolean(), chunks)
    .map(([value, known, lengths]) => ({ ...value, known, chunks: lengths }));
}

/** XML may come with a byte order mark, which is no part of it, and never starts with that character itself. */
export const xml = fc.tuple(textCell('utf16le', 60_000, null), fc.boolean()).map(([cell, mark]): Cell => {
  const text = `<a/>${cell.text}`;
  const bytes = Buffer.from(mark ? `\ufeff${text}` : text, 'utf16le');
  return { bytes, field: Buffer.from(text), text };
});
