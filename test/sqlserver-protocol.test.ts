/**
 * The stand-in SQL Server's TDS side, driven by the real tedious over a real socket, with a fake engine behind it
 * that serves prepared results. Runs in the test process.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { PassThrough } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { Connection, type ConnectionConfiguration, ISOLATION_LEVEL, Request, TYPES } from 'tedious';
import { type EngineEvent, type ResultColumn, SqlError, type SqlType } from './sqlserver/contract.js';
import { type SqlServer, type SqlServerOptions, startSqlServer } from './sqlserver/server.js';
import { selfSignedCertificate } from './sqlserver/tds/certificate.js';
import { wireType } from './sqlserver/tds/columns.js';
import { COPY_HEADER, COPY_TRAILER, copyTuple, FakeEngine, result } from './sqlserver/tds/fake-engine.js';
import { PacketWriter } from './sqlserver/tds/packets.js';
import { RowEncoder } from './sqlserver/tds/rows.js';
import { escapeText } from './sqlserver/tds/text.js';

interface Column {
  value: unknown;
  metadata: { colName: string; type: { name: string } };
}

interface Answer {
  rows: unknown[][];
  rowCount: number | undefined;
}

const engine = new FakeEngine();
const servers: SqlServer[] = [];

async function serve(options: Partial<SqlServerOptions> = {}): Promise<SqlServer> {
  const server = await startSqlServer({ engine, ...options });
  servers.push(server);
  return server;
}

function connect(
  server: SqlServer,
  options: NonNullable<ConnectionConfiguration['options']> = {},
  login: { userName?: string; password?: string } = {},
  onError: (info: { number: number }) => void = () => {},
): Promise<Connection> {
  const connection = new Connection({
    server: '127.0.0.1',
    options: { port: server.port, encrypt: false, trustServerCertificate: true, ...options },
    authentication: { type: 'default', options: { userName: 'sa', password: 'Right-1!', ...login } },
  });
  return new Promise((resolve, reject) => {
    connection.on('error', () => {});
    connection.on('errorMessage', onError);
    connection.connect((error) =>
      error === undefined || error === null ? resolve(connection) : reject(error),
    );
  });
}

function query(
  connection: Connection,
  sql: string,
  setUp: (request: Request) => void = () => {},
  how: 'execSql' | 'execSqlBatch' = 'execSql',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const rows: unknown[][] = [];
    const request = new Request(sql, (error, rowCount) => {
      if (error) reject(error);
      else resolve({ rows, rowCount });
    });
    request.on('row', (columns: Column[]) => rows.push(columns.map((column) => column.value)));
    setUp(request);
    connection[how](request);
  });
}

function close(connection: Connection): Promise<void> {
  return new Promise((resolve) => {
    connection.once('end', () => resolve());
    connection.close();
  });
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !condition(); tries++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition());
}

/** tedious hangs a property on the dates of scaled types; deepEqual needs plain dates. */
function plain(rows: unknown[][]): unknown[][] {
  return rows.map((row) => row.map((value) => (value instanceof Date ? new Date(value.getTime()) : value)));
}

function equal(a: unknown, b: unknown): boolean {
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return a.equals(b);
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
  return a === b;
}

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

after(async () => {
  for (const server of servers) await server.close();
});

/** The number SQL Server gave the error that tedious reports. */
function numberOf(error: unknown): number | undefined {
  return (error as { number?: number }).number;
}

function column(name: string, type: SqlType, nullable = true): ResultColumn {
  return { name, type, nullable };
}

