/** numeric and money fields against BigInt and against PostgreSQL. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import type pg from 'pg';
import {
  MONEY_MAX_BYTES,
  NUMERIC_MAX_BYTES,
  numericField,
  numericToText,
  parseNumericField,
  writeDecimal,
  writeMoney,
  writeSmallMoney,
} from '../src/copy/numeric.js';
import { AppError } from '../src/errors.js';
import { loadTuples, sharedOut, tuple } from './support/copyBinary.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';

const { out, view } = sharedOut(128);
const MARGIN = 5;

function decimalBytes(value: bigint, bytes: number): Buffer {
  const magnitude = value < 0n ? -value : value;
  return Buffer.from(magnitude.toString(16).padStart(bytes * 2, '0'), 'hex').reverse();
}

/** Encodes with an offset into dirty memory and checks that nothing beyond the field was touched. */
function encode(write: (o: number) => number, maxBytes: number): Buffer {
  out.fill(0xee);
  const end = write(MARGIN);
  assert.ok(end - MARGIN <= maxBytes);
  assert.equal(out[MARGIN - 1], 0xee);
  assert.ok(out.subarray(end).every((byte) => byte === 0xee));
  return Buffer.from(out.subarray(MARGIN, end));
}

function encodeDecimal(value: bigint, scale: number, bytes: 4 | 8 | 12 | 16, negative = value < 0n): Buffer {
  const src = Buffer.concat([Buffer.alloc(3, 0xcc), decimalBytes(value, bytes)]);
  return encode((o) => writeDecimal(src, 3, bytes, negative, scale, out, view, o), NUMERIC_MAX_BYTES);
}

function smallestSize(value: bigint): 4 | 8 | 12 | 16 {
  const magnitude = value < 0n ? -value : value;
  return magnitude < 2n ** 32n ? 4 : magnitude < 2n ** 64n ? 8 : magnitude < 2n ** 96n ? 12 : 16;
}

/** value / 10^scale as text, by nothing but string handling. */
function decimalText(value: bigint, scale: number): string {
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0');
  const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
  return value < 0n ? `-${text}` : text;
}

/** Random precision 1..38, scale 0..precision or beyond, and any number of digits, with many zeros among them. */
const decimals = fc
  .tuple(
    fc.integer({ min: 0, max: 38 }),
    fc.boolean(),
    fc.oneof(
      fc.array(fc.constantFrom('0', '0', '0', '1', '9', '5'), { minLength: 1, maxLength: 38 }),
      fc.array(fc.integer({ min: 0, max: 9 }).map(String), { minLength: 1, maxLength: 38 }),
    ),
  )
  .map(([scale, negative, digits]) => {
    const magnitude = BigInt(digits.join(''));
    return { value: negative ? -magnitude : magnitude, scale };
  });

const edges: { value: bigint; scale: number }[] = [];
for (let scale = 0; scale <= 38; scale += 1) {
  for (const value of [0n, 1n, 5n, 10n, 9999n, 10_000n, 10_001n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n]) {
    edges.push({ value, scale }, { value: -value, scale });
  }
  for (const power of [48n, 53n, 64n, 96n]) {
    for (const value of [2n ** power - 1n, 2n ** power, 2n ** power + 1n]) edges.push({ value, scale });
  }
  edges.push(
    { value: 10n ** 38n - 1n, scale },
    { value: -(10n ** 38n) + 1n, scale },
    { value: 10n ** 37n, scale },
  );
}

