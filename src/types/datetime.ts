/**
 * The date and time types. PostgreSQL counts microseconds: the seventh fractional digit is floored.
 *
 * Mapping on the main thread, codec on reader threads.
 * [MS-TDS] DATETIMETYPE, DATETIM4TYPE, DATENTYPE, TIMENTYPE, DATETIME2NTYPE, DATETIMEOFFSETNTYPE.
 */
import {
  DAYS_0001_TO_2000,
  DAYS_1900_TO_2000,
  datetimeTicksToMicros,
  timestampMicros,
  writeDate,
  writeTime,
  writeTimestamp,
} from '../copy/datetime.js';
import type { CopyField } from '../copy/frame.js';
import { AppError } from '../errors.js';
import type { SourceColumn } from '../source/model.js';
import { timeBytes, type WireColumn } from '../tds/colmetadata.js';
import { TYPE } from '../tds/tokens.js';
import { type ColumnMapping, notAsPlanned, type TypeCodec, type TypeMapper } from './family.js';
import { binaryOf, type ColumnHash, fixedHash } from './hash.js';

const MAPPED: Record<string, { pgType: string; field: CopyField; style: number }> = {
  date: { pgType: 'date', field: 'date', style: 23 },
  time: { pgType: 'time', field: 'time', style: 121 },
  datetime: { pgType: 'timestamp', field: 'timestamp', style: 121 },
  smalldatetime: { pgType: 'timestamp', field: 'timestamp', style: 121 },
  datetime2: { pgType: 'timestamp', field: 'timestamp', style: 121 },
  datetimeoffset: { pgType: 'timestamptz', field: 'timestamptz', style: 121 },
};

/** Their text means one thing in every language; styles are documented for texts with a date and without an offset. */
const PARSED_ALONE = new Set(['time', 'datetimeoffset']);
const SCALED = new Set(['time', 'datetime2', 'datetimeoffset']);

export const datetimeMapper: TypeMapper = {
  sqlTypes: Object.keys(MAPPED),
  map(column: SourceColumn): ColumnMapping {
    const { pgType, field, style } = MAPPED[column.type]!;
    const sqlType = SCALED.has(column.type) ? `${column.type}(${column.scale})` : column.type;
    const losses: string[] = [];
    if (column.type === 'datetimeoffset') losses.push('time zone offset (the instant is kept)');
    if (SCALED.has(column.type) && column.scale === 7) losses.push('7th fractional digit (floored)');
    return {
      pgType,
      field,
      select: (expression) => expression,
      keyText: {
        toText: (expression) => `CONVERT(nvarchar(40), ${expression}, ${style})`,
        fromText: (parameter) =>
          `CONVERT(${sqlType}, ${parameter}${PARSED_ALONE.has(column.type) ? '' : `, ${style}`})`,
      },
      hash: momentHash(column),
      loses: losses.length > 0 ? losses.join(', ') : null,
    };
  },
};

/**
 * Days or microseconds since 2000-01-01. DATEDIFF_BIG counts the boundaries between two moments, which floors a
 * seventh digit just as the transcoder does.
 */
function momentHash(column: SourceColumn): ColumnHash {
  const { type, scale } = column;
  const micros = (from: string, to: string) => binaryOf(8, `DATEDIFF_BIG(microsecond, ${from}, ${to})`);
  const since = "CONVERT(datetime2(7), '2000-01-01T00:00:00', 126)";
  // Keys that differ in a seventh digit alone are one key in PostgreSQL.
  const ordered = scale < 7;
  switch (type) {
    case 'date':
      return fixedHash('date', true, (c) => binaryOf(4, `DATEDIFF(day, CONVERT(date, ${since}), ${c})`));
    case 'time':
      return fixedHash('time', ordered, (c) => micros("CONVERT(time(7), '00:00:00', 108)", c));
    case 'datetime2':
      return fixedHash('timestamp', ordered, (c) => micros(since, c));
    case 'datetimeoffset':
      return fixedHash('timestamptz', false, (c) =>
        micros(since, `CONVERT(datetime2(7), SWITCHOFFSET(${c}, '+00:00'))`),
      );
    case 'smalldatetime':
      return fixedHash('timestamp', true, (c) => micros(since, `CONVERT(datetime2(0), ${c})`));
    default:
      // datetime2(3) has datetime's thirds rounded to .000, .003 and .007 at every compatibility level.
      return fixedHash('timestamp', true, (c) => micros(since, `CONVERT(datetime2(3), ${c})`));
  }
}

