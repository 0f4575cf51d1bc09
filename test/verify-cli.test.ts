/** `verify` as users run it: exit codes, the JSON line, the report; and memory that stays flat when every row differs. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type pg from 'pg';
import { type CliResult, runCli } from './support/cli.js';
import { writeConfig } from './support/config.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';
import {
  runTsql,
  type SqlServerConnection,
  startSqlServer,
  type TestSqlServer,
} from './support/sqlserver.js';

const ROWS = 20_000;
const guid = `CAST(CONCAT(RIGHT(CONCAT('00000000', s.value * 7919 % 99999989), 8), '-0000-4000-8000-',
  RIGHT(CONCAT('000000000000', s.value), 12)) AS uniqueidentifier)`;
const script = `CREATE TABLE dbo.Numbered (Id int NOT NULL CONSTRAINT PK_Numbered PRIMARY KEY, V nvarchar(40) NULL, Note nvarchar(max) NULL);
CREATE TABLE dbo.Named (Id uniqueidentifier NOT NULL CONSTRAINT PK_Named PRIMARY KEY, V nvarchar(40) NULL);
CREATE TABLE dbo.Varied (Id uniqueidentifier NOT NULL CONSTRAINT PK_Varied PRIMARY KEY, V sql_variant NULL);
GO
INSERT INTO dbo.Numbered (Id, V) SELECT s.value, CONCAT(N'value ', s.value) FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${ROWS} AS bigint)) AS s;
INSERT INTO dbo.Named (Id, V) SELECT ${guid}, CONCAT(N'value ', s.value) FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${ROWS} AS bigint)) AS s;
INSERT INTO dbo.Varied (Id, V) SELECT ${guid}, CAST(s.value AS sql_variant) FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${ROWS} AS bigint)) AS s;`;

const directory = mkdtempSync(join(tmpdir(), 'mpm-verify-cli-'));
let server: TestSqlServer;
let source: SqlServerConnection;
let postgres: TestPostgres;
let client: pg.Client;
let config: string;
before(async () => {
  server = await startSqlServer();
  source = await server.createDatabase('verify_cli');
  await runTsql(source, script);
  postgres = await sharedPostgres();
  client = await postgres.client();
  config = writeConfig(directory, { source, target: postgres.connection });
  const run = await runCli(['-c', config, 'run'], { timeoutMs: 120_000 });
  assert.equal(run.code, 0, run.stderr);
});
after(async () => {
  await client?.end();
  await postgres?.stop();
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const verify = (...args: string[]): Promise<CliResult> =>
  runCli(['-c', config, ...args], { timeoutMs: 120_000 });

/** As a process of its own, whose memory is looked at. */
/** In a process whose young generation is no larger than Node.js 20's: newer ones let it grow to the size of these tables. */
const verifyApart = (): Promise<CliResult> =>
  runCli(['-c', config, '--output-json', 'verify', '--tier2-size', '1000'], {
    timeoutMs: 120_000,
    process: true,
    env: { NODE_OPTIONS: '--max-semi-space-size=16' },
  });

function onlyLine(result: CliResult): Record<string, never> {
  assert.equal(result.stdout.trimEnd().split('\n').length, 1);
  return JSON.parse(result.stdout);
}

let calmPeakKb = 0;

test('equal tables: exit code 0, and what was not compared is said', async () => {
  const calm = await verifyApart();
  calmPeakKb = calm.peakRssKb;
  assert.equal(calm.code, 0, calm.stderr);
  const result = onlyLine(calm) as unknown as { tables: { table: string; notes: string[] }[]; error: null };
  assert.equal(result.error, null);
  const numbered = result.tables.find(({ table }) => table === 'dbo.Numbered')!;
  assert.deepEqual(numbered.notes, ['not compared (hash_text_columns: false): Note']);
  const text = await verify('verify');
  assert.equal(text.code, 0);
  assert.match(text.stdout, /All 3 tables hold the same rows\./);
});

