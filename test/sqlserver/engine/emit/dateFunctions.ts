/**
 * Date and time functions: DATEDIFF, DATEADD, DATEPART and the clock.
 *
 * Runs in the process of the stand-in SQL Server. The server's clock shows UTC; DATEFIRST is 7 (us_english).
 */
import { SqlError, type SqlType } from '../../contract.js';
import { BIGINT, DATETIME, family, INT, nvarchar } from '../types.js';
import type { Emitted } from './context.js';
import { convert } from './convert.js';
import type { BuiltIn, Invocation } from './functions.js';
import { fromTicks, ticksOf } from './moments.js';

/** Every spelling of a datepart. */
const PARTS: Record<string, string> = Object.fromEntries(
  Object.entries({
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
    microsecond: 'microsecond mcs',
    nanosecond: 'nanosecond ns',
    tzoffset: 'tzoffset tz',
    iso_week: 'iso_week isowk isoww',
  }).flatMap(([part, names]) => names.split(' ').map((name) => [name, part])),
);
/** Ticks (100 ns) of the dateparts DATEDIFF_BIG and DATEADD can count in. */
const TICKS: Record<string, string> = {
  nanosecond: '',
  microsecond: '10',
  millisecond: '10000',
  second: '10000000',
  minute: '600000000',
  hour: '36000000000',
  day: '864000000000',
};
/** Types that can add a datepart as whole units of their own storage. */
const OWN_UNITS: Record<string, { low: string; high: string; units: Record<string, string> }> = {
  date: { low: '0', high: '3652058', units: { day: '1', dayofyear: '1', weekday: '1', week: '7' } },
  smalldatetime: {
    low: '0',
    high: '94371839',
    units: { minute: '1', hour: '60', day: '1440', dayofyear: '1440', weekday: '1440', week: '10080' },
  },
  datetime: {
    low: '-1391644800000',
    high: '76683386879999',
    units: {
      second: '300',
      minute: '18000',
      hour: '1080000',
      day: '25920000',
      dayofyear: '25920000',
      weekday: '25920000',
      week: '181440000',
    },
  },
  datetime2: {
    low: '0',
    high: '3155378975999999999',
    units: {
      second: '10000000',
      minute: '600000000',
      hour: '36000000000',
      day: '864000000000',
      dayofyear: '864000000000',
      weekday: '864000000000',
      week: '6048000000000',
    },
  },
};
const MOMENTS = ['date', 'time', 'datetime2', 'datetime', 'smalldatetime', 'datetimeoffset'];
const DATETIME2: SqlType = { name: 'datetime2', scale: 7 };

function part({ call }: Invocation): string {
  const [first] = call.args;
  const name = first?.k === 'column' && first.path.length === 1 ? first.path[0]! : '';
  const found = PARTS[name.toLowerCase()];
  if (!found)
    throw new SqlError(155, `'${name}' is not a recognized ${call.name.toLowerCase()} option.`, {
      class: 15,
    });
  return found;
}

/** A date argument; strings become datetimeoffset, numbers datetime, as SQL Server converts them. */
function moment(value: Emitted): Emitted {
  const kind = family(value.type);
  if (MOMENTS.includes(kind)) return value;
  return kind === 'string' ? convert(value, DATETIME2) : convert(value, DATETIME);
}

/** Ticks for DATEDIFF, which compares offsets in UTC. */
const utcTicks = (value: Emitted): string =>
  value.type.name === 'datetimeoffset' ? `tsql.offset_utc(${value.sql})` : ticksOf(value);

const difference =
  (big: boolean): BuiltIn =>
  (invocation) => {
    let unit = part(invocation);
    if (unit === 'dayofyear' || unit === 'weekday') unit = 'day';
    const [a, b] = [moment(invocation.arg(1)), moment(invocation.arg(2))];
    const [from, to] = [utcTicks(a), utcTicks(b)];
    const nullable = a.nullable || b.nullable;
    if (!big) return { sql: `tsql.datediff_int('${unit}', ${from}, ${to})`, type: INT, nullable };
    const ticks = TICKS[unit];
    if (ticks === '') return { sql: `((${to} - ${from}) * 100)`, type: BIGINT, nullable };
    // No moment lies before year 1, so the ticks are positive and `/` floors.
    if (ticks) return { sql: `(${to} / ${ticks} - ${from} / ${ticks})`, type: BIGINT, nullable };
    return { sql: `tsql.datediff('${unit}', ${from}, ${to})`, type: BIGINT, nullable };
  };

