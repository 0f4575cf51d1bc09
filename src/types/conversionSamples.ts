/**
 * Values of every conversion with the bytes they must be hashed as: the known-answer test's questions where types
 * do not become what their own mapping makes of them.
 *
 * Plain data, any thread.
 */

import type { TypeSamples } from './hashSamples.js';
import {
  bytes,
  clock,
  decimal,
  float,
  type HashSample,
  integer,
  moment,
  ofType,
  text,
} from './hashSamples.js';

const NOON = 45_296_000_000n;

function integersAs(type: string, as: string, bytesOf: number, values: readonly bigint[]): TypeSamples {
  return ofType(
    type,
    type,
    { as },
    values.map((value) => integer(bytesOf, value)),
  );
}

const INTEGER_TARGETS = [
  ['smallint', 2],
  ['integer', 4],
  ['bigint', 8],
] as const;

/** 0, 1 and, of signed types, -1 fit everywhere. */
const integers = INTEGER_TARGETS.flatMap(([as, width]) =>
  ['bit', 'tinyint', 'smallint', 'int', 'bigint'].map((type) =>
    integersAs(type, as, width, type === 'bit' || type === 'tinyint' ? [0n, 1n] : [-1n, 0n, 300n]),
  ),
);

const decimals = INTEGER_TARGETS.flatMap(([as, width]) =>
  ['decimal', 'numeric'].map((type) =>
    ofType(type, `${type}(19,0)`, { as, precision: 19 }, [integer(width, -32_768n), integer(width, 0n)]),
  ),
);

const wider = [
  ...['decimal', 'numeric'].map((type) =>
    ofType(type, `${type}(9,2)`, { as: 'numeric(20,4)', precision: 9, scale: 2 }, [
      { ...decimal('-0.0500', 4), source: "'-0.05'" },
      { ...decimal('1234567.8900', 4), source: "'1234567.89'" },
    ]),
  ),
  ...['money', 'smallmoney'].map((type) =>
    ofType(type, type, { as: 'numeric(25,6)' }, [
      { ...decimal('-0.000100', 6), source: "'-0.0001'" },
      { ...decimal('12345.678900', 6), source: "'12345.6789'" },
    ]),
  ),
  ofType('real', 'real', { as: 'double precision' }, [{ ...float(8, '-1.5E0') }, { ...float(8, '0.25E0') }]),
];

/** A value printed by both servers alike. */
function printed(source: string, value: string): HashSample {
  return { source, target: value, field: Buffer.from(value) };
}

const OFFSET = '2024-02-29T18:04:56.7654321+05:30';

const moments = [
  ofType('time', 'time(3)', { as: 'time(3)', scale: 3 }, [clock('12:34:56.789', NOON + 789_000n)]),
  ofType('datetime', 'datetime', { as: 'timestamp(3)' }, [
    moment('2024-02-29T12:34:56.007', '2024-02-29', NOON + 7_000n),
  ]),
  ofType('smalldatetime', 'smalldatetime', { as: 'timestamp(0)' }, [
    moment('2024-02-29T12:34:00', '2024-02-29', NOON - 56_000_000n),
  ]),
  ofType('datetime2', 'datetime2(3)', { as: 'timestamp(3)', scale: 3 }, [
    moment('1969-12-31T12:34:56.765', '1969-12-31', NOON + 765_000n),
  ]),
  ofType('datetimeoffset', 'datetimeoffset(3)', { as: 'timestamptz(3)', scale: 3 }, [
    inUtc(moment('2024-02-29T18:04:56.765+05:30', '2024-02-29', NOON + 765_000n)),
  ]),
  ...['datetime', 'smalldatetime', 'datetime2'].map((type) =>
    ofType(type, type === 'datetime2' ? 'datetime2(3)' : type, { as: 'timestamptz', scale: 3 }, [
      inUtc(moment('2024-02-29T12:34:00', '2024-02-29', NOON - 56_000_000n)),
    ]),
  ),
  ofType('datetimeoffset', 'datetimeoffset(7)', { as: 'timestamp', scale: 7 }, [
    moment(OFFSET, '2024-02-29', NOON + 765_432n),
  ]),
  ...['text', 'varchar'].flatMap((as) => [
    ofType('date', 'date', { as }, [printed("'2024-02-29'", '2024-02-29')]),
    ofType('time', 'time(7)', { as, scale: 7 }, [printed("'12:34:56.7890129'", '12:34:56.7890129')]),
    ofType('datetime', 'datetime', { as }, [
      printed("'2024-02-29T12:34:56.007', 126", '2024-02-29 12:34:56.007'),
    ]),
    ofType('smalldatetime', 'smalldatetime', { as }, [
      printed("'2024-02-29T12:34:00', 126", '2024-02-29 12:34:00.000'),
    ]),
    ofType('datetime2', 'datetime2(7)', { as, scale: 7 }, [
      printed("'0001-01-01T00:00:00.0000009', 126", '0001-01-01 00:00:00.0000009'),
    ]),
    ofType('datetimeoffset', 'datetimeoffset(7)', { as, scale: 7 }, [
      printed(`'${OFFSET}'`, '2024-02-29 18:04:56.7654321 +05:30'),
      printed("'1999-12-31T22:30:00-14:00'", '1999-12-31 22:30:00.0000000 -14:00'),
    ]),
  ]),
];

