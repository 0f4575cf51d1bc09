/**
 * Runs that are stopped or lose a server half way: they end soon, say what happened, and leave whole chunks only.
 *
 * Run by the main thread of the test process. A trigger on the target makes every chunk take a second, so that
 * half way is the same moment on a fast and on a slow machine.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { runCli } from './support/cli.js';
import { type Migration, type Scene, startScene, tableError } from './support/endToEnd.js';

const ROWS = 40_000;
/** Far more data than rings and sockets can hold: half way, the source still has some to give. */
const ROW_CHARACTERS = 1900;
const CHUNK = 2000;
const TOOL = 'mssql-pg-migrate';
const migration = {
  // What happens when it is not tried again; what happens when it is stands in the fault tests.
  max_retries: 0,
  target_mode: 'truncate',
  chunk_size: CHUNK,
  large_table_threshold: 1000,
  min_rows_per_partition: 10_000,
  read_ahead_buffers: 2,
  parallel_readers: 2,
  write_ahead_writers: 4,
};

let scene: Scene;
before(async () => {
  scene = await startScene(
    'signals',
    `CREATE TABLE dbo.big (id int NOT NULL, pad varchar(2000) NOT NULL);
GO
INSERT INTO dbo.big (id, pad) SELECT s.value, REPLICATE('x', ${ROW_CHARACTERS}) FROM GENERATE_SERIES(1, ${ROWS}) AS s;
GO
ALTER TABLE dbo.big ADD CONSTRAINT pk_big PRIMARY KEY (id);
GO
CREATE TABLE dbo.small (id int NOT NULL PRIMARY KEY);
GO
INSERT INTO dbo.small (id) VALUES (1), (2);`,
  );
  await scene.client.query(`CREATE TABLE public.big (id integer PRIMARY KEY, pad varchar(2000));
    CREATE TABLE public.small (id integer PRIMARY KEY);
    CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE INSERT ON public.big FOR EACH ROW WHEN (NEW.id % 200 = 0) EXECUTE FUNCTION public.slow()`);
});
after(() => scene?.stop());
beforeEach(() => scene.client.query('TRUNCATE public.big, public.small'));

const backends = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = '${TOOL}'`;

async function until(what: string, reached: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 40_000;
  while (!(await reached())) {
    assert.ok(Date.now() < deadline, `never came to it: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits until chunks were committed while others are being copied. */
function halfWay(): Promise<void> {
  return until('a chunk committed and another on its way', async () => {
    const [row] = await scene.rows(
      `SELECT (SELECT count(*) FROM public.big), (SELECT count(*) FROM pg_stat_progress_copy WHERE relid = 'public.big'::regclass)`,
    );
    return Number(row?.[0]) > 0 && Number(row?.[1]) > 0;
  });
}

/** Runs the tool, does `harm` half way, and measures how long the tool lasts after that. */
async function interrupted(
  harm: (child: ChildProcess) => void | Promise<void>,
  source: Record<string, unknown> = {},
  args: string[] = [],
): Promise<Migration & { lastedMs: number }> {
  let child: ChildProcess | undefined;
  let harmedAt = 0;
  const running = scene.migrate({ source, migration }, ['--fresh', ...args], {
    timeoutMs: 60_000,
    onStart: (started) => {
      child = started;
    },
  });
  const harming = halfWay().then(async () => {
    await harm(child!);
    harmedAt = performance.now();
  });
  const [done] = await Promise.all([running, harming]);
  return { ...done, lastedMs: performance.now() - harmedAt };
}

/** Whole chunks only, some but not all, and no session of the tool left on the target. */
async function assertWholeChunks(): Promise<void> {
  const [row] = await scene.rows(
    `SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE length(pad) = ${ROW_CHARACTERS}) FROM public.big`,
  );
  const [count, distinct, intact] = (row ?? []).map(Number);
  assert.ok(count! > 0 && count! < ROWS, `${count} rows`);
  assert.equal(count! % CHUNK, 0, `${count} rows are not whole chunks`);
  assert.deepEqual([distinct, intact], [count, count]);
  await until('no session is left on the target', async () => (await scene.rows(backends)).length === 0);
}

test('SIGTERM half way through a table', async () => {
  const done = await interrupted((child) => void child.kill('SIGTERM'));
  assert.equal(done.code, 5, done.stderr);
  assert.ok(done.lastedMs < 10_000, `ended ${Math.round(done.lastedMs)} ms after the signal`);
  const { status, error } = done.result;
  assert.deepEqual([status, error?.code, error?.exit_code], ['cancelled', 'CANCELLED', 5]);
  assert.match(error?.message ?? '', /SIGTERM/);
  await assertWholeChunks();
});

