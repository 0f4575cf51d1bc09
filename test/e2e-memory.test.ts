/**
 * Memory stays flat: many narrow rows, and values far larger than any buffer, which must arrive byte for byte.
 *
 * Run by the main thread of the test process. `E2E_LARGE=1` runs the full number of large rows, 10 GB of them.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, type TestContext, test } from 'node:test';
import { type Migration, type Scene, startScene, succeeded } from './support/endToEnd.js';

const MIB = 1024 * 1024;
const NARROW_ROWS = 2_000_000;
const LARGE_ROWS = process.env.E2E_LARGE ? 200 : 6;
const LARGE_BYTES = 50 * MIB;
const HUGE_BYTES = 100 * MIB;
const long = { timeoutMs: 600_000, process: true };

let scene: Scene;
before(async () => {
  scene = await startScene('memory', 'CREATE SCHEMA large;\nGO\nCREATE SCHEMA huge;');
});
after(() => scene?.stop());

function assertPeak(t: TestContext, done: Migration, limitMib: number): void {
  const peak = Math.round(done.peakRssKb / 1024);
  t.diagnostic(
    `peak RSS ${peak} MiB, ${done.result.rows_per_second} rows/s, ${done.result.duration_seconds} s`,
  );
  assert.ok(peak > 0 && peak < limitMib, `peak RSS ${peak} MiB, limit ${limitMib} MiB`);
}

test('two million narrow rows in less than 400 MiB', async (t) => {
  await scene.tsql(`CREATE TABLE dbo.votes (id int NOT NULL, post int NOT NULL, kind int NOT NULL);
GO
INSERT INTO dbo.votes (id, post, kind) SELECT s.value, s.value / 4, s.value % 15 FROM GENERATE_SERIES(1, ${NARROW_ROWS}) AS s;
GO
ALTER TABLE dbo.votes ADD CONSTRAINT pk_votes PRIMARY KEY (id);`);
  const done = await scene.migrate({}, [], long);
  assert.equal(succeeded(done).rows_transferred, NARROW_ROWS);
  assertPeak(t, done, 400);
  // Sums a lost, doubled or mixed up row could not leave alone.
  const [found] = await scene.rows(
    'SELECT count(*), sum(id::bigint), sum(id::bigint * post), sum(id::bigint * kind), count(DISTINCT id) FROM public.votes',
  );
  const sums = [0n, 0n, 0n];
  for (let id = 1; id <= NARROW_ROWS; id++) {
    sums[0]! += BigInt(id);
    sums[1]! += BigInt(id * Math.floor(id / 4));
    sums[2]! += BigInt(id * (id % 15));
  }
  assert.deepEqual(found, [NARROW_ROWS, ...sums, NARROW_ROWS].map(String));
  await scene.client.query('DROP TABLE public.votes');
  await scene.tsql('DROP TABLE dbo.votes');
});

test(`${LARGE_ROWS} rows of 50 MiB in less than 1 GiB`, async (t) => {
  // Two values in each row: 20 MiB of varchar(max), one byte a character, and 30 MiB of varbinary(max).
  const [textBytes, binaryBytes] = [20 * MIB, LARGE_BYTES - 20 * MIB];
  await scene.tsql(`CREATE TABLE large.files (id int NOT NULL PRIMARY KEY, body varchar(max) NOT NULL, content varbinary(max) NOT NULL);
GO
INSERT INTO large.files (id, body, content)
SELECT CAST(s.value AS int), REPLICATE(CAST(RIGHT(CONCAT('0000000', s.value), 8) AS varchar(max)), ${textBytes / 8}),
  CAST(REPLICATE(CAST(RIGHT(CONCAT('000000000000000', s.value), 16) AS varchar(max)), ${binaryBytes / 16}) AS varbinary(max))
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${LARGE_ROWS} AS bigint)) AS s;`);
  const done = await scene.migrate({ source: { schema: 'large' } }, [], long);
  assert.equal(succeeded(done).rows_transferred, LARGE_ROWS);
  assertPeak(t, done, 1024);
  const wrong = await scene.rows(`SELECT id FROM public.files
    WHERE body <> repeat(lpad(id::text, 8, '0'), ${textBytes / 8})
       OR content <> convert_to(repeat(lpad(id::text, 16, '0'), ${binaryBytes / 16}), 'UTF8')`);
  assert.deepEqual(wrong, []);
  assert.deepEqual(await scene.rows('SELECT count(*) FROM public.files'), [[String(LARGE_ROWS)]]);
  // Three rows a chunk: PostgreSQL keeps the tuples of a binary COPY in memory until there are a thousand.
  const [chunks] = await scene.rows('SELECT count(DISTINCT xmin::text) FROM public.files');
  assert.deepEqual(chunks, [String(Math.ceil(LARGE_ROWS / 3))]);
  await scene.client.query('DROP TABLE public.files');
  await scene.tsql('DROP TABLE large.files');
});

/** What each 100 MiB value is, in T-SQL and here. */
const unit = '0123456789abcd\u00e9\u4e2d\u{1f600}';
const repeats = Math.floor(HUGE_BYTES / Buffer.byteLength(unit, 'utf16le'));
const plainRepeats = HUGE_BYTES / 16;
const values = {
  nvarchar_max: `REPLICATE(CAST(N'${unit}' AS nvarchar(max)), ${repeats})`,
  varchar_max: `REPLICATE(CAST('0123456789abcde\u00e9' AS varchar(max)), ${plainRepeats})`,
  varbinary_max: `CAST(REPLICATE(CAST('0123456789abcdef' AS varchar(max)), ${plainRepeats}) AS varbinary(max))`,
  xml: `CAST(CONCAT(N'<a>', REPLICATE(CAST(N'${unit}' AS nvarchar(max)), ${repeats}), N'</a>') AS xml)`,
};
const types = {
  nvarchar_max: 'nvarchar(max)',
  varchar_max: 'varchar(max)',
  varbinary_max: 'varbinary(max)',
  xml: 'xml',
};