/** The text names its zone: whatever the session's is, the same moment is meant. */
function inUtc(sample: HashSample): HashSample {
  return { ...sample, target: `${sample.target}+00` };
}

const GUID = '6F9619FF-8B86-D011-B42D-00C04FC964FF';
const LATIN = 'Latin1_General_CI_AS';
const IN_LATIN = ` COLLATE ${LATIN}`;

const texts = ['text', 'varchar', 'citext'].flatMap((as) => [
  ofType('char', 'char(6)', { as, maxLengthBytes: 6, collation: LATIN }, [
    { ...text('né    ', IN_LATIN), source: `N'né'${IN_LATIN}` },
  ]),
  ofType('nchar', 'nchar(6)', { as, maxLengthBytes: 12 }, [{ ...text('Ж日    '), source: "N'Ж日'" }]),
  ofType('varchar', 'varchar(20)', { as, maxLengthBytes: 20, collation: LATIN }, [
    text('Größe €  ', IN_LATIN),
  ]),
  ofType('nvarchar', 'nvarchar(20)', { as, maxLengthBytes: 40 }, [text(''), text('Ж日😀é  ')]),
  ofType('text', 'text', { as, maxLengthBytes: 16 }, [{ ...text('abc'), source: "'abc'" }]),
  ofType('ntext', 'ntext', { as, maxLengthBytes: 16 }, [text('Ж日😀')]),
]);

/** A point at 1, 2 without and with a spatial reference id, as EWKB. */
function point(type: string, srid: number): HashSample {
  const field = Buffer.alloc(25);
  field.writeUInt8(1, 0);
  field.writeUInt32LE(0x2000_0001, 1);
  field.writeUInt32LE(srid, 5);
  field.writeDoubleLE(1, 9);
  field.writeDoubleLE(2, 17);
  return { source: `${type}::STGeomFromText('POINT (1 2)', ${srid})`, target: field.toString('hex'), field };
}

/** Every conversion that changes how a value is hashed, or by which type it is read. */
export const CONVERSION_SAMPLES: readonly TypeSamples[] = [
  ...integers,
  ...decimals,
  ...wider,
  ...moments,
  ...['text', 'varchar', 'char(36)'].map((as) =>
    ofType('uniqueidentifier', 'uniqueidentifier', { as }, [printed(`'${GUID}'`, GUID)]),
  ),
  ...texts,
  ofType('xml', 'xml', { as: 'xml', maxLengthBytes: -1 }, [text('<a b="1">é😀</a>')]),
  ofType('timestamp', 'binary(8)', { as: 'bigint', maxLengthBytes: 8 }, [
    { ...bytes('00000000000007d1'), target: '2001' },
  ]),
  ofType('geometry', 'geometry', { as: 'geometry', maxLengthBytes: -1 }, [point('geometry', 0)]),
  ofType('geography', 'geography', { as: 'geography', maxLengthBytes: -1 }, [point('geography', 4326)]),
];