/** What waits for a lock when the signal comes: each with the lock another session holds, and what mode runs into it. */
const lockWaits = [
  { what: 'emptying the tables', mode: 'truncate', lock: 'ACCESS EXCLUSIVE', again: ['run', '--or-resume'] },
  { what: 'the rows', mode: 'upsert', lock: 'SHARE', again: ['resume'] },
  // Rows may be written meanwhile, and the table not be analyzed.
  { what: 'what follows the rows', mode: 'upsert', lock: 'SHARE UPDATE EXCLUSIVE', again: ['resume'] },
];
for (const { what, mode, lock, again } of lockWaits) {
  test(`a signal while another session's lock holds up ${what}: the run ends at once and can go on`, async () => {
    const small = { target_mode: mode, include_tables: ['small'], use_hash_detection: false };
    const changes = { migration: { ...migration, ...small } };
    const stateFile = `${scene.directory}/${mode}.state`;
    const other = await scene.target.client();
    await other.query(`BEGIN; LOCK TABLE public.small IN ${lock} MODE`);
    try {
      let child: ChildProcess | undefined;
      const args = ['--fresh', '--shutdown-timeout', '600', '--state-file', stateFile];
      const running = scene.migrate(changes, args, {
        timeoutMs: 60_000,
        onStart: (started) => {
          child = started;
        },
      });
      await until('the tool waits for the lock', async () => {
        return (await scene.rows(`${backends} AND wait_event_type = 'Lock'`)).length > 0;
      });
      child?.kill('SIGTERM');
      const done = await running;
      assert.deepEqual([done.code, done.result.error?.code], [5, 'CANCELLED'], done.stderr);
      assert.deepEqual(await scene.rows(backends), []);
      assert.equal(JSON.parse(readFileSync(stateFile, 'utf8')).status, 'cancelled');
    } finally {
      await other.end();
    }
    const rest = await runCli(['-c', scene.config(changes), '--output-json', ...again]);
    assert.equal(rest.code, 0, rest.stderr);
    assert.deepEqual(await scene.rows('SELECT id FROM public.small ORDER BY id'), [['1'], ['2']]);
  });
}

test('a writer whose connection is cut: its table fails, the other arrives', async () => {
  const done = await interrupted(async () => {
    await scene.client.query(
      // The stand-in may be copying from the same server: only what writes the target's table is meant.
      `SELECT pg_terminate_backend(pid) FROM pg_stat_progress_copy
       WHERE datname = current_database() AND relid = 'public.big'::regclass LIMIT 1`,
    );
  });
  assert.equal(done.code, 3, done.stderr);
  assert.ok(done.lastedMs < 15_000, `ended after ${Math.round(done.lastedMs)} ms`);
  const error = tableError(done.result, 'dbo.big');
  assert.match(error.code, /^TARGET_(CONNECTION_LOST|TRANSIENT)$/);
  assert.deepEqual([error.table, error.recoverable], ['dbo.big', true]);
  assert.deepEqual(done.result.failed_tables, ['dbo.big']);
  assert.deepEqual(await scene.rows('SELECT id FROM public.small ORDER BY id'), [['1'], ['2']]);
  await assertWholeChunks();
});

/** Passes bytes to the source; `cut` is the source dying: for good by a crash, or for a moment, as in a failover. */
async function proxyTo(host: string, port: number) {
  const sockets = new Set<Socket>();
  const upstreams = new Set<Socket>();
  const listener = createServer((client) => {
    const upstream = connect(port, host);
    upstreams.add(upstream);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const close = () => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (listener.address() as AddressInfo).port,
    close,
    /** @returns how many connections rows have come through; what the catalog says is less. */
    reading: () => [...upstreams].filter(({ bytesRead }) => bytesRead > 1_000_000).length,
    cut(how: 'for good' | 'for a moment') {
      if (how === 'for good') listener.close();
      for (const socket of sockets) {
        if (how === 'for good') socket.resetAndDestroy();
        else socket.destroy();
      }
    },
  };
}

for (const how of ['for good', 'for a moment'] as const) {
  test(`a source that goes away ${how}: the table is named, and the run ends`, async () => {
    const proxy = await proxyTo(scene.source.host, scene.source.port);
    try {
      // A lane that is still connecting would end the run with its own error: with no retries, one try is all it has.
      const harm = async () => {
        await until('both lanes read', async () => proxy.reading() === migration.parallel_readers);
        proxy.cut(how);
      };
      const done = await interrupted(harm, { host: '127.0.0.1', port: proxy.port });
      assert.ok(done.lastedMs < 20_000, `ended after ${Math.round(done.lastedMs)} ms`);
      const { result } = done;
      const error = tableError(result, 'dbo.big');
      assert.match(error.code, /^SOURCE_(CONNECTION_LOST|TRANSIENT)$/, done.stdout);
      assert.deepEqual([error.table, error.recoverable], ['dbo.big', true]);
      // The other table is read over a new connection, if there is one to be had.
      const expected = how === 'for good' ? [2, 'SOURCE_UNREACHABLE'] : [3, 'TABLES_FAILED'];
      assert.deepEqual([done.code, result.error?.code], expected, done.stdout);
      assert.equal(result.error?.recoverable, true);
      const small = how === 'for good' ? [] : [['1'], ['2']];
      assert.deepEqual(await scene.rows('SELECT id FROM public.small ORDER BY id'), small);
      await assertWholeChunks();
    } finally {
      proxy.close();
    }
  });
}
