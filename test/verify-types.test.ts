/** Every type: one value changed behind the tool's back, in the source or in the target, is found, and nothing else. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { typeCaseScript, typeCases, typeCaseTable } from './fixtures/typeCases.js';
import { expected, found, type Migrated, migrated, verifyAll } from './support/verifying.js';

const edges = `CREATE TABLE dbo.Edges (Id int NOT NULL CONSTRAINT PK_Edges PRIMARY KEY,
  A nvarchar(20) NULL, B nvarchar(20) NULL, N decimal(9,2) NULL, F bit NULL);
GO
INSERT INTO dbo.Edges (Id, A, B, N, F) VALUES
  (1, NULL, N'x', 1, 1), (2, N'x', N'x', 1, NULL), (3, N'x', N'x', 0.05, 1), (4, N'a|b', N'c', 1, 1),
  (5, N'Ж', N'x', 1, 1), (6, N'abc', N'x', 1, 1), (7, N'a', N'x', 1, 1), (8, N'p', N'x', 1, 1), (9, N'q', N'x', 1, 1),
  (10, N'x', N'', 1, 1), (11, N'same', N'same', 1, 1), (12, N'é', N'x', 1, 1), (13, N'x', N'x', 1, 1),
  (14, N'x', N'x', 1, 1);`;

/** Values as long as their types allow, where SQL Server cuts what is put together without a type that has no limit. */
const widest = `CREATE TABLE dbo.Widest (Id int NOT NULL CONSTRAINT PK_Widest PRIMARY KEY,
  B varbinary(8000) NULL, T nvarchar(2666) NULL, C nchar(4000) NULL);
GO
INSERT INTO dbo.Widest (Id, B, T, C) VALUES
  (1, CONVERT(varbinary(8000), REPLICATE('x', 7999)) + 0x01, NULL, NULL),
  (2, NULL, REPLICATE(NCHAR(8364), 2666), NULL),
  (3, NULL, NULL, N'x😀y😀'),
  (4, NULL, NULL, REPLICATE(N'😀', 2000)),
  (5, NULL, NULL, REPLICATE(N'x', 4000));
CREATE TABLE dbo.Halves (Id int NOT NULL CONSTRAINT PK_Halves PRIMARY KEY, A varbinary(4500) NULL, B varbinary(4500) NULL);
INSERT INTO dbo.Halves (Id, A, B)
VALUES (1, CONVERT(varbinary(4500), REPLICATE('a', 4500)), CONVERT(varbinary(4500), REPLICATE('b', 4500)));`;

let both: Migrated;
before(async () => {
  both = await migrated([typeCaseScript(), edges, widest]);
});
after(() => both?.stop());

/** What takes the place of the first value: the second, or NULL where there is none. */
const other = (table: string, quote: (name: string) => string, values: number) =>
  values > 1 ? `(SELECT ${quote('Value')} FROM ${table} WHERE ${quote('Id')} = 2)` : 'NULL';

const onlyFirst = new Map(
  typeCases.map((one) => [`dbo.${typeCaseTable(one)}`, expected({ update: '1' })] as const),
);

test('nothing differs after the migration', async () => {
  for (const trustRowHash of [false, true]) {
    const reports = await verifyAll(both.config, { trustRowHash });
    assert.equal(reports.size, typeCases.length + 3);
    for (const report of reports.values()) assert.deepEqual(found(report), expected(), report.table);
  }
});

test('one value of each type changed in the target', async () => {
  await both.client.query('BEGIN');
  for (const one of typeCases) {
    const table = `"${typeCaseTable(one)}"`;
    const value = other(table, (name) => `"${name}"`, one.values.length);
    await both.client.query(`UPDATE ${table} SET "Value" = ${value} WHERE "Id" = 1`);
  }
  await both.client.query('COMMIT');
  const reports = await verifyAll(both.config);
  for (const [table, changes] of onlyFirst) assert.deepEqual(found(reports.get(table)!), changes, table);
  // The stored hashes know nothing of it, and whoever trusts them is told so little.
  const trusting = await verifyAll(both.config, { trustRowHash: true });
  for (const report of trusting.values()) assert.deepEqual(found(report), expected(), report.table);
});

test('one value of each type changed in the source', async () => {
  for (const one of typeCases) {
    const table = `dbo.${typeCaseTable(one)}`;
    const value = other(table, (name) => name, one.values.length);
    await both.inSource(`UPDATE ${table} SET Value = ${value} WHERE Id = 1`);
  }
  // Now source and target agree again, and only the stored hashes are behind.
  for (const report of (await verifyAll(both.config)).values()) {
    assert.deepEqual(found(report), expected(), report.table);
  }
  const trusting = await verifyAll(both.config, { trustRowHash: true });
  for (const table of onlyFirst.keys()) {
    const report = trusting.get(table)!;
    assert.deepEqual(found(report), expected(), table);
    assert.match(report.notes.join(), /row_hash differs and the values do not/, table);
  }
});

