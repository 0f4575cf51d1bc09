/** Every type SQL Server sends, as COLMETADATA announces it, with its random values. Test process, main thread. */
import fc from 'fast-check';
import { collation, type Frame, typeInfo, u8, u16 } from './wire.js';
import {
  asPlp,
  binary,
  bit,
  type Cell,
  date,
  datetime,
  datetime2,
  datetimeoffset,
  decimal,
  float,
  guid,
  integer,
  money,
  smalldatetime,
  textCell,
  time,
  xml,
} from './wireCells.js';
import { ENCODINGS, type Encoding } from './wireText.js';

export interface TypeCase {
  label: string;
  info: Buffer;
  frame: Frame;
  pgType: string;
  cell: fc.Arbitrary<Cell>;
}

/** A value as it would lie in an sql_variant: base type, properties, and the value. */
interface Base {
  type: number;
  properties: Buffer;
  cell: fc.Arbitrary<Cell>;
}

const LCID: Record<Exclude<Encoding, 'utf16le'>, Buffer> = {
  cp1252: collation(0x409),
  cp1250: collation(0x405),
  cp1251: collation(0x419),
  cp1253: collation(0x408),
  cp1254: collation(0x41f),
  cp1255: collation(0x40d),
  cp1256: collation(0x401),
  cp1257: collation(0x425),
  cp1258: collation(0x42a),
  cp932: collation(0x411),
  cp936: collation(0x804),
  cp949: collation(0x412),
  cp950: collation(0x404),
  cp874: collation(0x41e),
  cp437: collation(0x409, 32),
  cp850: collation(0x409, 42),
  utf8: collation(0x409, 0, 0x0400_0000),
};

/** The collation bytes of a column whose varchar values are in this encoding. */
export function collationOf(encoding: Encoding): Buffer {
  return encoding === 'utf16le' ? LCID.cp1252 : LCID[encoding];
}

const fixedOrNull: readonly [
  name: string,
  fixed: number,
  nullable: number,
  size: number,
  pg: string,
  cell: fc.Arbitrary<Cell>,
][] = [
  ['bit', 0x32, 0x68, 1, 'boolean', bit],
  ['tinyint', 0x30, 0x26, 1, 'smallint', integer(1, false)],
  ['smallint', 0x34, 0x26, 2, 'smallint', integer(2, true)],
  ['int', 0x38, 0x26, 4, 'integer', integer(4, true)],
  ['bigint', 0x7f, 0x26, 8, 'bigint', integer(8, true)],
  ['real', 0x3b, 0x6d, 4, 'real', float(4)],
  ['float', 0x3e, 0x6d, 8, 'double precision', float(8)],
  ['smallmoney', 0x7a, 0x6e, 4, 'numeric(10,4)', money(4)],
  ['money', 0x3c, 0x6e, 8, 'numeric(19,4)', money(8)],
  ['smalldatetime', 0x3a, 0x6f, 4, 'timestamp', smalldatetime],
  ['datetime', 0x3d, 0x6f, 8, 'timestamp', datetime],
];

export const simpleCases: readonly TypeCase[] = [
  ...fixedOrNull.flatMap(([label, fixed, nullable, size, pgType, cell]): TypeCase[] => [
    { label, info: typeInfo.plain(fixed), frame: 'fixed', pgType, cell },
    { label: `${label} null`, info: typeInfo.plain(nullable, size), frame: 'byte', pgType, cell },
  ]),
  { label: 'date', info: typeInfo.plain(0x28), frame: 'byte', pgType: 'date', cell: date },
  { label: 'uniqueidentifier', info: typeInfo.plain(0x24, 16), frame: 'byte', pgType: 'uuid', cell: guid },
  ...[0, 1, 2, 3, 4, 5, 6, 7].flatMap((scale): TypeCase[] => [
    {
      label: `time(${scale})`,
      info: typeInfo.plain(0x29, scale),
      frame: 'byte',
      pgType: 'time',
      cell: time(scale),
    },
    {
      label: `datetime2(${scale})`,
      info: typeInfo.plain(0x2a, scale),
      frame: 'byte',
      pgType: 'timestamp',
      cell: datetime2(scale),
    },
    {
      label: `datetimeoffset(${scale})`,
      info: typeInfo.plain(0x2b, scale),
      frame: 'byte',
      pgType: 'timestamptz',
      cell: datetimeoffset(scale),
    },
  ]),
];

export function decimalCase(precision: number, scale: number, type = 0x6a): TypeCase {
  return {
    label: `decimal(${precision},${scale})`,
    info: typeInfo.decimal(type, precision, scale),
    frame: 'byte',
    pgType: `numeric(${precision},${scale})`,
    cell: decimal(precision, scale),
  };
}

const decimals = fc
  .integer({ min: 1, max: 38 })
  .chain((precision) =>
    fc.tuple(fc.constant(precision), fc.integer({ min: 0, max: precision }), fc.constantFrom(0x6a, 0x6c)),
  )
  .map(([precision, scale, type]) => decimalCase(precision, scale, type));

