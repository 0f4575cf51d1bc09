/** Binary fields and tuples as text, with PostgreSQL's own text as the oracle. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import type pg from 'pg';
import { COPY_FIELDS, type CopyField } from '../src/copy/fields.js';
import { fieldToText } from '../src/copy/fieldText.js';
import { COPY_HEADER, COPY_TRAILER, MAX_FIELD_BYTES } from '../src/copy/frame.js';
import { numericField } from '../src/copy/numeric.js';
import { TextRows } from '../src/copy/textRows.js';
import { AppError } from '../src/errors.js';
import { framed, loadText, loadTuples, readCopy, tuple } from './support/copyBinary.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';

const int = (bytes: 2 | 4 | 8, value: bigint): Buffer => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigInt64BE(BigInt.asIntN(64, value));
  return buffer.subarray(8 - bytes);
};
const float = (bytes: 4 | 8, value: number): Buffer => {
  const buffer = Buffer.alloc(bytes);
  if (bytes === 4) buffer.writeFloatBE(value);
  else buffer.writeDoubleBE(value);
  return buffer;
};
const anyInt = (bits: bigint): fc.Arbitrary<bigint> =>
  fc.oneof(
    fc.bigInt({ min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n }),
    fc.constantFrom(0n, 1n, -1n, 2n ** (bits - 1n) - 1n, -(2n ** (bits - 1n))),
  );

/** Values where formats change: powers of two and ten with their neighbours, halves, limits. */
function floatEdges(bytes: 4 | 8): Buffer[] {
  const list: number[] = [0, -0, Number.NaN, Infinity, -Infinity, 1e23, 0.1, 1 / 3, 5e-324];
  for (let power = -330; power <= 308; power += 1) list.push(10 ** power, Number(`1e${power}`));
  for (let power = -1074; power <= 1023; power += 1) list.push(2 ** power, -(2 ** power));
  for (let n = 0; n < 40; n += 1)
    list.push(Number(`${'1234567890123456789'.slice(0, 1 + (n % 19))}e${n - 20}`));
  const encoded = list.filter(
    (v) => bytes === 8 || Math.abs(v) === Infinity || Number.isFinite(Math.fround(v)),
  );
  const exact = encoded.map((value) => float(bytes, value));
  const near = exact.flatMap((buffer) => {
    const raw = bytes === 8 ? buffer.readBigInt64BE() : BigInt(buffer.readInt32BE());
    return [raw - 1n, raw + 1n].map((bits) => int(bytes, bits));
  });
  return [...exact, ...near].filter((buffer) => {
    // A NaN's payload is not kept by every machine, and prints the same anyway.
    return (
      buffer.equals(float(bytes, Number.NaN)) ||
      !Number.isNaN(bytes === 8 ? buffer.readDoubleBE() : buffer.readFloatBE())
    );
  });
}

const texts = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.constantFrom('\b\f\n\r\t\v\\', '\\N', '\\.', '😀é'),
    ),
  )
  .map((parts) => parts.join('').replaceAll('\0', ''));
const bytes = (min: number, max: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: min, maxLength: max }).map((list) => Buffer.from(list));
/** 4714-11-24 BC to the last timestamp of PostgreSQL. */
const timestamps = fc
  .oneof(
    fc.bigInt({ min: -211_813_488_000_000_000n, max: 9_223_371_331_199_999_999n }),
    fc.bigInt({ min: -63_082_281_600_000_000n, max: 252_455_615_999_999_999n }),
    fc.constantFrom(0n, -1n, 1n, 2n ** 63n - 1n, -(2n ** 63n), 500_000n, -211_813_488_000_000_000n),
  )
  .map((value) => int(8, value));