const LAST_DAY = 3_652_058; // 9999-12-31, days since 0001-01-01
const FIRST_DAY_1900 = -53_690; // 1753-01-01, days since 1900-01-01
const LAST_DAY_1900 = 2_958_463; // 9999-12-31
const DAYS_0001_TO_1970 = 719_162;
const DAYS_1900_TO_1970 = 25_567;
const TICKS_A_DAY = 25_920_000;
const MINUTES_A_DAY = 1440;

/** The one field each wire type may become. */
const FIELD_OF: ReadonlyMap<number, CopyField> = new Map([
  [TYPE.DATEN, 'date'],
  [TYPE.TIMEN, 'time'],
  [TYPE.DATETIME, 'timestamp'],
  [TYPE.DATETIM4, 'timestamp'],
  [TYPE.DATETIMN, 'timestamp'],
  [TYPE.DATETIME2N, 'timestamp'],
  [TYPE.DATETIMEOFFSETN, 'timestamptz'],
]);

/** JavaScript that reads `bytes` little-endian bytes at `at` as an exact unsigned number. */
function readUnsigned(at: string, bytes: number): string {
  if (bytes === 3) return `iv.getUint16(${at}, true) + ib[${at} + 2] * 65536`;
  if (bytes === 4) return `iv.getUint32(${at}, true)`;
  return `iv.getUint32(${at}, true) + ib[${at} + 4] * 4294967296`;
}

/** JavaScript turning `t`, in units of 10^-scale seconds, into microseconds of the day in `u`. */
function toMicros(scale: number): string {
  const range = `if (t >= ${86_400 * 10 ** scale}) BAD;`;
  return `${range} u = ${scale === 7 ? 'Math.floor(t / 10)' : `t * ${10 ** (6 - scale)}`};`;
}

export const datetimeCodec: TypeCodec = {
  wireTypes: [
    TYPE.DATEN,
    TYPE.TIMEN,
    TYPE.DATETIME,
    TYPE.DATETIM4,
    TYPE.DATETIMN,
    TYPE.DATETIME2N,
    TYPE.DATETIMEOFFSETN,
  ],
  targets: ['date', 'time', 'timestamp', 'timestamptz'],
  helpers: { writeDate, writeTime, writeTimestamp, datetimeTicksToMicros },

  check(column, target) {
    if (FIELD_OF.get(column.type) !== target.field) throw notAsPlanned(column, target);
  },

  contentBytes() {
    return 8;
  },

  emit(column) {
    const { type, scale, maxBytes } = column;
    if (type === TYPE.DATEN) {
      return `d = ${readUnsigned('v', 3)}; if (d > ${LAST_DAY}) BAD;
        o = writeDate(d - ${DAYS_0001_TO_2000}, ob, ov, o);`;
    }
    if (type === TYPE.TIMEN) {
      return `t = ${readUnsigned('v', timeBytes(scale))}; ${toMicros(scale)} o = writeTime(u, ob, ov, o);`;
    }
    if (type === TYPE.DATETIME2N || type === TYPE.DATETIMEOFFSETN) {
      const bytes = timeBytes(scale);
      // datetimeoffset keeps its instant in UTC and the offset beside it: the instant is what timestamptz is.
      return `t = ${readUnsigned('v', bytes)}; d = ${readUnsigned(`(v + ${bytes})`, 3)};
        if (d > ${LAST_DAY}) BAD; ${toMicros(scale)}
        o = writeTimestamp(d - ${DAYS_0001_TO_2000}, u, ob, ov, o);`;
    }
    if (maxBytes === 4) {
      return `d = iv.getUint16(v, true); t = iv.getUint16(v + 2, true); if (t >= ${MINUTES_A_DAY}) BAD;
        o = writeTimestamp(d - ${DAYS_1900_TO_2000}, t * 60000000, ob, ov, o);`;
    }
    return `d = iv.getInt32(v, true); t = iv.getUint32(v + 4, true);
      if (t >= ${TICKS_A_DAY} || d < ${FIRST_DAY_1900} || d > ${LAST_DAY_1900}) BAD;
      o = writeTimestamp(d - ${DAYS_1900_TO_2000}, datetimeTicksToMicros(t), ob, ov, o);`;
  },

  keyText: momentText,

  encode(column, _target, value) {
    const content = Buffer.alloc(column.type === TYPE.DATEN ? 4 : 8);
    if (column.type === TYPE.DATEN) {
      content.writeInt32BE(dayNumber(value, 0) - DAYS_0001_TO_2000);
    } else if (column.type === TYPE.TIMEN) {
      content.writeBigInt64BE(BigInt(timeMicros(column, value)));
    } else {
      content.writeBigInt64BE(plainTimestamp(column, value));
    }
    return content;
  },
};

