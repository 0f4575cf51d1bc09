/**
 * `plan --scan`: what the data holds that a run would trip over, found before anything is touched; and `plan
 * --partitions` beside it.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { loadConfig } from '../src/config/load.js';
import { rehearse } from '../src/engine/rehearsal.js';
import { namingOf } from '../src/plan/naming.js';
import { keyProbes } from '../src/plan/scan/keys.js';
import { planTables } from '../src/plan/tables.js';
import { connectSource } from '../src/source/connection.js';
import { readScope } from '../src/source/scope.js';
import { runCli } from './support/cli.js';
import { oneLineOfJson, type Scene, startScene, succeeded } from './support/endToEnd.js';

let scene: Scene;

before(async () => {
  scene = await startScene(
    'scan',
    `CREATE TABLE dbo.Bites (Id int NOT NULL CONSTRAINT PK_Bites PRIMARY KEY, Name nvarchar(50) NULL, Plain varchar(50) NULL,
  Moment datetimeoffset(7) NULL, Number int NULL, Wide varchar(1700) NULL, Body varchar(max) NULL);
GO
CREATE INDEX IX_Wide ON dbo.Bites (Wide);
GO
INSERT INTO dbo.Bites (Id, Name, Plain, Moment, Number, Wide, Body) VALUES
  (1, N'good', 'good', '2024-01-02T03:04:05.1234560+00:00', 32767, 'short', 'x'),
  (2, N'a' + NCHAR(0) + N'b', 'good', '2024-01-02T03:04:05+02:00', -32768, REPLICATE('é', 1400), NULL),
  (3, NCHAR(0xD83D), 'a' + CHAR(0), '2024-01-02T03:04:05.1234567+02:00', 32768, REPLICATE('a', 1700), 'y'),
  (4, N'x' + NCHAR(0xDE00) + NCHAR(0xD83D), NULL, NULL, NULL, NULL, NULL),
  (5, NCHAR(0xD83D) + NCHAR(0xDE00), NULL, NULL, NULL, NULL, NULL);
GO
CREATE TABLE dbo.Moments (Night bit NOT NULL, Moment datetime2(7) NOT NULL, CONSTRAINT PK_Moments PRIMARY KEY (Night, Moment));
GO
INSERT INTO dbo.Moments (Night, Moment) VALUES (1, '2024-01-02T03:04:05.1234560'), (1, '2024-01-02T03:04:05.1234567'), (1, '2024-01-03T00:00:00');
GO
CREATE TABLE dbo.Cased (Code varchar(10) COLLATE Latin1_General_CS_AS NOT NULL CONSTRAINT PK_Cased PRIMARY KEY);
GO
INSERT INTO dbo.Cased (Code) VALUES ('a'), ('A'), ('b'), ('b' + CHAR(0));
GO
CREATE TABLE dbo.Parents (Code nvarchar(10) NOT NULL CONSTRAINT PK_Parents PRIMARY KEY);
GO
INSERT INTO dbo.Parents (Code) VALUES (N'ABC'), (N'DEF');
GO
CREATE TABLE dbo.Children (Id int NOT NULL PRIMARY KEY, Parent nvarchar(10) NULL, Other int NULL);
GO
INSERT INTO dbo.Children (Id, Parent, Other) VALUES (1, N'ABC', 1), (2, N'abc', 99), (3, N'DEF ', NULL), (4, NULL, 2);
GO
ALTER TABLE dbo.Children WITH NOCHECK ADD CONSTRAINT FK_Parent FOREIGN KEY (Parent) REFERENCES dbo.Parents (Code);
GO
ALTER TABLE dbo.Children WITH NOCHECK ADD CONSTRAINT FK_Other FOREIGN KEY (Other) REFERENCES dbo.Bites (Id);
GO
ALTER TABLE dbo.Children WITH NOCHECK ADD CONSTRAINT CK_Other CHECK (Other < 50);
GO
CREATE TABLE dbo.Clean (Id int NOT NULL PRIMARY KEY, Name nvarchar(20) NULL);
GO
INSERT INTO dbo.Clean (Id, Name) VALUES (1, N'😀'), (2, NULL), (3, N'c'), (4, N'd');
GO
`,
  );
});

after(async () => {
  await scene?.stop();
});

interface Found {
  table: string;
  column: string | null;
  object: string | null;
  kind: string;
  severity: string;
  count: number;
  example_key: string[] | null;
}

const PLANNING = { chunkRows: 1000, rowHashColumn: null, hashTextColumns: false, unlogged: false };

/** Small enough that the table that bites is looked at range by range. */
const migration = {
  type_overrides: { 'dbo.Bites.Number': 'smallint', 'dbo.Cased.Code': 'citext' },
  large_table_threshold: 5,
  min_rows_per_partition: 2,
};

