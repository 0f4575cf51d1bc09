/**
 * What schedulers and people do around an interrupted run: signal, status, receipt, resume, and what is refused.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { gapsOf } from '../src/checkpoint/coverage.js';
import { fingerprintOf } from '../src/checkpoint/runs.js';
import { planTables } from '../src/plan/tables.js';
import { runCli } from './support/cli.js';
import { type CrashScene, crashMigration, startCrashScene } from './support/crashScene.js';
import { oneLineOfJson } from './support/endToEnd.js';
import { sourceColumn, sourceTable } from './support/sourceTables.js';

let scene: CrashScene;
before(async () => {
  scene = await startCrashScene('commands');
});
after(() => scene?.stop());

/** Runs the tool with a configuration of its own schema. */
function tool(schema: string, stateFile: string | null = `${schema}.state`) {
  const config = scene.config({ migration: crashMigration, target: { schema } });
  const state = stateFile === null ? [] : ['--state-file', `${scene.directory}/${stateFile}`];
  return async (args: string[], onStart?: Parameters<typeof runCli>[1]) => {
    const done = await runCli(['-c', config, ...state, '--output-json', ...args], {
      timeoutMs: 60_000,
      ...onStart,
    });
    // biome-ignore lint/suspicious/noExplicitAny: a result as a scheduler sees it, field by field
    return { ...done, json: oneLineOfJson(done.stdout) as any };
  };
}

const entered = (schema: string) =>
  scene
    .rows(`SELECT count(*) FROM mssql_pg_migrate.chunks JOIN mssql_pg_migrate.tables USING (run_id, table_name)
      WHERE target_schema = '${schema}'`)
    .then(([row]) => Number(row?.[0]));

test('SIGTERM saves, status and receipt tell, run refuses, resume completes under the same id', async () => {
  const run = tool('stopped');
  const stopped = await run(['run'], {
    onStart: async (child) => {
      while ((await entered('stopped')) < 100) await new Promise((resolve) => setTimeout(resolve, 2));
      child.kill('SIGTERM');
    },
  });
  assert.deepEqual(
    [stopped.code, stopped.json.status, stopped.json.error.code],
    [5, 'cancelled', 'CANCELLED'],
  );
  const state = JSON.parse(readFileSync(`${scene.directory}/stopped.state`, 'utf8'));
  assert.deepEqual([state.run_id, state.status], [stopped.json.run_id, 'cancelled']);
  assert.match(state.config_hash, /^sha256:[0-9a-f]{64}$/);
  const committed = Number(
    (
      await scene.rows(`SELECT sum(rows) FROM mssql_pg_migrate.chunks WHERE run_id = '${state.run_id}'`)
    )[0]![0],
  );
  type Transferred = { transferred_rows: number };
  const mirrored = Object.values(state.tables as Record<string, Transferred>);
  assert.equal(
    mirrored.reduce((sum, { transferred_rows }) => sum + transferred_rows, 0),
    committed,
  );

  const status = await run(['status']);
  assert.deepEqual([status.code, status.json.run_status, status.json.from], [0, 'cancelled', 'state file']);
  const fromLedger = await tool('stopped', null)(['status']);
  assert.deepEqual([fromLedger.json.run_id, fromLedger.json.from], [state.run_id, 'ledger']);

  const again = await run(['run']);
  assert.deepEqual([again.code, again.json.error.code], [6, 'STATE_INVALID']);
  assert.match(again.json.error.remedy, /resume.*--or-resume.*--fresh/);
  const otherFile = tool('stopped', 'other-stopped.state');
  assert.equal((await otherFile(['run'])).code, 6);
  const asked = await otherFile(['status']);
  assert.deepEqual(
    [asked.json.run_id, asked.json.from],
    [state.run_id, 'ledger'],
    'what was refused is no run',
  );

  const resumed = await run(['run', '--or-resume', '--workers', '1']);
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.equal(resumed.json.run_id, state.run_id);
  await scene.assertExact('stopped');
  const done = JSON.parse(readFileSync(`${scene.directory}/stopped.state`, 'utf8'));
  assert.deepEqual([done.status, done.tables.by_int.status], ['completed', 'completed']);
  assert.equal(done.tables.by_int.transferred_rows, 1200);

  const { json: receipt } = await run(['receipt']);
  assert.deepEqual([receipt.run_id, receipt.run_status, receipt.attempts], [state.run_id, 'completed', 2]);
  for (const table of receipt.tables) {
    const rows = table.chunks.reduce((sum: number, chunk: { rows: number }) => sum + chunk.rows, 0);
    assert.equal(rows, table.rows);
    for (const chunk of table.chunks) assert.match(chunk.digest, /^[0-9a-f]{8}$/);
  }
  assert.ok(
    receipt.tables.some((table: { notes: string[] }) =>
      table.notes.some((note) => /7th fractional/.test(note)),
    ),
  );

  const twice = await run(['resume']);
  assert.deepEqual([twice.code, twice.json.run_id, twice.json.tables_failed], [0, state.run_id, 0]);

  const next = await run(['run', '--or-resume']);
  assert.equal(next.code, 0, next.stderr);
  assert.notEqual(next.json.run_id, state.run_id, 'nothing is unfinished: another run begins');
  await scene.assertExact('stopped');
});

