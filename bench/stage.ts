/**
 * The servers of a benchmark: one PostgreSQL with settings that are the same for everybody, and the replay source in
 * a process of its own. Main thread.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres, type TestPostgres } from '../test/support/postgres.js';
import type { SqlServerConnection } from '../test/support/tsql.js';
import type { SourceAccount, SourceReady, SourceRequest } from './source/main.js';
import type { ReplayTable } from './source/replayEngine.js';

/** As much WAL as any run writes. */
const WAL_GIB = 2;

/**
 * Beside those of `test/support/postgres.ts`: no maintenance by itself while time is taken; and a commit that was answered
 * is there after a crash of the server. The product asks for that itself: whoever is held against it promises as much.
 */
const BENCH_SETTINGS = {
  synchronous_commit: 'local',
  autovacuum: 'off',
  max_wal_size: '16GB',
  min_wal_size: `${WAL_GIB}GB`,
  checkpoint_timeout: '1h',
};

export interface Stage {
  postgres: TestPostgres;
  /** Process id of PostgreSQL's first process where it runs on this host, else null. */
  postmaster: number | null;
  /** The replay source's login; `database` is `master`. */
  source: SqlServerConnection;
  /** Port of the source that offers no encryption. */
  plainPort: number;
  /** A temporary directory, gone with the stage. */
  directory: string;
  pretend(database: string, table: ReplayTable): Promise<void>;
  /** What the replay source has spent and sent so far. */
  sourceAccount(): Promise<SourceAccount>;
  stop(): Promise<void>;
}

/** A server of its own with the benchmark's settings, or the one of `TEST_PG_URL` as it is. */
async function benchPostgres(): Promise<TestPostgres> {
  if (process.env.TEST_PG_URL) return startPostgres({});
  const flags = Object.entries(BENCH_SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const postgres = await startPostgres({ flags, ssl: true });
  try {
    await fillWal(postgres);
  } catch (error) {
    await postgres.stop();
    throw error;
  }
  return postgres;
}

/**
 * A server that is in use writes its WAL into files it has already. A new one has to make each of them, full of zeros, and
 * the first run of all would pay for that: a tenth more CPU of PostgreSQL for `posts`.
 */
async function fillWal(postgres: TestPostgres): Promise<void> {
  const client = await postgres.client();
  try {
    for (let mib = 0; mib < WAL_GIB * 1024; mib += 64) {
      await client.query(`SELECT pg_logical_emit_message(false, 'bench', repeat(repeat('x', 1024), 65536))`);
    }
    await client.query('CHECKPOINT');
  } finally {
    await client.end();
  }
}

/** Starts both. @param options.postgres another server to use; it ends with the stage */
export async function startStage(options: { postgres?: TestPostgres } = {}): Promise<Stage> {
  const postgres = options.postgres ?? (await benchPostgres());
  const directory = mkdtempSync(join(tmpdir(), 'mpm-bench-'));
  let child: ChildProcess | null = null;
  const stop = async (): Promise<void> => {
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.send({ kind: 'stop' } satisfies SourceRequest);
      await ended;
    }
    await postgres.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const postmaster =
      postgres.dataDir === null
        ? null
        : Number(readFileSync(join(postgres.dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
    const process = fork(new URL('./source/main.js', import.meta.url), [postgres.url], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child = process;
    const ready = await answerOf<SourceReady>(process);
    const request = async <Answer>(what: SourceRequest): Promise<Answer> => {
      process.send(what);
      return answerOf<Answer>(process);
    };
    return {
      postgres,
      postmaster,
      source: {
        host: '127.0.0.1',
        port: ready.port,
        user: 'sa',
        password: ready.password,
        database: 'master',
        encrypt: false,
      },
      plainPort: ready.plainPort,
      directory,
      async pretend(database, table) {
        await request({ kind: 'pretend', database, table });
      },
      sourceAccount: () => request<SourceAccount>({ kind: 'account' }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The process's next message; one request is answered at a time. */
function answerOf<Answer>(child: ChildProcess): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const onExit = () => reject(new Error('the replay source has ended'));
    child.once('exit', onExit);
    child.once('message', (answer) => {
      child.off('exit', onExit);
      resolve(answer as Answer);
    });
  });
}