const samples: Record<CopyField, () => Buffer[]> = {
  bool: () => [Buffer.from([0]), Buffer.from([1])],
  int2: () => fc.sample(anyInt(16n), 100).map((value) => int(2, value)),
  int4: () => fc.sample(anyInt(32n), 100).map((value) => int(4, value)),
  int8: () => fc.sample(anyInt(64n), 100).map((value) => int(8, value)),
  float4: () => [
    ...floatEdges(4),
    ...fc.sample(fc.float({ noNaN: true }), 3000).map((value) => float(4, value)),
    ...fc
      .sample(fc.integer({ min: -20_000_000, max: 20_000_000 }), 500)
      .map((value) => float(4, value / 100)),
  ],
  float8: () => [
    ...floatEdges(8),
    ...fc.sample(fc.double({ noNaN: true }), 3000).map((value) => float(8, value)),
    ...fc.sample(fc.integer(), 500).map((value) => float(8, value / 1000)),
    // Above 2^53 short decimals exactly halfway between two neighbours are frequent.
    ...fc
      .sample(fc.bigInt({ min: 1n, max: 99_999n }), 1500)
      .flatMap((digits) => [18n, 20n, 21n, 22n, 23n].map((power) => float(8, Number(digits * 10n ** power)))),
  ],
  numeric: () =>
    fc
      .sample(
        fc.tuple(fc.bigInt({ min: -(10n ** 38n), max: 10n ** 38n }), fc.integer({ min: 0, max: 38 })),
        500,
      )
      .map(([value, scale]) => numericField(value, scale).subarray(4)),
  date: () => [
    ...fc.sample(fc.integer({ min: -2_451_545, max: 2_145_031_948 }), 200).map((day) => int(4, BigInt(day))),
    ...fc.sample(fc.integer({ min: -800_000, max: 3_000_000 }), 500).map((day) => int(4, BigInt(day))),
    ...[-2_451_545, 2_145_031_948, 2 ** 31 - 1, -(2 ** 31), 0, 59, 60, -730_119, -730_120].map((day) =>
      int(4, BigInt(day)),
    ),
  ],
  time: () => fc.sample(fc.bigInt({ min: 0n, max: 86_400_000_000n }), 300).map((value) => int(8, value)),
  timestamp: () => fc.sample(timestamps, 600),
  timestamptz: () => fc.sample(timestamps, 600),
  uuid: () => fc.sample(bytes(16, 16), 50),
  bytea: () => [...fc.sample(bytes(0, 70), 100), Buffer.alloc(0), Buffer.alloc(3000, 0x5c)],
  text: () => [...fc.sample(texts, 300), '', '\\N', '\\', '\x7f'].map((text) => Buffer.from(text)),
  bpchar: () => fc.sample(texts, 100).map((text) => Buffer.from(text)),
};

