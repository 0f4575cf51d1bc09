/**
 * The stand-in's SQL engine: T-SQL semantics against values from Microsoft's documentation, DDL against the
 * catalog rows it must leave, storage types, errors with their numbers, streaming and cancelling.
 *
 * Runs on the main thread of the test process, against an embedded PostgreSQL.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Engine, type EngineParameter, type EngineSession, SqlError } from './sqlserver/contract.js';
import { errorCases, expressionCases } from './sqlserver/engine/expressionCases.js';
import { createEngine } from './sqlserver/engine/index.js';
import { type Result, results, rowsAffected } from './sqlserver/engine/testing.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';

const PASSWORD = 'engine-test';
const forever = new AbortController().signal;
let postgres: TestPostgres;
let engine: Engine;
let sa: EngineSession;

before(async () => {
  postgres = await sharedPostgres();
  engine = await createEngine({ pgUrl: postgres.url, password: PASSWORD });
  sa = await engine.login('sa', PASSWORD, 'master');
});
after(async () => {
  await engine?.close();
  await postgres?.stop();
});

async function query(sql: string, session = sa, parameters: EngineParameter[] = []): Promise<Result> {
  return (await results(session, sql, parameters))[0]!;
}

/** Rows as text: every column must be a string or NULL. */
async function texts(sql: string, session = sa): Promise<(string | null)[][]> {
  const { rows } = await query(sql, session);
  return rows.map((row) => row.map((field) => field?.toString('utf8') ?? null));
}

const run = (sql: string, session = sa): Promise<number | undefined> => rowsAffected(session, sql);

function fails(sql: string, number: number, session = sa): Promise<void> {
  return assert.rejects(run(sql, session), (error) => {
    assert.ok(error instanceof SqlError, String(error));
    assert.equal(error.info.number, number, error.message);
    return true;
  });
}

describe('T-SQL expressions', () => {
  for (const [expression, expected] of expressionCases) {
    it(expression, async () => {
      const [[actual] = []] = await texts(`SELECT CONVERT(nvarchar(max), ${expression})`);
      assert.equal(actual, expected);
    });
  }

  it('orders uniqueidentifiers by their last group first', async () => {
    const guids = [
      '00000000-0000-0000-0000-010000000000',
      '00000000-0000-0000-0001-000000000000',
      '01000000-0000-0000-0000-000000000000',
      '00000000-0000-0100-0000-000000000000',
      '00000000-0100-0000-0000-000000000000',
    ];
    const rows = guids.map((guid) => `(CAST('${guid}' AS uniqueidentifier))`).join(', ');
    const sorted = await texts(`SELECT CAST(g AS varchar(36)) FROM (VALUES ${rows}) AS t(g) ORDER BY g`);
    assert.deepEqual(
      sorted.map(([guid]) => guids.indexOf(guid!.toLowerCase())),
      [2, 4, 3, 1, 0],
    );
  });

  it('groups, sorts and joins strings without case and trailing blanks, NULL first', async () => {
    const rows =
      await texts(`SELECT CAST(COUNT(*) AS varchar(5)), MAX(t.y) FROM (VALUES ('a', 'x'), ('A', 'y'), ('b ', 'z'), ('b', NULL), (NULL, NULL)) AS t(x, y)
      GROUP BY t.x ORDER BY t.x`);
    assert.deepEqual(rows, [
      ['1', null],
      ['2', 'y'],
      ['2', 'z'],
    ]);
  });

  it('keeps NUL and lone surrogates in their stored form', async () => {
    const { rows } = await query(
      'SELECT NCHAR(0), NCHAR(55357), NCHAR(55357) + NCHAR(56832), CAST(0x0000 AS nvarchar(1))',
    );
    assert.deepEqual(
      rows[0]!.map((field) => field!.toString('utf8')),
      ['\u{10FFFF}', '\u{10F03D}', '😀', '\u{10FFFF}'],
    );
  });

  it('declares result types by T-SQL rules', async () => {
    const { columns } = await query(
      "SELECT 1 AS a, 2.50 AS b, 'abc' AS c, N'ab' + 'c' AS d, CAST(1 AS bigint) + 1 AS e, GETDATE() AS f, 0x0102 AS g, NULL AS h",
    );
    const types = columns.map(
      ({ name, type }) =>
        `${name} ${type.name} ${type.length ?? ''}${type.precision ?? ''},${type.scale ?? ''}`,
    );
    assert.deepEqual(types, [
      'a int 10,0',
      'b numeric 3,2',
      'c varchar 3,',
      'd nvarchar 3,',
      'e bigint 19,0',
      'f datetime ,',
      'g varbinary 2,',
      'h int 10,0',
    ]);
    assert.deepEqual(
      columns.map(({ nullable }) => nullable),
      [false, false, false, false, false, false, false, true],
    );
  });

  it('takes parameters as typed values', async () => {
    const parameters: EngineParameter[] = [
      { name: '@a', type: { name: 'bigint' }, text: '9007199254740993' },
      { name: 'b', type: { name: 'nvarchar', length: 20 }, text: "it's \\ ok" },
      { name: '@c', type: { name: 'datetime2', scale: 7 }, text: '630822816000000001' },
    ];
    const { rows } = await query(
      'SELECT CAST(@a + 1 AS varchar(30)), @b, CONVERT(varchar(30), @c, 121)',
      sa,
      parameters,
    );
    assert.deepEqual(rows[0]!.map(String), ['9007199254740994', "it's \\ ok", '2000-01-01 00:00:00.0000001']);
  });

  it('runs CTEs, windows, APPLY, set operations and paging', async () => {
    const rows =
      await texts(`WITH n AS (SELECT value FROM GENERATE_SERIES(1, 10)), m AS (SELECT value, NTILE(3) OVER (ORDER BY value) AS tile FROM n)
      SELECT CAST(m.tile AS varchar(5)), CAST(x.total AS varchar(10)) FROM m CROSS APPLY (SELECT SUM(n.value) AS total FROM n WHERE n.value <= m.value) AS x
      WHERE m.value IN (SELECT TOP (4) value FROM n ORDER BY value DESC) ORDER BY m.value OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY`);
    assert.deepEqual(rows, [
      ['3', '36'],
      ['3', '45'],
    ]);
    assert.deepEqual(await texts("SELECT 'a' UNION SELECT 'A' UNION ALL SELECT 'b' EXCEPT SELECT 'B'"), [
      ['a'],
    ]);
  });
});

