/** Results that are not what was planned are refused before a row is read: changed columns, sizes, lengths. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ErrorCode } from '../src/errors.js';
import { TestPump } from './support/pump.js';
import {
  appError,
  type Column,
  column,
  good,
  hex,
  INT,
  nextResponseIsFine,
  nvarcharMax,
  plan,
  pump,
  refuse,
  variant,
} from './support/refusals.js';
import {
  answer,
  collation,
  colmetadata,
  done,
  type Frame,
  row,
  typeInfo,
  u8,
  u16,
  u32,
  u64,
  uint,
} from './support/wire.js';

describe('results that are not what was planned', () => {
  const UNKNOWN = collation(0x439); // Hindi: a language of Unicode only
  const CASES: [name: string, info: Buffer, frame: Frame, pgType: string, code: ErrorCode, remedy: RegExp][] =
    [
      [
        'an unknown collation',
        typeInfo.text(0xa7, 10, UNKNOWN),
        'ushort',
        'varchar(10)',
        'TYPE_UNSUPPORTED',
        /nvarchar/,
      ],
      [
        'text for a number',
        typeInfo.text(0xe7, 20, UNKNOWN),
        'ushort',
        'integer',
        'SCHEMA_CONFLICT',
        /again/,
      ],
      ['a wider integer', typeInfo.plain(0x7f), 'fixed', 'integer', 'SCHEMA_CONFLICT', /again/],
      ['a narrower integer', typeInfo.plain(0x26, 2), 'byte', 'integer', 'SCHEMA_CONFLICT', /again/],
      ['a bit for an integer', typeInfo.plain(0x68, 1), 'byte', 'smallint', 'SCHEMA_CONFLICT', /again/],
      ['a float for a real', typeInfo.plain(0x6d, 8), 'byte', 'real', 'SCHEMA_CONFLICT', /again/],
      ['a real for a float', typeInfo.plain(0x3b), 'fixed', 'double precision', 'SCHEMA_CONFLICT', /again/],
      ['a date for a timestamp', typeInfo.plain(0x28), 'byte', 'timestamp', 'SCHEMA_CONFLICT', /again/],
      ['a datetime2 for a time', typeInfo.plain(0x2a, 7), 'byte', 'time', 'SCHEMA_CONFLICT', /again/],
      [
        'a datetimeoffset for a timestamp',
        typeInfo.plain(0x2b, 7),
        'byte',
        'timestamp',
        'SCHEMA_CONFLICT',
        /again/,
      ],
      [
        'more decimals, which would be rounded',
        typeInfo.decimal(0x6a, 10, 5),
        'byte',
        'numeric(10,4)',
        'SCHEMA_CONFLICT',
        /again/,
      ],
      [
        'money for fewer decimals',
        typeInfo.plain(0x6e, 8),
        'byte',
        'numeric(19,2)',
        'SCHEMA_CONFLICT',
        /again/,
      ],
      [
        'a longer varchar, whose blanks would be cut',
        typeInfo.text(0xe7, 22, UNKNOWN),
        'ushort',
        'varchar(10)',
        'SCHEMA_CONFLICT',
        /again/,
      ],
      [
        'a varchar(max) for a char',
        typeInfo.text(0xe7, 0xffff, UNKNOWN),
        'plp',
        'char(10)',
        'SCHEMA_CONFLICT',
        /again/,
      ],
      [
        'a type without a mapping',
        Buffer.concat([u8(0xf0), u16(99), u8(0), u8(0), u8(0), u16(0)]),
        'plp',
        'bytea',
        'SCHEMA_CONFLICT',
        /again/,
      ],
    ];
  for (const [name, info, frame, pgType, code, remedy] of CASES) {
    it(name, async () => {
      const columns = [
        { ...INT, name: 'id' },
        { info, frame, pgType, name: 'changed' },
      ];
      const { error, chunks, aborted } = await pump.run(plan(columns, ['id']), [answer(columns, [])]);
      assert.equal(appError(error).code, code);
      assert.deepEqual(appError(error).place, { table: 'dbo.t', column: 'changed' });
      assert.match(appError(error).message, /^Table dbo\.t, column changed: /);
      assert.match(appError(error).remedy ?? '', remedy);
      assert.deepEqual([chunks, aborted], [[], 0]);
      await nextResponseIsFine();
    });
  }

  it('fewer and more columns', async () => {
    const two = [...good, { ...INT, name: 'more' }];
    for (const [planned, sent] of [
      [good, two],
      [two, good],
    ] as const) {
      const { error } = await pump.run(plan([...planned], ['id']), [answer(sent, [])]);
      assert.equal(appError(error).code, 'SCHEMA_CONFLICT');
      assert.equal(appError(error).place.table, 'dbo.t');
      assert.match(
        appError(error).message,
        new RegExp(`dbo\\.t .*${sent.length} columns where ${planned.length}`),
      );
      assert.match(appError(error).remedy ?? '', /again/);
    }
  });

  it('values whose length does not fit their type', async () => {
    const decimal = column('numeric(9,2)', typeInfo.decimal(0x6a, 9, 2), 'byte');
    const cases: [Omit<Column, 'name'>, Buffer][] = [
      [INT, hex('010203')],
      [decimal, hex('0102')],
      [column('uuid', typeInfo.plain(0x24, 16), 'byte'), hex('01')],
      [variant, hex('38 00 01')],
      [variant, hex('38')],
      [variant, hex('38 01 ff 01000000')],
      [variant, hex('6a 02 26')],
      [variant, hex('6a 02 26 ff 01 00000000')],
    ];
    for (const [bad, bytes] of cases) assert.equal((await refuse(bad, { bytes })).code, 'PROTOCOL');
  });

  it('a PLP value that is not as long as was announced', async () => {
    for (const pgType of ['text', 'bytea']) {
      const info = pgType === 'text' ? nvarcharMax.info : typeInfo.binary(0xa5, 0xffff);
      const columns = [{ info, frame: 'plp' as const, pgType, name: 'bad' }];
      for (const size of [4, 40_000]) {
        for (const announced of [size - 2, size + 2, size + 2 ** 32]) {
          const whole = row(columns, [{ bytes: Buffer.alloc(size, 'a'), chunks: [2] }]);
          whole.writeBigUInt64LE(BigInt(announced), 1);
          const payload = Buffer.concat([answer(columns, []).subarray(0, -13), whole, done(1)]);
          const { error, chunks } = await pump.run(plan(columns, []), [payload]);
          assert.equal(appError(error).code, 'PROTOCOL');
          assert.match(
            appError(error).message,
            new RegExp(`announced .* ${announced} bytes and sent ${size}`),
          );
          assert.deepEqual(chunks, []);
        }
      }
    }
  });
});

describe('values over the limit of a PostgreSQL field', () => {
  /** A whole answer whose one value, of `bytes` bytes, is never all there at once. */
  function* huge(columns: Column[], head: Buffer, chunk: Buffer, times: number, tail: Buffer) {
    yield Buffer.concat([colmetadata(columns), u8(0xd1), head]);
    for (let i = 0; i < times; i++) yield chunk;
    yield Buffer.concat([tail, uint(7n, 4), done(1)]);
  }

  it('are refused by table, column and key, however long they are', async () => {
    const key = { name: 'id', info: typeInfo.plain(0x38), frame: 'fixed' as const, pgType: 'integer' };
    const image: Column = { name: 'bad', info: typeInfo.long(0x22, null), frame: 'textptr', pgType: 'bytea' };
    const binary: Column = {
      name: 'bad',
      info: typeInfo.binary(0xa5, 0xffff),
      frame: 'plp',
      pgType: 'bytea',
    };
    const mib = 1 << 20;
    const piece = Buffer.alloc(mib, 0xab);
    const chunk = Buffer.concat([u32(mib), piece]);
    const pointer = Buffer.concat([u8(16), Buffer.alloc(24), u32(1024 * mib)]);
    const rest = Buffer.alloc(mib - 100, 0xab);
    const cases: [Column, Buffer, Buffer, number, Buffer, RegExp][] = [
      [image, pointer, piece, 1024, Buffer.alloc(0), /at most 1073741819 in one field/],
      [binary, u64(BigInt(2049 * mib)), chunk, 2049, u32(0), /at most 1073741819 in one field/],
      // A field might have as many bytes; with its headers the row would be larger than PostgreSQL can make it.
      [
        binary,
        u64(BigInt(1024 * mib - 100)),
        chunk,
        1023,
        Buffer.concat([u32(rest.length), rest, u32(0)]),
        /With this value its row has \d+ bytes or more; PostgreSQL takes at most 1073741823 in one row/,
      ],
    ];
    for (const [bad, head, each, times, tail, message] of cases) {
      const columns = [bad, key];
      const wide = new TestPump({ windowBytes: 2 * mib });
      const { error, chunks, aborted } = await wide.run(
        plan(columns, ['id']),
        huge(columns, head, each, times, tail),
      );
      assert.equal(appError(error).code, 'VALUE_TOO_LARGE');
      assert.deepEqual(appError(error).place, { table: 'dbo.t', column: 'bad', key: 'id=7' });
      assert.match(appError(error).message, message);
      assert.deepEqual([chunks, aborted], [[], 1]);
    }
  });
});
