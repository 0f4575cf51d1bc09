/**
 * What a type may become other than its own mapping: a closed set. Each conversion is exact, or refuses the rows
 * that it would alter.
 *
 * Main and reader threads; pure. The wire halves are in `convertingCodecs.ts` where the type's own codec won't do.
 */
import type { CopyField } from '../copy/frame.js';
import { AppError } from '../errors.js';
import type { SourceColumn } from '../source/model.js';
import { decimalHash } from './decimal.js';
import type { ColumnConversion, ColumnMapping } from './family.js';
import { binaryOf, type ColumnHash, fixedHash, sentField, textField, textHash } from './hash.js';
import { type PgType, parsePgType, spellPgType } from './pgType.js';
import { spatialConversion } from './spatial.js';
import { isLongText, nvarcharOf } from './text.js';

/** What a conversion changes of the type's own mapping. */
export type Converted = Pick<ColumnMapping, 'field' | 'hash' | 'loses'> & {
  select?: ColumnMapping['select'];
  conversion: ColumnConversion;
};

interface Conversion {
  from: readonly string[];
  /** Targets as messages and documentation list them. */
  to: string;
  /** @returns null where this is not the conversion asked for */
  convert(column: SourceColumn, own: ColumnMapping, to: PgType): Converted | null;
}

const UTC = "AT TIME ZONE 'UTC'";

/** Casts there and back, which give the same value. */
function casts(own: ColumnMapping, to: PgType, remark?: string): ColumnConversion {
  return {
    ...(remark !== undefined && { remark }),
    toOwn: (column) => `CAST(${column} AS ${own.pgType})`,
    fromOwn: (value) => `CAST(${value} AS ${spellPgType(to)})`,
  };
}

const INTEGERS: Record<string, { field: 'int2' | 'int4' | 'int8'; bytes: number; sql: string }> = {
  smallint: { field: 'int2', bytes: 2, sql: 'smallint' },
  integer: { field: 'int4', bytes: 4, sql: 'int' },
  bigint: { field: 'int8', bytes: 8, sql: 'bigint' },
};
/** Bytes of the integers' values, unsigned tinyint as the signed type that holds it. */
const SOURCE_BYTES: Record<string, number> = { bit: 1, tinyint: 2, smallint: 2, int: 4, bigint: 8 };

const toInteger: Conversion = {
  from: ['bit', 'tinyint', 'smallint', 'int', 'bigint', 'decimal', 'numeric'],
  to: 'smallint, integer, bigint (rows outside of its range are refused)',
  convert(column, own, to) {
    const target = INTEGERS[to.name];
    if (target === undefined || to.modifiers !== null) return null;
    const { field, bytes, sql } = target;
    const isDecimal = own.field === 'numeric';
    if (isDecimal && column.scale !== 0) return null;
    const narrows = isDecimal || SOURCE_BYTES[column.type]! > bytes;
    const limit = 2n ** BigInt(8 * bytes - 1);
    return {
      field,
      // A value outside of the range has no such bytes: it differs from every value, and does not fail the rest.
      hash: fixedHash(field, true, (c) =>
        narrows
          ? `CASE WHEN ${c} BETWEEN ${-limit} AND ${limit - 1n} THEN CONVERT(varbinary(${bytes}), CONVERT(${sql}, ${c})) ELSE 0x END`
          : binaryOf(bytes, `CONVERT(${sql}, ${c})`),
      ),
      loses: null,
      conversion:
        column.type === 'bit'
          ? {
              toOwn: (c) => `(${c} <> 0)`,
              fromOwn: (value) => `CAST(CAST(${value} AS integer) AS ${spellPgType(to)})`,
            }
          : casts(own, to),
    };
  },
};

const toNumeric: Conversion = {
  from: ['decimal', 'numeric', 'money', 'smallmoney'],
  to: 'numeric(p,s) with at least as many digits before and after the point, 38 at most',
  convert(_column, own, to) {
    if (to.name !== 'numeric' || to.modifiers === null) return null;
    const [precision, scale = 0] = to.modifiers;
    const [ownPrecision, ownScale = 0] = parsePgType(own.pgType).modifiers ?? [0, 0];
    if (precision > 38 || scale < ownScale || precision - scale < ownPrecision - ownScale) return null;
    return {
      field: 'numeric',
      hash: decimalHash(precision, scale),
      loses: null,
      conversion: casts(own, to),
    };
  },
};

