/**
 * Every type through `upsert`: a value changed in the source or, behind the tool's back, in the target; rows missing
 * and extra on either side. `verify` names exactly those, `upsert` writes exactly those.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { VerifyTableResult } from '../src/observe/commandSchemas.js';
import { everyTypeScript } from './fixtures/everyType.js';
import { typeCaseScript, typeCases, typeCaseTable } from './fixtures/typeCases.js';
import { type Scene, startScene, succeeded } from './support/endToEnd.js';
import {
  assertLikeSource,
  assertVerified,
  changesOf,
  upsert,
  verify,
  versions,
  writes,
  written,
} from './support/upserting.js';

/** Two more rows in each case's table: one to miss in the source, one in the target. */
const moreRows = typeCases
  .map((one) => `dbo.${typeCaseTable(one)}`)
  .flatMap((table) =>
    [50, 51].map((id) => `INSERT INTO ${table} (Id, Value) SELECT ${id}, Value FROM ${table} WHERE Id = 1;`),
  );

const tables = typeCases.map((one) => `public.${typeCaseTable(one)}`);
/** `public.Name` as PostgreSQL wants it. */
const quoted = (table: string) => table.replace(/\.(.*)$/, '."$1"');
const migration = { exclude_tables: ['NoKey'] };

let scene: Scene;
before(async () => {
  scene = await startScene(
    'upsert_types',
    [typeCaseScript(), moreRows.join('\n'), everyTypeScript()].join('\nGO\n'),
  );
});
after(() => scene?.stop());

test('the first run loads everything, the next one writes nothing', async () => {
  const first = succeeded(await upsert(scene, migration));
  assert.equal(first.tables.filter(({ changes }) => changes !== undefined && changes.inserted > 0).length, 0);

  const before = await writes(scene, 'public');
  const rows = await versions(scene, '"AllTypes"', '"Id"');
  const second = await upsert(scene, migration);
  for (const [table, changes] of Object.entries(changesOf(second))) {
    assert.deepEqual(changes, { inserted: 0, updated: 0, deleted: 0, extra: 0 }, table);
  }
  assert.equal(second.result.rows_transferred, 0);
  // Nothing was written, so there is nothing to analyze; the empty table was loaded again.
  assert.deepEqual(
    second.result.steps.map(({ table }) => table),
    ['dbo.Empty'],
  );
  assert.deepEqual(await writes(scene, 'public'), before);
  assert.deepEqual(written(rows, await versions(scene, '"AllTypes"', '"Id"')), []);
});

test('one value of each type on either side, rows missing and extra', async () => {
  await scene.tsql(
    typeCases
      .map((one) => {
        const table = `dbo.${typeCaseTable(one)}`;
        const value = one.values.length > 1 ? `(SELECT Value FROM ${table} WHERE Id = 2)` : 'NULL';
        return `INSERT INTO ${table} (Id, Value) SELECT 100, Value FROM ${table} WHERE Id = 1;
UPDATE ${table} SET Value = ${value} WHERE Id = 1;
DELETE FROM ${table} WHERE Id = 50;`;
      })
      .join('\nGO\n'),
  );
  for (const table of tables.map(quoted)) {
    await scene.client.query(`INSERT INTO ${table} SELECT 200, "Value", row_hash FROM ${table} WHERE "Id" = 1;
      UPDATE ${table} SET "Value" = (SELECT "Value" FROM ${table} WHERE "Id" = 1) WHERE "Id" = 2;
      DELETE FROM ${table} WHERE "Id" = 51`);
  }
  const only = { include_tables: ['Type_*'] };
  const found = await verify(scene, { migration: only });
  assert.equal(found.code, 4, found.stderr);
  for (const table of tables) {
    const { keys, insert, update, extra } = seen(found.tables.get(table));
    assert.deepEqual(
      { table, keys, insert, update, extra },
      { table, keys: '51 100 | 1 2 | 50 200', insert: 2, update: 2, extra: 2 },
    );
  }

  const before = new Map<string, Map<string, string>>();
  for (const table of tables) before.set(table, await versions(scene, quoted(table), '"Id"'));
  const synced = changesOf(await upsert(scene, only));
  for (const table of tables) {
    assert.deepEqual({ table, ...synced[table] }, { table, inserted: 2, updated: 2, deleted: 0, extra: 2 });
    const now = await versions(scene, quoted(table), '"Id"');
    assert.deepEqual([table, written(before.get(table)!, now)], [table, ['1', '100', '2', '51']]);
    assert.ok(now.has('50') && now.has('200'), `${table}: rows only the target has are left there`);
  }

  const deleting = changesOf(await upsert(scene, { ...only, delete_extra_rows: true }));
  for (const table of tables) {
    assert.deepEqual({ table, ...deleting[table] }, { table, inserted: 0, updated: 0, deleted: 2, extra: 0 });
  }
  await assertLikeSource(scene, 'public', only);
  await assertVerified(scene, { migration: only });
});

test('one value in each column of a table of all types', async () => {
  const columns = (
    await scene.rows(`SELECT attname FROM pg_attribute WHERE attrelid = '"AllTypes"'::regclass
    AND attnum > 0 AND attname NOT IN ('Id', 'ARowversion', 'row_hash') ORDER BY attnum`)
  ).map(([name]) => name ?? '');
  assert.equal(columns.length, 37);
  // In column i the rows (row + i) % 3 = 0 are NULL; each becomes the value of the row after it.
  const nullRow = (i: number, base: number) => base + ((6 - ((base + i) % 3)) % 3);
  for (const table of ['AllTypes', 'AllTypesNotNull']) {
    const source = columns.map((name, i) => {
      const id = nullRow(i, 3 * i + 10);
      return `UPDATE dbo.${table} SET ${name} = (SELECT ${name} FROM dbo.${table} WHERE Id = ${id + 1}) WHERE Id = ${id};`;
    });
    await scene.tsql(source.join('\nGO\n'));
    for (const [i, name] of columns.entries()) {
      const id = nullRow(i, 3 * i + 200);
      await scene.client.query(
        `UPDATE "${table}" SET "${name}" = (SELECT "${name}" FROM "${table}" WHERE "Id" = ${id + 1}) WHERE "Id" = ${id}`,
      );
    }
  }
  const only = { include_tables: ['AllTypes*'] };
  const wanted = columns.flatMap((_, i) => [nullRow(i, 3 * i + 10), nullRow(i, 3 * i + 200)]);
  const before = await versions(scene, '"AllTypes"', '"Id"');
  const found = await verify(scene, { migration: only });
  assert.deepEqual(
    seen(found.tables.get('public.AllTypes')).keys,
    ` | ${wanted.sort((a, b) => a - b).join(' ')} | `,
  );
  const synced = changesOf(await upsert(scene, only));
  assert.deepEqual(synced['public.AllTypes'], { inserted: 0, updated: wanted.length, deleted: 0, extra: 0 });
  const now = await versions(scene, '"AllTypes"', '"Id"');
  assert.deepEqual(written(before, now), wanted.map(String).sort());
  await assertLikeSource(scene, 'public', only);
});

/** A report's keys as `inserts | updates | deletes`, in the order of numbers, and how many there are of each. */
function seen(report: VerifyTableResult | undefined) {
  assert.ok(report);
  const { inserts, updates, deletes } = report.details;
  const texts = (list: string[][]) =>
    list
      .map(([key]) => Number(key))
      .sort((a, b) => a - b)
      .join(' ');
  return {
    keys: [inserts, updates, deletes].map(texts).join(' | '),
    insert: report.inserts_needed,
    update: report.updates_needed,
    extra: report.deletes_needed,
  };
}
