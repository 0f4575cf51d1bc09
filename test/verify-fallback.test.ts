/**
 * Servers that hash wrongly, or not at all: rows are streamed through the hash tier, on whichever thread it is, and the
 * verdict stays right.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { comparisonOf } from '../src/engine/verifyRun.js';
import { AppError } from '../src/errors.js';
import { inspectHost } from '../src/host/host.js';
import { chooseSizes } from '../src/host/sizes.js';
import type { TablePlan } from '../src/plan/model.js';
import { connectSource, type SourceConnection } from '../src/source/connection.js';
import { connectTarget, type TargetConnection } from '../src/target/connection.js';
import { type TableReport, verifyTables } from '../src/verify/verify.js';
import { everyTypeScript } from './fixtures/everyType.js';
import { typeCaseScript } from './fixtures/typeCases.js';
import {
  expected,
  found,
  type Migrated,
  migrateAgain,
  migrated,
  plansOf,
  verifyAll,
} from './support/verifying.js';

const tables = ['AllTypes', 'MomentKey', 'DecimalKey', 'StringKey', 'NoKey', 'UniqueIndexKey'];
/** Cores from which on a lane has a hash thread. */
const WITH_HASH_THREADS = 3;

let both: Migrated;
let plans: TablePlan[];
before(async () => {
  both = await migrated([typeCaseScript(), everyTypeScript()], { include_tables: tables }, WITH_HASH_THREADS);
  plans = (await plansOf(both.config)).filter(({ source }) => tables.includes(source.name));
});
after(() => both?.stop());

/** Verifies over connections that `source` and `target` have tampered with. */
async function verifyOver(
  wrapSource: (connection: SourceConnection) => SourceConnection,
  wrapTarget: (connection: TargetConnection) => TargetConnection,
  { trustRowHash = false, cores = 2, compared = plans } = {},
): Promise<{ reports: Map<string, TableReport>; notes: string[] }> {
  const { config } = both;
  const { signal } = new AbortController();
  const sizes = chooseSizes({ ...(await inspectHost()), cores }, config);
  const { verifier, streamer, parallel } = comparisonOf(
    config,
    sizes,
    { tier1Rows: 700, tier2Rows: 70, trustRowHash, looksAgain: 'always', signal },
    {
      source: async () => wrapSource(await connectSource(config.source)),
      target: async () => wrapTarget(await connectTarget(config.target)),
    },
  );
  const notes: string[] = [];
  try {
    const all = await verifyTables(verifier, {
      plans: compared,
      parallel,
      details: 100,
      retry: { retries: 0, delayMs: 0 },
      signal,
      events: { note: (text) => notes.push(text) },
    });
    return { reports: new Map(all.map((report) => [report.target.slice('public.'.length), report])), notes };
  } finally {
    await streamer.close();
  }
}

const same = <T>(connection: T): T => connection;

/** A source that answers questions about one type's samples with another hash. */
const lyingSource = (sqlType: string) => (connection: SourceConnection) => {
  const { query } = connection;
  connection.query = async (sql, parameters) => {
    const rows = await query.call(connection, sql, parameters);
    const asked = sql.includes(`CONVERT(${sqlType}, NULL)`);
    return asked ? rows.map((row) => ({ ...row, h: '0'.repeat(32) })) : rows;
  };
  return connection;
};

/** A target without MD5, as in FIPS mode. */
const withoutMd5 = (connection: TargetConnection) => {
  const { query } = connection;
  connection.query = (sql, values) => {
    if (!sql.includes('md5(')) return query.call(connection, sql, values) as never;
    return Promise.reject(new AppError('TARGET_QUERY', 'could not compute MD5 hash: unsupported'));
  };
  return connection;
};

const isStreamed = (side: string) => (report: TableReport) =>
  report.notes.some((note) => note.startsWith(`the ${side}'s rows are streamed`));

test('a row has the same hash whichever thread computes it', async () => {
  const stored = async () => {
    const hashes: Record<string, unknown> = {};
    for (const table of tables) {
      const { rows } = await both.client.query(`SELECT row_hash FROM "${table}" ORDER BY 1`);
      hashes[table] = rows;
    }
    return hashes;
  };
  const byHashThread = await stored();
  await migrateAgain(both.config, 2);
  assert.deepEqual(await stored(), byHashThread);
  assert.ok(tables.every((table) => (byHashThread[table] as unknown[]).length > 0));
  const { reports } = await verifyOver(same, same, { trustRowHash: true });
  for (const report of reports.values()) assert.equal(report.status, 'match', report.table);
  // Of a table without a key stored hashes say as little that it differs.
  const turn = () => both.client.query('UPDATE "NoKey" SET row_hash = reverse(row_hash)');
  await turn();
  const compared = plans.filter(({ source }) => source.name === 'NoKey');
  const keyless = (await verifyOver(same, same, { trustRowHash: true, compared })).reports.get('NoKey')!;
  await turn();
  assert.equal(keyless.status, 'match');
  assert.match(keyless.notes.join(), /row_hash differs and the values do not/);
});

