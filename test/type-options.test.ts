/**
 * Computed columns that the target computes, collations that fold, and what conversions refuse.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Config } from '../src/config/schema.js';
import type { RunOutcome } from '../src/engine/events.js';
import { runMigration } from '../src/engine/run.js';
import { mapColumn } from '../src/types/index.js';
import { sourceColumn } from './support/sourceTables.js';
import { expected, found, type Migrated, migrated, verifyAll } from './support/verifying.js';

const computed = `CREATE TABLE dbo.Computed (Id int NOT NULL CONSTRAINT PK_Computed PRIMARY KEY,
  Quantity int NOT NULL, Price decimal(9,2) NOT NULL, Name nvarchar(20) NULL, Paid bit NOT NULL, Day date NULL,
  Total AS (Quantity * Price) PERSISTED,
  Twice AS (Quantity * 2) PERSISTED NOT NULL,
  Label AS (N'#' + ISNULL(Name, N'?')) PERSISTED,
  Due AS (CASE WHEN Paid = 1 THEN 0 ELSE Quantity END) PERSISTED,
  Plain AS (Quantity + 1),
  Bytes AS (CONVERT(varbinary(40), Name)) PERSISTED,
  DayText AS (CONVERT(varchar(10), Day, 23)) PERSISTED,
  CONSTRAINT CK_Total CHECK (Total >= 0));
CREATE INDEX IX_Total ON dbo.Computed (Total);
CREATE TABLE dbo.ComputedKey (Code int NOT NULL, Id AS (Code * 10) PERSISTED NOT NULL CONSTRAINT PK_ComputedKey PRIMARY KEY);
CREATE TABLE dbo.ComputedStream (Id int NOT NULL CONSTRAINT PK_ComputedStream PRIMARY KEY, V sql_variant NULL,
  A int NOT NULL, B AS (A * 2) PERSISTED);
GO
INSERT INTO dbo.Computed (Id, Quantity, Price, Name, Paid, Day) VALUES
  (1, 3, 1.25, N'Å', 0, '2024-02-29'), (2, 0, 9999999.99, NULL, 1, NULL), (3, 7, 0.05, N'', 0, '0001-01-01');
INSERT INTO dbo.ComputedKey (Code) VALUES (1), (2);
INSERT INTO dbo.ComputedStream (Id, V, A) VALUES (1, CAST(5 AS int), 3), (2, NULL, 4);`;

const folding = `CREATE TABLE dbo.FoldedName (Name nvarchar(20) COLLATE Latin1_General_CI_AS NOT NULL CONSTRAINT PK_FoldedName PRIMARY KEY,
  Code char(4) COLLATE Latin1_General_CI_AI NULL, Exact varchar(20) COLLATE Latin1_General_CS_AS NULL, V int NULL,
  CONSTRAINT CK_Name CHECK (Name <> N'none' AND Name LIKE N'%a%'));
CREATE TABLE dbo.FoldedUse (Id int NOT NULL CONSTRAINT PK_FoldedUse PRIMARY KEY,
  Name nvarchar(20) COLLATE Latin1_General_CI_AS NULL CONSTRAINT FK_Name REFERENCES dbo.FoldedName (Name));
GO
INSERT INTO dbo.FoldedName VALUES (N'Ångström a', 'ab', 'X', 1), (N'Zoë a', 'cd', 'x', 2), (N'plain a', NULL, NULL, 3);
INSERT INTO dbo.FoldedUse VALUES (1, N'Zoë a'), (2, N'plain a'), (3, NULL);`;

/** A value that does not fit, what it is to become, and the limit that the refusal names. */
const misfits = [
  ['int', 'smallint', '32768', '-32768 to 32767'],
  ['bigint', 'integer', '-2147483649', '-2147483648 to 2147483647'],
  ['decimal(10,0)', 'integer', '-9999999999', '-2147483648 to 2147483647'],
  ['numeric(38,0)', 'bigint', '9223372036854775808', '-9223372036854775808 to 9223372036854775807'],
  ['decimal(20,0)', 'smallint', '99999999999999999999', '-32768 to 32767'],
  ['int', 'smallint', '-32769', '-32768 to 32767'],
  // Words of it that fit by themselves.
  ['bigint', 'smallint', '4294967297', '-32768 to 32767'],
  ['decimal(19,0)', 'bigint', '9223372036854775808', '-9223372036854775808 to 9223372036854775807'],
] as const;

