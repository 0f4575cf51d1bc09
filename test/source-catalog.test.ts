/** The source catalog, key ranges and counts, read from a SQL Server: the stand-in, or that of `TEST_MSSQL_URL`. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseConfig } from '../src/config/schema.js';
import { AppError } from '../src/errors.js';
import type { TablePlan } from '../src/plan/model.js';
import { transferMode } from '../src/plan/modes/index.js';
import { planPartitions } from '../src/plan/partitions.js';
import { readQuery } from '../src/plan/queries.js';
import { planTables } from '../src/plan/tables.js';
import { missedSecondary, readCatalog, serverFacts } from '../src/source/catalog.js';
import {
  connectSource,
  type QueryParameter,
  type SourceConnection,
  type SourceIsolation,
  type SourceOptions,
} from '../src/source/connection.js';
import type { SourceTable } from '../src/source/model.js';
import { readScope } from '../src/source/scope.js';
import { connectTarget, type TargetOptions } from '../src/target/connection.js';
import { compareMethod } from '../src/verify/compare.js';
import { countRows } from '../src/verify/counts.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';
import {
  runTsql,
  type SqlServerConnection,
  startSqlServer,
  type TestSqlServer,
} from './support/sqlserver.js';

const SCRIPT = `
CREATE SCHEMA sales;
GO
CREATE TYPE dbo.Phone FROM varchar(20) NOT NULL;
GO
CREATE TABLE dbo.Users (
  Id int IDENTITY(10, 5) NOT NULL CONSTRAINT PK_Users PRIMARY KEY,
  Name sysname NOT NULL,
  Phone dbo.Phone NULL,
  Balance decimal(18, 4) NULL,
  Score int NULL,
  Twice AS (Score * 2),
  Bio nvarchar(max) NULL,
  Born datetime2(3) NULL
);
CREATE UNIQUE INDEX UX_Users_Name ON dbo.Users (Name);
CREATE UNIQUE INDEX UX_Users_Phone ON dbo.Users (Phone) WHERE Phone IS NOT NULL;
CREATE UNIQUE INDEX UX_Users_Balance ON dbo.Users (Balance, Id);
CREATE TABLE dbo.[Order]] Lines] (
  Region nvarchar(10) COLLATE Latin1_General_CI_AS NOT NULL,
  Line int NOT NULL,
  Note varchar(50) NULL,
  CONSTRAINT [PK Lines] PRIMARY KEY (Region, Line)
);
CREATE TABLE dbo.Tokens (Token uniqueidentifier NOT NULL CONSTRAINT UQ_Tokens UNIQUE, Label nvarchar(20) NULL);
CREATE TABLE dbo.Heap (A int NULL);
CREATE TABLE sales.Users (Code varchar(10) NOT NULL CONSTRAINT PK_Sales_Users PRIMARY KEY);
GO
INSERT INTO dbo.Users (Name, Balance) VALUES (N'Ann', 1.5), (N'Bob', -2.25);
INSERT INTO dbo.Heap (A) VALUES (1), (1), (NULL);
`;

let server: TestSqlServer;
let database: SqlServerConnection;
let options: SourceOptions;
let source: SourceConnection;

before(async () => {
  server = await startSqlServer();
  database = await server.createDatabase('catalog');
  options = {
    ...database,
    trust_server_cert: true,
    authentication: 'sql',
    isolation: 'read_committed',
    connect_timeout_seconds: 15,
    request_timeout_seconds: 0,
    packet_size_bytes: 32_767,
  };
  const lines = ['a', 'B', 'c', 'É', 'z'].flatMap((region) =>
    Array.from({ length: 40 }, (_, line) => `(N'${region}', ${line}, 'x')`),
  );
  const tokens = Array.from({ length: 60 }, (_, index) => {
    const hex = ((index * 2_654_435_761) % 2 ** 32).toString(16).padStart(8, '0');
    return `('${hex}-0000-4000-8000-0000${hex}')`;
  });
  await runTsql(
    database,
    `${SCRIPT}
    INSERT INTO dbo.[Order]] Lines] (Region, Line, Note) VALUES ${lines.join(', ')};
    INSERT INTO dbo.Tokens (Token) VALUES ${tokens.join(', ')};`,
  );
  source = await connectSource(options);
});
after(async () => {
  await source?.close();
  await server?.stop();
});

async function tables(schemas = ['dbo']): Promise<Map<string, SourceTable>> {
  const found = await readCatalog(source, { schemas });
  return new Map(found.map((table) => [table.name, table]));
}

describe('the catalog', () => {
  test('tables, rows and keys', async () => {
    const found = await tables();
    assert.deepEqual([...found.keys()].sort(), ['Heap', 'Order] Lines', 'Tokens', 'Users']);
    const users = found.get('Users');
    assert.ok(users);
    assert.equal(users.schema, 'dbo');
    assert.equal(users.kind, 'table');
    assert.equal(users.approximateRows, 2);
    assert.deepEqual(users.primaryKey, {
      name: 'PK_Users',
      kind: 'primary key',
      clustered: true,
      columns: ['Id'],
    });
    // Neither the filtered index nor the one over a nullable column identifies a row.
    assert.deepEqual(users.uniqueKeys, [
      { name: 'UX_Users_Name', kind: 'unique index', clustered: false, columns: ['Name'] },
    ]);
    assert.deepEqual(found.get('Order] Lines')?.primaryKey?.columns, ['Region', 'Line']);
    assert.deepEqual(
      [found.get('Tokens')?.primaryKey, found.get('Tokens')?.uniqueKeys[0]?.kind],
      [null, 'unique constraint'],
    );
    assert.deepEqual([found.get('Heap')?.primaryKey, found.get('Heap')?.uniqueKeys], [null, []]);
  });

  test('columns with their full types', async () => {
    const users = (await tables()).get('Users');
    assert.ok(users);
    const shown = users.columns.map((column) =>
      [
        column.ordinal,
        column.name,
        column.type,
        column.declaredType,
        column.maxLengthBytes,
        column.nullable,
      ].join(' '),
    );
    assert.deepEqual(shown, [
      '1 Id int int 4 false',
      '2 Name nvarchar sysname 256 false',
      '3 Phone varchar dbo.Phone 20 true',
      '4 Balance decimal decimal 9 true',
      '5 Score int int 4 true',
      '6 Twice int int 4 true',
      '7 Bio nvarchar nvarchar -1 true',
      '8 Born datetime2 datetime2 7 true',
    ]);
    const [id, name, , balance, , twice, , born] = users.columns;
    assert.deepEqual(id?.identity, { seed: '10', increment: '5', lastValue: '15' });
    assert.ok(name?.collation);
    assert.deepEqual([balance?.precision, balance?.scale, balance?.collation], [18, 4, null]);
    assert.match(twice?.computed?.definition ?? '', /Score/);
    assert.equal(twice?.computed?.persisted, false);
    assert.equal(born?.scale, 3);
    assert.equal((await tables()).get('Order] Lines')?.columns[0]?.collation, 'Latin1_General_CI_AS');
  });

  test('one schema, several, all; one that is not there is named with those that are', async () => {
    assert.deepEqual([...(await tables(['sales'])).keys()], ['Users']);
    const all = await readCatalog(source, { schemas: [] });
    assert.equal(all.length, 5);
    assert.equal((await readCatalog(source, { schemas: ['dbo', 'sales'] })).length, 5);
    await assert.rejects(readCatalog(source, { schemas: ['dbo', 'nope'] }), (error) => {
      assert.ok(error instanceof AppError);
      assert.equal(error.code, 'TABLE_NOT_FOUND');
      assert.match(error.message, /nope/);
      assert.match(error.remedy ?? '', /dbo, sales/);
      return true;
    });
  });

  test('what the server says of itself', async () => {
    const facts = await serverFacts(source);
    assert.match(facts.productVersion, /^\d+\.\d+/);
    assert.equal(facts.database, database.database);
    assert.ok(facts.databaseCollation.length > 0 && facts.compatibilityLevel >= 100);
    assert.equal(typeof facts.snapshotIsolation, 'boolean');
  });

  test('the version of Azure SQL says nothing of what it can do', async () => {
    const facts = (version: string, edition: number) =>
      serverFacts({ query: async () => [{ product_version: version, engine_edition: edition }] });
    assert.equal((await facts('12.0.5000.0', 3)).majorVersion, 12);
    assert.equal((await facts('12.0.2000.8', 5)).majorVersion, Number.POSITIVE_INFINITY);
    assert.equal((await facts('12.0.2000.8', 8)).majorVersion, Number.POSITIVE_INFINITY);
  });

  test('a type of its own that is stored as another one is not taken for that', async () => {
    // As SQL Server 2025 describes a vector(3), which it sends as text.
    const vector = {
      declared_type: 'vector',
      base_type: 'varbinary',
      is_user_defined: false,
      max_length: 20,
    };
    const query = async (sql: string, parameters?: readonly QueryParameter[]) => {
      const rows = await source.query(sql, parameters);
      return rows.map((row) => (row.name === 'Bio' ? { ...row, ...vector } : row));
    };
    const found = await readCatalog({ query }, { schemas: ['dbo'] });
    const users = found.find(({ name }) => name === 'Users')!;
    const types = users.columns.map(({ name, type, declaredType }) => `${name} ${type} ${declaredType}`);
    assert.ok(types.includes('Bio vector vector') && types.includes('Name nvarchar sysname'), types.join());
  });
});

test('rows of memory-optimized tables are counted, and read with no isolation level they do not know', async () => {
  const asked: string[] = [];
  const query = async (sql: string, parameters?: readonly QueryParameter[]) => {
    asked.push(sql);
    const rows = await source.query(sql, parameters);
    if (!sql.includes('approximate_rows')) return rows;
    // As SQL Server describes them: no pages, no statistics of rows.
    return rows.map((row) =>
      row.name === 'Tokens' ? { ...row, is_memory_optimized: true, approximate_rows: null } : row,
    );
  };
  const inMemory = Object.assign(Object.create(source), { query }) as SourceConnection;
  const config = (isolation: SourceIsolation, exclude_tables: string[] = []) =>
    parseConfig({
      source: { ...options, schema: 'dbo', isolation },
      target: { host: 'h', database: 'd', user: 'u', password: 'p' },
      migration: { exclude_tables },
    });
  const rowsOf = async (exclude: string[] = []) => {
    const found = await readScope(inMemory, config('read_committed', exclude));
    return Object.fromEntries(found.map(({ name, approximateRows }) => [name, approximateRows]));
  };
  assert.deepEqual(await rowsOf(), { Heap: 3, 'Order] Lines': 200, Tokens: 60, Users: 2 });
  asked.length = 0;
  await rowsOf(['Tokens']);
  assert.ok(!asked.some((sql) => sql.includes('COUNT_BIG')), 'nobody waits for a table that is left out');
  for (const isolation of ['snapshot', 'read_uncommitted'] as const) {
    await assert.rejects(readScope(inMemory, config(isolation)), (error) => {
      assert.ok(error instanceof AppError && error.code === 'UNSUPPORTED', String(error));
      assert.match(error.message, new RegExp(`source\\.isolation: ${isolation}: dbo\\.Tokens$`));
      return true;
    });
    assert.equal((await readScope(inMemory, config(isolation, ['Tokens']))).length, 3);
  }
});

describe('connections', () => {
  test('SNAPSHOT where the database has it, else the statement that would give it', async () => {
    const facts = await serverFacts(source);
    const connecting = connectSource({ ...options, isolation: 'snapshot' });
    if (facts.snapshotIsolation) {
      await (await connecting).close();
      return;
    }
    await assert.rejects(connecting, (error) => {
      assert.ok(error instanceof AppError);
      assert.match(error.remedy ?? '', /ALTER DATABASE \[catalog\w*\] SET ALLOW_SNAPSHOT_ISOLATION ON/);
      return true;
    });
  });

  test('a primary where a secondary was asked for is said to be one', async () => {
    const facts = await serverFacts(source);
    assert.equal(facts.takesWrites, true);
    assert.match(missedSecondary(facts, { application_intent: 'read_only' }) ?? '', /this is the primary/);
    assert.equal(missedSecondary(facts, { application_intent: 'read_write' }), null);
    assert.equal(
      missedSecondary({ ...facts, takesWrites: false }, { application_intent: 'read_only' }),
      null,
    );
  });

  test('a wrong password, an unknown database, a table that is not there', async () => {
    const code = (expected: string) => (error: unknown) =>
      error instanceof AppError && error.code === expected;
    await assert.rejects(connectSource({ ...options, password: 'wrong' }), code('SOURCE_LOGIN_FAILED'));
    await assert.rejects(
      connectSource({ ...options, database: 'no_such_db' }),
      code('SOURCE_DATABASE_UNKNOWN'),
    );
    await assert.rejects(source.query('SELECT A FROM dbo.Missing'), (error) => {
      return error instanceof AppError && error.code === 'SOURCE_QUERY' && error.serverCode === '208';
    });
  });
});

describe('key ranges', () => {
  const limits = { largeTableThreshold: 10, maxPartitions: 7, minRowsPerPartition: 5 };
  let plans: Map<string, TablePlan>;

  before(async () => {
    const planned = planTables([...(await tables()).values()], {
      naming: { identifierCase: 'preserve', schemaOf: () => 'app' },
      chunkRows: 1000,
      rowHashColumn: null,
      hashTextColumns: false,
      unlogged: false,
    });
    plans = new Map(planned.map((plan) => [plan.source.name, plan]));
  });

  async function rowsIn(plan: TablePlan, lower: string[] | null, upper: string[] | null): Promise<string[]> {
    const { sql, parameters } = readQuery(plan, { lower, upper }, { isolation: 'read_committed' });
    return (await source.query(sql, parameters)).map((row) => JSON.stringify(row));
  }

  for (const name of ['Order] Lines', 'Tokens']) {
    test(`the partitions of ${name} hold every row once, in the whole table's order`, async () => {
      const plan = plans.get(name);
      assert.ok(plan);
      const whole = await rowsIn(plan, null, null);
      assert.equal(new Set(whole).size, whole.length);
      const partitions = await planPartitions(source, plan, limits);
      assert.equal(partitions.length, 7);
      const parts: string[][] = [];
      for (const { lower, upper } of partitions) parts.push(await rowsIn(plan, lower, upper));
      assert.deepEqual(parts.flat(), whole);
      const sizes = parts.map((part) => part.length);
      assert.ok(Math.max(...sizes) <= 2 * Math.ceil(whole.length / 7), `even sizes: ${sizes}`);
    });
  }

  test('a heap stays whole', async () => {
    const heap = plans.get('Heap');
    assert.ok(heap);
    assert.equal((await planPartitions(source, { ...heap, approximateRows: 1000 }, limits)).length, 1);
  });
});

test('a float key bounds a range only where the server prints all of its digits', async () => {
  await source.query('CREATE TABLE dbo.Measures (V float NOT NULL PRIMARY KEY, R real NULL)');
  try {
    // Neighbours, which 16 digits don't tell apart.
    const values = Array.from(
      { length: 40 },
      (_, i) => `(CONVERT(float, ${i}) / 100 + 1), (CONVERT(float, ${i}) / 100 + 1 + 2.220446049250313E-16)`,
    );
    await source.query(`INSERT INTO dbo.Measures (V) VALUES ${values.join(', ')}`);
    /** @param style that the server takes style 3 for: 2016 knows it, before it was none */
    const planned = async (style: '3' | '0') => {
      const query = (sql: string, parameters?: readonly QueryParameter[]) =>
        source.query(sql.replace(', 3)', `, ${style})`), parameters);
      const found = await readCatalog({ query }, { schemas: ['dbo'] });
      const [plan] = planTables(
        found.filter(({ name }) => name === 'Measures'),
        {
          naming: { identifierCase: 'preserve', schemaOf: () => 'public' },
          ...{ chunkRows: 10, rowHashColumn: null, hashTextColumns: false, unlogged: false },
        },
      );
      return { ...plan!, approximateRows: 80 };
    };
    const limits = { largeTableThreshold: 10, maxPartitions: 16, minRowsPerPartition: 5 };
    const exact = await planned('3');
    const partitions = await planPartitions(source, exact, limits);
    assert.equal(partitions.length, 16);
    const parts: unknown[] = [];
    for (const { lower, upper } of partitions) {
      const { sql, parameters } = readQuery(exact, { lower, upper }, { isolation: 'read_committed' });
      parts.push(...(await source.query(sql, parameters)).map(({ V }) => V));
    }
    assert.deepEqual([parts.length, new Set(parts).size], [80, 80]);
    const old = await planned('0');
    assert.deepEqual(await planPartitions(source, old, limits), [
      { table: 0, partition: 0, lower: null, upper: null },
    ]);
    assert.match(old.notes.join(), /key column V \(float\) can't bound a range/);
    assert.ok(old.chunkRows > 80, 'all or nothing');
    assert.equal(compareMethod(old), 'key hashes');
  } finally {
    await source.query('DROP TABLE dbo.Measures');
  }
});

