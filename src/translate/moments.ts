/**
 * Conversions between moments and times of day of different precision, rounded as SQL Server rounds them.
 *
 * Pure, any thread. PostgreSQL's own rounding differs: timestamp(n) rounds halves away from the year 2000, time(n)
 * makes 24:00 where SQL Server begins the day again.
 */
import { pgTypeOf, type SqlType } from './sqlType.js';
import { Untranslatable } from './untranslatable.js';
import { atom, compound, operand, type Value } from './value.js';

/** @returns the value as one of type `to`, or null where the two are no such pair. */
export function castMoment(from: Value, to: SqlType): Value | null {
  const a = from.type;
  switch (to.family) {
    case 'datetime':
      if (a.family === 'date') return atom(`CAST(${from.sql} AS ${pgTypeOf(to)})`, to);
      return a.family === 'datetime' ? momentAs(from, a, to) : null;
    case 'time':
      if (a.family === 'time') return a.digits <= to.digits ? { ...from, type: to } : refuse(to.digits);
      if (a.family !== 'datetime') return null;
      return atom(`CAST(${a.digits <= to.digits ? from.sql : rounded(from, to.digits).sql} AS time)`, to);
    case 'datetimeoffset':
      if (a.family === 'datetimeoffset') {
        if (a.digits <= to.digits) return { ...from, type: to };
        if (from.recent !== true) return refuse(to.digits);
        return { ...atom(`CAST(${from.sql} AS timestamptz(${microseconds(to.digits)}))`, to), recent: true };
      }
      if (a.family !== 'datetime') return null;
      return compound(
        `${operand(a.digits <= to.digits ? from : rounded(from, to.digits))} AT TIME ZONE 'UTC'`,
        to,
      );
    default:
      return null;
  }
}

type Moment = SqlType & { family: 'datetime' };

function momentAs(from: Value, a: Moment, to: Moment): Value {
  if (a.name === to.name && a.digits <= to.digits) return { ...from, type: to };
  if (to.name === 'smalldatetime') {
    // A datetime has no moment between 29.997 and 30 seconds, where this type rounds.
    if (a.name !== 'datetime' && from.recent !== true) return refuse(0);
    return atom(`date_trunc('minute', ${operand(from)} + INTERVAL '30 seconds')`, to);
  }
  if (a.name === 'datetime' && to.digits > 3 && from.recent !== true) {
    throw new Untranslatable(
      `datetime counts in 1/300 s, of which datetime2(${to.digits}) shows more digits`,
    );
  }
  if (a.digits <= to.digits && (to.name === 'datetime2' || a.name === 'smalldatetime')) {
    return { ...from, type: to };
  }
  // datetime counts thirds of a hundredth: of moments that are not the present one these are not the nearest.
  if (to.name === 'datetime' && from.recent !== true) {
    throw new Untranslatable('a conversion from datetime2 to datetime has no exact translation');
  }
  return { ...rounded(from, to.digits), type: to };
}

function rounded(from: Value, digits: number): Value {
  if (from.recent === true) {
    return { ...atom(`CAST(${from.sql} AS timestamp(${microseconds(digits)}))`, from.type), recent: true };
  }
  const [unit, half] = { 0: ['second', '0.5'], 3: ['milliseconds', '0.0005'] }[digits] ?? refuse(digits);
  return atom(`date_trunc('${unit}', ${operand(from)} + INTERVAL '${half} second')`, from.type);
}

/** The digits PostgreSQL has of them. */
const microseconds = (digits: number): number => Math.min(digits, 6);

function refuse(digits: number): never {
  throw new Untranslatable(`a moment rounded to ${digits} fractional digits has no exact translation`);
}