describe('login', () => {
  let server: SqlServer;
  before(async () => {
    server = await serve();
    engine.answer('SELECT 1', result([column('a', { name: 'int' }, false)], [['1']]));
  });

  it('lets the right password in and answers a query', async () => {
    const connection = await connect(server, { database: 'shop' });
    assert.deepEqual(await query(connection, 'SELECT 1'), { rows: [[1]], rowCount: 1 });
    assert.deepEqual((await query(connection, 'SELECT 1', undefined, 'execSqlBatch')).rows, [[1]]);
    await close(connection);
  });

  it('refuses a wrong password with error 18456', async () => {
    const numbers: number[] = [];
    await assert.rejects(
      connect(server, {}, { password: 'wrong' }, (info) => numbers.push(info.number)),
      (error: unknown) => {
        assert.equal((error as { code?: string }).code, 'ELOGIN');
        assert.match(String(error), /Login failed for user 'sa'/);
        return true;
      },
    );
    assert.deepEqual(numbers, [18456]);
  });

  it('refuses an unknown database with error 4060', async () => {
    const numbers: number[] = [];
    await assert.rejects(
      connect(server, { database: 'nowhere' }, {}, (info) => numbers.push(info.number)),
      /Cannot open database "nowhere"/,
    );
    // tedious takes 4060 for transient and tries again.
    assert.deepEqual(new Set(numbers), new Set([4060]));
  });

  it('closes the engine session with the connection', async () => {
    const open = engine.openSessions;
    const connection = await connect(server);
    assert.equal(engine.openSessions, open + 1);
    await close(connection);
    await until(() => engine.openSessions === open);
  });

  it('agrees on every packet size tedious can ask for', async () => {
    const text = 'packet '.repeat(20_000);
    engine.answer(
      'SELECT long',
      result([column('t', { name: 'nvarchar', length: -1 })], [[text], [null], [text]]),
    );
    for (const packetSize of [512, 513, 4096, 8000, 32767]) {
      const connection = await connect(server, { packetSize });
      assert.deepEqual((await query(connection, 'SELECT long')).rows, [[text], [null], [text]]);
      // A request that spans many packets as well.
      const long = `SELECT 1 /* ${'x'.repeat(50_000)} */`;
      engine.answer(long, result([column('a', { name: 'int' }, false)], [['7']]));
      assert.deepEqual((await query(connection, long)).rows, [[7]]);
      await close(connection);
    }
  });
});

describe('encryption', () => {
  const { cert, key } = selfSignedCertificate('localhost');
  const cases = [
    { server: 'on', client: true, works: true },
    { server: 'on', client: false, works: true },
    { server: 'on', client: 'strict', works: true },
    { server: 'off', client: false, works: true },
    { server: 'off', client: true, works: false },
    { server: 'off', client: 'strict', works: false },
    { server: 'required', client: true, works: true },
    { server: 'required', client: 'strict', works: true },
    { server: 'required', client: false, works: false },
  ] as const;
  for (const { server: encryption, client, works } of cases) {
    it(`server ${encryption}, client ${client}: ${works ? 'connects' : 'refused'}`, async () => {
      const server = await serve({ encryption, cert, key });
      const text = 'secret '.repeat(40_000);
      engine.answer('SELECT tls', result([column('t', { name: 'varchar', length: -1 })], [[text]]));
      // Strict encryption always proves the server's certificate.
      const proof =
        client === 'strict' ? { serverName: 'localhost', cryptoCredentialsDetails: { ca: cert } } : {};
      const connecting = connect(server, { encrypt: client, connectTimeout: 5000, ...proof });
      if (!works) {
        await assert.rejects(connecting);
        return;
      }
      const connection = await connecting;
      assert.deepEqual((await query(connection, 'SELECT tls')).rows, [[text]]);
      await close(connection);
    });
  }

  it('refuses a wrong password over TLS too, and says so', async () => {
    const server = await serve({ encryption: 'required' });
    await assert.rejects(
      connect(server, { encrypt: true }, { password: 'wrong' }),
      /Login failed for user 'sa'/,
    );
  });

  it('proves who it is to a client that trusts its certificate', async () => {
    const server = await serve({ encryption: 'required', cert, key });
    const trusting = { encrypt: true, trustServerCertificate: false, serverName: 'localhost' };
    const connection = await connect(server, { ...trusting, cryptoCredentialsDetails: { ca: cert } });
    await close(connection);
    await assert.rejects(connect(server, trusting), /self-signed certificate/);
  });
});

