/**
 * Changes of every size and subtlety through `upsert`: dense, sparse, all rows at once, values that are nearly the
 * same.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Scene, startScene, succeeded } from './support/endToEnd.js';
import {
  assertLikeSource,
  assertVerified,
  changesOf,
  upsert,
  verify,
  versions,
  written,
} from './support/upserting.js';

const ALL = 150_000;
let scene: Scene;
before(async () => {
  scene = await startScene(
    'upsert_values',
    `CREATE TABLE dbo.Edges (Id int NOT NULL CONSTRAINT PK_Edges PRIMARY KEY, A nvarchar(20) NULL, B nvarchar(20) NULL,
  N decimal(9,2) NULL, F float NULL, T bit NULL, P varbinary(10) NULL);
GO
INSERT INTO dbo.Edges (Id, A, B, N, F, T, P) SELECT CAST(s.value AS int), CONCAT(N'a', s.value), CONCAT(N'b', s.value), 0.1, 0, 1, 0x01
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(40 AS bigint)) AS s;
GO
CREATE TABLE dbo.Spread (Id int NOT NULL CONSTRAINT PK_Spread PRIMARY KEY, V int NOT NULL, Word nvarchar(20) NULL);
GO
INSERT INTO dbo.Spread (Id, V, Word) SELECT CAST(s.value AS int), CAST(s.value % 100 AS int), CONCAT(N'w', s.value)
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(20000 AS bigint)) AS s;`,
  );
});
after(() => scene?.stop());

const none = { inserted: 0, updated: 0, deleted: 0, extra: 0 };

test('values that are nearly the same, whichever side changed them', async () => {
  const only = { include_tables: ['Edges'] };
  succeeded(await upsert(scene, only));
  /** Of row n: what the source makes of it, as T-SQL. */
  const subtle = [
    "A = N'a1 '",
    "A = N'A2'",
    "A = N'\u00e13'",
    "A = N''",
    'A = NULL',
    'N = 0.11',
    'N = NULL',
    'F = NULL',
    'T = 0',
    'T = NULL',
    'P = 0x',
    'P = 0x0100',
    "A = N'a\u0301'",
    "A = N'?'",
    "A = N'\u0416'",
    "A = N'a|b', B = N'c'",
  ];
  await scene.tsql(subtle.map((set, i) => `UPDATE dbo.Edges SET ${set} WHERE Id = ${i + 1};`).join('\n'));
  const ids = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => String(from + i)).sort();
  let before = await versions(scene, '"Edges"', '"Id"');
  assert.deepEqual(changesOf(await upsert(scene, only))['public.Edges'], { ...none, updated: subtle.length });
  assert.deepEqual(written(before, await versions(scene, '"Edges"', '"Id"')), ids(1, subtle.length));
  await assertLikeSource(scene, 'public', only);

  await scene.client.query(`UPDATE "Edges" SET "F" = '-0' WHERE "Id" = 20; UPDATE "Edges" SET "F" = 1e-320 WHERE "Id" = 21;
    UPDATE "Edges" SET "A" = 'a22 ' WHERE "Id" = 22; UPDATE "Edges" SET "A" = 'A23' WHERE "Id" = 23;
    UPDATE "Edges" SET "B" = NULL WHERE "Id" = 24; UPDATE "Edges" SET "P" = '' WHERE "Id" = 25;
    UPDATE "Edges" SET "T" = NULL WHERE "Id" = 26; UPDATE "Edges" SET "N" = 0.09 WHERE "Id" = 27;
    UPDATE "Edges" SET "A" = "B", "B" = "A" WHERE "Id" = 28;
    UPDATE "Edges" SET "A" = CASE "Id" WHEN 29 THEN 'a30' ELSE 'a29' END WHERE "Id" IN (29, 30)`);
  before = await versions(scene, '"Edges"', '"Id"');
  assert.deepEqual(changesOf(await upsert(scene, only))['public.Edges'], { ...none, updated: 11 });
  assert.deepEqual(written(before, await versions(scene, '"Edges"', '"Id"')), ids(20, 11));
  await assertLikeSource(scene, 'public', only);

  // The same number with fewer decimals is no change, also where the target keeps no scale.
  await scene.client.query(
    `ALTER TABLE "Edges" ALTER COLUMN "N" TYPE numeric; UPDATE "Edges" SET "N" = 0.1 WHERE "Id" > 30`,
  );
  assert.deepEqual(changesOf(await upsert(scene, only))['public.Edges'], none);
});