const bad = misfits
  .map(
    (
      [type, , value],
      i,
    ) => `CREATE TABLE dbo.Bad${i} (Id int NOT NULL CONSTRAINT PK_Bad${i} PRIMARY KEY, V ${type} NULL);
INSERT INTO dbo.Bad${i} VALUES (1, 5), (2, NULL), (3, ${value});`,
  )
  .join('\n');

const place = `CREATE TABLE dbo.Place (Id int NOT NULL CONSTRAINT PK_Place PRIMARY KEY, At geography NULL);`;

let both: Migrated;
before(async () => {
  both = await migrated([computed, folding, bad, place], {
    include_tables: ['Computed*'],
    // Few rows, many runs: threads are what takes time.
    ...{ workers: 1, parallel_readers: 1, write_ahead_writers: 1 },
    create_indexes: true,
    create_check_constraints: true,
    type_overrides: { 'Computed.Paid': 'smallint' },
  });
});
after(() => both?.stop());

function configOf(changes: Partial<Config['migration']>, schema = 'public'): Config {
  const { config } = both;
  return {
    ...config,
    target: { ...config.target, schema },
    migration: { ...config.migration, type_overrides: {}, ...changes },
  };
}

function run(config: Config): Promise<RunOutcome> {
  return runMigration(config, { signal: new AbortController().signal, onEvent: () => {} });
}

async function succeeded(config: Config): Promise<RunOutcome> {
  const outcome = await run(config);
  assert.equal(outcome.error, undefined, `${outcome.error?.message} ${outcome.tables[0]?.error?.message}`);
  return outcome;
}

async function assertSame(config: Config, options: { trustRowHash?: boolean } = {}): Promise<void> {
  for (const report of (await verifyAll(config, options)).values()) {
    assert.deepEqual(found(report), expected(), report.table);
  }
}

const notesOf = ({ tables }: RunOutcome, table: string) =>
  tables.find((one) => one.table === table)?.notes.join('\n') ?? '';

async function generatedColumns(table: string): Promise<Record<string, string>> {
  const { rows } = await both.client.query<{ name: string; by: string }>(
    `SELECT a.attname AS name, pg_get_expr(d.adbin, d.adrelid) AS by FROM pg_attribute a
     JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = $1::regclass AND a.attgenerated = 's' ORDER BY a.attnum`,
    [table],
  );
  return Object.fromEntries(rows.map(({ name, by }) => [name, by.replace(/\s+/g, ' ').trim()]));
}

test('persisted columns that translate are generated, the values of others are copied', async () => {
  assert.deepEqual(await generatedColumns('"Computed"'), {
    Total: '(("Quantity")::numeric * "Price")',
    Twice: '("Quantity" * 2)',
    Label: `('#'::text || (COALESCE("Name", '?'::character varying))::text)`,
    Due: 'CASE WHEN (("Paid" <> 0) = true) THEN 0 ELSE "Quantity" END',
  });
  assert.deepEqual(await generatedColumns('"ComputedKey"'), {});
  const { rows } = await both.client.query(
    `SELECT "Total", "Label", "Due", "Plain", "Bytes", "DayText" FROM "Computed" ORDER BY "Id"`,
  );
  assert.deepEqual(rows, [
    { Total: '3.75', Label: '#Å', Due: 3, Plain: 4, Bytes: Buffer.from([0xc5, 0]), DayText: '2024-02-29' },
    { Total: '0.00', Label: '#?', Due: 0, Plain: 1, Bytes: null, DayText: null },
    { Total: '0.35', Label: '#', Due: 7, Plain: 8, Bytes: Buffer.alloc(0), DayText: '0001-01-01' },
  ]);
  const outcome = await succeeded(
    configOf({ target_mode: 'truncate', type_overrides: { 'Computed.Paid': 'smallint' } }),
  );
  const notes = notesOf(outcome, 'dbo.Computed');
  assert.match(notes, /column Plain is computed .*values are copied: it is not persisted/);
  assert.match(notes, /column Bytes is computed .*values are copied: .*string to binary/);
  assert.match(
    notes,
    /column DayText is computed .*values are copied: PostgreSQL can't generate it: .*immutable/,
  );
  assert.match(
    notesOf(outcome, 'dbo.ComputedKey'),
    /column Id is computed .*values are copied: it is part of the key/,
  );
});