/** A type, a value in the contract's text form, and what tedious makes of it. */
const CASES: readonly { type: SqlType; text: string; value: unknown }[] = [
  { type: { name: 'bit' }, text: 't', value: true },
  { type: { name: 'bit' }, text: 'f', value: false },
  { type: { name: 'tinyint' }, text: '255', value: 255 },
  { type: { name: 'smallint' }, text: '-32768', value: -32768 },
  { type: { name: 'int' }, text: '-2147483648', value: -2147483648 },
  { type: { name: 'bigint' }, text: '-9223372036854775808', value: '-9223372036854775808' },
  { type: { name: 'decimal', precision: 5, scale: 2 }, text: '-999.99', value: -999.99 },
  { type: { name: 'decimal', precision: 18, scale: 4 }, text: '0.0500', value: 0.05 },
  {
    type: { name: 'numeric', precision: 28, scale: 0 },
    text: '12345678901234567890123',
    value: 1.2345678901234568e22,
  },
  { type: { name: 'numeric', precision: 38, scale: 10 }, text: '-1.5', value: -1.5 },
  { type: { name: 'money' }, text: '-922337203685477.5808', value: -922337203685477.6 },
  { type: { name: 'money' }, text: '0.0001', value: 0.0001 },
  { type: { name: 'smallmoney' }, text: '-214748.3648', value: -214748.3648 },
  { type: { name: 'float' }, text: '-1.7976931348623157e308', value: -1.7976931348623157e308 },
  { type: { name: 'real' }, text: '1.5', value: 1.5 },
  { type: { name: 'date' }, text: '0', value: new Date('0001-01-01T00:00:00Z') },
  { type: { name: 'date' }, text: '3652058', value: new Date('9999-12-31T00:00:00Z') },
  { type: { name: 'datetime' }, text: '-1391644800000', value: new Date('1753-01-01T00:00:00Z') },
  { type: { name: 'datetime' }, text: '25920001', value: new Date('1900-01-02T00:00:00.003Z') },
  { type: { name: 'smalldatetime' }, text: '94371839', value: new Date('2079-06-06T23:59:00Z') },
  { type: { name: 'time', scale: 0 }, text: '863990000000', value: new Date('1970-01-01T23:59:59Z') },
  { type: { name: 'time', scale: 3 }, text: '863999990000', value: new Date('1970-01-01T23:59:59.999Z') },
  { type: { name: 'time', scale: 7 }, text: '863999990000', value: new Date('1970-01-01T23:59:59.999Z') },
  {
    type: { name: 'datetime2', scale: 0 },
    text: '630822816000000000',
    value: new Date('2000-01-01T00:00:00Z'),
  },
  {
    type: { name: 'datetime2', scale: 7 },
    text: '3155378975999990000',
    value: new Date('9999-12-31T23:59:59.999Z'),
  },
  {
    type: { name: 'datetimeoffset', scale: 3 },
    // 2000-01-01 00:00 UTC, offset +840 minutes.
    text: '\\x08c1220247e440000690',
    value: new Date('2000-01-01T00:00:00Z'),
  },
  {
    type: { name: 'uniqueidentifier' },
    text: '6f9619ff-8b86-d011-b42d-00c04fc964ff',
    value: '6F9619FF-8B86-D011-B42D-00C04FC964FF',
  },
  { type: { name: 'char', length: 5 }, text: 'ab', value: 'ab   ' },
  { type: { name: 'nchar', length: 4 }, text: 'é', value: 'é   ' },
  { type: { name: 'varchar', length: 50 }, text: 'café € ’', value: 'café € ’' },
  { type: { name: 'varchar', length: 50 }, text: '', value: '' },
  { type: { name: 'varchar', length: -1 }, text: 'max é', value: 'max é' },
  { type: { name: 'nvarchar', length: 50 }, text: '日本 😀', value: '日本 😀' },
  { type: { name: 'nvarchar', length: -1 }, text: '', value: '' },
  { type: { name: 'sysname' }, text: 'dbo', value: 'dbo' },
  { type: { name: 'text' }, text: 'old é', value: 'old é' },
  { type: { name: 'ntext' }, text: 'old 日本', value: 'old 日本' },
  { type: { name: 'xml' }, text: '<a b="1">t</a>', value: '<a b="1">t</a>' },
  { type: { name: 'binary', length: 4 }, text: '\\x0102', value: Buffer.from('01020000', 'hex') },
  { type: { name: 'varbinary', length: 50 }, text: '\\xdeadbeef', value: Buffer.from('deadbeef', 'hex') },
  { type: { name: 'varbinary', length: -1 }, text: '\\x00ff', value: Buffer.from('00ff', 'hex') },
  { type: { name: 'image' }, text: '\\xabcd', value: Buffer.from('abcd', 'hex') },
  {
    type: { name: 'rowversion' },
    text: '\\x00000000000007d1',
    value: Buffer.from('00000000000007d1', 'hex'),
  },
];

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

  it('sends decimals of any precision exactly', async () => {
    const connection = await connect(await serve());
    const decimals = fc.integer({ min: 1, max: 38 }).chain((precision) =>
      fc.record({
        precision: fc.constant(precision),
        scale: fc.integer({ min: 0, max: precision }),
        units: fc.bigInt({ min: -(10n ** BigInt(precision)) + 1n, max: 10n ** BigInt(precision) - 1n }),
      }),
    );
    const seen: Buffer[] = [];
    await fc.assert(
      fc.asyncProperty(decimals, async ({ precision, scale, units }) => {
        const type = { name: 'decimal', precision, scale };
        const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, '0');
        const text = `${units < 0n ? '-' : ''}${digits.slice(0, digits.length - scale)}.${digits.slice(digits.length - scale)}`;
        const out = encodeOne(type, text);
        seen.push(out);
        // Sign byte, then the magnitude little-endian.
        const magnitude = BigInt(`0x${Buffer.from(out.subarray(1)).reverse().toString('hex')}`);
        assert.equal(out.length, precision <= 9 ? 5 : precision <= 19 ? 9 : precision <= 28 ? 13 : 17);
        assert.equal(out[0] === 0 ? -magnitude : magnitude, units);
      }),
      { numRuns: 500 },
    );
    assert.ok(seen.length >= 500);
    await close(connection);
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

describe('errors and messages', () => {
  it('reports number, state and class, and goes on', async () => {
    const connection = await connect(await serve());
    await assert.rejects(query(connection, 'SELECT nothing'), (error: unknown) => {
      const { number, class: severity, state } = error as { number: number; class: number; state: number };
      assert.deepEqual({ number, severity, state }, { number: 208, severity: 16, state: 1 });
      return true;
    });
    await assert.rejects(
      query(connection, 'SELECT nothing', undefined, 'execSqlBatch'),
      /Invalid object name/,
    );
    assert.deepEqual((await query(connection, 'SELECT 1')).rows, [[1]]);
    await close(connection);
  });

  it('reports an error behind rows, after the rows', async () => {
    const rows = result([column('a', { name: 'int' })], [['1'], ['2']]).slice(0, -1);
    engine.answer('SELECT then fail', async function* () {
      yield* rows;
      throw new SqlError(8134, 'Divide by zero error encountered.');
    });
    const connection = await connect(await serve());
    const seen: unknown[] = [];
    await assert.rejects(
      query(connection, 'SELECT then fail', (request) =>
        request.on('row', (row: Column[]) => seen.push(row[0]!.value)),
      ),
      (error: unknown) => numberOf(error) === 8134,
    );
    assert.deepEqual(seen, [1, 2]);
    await close(connection);
  });

  it('sends several results and messages in one response', async () => {
    engine.answer('MANY', [
      { kind: 'info', info: { number: 50000, state: 1, class: 0, message: 'hello' } },
      ...result([column('a', { name: 'int' })], [['1']]),
      { kind: 'done', rowCount: 5 },
      { kind: 'environment', change: 'database', value: 'other' },
      ...result([column('b', { name: 'bit' }, false)], [['t'], ['f']]),
    ]);
    for (const how of ['execSql', 'execSqlBatch'] as const) {
      const connection = await connect(await serve());
      const messages: string[] = [];
      const databases: string[] = [];
      connection.on('infoMessage', (info) => messages.push(info.message));
      connection.on('databaseChange', (name) => databases.push(name));
      const answer = await query(connection, 'MANY', undefined, how);
      assert.deepEqual(answer, { rows: [[1], [true], [false]], rowCount: 8 });
      assert.deepEqual(messages, ['hello']);
      assert.deepEqual(databases, ['other']);
      await close(connection);
    }
  });

  it('refuses unknown procedures with error 2812', async () => {
    const connection = await connect(await serve());
    const calling = new Promise<void>((resolve, reject) => {
      connection.callProcedure(new Request('sp_unknown', (error) => (error ? reject(error) : resolve())));
    });
    await assert.rejects(calling, (error: unknown) => numberOf(error) === 2812);
    await close(connection);
  });

  it('closes the connection on bytes that are no TDS', async () => {
    const server = await serve();
    const socket = createConnection(server.port, '127.0.0.1');
    const closed = once(socket, 'close');
    socket.on('error', () => {});
    socket.resume();
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await closed;
  });
});

/** Rows without end (10 million), 1000 at a time; counts what was pulled and whether it was let go. */
function endless(): { run: () => AsyncGenerator<EngineEvent>; pulled: number; ended: boolean } {
  const columns = [column('a', { name: 'int' }, false), column('t', { name: 'nvarchar', length: 100 })];
  const some = Buffer.concat(
    Array.from({ length: 1000 }, (_one, index) => copyTuple(columns, [String(index), 'text'.repeat(20)])),
  );
  const state = {
    pulled: 0,
    ended: false,
    run: async function* (): AsyncGenerator<EngineEvent> {
      try {
        yield { kind: 'columns', columns };
        yield { kind: 'copy', bytes: COPY_HEADER };
        for (; state.pulled < 10_000; state.pulled++) {
          yield { kind: 'copy', bytes: some };
          await new Promise((resolve) => setImmediate(resolve));
        }
        yield { kind: 'copy', bytes: COPY_TRAILER };
        yield { kind: 'done', rowCount: state.pulled * 1000 };
      } finally {
        state.ended = true;
      }
    },
  };
  return state;
}

describe('cancel and backpressure', () => {
  for (const encrypt of [false, true]) {
    it(`cancels a running query and keeps the connection (encrypt: ${encrypt})`, async () => {
      const rows = endless();
      engine.answer('SELECT endless', () => rows.run());
      const connection = await connect(await serve(), { encrypt });
      let seen = 0;
      await assert.rejects(
        query(connection, 'SELECT endless', (request) => {
          request.on('row', () => {
            seen += 1;
            if (seen === 5000) connection.cancel();
          });
        }),
        (error: unknown) => (error as { code?: string }).code === 'ECANCEL',
      );
      assert.ok(rows.ended, 'the engine was told to stop');
      assert.ok(rows.pulled < 9000);
      assert.deepEqual((await query(connection, 'SELECT 1')).rows, [[1]]);
      await close(connection);
    });
  }

  it('cancels a query that has sent nothing yet', async () => {
    let stopped = false;
    engine.answer('WAITFOR', async function* (_parameters, signal) {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      stopped = true;
      yield { kind: 'done' };
    });
    const connection = await connect(await serve());
    const running = query(connection, 'WAITFOR');
    setTimeout(() => connection.cancel(), 50);
    await assert.rejects(running, (error: unknown) => (error as { code?: string }).code === 'ECANCEL');
    assert.ok(stopped);
    const timed = query(connection, 'WAITFOR', (request) => request.setTimeout(50));
    await assert.rejects(timed, (error: unknown) => (error as { code?: string }).code === 'ETIMEOUT');
    assert.deepEqual((await query(connection, 'SELECT 1')).rows, [[1]]);
    await close(connection);
  });

  it('stops pulling rows while the client does not read', async () => {
    const rows = endless();
    engine.answer('SELECT endless', () => rows.run());
    const connection = await connect(await serve());
    const running = query(connection, 'SELECT endless', (request) => {
      request.once('row', () => {
        request.pause();
        setTimeout(() => {
          const before = rows.pulled;
          setTimeout(() => {
            assert.ok(before < 2000, `${before} pulled`);
            assert.equal(rows.pulled, before);
            connection.cancel();
          }, 200);
        }, 500);
      });
    });
    await assert.rejects(running, (error: unknown) => (error as { code?: string }).code === 'ECANCEL');
    assert.ok(rows.ended);
    await close(connection);
  });

  it('lets go of the engine when the client goes away', async () => {
    const rows = endless();
    engine.answer('SELECT endless', () => rows.run());
    const connection = await connect(await serve());
    const open = engine.openSessions;
    const running = query(connection, 'SELECT endless', (request) => {
      request.once('row', () => connection.close());
    });
    await assert.rejects(running);
    await until(() => rows.ended && engine.openSessions === open - 1);
  });
});

describe('transactions, reset and bulk load', () => {
  it('begins, commits and rolls back with descriptors', async () => {
    const connection = await connect(await serve());
    const step = (run: (done: (error?: Error | null) => void) => void) =>
      new Promise<void>((resolve, reject) => run((error) => (error ? reject(error) : resolve())));
    await step((done) => connection.beginTransaction(done, 't]1', ISOLATION_LEVEL.SNAPSHOT));
    assert.equal(
      engine.statements.at(-1),
      'SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION [t]]1]',
    );
    assert.deepEqual((await query(connection, 'SELECT 1')).rows, [[1]]);
    await step((done) => connection.saveTransaction(done, 'here'));
    assert.equal(engine.statements.at(-1), 'SAVE TRANSACTION [here]');
    await step((done) => connection.commitTransaction(done));
    assert.equal(engine.statements.at(-1), 'COMMIT TRANSACTION');
    await step((done) => connection.beginTransaction(done));
    await step((done) => connection.rollbackTransaction(done));
    assert.equal(engine.statements.at(-1), 'ROLLBACK TRANSACTION');
    assert.deepEqual((await query(connection, 'SELECT 1')).rows, [[1]]);
    await close(connection);
  });

  it('resets a connection to a fresh session', async () => {
    const connection = await connect(await serve(), { database: 'shop' });
    const open = engine.openSessions;
    await new Promise<void>((resolve, reject) =>
      connection.reset((error) => (error ? reject(error) : resolve())),
    );
    assert.equal(engine.openSessions, open);
    assert.deepEqual((await query(connection, 'SELECT 1')).rows, [[1]]);
    await close(connection);
  });

  it('turns a bulk load into inserts', async () => {
    const sql = 'INSERT INTO [dbo].[t] ([id], [name], [at]) VALUES (@p1, @p2, @p3), (@p4, @p5, @p6)';
    engine.answer(sql, [{ kind: 'done', rowCount: 2 }]);
    const connection = await connect(await serve(), { useUTC: true });
    const rowCount = await new Promise<number | undefined>((resolve, reject) => {
      const bulk = connection.newBulkLoad('[dbo].[t]', (error, count) =>
        error ? reject(error) : resolve(count),
      );
      bulk.addColumn('id', TYPES.Int, { nullable: false });
      bulk.addColumn('name', TYPES.NVarChar, { length: Infinity, nullable: true });
      bulk.addColumn('at', TYPES.DateTime2, { nullable: true, scale: 0 });
      connection.execBulkLoad(bulk, [
        [1, 'one', new Date('0001-01-02T00:00:00Z')],
        [2, null, null],
      ]);
    });
    assert.equal(rowCount, 2);
    assert.deepEqual(
      engine.received.at(-1)!.map((one) => one.text),
      ['1', 'one', '864000000000', '2', null, null],
    );
    await close(connection);
  });
});
