/**
 * The date functions.
 *
 * Pure, any thread. GETDATE and its kin give one moment for a whole statement: statement_timestamp().
 */
import type { Expression } from './ast.js';
import { convertLiteral } from './convert.js';
import type { SqlType } from './sqlType.js';
import { Untranslatable } from './untranslatable.js';
import { atom, compound, operand, type Scope, type Value, wholeNumber } from './value.js';

const INT: SqlType = { family: 'integer', bytes: 4 };
const DATETIME: SqlType = { family: 'datetime', name: 'datetime', digits: 3 };
const DATETIME2: SqlType = { family: 'datetime', name: 'datetime2', digits: 7 };
const DATE: SqlType = { family: 'date' };

type Part =
  | 'year'
  | 'quarter'
  | 'month'
  | 'dayofyear'
  | 'day'
  | 'week'
  | 'weekday'
  | 'hour'
  | 'minute'
  | 'second'
  | 'millisecond'
  | 'isoweek';

const PARTS: Record<string, Part> = {};
for (const [part, names] of Object.entries({
  year: 'year yy yyyy',
  quarter: 'quarter qq q',
  month: 'month mm m',
  dayofyear: 'dayofyear dy y',
  day: 'day dd d',
  week: 'week wk ww',
  weekday: 'weekday dw w',
  hour: 'hour hh',
  minute: 'minute mi n',
  second: 'second ss s',
  millisecond: 'millisecond ms',
  isoweek: 'iso_week isowk isoww',
})) {
  for (const name of names.split(' ')) PARTS[name] = part as Part;
}

type Maker = (scope: Scope, list: readonly Expression[]) => Value;

export const DATE_FUNCTIONS: Record<string, Maker> = {
  GETDATE: now,
  CURRENT_TIMESTAMP: now,
  GETUTCDATE: () =>
    recent(compound(`CAST(statement_timestamp() AT TIME ZONE 'UTC' AS timestamp(3))`, DATETIME)),
  SYSDATETIME: () => recent(atom('CAST(statement_timestamp() AS timestamp)', DATETIME2)),
  SYSUTCDATETIME: () => recent(compound(`statement_timestamp() AT TIME ZONE 'UTC'`, DATETIME2)),
  SYSDATETIMEOFFSET: () => recent(atom('statement_timestamp()', { family: 'datetimeoffset', digits: 7 })),
  YEAR: (scope, [date]) => extract(scope, 'year', date),
  MONTH: (scope, [date]) => extract(scope, 'month', date),
  DAY: (scope, [date]) => extract(scope, 'day', date),
  DATEPART: (scope, [part, date]) => extract(scope, partOf(part), date),
  DATEADD: (scope, [part, count, date]) => dateAdd(scope, partOf(part), count, date),
  DATEDIFF: (scope, [part, from, to]) => dateDiff(scope, partOf(part), from, to),
  EOMONTH: (scope, list) => {
    if (list.length !== 1) throw new Untranslatable('EOMONTH with two arguments has no translation here');
    const date = moment(scope, list[0], false);
    return atom(`CAST(date_trunc('month', ${timestamp(date)}) + INTERVAL '1 month -1 day' AS date)`, DATE);
  },
};

/** datetime has 1/300 s; three digits are the nearest PostgreSQL has. */
function now(): Value {
  return recent(atom('CAST(statement_timestamp() AS timestamp(3))', DATETIME));
}

const recent = (value: Value): Value => ({ ...value, recent: true });

function partOf(expression: Expression | undefined): Part {
  const part = expression?.kind === 'column' ? PARTS[expression.name.toLowerCase()] : undefined;
  if (part === undefined) throw new Untranslatable('the date part has no translation');
  return part;
}

/** A date or moment; a literal becomes one. */
function moment(scope: Scope, expression: Expression | undefined, offsets: boolean): Value {
  if (expression === undefined) throw new Untranslatable('an argument is missing');
  const value = scope.scalar(expression);
  const { family } = value.type;
  if (family === 'date' || family === 'datetime') return value;
  if (family === 'datetimeoffset') {
    if (offsets) return compound(`${operand(value)} AT TIME ZONE 'UTC'`, DATETIME2);
    throw new Untranslatable('it depends on the offset of a datetimeoffset, which PostgreSQL does not keep');
  }
  const literal = value.literal === undefined ? null : convertLiteral(scope, value, DATETIME);
  if (literal === null || value.literal?.kind === 'null')
    throw new Untranslatable(`a date function of ${family}`);
  return literal;
}

function timestamp(date: Value): string {
  return date.type.family === 'date' ? `CAST(${date.sql} AS timestamp)` : date.sql;
}

