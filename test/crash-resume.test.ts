/**
 * The tool killed with SIGKILL again and again in the middle of its work, and resumed: every row once.
 *
 * Run by the main thread of the test process. The moments are drawn from fixed seeds; what they hit is not fixed.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CliResult, runCli } from './support/cli.js';
import { type CrashScene, crashMigration, startCrashScene } from './support/crashScene.js';
import { fractionsFrom } from './support/random.js';

let scene: CrashScene;
before(async () => {
  scene = await startCrashScene('crash');
});
after(() => scene?.stop());

const CHUNKS = `SELECT count(*) FROM (SELECT run_id FROM mssql_pg_migrate.chunks UNION ALL
  SELECT run_id FROM mssql_pg_migrate.unlogged_chunks) AS c
  WHERE run_id = (SELECT run_id FROM mssql_pg_migrate.tables WHERE target_schema = $1 ORDER BY updated_at DESC LIMIT 1)`;

/** Runs the tool and kills it once `chunks` more chunks and `waitMs` have passed. @returns null where it was quicker. */
async function killed(
  args: string[],
  schema: string,
  chunks: number,
  waitMs: number,
): Promise<CliResult | null> {
  let child: ChildProcess | undefined;
  let ended = false;
  const entered = async () => Number((await scene.client.query(CHUNKS, [schema])).rows[0]?.count ?? 0);
  const from = await entered();
  const running = runCli(args, {
    timeoutMs: 60_000,
    onStart: (started) => {
      child = started;
    },
  }).finally(() => {
    ended = true;
  });
  const shooting = (async () => {
    while (!ended && (await entered()) < from + chunks) await sleep(2);
    await sleep(waitMs);
    child?.kill('SIGKILL');
  })();
  const [done] = await Promise.all([running, shooting]);
  return done.code === 137 ? null : done;
}

const KILLS = 6;
const scenarios = [
  { name: 'drop_recreate', migration: {} },
  { name: 'truncate', migration: { target_mode: 'truncate', use_hash_detection: true } },
  { name: 'drop_recreate into UNLOGGED tables', migration: { use_unlogged_tables: true } },
  { name: 'upsert', migration: { target_mode: 'upsert', exclude_tables: ['keyless'] } },
  { name: 'truncate by text COPY', migration: { target_mode: 'truncate', use_binary_copy: false } },
];

for (const [seed, { name, migration }] of scenarios.entries()) {
  test(`${name}: killed ${KILLS} times`, async (t) => {
    const schema = `crash_${seed}`;
    const config = scene.config({ migration: { ...crashMigration, ...migration }, target: { schema } });
    const state = `${scene.directory}/${schema}.state`;
    const options = ['-c', config, '--state-file', state, '--output-json'];
    const next = fractionsFrom(seed + 1);
    let runId: string | undefined;
    let kills = 0;
    let command = 'run';
    for (;;) {
      const shot = kills < KILLS;
      // The last shots come late, into what follows the rows.
      const chunks = Math.floor(next() * 20) + (kills >= KILLS - 2 ? 60 : 0);
      const done = shot
        ? await killed([...options, command], schema, chunks, next() * 60)
        : await runCli([...options, command], { timeoutMs: 60_000 });
      command = 'resume';
      if (done === null) {
        kills++;
        continue;
      }
      assert.equal(done.code, 0, `${done.stdout}\n${done.stderr}`);
      const result = JSON.parse(done.stdout);
      runId ??= result.run_id;
      assert.equal(result.run_id, runId);
      break;
    }
    t.diagnostic(`${kills} kills`);
    if (name === 'upsert') await scene.assertKeyed(schema);
    else await scene.assertExact(schema);
  });
}
