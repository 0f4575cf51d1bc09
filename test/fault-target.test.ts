/**
 * What a target does to a run that is no crash: a full disk, other sessions' locks, policies that hide rows,
 * partitions a crash would empty, a ledger that is older, newer, taken or gone. Exit codes, messages, and the way on.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { existsSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type pg from 'pg';
import { loadConfig } from '../src/config/load.js';
import { rehearse } from '../src/engine/rehearsal.js';
import type { RunResult } from '../src/observe/result.js';
import { rowFilters } from '../src/source/rowFilters.js';
import { runCli } from './support/cli.js';
import {
  type ConfigChanges,
  type Migration,
  oneLineOfJson,
  type Scene,
  startScene,
  succeeded,
  tableError,
} from './support/endToEnd.js';
import { upsert, verify } from './support/upserting.js';

const ROWS = 200;
const PLAIN = { use_hash_detection: false, max_retries: 0 };
const HASTY = { lock_timeout_seconds: 1 };
let scene: Scene;
let other: pg.Client;
before(async () => {
  const table = (name: string) => `CREATE TABLE dbo.${name} (id int NOT NULL PRIMARY KEY, v int NOT NULL);
GO
INSERT INTO dbo.${name} (id, v) SELECT CAST(s.value AS int), CAST(s.value AS int)
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${ROWS} AS bigint)) AS s;`;
  scene = await startScene('fault_target', ['one', 'two'].map(table).join('\nGO\n'));
  other = await scene.target.client();
});
after(async () => {
  await other?.end();
  await scene?.stop();
});

/** Tables of a schema of their own, as the source has them, empty. */
async function emptyTables(schema: string): Promise<void> {
  await scene.client.query(`CREATE SCHEMA ${schema};
    CREATE TABLE ${schema}.one (id integer PRIMARY KEY, v integer NOT NULL);
    CREATE TABLE ${schema}.two (id integer PRIMARY KEY, v integer NOT NULL)`);
}

async function resume(changes: ConfigChanges): Promise<Migration> {
  const done = await runCli(['-c', scene.config(changes), '--output-json', 'resume'], { timeoutMs: 60_000 });
  return { ...done, result: oneLineOfJson(done.stdout) as RunResult };
}

async function assertRows(schema: string): Promise<void> {
  for (const name of ['one', 'two']) {
    const rows = await scene.rows(`SELECT count(*), sum(v), count(DISTINCT id) FROM ${schema}.${name}`);
    assert.deepEqual(rows, [[String(ROWS), String((ROWS * (ROWS + 1)) / 2), String(ROWS)]], name);
  }
}

const pid = async (): Promise<string> => {
  const { rows } = await other.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return String(rows[0]?.pid);
};