test('everything that would bite is found, with its count and the key of one row', async () => {
  const done = await runCli(['-c', scene.config({ migration }), '--output-json', 'plan', '--scan']);
  assert.equal(done.code, 1, done.stderr);
  const result = oneLineOfJson(done.stdout) as {
    error: { code: string; message: string };
    dry_run: {
      scan: { findings: Found[]; unscanned: unknown[]; rows: number };
      obstacles: { code: string; column?: string; key?: string; remedy: string }[];
      tables: { table: string; bytes: number; partitions: unknown[] }[];
      estimate: { seconds: number; rows: number; basis: string };
    };
  };
  const { scan, obstacles, tables, estimate } = result.dry_run;
  assert.deepEqual(scan.unscanned, []);
  const told = scan.findings.map(({ table, column, object, kind, severity, count, example_key }) =>
    [table, object ?? column, kind, severity, count, example_key?.join('|')].join(' / '),
  );
  assert.deepEqual(told.sort(), [
    'dbo.Bites / IX_Wide / index row / warns / 1 / 2',
    'dbo.Bites / Moment / lost 7th digit / alters / 1 / 3',
    'dbo.Bites / Moment / lost offset / alters / 2 / 2',
    'dbo.Bites / Name / nul characters / fails / 1 / 2',
    'dbo.Bites / Name / unpaired surrogates / fails / 2 / 3',
    'dbo.Bites / Number / out of range / fails / 1 / 3',
    'dbo.Bites / Plain / nul characters / fails / 1 / 3',
    'dbo.Cased / Code / nul characters / fails / 1 / b\0',
    'dbo.Cased / PK_Cased / duplicate keys / fails / 1 / a',
    'dbo.Children / CK_Other / broken check / warns / 1 / 2',
    'dbo.Children / FK_Other / orphans / warns / 1 / 2',
    'dbo.Children / FK_Parent / orphans / warns / 2 / 2',
    'dbo.Moments / Moment / lost 7th digit / alters / 1 / 1|2024-01-02 03:04:05.1234567',
    'dbo.Moments / PK_Moments / duplicate keys / fails / 1 / 1|2024-01-02 03:04:05.1234560',
  ]);
  assert.equal(result.error.code, 'RUN_IMPOSSIBLE');
  assert.equal(obstacles.length, 7);
  const range = obstacles.find(({ column }) => column === 'Number');
  assert.deepEqual([range?.code, range?.key], ['VALUE_UNREPRESENTABLE', '3']);
  const bites = tables.find(({ table }) => table === 'dbo.Bites');
  assert.equal(bites?.partitions.length, 2);
  assert.ok((bites?.bytes ?? 0) > 0);
  assert.deepEqual([estimate.rows, estimate.basis], [22, 'nothing'], 'a table of five rows measures nothing');
});

test('what only loses something is a warning; other settings and other tables have other findings', async () => {
  const lenient = { on_nul: 'strip', include_tables: ['Bites', 'Cased', 'Clean'] };
  const done = await runCli(['-c', scene.config({ migration: lenient }), 'plan', '--scan']);
  assert.equal(done.code, 1, 'half a surrogate pair fails whatever is set');
  assert.match(
    done.stdout,
    /would be altered: dbo\.Bites, column Plain: nul characters, 1 row, such as key 3\n {4}U\+0000 would be left out/,
  );
  assert.match(
    done.stdout,
    /would fail: dbo\.Cased, column Code: duplicate keys, 1 key, such as key b\n {4}these keys differ in U\+0000 only/,
  );
  assert.doesNotMatch(done.stdout, /out of range/);
  assert.match(done.stderr, /dbo\.Bites: 5 rows/);
  const clean = { include_tables: ['Clean', 'Parents'] };
  const nothing = await runCli(['-c', scene.config({ migration: clean }), 'plan', '--scan']);
  assert.equal(nothing.code, 0, nothing.stderr);
  assert.match(nothing.stdout, /Nothing that a run would trip over\./);
});