/** As styles 23 and 121 print a moment: every fractional digit of the type, and the offset where it has one. */
function momentText({ type, scale }: WireColumn, value: Buffer): string {
  const from0001 = (days: number): string => dayText(days - DAYS_0001_TO_1970);
  if (type === TYPE.DATEN) return from0001(value.readUIntLE(0, 3));
  if (type === TYPE.TIMEN || type === TYPE.DATETIME2N || type === TYPE.DATETIMEOFFSETN) {
    const bytes = timeBytes(scale);
    const units = value.readUIntLE(0, bytes);
    if (type === TYPE.TIMEN) return clockText(units, scale);
    const days = value.readUIntLE(bytes, 3);
    if (type === TYPE.DATETIME2N) return `${from0001(days)} ${clockText(units, scale)}`;
    // The wire has the instant in UTC; what is printed is the local time.
    const offset = value.readInt16LE(bytes + 3);
    const perMinute = 60 * 10 ** scale;
    const perDay = MINUTES_A_DAY * perMinute;
    const local = units + offset * perMinute;
    const shift = Math.floor(local / perDay);
    const hours = Math.floor(Math.abs(offset) / 60);
    const zone = `${offset < 0 ? '-' : '+'}${digits(hours, 2)}:${digits(Math.abs(offset) % 60, 2)}`;
    return `${from0001(days + shift)} ${clockText(local - shift * perDay, scale)} ${zone}`;
  }
  if (value.length === 4) {
    const day = dayText(value.readUInt16LE(0) - DAYS_1900_TO_1970);
    return `${day} ${clockText(value.readUInt16LE(2) * 60_000, 3)}`;
  }
  const day = dayText(value.readInt32LE(0) - DAYS_1900_TO_1970);
  return `${day} ${clockText(datetimeTicksToMicros(value.readUInt32LE(4)) / 1000, 3)}`;
}

/** `units` of 10^-scale seconds since midnight. */
function clockText(units: number, scale: number): string {
  const perSecond = 10 ** scale;
  const seconds = Math.floor(units / perSecond);
  const clock = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map((part) =>
    digits(Math.floor(part), 2),
  );
  return clock.join(':') + (scale === 0 ? '' : `.${digits(units - seconds * perSecond, scale)}`);
}

function dayText(daysSince1970: number): string {
  return new Date(daysSince1970 * 86_400_000).toISOString().slice(0, 10);
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, '0');
}

function outOfRange(what: string): AppError {
  return new AppError('VALUE_UNREPRESENTABLE', `The value's ${what} is outside what SQL Server can store`, {
    remedy:
      'The row is damaged in the source: correct it there (DBCC CHECKTABLE ... WITH DATA_PURITY finds such rows).',
  });
}

function dayNumber(value: Buffer, at: number): number {
  const days = value.readUIntLE(at, 3);
  if (days > LAST_DAY) throw outOfRange(`day number ${days}`);
  return days;
}

function timeMicros(column: WireColumn, value: Buffer): number {
  const units = value.readUIntLE(0, timeBytes(column.scale));
  if (units >= 86_400 * 10 ** column.scale) throw outOfRange(`time of day ${units}`);
  return Math.floor((units * 10 ** (7 - column.scale)) / 10);
}

function plainTimestamp(column: WireColumn, value: Buffer): bigint {
  if (column.type === TYPE.DATETIME2N || column.type === TYPE.DATETIMEOFFSETN) {
    const days = dayNumber(value, timeBytes(column.scale));
    return timestampMicros(days - DAYS_0001_TO_2000, timeMicros(column, value));
  }
  if (value.length === 4) {
    const minutes = value.readUInt16LE(2);
    if (minutes >= MINUTES_A_DAY) throw outOfRange(`minute ${minutes}`);
    return timestampMicros(value.readUInt16LE(0) - DAYS_1900_TO_2000, minutes * 60_000_000);
  }
  const days = value.readInt32LE(0);
  const ticks = value.readUInt32LE(4);
  if (days < FIRST_DAY_1900 || days > LAST_DAY_1900) throw outOfRange(`day number ${days}`);
  if (ticks >= TICKS_A_DAY) throw outOfRange(`time of day ${ticks}`);
  return timestampMicros(days - DAYS_1900_TO_2000, Math.round((ticks * 10) / 3) * 1000);
}
