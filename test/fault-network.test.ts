/**
 * Connections that break at chosen bytes, on either side, while the tool works: the run succeeds, every row once.
 *
 * Run by the main thread of the test process, with a proxy between the tool and each server.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CrashScene, crashMigration, startCrashScene } from './support/crashScene.js';
import { each, isCommit, isCopy, type Piece, startFaultProxy, type Verdict } from './support/faultProxy.js';

let scene: CrashScene;
before(async () => {
  scene = await startCrashScene('fault');
});
after(() => scene?.stop());

let schemas = 0;

/** Migrates through a proxy on one side; the run must succeed, however often it was harmed. */
async function survives(
  side: 'source' | 'target',
  judge: (piece: Piece) => Verdict,
  options: { harms: number; keys?: object; migration?: object },
): Promise<void> {
  const schema = `fault_${schemas++}`;
  const real = side === 'source' ? scene.source : scene.target.connection;
  const proxy = await startFaultProxy(real.host, real.port, judge);
  try {
    const through = { host: '127.0.0.1', port: proxy.port, ...options.keys };
    const done = await scene.migrate({
      migration: { ...crashMigration, ...options.migration },
      source: side === 'source' ? through : {},
      target: { schema, ...(side === 'target' && through) },
    });
    assert.equal(done.code, 0, `${done.stdout}\n${done.stderr}`);
    assert.ok(proxy.harmed >= options.harms, `${proxy.harmed} connections were harmed`);
    await scene.assertExact(schema);
  } finally {
    proxy.close();
  }
}

test('the answer to COMMIT gets lost, again and again', () =>
  survives('target', each(9, 8, 'lose answer', isCommit), { harms: 8 }));

test('COMMIT itself gets lost', () => survives('target', each(9, 8, 'reset', isCommit), { harms: 8 }));

test('the target is cut off in the middle of COPY data', () =>
  survives('target', each(12, 6, 'cut', isCopy), { harms: 6 }));

test('the target falls silent between COMMIT and its answer, and in the middle of COPY data', async () => {
  const commit = each(20, 2, 'stall', isCommit);
  const copy = each(30, 2, 'stall', isCopy);
  await survives('target', (piece) => (commit(piece) === 'stall' ? 'stall' : copy(piece)), {
    harms: 3,
    keys: { stall_timeout_seconds: 1, lock_timeout_seconds: 5 },
  });
});

test('the target falls silent when the rows are in: statements that nobody works on are not waited for', async () => {
  const keys = each(3, 2, 'stall', ({ direction, bytes }) => {
    return direction === 'to server' && bytes.includes('ADD CONSTRAINT');
  });
  const statistics = each(5, 2, 'lose answer', ({ direction, bytes }) => {
    return direction === 'to server' && bytes.includes('ANALYZE "');
  });
  await survives('target', (piece) => (keys(piece) === 'stall' ? 'stall' : statistics(piece)), {
    harms: 4,
    keys: { stall_timeout_seconds: 1 },
  });
});

/** Answers to reads; smaller pieces are logins and catalogs. */
const isRows = ({ direction, bytes, offset }: Piece) =>
  direction === 'to client' && offset > 2000 && bytes.length > 1000;

test('the source is cut off in the middle of rows', () =>
  survives('source', each(5, 4, 'cut', isRows), { harms: 4, keys: { packet_size_bytes: 4096 } }));

test('the source is reset in the middle of rows, text COPY', () =>
  survives('source', each(5, 4, 'reset', isRows), {
    harms: 4,
    keys: { packet_size_bytes: 4096 },
    migration: { use_binary_copy: false },
  }));

test('the source falls silent in the middle of rows', () =>
  survives('source', each(11, 2, 'stall', isRows), {
    harms: 2,
    keys: { packet_size_bytes: 4096, stall_timeout_seconds: 1 },
  }));

test('the target ends every session, three times', async () => {
  const schema = 'fault_sessions';
  let ended = 0;
  let over = false;
  const running = scene
    .migrate({ migration: crashMigration, target: { schema } }, ['--verbosity', 'warn'])
    .finally(() => {
      over = true;
    });
  while (!over && ended < 3) {
    const [row] = await scene.rows(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
      WHERE application_name = 'mssql-pg-migrate' AND datname = current_database()
        AND (SELECT count(*) > ${ended * 8 + 8} FROM mssql_pg_migrate.chunks JOIN mssql_pg_migrate.tables USING (run_id, table_name)
          WHERE target_schema = '${schema}')`);
    if (Number(row?.[0]) > 0) ended++;
    else await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const done = await running;
  assert.equal(done.code, 0, `${done.stdout}\n${done.stderr}`);
  assert.ok(ended > 0);
  await scene.assertExact(schema);
});