test('a source that hashes one type wrongly: its tables are streamed, the others are not', async () => {
  const { reports, notes } = await verifyOver(lyingSource('datetime2(7)'), same);
  assert.deepEqual(notes.length, 1);
  assert.match(notes[0]!, /SQL Server does not hash datetime2/);
  const streamed = [...reports.values()].filter(isStreamed('source')).map(({ table }) => table);
  assert.deepEqual(streamed.sort(), ['dbo.AllTypes', 'dbo.MomentKey']);
  for (const report of reports.values()) assert.equal(report.status, 'match', report.table);
});

test('differences are found whoever is streamed', async () => {
  const { client } = both;
  await client.query(`
    UPDATE "AllTypes" SET "ANvarcharMax" = '?' WHERE "Id" IN (1, 200, 400);
    DELETE FROM "AllTypes" WHERE "Id" IN (2, 399);
    UPDATE "AllTypes" SET "Id" = 401 WHERE "Id" = 398;
    UPDATE "DecimalKey" SET "Label" = '' WHERE "Id" IN (-187.375, 0);
    DELETE FROM "DecimalKey" WHERE "Id" = 187.5;
    UPDATE "StringKey" SET "Amount" = 0 WHERE "Code" LIKE 'z1%';
    DELETE FROM "StringKey" WHERE "Code" = (SELECT max("Code") FROM "StringKey");
    UPDATE "NoKey" SET "Amount" = 49.5 WHERE ctid = (SELECT min(ctid) FROM "NoKey")`);
  const honest = await verifyOver(same, same);
  for (const [wrapSource, wrapTarget, side, cores] of [
    [lyingSource('int'), same, 'source', 2],
    [lyingSource('int'), same, 'source', WITH_HASH_THREADS],
    [same, withoutMd5, 'target', 2],
    [lyingSource('int'), withoutMd5, 'target', WITH_HASH_THREADS],
  ] as const) {
    const { reports } = await verifyOver(wrapSource, wrapTarget, { cores });
    for (const [name, report] of reports) {
      assert.ok(isStreamed(side)(report), `${name} is streamed`);
      const { status, changes, sourceRows, targetRows } = honest.reports.get(name)!;
      assert.deepEqual(
        {
          status: report.status,
          changes: report.changes,
          sourceRows: report.sourceRows,
          targetRows: report.targetRows,
        },
        { status, changes, sourceRows, targetRows },
        name,
      );
    }
    assert.deepEqual(
      found(reports.get('AllTypes')!),
      expected({ insert: '2 398 399', update: '1 200 400', delete: '401' }),
    );
    assert.deepEqual(reports.get('DecimalKey')!.changes, { insert: 1, update: 2, delete: 0 });
    assert.equal(reports.get('StringKey')!.changes?.insert, 1);
    assert.ok(reports.get('StringKey')!.changes!.update > 0);
    assert.equal(reports.get('NoKey')!.status, 'differs');
    assert.equal(reports.get('UniqueIndexKey')!.status, 'match');
  }
});

test('stored row hashes can be compared with streamed rows on either side', async () => {
  // Only rows that came or went: values were changed behind the stored hashes.
  for (const [wrapSource, wrapTarget] of [
    [same, same],
    [lyingSource('int'), same],
    [same, withoutMd5],
  ] as const) {
    const { reports } = await verifyOver(wrapSource, wrapTarget, { trustRowHash: true });
    assert.deepEqual(found(reports.get('AllTypes')!), expected({ insert: '2 398 399', delete: '401' }));
    assert.deepEqual(reports.get('DecimalKey')!.changes, { insert: 1, update: 0, delete: 0 });
    assert.deepEqual(reports.get('StringKey')!.changes, { insert: 1, update: 0, delete: 0 });
    assert.equal(reports.get('NoKey')!.status, 'match');
  }
});

test('stored row hashes that are not those of the rows make no difference of their own', async () => {
  await both.client.query(`UPDATE "UniqueIndexKey" SET row_hash = md5('old');
    UPDATE "DecimalKey" SET row_hash = NULL WHERE "Id" = 100; UPDATE "NoKey" SET row_hash = md5('old')`);
  for (const wrapTarget of [same, withoutMd5]) {
    const { reports } = await verifyOver(same, wrapTarget, { trustRowHash: true });
    const unique = reports.get('UniqueIndexKey')!;
    assert.deepEqual(found(unique), expected());
    assert.match(unique.notes.join(), /row_hash differs and the values do not: .* Set it to NULL/);
    const decimal = reports.get('DecimalKey')!;
    assert.deepEqual(decimal.changes, { insert: 1, update: 2, delete: 0 });
    assert.match(decimal.notes.join(), /row_hash differs, so that the values were compared/);
    assert.equal(reports.get('NoKey')!.status, 'differs');
    assert.deepEqual(found(reports.get('AllTypes')!), expected({ insert: '2 398 399', delete: '401' }));
  }
});

