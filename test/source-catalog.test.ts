/** The source catalog and counts, read from a SQL Server: the stand-in, or that of `TEST_MSSQL_URL`. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { parseConfig } from '../src/config/schema.js';
import { AppError } from '../src/errors.js';
import { transferMode } from '../src/plan/modes/index.js';
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
INSERT INTO dbo.[Order]] Lines] (Region, Line, Note) VALUES (N'a', 1, 'x'), (N'B', 1, 'x'), (N'B', 2, 'x'), (N'É', 1, 'x');
INSERT INTO dbo.Tokens (Token) VALUES ('9e3779b1-0000-4000-8000-00009e3779b1');
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
  await runTsql(database, SCRIPT);
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

  test('rows of many columns share their shape: a catalog may have millions of them', async () => {
    const sql = `SELECT ${Array.from({ length: 60 }, (_, i) => `${i} AS c${i}`).join(', ')}`;
    const [row] = await source.query(sql);
    assert.equal(row?.c59, 59);
    // Of V8: whether it is an object with a hidden class, or a hash table of its own.
    setFlagsFromString('--allow-natives-syntax');
    const sharesShape = new Function('object', 'return %HasFastProperties(object)') as (
      object: unknown,
    ) => boolean;
    assert.ok(sharesShape(row));
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

  test('a column set is computed of the sparse columns', async () => {
    const query = async (sql: string, parameters?: readonly QueryParameter[]) => {
      const rows = await source.query(sql, parameters);
      return rows.map((row) => (row.name === 'Bio' ? { ...row, is_column_set: true } : row));
    };
    const found = await readCatalog({ query }, { schemas: ['dbo'] });
    const bio = found.flatMap(({ columns }) => columns).find(({ name }) => name === 'Bio');
    assert.deepEqual(bio?.computed, { definition: 'COLUMN_SET FOR ALL_SPARSE_COLUMNS', persisted: false });
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
    assert.deepEqual(await rowsOf(), { Heap: 3, 'Order] Lines': 4, Tokens: 1, Users: 2 });
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
        'dbo.Order] Lines': [4n, 0n],
        'dbo.Tokens': [1n, null],
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