describe('row counts', () => {
  let postgres: TestPostgres;
  before(async () => {
    postgres = await sharedPostgres();
  });
  after(() => postgres?.stop());

  test('both sides, exactly; a target table that is not there has none', async () => {
    const targetOptions: TargetOptions = {
      ...postgres.connection,
      ssl_mode: 'disable',
      connect_timeout_seconds: 5,
      lock_timeout_seconds: 5,
    };
    const plans = planTables([...(await tables()).values()], {
      naming: { identifierCase: 'preserve', schemaOf: () => 'app' },
      chunkRows: 1000,
      rowHashColumn: null,
      hashTextColumns: false,
      unlogged: false,
    });
    const target = await connectTarget(targetOptions);
    try {
      await transferMode('drop_recreate').prepare(target, plans);
      await target.query('INSERT INTO app."Heap" VALUES (1), (2); DROP TABLE app."Tokens"');
    } finally {
      await target.close();
    }
    const seen: string[] = [];
    const counts = await countRows(
      () => connectSource(options),
      () => connectTarget(targetOptions),
      plans,
      { parallel: 2, isolation: 'read_committed', onTable: ({ table }) => seen.push(table) },
    );
    assert.deepEqual(
      Object.fromEntries(
        counts.map(({ table, sourceRows, targetRows }) => [table, [sourceRows, targetRows]]),
      ),
      {
        'dbo.Order] Lines': [200n, 0n],
        'dbo.Tokens': [60n, null],
        'dbo.Heap': [3n, 2n],
        'dbo.Users': [2n, 0n],
      },
    );
    assert.deepEqual(
      counts.map(({ index }) => index),
      [0, 1, 2, 3],
    );
    assert.equal(seen.length, 4);
  });
});
