/** Every kind of key, in many ranges or buckets: rows missing, extra and changed at the front, middle and end. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { verifyVerdict } from '../src/observe/verifyResult.js';
import { everyTypeScript } from './fixtures/everyType.js';
import { typeCaseScript } from './fixtures/typeCases.js';
import { expected, found, type Migrated, migrated, verifyAll } from './support/verifying.js';

const more = `CREATE TABLE dbo.NegativeKey (Id bigint NOT NULL CONSTRAINT PK_NegativeKey PRIMARY KEY, V int NOT NULL);
GO
INSERT INTO dbo.NegativeKey (Id, V) SELECT s.value - 1500, s.value
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(3000 AS bigint)) AS s;
GO
CREATE TABLE dbo.CodeKey (Code varchar(20) COLLATE Latin1_General_CI_AS NOT NULL CONSTRAINT PK_CodeKey PRIMARY KEY, V int NOT NULL);
GO
INSERT INTO dbo.CodeKey (Code, V) SELECT CONCAT(CASE s.value % 2 WHEN 0 THEN 'b' ELSE 'A' END, s.value), s.value
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(3000 AS bigint)) AS s;
GO
CREATE TABLE dbo.DateKey (Day date NOT NULL, Part tinyint NOT NULL, V int NOT NULL, CONSTRAINT PK_DateKey PRIMARY KEY (Day, Part));
GO
INSERT INTO dbo.DateKey (Day, Part, V) SELECT DATEADD(day, s.value / 3, CAST('1995-05-05' AS date)), s.value % 3, s.value
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(3000 AS bigint)) AS s;`;

/** Table, its key columns in order, a column to change, and how it is compared. */
const tables = [
  { table: 'NegativeKey', key: ['Id'], change: '"V" = "V" + 1', method: 'key ranges' },
  { table: 'DecimalKey', key: ['Id'], change: '"Label" = \'changed\'', method: 'key ranges' },
  { table: 'DateKey', key: ['Day', 'Part'], change: '"V" = -"V"', method: 'key ranges' },
  { table: 'UniqueIndexKey', key: ['Code'], change: '"Other" = NULL', method: 'key ranges' },
  { table: 'CompositeKey', key: ['Region', 'Day', 'Number'], change: '"Note" = NULL', method: 'key hashes' },
  { table: 'GuidKey', key: ['Id'], change: '"Payload" = \'\'', method: 'key hashes' },
  { table: 'StringKey', key: ['Code'], change: '"Amount" = -1', method: 'key hashes' },
  { table: 'CodeKey', key: ['Code'], change: '"V" = 0', method: 'key hashes' },
  { table: 'MomentKey', key: ['At'], change: '"Reading" = "Reading" + 1', method: 'key hashes' },
] as const;

let both: Migrated;
before(async () => {
  both = await migrated([typeCaseScript(), everyTypeScript(), more]);
});
after(() => both?.stop());

/** Keys of the rows at these offsets in key order, as text. */
async function keysAt(table: string, key: readonly string[], offsets: readonly number[]): Promise<string[]> {
  const columns = key.map((name) => `"${name}"`).join(', ');
  const texts = key.map((name) => `"${name}"::text`).join(` || ',' || `);
  const { rows } = await both.client.query<{ k: string; n: string }>(
    `SELECT ${texts} AS k, row_number() OVER (ORDER BY ${columns}) - 1 AS n FROM "${table}"`,
  );
  return offsets.map((offset) => rows.find(({ n }) => Number(n) === offset)!.k);
}

/** Source keys as SQL Server prints them, brought to PostgreSQL's text. */
const alike = (text: string) =>
  text
    .toLowerCase()
    .replace(/(\.\d{6})\d/g, '$1')
    .split(' ')
    .sort()
    .join(' ');

