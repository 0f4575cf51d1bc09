/** Several schemas in one run, and names of every kind: what they are called in the target, and that all commands find them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type NameWish, relationKey, relationNames, sequenceName } from '../src/plan/names.js';
import { quoteIdent } from '../src/target/identifiers.js';
import { runCli } from './support/cli.js';
import { type ConfigChanges, oneLineOfJson, type Scene, startScene, succeeded } from './support/endToEnd.js';

/** T-SQL's quoting. */
const q = (name: string): string => `[${name.replaceAll(']', ']]')}]`;

const ODD_SCHEMA = 'odd.]schema "x"; --';
const ODD_TABLE = `Ta"b]le'; DROP TABLE x;\n--`;
const LONG = 'L'.repeat(127);
/** Columns of the hostile table beside its key. */
const ODD_COLUMNS = [
  'a"b',
  'c]d',
  "it's",
  'line\nbreak',
  '名前',
  'select',
  ' blank ',
  `${LONG}1`,
  `${LONG}2`,
];

const odd = `${q(ODD_SCHEMA)}.${q(ODD_TABLE)}`;
const SCRIPT = `
CREATE TABLE dbo.Customer (
  CustomerID int IDENTITY(10,10) NOT NULL CONSTRAINT PK_Customer PRIMARY KEY,
  FullName nvarchar(40) NOT NULL CONSTRAINT DF_Name DEFAULT (N'nobody') CONSTRAINT UQ_Customer_Name UNIQUE,
  [select] int NULL,
  CONSTRAINT CK_Customer_Name CHECK (LEN([FullName])>(0)));
CREATE INDEX IX_Name ON dbo.Customer (FullName);
EXEC sys.sp_addextendedproperty N'MS_Description', N'who buys', N'SCHEMA', N'dbo', N'TABLE', N'Customer';
INSERT INTO dbo.Customer (FullName) VALUES (N'Ada'), (N'Grace');
GO
CREATE SCHEMA Sales;
GO
CREATE SEQUENCE Sales.OrderNo AS int START WITH 100;
GO
CREATE TABLE Sales.Customer (
  CustomerID int NOT NULL CONSTRAINT PK_Customer PRIMARY KEY
    CONSTRAINT FK_Customer_Customer REFERENCES dbo.Customer (CustomerID),
  OrderNo int NOT NULL CONSTRAINT DF_OrderNo DEFAULT (NEXT VALUE FOR Sales.OrderNo),
  TaxRate decimal(5,2) NULL);
CREATE INDEX IX_Name ON Sales.Customer (OrderNo);
INSERT INTO Sales.Customer (CustomerID, TaxRate) VALUES (10, 7.5), (20, NULL);
GO
CREATE SCHEMA ${q(ODD_SCHEMA)};
GO
CREATE TABLE ${odd} (
  ${q('i"d')} int NOT NULL CONSTRAINT ${q('P"K]')} PRIMARY KEY,
  ${ODD_COLUMNS.map((name) => `${q(name)} nvarchar(20) NULL`).join(', ')},
  CONSTRAINT ${q(`FK_'${LONG.slice(4)}`)} FOREIGN KEY (${q('i"d')}) REFERENCES Sales.Customer (CustomerID),
  CONSTRAINT ${q('C"K')} CHECK (${q('a"b')}<>${q('c]d')}));
