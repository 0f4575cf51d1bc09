/**
 * Target tables that are there before a run, on a real PostgreSQL: keys that upsert can't merge by, tables that inherit,
 * triggers.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transferMode } from '../src/plan/modes/index.js';
import type { TargetConnection } from '../src/target/connection.js';
import { checked, refused } from './support/modes.js';
import { ordersAndUsers, planOne, sourceColumn } from './support/sourceTables.js';
import { withTarget } from './support/target.js';

let target: TargetConnection;

withTarget(['app', 'other'], (scene) => {
  ({ target } = scene);
});

async function count(table: string): Promise<string | undefined> {
  const [row] = await target.query<{ n: string }>(`SELECT count(*)::text AS n FROM ${table}`);
  return row?.n;
}

test('upsert refuses keys that the target takes for equal and the source does not', async () => {
  const orders = planOne(
    {
      name: 'Orders',
      columns: [sourceColumn('Code', 'nvarchar', { maxLengthBytes: 40 }), sourceColumn('N', 'int')],
      key: ['Code'],
    },
    { naming: { identifierCase: 'preserve', schemaOf: () => 'app' } },
  );
  const mode = transferMode('upsert');
  const table = (column: string, index: string) =>
    target.query(`DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;
      CREATE COLLATION app.folds (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE app."Orders" ("Code" varchar(20) ${column} NOT NULL, "N" integer);
      CREATE UNIQUE INDEX ON app."Orders" ("Code" ${index})`);
  for (const [column, index] of [
    ['COLLATE app.folds', ''],
    ['COLLATE app.folds', 'COLLATE "C"'],
    ['', 'COLLATE app.folds'],
  ]) {
    await table(column!, index!);
    await refused(
      mode.prepare(target, [orders]),
      'SCHEMA_CONFLICT',
      /app\.Orders .* collation of Code folds/,
    );
  }
  // A plan that folds the key as well compares it with that in mind.
  const columns = orders.columns.map((one) => ({ ...one, collation: 'app.folds' }));
  await mode.prepare(target, [{ ...orders, columns }]);
});

test('upsert refuses what PostgreSQL can not merge into', async () => {
  const [orders] = ordersAndUsers();
  const mode = transferMode('upsert');
  const { sourceName } = orders!.columns[0]!;
  const plan = { ...orders!, keyColumns: [sourceName] };
  plan.columns = plan.columns.map((column, i) => ({ ...column, keyPosition: i === 0 ? 0 : -1 }));
  await transferMode('drop_recreate').prepare(target, [plan]);
  const add = (constraint: string) => target.query(`ALTER TABLE app."Orders" ADD CONSTRAINT ${constraint}`);
  await add('other UNIQUE ("User Id") DEFERRABLE');
  await add('good PRIMARY KEY ("Id")');
  await checked(mode, target, [plan]);
  // Another key over the same columns is no help.
  await add('late UNIQUE ("Id") DEFERRABLE INITIALLY IMMEDIATE');
  const { remedy } = await refused(
    checked(mode, target, [plan]),
    'SCHEMA_CONFLICT',
    /constraint late over its key \(Id\) is/,
  );
  assert.match(remedy ?? '', /ALTER TABLE "app"\."Orders" DROP CONSTRAINT "late"/);
  await target.query(`ALTER TABLE app."Orders" DROP CONSTRAINT late;
    CREATE RULE copied AS ON UPDATE TO app."Orders" DO ALSO NOTHING; ALTER TABLE app."Orders" DISABLE RULE copied`);
  await refused(checked(mode, target, [plan]), 'SCHEMA_CONFLICT', /rules for INSERT or UPDATE: copied$/);
  await target.query(`DROP RULE copied ON app."Orders";
    CREATE RULE kept AS ON DELETE TO app."Orders" DO INSTEAD UPDATE app."Orders" SET "Id" = 0 RETURNING OLD.*`);
  await checked(mode, target, [plan]);
  const deleting = transferMode('upsert', { deletesExtra: true });
  await refused(
    checked(deleting, target, [plan]),
    'SCHEMA_CONFLICT',
    /app\.Orders .* rules for DELETE: kept$/,
  );
  await target.query('ALTER TABLE app."Orders" DISABLE RULE kept');
  await checked(deleting, target, [plan]);
});

test('tables that inherit from one of the run are no part of it: its rows are not taken for theirs', async () => {
  for (const name of ['truncate', 'upsert'] as const) {
    await transferMode('drop_recreate').prepare(target, ordersAndUsers());
    await target.query(`CREATE SCHEMA other; CREATE TABLE other.vip () INHERITS (app."Users");
      CREATE TABLE other.very () INHERITS (other.vip); INSERT INTO other.very VALUES (1, 'a')`);
    const { message, place } = await refused(
      transferMode(name).prepare(target, ordersAndUsers()),
      'SCHEMA_CONFLICT',
      /inherit from target table app\.Users, .*: other\.very, other\.vip$/,
    );
    assert.equal(place.table, 'app.Users', message);
    assert.equal(await count('other.very'), '1');
    await target.query('DROP SCHEMA app, other CASCADE');
  }
  // Partitions are a table's own.
  await target.query(`CREATE SCHEMA app;
    CREATE TABLE app."Users" ("Id" int, "Name" varchar(50)) PARTITION BY RANGE ("Id");
    CREATE TABLE app.low PARTITION OF app."Users" FOR VALUES FROM (0) TO (10); INSERT INTO app."Users" VALUES (1)`);
  await transferMode('truncate').prepare(target, ordersAndUsers());
  assert.equal(await count('app."Users"'), '0');
});

test('every trigger that fires for what a mode writes is named', async () => {
  await transferMode('drop_recreate').prepare(target, ordersAndUsers());
  const trigger = (name: string, fires: string, each = 'ROW') =>
    `CREATE TRIGGER ${name} ${fires} ON app."Users" FOR EACH ${each} EXECUTE FUNCTION app.nothing();`;
  await target.query(`CREATE FUNCTION app.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    ${trigger('odd', 'BEFORE INSERT OR DELETE')} ${trigger('keep', 'BEFORE DELETE')} ${trigger('off', 'AFTER INSERT')}
    ${trigger('told', 'AFTER INSERT OR UPDATE')} ${trigger('emptied', 'AFTER TRUNCATE', 'STATEMENT')}
    ${trigger('once', 'BEFORE INSERT', 'STATEMENT')} ALTER TABLE app."Users" DISABLE TRIGGER off`);
  const notes = async (name: 'truncate' | 'upsert') => {
    const plans = ordersAndUsers();
    await transferMode(name).check(target, plans);
    return plans.flatMap((plan) => plan.notes).map((note) => note.slice(note.indexOf(': ') + 2));
  };
  assert.deepEqual(await notes('truncate'), [
    'odd',
    'emptied (after truncate), once (before insert), told (after insert)',
  ]);
  assert.deepEqual(await notes('upsert'), [
    'odd',
    'keep (before delete), once (before insert), told (after insert, update)',
  ]);
});