const dateAdd: BuiltIn = (invocation) => {
  const unit = part(invocation);
  const number = convert(invocation.arg(1), BIGINT);
  const argument = invocation.arg(2);
  const base = MOMENTS.includes(family(argument.type)) ? argument : convert(argument, DATETIME);
  const { type } = base;
  const nullable = number.nullable || base.nullable;
  if (
    type.name === 'date' &&
    !['year', 'quarter', 'month', 'day', 'dayofyear', 'weekday', 'week'].includes(unit)
  ) {
    throw new SqlError(
      9810,
      `The datepart ${unit} is not supported by date function dateadd for data type date.`,
    );
  }
  if (type.name === 'datetimeoffset') {
    const sql = `tsql.make_offset(tsql.dateadd('${unit}', ${number.sql}, tsql.offset_local(${base.sql}), 'datetimeoffset') - tsql.offset_zone(${base.sql}) * 600000000::int8, tsql.offset_zone(${base.sql}))`;
    return { sql, type, nullable };
  }
  const own = OWN_UNITS[type.name];
  const size = own?.units[unit];
  if (own && size) {
    const sql = `tsql.add_units(${number.sql}, ${size}, ${base.sql}, ${own.low}, ${own.high}, '${type.name}')`;
    return {
      sql: type.name === 'date' || type.name === 'smalldatetime' ? `${sql}::int4` : sql,
      type,
      nullable,
    };
  }
  const ticks = TICKS[unit];
  if (ticks) {
    const sum = `tsql.add_units(${number.sql}, ${ticks}, ${ticksOf(base)}, 0, 3155378975999999999, '${type.name}')`;
    return { sql: fromTicks(sum, type, type.name), type, nullable };
  }
  const added = `tsql.dateadd('${unit}', ${number.sql}, ${ticksOf(base)}, '${type.name}')`;
  return { sql: fromTicks(added, type, type.name), type, nullable };
};

const datePart: BuiltIn = (invocation) => partOf(part(invocation), moment(invocation.arg(1)));

function partOf(unit: string, value: Emitted): Emitted {
  const zone = value.type.name === 'datetimeoffset' ? `tsql.offset_zone(${value.sql})` : 'NULL';
  return { sql: `tsql.datepart('${unit}', ${ticksOf(value)}, ${zone})`, type: INT, nullable: value.nullable };
}

const dateName: BuiltIn = (invocation) => {
  const unit = part(invocation);
  const argument = moment(invocation.arg(1));
  const date = `tsql.date_of(${ticksOf(argument)})`;
  const sql =
    unit === 'month'
      ? `to_char(${date}, 'FMMonth')`
      : unit === 'weekday'
        ? `to_char(${date}, 'FMDay')`
        : `(${partOf(unit, argument).sql})::text`;
  return { sql, type: nvarchar(30), nullable: argument.nullable };
};

const single =
  (unit: string): BuiltIn =>
  (invocation) =>
    partOf(unit, moment(invocation.arg(0)));

const clock =
  (type: SqlType): BuiltIn =>
  () => ({ sql: fromTicks('tsql.now_ticks(true)', type, type.name), type, nullable: false });

const fromParts: BuiltIn = (invocation) => {
  const [y, m, d] = [0, 1, 2].map((i) => convert(invocation.arg(i), INT).sql);
  const message = 'Cannot construct data type date, some of the arguments have values which are not valid.';
  return {
    sql: `coalesce(tsql.days(${y}, ${m}, ${d}), CASE WHEN ${y} IS NOT NULL AND ${m} IS NOT NULL AND ${d} IS NOT NULL THEN tsql.fail(289, '${message}')::int4 END)`,
    type: { name: 'date' },
    nullable: true,
  };
};

const switchOffset: BuiltIn = (invocation) => {
  const base = convert(invocation.arg(0), {
    name: 'datetimeoffset',
    scale: invocation.arg(0).type.scale ?? 7,
  });
  const zone = invocation.arg(1);
  const minutes =
    family(zone.type) === 'string'
      ? `((CASE WHEN left(${zone.sql}, 1) = '-' THEN -1 ELSE 1 END) * (substr(${zone.sql}, 2, 2)::int4 * 60 + substr(${zone.sql}, 5, 2)::int4))`
      : convert(zone, INT).sql;
  return {
    sql: `tsql.make_offset(tsql.offset_utc(${base.sql}), ${minutes})`,
    type: base.type,
    nullable: base.nullable,
  };
};

export const dateFunctions: Record<string, BuiltIn> = {
  DATEDIFF: difference(false),
  DATEDIFF_BIG: difference(true),
  DATEADD: dateAdd,
  DATEPART: datePart,
  DATENAME: dateName,
  YEAR: single('year'),
  MONTH: single('month'),
  DAY: single('day'),
  DATEFROMPARTS: fromParts,
  SWITCHOFFSET: switchOffset,
  GETDATE: clock(DATETIME),
  GETUTCDATE: clock(DATETIME),
  CURRENT_TIMESTAMP: clock(DATETIME),
  SYSDATETIME: clock(DATETIME2),
  SYSUTCDATETIME: clock(DATETIME2),
  SYSDATETIMEOFFSET: clock({ name: 'datetimeoffset', scale: 7 }),
};