CREATE INDEX ${q("I'X")} ON ${odd} (${q('line\nbreak')}, ${q(`${LONG}2`)});
EXEC sys.sp_addextendedproperty N'MS_Description', N'it''s "here"', N'SCHEMA', N'${ODD_SCHEMA}', N'TABLE', N'${ODD_TABLE.replaceAll("'", "''")}', N'COLUMN', N'it''s';
INSERT INTO ${odd} VALUES (10, ${ODD_COLUMNS.map((_, i) => `N'v${i}'`).join(', ')}), (20, ${ODD_COLUMNS.map(() => 'NULL').join(', ')});`;

let scene: Scene;
before(async () => {
  scene = await startScene('names', SCRIPT);
});
after(() => scene?.stop());

/** Every relation and constraint of the target, with the schema it is in. */
async function catalog(): Promise<string[]> {
  const rows = await scene.rows(
    `SELECT format('%s %s.%s', CASE c.relkind WHEN 'r' THEN 'table' WHEN 'i' THEN 'index' ELSE 'sequence' END, n.nspname, c.relname)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'i', 'S') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'mssql_pg_migrate')
    UNION ALL SELECT format('%s %s.%s: %s', CASE contype WHEN 'c' THEN 'check' ELSE 'key' END, n.nspname, conname, pg_get_constraintdef(k.oid))
      FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
      WHERE contype IN ('c', 'f') AND n.nspname NOT IN ('mssql_pg_migrate', 'pg_catalog', 'information_schema')
    ORDER BY 1`,
  );
  return rows.map(([text]) => text!);
}

/** What MS_Description became. */
async function comments(): Promise<string[]> {
  const rows = await scene.rows(
    `SELECT CASE WHEN objsubid = 0 THEN 'table ' || c.relname ELSE a.attname END || ': ' || description
      FROM pg_description d JOIN pg_class c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid
      WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'mssql_pg_migrate') ORDER BY 1`,
  );
  return rows.map(([text]) => text!);
}

async function command(name: string, changes: ConfigChanges) {
  const done = await runCli(['-c', scene.config(changes), '--output-json', name]);
  return { ...done, json: oneLineOfJson(done.stdout) as Record<string, unknown> };
}

/** `L...` and the like, cut: 54 bytes and the hash. */
const cut = (letter: string, digits: string): string => `${letter.repeat(54)}_${digits}`;
const ODD_LABEL = `[odd.]]schema "x"; --].${ODD_TABLE}`;

test('all schemas, names as they are: every command finds every table', async () => {
  const stateFile = join(scene.directory, 'all.state');
  const changes = { source: { schema: '*' } };
  const result = succeeded(await scene.migrate(changes, ['--state-file', stateFile]));
  assert.deepEqual(result.tables.map(({ table, target, rows }) => [table, target, rows]).sort(), [
    ['Sales.Customer', 'Sales.Customer', 2],
    [ODD_LABEL, ODD_LABEL, 2],
    ['dbo.Customer', 'public.Customer', 2],
  ]);
  assert.deepEqual(await catalog(), [
    `check odd.]schema "x"; --.C"K: CHECK ((lower(rtrim(("a""b")::text, ' '::text)) <> lower(rtrim(("c]d")::text, ' '::text))))`,
    `check public.CK_Customer_Name: CHECK ((length(rtrim(("FullName")::text, ' '::text)) > 0))`,
    'index Sales.IX_Name',
    'index Sales.PK_Customer',
    `index odd.]schema "x"; --.I'X`,
    'index odd.]schema "x"; --.P"K]',
    'index public.IX_Name',
    'index public.PK_Customer',
    'index public.UQ_Customer_Name',
    'key Sales.FK_Customer_Customer: FOREIGN KEY ("CustomerID") REFERENCES "Customer"("CustomerID")',
    `key odd.]schema "x"; --.FK_'${'L'.repeat(50)}_523822c8: FOREIGN KEY ("i""d") REFERENCES "Sales"."Customer"("CustomerID")`,
    'sequence Sales.OrderNo',
    'sequence public.Customer_CustomerID_seq',
    'table Sales.Customer',
    `table odd.]schema "x"; --.${ODD_TABLE}`,
    'table public.Customer',
  ]);
  assert.deepEqual(await comments(), ['it\'s: it\'s "here"', 'table Customer: who buys']);
  const quoted = [...ODD_COLUMNS.slice(0, -2), cut('L', '6119ae84'), cut('L', '229c98bd')]
    .map((name) => `"${name.replaceAll('"', '""')}"`)
    .join(', ');
  assert.deepEqual(
    await scene.rows(
      `SELECT ${quoted} FROM "odd.]schema ""x""; --"."${ODD_TABLE.replaceAll('"', '""')}" WHERE "i""d" = 10`,
    ),
    [ODD_COLUMNS.map((_, i) => `v${i}`)],
  );
  const { tables } = JSON.parse(readFileSync(stateFile, 'utf8'));
  assert.deepEqual(Object.keys(tables).sort(), ['Sales.Customer', ODD_LABEL, 'dbo.Customer']);

  for (const name of ['validate', 'verify']) {
    const { code, json } = await command(name, changes);
    assert.deepEqual([code, json.tables_matching], [0, 3], name);
  }
  const status = await command('status', changes);
  assert.deepEqual(Object.keys(status.json.tables ?? {}).sort(), [
    'Sales.Customer',
    ODD_LABEL,
    'dbo.Customer',
  ]);
  const receipt = await command('receipt', changes);
  const receipts = receipt.json.tables as unknown as { target: string; rows: number }[];
  assert.deepEqual(receipts.map(({ target, rows }) => [target, rows]).sort(), [
    ['Sales.Customer', 2],
    [ODD_LABEL, 2],
    ['public.Customer', 2],
  ]);

  const one = { source: { schema: 'Sales' }, target: { schema: 'only' } };
  const only = succeeded(await scene.migrate(one, ['--state-file', stateFile, '--fresh']));
  assert.deepEqual(
    only.tables.map(({ target }) => target),
    ['only.Customer'],
  );
  assert.deepEqual(Object.keys(JSON.parse(readFileSync(stateFile, 'utf8')).tables), ['Customer']);
  assert.match(
    only.tables[0]?.notes.join() ?? '',
    /FK_Customer_Customer.*dbo\.Customer is not part of this run/,
  );
});

