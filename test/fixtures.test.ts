/** The fixtures themselves: what the demo and the end-to-end tests build must be sound before anything is migrated. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everyTypeScript, everyTypeTables } from './fixtures/everyType.js';
import { typeCaseScript, typeCases, typeCaseTable } from './fixtures/typeCases.js';
import { queryTsql, runTsql, type SqlServerConnection, startSqlServer } from './support/sqlserver.js';
import { stackOverflow2010Rows, stackOverflowCounts, stackOverflowScripts } from './support/stackOverflow.js';
import { splitBatches } from './support/tsql.js';

test('a script is cut at lines with nothing but GO', () => {
  assert.deepEqual(splitBatches("SELECT 1\nGO\nSELECT N'go\n going'\r\n  go \r\nSELECT 3"), [
    'SELECT 1\n',
    "\nSELECT N'go\n going'\r\n",
    '\nSELECT 3',
  ]);
});

test('Stack Overflow keeps its proportions at any size', () => {
  for (const rows of [10_000, 1_000_000, 40_000_000]) {
    const counts = stackOverflowCounts(rows);
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    assert.ok(Math.abs(total - rows) < 100, `${total} rows instead of ${rows}`);
    const ratio = counts.Votes / counts.Posts;
    assert.ok(
      Math.abs(ratio - stackOverflow2010Rows.Votes / stackOverflow2010Rows.Posts) < 0.01,
      String(ratio),
    );
    assert.equal(counts.VoteTypes, 15);
  }
});

test('every script runs on the server and fills its tables with the rows it promises', async (t) => {
  const server = await startSqlServer();
  t.after(() => server.stop());
  const source = await server.createDatabase('fixtures');
  const stackOverflow = stackOverflowScripts(3_000);
  for (const { script } of stackOverflow) await runTsql(source, script);
  await runTsql(source, typeCaseScript());
  await runTsql(source, everyTypeScript());
  const expected = [
    ...stackOverflow.map(({ table, rows }) => ({ schema: 'dbo', name: table, rows })),
    ...typeCases.map((one) => ({ schema: 'dbo', name: typeCaseTable(one), rows: one.values.length + 1 })),
    ...everyTypeTables,
  ];
  const found = [];
  for (const { schema, name } of expected)
    found.push({ schema, name, rows: await countRows(source, schema, name) });
  assert.deepEqual(found, expected);
});

async function countRows(source: SqlServerConnection, schema: string, name: string): Promise<number> {
  const [row] = await queryTsql(
    source,
    `SELECT COUNT(*) AS n FROM [${schema}].[${name.replaceAll(']', ']]')}]`,
  );
  return Number(row?.n);
}
