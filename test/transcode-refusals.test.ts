/**
 * What can't be represented is refused by table, column and key, in the middle of a stream, small or streamed;
 * and the reader goes on to its next response as if nothing had been.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ErrorCode } from '../src/errors.js';
import {
  appError,
  type Column,
  column,
  hex,
  INT,
  int,
  ntext,
  nvarchar,
  nvarcharMax,
  plan,
  pump,
  refuse,
  units,
  utf16,
  varchar,
  varcharMax,
  variant,
} from './support/refusals.js';
import { transcode } from './support/transcode.js';
import { answer, collation, typeInfo, u8, u16, uint } from './support/wire.js';

const REMEDY = { text: /correct the value at the source/, nul: /on_nul/, damaged: /DBCC CHECKTABLE/ };

const VALUES: [name: string, column: Omit<Column, 'name'>, value: Buffer, message: RegExp, remedy: RegExp][] =
  [
    ['NUL in nvarchar', nvarchar, utf16('ab\0c'), /U\+0000.* offset 2/, REMEDY.nul],
    ['NUL in a long nvarchar', nvarchar, utf16(`${'x'.repeat(90)}\0`), /U\+0000.* offset 90/, REMEDY.nul],
    ['NUL in varchar', varchar('cp1252'), Buffer.from('ab\0'), /U\+0000.* offset 2/, REMEDY.nul],
    ['NUL in double-byte varchar', varchar('cp932'), hex('82a0 00'), /U\+0000.* offset 1/, REMEDY.nul],
    ['NUL in UTF-8 varchar', varchar('utf8'), Buffer.from('é\0'), /U\+0000.* offset 1/, REMEDY.nul],
    ['NUL in nvarchar(max)', nvarcharMax, utf16('\0'), /U\+0000.* offset 0/, REMEDY.nul],
    ['NUL in ntext', ntext, utf16('z\0'), /U\+0000.* offset 1/, REMEDY.nul],
    [
      'a high surrogate at the end',
      nvarchar,
      units(0x61, 0xd83d),
      /surrogate.*0x3DD8.* offset 1/,
      REMEDY.text,
    ],
    ['a high surrogate before a letter', nvarchar, units(0xd83d, 0x61), /surrogate.* offset 0/, REMEDY.text],
    ['a low surrogate alone', nvarcharMax, units(0x61, 0x62, 0xde00), /surrogate.* offset 2/, REMEDY.text],
    ['an odd number of UTF-16 bytes', nvarchar, hex('610062'), /0x62.* offset 1/, REMEDY.text],
    ['an odd number of UTF-16 bytes (max)', nvarcharMax, hex('610062'), /0x62.* offset 1/, REMEDY.text],
    ['half a unit of XML', column('text', typeInfo.xml(), 'plp'), hex('3c'), /0x3C.* offset 0/, REMEDY.text],
    ['a byte the code page lacks', varchar('cp874'), hex('61 db'), /0xDB.* offset 1.*cp874/, REMEDY.text],
    [
      'a byte the code page lacks (max)',
      varcharMax('cp1253'),
      hex('61 62 aa'),
      /0xAA.* offset 2.*cp1253/,
      REMEDY.text,
    ],
    ['a lead byte alone', varchar('cp949'), hex('61 81'), /0x81.* offset 1.*cp949/, REMEDY.text],
    ['a pair the code page lacks', varchar('cp936'), hex('81 20'), /0x8120.* offset 0.*cp936/, REMEDY.text],
    ['UTF-8 of a surrogate', varchar('utf8'), hex('61 eda080'), /0xED.* offset 1.*utf8/, REMEDY.text],
    ['overlong UTF-8', varcharMax('utf8'), hex('c080'), /0xC0.* offset 0.*utf8/, REMEDY.text],
    [
      'float NaN',
      column('double precision', typeInfo.plain(0x6d, 8), 'byte'),
      hex('000000000000f87f'),
      /NaN/,
      REMEDY.damaged,
    ],
    [
      'float infinity',
      column('double precision', typeInfo.plain(0x6d, 8), 'byte'),
      hex('000000000000f0ff'),
      /-Infinity/,
      REMEDY.damaged,
    ],
    ['real NaN', column('real', typeInfo.plain(0x6d, 4), 'byte'), hex('0000c0ff'), /NaN/, REMEDY.damaged],
    [
      'real infinity',
      column('real', typeInfo.plain(0x6d, 4), 'byte'),
      hex('0000807f'),
      /Infinity/,
      REMEDY.damaged,
    ],
    [
      'a date past 9999',
      column('date', typeInfo.plain(0x28), 'byte'),
      uint(3_652_059n, 3),
      /3652059/,
      REMEDY.damaged,
    ],
    [
      'a time of 24 hours',
      column('time', typeInfo.plain(0x29, 7), 'byte'),
      uint(864_000_000_000n, 5),
      /time of day/,
      REMEDY.damaged,
    ],
    [
      'a time(0) of 24 hours',
      column('time', typeInfo.plain(0x29, 0), 'byte'),
      uint(86_400n, 3),
      /86400/,
      REMEDY.damaged,
    ],
    [
      'a datetime2 past 9999',
      column('timestamp', typeInfo.plain(0x2a, 3), 'byte'),
      Buffer.concat([uint(0n, 4), hex('ffffff')]),
      /16777215/,
      REMEDY.damaged,
    ],
    [
      'a datetimeoffset of 24 hours',
      column('timestamptz', typeInfo.plain(0x2b, 2), 'byte'),
      Buffer.concat([uint(8_640_000n, 3), uint(1n, 3), u16(0)]),
      /8640000/,
      REMEDY.damaged,
    ],
    [
      'a datetime before 1753',
      column('timestamp', typeInfo.plain(0x6f, 8), 'byte'),
      Buffer.concat([uint(BigInt.asUintN(32, -53_691n), 4), uint(0n, 4)]),
      /-53691/,
      REMEDY.damaged,
    ],
    [
      'a datetime past 9999',
      column('timestamp', typeInfo.plain(0x6f, 8), 'byte'),
      Buffer.concat([uint(2_958_464n, 4), uint(0n, 4)]),
      /2958464/,
      REMEDY.damaged,
    ],
    [
      'a datetime of 24 hours',
      column('timestamp', typeInfo.plain(0x6f, 8), 'byte'),
      Buffer.concat([uint(0n, 4), uint(25_920_000n, 4)]),
      /25920000/,
      REMEDY.damaged,
    ],
    [
      'a smalldatetime of 24 hours',
      column('timestamp', typeInfo.plain(0x6f, 4), 'byte'),
      Buffer.concat([u16(9), u16(1440)]),
      /1440/,
      REMEDY.damaged,
    ],
    [
      'NUL in an sql_variant',
      variant,
      Buffer.concat([u8(0xe7), u8(7), collation(0x409), u16(8000), utf16('v\0')]),
      /U\+0000/,
      REMEDY.nul,
    ],
    [
      'NaN in an sql_variant',
      variant,
      Buffer.concat([hex('3e00'), hex('000000000000f87f')]),
      /NaN/,
      REMEDY.damaged,
    ],
    ['an sql_variant of no known type', variant, hex('99 00 01'), /base type 0x99/, /Convert the column/],
  ];

describe('values PostgreSQL can not hold', () => {
  for (const [name, bad, bytes, message, remedy] of VALUES) {
    it(name, async () => {
      const value = { bytes, chunks: [1] };
      for (const options of [{}, { keyFirst: false }, { sparse: true }, { sparse: true, keyFirst: false }]) {
        const error = await refuse(bad, value, options);
        assert.equal(error.code, 'VALUE_UNREPRESENTABLE' satisfies ErrorCode);
        assert.match(error.message, message);
        assert.match(error.remedy ?? '', remedy);
      }
    });
  }

  it('streamed values larger than window and slot, wherever the fault is', async () => {
    const size = 200_001;
    const faults: [Omit<Column, 'name'>, (at: number) => Buffer, RegExp][] = [
      [
        nvarcharMax,
        (at) => Buffer.concat([utf16('ä'.repeat(at)), units(0xd800), utf16('b'.repeat(size - at))]),
        /surrogate/,
      ],
      [nvarcharMax, (at) => utf16(`${'ä'.repeat(at)}\0${'b'.repeat(size - at)}`), /U\+0000/],
      [ntext, (at) => utf16(`${'a'.repeat(at)}\0${'b'.repeat(size - at)}`), /U\+0000/],
      [
        varcharMax('cp932'),
        (at) => Buffer.concat([Buffer.alloc(at * 2, hex('82a0')), hex('8120'), Buffer.alloc(size - at, 'b')]),
        /0x8120/,
      ],
      [
        varcharMax('utf8'),
        (at) => Buffer.concat([Buffer.alloc(at * 2, 'é'), hex('ff'), Buffer.alloc(size - at, 'b')]),
        /0xFF/,
      ],
    ];
    for (const [bad, make, message] of faults) {
      for (const at of [0, 1, 70_000, size]) {
        for (const keyFirst of [true, false]) {
          const error = await refuse(
            bad,
            { bytes: make(at), chunks: [3, 50_001], known: keyFirst },
            { keyFirst },
          );
          assert.equal(error.code, 'VALUE_UNREPRESENTABLE');
          assert.match(error.message, message);
          assert.match(error.message, new RegExp(`offset ${at}\\b`));
        }
      }
    }
  });

  it('U+0000 is dropped or replaced where on_nul says so, small, streamed, padded and in a variant', async () => {
    const long = `${'ab\0'.repeat(30_000)}\0`;
    const nchar = column('char(6)', typeInfo.text(0xef, 12, collation(0x409)), 'ushort');
    const columns = [
      nvarchar,
      varchar('cp1251'),
      varchar('utf8'),
      nvarcharMax,
      ntext,
      varcharMax('cp932'),
      nchar,
      variant,
    ];
    const named = columns.map((each, i) => ({ ...each, name: `c${i}` }));
    const texts = ['\0a\0\0b', 'x\0', '\0', long, long, long, 'a\0 b', '\0v'];
    const bytes = texts.map((text, i) => {
      if (i === 7) return Buffer.concat([u8(0xe7), u8(7), collation(0x409), u16(8000), utf16(text)]);
      return [0, 3, 4, 6].includes(i) ? utf16(text) : Buffer.from(text);
    });
    for (const [nul, to] of [
      ['strip', ''],
      ['replace', '\ufffd'],
    ] as const) {
      const payload = answer(named, [{ values: bytes.map((each) => ({ bytes: each })) }]);
      const { tuples } = await transcode(plan(named, []), [payload], { nul, windowBytes: 16_384 });
      const whole = await transcode(plan(named, []), [payload], { nul, slotBytes: 2 << 20 });
      assert.ok(whole.tuples.equals(tuples), 'generated code and interpreter');
      let at = 2;
      for (const [i, text] of texts.entries()) {
        const length = tuples.readInt32BE(at);
        const expected = text.replaceAll('\0', to);
        assert.equal(
          tuples.toString('utf8', at + 4, at + 4 + length),
          i === 6 ? expected.padEnd(6) : expected,
        );
        at += 4 + length;
      }
      assert.equal(at, tuples.length);
    }
  });
});

describe('the key in the message', () => {
  const bad = { ...nvarchar, name: 'bad' };
  const lone = { bytes: units(0xdc00) };

  it('is every column of a composite key, in key order', async () => {
    const columns: Column[] = [
      { ...nvarchar, name: 'b' },
      bad,
      { ...column('date', typeInfo.plain(0x28), 'byte'), name: 'a' },
      { ...column('numeric(9,2)', typeInfo.decimal(0x6a, 9, 2), 'byte'), name: 'c' },
      { ...column('uuid', typeInfo.plain(0x24, 16), 'byte'), name: 'd' },
    ];
    const values = [
      { bytes: utf16('Zoë, x=1') },
      lone,
      { bytes: uint(730_119n, 3) },
      { bytes: Buffer.concat([u8(0), uint(105n, 4)]) },
      { bytes: hex('33221100554477668899aabbccddeeff') },
    ];
    const { error } = await pump.run(plan(columns, ['a', 'b', 'c', 'd']), [answer(columns, [{ values }])]);
    const key = 'a=2000-01-01, b=Zoë, x=1, c=-1.05, d=00112233-4455-6677-8899-aabbccddeeff';
    assert.equal(appError(error).place.key, key);
    assert.ok(appError(error).message.includes(`row ${key}: `));
  });

  it('is said not to be there where the table has none', async () => {
    const columns = [{ ...INT, name: 'id' }, bad];
    const { error } = await pump.run(plan(columns, []), [answer(columns, [{ values: [int(1), lone] }])]);
    assert.equal(appError(error).place.key, undefined);
    assert.match(appError(error).message, /^Table dbo\.t, column bad, a row \(the table has no key\): /);
  });

  it('may be the bad column itself, and the first of two faults is told', async () => {
    const columns = [bad, { ...nvarchar, name: 'worse' }, { ...INT, name: 'id' }];
    const payload = answer(columns, [{ values: [lone, { bytes: units(0) }, int(7)] }]);
    const { error } = await pump.run(plan(columns, ['bad', 'id']), [payload]);
    assert.deepEqual(appError(error).place, { table: 'dbo.t', column: 'bad', key: 'bad=?, id=7' });
  });

  it('is cut where it is long', async () => {
    const columns = [
      { ...column('varchar(4000)', typeInfo.text(0xe7, 8000, collation(0x409)), 'ushort'), name: 'k' },
      bad,
    ];
    const payload = answer(columns, [{ values: [{ bytes: utf16('k'.repeat(4000)) }, lone] }]);
    const { error } = await pump.run(plan(columns, ['k']), [payload]);
    assert.equal(appError(error).place.key, `k=${'k'.repeat(100)}...`);
  });
});