test('dense and sparse changes, and changes of rows that lie apart', async () => {
  const only = {
    include_tables: ['Spread'],
    batch_verify: { tier1_batch_size: 5000, tier2_batch_size: 500 },
  };
  succeeded(await upsert(scene, only));
  await scene.client.query(`UPDATE "Spread" SET "V" = -1 WHERE "Id" BETWEEN 1001 AND 4000;
    UPDATE "Spread" SET "V" = -2 WHERE "Id" > 4000 AND "Id" % 997 = 0;
    DELETE FROM "Spread" WHERE "Id" BETWEEN 6000 AND 6600 OR "Id" IN (1, 20000);
    INSERT INTO "Spread" ("Id", "V") SELECT n, 0 FROM generate_series(-5, 0) AS n`);
  await scene.tsql(`UPDATE dbo.Spread SET Word = NULL WHERE Id BETWEEN 9000 AND 9900;`);
  const before = await versions(scene, '"Spread"', '"Id"');
  const sparse = Array.from({ length: 20_000 }, (_, i) => i + 1).filter(
    (id) => id > 4000 && id % 997 === 0 && !(id >= 6000 && id <= 6600) && !(id >= 9000 && id <= 9900),
  );
  const updated = 3000 + sparse.length + 901;
  const inserted = 603;
  const found = (await verify(scene, { migration: only })).tables.get('public.Spread');
  assert.deepEqual(
    [found?.inserts_needed, found?.updates_needed, found?.deletes_needed],
    [inserted, updated, 6],
  );
  const synced = changesOf(await upsert(scene, only));
  assert.deepEqual(synced['public.Spread'], { inserted, updated, deleted: 0, extra: 6 });
  assert.equal(written(before, await versions(scene, '"Spread"', '"Id"')).length, inserted + updated);
  assert.equal(
    changesOf(await upsert(scene, { ...only, delete_extra_rows: true }))['public.Spread']?.deleted,
    6,
  );
  await assertLikeSource(scene, 'public', only);
});

test('inserts, updates and deletes all over a table, several of them next to each other', async () => {
  const only = {
    include_tables: ['Spread'],
    batch_verify: { tier1_batch_size: 5000, tier2_batch_size: 500 },
    delete_extra_rows: true,
  };
  await upsert(scene, only);
  // Of the source's rows one in fifty is changed, one in seventy is new, and one in sixty is gone; some are neighbours.
  await scene.tsql('DELETE FROM dbo.Spread WHERE Id * 7919 % 60 = 11 OR Id IN (9, 19999);');
  await scene.client.query(`DELETE FROM "Spread" WHERE "Id"::bigint * 104729 % 70 = 3;
    UPDATE "Spread" SET "V" = "V" + 1 WHERE "Id"::bigint * 15485863 % 50 = 17;
    UPDATE "Spread" SET "V" = "V" + 1 WHERE "Id" BETWEEN 5000 AND 5040 AND "Id" <> 5020`);
  const ids = Array.from({ length: 20_000 }, (_, i) => i + 1);
  const isGone = (id: number) => (id * 7919) % 60 === 11 || id === 9 || id === 19_999;
  const isNew = (id: number) => (id * 104_729) % 70 === 3;
  const isChanged = (id: number) =>
    (id * 15_485_863) % 50 === 17 || (id >= 5000 && id <= 5040 && id !== 5020);
  const wanted = {
    inserted: ids.filter((id) => isNew(id) && !isGone(id)),
    updated: ids.filter((id) => isChanged(id) && !isNew(id) && !isGone(id)),
    deleted: ids.filter((id) => isGone(id) && !isNew(id)),
  };
  const { inserted, updated, deleted } = wanted;
  const found = (await verify(scene, { migration: only })).tables.get('public.Spread');
  assert.deepEqual(
    [found?.inserts_needed, found?.updates_needed, found?.deletes_needed],
    [inserted.length, updated.length, deleted.length],
  );
  const before = await versions(scene, '"Spread"', '"Id"');
  assert.deepEqual(changesOf(await upsert(scene, only))['public.Spread'], {
    inserted: inserted.length,
    updated: updated.length,
    deleted: deleted.length,
    extra: 0,
  });
  assert.deepEqual(
    written(before, await versions(scene, '"Spread"', '"Id"')),
    [...inserted, ...updated].map(String).sort(),
  );
  await assertLikeSource(scene, 'public', only);
});

test(`${ALL} rows that all differ, in bounded memory`, async (t) => {
  await scene.tsql(`CREATE TABLE dbo.Everything (Id int NOT NULL CONSTRAINT PK_Everything PRIMARY KEY, Kind int NOT NULL);
GO
INSERT INTO dbo.Everything (Id, Kind) SELECT CAST(s.value AS int), CAST(s.value % 15 AS int)
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${ALL} AS bigint)) AS s;
GO
CREATE TABLE dbo.ByGuid (Id uniqueidentifier NOT NULL CONSTRAINT PK_ByGuid PRIMARY KEY, Kind int NOT NULL);
GO
INSERT INTO dbo.ByGuid (Id, Kind) SELECT CAST(CONCAT(RIGHT(CONCAT('00000000', s.value), 8), '-0000-4000-8000-000000000000') AS uniqueidentifier), 1
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(20000 AS bigint)) AS s;`);
  const only = { include_tables: ['Everything', 'ByGuid'] };
  succeeded(await upsert(scene, only));
  await scene.client.query(`UPDATE "Everything" SET "Kind" = "Kind" + 1; UPDATE "ByGuid" SET "Kind" = 2`);
  const done = await upsert(scene, only, {}, { timeoutMs: 300_000, process: true });
  const synced = changesOf(done);
  assert.deepEqual(synced['public.Everything'], { ...none, updated: ALL });
  assert.deepEqual(synced['public.ByGuid'], { ...none, updated: 20_000 });
  const peak = Math.round(done.peakRssKb / 1024);
  t.diagnostic(
    `peak RSS ${peak} MiB, ${done.result.rows_per_second} rows/s, ${done.result.duration_seconds} s`,
  );
  assert.ok(peak > 0 && peak < 450, `peak RSS ${peak} MiB`);
  await assertVerified(scene, { migration: only });
});
