/**
 * A schema with every kind of object: what the source says of it, the target's catalog after a run, and that of the dry run's script in psql.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readObjects } from '../src/source/objects.js';
import { everyObjectCatalog, everyObjectNotes, everyObjectTsql } from './fixtures/everyObject.js';
import { runCli } from './support/cli.js';
import { oneLineOfJson, type Scene, startScene, succeeded } from './support/endToEnd.js';
import { pgCatalog } from './support/pgCatalog.js';
import { sourceTable } from './support/sourceTables.js';

const changes = { target: { schema: 'app' } };
let scene: Scene;

before(async () => {
  scene = await startScene('catalog', everyObjectTsql);
});
after(() => scene?.stop());

test('the whole schema arrives, and what can’t is listed', async () => {
  const result = succeeded(await scene.migrate(changes));
  assert.deepEqual(await pgCatalog(scene.client, ['app']), everyObjectCatalog);
  const notes = [
    ...result.notes.slice(1),
    ...result.tables.flatMap(({ table, notes }) => notes.map((note) => `${table}: ${note}`)),
  ];
  assert.deepEqual(notes.sort(), everyObjectNotes);
  const validated = result.steps.filter(({ step }) => step === 'validate foreign key');
  assert.equal(validated.length, 7);
});

test('counters go on where the source’s stood, and actions do what they did there', async () => {
  const next = (sequence: string) => scene.rows(`SELECT nextval('app."${sequence}"')`);
  // 10 and 9 were given; then 8.
  assert.deepEqual(await next('Countdown'), [['8']]);
  // One that was never used gives its first value.
  assert.deepEqual(await next('Fresh'), [['7']]);
  assert.deepEqual(await next('Vast'), [['1']]);
  assert.deepEqual(
    await scene.rows(
      `INSERT INTO app."Ticket" ("Serial", "Quantity") VALUES ('S-2', 3) RETURNING "Number", "Title", "State", "Price"`,
    ),
    [['1010', 'no title', 'N', '0.00']],
  );
  assert.deepEqual(
    await scene.rows(`INSERT INTO app."Team" ("Name") VALUES ('BLUE') RETURNING "Id", "RegionSeason"`),
    [['-1', '2024']],
  );
  assert.deepEqual(
    await scene.rows(
      `INSERT INTO app."Person" ("Name", "Version") VALUES ('Cy', '') RETURNING "Id", "Active"`,
    ),
    [['30', 't']],
  );
  const refused: [sql: string, state: string][] = [
    [`INSERT INTO app."Ticket" ("Serial") VALUES (NULL)`, '23505'],
    [
      `INSERT INTO app."Region" ("Code", "Season", "Name", "ParentCode", "ParentSeason") VALUES ('X', 1, 'x', 'EU', 2023)`,
      '23503',
    ],
    [`INSERT INTO app."Receipt" ("Id", "Season") VALUES (3, 2023)`, '23514'],
    [`INSERT INTO app."Person" ("Name", "Version", "Badge") VALUES ('Di', '', 'b-1')`, '23514'],
    // PostgreSQL checks a changed row whole: what the note says of checks that are not trusted.
    [`UPDATE app."Receipt" SET "TicketNumber" = 1 WHERE "Id" = 2`, '23514'],
    [`DELETE FROM app."Team" WHERE "Id" = -2`, '23503'],
  ];
  for (const [sql, state] of refused) {
    await assert.rejects(scene.client.query(sql), { code: state }, sql);
  }
  // The child keeps the parent's key; a deleted lead is forgotten; a deleted region gives way to the default.
  await scene.client.query(`UPDATE app."Ticket" SET "Serial" = 'S-9' WHERE "Number" = 1000`);
  assert.deepEqual(await scene.rows(`SELECT "Serial" FROM app."Receipt" WHERE "Id" = 1`), [['S-9']]);
  await scene.client.query(
    `DELETE FROM app."Ticket" WHERE "OwnerId" = 20; DELETE FROM app."Person" WHERE "Id" = 20`,
  );
  await scene.client.query(`UPDATE app."Region" SET "Season" = 2025 WHERE "Code" = 'DE'`);
  assert.deepEqual(
    await scene.rows(`SELECT "LeadId", "RegionCode", "RegionSeason" FROM app."Team" WHERE "Id" = -3`),
    [[null, 'DE ', '2025']],
  );
  await scene.client.query(`DELETE FROM app."Region" WHERE "Code" = 'DE'`);
  assert.deepEqual(await scene.rows(`SELECT "RegionCode", "RegionSeason" FROM app."Team" WHERE "Id" = -3`), [
    [null, '2024'],
  ]);
});

const psql = spawnSync('psql', ['--version']).error === undefined;

test('the dry run’s script in psql makes the catalog of the run', {
  skip: !psql && 'psql is not installed',
}, async () => {
  const done = await runCli(['-c', scene.config(changes), '--output-json', 'run', '--dry-run']);
  assert.equal(done.code, 0, done.stderr);
  const { dry_run: plan } = oneLineOfJson(done.stdout) as { dry_run: { ddl: string } };
  const script = join(scene.directory, 'schema.sql');
  writeFileSync(script, plan.ddl);
  const { host, port, user, password, database } = await scene.target.createDatabase('psql');
  const arguments_ = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', host, '-p', String(port), '-U', user];
  const ran = spawnSync('psql', [...arguments_, '-d', database, '-f', script], {
    env: { ...process.env, PGPASSWORD: password },
    encoding: 'utf8',
  });
  assert.equal(ran.status, 0, ran.stderr);
  assert.equal(ran.stderr, '');
  const client = await scene.target.client(database);
  try {
    assert.deepEqual(await pgCatalog(client, ['app']), everyObjectCatalog);
  } finally {
    await client.end();
  }
});

test('sequences, comments and other objects are read from the catalog as they are', async () => {
  const answers: [RegExp, Record<string, unknown>[]][] = [
    [
      /sys\.extended_properties/,
      [
        { object_id: 1, kind: 'table', name: 'T', text: 'of T' },
        { object_id: 1, kind: 'column', name: 'Id', text: 'of Id' },
        { object_id: 99, kind: 'table', name: 'U', text: 'of a table outside the run' },
      ],
    ],
    [
      /sys\.indexes/,
      [
        {
          ...{ object_id: 1, index_id: 2, name: 'IX', type: 2, type_desc: 'NONCLUSTERED', is_unique: true },
          ...{ is_unique_constraint: false, is_disabled: false, has_filter: true, filter_definition: null },
          ...{ column_name: 'Id', is_descending_key: true, is_included_column: false },
        },
      ],
    ],
    [
      /sys\.sequences/,
      [
        {
          schema_name: 'dbo',
          name: 'S',
          start_value: '1',
          increment_value: '1',
          minimum_value: '-9',
          maximum_value: '9',
          now_value: '4',
          used: 1,
          is_cycling: true,
        },
      ],
    ],
    [
      /sys\.objects/,
      [
        { schema_name: 'dbo', name: 'V', type: 'V ' },
        { schema_name: 'dbo', name: 'F1', type: 'FN' },
        { schema_name: 'dbo', name: 'F2', type: 'IF' },
        { schema_name: 'dbo', name: 'D', type: 'D ' },
      ],
    ],
  ];
  const query = async (sql: string) => answers.find(([pattern]) => pattern.test(sql))?.[1] ?? [];
  const found = await readObjects({ query }, [sourceTable()], 16);
  // A filter the login may not see is a filter all the same.
  const [index] = found.tables.get(1)?.indexes ?? [];
  assert.deepEqual([index?.filter, index?.keys], ['', [{ column: 'Id', descending: true }]]);
  assert.deepEqual(found.tables.get(1)?.comments, [
    { on: 'table', name: 'T', text: 'of T' },
    { on: 'column', name: 'Id', text: 'of Id' },
  ]);
  assert.deepEqual(found.sequences, [
    {
      schema: 'dbo',
      name: 'S',
      start: '1',
      increment: '1',
      minimum: '-9',
      maximum: '9',
      cycles: true,
      current: '4',
      used: true,
    },
  ]);
  assert.deepEqual(found.notMigrated, [
    { kind: 'views', names: ['dbo.V'] },
    { kind: 'functions', names: ['dbo.F1', 'dbo.F2'] },
    { kind: 'bound defaults', names: ['dbo.D'] },
  ]);
  assert.deepEqual((await readObjects({ query }, [], 10)).sequences, []);
});