test('three rows differ: exit code 4, counts, and as many keys as asked for', async () => {
  await client.query(`
    UPDATE "Numbered" SET "V" = 'other' WHERE "Id" IN (1, 9000, 20000);
    DELETE FROM "Numbered" WHERE "Id" = 2;
    INSERT INTO "Numbered" ("Id", "V") VALUES (-5, 'x'), (70000, 'y')`);
  const result = await verify(
    '--output-json',
    'verify',
    '--details',
    '2',
    '--tier1-size',
    '9000',
    '--tier2-size',
    '500',
  );
  assert.equal(result.code, 4);
  const json = onlyLine(result) as unknown as {
    status: string;
    error: { code: string; exit_code: number };
    tables_differing: number;
    tables: (Record<string, unknown> & { details: Record<string, string[][]> })[];
  };
  assert.deepEqual(
    [json.status, json.error.code, json.error.exit_code, json.tables_differing],
    ['failed', 'ROWS_DIFFER', 4, 1],
  );
  const table = json.tables.find((one) => one.table === 'dbo.Numbered')!;
  assert.deepEqual(
    [table.status, table.method, table.source_rows, table.target_rows],
    ['differs', 'key ranges', ROWS, ROWS + 1],
  );
  assert.deepEqual([table.inserts_needed, table.updates_needed, table.deletes_needed], [1, 3, 2]);
  assert.deepEqual(table.details.inserts, [['2']]);
  assert.equal(table.details.updates!.length, 2);
  assert.deepEqual(table.details.deletes!.flat().sort(), ['-5', '70000']);
  const text = await verify('verify', '--details', '5');
  assert.equal(text.code, 4);
  assert.match(text.stdout, /dbo\.Numbered +public\.Numbered +20,000 +20,001 +1 +3 +2 +differs/);
  assert.match(text.stdout, /dbo\.Numbered: updates needed\n {2}(1|9000|20000)\n/);
  assert.match(text.stdout, /1 of 3 tables differ\./);
  assert.match(text.stderr, /ROWS_DIFFER/);
});

test('a fine range that is larger than the coarse one is refused, with what either was given by', async () => {
  for (const [options, message] of [
    [['--tier1-size', '100', '--tier2-size', '101'], /--tier2-size 101 is larger than --tier1-size 100 /],
    [
      ['--tier1-size', '100'],
      /migration\.batch_verify\.tier2_batch_size \d+ is larger than --tier1-size 100 /,
    ],
    [
      ['--tier2-size', '9000000'],
      /--tier2-size 9000000 is larger than migration\.batch_verify\.tier1_batch_size \d+ /,
    ],
  ] as const) {
    const result = await verify('verify', ...options);
    assert.equal(result.code, 1, result.stderr);
    assert.match(result.stderr, message);
  }
});

test('trusting a row hash that is not there is refused', async () => {
  const result = await verify('verify', '--trust-row-hash');
  assert.equal(result.code, 3);
  assert.match(result.stderr, /has no column row_hash to trust/);
});

test('a column the target lacks is no match, though it would not be compared', async () => {
  await client.query('ALTER TABLE "Numbered" RENAME COLUMN "Note" TO "Remark"');
  const result = await verify('verify');
  await client.query('ALTER TABLE "Numbered" RENAME COLUMN "Remark" TO "Note"');
  assert.equal(result.code, 3, result.stderr);
  assert.match(result.stderr, /public\.Numbered has no column Note .*SCHEMA_CONFLICT/);
});

test('the schemas that were given to the run are given to verify and validate as well', async () => {
  await runTsql(
    source,
    `CREATE SCHEMA sales
GO
CREATE TABLE sales.Item (Id int NOT NULL PRIMARY KEY, V int NULL);
INSERT INTO sales.Item VALUES (1, 7), (2, NULL)`,
  );
  const schemas = ['--source-schema', 'sales', '--target-schema', 'sold'];
  const missing = await verify('verify', ...schemas);
  assert.equal(missing.code, 4);
  assert.match(missing.stderr, /sales\.Item \(not in the target\)/);
  await client.query(
    `CREATE SCHEMA sold CREATE TABLE "Item" ("Id" int PRIMARY KEY, "V" int); INSERT INTO sold."Item" VALUES (1, 7), (2, NULL)`,
  );
  for (const command of ['verify', 'validate']) {
    const result = await verify('--output-json', command, ...schemas);
    assert.equal(result.code, 0, result.stderr);
    const { tables } = onlyLine(result) as unknown as { tables: { table: string; target: string }[] };
    assert.deepEqual(
      tables.map(({ table, target }) => [table, target]),
      [['sales.Item', 'sold.Item']],
    );
  }
});

test('memory stays flat when every row differs, by ranges, by hashes and streamed', async () => {
  await client.query(
    `UPDATE "Numbered" SET "V" = "V" || '!'; UPDATE "Named" SET "V" = NULL; UPDATE "Varied" SET "V" = "V" || '0'`,
  );
  const result = await verifyApart();
  assert.equal(result.code, 4, result.stderr);
  const json = onlyLine(result) as unknown as { tables: { updates_needed: number; notes: string[] }[] };
  // The one row that is missing since the test before needs no update.
  assert.deepEqual(json.tables.map(({ updates_needed }) => updates_needed).sort(), [ROWS - 1, ROWS, ROWS]);
  assert.equal(json.tables.filter(({ notes }) => notes.some((note) => note.includes('streamed'))).length, 1);
  const moreKb = result.peakRssKb - calmPeakKb;
  assert.ok(moreKb < 120_000, `${result.peakRssKb} KB at most, ${calmPeakKb} KB where nothing differs`);
});
