/**
 * Every type through the stand-in SQL Server and back, with the real tedious: results, parameters, code pages, long
 * values. Runs in the test process.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Request, TYPES } from 'tedious';
import type { SqlType } from './sqlserver/contract.js';
import type { SqlServerOptions } from './sqlserver/server.js';
import { wireType } from './sqlserver/tds/columns.js';
import { result } from './sqlserver/tds/fake-engine.js';
import { PacketWriter } from './sqlserver/tds/packets.js';
import { RowEncoder } from './sqlserver/tds/rows.js';
import {
  type Column,
  close,
  column,
  connect,
  engine,
  equal,
  numberOf,
  plain,
  query,
  serve,
} from './sqlserver/tds/test-client.js';
import { escapeText } from './sqlserver/tds/text.js';
import { CASES } from './sqlserver/tds/type-cases.js';

/** The wire bytes of one value of a type, length byte removed. */
function encodeOne(type: SqlType, text: string): Buffer {
  const columns = [{ name: 'c', type, nullable: true }];
  const out = new PacketWriter(new PassThrough(), 51);
  const rows = new RowEncoder(columns, [wireType(type, true)], out, {
    nbcRow: true,
    unknownLength: false,
    chunkBytes: 8192,
  });
  for (const event of result(columns, [[text]]))
    if (event.kind === 'copy') for (const _ of rows.push(event.bytes));
  return Buffer.from(out.buffer.subarray(2, out.position));
}