function fingerprint(kind: keyof typeof values): [string, string] {
  const pieces = {
    nvarchar_max: ['', unit, repeats, ''],
    varchar_max: ['', '0123456789abcde\u00e9', plainRepeats, ''],
    varbinary_max: ['', '0123456789abcdef', plainRepeats, ''],
    xml: ['<a>', unit, repeats, '</a>'],
  } as const;
  const [head, piece, count, tail] = pieces[kind];
  const bytes = Buffer.concat([
    Buffer.from(head),
    Buffer.alloc(Buffer.byteLength(piece) * count, piece),
    Buffer.from(tail),
  ]);
  return [String(bytes.length), createHash('md5').update(bytes).digest('hex')];
}

test('values of 100 MiB arrive byte for byte', async (t) => {
  for (const kind of Object.keys(values) as (keyof typeof values)[]) {
    await scene.tsql(`CREATE TABLE huge.${kind} (id int NOT NULL PRIMARY KEY, value ${types[kind]} NULL);
GO
INSERT INTO huge.${kind} (id, value) VALUES (1, NULL);
INSERT INTO huge.${kind} (id, value) VALUES (2, ${values[kind]});`);
  }
  const done = await scene.migrate({ source: { schema: 'huge' } }, [], long);
  assert.equal(succeeded(done).rows_transferred, 2 * 4);
  assertPeak(t, done, 1024);
  for (const kind of Object.keys(values) as (keyof typeof values)[]) {
    const bytes = kind === 'varbinary_max' ? 'value' : `convert_to(value, 'UTF8')`;
    const found = await scene.rows(
      `SELECT id, octet_length(value), md5(${bytes}) FROM public.${kind} ORDER BY id`,
    );
    assert.deepEqual(
      found,
      [
        ['1', null, null],
        ['2', ...fingerprint(kind)],
      ],
      kind,
    );
    await scene.client.query(`DROP TABLE public.${kind}`);
    await scene.tsql(`DROP TABLE huge.${kind}`);
  }
});