test('the last byte of the widest values', async () => {
  await both.client.query(`
    UPDATE "Widest" SET "B" = substr("B", 1, 7999) || '\\x02' WHERE "Id" = 1;
    UPDATE "Widest" SET "T" = left("T", 2665) || '₭' WHERE "Id" = 2;
    UPDATE "Halves" SET "B" = substr("B", 1, 4499) || 'c'`);
  const reports = await verifyAll(both.config);
  assert.deepEqual(found(reports.get('dbo.Widest')!), expected({ update: '1 2' }));
  assert.deepEqual(found(reports.get('dbo.Halves')!), expected({ update: '1' }));
});

test('values that are nearly the same', async () => {
  await both.client.query(`
    UPDATE "Edges" SET "A" = '' WHERE "Id" = 1;
    UPDATE "Edges" SET "F" = false WHERE "Id" = 2;
    UPDATE "Edges" SET "N" = 0.06 WHERE "Id" = 3;
    UPDATE "Edges" SET "A" = 'a', "B" = 'b|c' WHERE "Id" = 4;
    UPDATE "Edges" SET "A" = '?' WHERE "Id" = 5;
    UPDATE "Edges" SET "A" = 'ABC' WHERE "Id" = 6;
    UPDATE "Edges" SET "A" = 'a ' WHERE "Id" = 7;
    UPDATE "Edges" SET "A" = CASE "Id" WHEN 8 THEN 'q' ELSE 'p' END WHERE "Id" IN (8, 9);
    UPDATE "Edges" SET "B" = NULL WHERE "Id" = 10;
    UPDATE "Edges" SET "A" = U&'e\\0301' WHERE "Id" = 12;
    UPDATE "Edges" SET "A" = 'y' WHERE "Id" IN (13, 14)`);
  const report = (await verifyAll(both.config)).get('dbo.Edges')!;
  assert.deepEqual(found(report), expected({ update: '1 10 12 13 14 2 3 4 5 6 7 8 9' }));
  assert.deepEqual(report.changes, { insert: 0, update: 13, delete: 0 });
});

test('decimals of a target column that holds more of them: equal numbers are equal, others are not', async () => {
  await both.inSource(`CREATE TABLE dbo.Prices (Id decimal(5,1) NOT NULL CONSTRAINT PK_Prices PRIMARY KEY, P decimal(9,2) NULL);
INSERT INTO dbo.Prices (Id, P) VALUES (1, 1.25), (2.5, 0.1), (3, 0), (4, NULL), (5, -7)`);
  const only = { ...both.config, migration: { ...both.config.migration, include_tables: ['Prices'] } };
  for (const type of ['numeric(12,4)', 'numeric', 'numeric(9,2)']) {
    const key = type.replace('9,2', '5,1');
    await both.client.query(`DROP TABLE IF EXISTS "Prices"; CREATE TABLE "Prices" ("Id" ${key} PRIMARY KEY, "P" ${type});
      INSERT INTO "Prices" VALUES (1.00, 1.2500), (2.50, 0.1000), (3, 0.000), (4, NULL), (5, -7)`);
    assert.deepEqual(found((await verifyAll(only)).get('dbo.Prices')!), expected(), type);
    if (type === 'numeric(9,2)') continue;
    await both.client.query(`UPDATE "Prices" SET "P" = "P" + 0.0001 WHERE "Id" IN (1, 3)`);
    const report = (await verifyAll(only)).get('dbo.Prices')!;
    assert.deepEqual(found(report), expected({ update: '1.0 3.0' }), type);
  }
});

test('numbers of another type in the target are not rounded until they are equal', async () => {
  await both.inSource(`CREATE TABLE dbo.Numbers (Id int NOT NULL CONSTRAINT PK_Numbers PRIMARY KEY, I int NULL, R real NULL);
INSERT INTO dbo.Numbers (Id, I, R) VALUES (1, 5, 0.1), (2, 7, 0.5)`);
  const only = {
    ...both.config,
    migration: { ...both.config.migration, include_tables: ['Numbers'] },
  };
  const report = async (target: string) => {
    await both.client.query(`DROP TABLE IF EXISTS "Numbers"; ${target}`);
    return (await verifyAll(only)).get('dbo.Numbers')!;
  };
  for (const [columns, rows] of [
    ['"I" bigint, "R" real', '(1, 4294967301, 0.1), (2, 7, 0.5)'],
    ['"I" numeric, "R" real', '(1, 5.2, 0.1), (2, 7, 0.5)'],
    ['"I" integer, "R" numeric', '(1, 5, 0.1000000001), (2, 7, 0.5)'],
  ]) {
    const { status, notes } = await report(
      `CREATE TABLE "Numbers" ("Id" integer PRIMARY KEY, ${columns}); INSERT INTO "Numbers" VALUES ${rows}`,
    );
    assert.equal(status, 'differs', columns);
    assert.match(notes.join(), /[IR] is (bigint|numeric) there, not (integer|real)/);
  }
  const key = await report(
    `CREATE TABLE "Numbers" ("Id" numeric PRIMARY KEY, "I" integer, "R" real);
     INSERT INTO "Numbers" VALUES (1.3, 5, 0.1), (2, 7, 0.5)`,
  );
  assert.deepEqual([key.status, key.error?.code, key.error?.column], ['failed', 'SCHEMA_CONFLICT', 'Id']);
});