test('generated values are compared, also where rows are streamed, and a wrong one is a finding', async () => {
  const config = both.config;
  for (const trustRowHash of [false, true]) await assertSame(config, { trustRowHash });
  await both.client.query(
    `UPDATE "Computed" SET "Quantity" = 8 WHERE "Id" = 3; UPDATE "ComputedStream" SET "A" = 9 WHERE "Id" = 1`,
  );
  const changed = await verifyAll(config);
  assert.deepEqual(found(changed.get('dbo.Computed')!), expected({ update: '3' }));
  assert.deepEqual(found(changed.get('dbo.ComputedStream')!), expected({ update: '1' }));
  await succeeded({ ...config, migration: { ...config.migration, target_mode: 'upsert' } });
  await assertSame(config);
  await both.client.query(`ALTER TABLE "Computed" DROP COLUMN "Due", ADD COLUMN "Due" int GENERATED ALWAYS AS ("Quantity") STORED;
    ALTER TABLE "ComputedStream" DROP COLUMN "B", ADD COLUMN "B" int GENERATED ALWAYS AS ("A" + 3) STORED`);
  await both.inSource(`UPDATE dbo.Computed SET Paid = 1 WHERE Id = 3`);
  const wrong = await verifyAll(config);
  assert.deepEqual(found(wrong.get('dbo.Computed')!), expected({ update: '3' }));
  assert.deepEqual(found(wrong.get('dbo.ComputedStream')!), expected({ update: '2' }));
});

test('computed columns left out, or copied; a target that has them otherwise is refused', async () => {
  const tables = { include_tables: ['Computed', 'ComputedKey'] };
  const skip = configOf({ ...tables, computed_columns: 'skip' }, 'skip');
  const outcome = await succeeded(skip);
  const notes = notesOf(outcome, 'dbo.Computed');
  assert.match(notes, /left out: computed column Total .*: migration.computed_columns is skip/);
  assert.match(notes, /left out: check CK_Total .*Total is no column/);
  assert.match(notes, /left out: index IX_Total/);
  const { rows } = await both.client.query(
    `SELECT count(*)::int AS n FROM pg_attribute WHERE attrelid = 'skip."Computed"'::regclass AND attnum > 0`,
  );
  assert.deepEqual(rows, [{ n: 7 }]);
  await assertSame(skip);
  await succeeded(configOf({ ...tables, computed_columns: 'value' }, 'copied'));
  assert.deepEqual(await generatedColumns('copied."Computed"'), {});
  await assert.rejects(run(configOf({ ...tables, target_mode: 'upsert' }, 'copied')), {
    code: 'SCHEMA_CONFLICT',
    message: /copied.Computed.Total is not generated.*computed_columns: value/,
  });
});

for (const collation of ['icu', 'citext'] as const) {
  test(`a case-insensitive collation as ${collation}`, async () => {
    const config = configOf({ include_tables: ['Folded*'], collation, create_foreign_keys: true }, collation);
    const outcome = await succeeded(config);
    const { client } = both;
    const folded = `${collation}."FoldedName"`;
    await assert.rejects(client.query(`INSERT INTO ${folded} ("Name") VALUES ('PLAIN A')`), /PK_FoldedName/);
    await assert.rejects(client.query(`INSERT INTO ${folded} ("Name") VALUES ('NONE')`), /CK_Name/);
    const { rows } = await client.query(
      `SELECT "V" FROM ${folded} WHERE "Name" = 'ZOË A' OR "Exact" = 'zoë a'`,
    );
    assert.deepEqual(rows, [{ V: 2 }]);
    const { rows: accents } = await client.query(`SELECT "V" FROM ${folded} WHERE "Name" = 'zoe a'`);
    assert.deepEqual(accents, []);
    assert.match(
      notesOf(outcome, 'dbo.FoldedName'),
      collation === 'icu'
        ? /column Name is compared without case.*LIKE/
        : /column Name becomes citext: .*no length limit/,
    );
    if (collation === 'citext') assert.match(notesOf(outcome, 'dbo.FoldedName'), /column Code stays char/);
    await assertSame(config);

    // A key that differs in case alone is found, and takes the source's spelling: without deletions, and with them.
    await client.query(`UPDATE ${folded} SET "Name" = upper("Name") WHERE "V" = 3`);
    await client.query(`UPDATE ${collation}."FoldedUse" SET "Name" = 'plain A' WHERE "Id" = 2`);
    const reports = await verifyAll(config);
    assert.deepEqual(
      found(reports.get('dbo.FoldedName')!),
      expected({ insert: 'plain a', delete: 'PLAIN A' }),
    );
    assert.deepEqual(found(reports.get('dbo.FoldedUse')!), expected({ update: '2' }));
    const delete_extra_rows = collation === 'citext';
    const upsert = { target_mode: 'upsert', delete_extra_rows } as const;
    await succeeded({ ...config, migration: { ...config.migration, ...upsert } });
    await assertSame(config);
    await assert.rejects(client.query(`UPDATE ${collation}."FoldedUse" SET "Name" = 'nobody a'`), /FK_Name/);
  });
}