test('resume without a run, with another configuration, or with a file that is none; a file that can not be written', async () => {
  const nothing = await tool('nothing', null)(['resume']);
  assert.deepEqual([nothing.code, nothing.json.error.code], [6, 'STATE_INVALID']);
  assert.match(nothing.json.error.remedy, /`run --or-resume`.* in no ledger/);
  const other = await tool('elsewhere', 'stopped.state')(['resume']);
  assert.equal(other.code, 6);
  assert.match(other.json.error.message, /Config hash mismatch/);
  writeFileSync(`${scene.directory}/broken.state`, '{"run_id": 1');
  const broken = await tool('broken')(['resume']);
  assert.deepEqual([broken.code, broken.json.error.code], [6, 'STATE_INVALID']);
  const nowhere = await tool('nowhere', 'no folder/x.state')(['run']);
  assert.deepEqual([nowhere.code, nowhere.json.error.code], [7, 'IO']);
});

test('a run that ended before it touched anything is begun by resume, under its id', async () => {
  const schema = 'begun';
  const unreachable = scene.config({
    migration: { ...crashMigration, max_retries: 0 },
    target: { schema, port: 1 },
  });
  const state = `${scene.directory}/begun.state`;
  const failed = await runCli(['-c', unreachable, '--state-file', state, '--output-json', 'run']);
  assert.equal(failed.code, 2, failed.stderr);
  const { run_id, config_hash, ...rest } = JSON.parse(readFileSync(state, 'utf8'));
  assert.deepEqual([rest.tables, rest.status], [{}, 'failed']);
  // The port belongs to the configuration's identity: what the file would say had the server merely been down.
  await tool(schema, 'other.state')(['run']);
  const right = JSON.parse(readFileSync(`${scene.directory}/other.state`, 'utf8'));
  assert.notEqual(config_hash, right.config_hash);
  writeFileSync(state, JSON.stringify({ ...rest, run_id, config_hash: right.config_hash }));
  const resumed = await tool(schema)(['resume']);
  assert.deepEqual([resumed.code, resumed.json.run_id], [0, run_id], resumed.stderr);
  await scene.assertExact(schema);
});

test('gaps: what is moved counts where it went, and nothing is compared for order', () => {
  const key = (text: string | null) => (text === null ? null : [text]);
  const partition = (
    number: number,
    lower: string | null,
    upper: string | null,
    of: { partition: number; chunk: number } | null = null,
  ) => ({ partition: number, lower: key(lower), upper: key(upper), retries: 0, of });
  const chunk = (
    of: number,
    number: number,
    lower: string | null,
    upper: string | null,
    movedTo: number | null = null,
  ) => ({ partition: of, chunk: number, lower: key(lower), upper: key(upper), rows: 1, bytes: 1, movedTo });
  const gaps = gapsOf(
    [partition(0, null, 'm'), partition(1, 'm', null), partition(2, 'c', 'e', { partition: 0, chunk: 1 })],
    [
      chunk(0, 0, null, 'c'),
      chunk(0, 1, 'c', 'e', 2),
      chunk(0, 3, 'g', 'm'),
      chunk(2, 0, 'c', 'd'),
      chunk(1, 0, 'm', 'z'),
    ],
  );
  assert.deepEqual(
    gaps.map(({ partition: of, chunk: number, lower, upper }) => [of, number, lower?.[0], upper?.[0]]),
    [
      [2, 1, 'd', 'e'],
      [0, 2, 'e', 'g'],
      [1, 1, 'z', undefined],
    ],
  );
  assert.deepEqual(gapsOf([partition(0, null, null)], [chunk(0, 0, null, null)]), []);
  // A crash of the server has emptied the entry of what was moved, and that of what was committed behind it.
  const moved = partition(1, 'c', 'e', { partition: 0, chunk: 1 });
  const left = gapsOf([partition(0, null, 'm'), moved], [chunk(0, 0, null, 'c'), chunk(1, 0, 'c', 'd')]);
  assert.deepEqual(
    left.map(({ partition: of, chunk: number, lower, upper }) => [of, number, lower?.[0], upper?.[0]]),
    [
      [1, 1, 'd', 'e'],
      [0, 2, 'e', 'm'],
    ],
  );
  // A second crash, after what the first one left was moved as well: the later of them is the earlier one's neighbour.
  const again = partition(2, null, 'c', { partition: 0, chunk: 0 });
  assert.deepEqual(
    gapsOf([partition(0, null, 'm'), moved, again], []).map(({ partition: of, lower }) => [of, lower?.[0]]),
    [
      [2, undefined],
      [1, 'c'],
      [0, 'e'],
    ],
  );
  assert.throws(() => gapsOf([partition(0, null, null)], [chunk(0, 0, 'x', null)]), /contradicts itself/);
});

test('a table is another one where its key is ordered in another way', () => {
  const fingerprint = (key: string, value = key, names = ['K', 'L']) => {
    const text = (name: string, collation: string) =>
      sourceColumn(name, 'nvarchar', { maxLengthBytes: 40, collation });
    const columns = [text('K', key), text('L', key), text('V', value)];
    const [plan] = planTables([sourceTable({ name: 'T', columns, key: names })], {
      naming: { identifierCase: 'preserve', schemaOf: () => 'app' },
      ...{ chunkRows: 1000, rowHashColumn: null, hashTextColumns: true, unlogged: false },
    });
    return fingerprintOf(plan!);
  };
  const [folding, exact] = ['Latin1_General_CI_AS', 'Latin1_General_BIN2'];
  const began = fingerprint(folding);
  assert.notEqual(fingerprint(exact, folding), began);
  assert.notEqual(fingerprint(folding, folding, ['L', 'K']), began);
  assert.equal(fingerprint(folding, exact), began);
});
