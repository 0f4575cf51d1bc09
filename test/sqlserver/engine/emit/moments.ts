/**
 * Conversions into and between the date and time types: everything meets in datetime2(7) ticks.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError, type SqlType } from '../../contract.js';
import { describe, family } from '../types.js';
import type { Emitted } from './context.js';

export interface ConvertOptions {
  style?: number;
  /** TRY_CAST and TRY_CONVERT: NULL where the value does not convert. */
  attempt?: boolean;
}

const DAY = '864000000000';
const EPOCH_1900 = '599266080000000000';
/** @throws SqlError 529: SQL Server has no such conversion. */
export function refuse(from: SqlType, to: SqlType): never {
  throw new SqlError(
    529,
    `Explicit conversion from data type ${describe(from)} to ${describe(to)} is not allowed.`,
  );
}

/** Fraction digits a date type shows. */
export const digitsOf = (type: SqlType): number =>
  type.name === 'datetime'
    ? 3
    : type.name === 'smalldatetime' || type.name === 'date'
      ? 0
      : (type.scale ?? 7);

/** Any date or time value as datetime2(7) ticks; a time is one of 1900-01-01. */
export function ticksOf(value: Emitted): string {
  switch (family(value.type)) {
    case 'date':
      return `(${value.sql}::int8 * ${DAY})`;
    case 'time':
      return `(${EPOCH_1900} + ${value.sql})`;
    case 'datetime2':
      return value.sql;
    case 'datetime':
      return `tsql.datetime_ticks(${value.sql})`;
    case 'smalldatetime':
      return `tsql.minutes_ticks(${value.sql})`;
    case 'datetimeoffset':
      return `tsql.offset_local(${value.sql})`;
    default:
      return refuse(value.type, { name: 'datetime2' });
  }
}

export function toMoment(from: Emitted, to: SqlType, options: ConvertOptions): string {
  const { sql, type } = from;
  const attempt = options.attempt === true;
  const scale = to.scale ?? 7;
  const source = family(type);
  if (source === 'string' || source === 'variant') {
    const text = source === 'variant' ? `tsql.variant_text(${sql})` : sql;
    const moment = `tsql.parse_moment(${text}, ${options.style ?? 0}, '${type.name}', '${to.name}', ${attempt})`;
    if (to.name === 'date') return `(${moment})[1]::int4`;
    if (to.name === 'time') return `(${rounded(`(${moment})[2]`, scale)} % ${DAY})`;
    if (to.name === 'datetimeoffset') return `tsql.moment_offset(${moment}, ${scale})`;
    const ticks = `tsql.moment_ticks(${moment})`;
    if (to.name !== 'smalldatetime') return fromTicks(ticks, to, type.name, attempt);
    // By way of datetime: 29.999 s is half a minute.
    const rough = `tsql.datetime_ticks(tsql.ticks_datetime(${ticks}, '${type.name}', ${attempt}))`;
    return fromTicks(rough, to, type.name, attempt);
  }
  if (source === family(to) && (type.scale ?? 7) <= scale) return sql;
  if (source === 'integer' || source === 'decimal' || source === 'float') {
    if (to.name === 'datetime') return `round((${sql})::numeric * 25920000)::int8`;
    if (to.name === 'smalldatetime') return `round((${sql})::numeric * 1440)::int4`;
    return refuse(type, to);
  }
  if (!['date', 'time', 'datetime2', 'datetime', 'smalldatetime', 'datetimeoffset'].includes(source))
    refuse(type, to);
  if ((source === 'date' && to.name === 'time') || (source === 'time' && to.name === 'date'))
    refuse(type, to);
  if (source === 'datetimeoffset' && to.name === 'datetimeoffset') {
    return `tsql.make_offset(tsql.round_ticks(tsql.offset_utc(${sql}), ${scale}), tsql.offset_zone(${sql}))`;
  }
  return fromTicks(ticksOf(from), to, type.name, attempt);
}

/** Ticks rounded to `scale` fraction digits; ticks are never negative, so `/` floors. */
function rounded(ticks: string, scale: number): string {
  if (scale >= 7) return ticks;
  const unit = 10 ** (7 - scale);
  return `(((${ticks}) + ${unit / 2}) / ${unit} * ${unit})`;
}

/** datetime2(7) ticks as the storage of another date type, rounded as that type rounds. */
export function fromTicks(ticks: string, to: SqlType, source: string, attempt = false): string {
  const scale = to.scale ?? 7;
  switch (to.name) {
    case 'date':
      return `((${ticks}) / ${DAY})::int4`;
    case 'time':
      return `(${rounded(`((${ticks}) % ${DAY})`, scale)} % ${DAY})`;
    case 'datetime2':
      return rounded(ticks, scale);
    case 'datetime':
      return `tsql.ticks_datetime(${ticks}, '${source}', ${attempt})`;
    case 'smalldatetime':
      return `tsql.ticks_minutes(${ticks}, '${source}', ${attempt})`;
    default:
      return `tsql.make_offset(tsql.round_ticks(${ticks}, ${scale}), 0)`;
  }
}