test('snake case, schemas mapped onto one another: what clashes is told apart, and upsert finds it all', async () => {
  const mapping = { [ODD_SCHEMA]: 'shop', sales: 'shop', dbo: 'people', gone: 'x' };
  const changes = {
    source: { schema: ['dbo', 'Sales', ODD_SCHEMA] },
    migration: { identifier_case: 'snake', schema_mapping: mapping, use_hash_detection: true },
  };
  const result = succeeded(await scene.migrate(changes));
  assert.ok(result.notes.includes('migration.schema_mapping: no table of this run is in schema gone'));
  const made = await catalog();
  assert.deepEqual(
    made.filter((text) => /^\w+ (shop|people)\./.test(text)),
    [
      "check people.ck_customer_name: CHECK ((length(rtrim((full_name)::text, ' '::text)) > 0))",
      "check shop.c_k: CHECK ((lower(rtrim((a_b)::text, ' '::text)) <> lower(rtrim((c_d)::text, ' '::text))))",
      'index people.ix_name',
      'index people.pk_customer',
      'index people.uq_customer_name',
      'index shop.i_x',
      'index shop.ix_name',
      'index shop.p_k',
      'index shop.pk_customer',
      'key shop.fk_customer_customer: FOREIGN KEY (customer_id) REFERENCES people.customer(customer_id)',
      `key shop.fk_${'l'.repeat(51)}_523822c8: FOREIGN KEY (i_d) REFERENCES shop.customer(customer_id)`,
      'sequence people.customer_customer_id_seq',
      'sequence shop.order_no',
      'table people.customer',
      'table shop.customer',
      'table shop.ta_b_le_drop_table_x',
    ],
  );
  await scene.tsql(`UPDATE dbo.Customer SET FullName = N'Ada L' WHERE CustomerID = 10;
    UPDATE ${odd} SET ${q('a"b')} = N'new' WHERE ${q('i"d')} = 20;
    INSERT INTO dbo.Customer (FullName) VALUES (N'Edsger')`);
  const upsert = { ...changes, migration: { ...changes.migration, target_mode: 'upsert' } };
  const again = succeeded(await scene.migrate(upsert));
  assert.deepEqual(
    again.tables.map(({ target, changes: done }) => [target, done?.inserted, done?.updated]).sort(),
    [
      ['people.customer', 1, 1],
      ['shop.customer', 0, 0],
      ['shop.ta_b_le_drop_table_x', 0, 1],
    ],
  );
  const verify = await command('verify', changes);
  assert.deepEqual([verify.code, verify.json.tables_matching], [0, 3]);
});

