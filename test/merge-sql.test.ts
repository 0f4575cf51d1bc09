/** The merge of a chunk counts what it does, as PostgreSQL 18 says it and as older versions have it counted. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type pg from 'pg';
import { deleteStatement, mergeStatements } from '../src/engine/mergeSql.js';
import { planTables } from '../src/plan/tables.js';
import { OWN_TYPES } from '../src/plan/typeChoices.js';
import { createTable } from '../src/target/ddl.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';
import { sourceColumn, sourceTable } from './support/sourceTables.js';

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

const int = (name: string, nullable = false) => sourceColumn(name, 'int', { nullable });
const tables = [
  sourceTable({ name: 'Both', columns: [int('A'), int('B'), int('V', true)], key: ['B', 'A'] }),
  sourceTable({ name: 'KeyOnly', columns: [int('A'), int('B')], key: ['A', 'B'] }),
];
const plans = planTables(tables, {
  naming: { identifierCase: 'preserve', schemaOf: () => 'public' },
  chunkRows: 1000,
  rowHashColumn: null,
  hashTextColumns: false,
  unlogged: false,
});

for (const version of [170_000, 180_000]) {
  for (const plan of plans) {
    test(`${plan.source.name}, server version ${version}`, async (t) => {
      const { rows: shown } = await client.query<{ version: string }>(
        `SELECT current_setting('server_version_num') AS version`,
      );
      if (Number(shown[0]?.version) < version) {
        t.skip(`PostgreSQL is version ${shown[0]?.version}`);
        return;
      }
      const table = `"${plan.source.name}"`;
      const rest = plan.columns.length === 3 ? ', 1' : '';
      await client.query(`DROP TABLE IF EXISTS ${table}; ${createTable(plan)};
        CREATE UNIQUE INDEX ON ${table} (${plan.keyColumns.map((name) => `"${name}"`).join(', ')});
        INSERT INTO ${table} SELECT n, -n${rest} FROM generate_series(1, 10) AS n;
        ALTER TABLE ${table} ALTER "A" ADD GENERATED ALWAYS AS IDENTITY`);
      const { before: prepare, merge } = mergeStatements(plan, 'text', version);
      await client.query('BEGIN');
      for (const statement of prepare) await client.query(statement);
      // Four rows as they are, three that differ where something can, five that are new.
      const value = plan.columns.length === 3 ? ', CASE WHEN n < 5 THEN 1 END' : '';
      await client.query(
        `INSERT INTO pg_temp.stage_${plan.index} SELECT n, -n${value} FROM generate_series(1, 15) AS n WHERE n NOT IN (5, 6, 7)`,
      );
      const { rows } = await client.query(merge!);
      await client.query('COMMIT');
      assert.deepEqual(rows, [{ inserted: 5, updated: plan.columns.length === 3 ? 3 : 0 }]);
      const { rows: left } = await client.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`);
      assert.equal(left[0]?.n, '15');
      await client.query(`DROP TABLE pg_temp.stage_${plan.index}`);
    });
  }
}

test('a key that is equal to the one to delete, and not the same, stays', async () => {
  const name = sourceColumn('Name', 'nvarchar', { maxLengthBytes: 40, collation: 'Latin1_General_CI_AS' });
  const [plan] = planTables([sourceTable({ name: 'Folded', columns: [name], key: ['Name'] })], {
    naming: { identifierCase: 'preserve', schemaOf: () => 'public' },
    ...{ chunkRows: 1000, rowHashColumn: null, hashTextColumns: false, unlogged: false },
  });
  const folded = { ...plan!, columns: [{ ...plan!.columns[0]!, collation: 'folding' }] };
  await client.query(`CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE "Folded" ("Name" varchar(20) COLLATE folding PRIMARY KEY); INSERT INTO "Folded" VALUES ('a'), ('B')`);
  const statement = deleteStatement(folded, new Map([['Name', 'varchar']]));
  await client.query(statement, [['A', 'B']]);
  assert.deepEqual((await client.query('SELECT "Name" FROM "Folded"')).rows, [{ Name: 'a' }]);
});

test('a document outside of the hash, which PostgreSQL has no equality for', async () => {
  const [plan] = planTables(
    [
      sourceTable({
        name: 'Documents',
        columns: [int('A'), int('V'), sourceColumn('X', 'xml', { nullable: true })],
        key: ['A'],
      }),
    ],
    {
      naming: { identifierCase: 'preserve', schemaOf: () => 'public' },
      ...{ chunkRows: 1000, rowHashColumn: null, hashTextColumns: false, unlogged: false },
      types: { ...OWN_TYPES, xml: 'xml' },
    },
  );
  await client.query(`${createTable(plan!)}; CREATE UNIQUE INDEX ON "Documents" ("A");
    INSERT INTO "Documents" SELECT n, n, '<a/>' FROM generate_series(1, 3) AS n`);
  const { before: prepare, merge } = mergeStatements(plan!, 'text', 170_000);
  await client.query('BEGIN');
  for (const statement of prepare) await client.query(statement);
  await client.query(
    `INSERT INTO pg_temp.stage_${plan!.index} VALUES (1, 1, '<a/>'), (2, 9, '<a/>'), (3, 3, NULL), (4, 4, '<a/>')`,
  );
  const { rows } = await client.query(merge!);
  await client.query('COMMIT');
  assert.deepEqual(rows, [{ inserted: 1, updated: 2 }]);
});