for (const { table, key, change, method } of tables) {
  test(`${table}: missing, extra and changed rows`, async () => {
    const { client } = both;
    const whole = key.map((name) => `"${name}"::text`).join(` || ',' || `);
    const where = (keys: string[]) => [`WHERE ${whole} = ANY($1)`, [keys]] as const;
    const missing = await keysAt(table, key, [0, 1500, 2999]);
    const changed = await keysAt(table, key, [1, 700, 2998]);
    const swapped = await keysAt(table, key, [2000]);
    const fine = await verifyAll({
      ...both.config,
      migration: { ...both.config.migration, include_tables: [table] },
    });
    assert.deepEqual(found(fine.get(`dbo.${table}`)!), expected());
    assert.equal(fine.get(`dbo.${table}`)!.method, method);

    await client.query('BEGIN');
    const [missingWhere, missingKeys] = where(missing);
    await client.query(`DELETE FROM "${table}" ${missingWhere}`, [...missingKeys]);
    const [changedWhere, changedKeys] = where(changed);
    await client.query(`UPDATE "${table}" SET ${change} ${changedWhere}`, [...changedKeys]);
    await client.query('COMMIT');
    // A row the target has and the source has not.
    const extra = swapped[0]!;
    const literal = extra.split(',');
    await both.inSource(
      `DELETE FROM dbo.${table} WHERE ${key.map((name, i) => sourceEquals(table, name, literal[i]!)).join(' AND ')}`,
    );
    const config = { ...both.config, migration: { ...both.config.migration, include_tables: [table] } };
    const report = (await verifyAll(config)).get(`dbo.${table}`)!;
    const seen = found(report);
    assert.deepEqual(
      { ...seen, insert: alike(seen.insert!), update: alike(seen.update!), delete: alike(seen.delete!) },
      {
        status: 'differs',
        insert: alike(missing.join(' ')),
        update: alike(changed.join(' ')),
        delete: alike(swapped.join(' ')),
      },
    );
    assert.deepEqual(report.changes, { insert: 3, update: 3, delete: 1 });
    assert.equal(report.sourceRows, 2999n);
    assert.equal(report.targetRows, 2997n);
  });
}

function sourceEquals(table: string, column: string, text: string): string {
  if (table === 'MomentKey') {
    return `DATEDIFF_BIG(microsecond, CONVERT(datetime2(7), '${text}', 121), ${column}) = 0`;
  }
  return `${column} = N'${text.replaceAll("'", "''")}'`;
}

test('a table without a key: that it differs is known, not where', async () => {
  const only = { ...both.config, migration: { ...both.config.migration, include_tables: ['NoKey'] } };
  const fine = (await verifyAll(only)).get('dbo.NoKey')!;
  assert.equal(fine.status, 'match');
  assert.equal(fine.method, 'whole table');
  assert.match(fine.notes.join(), /can not be named/);
  await both.client.query(
    `UPDATE "NoKey" SET "Amount" = 49 WHERE ctid = (SELECT ctid FROM "NoKey" WHERE "Amount" = 1 LIMIT 1)`,
  );
  const report = (await verifyAll(only)).get('dbo.NoKey')!;
  assert.equal(report.status, 'differs');
  assert.equal(report.changes, null);
  assert.equal(report.sourceRows, 2000n);
  assert.equal(report.targetRows, 2000n);
});

test('a target table that is not there, one that is empty, and those of another shape', async () => {
  await both.client.query(
    `DROP TABLE "DecimalKey"; TRUNCATE "DateKey"; ALTER TABLE "GuidKey" DROP COLUMN "Payload";
     CREATE TABLE "copy" AS SELECT * FROM "NegativeKey"; DROP TABLE "NegativeKey"; ALTER TABLE "copy" RENAME TO "NegativeKey";
     CREATE UNIQUE INDEX ON "NegativeKey" ("Id"); INSERT INTO "NegativeKey" DEFAULT VALUES`,
  );
  const reports = await verifyAll({
    ...both.config,
    migration: {
      ...both.config.migration,
      include_tables: ['DecimalKey', 'DateKey', 'GuidKey', 'StringKey', 'NegativeKey'],
    },
  });
  const missing = reports.get('dbo.DecimalKey')!;
  assert.equal(missing.status, 'missing');
  assert.deepEqual(missing.changes, { insert: 2999, update: 0, delete: 0 });
  assert.equal(reports.get('dbo.DateKey')!.changes?.insert, 2999);
  const broken = reports.get('dbo.GuidKey')!;
  assert.equal(broken.status, 'failed');
  assert.equal(broken.error?.code, 'SCHEMA_CONFLICT');
  assert.match(broken.error?.message ?? '', /public\.GuidKey has no column Payload/);
  // No range of keys has a row without one.
  const keyless = reports.get('dbo.NegativeKey')!;
  assert.deepEqual([keyless.status, keyless.error?.code], ['failed', 'SCHEMA_CONFLICT']);
  assert.match(keyless.error?.message ?? '', /NegativeKey has rows whose key is NULL \(Id\)/);
  assert.equal(reports.get('dbo.StringKey')!.status, 'differs');
  const verdict = verifyVerdict({ runId: '', notes: [], tables: [...reports.values()] });
  assert.match(verdict?.message ?? '', /^rows differ in 3 of 5 tables: .*; 2 could not be compared$/);
  assert.match(verdict?.message ?? '', /dbo\.DecimalKey \(not in the target\)/);
});
