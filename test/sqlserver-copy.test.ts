/**
 * The TDS side fed with real bytes: binary COPY of a real PostgreSQL, sent as SQL Server's rows and read by the real
 * tedious. Runs in the test's process.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import type { EngineEvent, ResultColumn, SqlType } from './sqlserver/contract.js';
import { close, column, connect, engine, plain, query, serve } from './sqlserver/tds/test-client.js';
import { CASES } from './sqlserver/tds/type-cases.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';

/** The contract's storage type of a T-SQL type. */
function storageOf(type: SqlType): string {
  const names: Readonly<Record<string, string>> = {
    bit: 'boolean',
    tinyint: 'int2',
    smallint: 'int2',
    int: 'int4',
    bigint: 'int8',
    decimal: 'numeric',
    numeric: 'numeric',
    money: 'numeric',
    smallmoney: 'numeric',
    float: 'float8',
    real: 'float4',
    date: 'int4',
    time: 'int8',
    datetime2: 'int8',
    datetime: 'int8',
    smalldatetime: 'int4',
    datetimeoffset: 'bytea',
    uniqueidentifier: 'uuid',
    binary: 'bytea',
    varbinary: 'bytea',
    image: 'bytea',
    rowversion: 'bytea',
  };
  return names[type.name] ?? 'text';
}

describe('rows of a real PostgreSQL', () => {
  let postgres: TestPostgres;
  let client: pg.Client;
  before(async () => {
    postgres = await sharedPostgres();
    client = await postgres.client();
  });
  after(async () => {
    await client?.end();
    await postgres?.stop();
  });

  async function* copy(
    columns: ResultColumn[],
    select: string,
    rowCount: number,
  ): AsyncGenerator<EngineEvent> {
    yield { kind: 'columns', columns };
    const stream = client.query(copyTo(`COPY (${select}) TO STDOUT (FORMAT binary)`));
    for await (const bytes of stream) yield { kind: 'copy', bytes: bytes as Buffer };
    yield { kind: 'done', rowCount };
  }

  it('sends every type as PostgreSQL stores it', async () => {
    const columns = CASES.map(({ type }, index) => column(`c${index}`, type));
    const values = CASES.map(({ type, text }) => `'${text.replaceAll("'", "''")}'::${storageOf(type)}`);
    engine.answer('COPY', () => copy(columns, `SELECT ${values.join(', ')}`, 1));
    const connection = await connect(await serve());
    assert.deepEqual(plain((await query(connection, 'COPY')).rows), [CASES.map(({ value }) => value)]);
    await close(connection);
  });

  it('sends decimals of every magnitude', async () => {
    const columns = [
      column('exponent', { name: 'int' }, false),
      column('value', { name: 'decimal', precision: 38, scale: 18 }),
      column('money', { name: 'money' }),
    ];
    // 10^e, 12345678 * 10^e and their like across the base-10000 digits' borders.
    const select = `SELECT e, s * m * power(10::numeric, e), s * round(m * power(10::numeric, least(e, 6)), 4)
      FROM generate_series(-10, 12) e, (VALUES (1), (-1)) sign(s), (VALUES (0), (1), (9999), (12345678)) mantissa(m)
      ORDER BY e, s, m`;
    engine.answer('DECIMALS', () => copy(columns, select, 184));
    const connection = await connect(await serve());
    const { rows } = await query(connection, 'DECIMALS');
    assert.equal(rows.length, 184);
    const mantissas = [0, 1, 9999, 12345678];
    rows.forEach(([exponent, value, money], index) => {
      const sign = index % 8 < 4 ? -1 : 1;
      const mantissa = mantissas[index % 4]!;
      const wanted = Number(`${sign * mantissa}e${exponent}`);
      assert.ok(Math.abs(Number(value) - wanted) <= Math.abs(wanted) * 1e-14, `${value} for ${wanted}`);
      const units = Number(`${sign * mantissa}e${Math.min(Number(exponent), 6)}`);
      assert.ok(
        Math.abs(Number(money) - units) <= 0.00006 + Math.abs(units) * 1e-14,
        `${money} for ${units}`,
      );
    });
    await close(connection);
  });

  it('sends many rows, and values of tens of megabytes', async () => {
    const narrow = [column('id', { name: 'int' }, false), column('odd', { name: 'bigint' })];
    const select = 'SELECT n, CASE WHEN n % 2 = 1 THEN n::int8 END FROM generate_series(1, 200000) n';
    engine.answer('MANY ROWS', () => copy(narrow, select, 200_000));
    const wide = [
      column('t', { name: 'varchar', length: -1 }),
      column('b', { name: 'varbinary', length: -1 }),
    ];
    const long = `SELECT repeat('0123456789', 5000000), decode(repeat('00ff', 10000000), 'hex')`;
    engine.answer('LONG', () => copy(wide, long, 1));
    const connection = await connect(await serve(), { packetSize: 32767 });
    const { rows } = await query(connection, 'MANY ROWS');
    assert.equal(rows.length, 200_000);
    assert.ok(
      rows.every(
        ([id, odd], index) => id === index + 1 && odd === (index % 2 === 0 ? String(index + 1) : null),
      ),
    );
    const [[text, bytes] = []] = (await query(connection, 'LONG')).rows as [string, Buffer][];
    assert.equal(text?.length, 50_000_000);
    assert.ok(text?.endsWith('0123456789'));
    assert.equal(bytes?.length, 20_000_000);
    assert.ok(bytes?.subarray(-2).equals(Buffer.from([0, 255])));
    await close(connection);
  });
});
