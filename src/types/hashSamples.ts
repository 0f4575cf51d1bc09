/**
 * Values of every type with the bytes they must be hashed as: what the known-answer test asks both servers about.
 *
 * Plain data, any thread. The bytes are binary COPY fields, built from numbers and text here; numeric fields are
 * hashed as text by the hash tier.
 */
import { timestampMicros } from '../copy/datetime.js';
import { numericField } from '../copy/numeric.js';
import type { MappedColumn } from './family.js';
import { parsePgType } from './pgType.js';

/** One value: as each server writes it, and its field's content. */
export interface HashSample {
  /** Arguments of CONVERT behind the type: an expression, and a style where it takes one. */
  source: string;
  /** PostgreSQL text input. */
  target: string;
  field: Buffer;
}

export interface TypeSamples {
  /** What is hashed, as `hashedAs` names it. */
  type: string;
  /** The type the samples are of, as T-SQL spells it. */
  sqlType: string;
  column: MappedColumn;
  samples: readonly HashSample[];
}

/** @returns what a server must know to hash the column: the type, and what it is converted to; not their limits. */
export function hashedAs({ type, as }: MappedColumn): string {
  return as === undefined ? type : `${type} as ${parsePgType(as).name}`;
}

export function ofType(
  type: string,
  sqlType: string,
  changes: Partial<MappedColumn>,
  samples: readonly HashSample[],
): TypeSamples {
  const column: MappedColumn = {
    name: 'v',
    ordinal: 1,
    type,
    declaredType: type,
    maxLengthBytes: 0,
    precision: 0,
    scale: 0,
    nullable: true,
    collation: null,
    identity: null,
    computed: null,
    ...changes,
  };
  return { type: hashedAs(column), sqlType, column, samples };
}

export function integer(bytes: number, value: bigint): HashSample {
  const field = Buffer.alloc(8);
  field.writeBigInt64BE(value);
  return { source: String(value), target: String(value), field: field.subarray(8 - bytes) };
}

function integers(type: string, bytes: number, values: readonly bigint[]): TypeSamples {
  return ofType(
    type,
    type,
    {},
    values.map((value) => integer(bytes, value)),
  );
}

/** @param text with exactly `scale` decimals */
export function decimal(text: string, scale: number): HashSample {
  return {
    source: `'${text}'`,
    target: text,
    field: numericField(BigInt(text.replace('.', '')), scale).subarray(4),
  };
}

export function float(bytes: 4 | 8, text: string): HashSample {
  const field = Buffer.alloc(bytes);
  if (bytes === 4) field.writeFloatBE(Number(text));
  else field.writeDoubleBE(Number(text));
  return { source: text, target: text, field };
}

const OFFSET = /[+-]\d\d:\d\d$/;
const MICROS_A_DAY = 86_400_000_000n;

/** @param micros the instant expected: microseconds since `day` began */
export function moment(text: string, day: string, micros: bigint): HashSample {
  const days = (Date.parse(`${day}T00:00:00Z`) - Date.UTC(2000, 0, 1)) / 86_400_000;
  const field = Buffer.alloc(8);
  field.writeBigInt64BE(timestampMicros(days, 0) + micros);
  // With an offset it means one thing in every language.
  const source = OFFSET.test(text) ? `'${text}'` : `'${text}', 126`;
  return { source, target: timestampText(day, micros), field };
}

function timestampText(day: string, micros: bigint): string {
  const whole = micros / 1_000_000n;
  const pad = (value: bigint, width: number) => String(value).padStart(width, '0');
  const clock = `${pad(whole / 3600n, 2)}:${pad((whole / 60n) % 60n, 2)}:${pad(whole % 60n, 2)}`;
  return `${day} ${clock}.${pad(micros % 1_000_000n, 6)}`;
}

/** @param micros microseconds since midnight */
export function clock(text: string, micros: bigint): HashSample {
  const field = Buffer.alloc(8);
  field.writeBigInt64BE(micros);
  return { source: `'${text}'`, target: timestampText('', micros).trim(), field };
}

function date(text: string): HashSample {
  const field = Buffer.alloc(4);
  field.writeInt32BE((Date.parse(`${text}T00:00:00Z`) - Date.UTC(2000, 0, 1)) / 86_400_000);
  return { source: `'${text}'`, target: text, field };
}

export function text(value: string, collation = ''): HashSample {
  return { source: `N'${value}'${collation}`, target: value, field: Buffer.from(value) };
}

/** Blank-padded to `characters` code points. */
function padded(value: string, characters: number, collation = ''): HashSample {
  return {
    ...text(value, collation),
    field: Buffer.from(value + ' '.repeat(characters - [...value].length)),
  };
}

export function bytes(hex: string): HashSample {
  return { source: `0x${hex}`, target: `\\x${hex}`, field: Buffer.from(hex, 'hex') };
}

const LATIN = 'Latin1_General_CI_AS';
const IN_LATIN = ` COLLATE ${LATIN}`;
const long = 'x'.repeat(9000);
const longText: HashSample = {
  source: "REPLICATE(CONVERT(varchar(max), 'x'), 9000)",
  target: long,
  field: Buffer.from(long),
};
const lastMicro = MICROS_A_DAY - 1n;
/** 12:34:56 in microseconds. */
const NOON = 45_296_000_000n;