test('the plan of all schemas, as a script, makes the same in an empty database', async () => {
  const before = await catalog();
  const schemas = (text: string): boolean => /^\w+ (Sales|odd\.\]schema "x"; --|public)\./.test(text);
  await scene.client.query(`DROP SCHEMA public, "Sales", "odd.]schema ""x""; --" CASCADE`);
  const file = join(scene.directory, 'plan.sql');
  const done = await runCli(['-c', scene.config({ source: { schema: '*' } }), 'plan', '--ddl', file]);
  assert.equal(done.code, 0, done.stderr);
  assert.match(
    done.stdout,
    /dbo\.Customer -> public\.Customer, about \d rows in [^,]+, key CustomerID, read as one/,
  );
  await scene.client.query(readFileSync(file, 'utf8'));
  assert.deepEqual((await catalog()).filter(schemas), before.filter(schemas));
});

test('a plan names all that is in the way of a run, and touches nothing', async () => {
  await scene.tsql(`CREATE TABLE dbo.CUSTOMER_ID (OrderID int, ORDER_ID int);
GO
CREATE TABLE dbo.CustomerID (V sql_variant NOT NULL PRIMARY KEY)`);
  await scene.client.query('CREATE VIEW people.known AS SELECT * FROM people.customer');
  const before = await catalog();
  const changes: ConfigChanges = {
    source: { schema: ['dbo', 'Sales'] },
    target: { schema: 'people' },
    migration: { identifier_case: 'snake', schema_mapping: { Sales: 'people' } },
  };
  const plan = async (args: string[], more: object = {}) => {
    const migration = { ...changes.migration, ...more };
    const done = await runCli(['-c', scene.config({ ...changes, migration }), '--output-json', ...args]);
    const json = oneLineOfJson(done.stdout) as {
      status: string;
      error: { code: string } | null;
      dry_run: {
        obstacles: { code: string; message: string; remedy: string }[];
        tables: { actions: string[] }[];
      };
    };
    return { ...done, json };
  };
  const { code, json } = await plan(['plan']);
  assert.deepEqual([code, json.status, json.error?.code], [1, 'failed', 'RUN_IMPOSSIBLE']);
  assert.deepEqual(
    json.dry_run.obstacles.map(({ message }) => message),
    [
      'Sales.Customer: would become people.customer, and so would dbo.Customer',
      'dbo.CUSTOMER_ID, column ORDER_ID: would become order_id, and so would column OrderID',
      'dbo.CustomerID: would become people.customer_id, and so would dbo.CUSTOMER_ID',
      'Objects outside this run depend on tables to be dropped: table constraint fk_customer_customer on shop.customer (on people.customer), view people.known (on people.customer)',
    ],
  );
  assert.ok(json.dry_run.obstacles.every(({ remedy }) => remedy.length > 0));
  const rehearsed = await plan(['run', '--dry-run']);
  assert.deepEqual([rehearsed.code, rehearsed.json.dry_run], [1, json.dry_run]);
  const run = await scene.migrate(changes);
  assert.deepEqual([run.code, run.result.error?.code], [3, 'SCHEMA_CONFLICT']);

  const upsert = await plan(['plan'], { target_mode: 'upsert', exclude_tables: ['CUSTOMER_ID', 'Sales.*'] });
  assert.deepEqual(
    [upsert.code, upsert.json.dry_run.obstacles.map(({ message }) => message)],
    [
      1,
      [
        "target_mode upsert asks for rows by their key, and types as sql_variant, and float before SQL Server 2016, can't be asked for exactly: dbo.CustomerID (V)",
      ],
    ],
  );
  const cascade = { drop_cascade: true, include_tables: ['dbo.Customer'] };
  const cascading = await plan(['plan'], cascade);
  assert.equal(cascading.code, 0, cascading.stderr);
  assert.deepEqual(cascading.json.dry_run.tables[0]?.actions.slice(1), [
    'drops table constraint fk_customer_customer on shop.customer, which depends on it',
    'drops view people.known, which depends on it',
    'creates table people.customer',
  ]);
  assert.deepEqual(await catalog(), before);

  const done = succeeded(
    await scene.migrate({ ...changes, migration: { ...changes.migration, ...cascade } }),
  );
  assert.deepEqual(
    done.tables[0]?.notes.filter((note) => note.startsWith('dropped')),
    [
      'dropped by drop_cascade: table constraint fk_customer_customer on shop.customer',
      'dropped by drop_cascade: view people.known',
    ],
  );
});