describe('errors', () => {
  for (const [sql, number] of errorCases) {
    it(`${number}: ${sql}`, () => fails(sql, number));
  }
});

describe('tables', () => {
  before(async () => {
    await run('CREATE DATABASE engine_tables');
    await run('USE engine_tables');
  });
  after(async () => {
    await run('USE master');
    await run('DROP DATABASE engine_tables');
  });

  it('shows a table in the catalog as it was declared', async () => {
    await run('CREATE SCHEMA s');
    await run('CREATE TYPE dbo.Phone FROM nvarchar(20) NOT NULL');
    await run(`CREATE TABLE s.[T ]] ]]x] (
      Id int IDENTITY(5,2) NOT NULL, Code varchar(10) COLLATE Latin1_General_BIN2 NOT NULL, Price decimal(9,2) NULL DEFAULT 0, Tel Phone, Name sysname,
      At datetime2(3) NOT NULL CONSTRAINT DF_At DEFAULT GETDATE(), Twice AS (Price * 2) PERSISTED, Label AS CONCAT(N'x', Id), Ver rowversion,
      H hierarchyid NULL, V sql_variant, CONSTRAINT PK_T PRIMARY KEY NONCLUSTERED (Code, Id DESC), CONSTRAINT CK_P CHECK (Price >= 0))`);
    await run(
      'CREATE UNIQUE CLUSTERED INDEX CX ON s.[T ]] ]]x] (Id); CREATE INDEX IX ON s.[T ]] ]]x] (Tel) INCLUDE (Price) WHERE Price > 5',
    );
    const columns =
      await texts(`SELECT c.name, ty.name, CAST(c.max_length AS varchar(9)), CAST(c.precision AS varchar(9)), CAST(c.scale AS varchar(9)), CAST(c.is_nullable AS varchar(1)),
      CAST(c.is_identity AS varchar(1)) + CAST(c.is_computed AS varchar(1)), c.collation_name, CAST(c.system_type_id AS varchar(5)) FROM sys.columns AS c
      JOIN sys.types AS ty ON ty.user_type_id = c.user_type_id WHERE c.object_id = OBJECT_ID('s.[T ]] ]]x]') ORDER BY c.column_id`);
    const ci = 'SQL_Latin1_General_CP1_CI_AS';
    assert.deepEqual(columns, [
      ['Id', 'int', '4', '10', '0', '0', '10', null, '56'],
      ['Code', 'varchar', '10', '0', '0', '0', '00', 'Latin1_General_BIN2', '167'],
      ['Price', 'decimal', '5', '9', '2', '1', '00', null, '106'],
      ['Tel', 'Phone', '40', '0', '0', '0', '00', ci, '231'],
      ['Name', 'sysname', '256', '0', '0', '0', '00', ci, '231'],
      ['At', 'datetime2', '7', '23', '3', '0', '00', null, '42'],
      ['Twice', 'numeric', '9', '11', '2', '1', '01', null, '108'],
      ['Label', 'nvarchar', '26', '0', '0', '0', '01', ci, '231'],
      ['Ver', 'timestamp', '8', '0', '0', '0', '00', null, '189'],
      ['H', 'hierarchyid', '892', '0', '0', '1', '00', null, '240'],
      ['V', 'sql_variant', '8016', '0', '0', '1', '00', null, '98'],
    ]);
    const indexes =
      await texts(`SELECT i.name, i.type_desc, CAST(i.is_unique AS varchar(1)) + CAST(i.is_primary_key AS varchar(1)), i.filter_definition, c.name, CAST(ic.is_descending_key AS varchar(1)) + CAST(ic.is_included_column AS varchar(1))
      FROM sys.indexes AS i JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id JOIN sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id
      ORDER BY i.index_id, ic.index_column_id`);
    assert.deepEqual(indexes, [
      ['CX', 'CLUSTERED', '10', null, 'Id', '00'],
      ['PK_T', 'NONCLUSTERED', '11', null, 'Code', '00'],
      ['PK_T', 'NONCLUSTERED', '11', null, 'Id', '10'],
      ['IX', 'NONCLUSTERED', '00', '([Price]>(5))', 'Tel', '00'],
      ['IX', 'NONCLUSTERED', '00', '([Price]>(5))', 'Price', '01'],
    ]);
    assert.deepEqual(
      await texts('SELECT name, definition FROM sys.default_constraints WHERE is_system_named = 0'),
      [['DF_At', '(getdate())']],
    );
    assert.deepEqual(await texts('SELECT definition FROM sys.check_constraints'), [['([Price]>=(0))']]);
    assert.deepEqual(await texts('SELECT definition FROM sys.computed_columns ORDER BY column_id'), [
      ['([Price]*(2))'],
      ["(concat(N'x',[Id]))"],
    ]);
    await run(
      "INSERT INTO s.[T ]] ]]x] (Code, Tel, Name, V) VALUES ('a', N'1', N'n', CAST(5 AS int)), ('A', N'2', N'm', NULL)",
    );
    const rows = await texts(
      'SELECT CAST(Id AS varchar(5)), CAST(Price AS varchar(9)), CAST(Twice AS varchar(9)), Label FROM s.[T ]] ]]x] ORDER BY Id',
    );
    assert.deepEqual(rows, [
      ['5', '0.00', '0.00', 'x5'],
      ['7', '0.00', '0.00', 'x7'],
    ]);
    const identity = await texts(
      'SELECT CONVERT(nvarchar(40), seed_value), CONVERT(nvarchar(40), increment_value), CONVERT(nvarchar(40), last_value) FROM sys.identity_columns',
    );
    assert.deepEqual(identity, [['5', '2', '7']]);
    const counted = await texts(
      "SELECT CONVERT(nvarchar(20), SUM(rows)) FROM sys.partitions WHERE object_id = OBJECT_ID(N's.[T ]] ]]x]') AND index_id IN (0, 1)",
    );
    assert.deepEqual(counted, [['2']]);
  });

  it('refuses what constraints and types forbid', async () => {
    await run(
      'CREATE TABLE dbo.P (Id int NOT NULL PRIMARY KEY, Name varchar(5) NULL, U nvarchar(9) NULL UNIQUE, N tinyint NOT NULL DEFAULT 1, CHECK (N < 200))',
    );
    await run(
      'CREATE TABLE dbo.F (Id int IDENTITY PRIMARY KEY, P int NULL CONSTRAINT FK_F FOREIGN KEY REFERENCES dbo.P (Id))',
    );
    await run('CREATE UNIQUE INDEX UX ON dbo.P (Name)');
    await run("INSERT INTO P (Id, Name, U) VALUES (1, 'a', N'u')");
    await fails("INSERT INTO P (Id, Name, U) VALUES (1, 'b', N'v')", 2627);
    await fails("INSERT INTO P (Id, Name, U) VALUES (2, 'A ', N'v')", 2601);
    await fails("INSERT INTO P (Id, Name, U) VALUES (2, 'b', N'U ')", 2627);
    await fails("INSERT INTO P (Name) VALUES ('x')", 515);
    await fails("INSERT INTO P (Id, Name) VALUES (3, 'toolong')", 2628);
    await fails('INSERT INTO P (Id, N) VALUES (3, 256)', 220);
    await fails("INSERT INTO P (Id, Name, U, N) VALUES (3, 'c', N'w', 200)", 547);
    await fails('INSERT INTO F (P) VALUES (9)', 547);
    await fails('INSERT INTO F (Id) VALUES (9)', 544);
    await fails('INSERT INTO P VALUES (1)', 213);
    await fails('INSERT INTO P (Id, Nope) VALUES (1, 2)', 207);
    await fails('CREATE TABLE dbo.P (Id int)', 2714);
    await run('INSERT INTO F (P) VALUES (1)');
    await fails('DELETE FROM P', 547);
    await fails('DROP TABLE P', 3726);
    assert.equal(await run("UPDATE P SET Name = 'z' WHERE Id = 1"), 1);
    assert.equal(await run('UPDATE f SET P = NULL FROM dbo.F AS f JOIN dbo.P AS p ON p.Id = f.P'), 1);
  });

  it('switches checks and foreign keys off and on', async () => {
    await run(
      'CREATE TABLE dbo.C (Id int NOT NULL PRIMARY KEY, A int CONSTRAINT CK_A CHECK (A > 0), B int CONSTRAINT FK_C REFERENCES dbo.C (Id))',
    );
    await run('ALTER TABLE dbo.C NOCHECK CONSTRAINT ALL');
    await run('INSERT INTO C VALUES (1, -1, 99)');
    await fails('ALTER TABLE dbo.C WITH CHECK CHECK CONSTRAINT CK_A', 547);
    await run('DELETE FROM C; ALTER TABLE dbo.C WITH CHECK CHECK CONSTRAINT ALL');
    await fails('INSERT INTO C VALUES (1, -1, NULL)', 547);
    await fails('INSERT INTO C VALUES (1, 1, 99)', 547);
    await run(
      'ALTER TABLE dbo.C DROP CONSTRAINT CK_A; ALTER TABLE dbo.C ADD D int NOT NULL CONSTRAINT DF_D DEFAULT 7',
    );
    await run('INSERT INTO C (Id, A) VALUES (1, -1)');
    assert.deepEqual(await texts('SELECT CAST(D AS varchar(5)) FROM C'), [['7']]);
  });

  it('keeps a transaction through a failed statement, and rolls it back whole', async () => {
    await run('CREATE TABLE dbo.Tx (Id int NOT NULL PRIMARY KEY)');
    await run('BEGIN TRAN; INSERT INTO Tx VALUES (1)');
    await fails('INSERT INTO Tx VALUES (1)', 2627);
    await fails('SELECT 1 / 0', 8134);
    await run('INSERT INTO Tx VALUES (2); COMMIT');
    await run('BEGIN TRAN; TRUNCATE TABLE Tx; CREATE TABLE dbo.Gone (Id int); ROLLBACK');
    await fails('SELECT * FROM dbo.Gone', 208);
    assert.deepEqual(await texts('SELECT CAST(COUNT(*) AS varchar(9)) FROM Tx'), [['2']]);
  });

  it('moves an identity on after explicit values, and back at TRUNCATE', async () => {
    await run('CREATE TABLE dbo.I (Id bigint IDENTITY(10,10) PRIMARY KEY, A int NULL)');
    await run(
      'INSERT INTO I (A) VALUES (1); SET IDENTITY_INSERT I ON; INSERT INTO I (Id, A) VALUES (500, 2), (15, 3); SET IDENTITY_INSERT I OFF; INSERT INTO I (A) VALUES (4)',
    );
    assert.deepEqual(await texts('SELECT CAST(Id AS varchar(9)) FROM I ORDER BY Id'), [
      ['10'],
      ['15'],
      ['500'],
      ['510'],
    ]);
    await run('TRUNCATE TABLE I; INSERT INTO I DEFAULT VALUES');
    assert.deepEqual(await texts('SELECT CAST(Id AS varchar(9)) FROM I'), [['10']]);
  });

  it('stores every type in the bytes of the contract', async () => {
    const cases: readonly (readonly [type: string, value: string, hex: string])[] = [
      ['bit', '1', '01'],
      ['tinyint', '255', '00ff'],
      ['smallint', '-2', 'fffe'],
      ['int', '-2', 'fffffffe'],
      ['bigint', '-9223372036854775808', '8000000000000000'],
      ['float', '1E0', '3ff0000000000000'],
      ['real', '1E0', '3f800000'],
      ['date', "'0001-01-02'", '00000001'],
      ['time(7)', "'00:00:00.0000001'", '0000000000000001'],
      ['time(3)', "'00:00:00.001'", '0000000000002710'],
      ['datetime2(7)', "'0001-01-01T00:00:00.0000001'", '0000000000000001'],
      ['datetime', "'1900-01-01T00:00:00.003'", '0000000000000001'],
      ['datetime', "'1899-12-31T23:59:59.997'", 'ffffffffffffffff'],
      ['smalldatetime', "'1900-01-01T00:01:00'", '00000001'],
      ['datetimeoffset(7)', "'0001-01-01T00:00:00.0000001 -00:01'", '0000000023c346010347'],
      ['char(3)', "'a'", '612020'],
      ['nvarchar(3)', "N'é'", 'c3a9'],
      ['uniqueidentifier', "'6F9619FF-8B86-D011-B42D-00C04FC964FF'", '6f9619ff8b86d011b42d00c04fc964ff'],
      ['binary(3)', '0x01', '010000'],
      ['varbinary(3)', '0x0100', '0100'],
      ['image', '0xFF', 'ff'],
    ];
    const list = cases.map(([type], i) => `c${i} ${type} NULL`).join(', ');
    await run(`CREATE TABLE dbo.Types (${list})`);
    await run(
      `INSERT INTO Types VALUES (${cases.map(([, value]) => value).join(', ')}), (${cases.map(() => 'NULL').join(', ')})`,
    );
    const { rows, columns } = await query('SELECT * FROM Types');
    assert.deepEqual(
      rows[0]!.map((field) => field?.toString('hex')),
      cases.map(([, , hex]) => hex),
    );
    assert.ok(rows[1]!.every((field) => field === null));
    assert.deepEqual(
      columns.map(({ type }) => type.name),
      cases.map(([type]) => type.replace(/\(.*/, '')),
    );
  });

  it('lets a second login read only what it was granted', async () => {
    await run(
      "CREATE TABLE dbo.Open1 (Id int); CREATE TABLE dbo.Shut (Id int); CREATE LOGIN reader WITH PASSWORD = 'Reader-1!'; CREATE USER reader FOR LOGIN reader; GRANT SELECT ON dbo.Open1 TO reader",
    );
    const reader = await engine.login('READER', 'Reader-1!', 'engine_tables');
    try {
      assert.deepEqual(await texts('SELECT name FROM sys.tables', reader), [['Open1']]);
      await run('SELECT * FROM Open1', reader);
      await fails('SELECT * FROM Shut', 229, reader);
      await fails('INSERT INTO Open1 VALUES (1)', 229, reader);
      await fails('CREATE TABLE dbo.Mine (Id int)', 262, reader);
    } finally {
      await reader.close();
    }
    await assert.rejects(engine.login('reader', 'wrong', 'master'), {
      info: { number: 18456, state: 1, class: 14, message: "Login failed for user 'reader'." },
    });
    await assert.rejects(
      engine.login('sa', PASSWORD, 'nowhere'),
      (error) => error instanceof SqlError && error.info.number === 4060,
    );
  });
});

describe('streaming', () => {
  const big = "SELECT value, REPLICATE(N'x', 500) AS t FROM GENERATE_SERIES(1, 20000000)";

  it('stops at once when the reader stops, and the session goes on', async () => {
    let bytes = 0;
    for await (const event of sa.execute(big, [], forever)) {
      if (event.kind === 'copy') bytes += event.bytes.length;
      if (bytes > 1_000_000) break;
    }
    assert.ok(bytes < 10_000_000);
    assert.deepEqual(await texts("SELECT 'still here'"), [['still here']]);
  });

  it('stops when the signal aborts, while waiting and while reading', async () => {
    for (const sql of ["WAITFOR DELAY '00:01:00'", big]) {
      const abort = new AbortController();
      setTimeout(() => abort.abort(), 100);
      await assert.rejects(
        async () => {
          for await (const _event of sa.execute(sql, [], abort.signal)) {
            // rows nobody wants
          }
        },
        { name: 'AbortError' },
      );
      assert.deepEqual(await texts("SELECT 'still here'"), [['still here']]);
    }
  });
});