/** Every type that is mapped and that SQL Server can hash. */
export const TYPE_SAMPLES: readonly TypeSamples[] = [
  integers('bit', 1, [0n, 1n]),
  integers('tinyint', 2, [0n, 200n]),
  integers('smallint', 2, [-32_768n, 300n]),
  integers('int', 4, [-2_147_483_648n, 0n, 70_000n]),
  integers('bigint', 8, [-9_223_372_036_854_775_808n, -1n, 5_000_000_000n]),
  ...['decimal', 'numeric'].map((type) =>
    ofType(type, `${type}(38,10)`, { precision: 38, scale: 10 }, [
      decimal('0.0500000000', 10),
      decimal('-0.0000000001', 10),
      decimal('0.0000000000', 10),
      decimal('1234567890123456789012345678.1234567890', 10),
    ]),
  ),
  ofType('money', 'money', {}, [
    decimal('-922337203685477.5808', 4),
    decimal('0.0500', 4),
    decimal('-0.0001', 4),
    decimal('1234567.0000', 4),
  ]),
  ofType('smallmoney', 'smallmoney', {}, [decimal('-214748.3648', 4), decimal('0.0500', 4)]),
  ofType('float', 'float', {}, [float(8, '-1.5E0'), float(8, '1E-1'), float(8, '1.7976931348623157E308')]),
  ofType('real', 'real', {}, [float(4, '-1.5E0'), float(4, '1E-1')]),
  ofType('date', 'date', {}, [date('0001-01-01'), date('2000-02-29'), date('9999-12-31')]),
  ofType('time', 'time(7)', { scale: 7 }, [
    clock('00:00:00', 0n),
    clock('12:34:56.7890129', NOON + 789_012n),
    clock('23:59:59.9999999', lastMicro),
  ]),
  ofType('datetime', 'datetime', {}, [
    moment('1753-01-01T00:00:00.000', '1753-01-01', 0n),
    moment('2024-02-29T12:34:56.003', '2024-02-29', NOON + 3_000n),
    moment('2024-02-29T12:34:56.007', '2024-02-29', NOON + 7_000n),
    moment('1969-12-31T12:34:56.997', '1969-12-31', NOON + 997_000n),
  ]),
  ofType('smalldatetime', 'smalldatetime', {}, [
    moment('1900-01-01T00:00:00', '1900-01-01', 0n),
    moment('2024-02-29T12:34:00', '2024-02-29', NOON - 56_000_000n),
  ]),
  ofType('datetime2', 'datetime2(7)', { scale: 7 }, [
    moment('0001-01-01T00:00:00.0000009', '0001-01-01', 0n),
    moment('1969-12-31T23:59:59.9999999', '1969-12-31', lastMicro),
    moment('2024-02-29T12:34:56.7654321', '2024-02-29', NOON + 765_432n),
    moment('9999-12-31T23:59:59.9999999', '9999-12-31', lastMicro),
  ]),
  ofType('datetimeoffset', 'datetimeoffset(7)', { scale: 7 }, [
    moment('2024-02-29T18:04:56.7654321+05:30', '2024-02-29', NOON + 765_432n),
    moment('1999-12-31T22:30:00-14:00', '2000-01-01', NOON - 296_000_000n),
  ]),
  ofType('uniqueidentifier', 'uniqueidentifier', {}, [
    {
      source: "'6F9619FF-8B86-D011-B42D-00C04FC964FF'",
      target: '6f9619ff-8b86-d011-b42d-00c04fc964ff',
      field: Buffer.from('6f9619ff8b86d011b42d00c04fc964ff', 'hex'),
    },
  ]),
  ofType('char', 'char(6)', { maxLengthBytes: 6, collation: LATIN }, [
    padded('né', 6, IN_LATIN),
    padded('', 6, IN_LATIN),
  ]),
  ofType('varchar', 'varchar(20)', { maxLengthBytes: 20, collation: LATIN }, [
    text('', IN_LATIN),
    text('Größe €  ', IN_LATIN),
  ]),
  ofType('text', 'text', { maxLengthBytes: 16 }, [{ ...text(''), source: "''" }, longText]),
  ofType('nchar', 'nchar(6)', { maxLengthBytes: 12 }, [padded('Ж日', 6), padded('😀', 6)]),
  ofType('nvarchar', 'nvarchar(20)', { maxLengthBytes: 40 }, [text(''), text('Ж日😀é  '), text('?')]),
  ofType('ntext', 'ntext', { maxLengthBytes: 16 }, [text('Ж日😀'), longText]),
  ofType('xml', 'xml', { maxLengthBytes: -1 }, [text('<a b="1">é😀</a>')]),
  ofType('binary', 'binary(4)', { maxLengthBytes: 4 }, [bytes('00ff00fe')]),
  ofType('varbinary', 'varbinary(10)', { maxLengthBytes: 10 }, [bytes(''), bytes('00ff00')]),
  // Past 8000 bytes, where old servers give up.
  ofType('varchar', 'varchar(max)', { maxLengthBytes: -1 }, [longText]),
  ofType('nvarchar', 'nvarchar(max)', { maxLengthBytes: -1 }, [text('Ж日😀'), longText]),
  ofType('varbinary', 'varbinary(max)', { maxLengthBytes: -1 }, [
    { source: longText.source, target: `\\x${longText.field.toString('hex')}`, field: longText.field },
  ]),
  ofType('image', 'image', { maxLengthBytes: 16 }, [bytes('00ff00')]),
  ofType('timestamp', 'binary(8)', { maxLengthBytes: 8 }, [bytes('00000000000007d1')]),
  ofType('hierarchyid', 'hierarchyid', { maxLengthBytes: 892 }, [text('/'), text('/1/2.5/')]),
  ofType('geometry', 'geometry', { maxLengthBytes: -1 }, [
    { ...text('POINT (1 2)'), source: "geometry::STGeomFromText('POINT (1 2)', 0)" },
  ]),
  ofType('geography', 'geography', { maxLengthBytes: -1 }, [
    { ...text('POINT (1 2)'), source: "geography::STGeomFromText('POINT (1 2)', 4326)" },
  ]),
];
