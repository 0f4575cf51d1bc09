/**
 * Tables read in partitions: whatever the key, however it is skewed, every row arrives once.
 *
 * Keys are made with `GENERATE_SERIES` in the source and again, by other means, here: the target is compared with
 * the latter. Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { type Scene, startScene, succeeded } from './support/endToEnd.js';

const ROWS = 2500;
const series = `FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${ROWS} AS bigint)) AS s`;

interface KeyCase {
  table: string;
  /** Columns, constraints and further statements. */
  ddl: string;
  /** Column list and select list; `s.value` counts the rows from 1. */
  columns: string;
  select: string;
  /** The key's text in row `n`, as PostgreSQL prints it; parts of a composite key joined by `|`. */
  key: (n: number) => string;
  /** SQL that prints the same on the target. */
  keySql: string;
}

const day = (days: number) => new Date(Date.UTC(2001, 0, 1) + days * 86_400_000).toISOString().slice(0, 10);
const blanks = (n: number) => ' '.repeat(n % 3);
const WORDS = ['apple', 'Äpfel', 'ápple', 'APRICOT', 'zebra', 'Zoë', 'œuvre', "o'hara", '-dash', '_line'];

const cases: readonly KeyCase[] = [
  {
    table: 'k_int',
    ddl: '(id int NOT NULL PRIMARY KEY, n int NOT NULL)',
    columns: 'id, n',
    select: 'CAST(s.value * 3 - 9000 AS int), CAST(s.value AS int)',
    key: (n) => String(n * 3 - 9000),
    keySql: 'id',
  },
  {
    // Nine of ten rows lie close together, the others up to two thousand million apart.
    table: 'k_skewed',
    ddl: '(id int NOT NULL PRIMARY KEY, n int NOT NULL)',
    columns: 'id, n',
    select:
      'CAST(CASE WHEN s.value % 10 = 0 THEN s.value * 300000 ELSE s.value - 10000 END AS int), CAST(s.value AS int)',
    key: (n) => String(n % 10 === 0 ? n * 300_000 : n - 10_000),
    keySql: 'id',
  },
  {
    // One value of the leading column holds most of the rows: it has to be cut by the columns after it.
    table: 'k_composite',
    ddl: '(tenant smallint NOT NULL, at date NOT NULL, id bigint NOT NULL, n int NOT NULL, PRIMARY KEY (tenant, at DESC, id))',
    columns: 'tenant, at, id, n',
    select: `CAST(CASE WHEN s.value % 8 = 0 THEN s.value % 100 ELSE 7 END AS smallint),
      DATEADD(day, s.value % 3, CAST('2001-01-01' AS date)), s.value * 5000000000, CAST(s.value AS int)`,
    key: (n) => `${n % 8 === 0 ? n % 100 : 7}|${day(n % 3)}|${BigInt(n) * 5_000_000_000n}`,
    keySql: 'tenant, at, id',
  },
  {
    table: 'k_guid',
    ddl: '(id uniqueidentifier NOT NULL PRIMARY KEY, n int NOT NULL)',
    columns: 'id, n',
    select: `CAST(CONCAT(RIGHT(CONCAT('00000000', s.value * 7919 % 99999989), 8), '-0000-4000-8000-',
      RIGHT(CONCAT('000000000000', s.value * 104729 % 99999989), 12)) AS uniqueidentifier), CAST(s.value AS int)`,
    key: (n) =>
      `${String((n * 7919) % 99_999_989).padStart(8, '0')}-0000-4000-8000-${String((n * 104_729) % 99_999_989).padStart(12, '0')}`,
    keySql: 'id',
  },
  {
    // Case and accents don't tell keys apart, the digits do; trailing blanks are data all the same.
    table: 'k_string',
    ddl: '(id nvarchar(40) COLLATE Latin1_General_CI_AI NOT NULL PRIMARY KEY, n int NOT NULL)',
    columns: 'id, n',
    select: `CONCAT(CASE s.value % 10 ${WORDS.map((word, i) => `WHEN ${i} THEN N'${word.replaceAll("'", "''")}'`).join(' ')} END,
      s.value * 7919 % 6007, CASE s.value % 3 WHEN 0 THEN N'' WHEN 1 THEN N' ' ELSE N'  ' END), CAST(s.value AS int)`,
    key: (n) => `${WORDS[n % 10]}${(n * 7919) % 6007}${blanks(n)}`,
    keySql: 'id',
  },
  {
    table: 'k_varchar',
    ddl: '(a char(3) NOT NULL, b varchar(20) COLLATE Latin1_General_CS_AS NOT NULL, n int NOT NULL, PRIMARY KEY (a, b))',
    columns: 'a, b, n',
    select: `CASE s.value % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'B b' ELSE 'é' END,
      CONCAT(CASE s.value % 2 WHEN 0 THEN 'x' ELSE 'X' END, s.value / 2), CAST(s.value AS int)`,
    key: (n) => `${['a', 'B b', 'é'][n % 3]!.padEnd(3)}|${n % 2 === 0 ? 'x' : 'X'}${Math.floor(n / 2)}`,
    keySql: 'rpad(a::text, 3), b',
  },
  {
    table: 'k_date',
    ddl: '(id date NOT NULL PRIMARY KEY, n int NOT NULL)',
    columns: 'id, n',
    select: `DATEADD(day, s.value, CAST('2001-01-01' AS date)), CAST(s.value AS int)`,
    key: day,
    keySql: 'id',
  },
  {
    table: 'k_decimal',
    ddl: '(id decimal(38,5) NOT NULL PRIMARY KEY, n int NOT NULL)',
    columns: 'id, n',
    select: `CAST(CAST('123456789012345678901234567.00000' AS decimal(38,5)) + s.value AS decimal(38,5)), CAST(s.value AS int)`,
    key: (n) => `${123_456_789_012_345_678_901_234_567n + BigInt(n)}.00000`,
    keySql: 'id',
  },
  {
    // Seven digits tell the keys apart where PostgreSQL's six no longer do in every row.
    table: 'k_moment',
    ddl: '(id datetime2(7) NOT NULL PRIMARY KEY, n int NOT NULL)',
    columns: 'id, n',
    select: `DATEADD(nanosecond, s.value * 1000, CAST('1969-12-31T23:59:59.9970009' AS datetime2(7))), CAST(s.value AS int)`,
    key: (n) => moment(n),
    keySql: "to_char(id, 'YYYY-MM-DD HH24:MI:SS.US')",
  },
  {
    table: 'k_unique',
    ddl: `(code int NOT NULL, other int NULL, n int NOT NULL);
CREATE UNIQUE INDEX ux_k_unique_other ON dbo.k_unique (other);
CREATE UNIQUE INDEX ux_k_unique_code ON dbo.k_unique (code)`,
    columns: 'code, other, n',
    select:
      'CAST(60000 - s.value * 7 AS int), CASE WHEN s.value = 1 THEN NULL ELSE CAST(s.value AS int) END, CAST(s.value AS int)',
    key: (n) => String(60_000 - n * 7),
    keySql: 'code',
  },
];

/** 1969-12-31 23:59:59.9970009 and `n` microseconds, floored to microseconds. */
function moment(n: number): string {
  const micros = 997_000 + n;
  const [date, time] = micros < 1_000_000 ? ['1969-12-31', '23:59:59'] : ['1970-01-01', '00:00:00'];
  return `${date} ${time}.${String(micros % 1_000_000).padStart(6, '0')}`;
}

let scene: Scene;
before(async () => {
  const tables = cases.map(
    ({ table, ddl, columns, select }) => `CREATE TABLE dbo.${table} ${ddl};
GO
INSERT INTO dbo.${table} (${columns}) SELECT ${select} ${series};`,
  );
  scene = await startScene('partitions', tables.join('\nGO\n'));
});
after(() => scene?.stop());

function expected(one: KeyCase): [string, string] {
  const lines = Array.from({ length: ROWS }, (_, i) => `${i + 1}|${one.key(i + 1)}`);
  return [String(ROWS), createHash('md5').update(lines.join('\n')).digest('hex')];
}

async function compareAll(schema: string): Promise<void> {
  for (const one of cases) {
    const [found] = await scene.rows(
      `SELECT count(*), md5(string_agg(concat_ws('|', n, ${one.keySql}), E'\\n' ORDER BY n)) FROM ${schema}.${one.table}`,
    );
    assert.deepEqual(found, expected(one), one.table);
  }
}

const small = {
  large_table_threshold: 1000,
  min_rows_per_partition: 300,
  max_partitions: 6,
  chunk_size: 170,
};

test('every kind of key is cut into the ranges asked for', async () => {
  const { result, code, stderr } = await scene.migrate({ migration: small }, ['--dry-run']);
  assert.equal(code, 0, stderr);
  const { tables } = (
    result as unknown as { dry_run: { tables: { table: string; partitions: unknown[] }[] } }
  ).dry_run;
  assert.deepEqual(
    tables.map(({ table, partitions }) => [table, partitions.length]).sort(),
    cases.map(({ table }) => [`dbo.${table}`, 6]).sort(),
  );
});

for (const [readers, writers] of [
  [1, 1],
  [2, 4],
  [3, 2],
  [4, 3],
] as const) {
  test(`every row arrives once with ${readers} readers and ${writers} writers`, async () => {
    const schema = `p${readers}${writers}`;
    const result = succeeded(
      await scene.migrate({
        target: { schema },
        migration: {
          ...small,
          parallel_readers: readers,
          write_ahead_writers: writers,
          use_hash_detection: readers === 3,
        },
      }),
    );
    assert.equal(result.rows_transferred, ROWS * cases.length);
    await compareAll(schema);
  });
}