function extract(scope: Scope, part: Part, expression: Expression | undefined): Value {
  const date = moment(scope, expression, false);
  const isDate = date.type.family === 'date';
  const integer = (sql: string): Value => atom(`CAST(${sql} AS integer)`, INT);
  switch (part) {
    case 'year':
    case 'quarter':
    case 'month':
    case 'day':
      return integer(`extract(${part} FROM ${date.sql})`);
    case 'dayofyear':
      return integer(`extract(doy FROM ${date.sql})`);
    case 'isoweek':
      return integer(`extract(week FROM ${date.sql})`);
    case 'hour':
    case 'minute':
      return isDate ? atom('0', INT) : integer(`extract(${part} FROM ${date.sql})`);
    case 'second':
      return isDate ? atom('0', INT) : integer(`floor(extract(second FROM ${date.sql}))`);
    default:
      throw new Untranslatable(
        part === 'millisecond'
          ? 'milliseconds have no exact translation'
          : `${part} depends on SET DATEFIRST`,
      );
  }
}

function dateAdd(
  scope: Scope,
  part: Part,
  countExpression: Expression | undefined,
  dateExpression: Expression | undefined,
): Value {
  if (countExpression === undefined) throw new Untranslatable('an argument is missing');
  const count = scope.scalar(countExpression);
  if (count.type.family !== 'integer' || count.type.bytes === 8) {
    throw new Untranslatable('DATEADD of a number that is no int');
  }
  const raw = dateExpression === undefined ? null : scope.scalar(dateExpression);
  const units: Partial<Record<Part, [unit: string, factor: number]>> = {
    year: ['years', 1],
    quarter: ['months', 3],
    month: ['months', 1],
    dayofyear: ['days', 1],
    day: ['days', 1],
    weekday: ['days', 1],
    week: ['days', 7],
    hour: ['hours', 1],
    minute: ['mins', 1],
    second: ['secs', 1],
  };
  const unit = units[part];
  if (unit === undefined) throw new Untranslatable(`DATEADD of ${part} has no exact translation`);
  const literal = wholeNumber(count);
  const number =
    literal !== null
      ? String(literal * unit[1])
      : unit[1] === 1
        ? count.sql
        : `${operand(count)} * ${unit[1]}`;
  const interval = `make_interval(${unit[0]} => ${number})`;
  if (raw?.type.family === 'datetimeoffset') {
    if (unit[0] === 'years' || unit[0] === 'months') {
      throw new Untranslatable(
        'months of a datetimeoffset depend on its offset, which PostgreSQL does not keep',
      );
    }
    return compound(`(${operand(raw)} AT TIME ZONE 'UTC' + ${interval}) AT TIME ZONE 'UTC'`, raw.type);
  }
  const date = moment(scope, dateExpression, false);
  if (date.type.family === 'date') {
    if (!['years', 'months', 'days'].includes(unit[0]))
      throw new Untranslatable(`DATEADD of ${part} to a date`);
    return atom(`CAST(${operand(date)} + ${interval} AS date)`, DATE);
  }
  if (unit[0] === 'secs' && date.type.family === 'datetime' && date.type.name === 'smalldatetime') {
    throw new Untranslatable('a smalldatetime rounds the seconds that are added to it');
  }
  const sum = compound(`${operand(date)} + ${interval}`, date.type);
  // A fixed count from now is as far from the year 2000.
  return date.recent === true && literal !== null ? recent(sum) : sum;
}

/** DATEDIFF counts boundaries that are crossed, not time that went by. */
function dateDiff(
  scope: Scope,
  part: Part,
  fromExpression: Expression | undefined,
  toExpression: Expression | undefined,
): Value {
  const from = moment(scope, fromExpression, true);
  const to = moment(scope, toExpression, true);
  const integer = (sql: string): Value => atom(`CAST(${sql} AS integer)`, INT);
  const field = (name: string, value: Value): string => `extract(${name} FROM ${value.sql})`;
  const day = (value: Value): string =>
    value.type.family === 'date' ? operand(value) : `CAST(${value.sql} AS date)`;
  const difference = (count: (value: Value) => string): string => `${count(to)} - (${count(from)})`;
  switch (part) {
    case 'year':
      return integer(difference((value) => field('year', value)));
    case 'quarter':
      return integer(difference((value) => `${field('year', value)} * 4 + ${field('quarter', value)}`));
    case 'month':
      return integer(difference((value) => `${field('year', value)} * 12 + ${field('month', value)}`));
    case 'day':
    case 'dayofyear':
    case 'weekday':
      return compound(`${day(to)} - ${day(from)}`, INT);
    case 'week':
      // Weeks begin on Sunday whatever DATEFIRST says; that day was one, and lies before all of SQL Server's.
      return compound(
        difference((value) => `(${day(value)} - DATE '0001-12-31 BC') / 7`),
        INT,
      );
    case 'hour':
    case 'minute':
    case 'second': {
      const seconds = { hour: 3600, minute: 60, second: 1 }[part];
      const start = (value: Value): string => `date_trunc('${part}', ${timestamp(value)})`;
      return integer(`extract(epoch FROM ${start(to)} - ${start(from)}) / ${seconds}`);
    }
    default:
      throw new Untranslatable(`DATEDIFF of ${part} has no exact translation`);
  }
}
