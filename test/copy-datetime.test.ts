/** date, time and timestamp fields against BigInt and against PostgreSQL. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import type pg from 'pg';
import {
  DATE_FIELD_BYTES,
  DAYS_0001_TO_2000,
  DAYS_1900_TO_2000,
  datetimeTicksToMicros,
  int64Field,
  TIME_FIELD_BYTES,
  TIMESTAMP_FIELD_BYTES,
  timestampMicros,
  writeDate,
  writeTime,
  writeTimestamp,
} from '../src/copy/datetime.js';
import { loadTuples, sharedOut, tuple } from './support/copyBinary.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';

const { out, view } = sharedOut(64);
const MILLIS_PER_DAY = 86_400_000;
const LAST_MICRO = 86_399_999_999;
const LAST_DAY = 2_921_939;

function encode(bytes: number, write: (o: number) => number): Buffer {
  out.fill(0xee);
  assert.equal(write(3), 3 + bytes);
  assert.equal(out[3 + bytes], 0xee);
  return Buffer.from(out.subarray(3, 3 + bytes));
}

/** The calendar of JavaScript's Date, which is proleptic Gregorian too. */
function isoDay(daysSince2000: number): string {
  const at = new Date(Date.UTC(2000, 0, 1) + daysSince2000 * MILLIS_PER_DAY);
  return at.toISOString().slice(0, 10);
}

function clock(micros: number): string {
  const text =
    new Date(Math.floor(micros / 1000)).toISOString().slice(11, 23) + String(micros % 1000).padStart(3, '0');
  return text.replace(/\.?0+$/, '');
}

const days = fc.integer({ min: -DAYS_0001_TO_2000, max: LAST_DAY });
const micros = fc.oneof(
  fc.integer({ min: 0, max: LAST_MICRO }),
  fc.integer({ min: 0, max: 86_399 }).map((second) => second * 1_000_000),
);
const edges: [number, number][] = [];
for (const day of [-DAYS_0001_TO_2000, -DAYS_1900_TO_2000, -1, 0, 1, LAST_DAY]) {
  for (const micro of [0, 1, 999_999, 1_000_000, LAST_MICRO - 1, LAST_MICRO]) edges.push([day, micro]);
}
// Around each multiple of 2^32 microseconds the low word carries into the high one.
for (let multiple = -14n; multiple <= 14n; multiple += 1n) {
  for (const delta of [-1n, 0n, 1n]) {
    const at = multiple * 2n ** 32n + delta;
    const day = at / 86_400_000_000n - (at < 0n ? 1n : 0n);
    edges.push([Number(day), Number(at - day * 86_400_000_000n)]);
  }
}

describe('date and time fields', () => {
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

  const timestamp = (day: number, micro: number): Buffer =>
    encode(TIMESTAMP_FIELD_BYTES, (o) => writeTimestamp(day, micro, out, view, o));
  const time = (micro: number): Buffer => encode(TIME_FIELD_BYTES, (o) => writeTime(micro, out, view, o));
  const date = (day: number): Buffer => encode(DATE_FIELD_BYTES, (o) => writeDate(day, out, view, o));

  it('equal the BigInt form', () => {
    const check = (day: number, micro: number): void => {
      assert.deepEqual(timestamp(day, micro), int64Field(timestampMicros(day, micro)), `${day} ${micro}`);
      assert.deepEqual(time(micro), int64Field(BigInt(micro)));
    };
    for (const [day, micro] of edges) check(day, micro);
    fc.assert(fc.property(days, micros, check), { numRuns: 5000 });
    assert.deepEqual(time(86_400_000_000), int64Field(86_400_000_000n));
  });

  it('are what PostgreSQL reads', async () => {
    await client.query(
      'CREATE TEMP TABLE d (i int GENERATED ALWAYS AS IDENTITY, d date, t time, s timestamp)',
    );
    const some = [...edges, ...fc.sample(fc.tuple(days, micros), 1000)].filter(
      ([, micro]) => micro <= LAST_MICRO,
    );
    await loadTuples(
      client,
      'd (d, t, s)',
      some.map(([day, micro]) => tuple([date(day), time(micro), timestamp(day, micro)])),
    );
    const { rows } = await client.query<{ d: string; t: string; s: string }>(
      'SELECT d::text, t::text, s::text FROM d ORDER BY i',
    );
    for (const [index, [day, micro]] of some.entries()) {
      assert.deepEqual(
        { ...rows[index] },
        { d: isoDay(day), t: clock(micro), s: `${isoDay(day)} ${clock(micro)}` },
      );
    }
  });

  it('know the epochs', () => {
    assert.equal(isoDay(-DAYS_0001_TO_2000), '0001-01-01');
    assert.equal(isoDay(-DAYS_1900_TO_2000), '1900-01-01');
    assert.equal(isoDay(LAST_DAY), '9999-12-31');
  });

  it('round DATETIME ticks to the millisecond as SQL Server prints it', () => {
    assert.deepEqual([0, 1, 2, 3, 4].map(datetimeTicksToMicros), [0, 3000, 7000, 10_000, 13_000]);
    assert.equal(datetimeTicksToMicros(25_919_999), 86_399_997_000);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 25_919_999 }), (ticks) => {
        const millis = (BigInt(ticks) * 20n + 3n) / 6n;
        assert.equal(BigInt(datetimeTicksToMicros(ticks)), millis * 1000n);
      }),
    );
  });
});