async function until(what: string, reached: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 40_000;
  while (!(await reached())) {
    assert.ok(Date.now() < deadline, `never came to it: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('the disk is full: the table and what to do are named; with space again, resume completes', async (t) => {
  if (process.env.TEST_PG_URL || !existsSync('/dev/full')) return t.skip('needs the files of the target');
  const schema = 'full_disk';
  await emptyTables(schema);
  await scene.client.query('CHECKPOINT');
  const [at] = await scene.rows(
    `SELECT current_setting('data_directory'), pg_relation_filepath('${schema}.one')`,
  );
  const file = join(at![0]!, at![1]!);
  // Every write to this device ends with ENOSPC, as on a full disk.
  renameSync(file, `${file}.kept`);
  symlinkSync('/dev/full', file);
  const changes = { migration: { ...PLAIN, target_mode: 'upsert' }, target: { schema } };
  let done: Migration;
  try {
    done = await scene.migrate(changes);
  } finally {
    rmSync(file);
    renameSync(`${file}.kept`, file);
  }
  assert.deepEqual([done.code, done.result.failed_tables], [3, ['dbo.one']], done.stderr);
  const error = tableError(done.result, 'dbo.one');
  assert.deepEqual([error.code, error.server_code, error.table], ['TARGET_TRANSIENT', '53100', 'dbo.one']);
  assert.match(error.message, /no disk space left: .*No space left on device/);
  assert.match(error.remedy ?? '', /Free space/);
  assert.match(done.result.error?.message ?? '', /dbo\.one: /);
  assert.equal(done.result.error?.recoverable, true);
  const resumed = await resume(changes);
  assert.equal(succeeded(resumed).run_id, done.result.run_id);
  await assertRows(schema);
});

test('a trigger of the target that leaves a row out fails its table, and is named', async () => {
  const schema = 'triggered';
  await emptyTables(schema);
  await scene.client.query(`CREATE FUNCTION ${schema}.odd() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RETURN CASE WHEN NEW.id <> 7 THEN NEW END; END $$;
    CREATE TRIGGER no_seven BEFORE INSERT ON ${schema}.one FOR EACH ROW EXECUTE FUNCTION ${schema}.odd()`);
  const done = await scene.migrate({ target: { schema }, migration: { ...PLAIN, target_mode: 'truncate' } });
  assert.deepEqual([done.code, done.result.failed_tables], [3, ['dbo.one']], done.stderr);
  const error = tableError(done.result, 'dbo.one');
  assert.equal(error.code, 'TARGET_QUERY');
  assert.match(error.message, /took \d+ rows of a chunk of \d+: a trigger/);
  const notes = done.result.tables.find(({ table }) => table === 'dbo.one')?.notes ?? [];
  assert.ok(
    notes.some((note) => note.endsWith('or change it: no_seven')),
    notes.join(),
  );
});

test('another session’s lock: its pid is named by a COPY, a merge, a deletion, the preparation and a last step', async () => {
  const schema = 'locked';
  await emptyTables(schema);
  const blocker = new RegExp(`locks are held by .*pid ${await pid()} `);
  // One is compared, two is loaded: both may be read meanwhile.
  await scene.client.query(`INSERT INTO ${schema}.one VALUES (1, -1)`);
  await other.query(`BEGIN; LOCK TABLE ${schema}.one, ${schema}.two IN EXCLUSIVE MODE`);
  const merged = await upsert(scene, PLAIN, { target: { schema, ...HASTY } });
  assert.equal(merged.code, 3, merged.stderr);
  for (const table of ['dbo.one', 'dbo.two']) {
    const error = tableError(merged.result, table);
    assert.deepEqual([error.code, error.server_code], ['TARGET_TRANSIENT', '55P03']);
    assert.match(error.message, blocker);
    assert.match(error.remedy ?? '', /lock_timeout_seconds/);
  }
  await other.query('ROLLBACK');
  succeeded(await upsert(scene, PLAIN, { target: { schema, ...HASTY } }));
  await assertRows(schema);

  await scene.client.query(`INSERT INTO ${schema}.one VALUES (9999, 0)`);
  await other.query(`BEGIN; LOCK TABLE ${schema}.one IN EXCLUSIVE MODE`);
  const deleting = await upsert(
    scene,
    { ...PLAIN, delete_extra_rows: true },
    { target: { schema, ...HASTY } },
  );
  assert.match(tableError(deleting.result, 'dbo.one').message, blocker);

  const truncating = { migration: { ...PLAIN, target_mode: 'truncate' }, target: { schema, ...HASTY } };
  const prepared = await scene.migrate(truncating, ['--fresh']);
  assert.deepEqual([prepared.code, prepared.result.error?.code], [3, 'TARGET_TRANSIENT'], prepared.stderr);
  assert.match(prepared.result.error?.message ?? '', blocker);
  await other.query('ROLLBACK');

  await scene.client.query(`ALTER TABLE ${schema}.one DROP CONSTRAINT one_pkey;
    CREATE FUNCTION ${schema}.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE INSERT ON ${schema}.one FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION ${schema}.slow()`);
  const running = scene.migrate(truncating, ['--fresh']);
  await until('rows are copied', async () => {
    const copies = await scene.rows(
      `SELECT FROM pg_stat_progress_copy WHERE relid = '${schema}.one'::regclass`,
    );
    return copies.length > 0;
  });
  // Lets rows in, and keeps the table's definition as it is.
  await other.query(`BEGIN; LOCK TABLE ${schema}.one IN SHARE UPDATE EXCLUSIVE MODE`);
  const finalized = await running;
  await other.query('ROLLBACK');
  assert.deepEqual([finalized.code, finalized.result.failed_tables], [3, ['dbo.one']], finalized.stderr);
  assert.match(tableError(finalized.result, 'dbo.one').message, blocker);
  succeeded(await resume(truncating));
  await assertRows(schema);
});

test('--fail-fast ends the other tables at the next chunk; an older ledger is brought up to date, a newer one refused', async () => {
  const schema = 'fast';
  await emptyTables(schema);
  await scene.client.query(`ALTER TABLE ${schema}.one ADD CONSTRAINT small CHECK (v < 150);
    CREATE FUNCTION ${schema}.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END $$;
    CREATE FUNCTION ${schema}.late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      WHILE NOT EXISTS (SELECT FROM pg_stat_progress_copy WHERE relid = '${schema}.two'::regclass) LOOP
        PERFORM pg_sleep(0.02), pg_stat_clear_snapshot();
      END LOOP;
      RETURN NEW; END $$;
    CREATE TRIGGER late BEFORE INSERT ON ${schema}.one FOR EACH ROW WHEN (NEW.id = 20) EXECUTE FUNCTION ${schema}.late();
    CREATE TRIGGER slow BEFORE INSERT ON ${schema}.two FOR EACH ROW WHEN (NEW.id % 10 = 0) EXECUTE FUNCTION ${schema}.slow()`);
  const changes = {
    migration: {
      ...PLAIN,
      target_mode: 'truncate',
      chunk_size: 10,
      parallel_readers: 2,
      write_ahead_writers: 2,
    },
    target: { schema },
  };
  const done = await scene.migrate(changes, ['--fail-fast']);
  assert.deepEqual([done.code, done.result.failed_tables], [3, ['dbo.one']], done.stderr);
  assert.equal(tableError(done.result, 'dbo.one').server_code, '23514');
  const two = done.result.tables.find(({ table }) => table === 'dbo.two');
  assert.equal(two?.status, 'interrupted');
  assert.ok(two.rows < ROWS, `${two.rows} rows`);
  await scene.client.query(
    `ALTER TABLE ${schema}.one DROP CONSTRAINT small; DROP TRIGGER late ON ${schema}.one; DROP TRIGGER slow ON ${schema}.two`,
  );

  const ledger = 'mssql_pg_migrate';
  const added = ['inserted', 'updated', 'deleted', 'by_key'].map((name) => `DROP COLUMN ${name}`).join(', ');
  await scene.client.query(`UPDATE ${ledger}.version SET version = 99`);
  const newer = await resume(changes);
  assert.deepEqual([newer.code, newer.result.error?.code], [6, 'STATE_INVALID'], newer.stderr);
  assert.match(newer.result.error?.message ?? '', /version 99/);
  await scene.client.query(`DROP TABLE ${ledger}.claims; ALTER TABLE ${ledger}.runs DROP COLUMN name;
    ALTER TABLE ${ledger}.partitions DROP COLUMN of_partition, DROP COLUMN of_chunk;
    ALTER TABLE ${ledger}.chunks ${added}; ALTER TABLE ${ledger}.unlogged_chunks ${added};
    UPDATE ${ledger}.version SET version = 1`);
  await assertOnlyRead(changes, done.result.run_id!);
  const resumed = await resume(changes);
  assert.equal(succeeded(resumed).run_id, done.result.run_id);
  await assertRows(schema);
});

/** What only reads says all it has to say of a ledger of version 1, and leaves it one. */
async function assertOnlyRead(changes: ConfigChanges, runId: string): Promise<void> {
  const catalog = () =>
    scene.rows(`SELECT c.oid, a.attname, a.xmin, (SELECT version FROM mssql_pg_migrate.version)
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
      WHERE c.relnamespace = 'mssql_pg_migrate'::regnamespace ORDER BY c.oid, a.attnum`);
  const found = await catalog();
  const said = async (target: Record<string, unknown>, unfinished: 'refuse' | 'give-up') => {
    const config = await loadConfig(scene.config({ ...changes, target: { ...changes.target, ...target } }));
    const { signal } = new AbortController();
    const { notes, dryRun } = await rehearse(config, { signal, onEvent: () => {}, unfinished });
    return { notes: notes.join('\n'), obstacles: dryRun?.obstacles.map(({ message }) => message) ?? [] };
  };
  const planned = await said({}, 'refuse');
  assert.match(planned.notes, /ledger in schema mssql_pg_migrate from version 1 to version 4/);
  assert.equal(planned.obstacles.length, 1, planned.obstacles.join('\n'));
  assert.match(planned.obstacles[0]!, new RegExp(`^Run ${runId} of .* is not finished \\(failed\\)`));
  const role = `planner_${process.pid}`;
  await scene.client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'a word';
    GRANT ALL ON SCHEMA mssql_pg_migrate, fast TO ${role};
    GRANT ALL ON ALL TABLES IN SCHEMA mssql_pg_migrate, fast TO ${role}`);
  const notOwner = await said({ user: role, password: 'a word' }, 'give-up');
  await scene.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  assert.match(notOwner.obstacles[0] ?? '', /does not own the tables in schema mssql_pg_migrate/);
  const status = await runCli(['-c', scene.config(changes), '--output-json', 'status', '--run-id', runId]);
  assert.equal(status.code, 0, status.stderr + status.stdout);
  assert.equal(JSON.parse(status.stdout).run_id, runId);
  assert.deepEqual(await catalog(), found);
}

test('a run that another process works on is not resumed, nor one whose ledger is gone', async () => {
  const schema = 'taken';
  await emptyTables(schema);
  await scene.client.query(`ALTER TABLE ${schema}.two ADD CONSTRAINT small CHECK (v < 150)`);
  const changes = { migration: { ...PLAIN, target_mode: 'truncate' }, target: { schema } };
  const failed = await scene.migrate(changes);
  assert.equal(failed.code, 3, failed.stderr);
  await other.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [failed.result.run_id]);
  const taken = await resume(changes);
  await other.query('SELECT pg_advisory_unlock_all()');
  assert.deepEqual([taken.code, taken.result.error?.code], [6, 'STATE_INVALID'], taken.stderr);
  assert.match(taken.result.error?.message ?? '', new RegExp(`another process .*pid ${await pid()}`));
  await scene.client.query('ALTER SCHEMA mssql_pg_migrate RENAME TO put_aside');
  const gone = await resume(changes);
  await scene.client.query('ALTER SCHEMA put_aside RENAME TO mssql_pg_migrate');
  assert.deepEqual([gone.code, gone.result.error?.code], [6, 'STATE_INVALID'], gone.stderr);
});