describe('binary rows as text', () => {
  let postgres: TestPostgres;
  let client: pg.Client;
  const columns = COPY_FIELDS.map((field) => `c_${field} ${field}`).join(', ');
  const rows: (Buffer | null)[][] = [];
  let binary: Buffer;

  before(async () => {
    postgres = await sharedPostgres();
    client = await postgres.client();
    await client.query("SET TimeZone TO 'UTC'; SET DateStyle TO ISO; SET bytea_output TO hex");
    await client.query(`CREATE TEMP TABLE r (i int GENERATED ALWAYS AS IDENTITY, ${columns})`);
    await client.query(`CREATE TEMP TABLE again (${columns})`);
    const all = COPY_FIELDS.map((field) => samples[field]());
    const count = Math.max(...all.map((list) => list.length));
    for (let row = 0; row < count; row += 1) rows.push(all.map((list) => list[row] ?? null));
    binary = Buffer.concat(rows.map((row) => tuple(row.map(framed))));
    const names = COPY_FIELDS.map((field) => `c_${field}`).join(', ');
    await loadTuples(client, `r (${names})`, [binary]);
  });
  after(async () => {
    await client?.end();
    await postgres?.stop();
  });

  for (const field of COPY_FIELDS) {
    it(`${field} prints as PostgreSQL prints it`, async () => {
      // CAST drops a bpchar's trailing blanks; its output function does not.
      const { rows: texts } = await client.query<{ t: string | null }>(
        `SELECT format('%s', ${field === 'bpchar' ? `c_${field} || ''` : `c_${field}`}) AS t, c_${field} IS NULL AS n FROM r ORDER BY i`,
      );
      let checked = 0;
      for (const [index, row] of rows.entries()) {
        const value = row[COPY_FIELDS.indexOf(field)]!;
        if (value === null) continue;
        const padded = Buffer.concat([Buffer.from('x'), value, Buffer.from('x')]);
        let text = fieldToText(field, padded, 1, value.length);
        if (field === 'bpchar') text = text.replace(/ +$/, '');
        assert.equal(text, texts[index]!.t, `${field} ${value.toString('hex')}`);
        checked += 1;
      }
      assert.ok(checked >= 2);
    });
  }

  it('TextRows writes what COPY TO writes, and PostgreSQL reads it back unchanged', async () => {
    const expected = await readCopy(
      client,
      `COPY (SELECT ${COPY_FIELDS.map((field) => `c_${field}`)} FROM r ORDER BY i) TO STDOUT`,
    );
    const rowsOf = new TextRows(COPY_FIELDS);
    const text = rowsOf.push(binary);
    rowsOf.end();
    assert.ok(text.equals(expected));
    await loadText(client, 'again', [text]);
    const { rows: differing } = await client.query<{ n: string }>(
      `SELECT count(*) AS n FROM ((SELECT ${COPY_FIELDS.map((field) => `c_${field}::text`)} FROM r
       EXCEPT ALL SELECT ${COPY_FIELDS.map((field) => `c_${field}::text`)} FROM again)) AS d`,
    );
    assert.equal(differing[0]!.n, '0');
  });

  it('TextRows does not care how tuples are split', () => {
    const few = Buffer.concat(rows.slice(0, 6).map((row) => tuple(row.map(framed))));
    const whole = new TextRows(COPY_FIELDS).push(few);
    for (let cut = 0; cut <= few.length; cut += 1) {
      const split = new TextRows(COPY_FIELDS);
      const parts = [split.push(few.subarray(0, cut)), split.push(few.subarray(cut))];
      split.end();
      assert.ok(Buffer.concat(parts).equals(whole), `split at ${cut}`);
    }
    const bytewise = new TextRows(COPY_FIELDS);
    // A slot that was taken is written over.
    const slot = Buffer.alloc(1);
    const texts = [...few].map((byte) => {
      slot[0] = byte;
      return bytewise.push(slot);
    });
    assert.ok(Buffer.concat(texts).equals(whole));
  });

  it('TextRows passes a huge value through piece by piece', () => {
    const pieceBytes = 64 * 1024;
    const pieces = 400;
    for (const field of ['text', 'bytea'] as const) {
      const rowsOf = new TextRows([field, 'int4']);
      const head = Buffer.alloc(6);
      head.writeInt16BE(2);
      head.writeInt32BE(pieceBytes * pieces, 2);
      let written = rowsOf.push(head).length;
      const piece = Buffer.alloc(pieceBytes, field === 'text' ? 'ab\t' : 'x');
      const expected = field === 'text' ? piece.toString().replaceAll('\t', '\\t') : piece.toString('hex');
      for (let i = 0; i < pieces; i += 1) {
        const text = rowsOf.push(piece);
        assert.ok(text.toString() === (i === pieces - 1 ? `${expected}\t` : expected), `${field} piece ${i}`);
        written += text.length;
      }
      const tail = rowsOf.push(framed(int(4, 7n)));
      assert.equal(tail.toString(), '7\n');
      assert.equal(written, expected.length * pieces + (field === 'bytea' ? 4 : 1));
      rowsOf.end();
    }
  });

  it('TextRows refuses what is no tuple of its fields', () => {
    const refused = (fields: CopyField[], data: Buffer): void => {
      assert.throws(
        () => new TextRows(fields).push(data),
        (error) => error instanceof AppError && error.code === 'PROTOCOL',
      );
    };
    refused(['int4'], tuple([framed(null), framed(null)]));
    refused(['int4'], tuple([framed(Buffer.alloc(5))]));
    refused(['int4'], COPY_TRAILER);
    refused(['text'], Buffer.from('0001fffffffe', 'hex'));
    refused(['numeric'], Buffer.from('00017fffffff', 'hex'));
    const unfinished = new TextRows(['int4']);
    unfinished.push(Buffer.from('000100000004', 'hex'));
    assert.throws(() => unfinished.end(), /inside a tuple/);
  });
});

describe('the COPY frame', () => {
  it('is the documented one', () => {
    assert.equal(COPY_HEADER.toString('hex'), '5047434f50590aff0d0a000000000000000000');
    assert.equal(COPY_TRAILER.toString('hex'), 'ffff');
    assert.equal(MAX_FIELD_BYTES, 1_073_741_819);
  });
});