test('a table may have the name PostgreSQL would give the sequence of another one', async () => {
  await scene.tsql(`CREATE TABLE dbo.Customer_CustomerID_seq (ID int NOT NULL PRIMARY KEY)`);
  const changes: ConfigChanges = {
    target: { schema: 'apart' },
    migration: { include_tables: ['dbo.Customer', '*_seq'] },
  };
  const result = succeeded(await scene.migrate(changes));
  const { notes } = result.tables.find(({ table }) => table === 'dbo.Customer')!;
  const [[sequence]] = (await scene.rows(
    `SELECT pg_get_serial_sequence('apart."Customer"', 'CustomerID')`,
  )) as [[string]];
  assert.match(sequence, /^apart\."Customer_CustomerID_seq_[0-9a-f]{8}"$/);
  assert.ok(
    notes.some((note) => note.endsWith('Customer_CustomerID_seq is a table')),
    notes.join('\n'),
  );
  assert.deepEqual(await scene.rows(`SELECT nextval('${sequence}')`), [['40']]);
  for (const [table, column] of [
    ['a', 'b'],
    ['t'.repeat(60), 'c'.repeat(20)],
    ['名'.repeat(20), 'ü'.repeat(31)],
  ] as const) {
    await scene.client.query(
      `CREATE TEMP TABLE ${quoteIdent(table)} (${quoteIdent(column)} int GENERATED BY DEFAULT AS IDENTITY)`,
    );
    const [[name]] = (await scene.rows(
      `SELECT relname FROM pg_class WHERE oid = pg_get_serial_sequence('${quoteIdent(table)}', '${column}')::regclass`,
    )) as [[string]];
    assert.equal(sequenceName(table, column), name);
  }
});

test('schemas, patterns and overrides that name nothing are told together', async () => {
  const done = await command('plan', {
    source: { schema: ['dbo', 'Nowhere'] },
    target: { schema: 'nothing_yet' },
    migration: {
      include_tables: ['Customer', 'Nothing*', 'Never'],
      type_overrides: { 'dbo.Customer.Nope': 'text' },
    },
  });
  const { obstacles, tables } = done.json.dry_run as { obstacles: { message: string }[]; tables: object[] };
  assert.deepEqual(
    obstacles.map(({ message }) => message),
    [
      'No table is visible in source schema Nowhere',
      'migration.include_tables: Nothing*, Never match no source table',
      'migration.type_overrides.dbo.Customer.Nope: names no column of the tables of this run',
    ],
  );
  assert.deepEqual([done.code, tables.length], [1, 1]);
});

test('names of relations: the same whatever comes first, never the same twice', () => {
  const taken = new Set(
    ['Orders', 'PK_A', 'B_IX', 'seq'].map((name) => relationKey({ schema: 'app', name })),
  );
  const wish = (table: string | null, name: string, schema = 'app'): NameWish => ({
    ...{ schema, table, name, identity: JSON.stringify([table, name]) },
  });
  const wishes = [
    wish('A', 'IX'),
    wish('B', 'IX'),
    wish('A', 'Orders'),
    wish('A', 'Own'),
    wish('A', 'Orders', 'other'),
    wish(null, 'seq'),
  ];
  const names = relationNames(wishes, taken);
  assert.equal(names[0], 'A_IX');
  assert.match(names[1] ?? '', /^B_IX_[0-9a-f]{8}$/);
  assert.deepEqual(names.slice(2, 5), ['A_Orders', 'Own', 'Orders']);
  assert.match(names[5] ?? '', /^seq_[0-9a-f]{8}$/);
  assert.deepEqual(relationNames(wishes.toReversed(), taken), names.toReversed());
});