const toDouble: Conversion = {
  from: ['real'],
  to: 'double precision',
  convert(_column, own, to) {
    if (to.name !== 'double precision') return null;
    const hash = fixedHash('float8', true, (c) => binaryOf(8, `CONVERT(float, ${c})`));
    return { field: 'float8', hash, loses: null, conversion: casts(own, to) };
  },
};

const MOMENTS = ['date', 'time', 'datetime', 'smalldatetime', 'datetime2', 'datetimeoffset'];
/** The longest moment as style 121 prints it: `9999-12-31 23:59:59.9999999 +14:00`. */
const MOMENT_CHARACTERS = 34;

function fractionalDigits({ type, scale }: SourceColumn): number {
  if (type === 'datetime') return 3;
  return type === 'smalldatetime' ? 0 : Math.min(scale, 6);
}

const toLimitedMoment: Conversion = {
  from: ['time', 'datetime', 'smalldatetime', 'datetime2', 'datetimeoffset'],
  to: 'the same with at least as many fractional digits, such as timestamp(3)',
  convert(column, own, to) {
    const [digits] = to.modifiers ?? [];
    if (to.name !== parsePgType(own.pgType).name || digits === undefined) return null;
    if (digits < fractionalDigits(column) || digits > 6) return null;
    return { field: own.field, hash: own.hash, loses: own.loses, conversion: casts(own, to) };
  },
};

/** Between timestamp and timestamptz, by way of UTC. */
function otherZone(
  own: ColumnMapping,
  field: 'timestamp' | 'timestamptz',
  remark: string | undefined,
  loses: string | null,
): Converted {
  return {
    field,
    // Key texts are read with the session's time zone: they would not bound the same rows.
    hash: { ...own.hash, targetField: sentField(field), ordered: false },
    loses,
    conversion: {
      ...(remark !== undefined && { remark }),
      toOwn: (c) => `(${c} ${UTC})`,
      fromOwn: (value) => `((${value}) ${UTC})`,
    },
  };
}

const toInstant: Conversion = {
  from: ['datetime', 'smalldatetime', 'datetime2'],
  to: 'timestamptz (taken as UTC)',
  convert(_column, own, to) {
    if (to.name !== 'timestamp with time zone' || to.modifiers !== null) return null;
    return otherZone(own, 'timestamptz', 'its values are taken as UTC', own.loses);
  },
};

const toUtc: Conversion = {
  from: ['datetimeoffset'],
  to: 'timestamp (in UTC)',
  convert(_column, own, to) {
    if (to.name !== 'timestamp without time zone' || to.modifiers !== null) return null;
    const loses = own.loses?.replace('the instant is kept', 'the instant is kept, in UTC') ?? null;
    return otherZone(own, 'timestamp', undefined, loses);
  },
};

/** Text of any length, or long enough. */
function isText(to: PgType, characters: number): boolean {
  if (to.name === 'text') return to.modifiers === null;
  return to.name === 'character varying' && (to.modifiers === null || to.modifiers[0] >= characters);
}

/** A value as SQL Server prints it: ASCII. */
function printedHash(field: 'text' | 'bpchar', bytes: number, print: (c: string) => string): ColumnHash {
  return {
    targetField: sentField(field),
    sourceBytes: (c) => `CONVERT(varbinary(${bytes}), CONVERT(varchar(${bytes}), ${print(c)}))`,
    fixedBytes: null,
    maxBytes: bytes,
    ordered: false,
  };
}

const momentToText: Conversion = {
  from: MOMENTS,
  to: 'text, varchar (as style 121 prints it: every digit, and the offset)',
  convert({ type }, _own, to) {
    if (!isText(to, MOMENT_CHARACTERS)) return null;
    const style = type === 'date' ? 23 : 121;
    const hash = printedHash('text', 40, (c) => `CONVERT(varchar(40), ${c}, ${style})`);
    return { field: 'text', hash, loses: null, conversion: { toOwn: () => null, fromOwn: () => null } };
  },
};

const GUID_CHARACTERS = 36;

