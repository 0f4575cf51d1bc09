/**
 * `upsert` where the target refuses rows, and where it is stopped half way: what failed is named, what went right
 * stays, and the next run completes it.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Scene, startScene, succeeded, tableError } from './support/endToEnd.js';
import { each, isCommit, startFaultProxy } from './support/faultProxy.js';
import { assertLikeSource, changesOf, upsert } from './support/upserting.js';

const MANY = 60_000;
const ROWS: Record<string, number> = { many: MANY, more: 6000 };
let scene: Scene;
before(async () => {
  const table = (
    name: string,
  ) => `CREATE TABLE dbo.${name} (id int NOT NULL CONSTRAINT pk_${name} PRIMARY KEY, v int NOT NULL, word nvarchar(20) NULL);
GO
INSERT INTO dbo.${name} (id, v, word) SELECT CAST(s.value AS int), CAST(s.value AS int), CONCAT(N'w', s.value)
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${ROWS[name] ?? 100} AS bigint)) AS s;`;
  scene = await startScene(
    'upsert_failures',
    ['one', 'two', 'three', 'more', 'many'].map(table).join('\nGO\n'),
  );
});
after(() => scene?.stop());

const small = { include_tables: ['one', 'two', 'three'] };

test('a constraint that refuses a row fails its table only', async () => {
  succeeded(await upsert(scene, small));
  await scene.client.query(`ALTER TABLE two ADD CONSTRAINT not_bad CHECK (word <> 'bad')`);
  await scene.tsql(`UPDATE dbo.one SET v = 0 WHERE id = 5; UPDATE dbo.three SET v = 0 WHERE id = 5;
UPDATE dbo.two SET word = N'bad' WHERE id = 7;`);
  const done = await upsert(scene, small);
  assert.deepEqual([done.code, done.result.error?.code], [3, 'TABLES_FAILED'], done.stderr);
  assert.deepEqual(done.result.failed_tables, ['dbo.two']);
  const error = tableError(done.result, 'dbo.two');
  assert.deepEqual([error.code, error.server_code, error.table], ['TARGET_QUERY', '23514', 'dbo.two']);
  assert.match(error.message, /violates check constraint "not_bad".*Failing row contains \(7, 7, bad/);
  assert.match(error.remedy ?? '', /constraint/);
  for (const name of ['one', 'three']) {
    assert.deepEqual(await scene.rows(`SELECT v FROM ${name} WHERE id = 5`), [['0']], name);
  }
  await scene.client.query('ALTER TABLE two DROP CONSTRAINT not_bad');
  assert.equal(changesOf(await upsert(scene, small))['public.two']?.updated, 1);
  await assertLikeSource(scene, 'public', small);
});

test('a further unique index of the target that a change violates is named with its key', async () => {
  await scene.client.query('CREATE UNIQUE INDEX one_word ON one (word)');
  await scene.tsql(`UPDATE dbo.one SET word = N'w12' WHERE id = 11; UPDATE dbo.two SET v = 1 WHERE id = 2;`);
  const done = await upsert(scene, small);
  assert.deepEqual([done.code, done.result.failed_tables], [3, ['dbo.one']], done.stderr);
  const error = tableError(done.result, 'dbo.one');
  assert.equal(error.server_code, '23505');
  assert.match(error.message, /unique constraint "one_word".*Key \(word\)=\(w12\) already exists/);
  assert.equal(error.key, 'word=w12');
  assert.match(error.remedy ?? '', /one_word/);
  assert.deepEqual(await scene.rows('SELECT word FROM one WHERE id IN (11, 12) ORDER BY id'), [
    ['w11'],
    ['w12'],
  ]);
  assert.deepEqual(await scene.rows('SELECT v FROM two WHERE id = 2'), [['1']]);
  await scene.client.query('DROP INDEX one_word');
});

test('a row hash that the target refuses fails its table only', async () => {
  await scene.client.query(`ALTER TABLE one DROP COLUMN row_hash;
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'this table is closed'; END $$;
    CREATE TRIGGER closed BEFORE UPDATE ON one FOR EACH ROW EXECUTE FUNCTION refuse()`);
  await scene.tsql('UPDATE dbo.two SET v = 3 WHERE id = 3');
  const done = await upsert(scene, small);
  assert.deepEqual([done.code, done.result.failed_tables], [3, ['dbo.one']], done.stderr);
  assert.match(tableError(done.result, 'dbo.one').message, /this table is closed/);
  assert.deepEqual(await scene.rows('SELECT v FROM two WHERE id = 3'), [['3']]);
  await scene.client.query('DROP TRIGGER closed ON one');
  assert.equal(changesOf(await upsert(scene, small))['public.one']?.updated, 1);
  await assertLikeSource(scene, 'public', small);
});

test('connections are lost at every COMMIT but some: each change is made once, and the receipt tells of it', async () => {
  const { connection } = scene.target;
  succeeded(await upsert(scene, small));
  await scene.client.query(`UPDATE one SET v = -v WHERE id % 2 = 0; DELETE FROM two WHERE id % 5 = 0;
    INSERT INTO three (id, v) SELECT 1000 + i, 0 FROM generate_series(1, 20) AS i`);
  const lost = each(3, 5, 'lose answer', isCommit);
  const reset = each(5, 3, 'reset', isCommit);
  const proxy = await startFaultProxy(connection.host, connection.port, (piece) => {
    const verdict = lost(piece);
    return verdict === 'pass' ? reset(piece) : verdict;
  });
  try {
    const migration = { ...small, upsert_batch_size: 10, delete_extra_rows: true, retry_delay_ms: 100 };
    const target = { host: '127.0.0.1', port: proxy.port };
    const upserting = { target_mode: 'upsert', hash_text_columns: true, max_retries: 6 };
    const changed = { target, migration: { ...upserting, ...migration } };
    const done = await scene.migrate(changed, ['--log-format', 'json']);
    const changes = changesOf(done);
    const none = { inserted: 0, updated: 0, deleted: 0, extra: 0 };
    assert.deepEqual(changes, {
      'public.one': { ...none, updated: 50 },
      'public.two': { ...none, inserted: 20 },
      'public.three': { ...none, deleted: 20 },
    });
    assert.ok(proxy.harmed >= 6, `${proxy.harmed} connections were harmed`);
    // Only an event of the table has the error's code in its log line.
    const retried = done.stderr
      .split('\n')
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Record<string, unknown>] : []))
      .filter(({ message, code }) => /: trying again after: /.test(String(message)) && code !== undefined);
    for (const { table, retries } of done.result.tables) {
      assert.equal(retries, retried.filter((line) => line.table === table).length, table);
    }
    assert.ok(done.result.retries > 0);
    const entered = await scene.rows(`SELECT t.target_name, sum(inserted), sum(updated), sum(deleted)
      FROM mssql_pg_migrate.chunks JOIN mssql_pg_migrate.tables t USING (run_id, table_name)
      WHERE run_id = '${done.result.run_id}' AND moved_to IS NULL GROUP BY 1 ORDER BY 1`);
    assert.deepEqual(entered, [
      ['one', '0', '50', null],
      ['three', null, null, '20'],
      ['two', '20', '0', null],
    ]);
    await assertLikeSource(scene, 'public', small);
  } finally {
    proxy.close();
  }
});

test('a merge fails while the next ranges are compared: its table only, and the next run completes it', async () => {
  const both = {
    include_tables: ['more', 'one'],
    upsert_batch_size: 20,
    batch_verify: { tier1_batch_size: 500, tier2_batch_size: 100 },
  };
  succeeded(await upsert(scene, both));
  await scene.client.query(`UPDATE more SET v = -v WHERE id % 20 = 3 AND id <> 903; UPDATE one SET v = 0 WHERE id = 9;
    CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.id = 903 THEN RAISE EXCEPTION 'row 903 is closed'; END IF; RETURN NEW; END $$;
    CREATE TRIGGER closed BEFORE INSERT ON more FOR EACH ROW EXECUTE FUNCTION closed();
    DELETE FROM more WHERE id = 903`);
  const done = await upsert(scene, both);
  assert.deepEqual([done.code, done.result.failed_tables], [3, ['dbo.more']], done.stderr);
  assert.match(tableError(done.result, 'dbo.more').message, /row 903 is closed/);
  assert.deepEqual(await scene.rows('SELECT v FROM one WHERE id = 9'), [['9']]);
  const [row] = await scene.rows('SELECT count(*) FROM more WHERE v < 0');
  await scene.client.query('DROP TRIGGER closed ON more');
  const changes = changesOf(await upsert(scene, both))['public.more'];
  assert.deepEqual([changes?.inserted, changes?.updated], [1, Number(row?.[0])]);
  await assertLikeSource(scene, 'public', both);
});

test('SIGTERM in the middle, then again', async () => {
  const only = {
    include_tables: ['many'],
    upsert_batch_size: 200,
    batch_verify: { tier1_batch_size: 10_000, tier2_batch_size: 1000 },
  };
  succeeded(await upsert(scene, only));
  await scene.client.query(`UPDATE many SET v = -v, word = NULL; DELETE FROM many WHERE id % 10 = 0`);
  const done = await upsert(
    scene,
    only,
    {},
    {
      onStart: (child) => {
        const look = async () => {
          const [row] = await scene.rows('SELECT count(*) FROM many WHERE v > 0');
          if (Number(row?.[0]) > 0) child.kill('SIGTERM');
          else if (child.exitCode === null) setTimeout(look, 10);
        };
        void look();
      },
    },
  );
  assert.deepEqual([done.code, done.result.status], [5, 'cancelled'], done.stderr);
  const [row] = await scene.rows(
    'SELECT count(*) FILTER (WHERE v > 0), count(*) FILTER (WHERE v < 0) FROM many',
  );
  const [mended, left] = [Number(row?.[0]), Number(row?.[1])];
  assert.ok(mended > 0 && left > 0, `${mended} rows mended and ${left} left: stopped in the middle`);
  const again = changesOf(await upsert(scene, only))['public.many'];
  assert.equal((again?.inserted ?? 0) + (again?.updated ?? 0), MANY - mended);
  await assertLikeSource(scene, 'public', only);
});