test('the look ends when its time is up, and when the command is stopped', async () => {
  const config = await loadConfig(scene.config({ migration }), { environment: {} });
  const options = { onEvent: () => {}, estimate: false };
  const { signal } = new AbortController();
  const { dryRun } = await rehearse(config, { ...options, signal, scanMs: 0 });
  assert.ok(dryRun?.scan && dryRun.scan.findings.length === 0);
  assert.ok(dryRun.scan.unscanned.some(({ table, reason }) => table === 'dbo.Bites' && /time/.test(reason)));
  const stopped = AbortSignal.timeout(1);
  await assert.rejects(rehearse(config, { ...options, signal: stopped, scanMs: 60_000 }), {
    code: 'CANCELLED',
  });
});

test('a foreign key that the source trusts is looked at where PostgreSQL compares otherwise', async () => {
  // The stand-in compares strings of foreign keys exactly, and has no such rows where it trusts one.
  const config = await loadConfig(scene.config({ migration }), { environment: {} });
  const source = await connectSource(config.source);
  try {
    const tables = await readScope(source, config);
    const naming = namingOf(config);
    const plans = planTables(tables, { ...PLANNING, naming });
    const children = plans.find((plan) => plan.source.name === 'Children')!;
    const key = { onDelete: 'NO ACTION', onUpdate: 'NO ACTION', validate: true };
    const to = (name: string) => ({ schema: 'public', name });
    children.objects.foreignKeys = [
      { name: 'FK_Parent', columns: ['Parent'], to: to('Parents'), toColumns: ['Code'], ...key },
      { name: 'FK_Other', columns: ['Other'], to: to('Bites'), toColumns: ['Id'], ...key },
    ];
    const probes = keyProbes(children, plans, { nul: 'error', utf8: true });
    assert.deepEqual(
      probes.map(({ object, severity }) => [object, severity]),
      [['FK_Parent', 'fails']],
      'numbers are compared alike',
    );
    assert.deepEqual(await source.query(probes[0]!.countSql), [{ n: '2' }], 'abc, and DEF with a blank');
    const parent = children.columns.find(({ sourceName }) => sourceName === 'Parent')!;
    parent.collation = 'public.mssql_ci_as';
    const [folded] = keyProbes(children, plans, { nul: 'error', utf8: true });
    assert.deepEqual(await source.query(folded!.countSql), [{ n: '1' }], 'the blank alone');
  } finally {
    await source.close();
  }
});

test('--partitions prints the ranges and nothing else', async () => {
  const done = await runCli(['-c', scene.config({ migration }), 'plan', '--partitions']);
  assert.equal(done.code, 0, done.stderr);
  const partitions = JSON.parse(done.stdout) as { table: string; upper: string[] | null }[];
  const bites = partitions.filter(({ table }) => table === 'dbo.Bites');
  assert.deepEqual(
    bites.map(({ upper }) => upper),
    [['3'], null],
  );
  assert.equal(partitions.length, 7);
});

test('the run does what was foretold', async () => {
  const { result } = await scene.migrate({ migration });
  const failed = result.tables.flatMap(({ table, error }) =>
    error === undefined ? [] : [[table, error.code]],
  );
  assert.deepEqual(failed.sort(), [
    ['dbo.Bites', 'VALUE_UNREPRESENTABLE'],
    ['dbo.Cased', 'VALUE_UNREPRESENTABLE'],
    ['dbo.Children', 'SCHEMA_CONFLICT'],
    ['dbo.Moments', 'TARGET_QUERY'],
  ]);
});

test('an earlier run into the target is what the estimate goes by', async () => {
  const changes = { target: { schema: 'apart' }, migration: { include_tables: ['Clean', 'Parents'] } };
  succeeded(await scene.migrate(changes));
  // As if it had gone on for ten seconds: a shorter one tells nothing.
  await scene.client.query('UPDATE mssql_pg_migrate.chunks SET duration_ms = 10000');
  const done = await runCli(['-c', scene.config(changes), '--output-json', 'plan']);
  const { dry_run } = oneLineOfJson(done.stdout) as { dry_run: { estimate: Record<string, unknown> } };
  const { basis, seconds, rows, reason } = dry_run.estimate;
  assert.deepEqual([basis, rows], ['earlier run', 6]);
  assert.ok(Math.abs(Number(seconds) - 10) < 5, String(seconds));
  assert.match(String(reason), /of COPY data that run [0-9a-f-]+ moved into this target on \d{4}-/);
});