test('a source that refuses the statement of one table', async () => {
  const refusing = (connection: SourceConnection) => {
    const { query } = connection;
    connection.query = (sql, parameters) =>
      sql.startsWith('SELECT TOP (0)') && sql.includes('[DecimalKey]')
        ? Promise.reject(new AppError('SOURCE_QUERY', 'An expression services limit has been reached'))
        : query.call(connection, sql, parameters);
    return connection;
  };
  const { reports } = await verifyOver(refusing, same);
  assert.match(
    reports.get('DecimalKey')!.notes.join(),
    /refuses to hash its rows: An expression services limit/,
  );
  assert.deepEqual(reports.get('DecimalKey')!.changes, { insert: 1, update: 2, delete: 0 });
  assert.ok(!isStreamed('source')(reports.get('UniqueIndexKey')!));
});

test('a target whose texts are in another encoding than UTF-8', async () => {
  await both.inSource(`
    CREATE TABLE dbo.Latin (Id int PRIMARY KEY, Name nvarchar(20), Code char(6), Price decimal(9, 2));
    INSERT INTO dbo.Latin VALUES (1, N'Größe', 'é', 1.5), (2, N'plain', 'a', NULL), (3, NULL, NULL, -2);
    CREATE TABLE dbo.LatinVariant (Id int PRIMARY KEY, Mixed sql_variant);
    INSERT INTO dbo.LatinVariant VALUES (1, N'naïve'), (2, 7), (3, NULL)`);
  await both.client.query(
    `CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'`,
  );
  const config = {
    ...both.config,
    target: { ...both.config.target, database: 'latin' },
    migration: { ...both.config.migration, include_tables: ['Latin', 'LatinVariant'] },
  };
  await migrateAgain(config);
  const loaded = await verifyAll(config);
  for (const report of loaded.values()) assert.deepEqual(found(report), expected(), report.table);
  assert.deepEqual([...loaded.values()].map(isStreamed('target')), [true, false]);
  const target = await connectTarget(config.target);
  await target
    .query(`UPDATE "Latin" SET "Name" = 'Grösse' WHERE "Id" = 1; UPDATE "LatinVariant" SET "Mixed" = 'naive'`)
    .finally(() => target.close());
  const changed = await verifyAll(config);
  assert.deepEqual(found(changed.get('dbo.Latin')!), expected({ update: '1' }));
  assert.deepEqual(found(changed.get('dbo.LatinVariant')!), expected({ update: '1 2 3' }));
});

test("numbers that a column like the source's could not hold, where the target does not hash", async () => {
  await both.inSource(`
    CREATE TABLE dbo.Prices (Id decimal(5,1) NOT NULL CONSTRAINT PK_Prices PRIMARY KEY, P decimal(9,2) NULL);
    INSERT INTO dbo.Prices (Id, P) VALUES (1, 1.25), (2.5, 0.1), (3, 0), (4, NULL), (5, -7)`);
  const compared = (await plansOf(both.config)).filter(({ source }) => source.name === 'Prices');
  for (const [keyType, type, change, changed] of [
    ['numeric(7,3)', 'numeric(12,4)', `"P" = "P" + 0.0001 WHERE "Id" IN (1, 3)`, '1.0 3.0'],
    ['numeric', 'numeric', `"P" = 'Infinity' WHERE "Id" = 5`, '5.0'],
    ['numeric(5,1)', 'numeric(9,2)', `"P" = 'NaN' WHERE "Id" IN (2.5, 4)`, '2.5 4.0'],
    ['numeric(5,1)', 'integer', `"P" = 1 WHERE "Id" = 3`, '1.0 2.5 3.0'],
    ['numeric(5,1)', 'double precision', `"P" = 0 WHERE "Id" = 3`, '2.5 3.0 5.0'],
    ['numeric(5,1)', 'text', `"P" = '' WHERE "Id" = 3`, '1.0 2.5 3.0 5.0'],
  ] as const) {
    await both.client.query(`
      DROP TABLE IF EXISTS "Prices"; CREATE TABLE "Prices" ("Id" ${keyType} PRIMARY KEY, "P" ${type});
      INSERT INTO "Prices" VALUES (1.00, 1.2500), (2.50, 0.1000), (3, 0.000), (4, NULL), (5, -7);
      UPDATE "Prices" SET ${change}`);
    for (const wrapTarget of [same, withoutMd5]) {
      const { reports } = await verifyOver(same, wrapTarget, { compared });
      assert.deepEqual(found(reports.get('Prices')!), expected({ update: changed }), type);
    }
  }
});
