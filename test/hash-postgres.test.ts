/**
 * PostgreSQL as the oracle: rows of every field type as PostgreSQL itself sends them by binary COPY, hashed in
 * place, against the hash PostgreSQL computes from the column values with its send functions.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type pg from 'pg';
import { COPY_HEADER, COPY_TRAILER } from '../src/copy/frame.js';
import { createRowHasher } from '../src/hash/rowHasher.js';
import type { CopyField } from '../src/types/family.js';
import { readCopy } from './support/copyBinary.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';

/** Each field type with its column type, PostgreSQL's own bytes of a value `v`, and values from row number `n`. */
const columns: { field: CopyField; pgType: string; scale?: number; bytes: string; value: string }[] = [
  { field: 'bool', pgType: 'boolean', bytes: 'boolsend(v)', value: 'n % 2 = 0' },
  { field: 'int2', pgType: 'smallint', bytes: 'int2send(v)', value: '(n * 31) % 32768 - n' },
  { field: 'int4', pgType: 'integer', bytes: 'int4send(v)', value: '-n * 7919' },
  { field: 'int8', pgType: 'bigint', bytes: 'int8send(v)', value: 'n::bigint * 9007199254740993' },
  { field: 'float4', pgType: 'real', bytes: 'float4send(v)', value: 'sqrt(n)' },
  { field: 'float8', pgType: 'double precision', bytes: 'float8send(v)', value: '-exp(n / 3.0)' },
  {
    field: 'numeric',
    pgType: 'numeric(38,10)',
    scale: 10,
    bytes: "convert_to(v::text, 'UTF8')",
    value: "(n % 5 - 2) * ('1e' || n % 37 - 10)::numeric * 1.0000000001",
  },
  {
    field: 'numeric',
    pgType: 'numeric(19,4)',
    scale: 4,
    bytes: "convert_to(v::text, 'UTF8')",
    value: '-n / 7.0',
  },
  {
    field: 'numeric',
    pgType: 'numeric(38,0)',
    scale: 0,
    bytes: "convert_to(v::text, 'UTF8')",
    value: '10::numeric ^ (n % 38)',
  },
  {
    field: 'numeric',
    pgType: 'numeric(38,38)',
    scale: 38,
    bytes: "convert_to(v::text, 'UTF8')",
    value: '1 / (n + 2)::numeric(76,40) / 10::numeric ^ (n % 36)',
  },
  { field: 'date', pgType: 'date', bytes: 'date_send(v)', value: "date '0001-01-01' + n * 10000" },
  {
    field: 'time',
    pgType: 'time',
    bytes: 'time_send(v)',
    value: "time '23:59:59.999999' - n * interval '7.000001 s'",
  },
  {
    field: 'timestamp',
    pgType: 'timestamp',
    bytes: 'timestamp_send(v)',
    value: "timestamp '1753-01-01' + n * interval '99 days 0.000003 s'",
  },
  {
    field: 'timestamptz',
    pgType: 'timestamptz',
    bytes: 'timestamptz_send(v)',
    value: "timestamptz '2001-01-01 00:00Z' - n * interval '1 h'",
  },
  { field: 'uuid', pgType: 'uuid', bytes: 'uuid_send(v)', value: 'md5(n::text)::uuid' },
  { field: 'bytea', pgType: 'bytea', bytes: 'v', value: "decode(repeat(md5(n::text), n % 9), 'hex')" },
  { field: 'text', pgType: 'text', bytes: "convert_to(v, 'UTF8')", value: "repeat('aé€😀', n % 40)" },
  { field: 'bpchar', pgType: 'char(12)', bytes: 'bpcharsend(v)', value: "repeat('ü', n % 12)" },
];

let server: TestPostgres;
let client: pg.Client;
before(async () => {
  server = await sharedPostgres();
  client = await server.client();
});
after(async () => {
  await client.end();
  await server.stop();
});

test("the row hash is the one PostgreSQL computes from the column's values", async () => {
  const names = columns.map((_, i) => `c${i}`);
  const definitions = columns.map(({ pgType }, i) => `c${i} ${pgType}`);
  // Each column is NULL in some rows, each in others.
  const values = columns.map(({ value }, i) => `CASE WHEN (n + ${i}) % 6 = 0 THEN NULL ELSE ${value} END`);
  await client.query(`CREATE TABLE hashed (id integer PRIMARY KEY, ${definitions.join(', ')})`);
  await client.query(`INSERT INTO hashed SELECT n, ${values.join(', ')} FROM generate_series(0, 599) AS n`);
  const canonical = columns.map(({ bytes }, i) => {
    const own = bytes.replace(/\bv\b/, `c${i}`);
    return `CASE WHEN c${i} IS NULL THEN '\\xffffffff'::bytea ELSE int4send(length(${own})) || ${own} END`;
  });
  const { rows } = await client.query<{ hash: string }>(
    `SELECT md5(${canonical.join(' || ')}) AS hash FROM hashed ORDER BY id`,
  );
  const copied = await readCopy(
    client,
    `COPY (SELECT id, ${names.join(', ')}, repeat('?', 32) FROM hashed ORDER BY id) TO STDOUT (FORMAT binary)`,
  );
  const tuples = copied.subarray(COPY_HEADER.length, copied.length - COPY_TRAILER.length);
  const memory = Buffer.from(new SharedArrayBuffer(tuples.length));
  tuples.copy(memory);
  const hasher = createRowHasher([
    { field: 'int4', hashed: false },
    ...columns.map(({ field, scale }) => ({ field, hashed: true, ...(scale !== undefined && { scale }) })),
  ]);
  const view = new DataView(memory.buffer);
  // Slots of a prime size, so that rows are cut everywhere.
  let completed = 0;
  for (let p = 0; p < memory.length; p += 4999)
    completed += hasher.hashSlot(view, p, Math.min(4999, memory.length - p));
  assert.equal(completed, rows.length);
  assert.equal(rows.length, 600);
  const found: string[] = [];
  for (let p = 0; p < memory.length; ) {
    p += 2;
    for (let i = 0; i <= columns.length; i++) p += 4 + Math.max(memory.readInt32BE(p), 0);
    found.push(memory.toString('latin1', p + 4, p + 36));
    p += 36;
  }
  assert.deepEqual(
    found,
    rows.map(({ hash }) => hash),
  );
});
