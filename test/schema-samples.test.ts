/**
 * Two databases as people have them, migrated whole and again after a day's changes; nothing differs afterwards.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { marketDayTsql, marketTsql } from './fixtures/market.js';
import { workshopDayTsql, workshopSchemas, workshopTsql } from './fixtures/workshop.js';
import { type ConfigChanges, type Scene, startScene, succeeded } from './support/endToEnd.js';
import { queryTsql, runTsql, type SqlServerConnection } from './support/sqlserver.js';
import { assertVerified, changesOf } from './support/upserting.js';

let scene: Scene;
before(async () => {
  scene = await startScene('samples', marketTsql);
});
after(() => scene?.stop());

const inMode = (changes: ConfigChanges, target_mode: string): ConfigChanges => ({
  ...changes,
  migration: { ...changes.migration, target_mode, delete_extra_rows: target_mode === 'upsert' },
});

/** What an upsert did, without the tables it had nothing to do in: inserted, updated, deleted. */
function worked(done: Awaited<ReturnType<Scene['migrate']>>): Record<string, readonly number[]> {
  const counts = Object.entries(changesOf(done)).map(([table, { inserted, updated, deleted, extra }]) => {
    assert.equal(extra, 0, table);
    return [table, [inserted, updated, deleted]] as const;
  });
  return Object.fromEntries(counts.filter(([, numbers]) => numbers.some((count) => count > 0)));
}

/** The source's primary keys, unique constraints, foreign keys, checks and other indexes, counted. */
async function objectsOfSource(source: SqlServerConnection): Promise<number[]> {
  const [row = {}] = await queryTsql(
    source,
    `SELECT (SELECT COUNT(*) FROM sys.key_constraints) AS keys, (SELECT COUNT(*) FROM sys.foreign_keys) AS foreign_keys,
      (SELECT COUNT(*) FROM sys.check_constraints) AS checks,
      (SELECT COUNT(*) FROM sys.indexes AS i JOIN sys.tables AS t ON t.object_id = i.object_id
        WHERE i.is_primary_key = 0 AND i.is_unique_constraint = 0 AND i.type > 0) AS indexes,
      (SELECT COUNT(*) FROM sys.default_constraints) AS defaults`,
  );
  return Object.values(row).map(Number);
}

/** The same of the target, as far as it is valid. */
async function objectsOfTarget(schemas: readonly string[]): Promise<number[]> {
  const list = `ARRAY[${schemas.map((name) => `'${name}'`).join(', ')}]::regnamespace[]`;
  const constraints = (types: string) =>
    `(SELECT count(*) FROM pg_constraint WHERE connamespace = ANY (${list}) AND contype IN (${types}) AND convalidated)`;
  const [row = []] = await scene.rows(
    `SELECT ${constraints("'p', 'u'")}, ${constraints("'f'")}, ${constraints("'c'")},
      (SELECT count(*) FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid WHERE c.relnamespace = ANY (${list}) AND x.indisvalid
        AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u'))),
      (SELECT count(*) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum JOIN pg_class c ON c.oid = d.adrelid
        WHERE c.relnamespace = ANY (${list}) AND a.attgenerated = '')`,
  );
  return row.map(Number);
}

test('market: whole, then brought up to date', async () => {
  const changes: ConfigChanges = { target: { schema: 'market' }, migration: { hash_text_columns: true } };
  const result = succeeded(await scene.migrate(changes));
  assert.deepEqual(
    result.tables.flatMap(({ notes }) => notes).filter((note) => !note.includes('is named')),
    [],
  );
  assert.equal(
    result.tables.reduce((sum, { rows }) => sum + rows, 0),
    3 + 3 + 60 + 3 + 2 + 77 + 300 + 900 + 3 + 3,
  );
  assert.deepEqual(await objectsOfTarget(['market']), await objectsOfSource(scene.source));
  await scene.tsql(marketDayTsql);
  assert.deepEqual(worked(await scene.migrate(inMode(changes, 'upsert'))), {
    'market.Aisle': [0, 1, 0],
    'market.Client': [1, 0, 0],
    'market.District': [0, 0, 1],
    'market.Goods': [0, 7, 0],
    'market.Sale': [1, 0, 1],
    'market.Sale Lines': [2, 0, 3],
    'market.Worker': [0, 1, 0],
    'market.WorkerDistrict': [0, 0, 1],
  });
  await assertVerified(scene, changes);
  assert.deepEqual(await objectsOfTarget(['market']), await objectsOfSource(scene.source));
  // Behind the source's last sale, which came after the first run.
  assert.deepEqual(
    await scene.rows(`INSERT INTO market."Sale" DEFAULT VALUES RETURNING "SaleID", "Freight"`),
    [['10549', '0.0000']],
  );
});

test('workshop: five schemas with keys in circles between them', async () => {
  const source = await scene.server.createDatabase('workshop');
  await runTsql(source, workshopTsql);
  const changes: ConfigChanges = {
    source: { database: source.database, schema: workshopSchemas },
    target: { schema: undefined },
    migration: { hash_text_columns: true, identifier_case: 'snake', schema_mapping: { Making: 'factory' } },
  };
  const schemas = ['people', 'staff', 'factory', 'buying', 'selling'];
  const result = succeeded(await scene.migrate(changes));
  assert.deepEqual(
    result.tables.flatMap(({ notes }) => notes).filter((note) => note.includes('left out')),
    [],
  );
  assert.deepEqual(result.notes.slice(1), [
    '1 function not migrated: dbo.LeadingZeros',
    '1 view not migrated: Staff.CurrentDepartment',
  ]);
  assert.deepEqual(await objectsOfTarget(schemas), await objectsOfSource(source));
  // The one computed column that is persisted; the values of others are copied.
  assert.deepEqual(
    await scene.rows(`SELECT attrelid::regclass, attname FROM pg_attribute WHERE attgenerated = 's'`),
    [['buying.order_header', 'total_due']],
  );
  await runTsql(source, workshopDayTsql);
  assert.deepEqual(worked(await scene.migrate(inMode(changes, 'upsert'))), {
    'buying.order_header': [0, 1, 0],
    'factory.document': [1, 1, 0],
    'factory.product': [0, 8, 0],
    'factory.work_order': [0, 6, 0],
    'people.party': [1, 0, 0],
    'selling.order_header': [1, 0, 1],
    'selling.order_line': [1, 0, 3],
    'selling.territory': [0, 1, 0],
    'staff.employee': [0, 1, 0],
  });
  await assertVerified(scene, changes);
  const truncated = succeeded(await scene.migrate(inMode(changes, 'truncate')));
  assert.equal(truncated.tables.length, 21);
  // As many rows came that day as went.
  assert.equal(
    truncated.tables.reduce((sum, { rows }) => sum + rows, 0),
    result.tables.reduce((sum, { rows }) => sum + rows, 0),
  );
  assert.deepEqual(await objectsOfTarget(schemas), await objectsOfSource(source));
  const [order] = await scene.rows(
    `INSERT INTO selling.order_header (due_date, ship_to_id, order_code) VALUES ('2999-01-01', 1, '') RETURNING order_id, invoice_number, online_flag`,
  );
  assert.deepEqual(order, ['43810', '70151', 't']);
  await assert.rejects(scene.client.query(`DELETE FROM selling.sales_person WHERE party_id = 1`), {
    code: '23503',
  });
});