const binaries = fc.integer({ min: 1, max: 8000 }).chain((size) =>
  fc.constantFrom<TypeCase>(
    {
      label: `binary(${size})`,
      info: typeInfo.binary(0xad, size),
      frame: 'ushort',
      pgType: 'bytea',
      cell: binary(size),
    },
    {
      label: `varbinary(${size})`,
      info: typeInfo.binary(0xa5, size),
      frame: 'ushort',
      pgType: 'bytea',
      cell: binary(size),
    },
    {
      label: 'varbinary(max)',
      info: typeInfo.binary(0xa5, 0xffff),
      frame: 'plp',
      pgType: 'bytea',
      cell: asPlp(binary(90_000)),
    },
    {
      label: 'image',
      info: typeInfo.long(0x22, null),
      frame: 'textptr',
      pgType: 'bytea',
      cell: binary(90_000),
    },
  ),
);

/** char, varchar, varchar(max) and text of an encoding, or the national types and xml for UTF-16. */
export function textCases(encoding: Encoding, characters: number): TypeCase[] {
  const wide = encoding === 'utf16le';
  const maxBytes = wide ? characters * 2 : characters;
  const collationBytes = collationOf(encoding);
  const sized = (type: number): Buffer => typeInfo.text(type, maxBytes, collationBytes);
  const long = asPlp(textCell(encoding, 70_000, null));
  const n = wide ? 'n' : '';
  const cases: TypeCase[] = [
    {
      label: `${n}char(${characters})`,
      info: sized(wide ? 0xef : 0xaf),
      frame: 'ushort',
      pgType: `char(${characters})`,
      cell: textCell(encoding, maxBytes, characters),
    },
    {
      label: `${n}varchar(${characters})`,
      info: sized(wide ? 0xe7 : 0xa7),
      frame: 'ushort',
      pgType: `varchar(${characters})`,
      cell: textCell(encoding, maxBytes, null),
    },
    {
      label: `${n}varchar(max)`,
      info: typeInfo.text(wide ? 0xe7 : 0xa7, 0xffff, collationBytes),
      frame: 'plp',
      pgType: 'text',
      cell: long,
    },
    {
      label: `${n}text`,
      info: typeInfo.long(wide ? 0x63 : 0x23, collationBytes),
      frame: 'textptr',
      pgType: 'text',
      cell: textCell(encoding, 70_000, null),
    },
  ];
  if (wide)
    cases.push({ label: 'xml', info: typeInfo.xml(), frame: 'plp', pgType: 'text', cell: asPlp(xml) });
  return cases.map((each) => ({ ...each, label: `${each.label} ${encoding}` }));
}

const texts = fc
  .tuple(fc.constantFrom(...ENCODINGS), fc.integer({ min: 1, max: 4000 }), fc.nat())
  .map(([encoding, characters, pick]) => {
    const cases = textCases(encoding, characters);
    return cases[pick % cases.length]!;
  });

const plainFloat = fc.integer({ min: -9999, max: 9999 }).map((n) => n / 16);

function baseCases(): Base[] {
  const bare = (type: number, cell: fc.Arbitrary<Cell>, properties: Buffer = Buffer.alloc(0)): Base => ({
    type,
    properties,
    cell,
  });
  const narrow = (size: 4 | 8): fc.Arbitrary<Cell> =>
    plainFloat.map((value) => {
      const bytes = Buffer.alloc(size);
      if (size === 4) bytes.writeFloatLE(value);
      else bytes.writeDoubleLE(value);
      return { bytes, field: bytes, text: String(value) };
    });
  return [
    bare(
      0x32,
      bit.map((cell) => ({ ...cell, text: cell.text === 't' ? '1' : '0' })),
    ),
    bare(0x3b, narrow(4)),
    bare(0x3e, narrow(8)),
    ...fixedOrNull
      .filter(([name]) => !['bit', 'real', 'float'].includes(name))
      .map(([, type, , , , cell]) => bare(type, cell)),
    bare(0x28, date),
    bare(0x24, guid),
    ...[0, 3, 7].flatMap((scale) => [
      bare(0x29, time(scale), u8(scale)),
      bare(0x2a, datetime2(scale), u8(scale)),
      bare(0x2b, datetimeoffset(scale), u8(scale)),
    ]),
    bare(0x6a, decimal(20, 6), Buffer.from([20, 6])),
    bare(0x6c, decimal(38, 38), Buffer.from([38, 38])),
    bare(0xad, binary(8000), u16(8000)),
    bare(0xa5, binary(8000), u16(8000)),
    bare(0xe7, textCell('utf16le', 8000, null), Buffer.concat([collationOf('utf16le'), u16(8000)])),
    bare(0xef, textCell('utf16le', 200, null), Buffer.concat([collationOf('utf16le'), u16(200)])),
    bare(0xa7, textCell('cp1251', 8000, null), Buffer.concat([collationOf('cp1251'), u16(8000)])),
    bare(0xaf, textCell('cp932', 100, null), Buffer.concat([collationOf('cp932'), u16(100)])),
  ];
}

const variant: TypeCase = {
  label: 'sql_variant',
  info: typeInfo.variant(),
  frame: 'long',
  pgType: 'text',
  cell: fc.oneof(
    ...baseCases().map(({ type, properties, cell }) =>
      cell.map(({ bytes, text }) => ({
        bytes: Buffer.concat([u8(type), u8(properties.length), properties, bytes]),
        field: Buffer.from(String(text)),
        text,
      })),
    ),
  ),
};

export const anyType: fc.Arbitrary<TypeCase> = fc.oneof(
  { arbitrary: fc.constantFrom(...simpleCases), weight: 6 },
  { arbitrary: decimals, weight: 3 },
  { arbitrary: texts, weight: 6 },
  { arbitrary: binaries, weight: 2 },
  { arbitrary: fc.constant(variant), weight: 1 },
);