describe('types in results', () => {
  const variants: { title: string; options: Partial<SqlServerOptions> }[] = [
    { title: 'NBCROW, known lengths', options: {} },
    {
      title: 'ROW only, unknown lengths, chunks of 3 bytes',
      options: { nbcRow: false, plpUnknownLength: true, plpChunkBytes: 3 },
    },
  ];
  for (const { title, options } of variants) {
    it(`sends every type, NULL and not: ${title}`, async () => {
      const nullable = CASES.map(({ type }, index) => column(`n${index}`, type, true));
      const fixed = CASES.map(({ type }, index) => column(`f${index}`, type, false));
      const texts = CASES.map(({ text }) => text);
      const alternate = texts.map((text, index) => (index % 2 === 0 ? null : text));
      const nulls = texts.map(() => null);
      const values = CASES.map(({ value }) => value);
      const server = await serve(options);
      const connection = await connect(server, { useUTC: true });
      for (const splitBytes of [1, 7, 1000, 1 << 20]) {
        engine.answer('SELECT nullable', result(nullable, [texts, nulls, alternate, texts], splitBytes));
        engine.answer('SELECT fixed', result(fixed, [texts, texts], splitBytes));
        const answer = await query(connection, 'SELECT nullable');
        assert.deepEqual(plain(answer.rows), [
          values,
          nulls,
          values.map((value, index) => (index % 2 === 0 ? null : value)),
          values,
        ]);
        assert.deepEqual(plain((await query(connection, 'SELECT fixed')).rows), [values, values]);
      }
      await close(connection);
    });
  }

  it('sends sql_variant of every base type', async () => {
    const based = CASES.filter(
      ({ type }) => !/^(text|ntext|image|xml|sysname|rowversion)$/.test(type.name) && type.length !== -1,
    );
    const columns = based.map((_one, index) => column(`v${index}`, { name: 'sql_variant' }));
    const texts = based.map(({ type, text }) => JSON.stringify({ type, value: text }));
    engine.answer('SELECT variant', result(columns, [texts, texts.map(() => null)]));
    const connection = await connect(await serve());
    const { rows } = await query(connection, 'SELECT variant');
    based.forEach(({ type, value }, index) => {
      // Unpadded in a variant; and tedious reads a variant's collation where its length is, so takes UTF-8.
      if (/char$|^binary$/.test(type.name)) return;
      assert.deepEqual(rows[0]![index], value, type.name);
    });
    assert.deepEqual(
      rows[1],
      texts.map(() => null),
    );
    await close(connection);
  });

  it('sends decimals of any precision exactly', () => {
    const decimals = fc.integer({ min: 1, max: 38 }).chain((precision) =>
      fc.record({
        precision: fc.constant(precision),
        scale: fc.integer({ min: 0, max: precision }),
        units: fc.bigInt({ min: -(10n ** BigInt(precision)) + 1n, max: 10n ** BigInt(precision) - 1n }),
      }),
    );
    fc.assert(
      fc.property(decimals, ({ precision, scale, units }) => {
        const type = { name: 'decimal', precision, scale };
        const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, '0');
        const text = `${units < 0n ? '-' : ''}${digits.slice(0, digits.length - scale)}.${digits.slice(digits.length - scale)}`;
        const out = encodeOne(type, text);
        // Sign byte, then the magnitude little-endian.
        const magnitude = BigInt(`0x${Buffer.from(out.subarray(1)).reverse().toString('hex')}`);
        assert.equal(out.length, precision <= 9 ? 5 : precision <= 19 ? 9 : precision <= 28 ? 13 : 17);
        assert.equal(out[0] === 0 ? -magnitude : magnitude, units);
      }),
      { numRuns: 500 },
    );
  });

  it('sends varchar in the code page of its collation', async () => {
    const collations: Record<string, string> = {
      SQL_Latin1_General_CP1_CI_AS: 'naïve € “q” \u0081',
      Latin1_General_BIN2: 'Ærø ž',
      Latin1_General_100_CI_AS_SC_UTF8: 'all 日本 😀',
      Japanese_CI_AS: '日本語 ｶﾅ ①',
      Chinese_PRC_CI_AS: '中文 汉字',
      Chinese_Taiwan_Stroke_CI_AS: '繁體 中文',
      Korean_Wansung_CI_AS: '한국어',
      Cyrillic_General_CI_AS: 'Привет',
      Greek_CI_AS: 'Ελληνικά',
      Hebrew_CI_AS: 'עברית',
      Arabic_CI_AS: 'العربية',
      Thai_CI_AS: 'ภาษาไทย',
      Turkish_CI_AS: 'İstanbul ığ',
      Vietnamese_CI_AS: 'Vi\u00ea\u0323t ₫',
      Polish_CI_AS: 'Zażółć gęślą',
      Czech_100_CI_AS: 'Příliš žluťoučký',
      Hungarian_CI_AS: 'Árvíztűrő',
      Estonian_CI_AS: 'Õäöü šž',
      Latvian_CI_AS: 'Glāžšķūņa',
      Lithuanian_CI_AS: 'Ąžuolėlį',
      SQL_Latin1_General_CP437_CI_AS: 'é ░ ╬ π',
      SQL_Latin1_General_CP850_CI_AS: 'é ð ▓',
    };
    const entries = Object.entries(collations);
    for (const name of ['char', 'varchar', 'text']) {
      const columns = entries.map(([collation], index) => {
        const type: SqlType = {
          name,
          collation,
          ...(name !== 'text' && { length: name === 'char' ? 40 : 100 }),
        };
        return column(`c${index}`, type);
      });
      const texts = entries.map(([, text]) => text);
      engine.answer('SELECT pages', result(columns, [texts]));
      const connection = await connect(await serve());
      const { rows } = await query(connection, 'SELECT pages');
      entries.forEach(([collation, text], index) => {
        const got = String(rows[0]![index]);
        // iconv-lite, which tedious decodes with, has no character for byte 81 of code page 1252.
        const wanted = text.replace('\u0081', '\ufffd');
        assert.equal(name === 'char' ? got.trimEnd() : got, wanted, collation);
      });
      await close(connection);
    }
  });

  it('undoes the escapes of NUL and lone surrogates', async () => {
    const odd = 'a\0b\ud800c\udfffd😀';
    engine.answer('SELECT odd', result([column('t', { name: 'nvarchar', length: 50 })], [[escapeText(odd)]]));
    const connection = await connect(await serve());
    assert.deepEqual((await query(connection, 'SELECT odd')).rows, [[odd]]);
    await close(connection);
  });

  it('streams values of many megabytes, in every long type', async () => {
    const wide = '日本 text 😀 '.repeat(400_000);
    const narrow = 'narrow é '.repeat(400_000);
    const bytes = Buffer.alloc(5_000_000, 'binary');
    const types: SqlType[] = [
      { name: 'nvarchar', length: -1 },
      { name: 'ntext' },
      { name: 'xml' },
      { name: 'varchar', length: -1 },
      { name: 'text' },
      { name: 'varbinary', length: -1 },
      { name: 'image' },
    ];
    const columns = types.map((type, index) => column(`c${index}`, type));
    const row = [wide, wide, wide, narrow, narrow, bytes, bytes];
    engine.answer('SELECT huge', result(columns, [row, row.map(() => null), row], 65_536));
    for (const options of [{}, { plpUnknownLength: true, plpChunkBytes: 100_000 }]) {
      const connection = await connect(await serve(options), { packetSize: 32767 });
      const { rows } = await query(connection, 'SELECT huge');
      assert.equal(rows.length, 3);
      for (const index of [0, 2]) {
        for (const [at, value] of row.entries()) assert.ok(equal(rows[index]![at], value), types[at]!.name);
      }
      await close(connection);
    }
  });

  it('refuses to send what a column is not declared for, rather than cut it', async () => {
    engine.answer('SELECT over', result([column('t', { name: 'varchar', length: 3 })], [['abc'], ['abcd']]));
    const connection = await connect(await serve());
    await assert.rejects(
      query(connection, 'SELECT over'),
      /value of 4 bytes in column t, declared for at most 3/,
    );
  });
});