test('rows that a conversion would alter are refused with place, value and limit', async () => {
  const overrides = Object.fromEntries(misfits.map(([, as], i) => [`Bad${i}.V`, as]));
  const outcome = await run(configOf({ include_tables: ['Bad*'], type_overrides: overrides }, 'bad'));
  assert.equal(outcome.error?.code, 'TABLES_FAILED');
  for (const [i, [type, , value, limits]] of misfits.entries()) {
    const error = outcome.tables.find(({ table }) => table === `dbo.Bad${i}`)?.error;
    assert.equal(error?.code, 'VALUE_UNREPRESENTABLE', type);
    assert.deepEqual([error.table, error.column, error.key], [`dbo.Bad${i}`, 'V', 'Id=3']);
    assert.ok(
      error.message.includes(`${value} is outside of`) && error.message.includes(limits),
      error.message,
    );
    assert.match(error.remedy ?? '', /type_overrides/);
  }
});

test('what would round values, or cut them, is no conversion', () => {
  for (const [type, changes, fits, cuts] of [
    ['datetime', {}, 'timestamp(3)', 'timestamp(2)'],
    ['datetime2', { scale: 4 }, 'timestamp(4)', 'timestamp(3)'],
    ['datetimeoffset', { scale: 7 }, 'timestamptz(6)', 'timestamptz(5)'],
    ['time', { scale: 1 }, 'time(1)', 'time(0)'],
    ['decimal', { precision: 9, scale: 2 }, 'numeric(10,3)', 'numeric(10,1)'],
    ['money', {}, 'numeric(20,4)', 'numeric(19,3)'],
    ['nvarchar', { maxLengthBytes: 20 }, 'varchar(11)', 'varchar(9)'],
    ['uniqueidentifier', {}, 'varchar(36)', 'varchar(35)'],
  ] as const) {
    const become = (as: string) => mapColumn({ ...sourceColumn('V', type, changes), as }).pgType;
    assert.equal(become(fits), fits);
    assert.throws(() => become(cuts), { code: 'CONFIG_INVALID' }, `${type} to ${cuts}`);
  }
});

test('what can not be converted is refused before anything is touched, with what can', async () => {
  const refused = async (overrides: Record<string, string>, message: RegExp, remedy: RegExp) =>
    assert.rejects(run(configOf({ include_tables: ['Bad*'], type_overrides: overrides })), (error) => {
      const { code, message: text, remedy: way } = error as { code: string; message: string; remedy: string };
      assert.equal(code, 'CONFIG_INVALID');
      assert.match(text, message);
      assert.match(way, remedy);
      return true;
    });
  await refused(
    { bigint: 'real' },
    /dbo.Bad1, column V: bigint can't become real/,
    /bigint one of: bigint; smallint, integer/,
  );
  await refused(
    { 'decimal(10,0)': 'numeric(9,0)' },
    // Not the decimals of other numbers.
    /^[^;]*Bad2, column V: decimal can't become numeric\(9,0\)[^;]*$/,
    /at least as many/,
  );
  await refused({ moneyy: 'text' }, /type_overrides.moneyy: is no type of SQL Server/, /table.column/);
  await refused({ 'Bad1.W': 'text' }, /type_overrides.Bad1.W: names no column/, /schema.table.column/);
  await refused(
    { 'Bad0.V': 'geometry' },
    /Bad0, column V: int can't become geometry/,
    /one of: integer; smallint/,
  );
  await refused({ float: 'floaty' }, /type_overrides.float: floaty is no type that columns can become/, /./);
  await refused({ bit: 'smallint', '[BIT]': 'integer' }, /is there twice/, /./);
  await assert.rejects(run(configOf({ include_tables: ['Place'], spatial: 'geometry' })), {
    code: 'UNSUPPORTED',
    message: /has no PostGIS/,
  });
});
