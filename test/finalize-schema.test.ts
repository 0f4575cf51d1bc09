/**
 * The whole schema of a source in the target: indexes, constraints, defaults, counters, by the target's own catalog.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { runCli } from './support/cli.js';
import { oneLineOfJson, type Scene, startScene, succeeded, tableError } from './support/endToEnd.js';

let scene: Scene;

before(async () => {
  scene = await startScene(
    'schema',
    `CREATE TABLE dbo.Category (
  CategoryId int IDENTITY(100, 10) NOT NULL CONSTRAINT PK_Category PRIMARY KEY,
  Name nvarchar(40) NOT NULL CONSTRAINT UQ_Category_Name UNIQUE,
  ParentId int NULL CONSTRAINT FK_Category_Parent REFERENCES dbo.Category (CategoryId),
  Code varchar(10) NULL
);
CREATE UNIQUE INDEX UX_Category_Code ON dbo.Category (Code);
CREATE INDEX IX_Name ON dbo.Category (Name);
GO
CREATE TABLE dbo.Product (
  Id bigint IDENTITY(-5, 1) NOT NULL CONSTRAINT PK_Product PRIMARY KEY,
  CategoryId int NOT NULL,
  Name nvarchar(50) NOT NULL,
  Price decimal(10, 2) NOT NULL CONSTRAINT DF_Price DEFAULT ((0)),
  Active bit NOT NULL CONSTRAINT DF_Active DEFAULT ((1)),
  Added datetime2(3) NOT NULL CONSTRAINT DF_Added DEFAULT (sysutcdatetime()),
  RowGuid uniqueidentifier NOT NULL CONSTRAINT DF_Guid DEFAULT (newid()),
  Note nvarchar(max) NULL,
  Kind char(1) NOT NULL CONSTRAINT DF_Kind DEFAULT ('A'),
  CONSTRAINT FK_Product_Category FOREIGN KEY (CategoryId) REFERENCES dbo.Category (CategoryId) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT CK_Price CHECK (Price >= 0 AND Price < 100000),
  CONSTRAINT CK_Kind CHECK (Kind IN ('A', 'B')),
  CONSTRAINT CK_Order CHECK (Name > 'A')
);
CREATE INDEX IX_Name ON dbo.Product (Name DESC, CategoryId) INCLUDE (Price, Note);
CREATE INDEX IX_Active ON dbo.Product (Price) WHERE Active = 1;
CREATE UNIQUE INDEX Category ON dbo.Product (RowGuid);
GO
CREATE TABLE dbo.Line (
  ProductId bigint NOT NULL,
  Number smallint NOT NULL,
  Quantity int NOT NULL,
  CONSTRAINT PK_Line PRIMARY KEY (ProductId, Number),
  CONSTRAINT FK_Line_Product FOREIGN KEY (ProductId) REFERENCES dbo.Product (Id),
  CONSTRAINT CK_Quantity CHECK (Quantity > 0)
);
CREATE TABLE dbo.LinePart (
  ProductId bigint NOT NULL,
  Number smallint NOT NULL,
  Part int NOT NULL,
  CONSTRAINT PK_LinePart PRIMARY KEY (ProductId, Number, Part),
  CONSTRAINT FK_LinePart_Line FOREIGN KEY (ProductId, Number) REFERENCES dbo.Line (ProductId, Number)
);
CREATE INDEX IX_LinePart_This_name_is_much_longer_than_the_sixty_three_bytes_of_PostgreSQL ON dbo.LinePart (Part);
GO
ALTER TABLE dbo.Line NOCHECK CONSTRAINT CK_Quantity;
ALTER TABLE dbo.LinePart NOCHECK CONSTRAINT FK_LinePart_Line;
GO
INSERT INTO dbo.Category (Name, ParentId, Code) VALUES (N'Drinks', NULL, NULL);
INSERT INTO dbo.Category (Name, ParentId, Code) VALUES (N'Tea', 100, 'T');
INSERT INTO dbo.Product (CategoryId, Name) VALUES (110, N'Green'), (110, N'Black'), (100, N'Water');
INSERT INTO dbo.Line (ProductId, Number, Quantity) VALUES (-5, 1, 2), (-3, 1, 0);
GO
CREATE TABLE dbo.Faulty (Id int NOT NULL PRIMARY KEY, Word nvarchar(20) NULL);
CREATE TABLE dbo.Child (Id int NOT NULL PRIMARY KEY, FaultyId int NULL CONSTRAINT FK_Child_Faulty REFERENCES dbo.Faulty (Id));
GO
INSERT INTO dbo.Faulty (Id, Word) VALUES (1, CONCAT(N'a', NCHAR(0), N'b'));
INSERT INTO dbo.Child (Id, FaultyId) VALUES (1, 1);`,
  );
});
after(() => scene?.stop());

const tables = { include_tables: ['Category', 'Product', 'Line', 'LinePart'] };

const indexesOf = (schema: string) =>
  scene.rows(`SELECT indexdef FROM pg_indexes WHERE schemaname = '${schema}' ORDER BY indexname COLLATE "C"`);
const constraintsOf = (schema: string) =>
  scene.rows(`SELECT conrelid::regclass::text || ': ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = '${schema}'::regnamespace AND contype IN ('p', 'u', 'f', 'c') ORDER BY conname COLLATE "C"`);
const defaultsOf = (schema: string) =>
  scene.rows(`SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    JOIN pg_class c ON c.oid = d.adrelid WHERE c.relnamespace = '${schema}'::regnamespace ORDER BY a.attname COLLATE "C"`);

const expectedIndexes = [
  'CREATE INDEX "Category_IX_Name" ON app."Category" USING btree ("Name")',
  'CREATE INDEX "IX_Active" ON app."Product" USING btree ("Price") WHERE ("Active" = true)',
  'CREATE INDEX "IX_LinePart_This_name_is_much_longer_than_the_sixty_th_2d2c4d16" ON app."LinePart" USING btree ("Part")',
  'CREATE UNIQUE INDEX "PK_Category" ON app."Category" USING btree ("CategoryId")',
  'CREATE UNIQUE INDEX "PK_Line" ON app."Line" USING btree ("ProductId", "Number")',
  'CREATE UNIQUE INDEX "PK_LinePart" ON app."LinePart" USING btree ("ProductId", "Number", "Part")',
  'CREATE UNIQUE INDEX "PK_Product" ON app."Product" USING btree ("Id")',
  'CREATE UNIQUE INDEX "Product_Category" ON app."Product" USING btree ("RowGuid")',
  'CREATE INDEX "Product_IX_Name" ON app."Product" USING btree ("Name" DESC, "CategoryId") INCLUDE ("Price")',
  'CREATE UNIQUE INDEX "UQ_Category_Name" ON app."Category" USING btree ("Name")',
  'CREATE UNIQUE INDEX "UX_Category_Code" ON app."Category" USING btree ("Code") NULLS NOT DISTINCT',
].map((line) => [line]);

const expectedConstraints = [
  `app."Product": CK_Kind CHECK (((lower(rtrim(("Kind")::text, ' '::text)) = 'b'::text) OR (lower(rtrim(("Kind")::text, ' '::text)) = 'a'::text)))`,
  `app."Product": CK_Price CHECK ((("Price" >= (0)::numeric) AND ("Price" < (100000)::numeric)))`,
  'app."Category": FK_Category_Parent FOREIGN KEY ("ParentId") REFERENCES app."Category"("CategoryId")',
  'app."Line": FK_Line_Product FOREIGN KEY ("ProductId") REFERENCES app."Product"("Id")',
  'app."Product": FK_Product_Category FOREIGN KEY ("CategoryId") REFERENCES app."Category"("CategoryId") ON UPDATE CASCADE ON DELETE CASCADE',
  'app."Category": PK_Category PRIMARY KEY ("CategoryId")',
  'app."Line": PK_Line PRIMARY KEY ("ProductId", "Number")',
  'app."LinePart": PK_LinePart PRIMARY KEY ("ProductId", "Number", "Part")',
  'app."Product": PK_Product PRIMARY KEY ("Id")',
  'app."Category": UQ_Category_Name UNIQUE ("Name")',
].map((line) => [line]);

const inSchema = (lines: string[][], schema: string) =>
  lines.map(([line = '']) => [line.replaceAll('app."', `${schema}."`)]);

describe('drop_recreate', () => {
  const changes = { target: { schema: 'app' }, migration: tables };

  test('makes everything that can be said in PostgreSQL, and a second run makes it again', async () => {
    for (const attempt of [1, 2]) {
      const result = succeeded(await scene.migrate(changes));
      assert.deepEqual(await indexesOf('app'), expectedIndexes, `attempt ${attempt}`);
      assert.deepEqual(await constraintsOf('app'), expectedConstraints, `attempt ${attempt}`);
      const kinds = new Set(result.steps.map(({ step }) => step));
      for (const kind of ['index', 'check', 'default', 'identity', 'foreign key', 'validate foreign key']) {
        assert.ok(kinds.has(kind), kind);
      }
    }
  });

  test('makes it with no more connections than max_pg_connections', async () => {
    await scene.client.query(`CREATE ROLE counted LOGIN PASSWORD 'counted';
      GRANT CREATE ON DATABASE ${scene.target.connection.database} TO counted;
      GRANT ALL ON SCHEMA mssql_pg_migrate TO counted;
      GRANT ALL ON ALL TABLES IN SCHEMA mssql_pg_migrate TO counted`);
    let most = 0;
    let ended = false;
    const run = scene
      .migrate({
        target: { schema: 'counted', user: 'counted', password: 'counted' },
        migration: { ...tables, max_pg_connections: 3 },
      })
      .finally(() => {
        ended = true;
      });
    while (!ended) {
      const [[now] = []] = await scene.rows(
        `SELECT count(*) FROM pg_stat_activity WHERE usename = 'counted'`,
      );
      most = Math.max(most, Number(now));
    }
    const result = await run;
    await scene.client.query('DROP OWNED BY counted; DROP ROLE counted');
    succeeded(result);
    assert.equal(most, 3);
  });

  test('defaults', async () => {
    assert.deepEqual(
      await defaultsOf('app'),
      [
        ['Active', 'true'],
        ['Added', `((statement_timestamp() AT TIME ZONE 'UTC'::text))::timestamp(3) without time zone`],
        ['Price', '0'],
        ['RowGuid', 'gen_random_uuid()'],
        // A default of char(n) is a char(n).
        ['Kind', `'A'::character(1)`],
      ].sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
    );
  });

  test('counters go on behind the source’s last value', async () => {
    const inserted = await scene.rows(
      `INSERT INTO app."Category" ("Name", "Code") VALUES ('Beer', 'B'), ('Wine', 'W') RETURNING "CategoryId"`,
    );
    assert.deepEqual(inserted, [['120'], ['130']]);
    const product = await scene.rows(
      `INSERT INTO app."Product" ("CategoryId", "Name") VALUES (120, 'Stout') RETURNING "Id", "Price", "Active", "Kind"`,
    );
    assert.deepEqual(product, [['-2', '0.00', 't', 'A']]);
    const sequence = `SELECT start_value, increment_by, min_value FROM pg_sequences WHERE schemaname = 'app' ORDER BY sequencename`;
    assert.deepEqual(await scene.rows(sequence), [
      ['100', '10', '1'],
      ['-5', '1', '-9223372036854775808'],
    ]);
  });

  test('the target refuses what the source refused', async () => {
    const refused = async (sql: string, state: string) => {
      const error = await scene.client.query(sql).then(
        () => assert.fail(`not refused: ${sql}`),
        (caught: { code?: string }) => caught,
      );
      assert.equal(error.code, state);
    };
    await refused(`INSERT INTO app."Category" ("Name") VALUES ('x')`, '23505');
    await refused(`INSERT INTO app."Product" ("CategoryId", "Name", "Price") VALUES (100, 'x', -1)`, '23514');
    await refused(`INSERT INTO app."Product" ("CategoryId", "Name", "Kind") VALUES (100, 'x', 'C')`, '23514');
    await refused(`INSERT INTO app."Product" ("CategoryId", "Name") VALUES (7, 'x')`, '23503');
    await refused(`INSERT INTO app."Line" VALUES (99, 1, 1)`, '23503');
    await scene.client.query(
      `INSERT INTO app."Product" ("CategoryId", "Name", "Kind") VALUES (100, 'x', 'b')`,
    );
  });

  test('what is left out is named with its reason', async () => {
    const result = succeeded(await scene.migrate(changes));
    const notes = new Map(result.tables.map(({ table, notes: lines }) => [table, lines.join('\n')]));
    assert.match(
      notes.get('dbo.Product') ?? '',
      /left out: check CK_Order .*: the servers order strings differently/,
    );
    assert.match(notes.get('dbo.Product') ?? '', /index IX_Name does not include Note/);
    assert.match(notes.get('dbo.Product') ?? '', /index IX_Name is named Product_IX_Name/);
    assert.match(notes.get('dbo.Product') ?? '', /check CK_Kind: strings are compared without case/);
    assert.match(notes.get('dbo.Line') ?? '', /left out: check CK_Quantity .*disabled in the source/);
    assert.match(notes.get('dbo.LinePart') ?? '', /left out: foreign key FK_LinePart_Line .*disabled/);
    assert.match(notes.get('dbo.LinePart') ?? '', /is named IX_LinePart_This.*63 bytes/);
  });
});

test('create_* false leaves out indexes, keys and checks, and says so', async () => {
  const flags = { create_indexes: false, create_foreign_keys: false, create_check_constraints: false };
  const result = succeeded(
    await scene.migrate({ target: { schema: 'bare' }, migration: { ...tables, ...flags } }),
  );
  const kinds = await scene.rows(
    `SELECT DISTINCT contype FROM pg_constraint WHERE connamespace = 'bare'::regnamespace AND contype <> 'n' ORDER BY 1`,
  );
  assert.deepEqual(kinds, [['p'], ['u']]);
  assert.equal((await indexesOf('bare')).length, 5);
  const notes = result.tables.flatMap((table) => table.notes).join('\n');
  assert.match(notes, /left out: index IX_Active: migration\.create_indexes is false/);
  assert.match(notes, /left out: foreign key FK_Line_Product .*migration\.create_foreign_keys is false/);
  assert.match(notes, /left out: check CK_Price .*migration\.create_check_constraints is false/);
});

test('a foreign key to a table outside the run is left out', async () => {
  const result = succeeded(
    await scene.migrate({ target: { schema: 'part' }, migration: { include_tables: ['Product'] } }),
  );
  assert.match(
    result.tables[0]?.notes.join('\n') ?? '',
    /FK_Product_Category .*dbo\.Category is not part of this run/,
  );
});

for (const mode of ['truncate', 'upsert']) {
  test(`${mode} works with the foreign keys of an earlier run, and leaves what is there`, async () => {
    const schema = `again_${mode}`;
    const migration = { ...tables, target_mode: mode };
    for (const attempt of [1, 2, 3]) {
      // The third time some rows are missing, and one counts further than the source.
      if (attempt === 3) {
        await scene.client.query(
          `DELETE FROM ${schema}."Line"; DELETE FROM ${schema}."Product" WHERE "Id" = -5; SELECT setval('${schema}."Category_CategoryId_seq"', 5)`,
        );
      }
      const result = succeeded(await scene.migrate({ target: { schema }, migration }));
      assert.deepEqual(
        await constraintsOf(schema),
        inSchema(expectedConstraints, schema),
        `attempt ${attempt}`,
      );
      assert.equal((await indexesOf(schema)).length, expectedIndexes.length);
      assert.deepEqual(await scene.rows(`SELECT count(*) FROM ${schema}."Line"`), [['2']]);
      if (attempt === 2) assert.ok(!result.steps.some(({ step }) => step === 'index' || step === 'default'));
    }
    if (mode === 'truncate') {
      assert.deepEqual(await scene.rows(`SELECT nextval('${schema}."Category_CategoryId_seq"')`), [['120']]);
    }
  });
}

test('truncate refuses foreign keys it would not make again', async () => {
  await scene.client.query(
    `CREATE TABLE again_truncate.foreigner (id bigint REFERENCES again_truncate."Product" ("Id"))`,
  );
  const { code, result } = await scene.migrate({
    target: { schema: 'again_truncate' },
    migration: { ...tables, target_mode: 'truncate' },
  });
  assert.deepEqual([code, result.error?.code], [3, 'SCHEMA_CONFLICT']);
  assert.match(result.error?.message ?? '', /foreigner/);
});

test('a constraint that rows break fails its table, and the rest goes on', async () => {
  // What the caveat of LEN says: a character beyond U+FFFF counts as two in the source, as one here.
  await scene.tsql(`CREATE TABLE dbo.Town (Id int NOT NULL PRIMARY KEY, Sign nvarchar(5) NOT NULL CONSTRAINT CK_Sign CHECK (LEN(Sign) >= 2));
    INSERT INTO dbo.Town (Id, Sign) VALUES (1, N'\u{1f3f0}')`);
  const { code, result } = await scene.migrate({
    target: { schema: 'broken' },
    migration: { include_tables: ['Category', 'Town'] },
  });
  assert.deepEqual([code, result.failed_tables], [3, ['dbo.Town']]);
  assert.match(tableError(result, 'dbo.Town').message, /CK_Sign/);
  assert.match(
    result.tables.find(({ table }) => table === 'dbo.Town')?.notes.join('\n') ?? '',
    /check CK_Sign: .*U\+FFFF/,
  );
});

test('an index name that something else has is refused before anything is dropped', async () => {
  await scene.client.query(
    `CREATE SCHEMA named; CREATE TABLE named."Category" (id int); CREATE TABLE named."UX_Category_Code" (id int)`,
  );
  const { code, result } = await scene.migrate({ target: { schema: 'named' }, migration: tables });
  assert.deepEqual([code, result.error?.code], [3, 'SCHEMA_CONFLICT']);
  assert.match(result.error?.message ?? '', /Index UX_Category_Code of named\.Category .*is no index/);
  assert.deepEqual(await scene.rows(`SELECT count(*) FROM named."Category"`), [['0']]);
});

test('a foreign key to a table that did not arrive fails its table', async () => {
  const { code, result } = await scene.migrate({
    target: { schema: 'orphaned' },
    migration: { include_tables: ['Faulty', 'Child'] },
  });
  assert.equal(code, 3);
  assert.deepEqual(result.failed_tables.toSorted(), ['dbo.Child', 'dbo.Faulty']);
  assert.match(
    tableError(result, 'dbo.Child').message,
    /FK_Child_Faulty is not made.*Faulty, did not arrive whole/,
  );
});

test('a dry run lists all of it and makes nothing', async () => {
  const changes = { target: { schema: 'dry' }, migration: tables };
  const json = await runCli(['-c', scene.config(changes), '--output-json', 'run', '--dry-run']);
  assert.equal(json.code, 0, json.stderr);
  const { dry_run } = oneLineOfJson(json.stdout) as {
    dry_run: { tables: { table: string; ddl: string[]; left_out: { kind: string; name: string }[] }[] };
  };
  const product = dry_run.tables.find(({ table }) => table === 'dbo.Product');
  assert.ok(product);
  const ddl = product.ddl.join('\n');
  assert.match(ddl, /CREATE TABLE "dry"\."Product"/);
  assert.match(ddl, /"Id" bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY \(START WITH -5/);
  assert.match(ddl, /CREATE INDEX "Product_IX_Name" .*"Name" DESC/);
  assert.match(ddl, /ADD CONSTRAINT "CK_Price" CHECK \("Price" >= 0 AND "Price" < 100000\)/);
  assert.match(ddl, /FOREIGN KEY \("CategoryId"\) REFERENCES "dry"\."Category"/);
  assert.deepEqual(
    product.left_out.map(({ kind, name }) => [kind, name]),
    [['check', 'CK_Order']],
  );
  const text = await runCli(['-c', scene.config(changes), 'run', '--dry-run']);
  assert.match(text.stdout, /then: CREATE UNIQUE INDEX "Product_Category"/);
  assert.match(text.stdout, /note: left out: check CK_Order/);
  assert.deepEqual(await scene.rows(`SELECT 1 FROM pg_namespace WHERE nspname = 'dry'`), []);
});

test('the DDL of a dry run, loaded into an empty schema, gives the catalog of the run', async () => {
  const changes = { target: { schema: 'scripted' }, migration: tables };
  const json = await runCli(['-c', scene.config(changes), '--output-json', 'run', '--dry-run']);
  const { dry_run } = oneLineOfJson(json.stdout) as { dry_run: { ddl: string } };
  await scene.client.query(dry_run.ddl);
  assert.deepEqual(await constraintsOf('scripted'), inSchema(expectedConstraints, 'scripted'));
  assert.deepEqual(await indexesOf('scripted'), inSchema(expectedIndexes, 'scripted'));
  assert.deepEqual(await defaultsOf('scripted'), await defaultsOf('app'));
});
