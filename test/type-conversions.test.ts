/**
 * Types that become something else than their own mapping says: every conversion through run, verify and upsert with
 * values at the edges; rows that would be altered are refused, and so is what can't be converted at all.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Config } from '../src/config/schema.js';
import type { RunOutcome } from '../src/engine/events.js';
import { runMigration } from '../src/engine/run.js';
import { conversionCases } from './fixtures/conversionCases.js';
import { expected, found, type Migrated, migrated, verifyAll } from './support/verifying.js';

const columns = conversionCases.map((one, i) => ({ ...one, name: `C${i}` }));

/** One row a column, in which that column will be changed, and one of NULLs. */
const converted = `CREATE TABLE dbo.Converted (Id int NOT NULL CONSTRAINT PK_Converted PRIMARY KEY,
  ${columns.map(({ name, sqlType }) => `${name} ${sqlType} NULL`).join(',\n  ')},
  Version rowversion NULL);
GO
INSERT INTO dbo.Converted (Id, ${columns.map(({ name }) => name).join(', ')})
SELECT s.value, ${columns.map(({ values: [even, odd] }) => `CASE WHEN s.value % 2 = 0 THEN ${even[0]} ELSE ${odd[0]} END`).join(',\n  ')}
FROM GENERATE_SERIES(0, ${columns.length}) AS s;
INSERT INTO dbo.Converted (Id) VALUES (-1);`;

/** Keys of converted types. */
const keys = `CREATE TABLE dbo.ByGuid (Id uniqueidentifier NOT NULL CONSTRAINT PK_ByGuid PRIMARY KEY, V int NULL);
CREATE TABLE dbo.ByOffset (Id datetimeoffset(7) NOT NULL CONSTRAINT PK_ByOffset PRIMARY KEY, V int NULL);
CREATE TABLE dbo.ByMoment (Id datetime2(3) NOT NULL CONSTRAINT PK_ByMoment PRIMARY KEY, V sql_variant NULL);
CREATE TABLE dbo.ByDecimal (Id decimal(12,0) IDENTITY(5,5) NOT NULL CONSTRAINT PK_ByDecimal PRIMARY KEY, V int NULL
  CONSTRAINT DF_V DEFAULT ((7)), F bit NOT NULL CONSTRAINT DF_F DEFAULT ((1)), CONSTRAINT CK_F CHECK (F = 1 OR V > 0));
GO
INSERT INTO dbo.ByGuid VALUES ('6F9619FF-8B86-D011-B42D-00C04FC964FF', 1), ('00000000-0000-0000-0000-000000000001', 2);
INSERT INTO dbo.ByOffset VALUES ('2024-02-29T18:04:56.7654321+05:30', 1), ('1999-12-31T22:30:00-14:00', 2);
INSERT INTO dbo.ByMoment VALUES ('2024-02-29T12:34:56.789', CAST(1 AS int)), ('2025-01-01T00:00:00', NULL);
INSERT INTO dbo.ByDecimal (V) VALUES (1), (2), (3);`;

const overrides = Object.fromEntries(columns.map(({ name, as }) => [`dbo.Converted.${name}`, as]));

let both: Migrated;
before(async () => {
  both = await migrated([converted, keys], {
    type_overrides: {
      ...overrides,
      rowversion: 'bigint',
      'ByDecimal.Id': 'bigint',
      'ByMoment.Id': 'timestamptz',
      'decimal(12,0)': 'numeric(20,0)',
      bit: 'smallint',
    },
    uniqueidentifier: 'text',
    datetimeoffset: 'text',
    create_check_constraints: true,
  });
});
after(() => both?.stop());

function run(changes: Partial<Config['migration']>): Promise<RunOutcome> {
  const config = { ...both.config, migration: { ...both.config.migration, ...changes } };
  return runMigration(config, { signal: new AbortController().signal, onEvent: () => {} });
}

async function assertNothingDiffers(): Promise<void> {
  for (const report of (await verifyAll(both.config)).values()) {
    assert.deepEqual(found(report), expected(), report.table);
    // Both servers hash: nothing has to be streamed but what SQL Server hashes in no type.
    assert.equal(report.notes.length, report.table === 'dbo.ByMoment' ? 1 : 0, report.notes.join('\n'));
  }
}

