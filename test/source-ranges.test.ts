/** Key ranges of whole tables, asked of a SQL Server: the stand-in, or that of `TEST_MSSQL_URL`. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { TablePlan } from '../src/plan/model.js';
import { planPartitions } from '../src/plan/partitions.js';
import { readQuery } from '../src/plan/queries.js';
import { planTables } from '../src/plan/tables.js';
import { readCatalog } from '../src/source/catalog.js';
import { connectSource, type QueryParameter, type SourceConnection } from '../src/source/connection.js';
import { compareMethod } from '../src/verify/compare.js';
import { planOptions } from './support/sourceTables.js';
import { runTsql, startSqlServer, type TestSqlServer } from './support/sqlserver.js';

const LINES = ['a', 'B', 'c', 'É', 'z'].flatMap((region) =>
  Array.from({ length: 40 }, (_, line) => `(N'${region}', ${line})`),
);
const TOKENS = Array.from({ length: 60 }, (_, index) => {
  const hex = ((index * 2_654_435_761) % 2 ** 32).toString(16).padStart(8, '0');
  return `('${hex}-0000-4000-8000-0000${hex}')`;
});
/** Neighbours, which 16 digits don't tell apart. */
const MEASURES = Array.from(
  { length: 40 },
  (_, i) => `(CONVERT(float, ${i}) / 100 + 1), (CONVERT(float, ${i}) / 100 + 1 + 2.220446049250313E-16)`,
);
const SCRIPT = `
CREATE TABLE dbo.[Order]] Lines] (
  Region nvarchar(10) COLLATE Latin1_General_CI_AS NOT NULL,
  Line int NOT NULL,
  CONSTRAINT [PK Lines] PRIMARY KEY (Region, Line)
);
CREATE TABLE dbo.Tokens (Token uniqueidentifier NOT NULL CONSTRAINT UQ_Tokens UNIQUE, Label nvarchar(20) NULL);
CREATE TABLE dbo.Heap (A int NULL);
CREATE TABLE dbo.Measures (V float NOT NULL PRIMARY KEY, R real NULL);
GO
INSERT INTO dbo.[Order]] Lines] (Region, Line) VALUES ${LINES.join(', ')};
INSERT INTO dbo.Tokens (Token) VALUES ${TOKENS.join(', ')};
INSERT INTO dbo.Measures (V) VALUES ${MEASURES.join(', ')};
`;

let server: TestSqlServer;
let source: SourceConnection;

before(async () => {
  server = await startSqlServer();
  const database = await server.createDatabase('ranges');
  await runTsql(database, SCRIPT);
  source = await connectSource({
    ...database,
    trust_server_cert: true,
    authentication: 'sql',
    isolation: 'read_committed',
    connect_timeout_seconds: 15,
    request_timeout_seconds: 0,
    packet_size_bytes: 32_767,
  });
});
after(async () => {
  await source?.close();
  await server?.stop();
});

type Ask = Pick<SourceConnection, 'query'>;

/** @returns a table's plan, as the catalog describes it */
async function planOf(name: string, asked: Ask = source): Promise<TablePlan> {
  const tables = await readCatalog(asked, { schemas: ['dbo'] });
  return planTables(
    tables.filter((table) => table.name === name),
    planOptions,
  )[0]!;
}

type Row = Record<string, unknown>;

async function rowsIn(plan: TablePlan, lower: string[] | null, upper: string[] | null): Promise<Row[]> {
  const { sql, parameters } = readQuery(plan, { lower, upper }, { isolation: 'read_committed' });
  return source.query(sql, parameters);
}

/** @returns the rows of each of the table's partitions, of which there may be so many */
async function partitioned(plan: TablePlan, maxPartitions: number): Promise<Row[][]> {
  const limits = { largeTableThreshold: 10, maxPartitions, minRowsPerPartition: 5 };
  const partitions = await planPartitions(source, plan, limits);
  const parts: Row[][] = [];
  for (const { lower, upper } of partitions) parts.push(await rowsIn(plan, lower, upper));
  return parts;
}

for (const name of ['Order] Lines', 'Tokens']) {
  test(`the partitions of ${name} hold every row once, in the whole table's order`, async () => {
    const plan = await planOf(name);
    const whole = await rowsIn(plan, null, null);
    assert.equal(new Set(whole.map((row) => JSON.stringify(row))).size, whole.length);
    const parts = await partitioned(plan, 7);
    assert.equal(parts.length, 7);
    assert.deepEqual(parts.flat(), whole);
    const sizes = parts.map((part) => part.length);
    assert.ok(Math.max(...sizes) <= 2 * Math.ceil(whole.length / 7), `even sizes: ${sizes}`);
  });
}

test('a heap stays whole', async () => {
  const heap = await planOf('Heap');
  assert.equal((await partitioned({ ...heap, approximateRows: 1000 }, 7)).length, 1);
});

test('a float key bounds a range only where the server prints all of its digits', async () => {
  /** @param style that the server takes style 3 for: 2016 knows it, before it was none */
  const planned = (style: '3' | '0') =>
    planOf('Measures', {
      query: (sql: string, parameters?: readonly QueryParameter[]) =>
        source.query(sql.replace(', 3)', `, ${style})`), parameters),
    });
  const parts = await partitioned(await planned('3'), 16);
  assert.equal(parts.length, 16);
  const values = parts.flat().map(({ V }) => V);
  assert.deepEqual([values.length, new Set(values).size], [80, 80]);
  const old = await planned('0');
  assert.deepEqual(
    (await partitioned(old, 16)).map((part) => part.length),
    [80],
  );
  assert.match(old.notes.join(), /key column V \(float\) can't bound a range/);
  assert.ok(old.chunkRows > 80, 'all or nothing');
  assert.equal(compareMethod(old), 'key hashes');
});