describe('numeric fields', () => {
  let postgres: TestPostgres;
  let client: pg.Client;
  before(async () => {
    postgres = await sharedPostgres();
    client = await postgres.client();
    await client.query('CREATE TEMP TABLE n (i int GENERATED ALWAYS AS IDENTITY, v numeric)');
  });
  after(async () => {
    await client?.end();
    await postgres?.stop();
  });

  async function textsOf(fields: Buffer[]): Promise<string[]> {
    await client.query('TRUNCATE n');
    await loadTuples(
      client,
      'n (v)',
      fields.map((field) => tuple([field])),
    );
    const { rows } = await client.query<{ v: string; same: boolean }>(
      "SELECT v::text, encode(numeric_send(v), 'hex') AS bytes FROM n ORDER BY i",
    );
    for (const [index, row] of (rows as unknown as { bytes: string }[]).entries()) {
      assert.equal(row.bytes, fields[index]!.toString('hex', 4), 'PostgreSQL sends the same bytes back');
    }
    return rows.map((row) => row.v);
  }

  it('writeDecimal equals the BigInt form for every magnitude size', () => {
    const check = ({ value, scale }: { value: bigint; scale: number }): void => {
      const expected = numericField(value, scale);
      for (const bytes of [4, 8, 12, 16] as const) {
        if (bytes < smallestSize(value)) continue;
        assert.deepEqual(
          encodeDecimal(value, scale, bytes),
          expected,
          `${value}e-${scale} in ${bytes} bytes`,
        );
      }
      assert.equal(numericToText(expected, 4, expected.length - 4), decimalText(value, scale));
      assert.deepEqual(parseNumericField(expected, 4, expected.length - 4), { unscaled: value, scale });
    };
    edges.forEach(check);
    fc.assert(fc.property(decimals, check), { numRuns: 3000 });
  });

  it('never writes a negative zero', () => {
    assert.deepEqual(encodeDecimal(0n, 4, 8, true), numericField(0n, 4));
    assert.equal(numericField(0n, 4).readUInt16BE(8), 0);
  });

  it('is what PostgreSQL reads and sends back', async () => {
    const some = [...edges, ...fc.sample(decimals, 2000), { value: 5n, scale: 2 }, { value: -1n, scale: 4 }];
    const texts = await textsOf(
      some.map(({ value, scale }) => encodeDecimal(value, scale, smallestSize(value))),
    );
    assert.deepEqual(
      texts,
      some.map(({ value, scale }) => decimalText(value, scale)),
    );
    assert.equal(texts.at(-2), '0.05');
    assert.equal(texts.at(-1), '-0.0001');
  });

  it('writes money and smallmoney exactly', async () => {
    const limits = [
      0n,
      1n,
      -1n,
      2n ** 63n - 1n,
      -(2n ** 63n),
      2n ** 32n,
      -(2n ** 32n),
      2n ** 53n,
      -(2n ** 53n) - 1n,
    ];
    const amounts = [...limits, ...fc.sample(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), 500)];
    const money = (value: bigint): Buffer =>
      encode(
        (o) => writeMoney(Number(value >> 32n), Number(BigInt.asUintN(32, value)), out, view, o),
        MONEY_MAX_BYTES,
      );
    for (const value of amounts) assert.deepEqual(money(value), numericField(value, 4), `money ${value}`);
    const texts = await textsOf(amounts.map(money));
    assert.deepEqual(
      texts,
      amounts.map((value) => decimalText(value, 4)),
    );
    for (const value of [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 12_345, -99_990_000]) {
      const field = encode((o) => writeSmallMoney(value, out, view, o), MONEY_MAX_BYTES);
      assert.deepEqual(field, numericField(BigInt(value), 4), `smallmoney ${value}`);
    }
  });

  it('prints NaN, infinities and far numbers as PostgreSQL does', async () => {
    const { rows } = await client.query<{ t: string; b: Buffer }>(
      `SELECT v::text AS t, numeric_send(v) AS b FROM unnest(ARRAY['NaN', 'Infinity', '-Infinity', '1e50', '1e-50',
       '-1234567890123456789012345678901234567890.5', '100000000', '0.00010000']::numeric[]) AS v`,
    );
    for (const { t, b } of rows) assert.equal(numericToText(b, 0, b.length), t);
    assert.throws(
      () => parseNumericField(rows[0]!.b, 0, rows[0]!.b.length),
      (error) => error instanceof AppError && error.code === 'VALUE_UNREPRESENTABLE',
    );
    assert.throws(
      () => numericToText(Buffer.from('0001000000000000', 'hex'), 0, 8),
      (error) => error instanceof AppError && error.code === 'PROTOCOL',
    );
  });
});