test('every conversion arrives as the type asked for, with its exact values', async () => {
  const { rows: types } = await both.client.query<{ type: string }>(
    `SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute
     WHERE attrelid = '"Converted"'::regclass AND attnum > 1 AND attname LIKE 'C%' ORDER BY attnum`,
  );
  assert.deepEqual(
    types.map(({ type }) => type),
    columns.map(({ pgType }) => pgType),
  );
  await both.client.query(`SET timezone = 'UTC'`);
  for (const { name, sqlType, as, values } of columns) {
    const { rows } = await both.client.query<{ v: string | null }>(
      `SELECT "${name}"::text AS v FROM "Converted" ORDER BY "Id"`,
    );
    // A cast of char(n) to text would drop blanks; there are none at the end of a uniqueidentifier.
    assert.deepEqual(
      rows.map(({ v }) => v),
      [null, ...Array.from({ length: columns.length + 1 }, (_, row) => values[row % 2]![1])],
      `${sqlType} as ${as}`,
    );
  }
  const { rows: keysThere } = await both.client.query(
    `SELECT (SELECT array_agg("Id" ORDER BY "V") FROM "ByGuid") AS guids,
      (SELECT array_agg("Id" ORDER BY "V") FROM "ByOffset") AS offsets,
      (SELECT array_agg("Id" ORDER BY "V") FROM "ByDecimal") AS decimals`,
  );
  assert.deepEqual(keysThere[0], {
    guids: ['6F9619FF-8B86-D011-B42D-00C04FC964FF', '00000000-0000-0000-0000-000000000001'],
    offsets: ['2024-02-29 18:04:56.7654321 +05:30', '1999-12-31 22:30:00.0000000 -14:00'],
    decimals: ['5', '10', '15'],
  });
});

test('defaults, checks and identities follow the conversion', async () => {
  const { rows } = await both.client.query(`INSERT INTO "ByDecimal" DEFAULT VALUES RETURNING "Id", "V", "F"`);
  assert.deepEqual(rows, [{ Id: '20', V: 7, F: 1 }]);
  await assert.rejects(both.client.query(`INSERT INTO "ByDecimal" ("V", "F") VALUES (0, 0)`), /CK_F/);
  await both.client.query(`DELETE FROM "ByDecimal" WHERE "Id" = 20`);
});

test('nothing differs; a value changed in each column is found, and mended by upsert', async () => {
  await assertNothingDiffers();
  for (const [row, { name }] of columns.entries()) {
    await both.client.query(
      `UPDATE "Converted" SET "${name}" = (SELECT "${name}" FROM "Converted" WHERE "Id" = $1) WHERE "Id" = $2`,
      [row === 0 ? 1 : row - 1, row],
    );
  }
  await both.client.query(`UPDATE "Converted" SET "Version" = 1 WHERE "Id" = $1`, [columns.length]);
  await both.client.query(`DELETE FROM "ByGuid" WHERE "V" = 1; UPDATE "ByOffset" SET "V" = 9 WHERE "V" = 2;
    UPDATE "ByMoment" SET "V" = '2' WHERE "V" = '1';
    UPDATE "ByDecimal" SET "F" = 0, "V" = 8 WHERE "Id" = 10`);
  await both.inSource('DELETE FROM dbo.ByDecimal WHERE Id = 15');
  const reports = await verifyAll(both.config);
  const changed = [...columns.keys(), columns.length].map(String).sort().join(' ');
  assert.deepEqual(found(reports.get('dbo.Converted')!), expected({ update: changed }));
  assert.deepEqual(
    found(reports.get('dbo.ByGuid')!),
    expected({ insert: '6F9619FF-8B86-D011-B42D-00C04FC964FF' }),
  );
  assert.equal(reports.get('dbo.ByMoment')!.changes?.update, 1);
  assert.deepEqual(
    found(reports.get('dbo.ByOffset')!),
    expected({ update: '1999-12-31 22:30:00.0000000 -14:00' }),
  );
  assert.deepEqual(found(reports.get('dbo.ByDecimal')!), expected({ update: '10', delete: '15' }));
  const outcome = await run({ target_mode: 'upsert', delete_extra_rows: true });
  assert.equal(outcome.error, undefined, outcome.error?.message);
  await assertNothingDiffers();
});