const guidToText: Conversion = {
  from: ['uniqueidentifier'],
  to: 'text, varchar, char(36) (in upper case, as SQL Server prints it)',
  convert(_column, _own, to) {
    const fixed = to.name === 'character' && to.modifiers?.[0] === GUID_CHARACTERS;
    if (!fixed && !isText(to, GUID_CHARACTERS)) return null;
    const field: CopyField = fixed ? 'bpchar' : 'text';
    return {
      field,
      hash: printedHash(field, GUID_CHARACTERS, (c) => c),
      loses: null,
      conversion: {
        toOwn: (c) => `CAST(${c} AS uuid)`,
        fromOwn: (value) => `upper(CAST(${value} AS text))`,
      },
    };
  },
};

const TEXTS = ['char', 'nchar', 'varchar', 'nvarchar', 'text', 'ntext'];

const textToText: Conversion = {
  from: TEXTS,
  to: 'text, varchar, varchar(n) with at least as many characters, citext',
  convert(column, own, to) {
    const characters = isLongText(column)
      ? Number.POSITIVE_INFINITY
      : column.maxLengthBytes / (column.type.startsWith('n') ? 2 : 1);
    const folds = to.name === 'citext' && to.modifiers === null;
    if (!folds && !isText(to, characters)) return null;
    const hash = textHash('text', (c) => nvarcharOf(column, characters, c), characters);
    const remarks = [
      ...(own.field === 'bpchar' ? ['trailing blanks of char(n) are kept, and count'] : []),
      ...(folds ? [CITEXT_REMARK] : []),
    ];
    return {
      field: 'text',
      hash: folds ? { ...hash, targetField: (c) => textField(`CAST(${c} AS text)`) } : hash,
      loses: null,
      conversion: casts(own, to, remarks.length === 0 ? undefined : remarks.join('; ')),
    };
  },
};

const CITEXT_REMARK =
  'citext compares by lower(), accents and trailing blanks make a difference, and it has no length limit';

const xmlToXml: Conversion = {
  from: ['xml'],
  to: 'text, xml (PostgreSQL checks that it is well-formed)',
  convert(_column, own, to) {
    if (to.name !== 'xml' || to.modifiers !== null) return null;
    return {
      field: 'text',
      hash: { ...own.hash, targetField: (c) => textField(`CAST(${c} AS text)`) },
      loses: null,
      conversion: casts(own, to),
    };
  },
};

const rowversionToInteger: Conversion = {
  from: ['timestamp'],
  to: 'bytea, bigint',
  convert(_column, _own, to) {
    if (to.name !== 'bigint') return null;
    return {
      field: 'int8',
      hash: fixedHash('int8', false, (c) => binaryOf(8, c)),
      loses: null,
      conversion: { toOwn: () => null, fromOwn: () => null },
    };
  },
};

const CONVERSIONS: readonly Conversion[] = [
  toInteger,
  toNumeric,
  toDouble,
  toLimitedMoment,
  toInstant,
  toUtc,
  momentToText,
  guidToText,
  textToText,
  xmlToXml,
  rowversionToInteger,
  spatialConversion,
];

/** @returns what a source type may become other than its own mapping, as messages and documentation list it. */
export function conversionsFrom(type: string): string[] {
  return CONVERSIONS.filter(({ from }) => from.includes(type)).map(({ to }) => to);
}

/** Types that something becomes, as `format_type` names them without numbers. */
const TARGETS: ReadonlySet<string> = new Set([
  ...['boolean', 'smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision'],
  ...['text', 'character varying', 'character', 'citext', 'bytea', 'uuid', 'xml', 'geometry', 'geography'],
  ...['date', 'time without time zone', 'timestamp without time zone', 'timestamp with time zone'],
]);

/** @returns whether any type can become this one. */
export function isTarget(as: string): boolean {
  return TARGETS.has(parsePgType(as).name);
}

/**
 * @param as the PostgreSQL type to become
 * @throws AppError CONFIG_INVALID listing what the type may become
 */
export function convert(column: SourceColumn, own: ColumnMapping, as: string): ColumnMapping {
  const to = parsePgType(as);
  const pgType = spellPgType(to);
  if (pgType === own.pgType) return own;
  const offered = CONVERSIONS.filter(({ from }) => from.includes(column.type));
  for (const conversion of offered) {
    const converted = conversion.convert(column, own, to);
    if (converted !== null) return { ...own, ...converted, pgType };
  }
  const targets = [own.pgType, ...conversionsFrom(column.type)];
  throw new AppError('CONFIG_INVALID', `${column.type} can't become ${as} without altering values`, {
    column: column.name,
    remedy: `In migration.type_overrides, give ${column.type} one of: ${targets.join('; ')}.`,
  });
}