describe('parameters', () => {
  it('decodes every type tedious sends, and sends it back', async () => {
    engine.answer('ECHO', (parameters) =>
      result(
        parameters.map((one) => column(one.name.slice(1), one.type)),
        [parameters.map((one) => one.text)],
      ),
    );
    const connection = await connect(await serve(), { useUTC: true });
    const when = new Date('2023-04-05T06:07:08.123Z');
    const long = 'x日😀'.repeat(30_000);
    const bytes = Buffer.alloc(100_000, 7);
    const sent: [
      name: string,
      type: (typeof TYPES)[keyof typeof TYPES],
      value: unknown,
      options?: object,
      back?: unknown,
    ][] = [
      ['bit', TYPES.Bit, true],
      ['tinyint', TYPES.TinyInt, 255],
      ['smallint', TYPES.SmallInt, -32768],
      ['int', TYPES.Int, 2147483647],
      ['bigint', TYPES.BigInt, '9007199254740993', undefined, '9007199254740993'],
      ['float', TYPES.Float, 0.1],
      ['real', TYPES.Real, 1.25],
      ['decimal', TYPES.Decimal, -1234.5678, { precision: 18, scale: 4 }],
      ['numeric', TYPES.Numeric, 0.05, { precision: 38, scale: 2 }],
      ['money', TYPES.Money, -12.25],
      ['smallmoney', TYPES.SmallMoney, 12.75],
      ['date', TYPES.Date, when, undefined, new Date('2023-04-05T00:00:00Z')],
      ['time', TYPES.Time, when, { scale: 3 }, new Date('1970-01-01T06:07:08.123Z')],
      ['datetime', TYPES.DateTime, when],
      ['smalldatetime', TYPES.SmallDateTime, when, undefined, new Date('2023-04-05T06:07:00Z')],
      ['datetime2', TYPES.DateTime2, when, { scale: 7 }],
      ['datetimeoffset', TYPES.DateTimeOffset, when, { scale: 3 }],
      ['uniqueidentifier', TYPES.UniqueIdentifier, '6F9619FF-8B86-D011-B42D-00C04FC964FF'],
      ['varchar', TYPES.VarChar, 'café €'],
      ['char', TYPES.Char, 'abc', { length: 5 }, 'abc  '],
      ['nvarchar', TYPES.NVarChar, '日本\0 😀'],
      ['nchar', TYPES.NChar, '日本', { length: 4 }, '日本  '],
      ['nvarcharmax', TYPES.NVarChar, long, { length: Infinity }],
      ['varbinary', TYPES.VarBinary, Buffer.from('00ff', 'hex')],
      ['varbinarymax', TYPES.VarBinary, bytes],
      ['binary', TYPES.Binary, Buffer.from('0102', 'hex'), { length: 2 }],
      ['text', TYPES.Text, 'old'],
      ['ntext', TYPES.NText, 'old 日本'],
      ['image', TYPES.Image, Buffer.from('abcd', 'hex')],
    ];
    const { rows } = await query(connection, 'ECHO', (request) => {
      for (const [name, type, value, options] of sent) request.addParameter(name, type, value, options);
    });
    sent.forEach(([name, , value, , back], index) => {
      assert.ok(
        equal(plain(rows)[0]![index], back ?? value),
        `${name}: ${String(rows[0]![index]).slice(0, 80)}`,
      );
    });
    const nulls = await query(connection, 'ECHO', (request) => {
      for (const [name, type, , options] of sent) request.addParameter(name, type, null, options);
    });
    assert.deepEqual(nulls.rows, [sent.map(() => null)]);
    await close(connection);
  });

  it('gives the engine the declared types', async () => {
    const connection = await connect(await serve());
    await query(connection, 'ECHO', (request) => {
      request.addParameter('a', TYPES.NVarChar, 'x', { length: 50 });
      request.addParameter('b', TYPES.Decimal, 1.5, { precision: 10, scale: 2 });
      request.addParameter('c', TYPES.VarChar, 'y', { length: Infinity });
      request.addParameter('d', TYPES.DateTimeOffset, new Date('2000-01-01T00:00:00Z'), { scale: 3 });
    });
    const [a, b, c, d] = engine.received.at(-1)!;
    assert.deepEqual(a, { name: '@a', type: { name: 'nvarchar', length: 50 }, text: 'x' });
    assert.deepEqual(b, { name: '@b', type: { name: 'decimal', precision: 10, scale: 2 }, text: '1.50' });
    assert.deepEqual(c, { name: '@c', type: { name: 'varchar', length: -1 }, text: 'y' });
    assert.equal(d!.text?.slice(0, 18), '\\x08c1220247e44000');
    await close(connection);
  });

  it('prepares, executes twice and unprepares', async () => {
    const connection = await connect(await serve());
    const got: unknown[] = [];
    const step = (start: (request: Request) => void) =>
      new Promise<void>((resolve, reject) => {
        finished = (error) => (error ? reject(error) : resolve());
        start(request);
      });
    let finished: (error?: Error | null) => void = () => {};
    const request = new Request('ECHO', (error) => finished(error));
    request.addParameter('a', TYPES.Int, undefined);
    request.on('row', (columns: Column[]) => got.push(columns[0]!.value));
    connection.prepare(request);
    await once(request, 'prepared');
    await step(() => connection.execute(request, { a: 1 }));
    await step(() => connection.execute(request, { a: 2 }));
    await step(() => connection.unprepare(request));
    await assert.rejects(
      step(() => connection.execute(request, { a: 3 })),
      (error: unknown) => numberOf(error) === 8179,
    );
    await close(connection);
    assert.deepEqual(got, [1, 2]);
  });
});