test('policies that would hide rows of the target, and partitions a crash would empty, are refused', async () => {
  const schema = 'guarded';
  await emptyTables(schema);
  const role = `reader_${process.pid}`;
  const password = 'not a secret';
  await scene.client.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}';
    GRANT ALL ON SCHEMA ${schema} TO ${role}; GRANT ALL ON ALL TABLES IN SCHEMA ${schema} TO ${role};
    GRANT ALL ON SCHEMA mssql_pg_migrate TO ${role}; GRANT ALL ON ALL TABLES IN SCHEMA mssql_pg_migrate TO ${role};
    ALTER TABLE ${schema}.one ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON ${schema}.one USING (id < 10)`);
  try {
    const target = { schema, user: role, password };
    for (const mode of ['truncate', 'upsert']) {
      const refused = await scene.migrate({ migration: { ...PLAIN, target_mode: mode }, target });
      assert.deepEqual([refused.code, refused.result.error?.code], [3, 'TARGET_PERMISSION'], refused.stderr);
      assert.match(refused.result.error?.message ?? '', /Row-level security of target table guarded\.one/);
    }
    await scene.client.query(
      `CREATE TABLE ${schema}.heir () INHERITS (${schema}.two); GRANT SELECT ON ${schema}.heir TO ${role}`,
    );
    const verified = await verify(scene, { target });
    await scene.client.query(`DROP TABLE ${schema}.heir`);
    assert.match(verified.tables.get('guarded.two')?.notes.join() ?? '', /inherit from .*: guarded\.heir/);
    assert.equal(verified.tables.get('guarded.one')?.error?.code, 'TARGET_PERMISSION', verified.stderr);
    assert.equal(verified.tables.get('guarded.two')?.status, 'differs');
  } finally {
    await scene.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
  await scene.client.query(`DROP TABLE ${schema}.one;
    CREATE TABLE ${schema}.one (id integer PRIMARY KEY, v integer NOT NULL) PARTITION BY RANGE (id);
    CREATE UNLOGGED TABLE ${schema}.one_low PARTITION OF ${schema}.one FOR VALUES FROM (MINVALUE) TO (100);
    CREATE TABLE ${schema}.one_high PARTITION OF ${schema}.one FOR VALUES FROM (100) TO (MAXVALUE)`);
  const changes = { migration: { ...PLAIN, target_mode: 'truncate' }, target: { schema } };
  const refused = await scene.migrate(changes);
  assert.deepEqual([refused.code, refused.result.error?.code], [3, 'SCHEMA_CONFLICT'], refused.stderr);
  assert.match(
    refused.result.error?.message ?? '',
    /guarded\.one has UNLOGGED partitions.*: guarded\.one_low$/,
  );
  await scene.client.query(`ALTER TABLE ${schema}.one_low SET LOGGED`);
  succeeded(await scene.migrate(changes));
  await assertRows(schema);
});

test('policies that filter what the source shows are found, as far as the login sees them', async () => {
  const rows = [
    { object_id: 5, policy_name: 'by_tenant' },
    { object_id: 5, policy_name: 'by_country' },
    { object_id: 6, policy_name: null },
  ];
  const found = await rowFilters({ query: async () => rows });
  assert.deepEqual(
    [...found],
    [
      [5, ['by_tenant', 'by_country']],
      [6, ['a policy hidden from this login']],
    ],
  );
});
