/**
 * Whole lanes over real sockets: a scripted SQL Server, real worker threads, a real PostgreSQL.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it, mock } from 'node:test';
import { parseConfig } from '../src/config/schema.js';
import type { RunEvent } from '../src/engine/events.js';
import { runLanes } from '../src/engine/lanes.js';
import { Threads } from '../src/engine/threads.js';
import { type Transferred, transfer } from '../src/engine/transfer.js';
import { AppError, toErrorData } from '../src/errors.js';
import { CoreLoad } from '../src/host/load.js';
import { chooseSizes } from '../src/host/sizes.js';
import type { Partition, TablePlan } from '../src/plan/model.js';
import { StopFlags } from '../src/plan/work.js';
import type { SourceOptions } from '../src/source/connection.js';
import { createTable } from '../src/target/ddl.js';
import { SqlError } from './sqlserver/contract.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';
import { type Script, scriptedPlan, startScriptedSource } from './support/scriptedSource.js';
import { threads } from './support/threads.js';

const HOST = { cores: 2, coresFrom: '', memoryBytes: 8e9, memoryFrom: '', availableBytes: 8e9 };

describe('lanes', () => {
  let postgres: TestPostgres;
  before(async () => {
    postgres = await sharedPostgres();
  });
  after(() => postgres.stop());

  interface Scenario {
    script: Script;
    plans: TablePlan[];
    partitions: Partition[][];
    migration?: object;
    signal?: AbortSignal;
    onEvent?: (event: RunEvent) => void;
    /** Who writes to the target; left out, its superuser. */
    target?: { user: string; password: string };
    /** Statements run on the target after the tables were made. */
    sql?: string;
  }

  async function run(scenario: Scenario): Promise<{ result: Transferred; events: RunEvent[] }> {
    const { server, options } = await startScriptedSource(scenario.script);
    const client = await postgres.client();
    try {
      for (const plan of scenario.plans) {
        await client.query(`DROP TABLE IF EXISTS "${plan.target.schema}"."${plan.target.name}"`);
        await client.query(createTable(plan));
      }
      if (scenario.sql !== undefined) await client.query(scenario.sql);
      const config = configFor(options, scenario.migration ?? {});
      Object.assign(config.target, scenario.target);
      const events: RunEvent[] = [];
      const result = await transfer({
        config,
        plans: scenario.plans,
        partitions: scenario.partitions,
        sizes: chooseSizes(HOST, config, { partitions: scenario.partitions.flat().length }),
        threads,
        signal: scenario.signal ?? new AbortController().signal,
        onEvent: (event) => {
          events.push(event);
          scenario.onEvent?.(event);
        },
      });
      return { result, events };
    } finally {
      await client.end();
      await server.close();
    }
  }

  function configFor(options: SourceOptions, migration: object) {
    const { host, port, user, password, database } = postgres.connection;
    return parseConfig({
      source: {
        type: 'mssql',
        host: options.host,
        port: options.port,
        database: 'x',
        user: 'sa',
        password: 'any',
        encrypt: false,
        application_intent: options.application_intent,
      },
      target: { type: 'postgres', host, port, user, password, database, ssl_mode: 'disable' },
      migration: { target_mode: 'drop_recreate', ...migration },
    });
  }

  async function count(table = 't'): Promise<{ rows: string; ids: string; values: string; names: string }> {
    const client = await postgres.client();
    try {
      const { rows } = await client.query(
        `SELECT count(*)::text AS rows, sum(id::bigint)::text AS ids, sum(value)::text AS values,
           count(*) FILTER (WHERE name = 'row ' || id || ' ü')::text AS names FROM "${table}"`,
      );
      return rows[0];
    } finally {
      await client.end();
    }
  }

  function expected(rows: number) {
    const n = BigInt(rows);
    let values = 0n;
    for (let id = 1n; id <= n; id++) if (id % 3n !== 0n) values += id * 1_000_000_007n;
    return { rows: String(n), ids: String((n * (n + 1n)) / 2n), values: String(values), names: String(n) };
  }

  const whole = (table: number): Partition[] => [{ table, partition: 0, lower: null, upper: null }];

  it('moves every row exactly once, through several readers and writers', async () => {
    const bounds = [30_000, 60_000, 90_000];
    const partitions = [null, ...bounds].map((lower, partition) => ({
      table: 0,
      partition,
      lower: lower === null ? null : [String(lower)],
      upper: partition < bounds.length ? [String(bounds[partition])] : null,
    }));
    const { result, events } = await run({
      script: { rowsOf: ({ lo0, hi0 }) => ({ first: Number(lo0 ?? 0) + 1, last: Number(hi0 ?? 120_000) }) },
      plans: [scriptedPlan(7_000)],
      partitions: [partitions],
      migration: { parallel_readers: 3, write_ahead_writers: 6, workers: 1 },
    });
    assert.equal(result.error, null);
    assert.deepEqual(await count(), expected(120_000));
    assert.equal(result.tables[0]!.rowsCommitted, 120_000);
    assert.equal(result.tables[0]!.chunksCommitted, 4 * Math.ceil(30_000 / 7_000));
    assert.ok(events.some((event) => event.kind === 'table-finished' && event.rows === 120_000));
  });

  it('fills in the row hash, and text COPY gives the same rows', async () => {
    for (const migration of [{}, { use_binary_copy: false }]) {
      const { result } = await run({
        script: { rowsOf: () => ({ first: 1, last: 5_000 }) },
        plans: [scriptedPlan(1_000, true)],
        partitions: [whole(0)],
        migration,
      });
      assert.equal(result.error, null);
      assert.deepEqual(await count(), expected(5_000));
      const client = await postgres.client();
      const { rows } =
        await client.query(`SELECT count(*)::int AS wrong FROM t WHERE row_hash IS DISTINCT FROM md5(
        CASE WHEN value IS NULL THEN '\\xffffffff'::bytea ELSE int4send(8) || int8send(value) END
        || int4send(octet_length(name)) || textsend(name))`);
      await client.end();
      assert.equal(rows[0].wrong, 0);
    }
  });

  it('an empty table is a finished table', async () => {
    const { result } = await run({
      script: { rowsOf: () => ({ first: 1, last: 0 }) },
      plans: [scriptedPlan(1_000)],
      partitions: [whole(0)],
    });
    assert.equal(result.error, null);
    assert.equal(result.tables[0]!.state, 'finished');
  });

  it('a refused row fails its table and leaves the others alone', async () => {
    const [first, second] = [
      scriptedPlan(1_000),
      { ...scriptedPlan(1_000), index: 1, target: { schema: 'public', name: 'u' } },
    ];
    const { result, events } = await run({
      script: { rowsOf: () => ({ first: 1, last: 20_000 }) },
      plans: [first, second],
      partitions: [whole(0), whole(1)],
      sql: 'ALTER TABLE t ADD CHECK (id <> 7777)',
    });
    assert.equal(result.error, null);
    assert.equal(result.tables[0]!.state, 'failed');
    assert.equal(result.tables[0]!.error!.code, 'TARGET_QUERY');
    assert.equal(result.tables[0]!.error!.serverCode, '23514');
    assert.equal(result.tables[0]!.error!.table, 'dbo.t');
    assert.equal(result.tables[1]!.state, 'finished');
    assert.deepEqual(await count('u'), expected(20_000));
    assert.equal(events.filter((event) => event.kind === 'table-failed').length, 1);
  });

  it('an error of the source in the middle of the rows fails the table; its open chunk is rolled back', async () => {
    const { result } = await run({
      script: {
        rowsOf: () => ({ first: 1, last: 20_000 }),
        before: (id) => {
          if (id === 12_500) throw new SqlError(1205, 'Transaction was deadlocked', { class: 13 });
        },
      },
      plans: [scriptedPlan(5_000)],
      partitions: [whole(0)],
    });
    assert.equal(result.tables[0]!.state, 'failed');
    assert.equal(result.tables[0]!.error!.code, 'SOURCE_TRANSIENT');
    const { rows } = await count();
    assert.ok(Number(rows) <= 10_000 && Number(rows) % 5_000 === 0, `${rows} rows committed`);
  });

  it('a cancelled run ends soon though the source says nothing more', async () => {
    const abort = new AbortController();
    const { result } = await run({
      script: {
        rowsOf: () => ({ first: 1, last: 20_000 }),
        before: async (id) => {
          if (id !== 10_000) return;
          setTimeout(() => abort.abort(new AppError('CANCELLED', 'stop')), 50);
          await new Promise((resolve) => setTimeout(resolve, 60_000).unref());
        },
      },
      plans: [scriptedPlan(1_000)],
      partitions: [whole(0)],
      signal: abort.signal,
    });
    assert.equal(toErrorData(result.error).code, 'CANCELLED');
  });

  it('an unreachable target ends the run with its error', async () => {
    const { server, options } = await startScriptedSource({ rowsOf: () => ({ first: 1, last: 1_000_000 }) });
    const config = configFor(options, {});
    config.target.port = 1;
    const result = await transfer({
      config,
      plans: [scriptedPlan(1_000)],
      partitions: [whole(0)],
      sizes: chooseSizes(HOST, config, { partitions: 1 }),
      threads,
      signal: new AbortController().signal,
      onEvent: () => {},
    });
    await server.close();
    assert.equal(toErrorData(result.error).code, 'TARGET_UNREACHABLE');
  });

  /** A run of four partitions whose first one waits in the middle until the run says that it stays as small as it is. */
  async function stays(
    said: RegExp,
    limits: Partial<Pick<Scenario, 'target' | 'sql' | 'migration'> & Pick<Script, 'logins'>>,
  ): Promise<void> {
    let onSaid = (): void => {};
    const waited = new Promise<void>((resolve) => {
      onSaid = resolve;
    });
    const patience = setTimeout(onSaid, 60_000);
    // However busy this machine is.
    const idle = mock.method(CoreLoad.prototype, 'look', () => 0);
    const bounds = [20_000, 40_000, 60_000];
    const partitions = [null, ...bounds].map((lower, partition) => ({
      ...{ table: 0, partition, lower: lower === null ? null : [String(lower)] },
      upper: partition < bounds.length ? [String(bounds[partition])] : null,
    }));
    const { logins, ...scenario } = limits;
    const { result, events } = await run({
      ...scenario,
      script: {
        rowsOf: ({ lo0, hi0 }) => ({ first: Number(lo0 ?? 0) + 1, last: Number(hi0 ?? 80_000) }),
        before: (id) => (id === 15_000 ? waited : undefined),
        ...(logins !== undefined && { logins }),
      },
      plans: [scriptedPlan(5_000)],
      partitions: [partitions],
      onEvent: (event) => {
        if (event.kind === 'log' && event.level === 'warn') onSaid();
      },
    });
    clearTimeout(patience);
    idle.mock.restore();
    assert.equal(result.error, null);
    assert.deepEqual(await count(), expected(80_000));
    const warnings = events.filter((event) => event.kind === 'log' && event.level === 'warn');
    assert.equal(warnings.length, 1, JSON.stringify(warnings));
    assert.match(JSON.stringify(warnings), said);
  }

  const few = { user: 'few', password: 'Secret-1' };
  async function withFew(connections: number, work: () => Promise<void>): Promise<void> {
    const client = await postgres.client();
    try {
      await client.query(`CREATE ROLE few LOGIN PASSWORD 'Secret-1' CONNECTION LIMIT ${connections}`);
      await work();
    } finally {
      await client.query('DROP OWNED BY few; DROP ROLE few');
      await client.end();
    }
  }

  it('a lane whose writers are slow gets another one where the target takes one more connection', async () => {
    const idle = mock.method(CoreLoad.prototype, 'look', () => 0);
    for (const [connections, said] of [
      [1, /^no more lanes or writers are begun, and the one lane there is works on/],
      [2, /^lane 1: writer 2 of up to/],
    ] as const) {
      await withFew(connections, async () => {
        const { result, events } = await run({
          script: { rowsOf: () => ({ first: 1, last: 200_000 }) },
          plans: [scriptedPlan(10_000)],
          partitions: [whole(0)],
          target: few,
          sql: `GRANT ALL ON t TO few;
            CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
              $$ BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END $$;
            CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.id % 10000 = 0) EXECUTE FUNCTION slow()`,
        });
        assert.equal(result.error, null);
        assert.deepEqual(await count(), expected(200_000));
        const lines = events.flatMap((event) => (event.kind === 'log' ? [event.message] : []));
        assert.match(lines[0] ?? '', said);
      });
    }
    idle.mock.restore();
  });

  it('where the target takes no more connections, a run goes on with the lanes and writers it has', async () => {
    await withFew(1, () =>
      stays(/no more lanes or writers are begun, and the one lane.*CONNECTION LIMIT/, {
        ...{ target: few, sql: 'GRANT ALL ON t TO few' },
      }),
    );
  });

  it('where the source takes no more connections, as well', async () => {
    await stays(/the one lane.*takes no further connection.*max_mssql_connections/, { logins: 1 });
  });

  it('a worker whose thread ends ends the run with WORKER_DIED', async () => {
    const { server, options } = await startScriptedSource({ rowsOf: () => ({ first: 1, last: 10 }) });
    const unused = async (): Promise<never> => assert.fail('no work is asked for');
    const dying = new Threads(new URL('./workers-that-die/', import.meta.url));
    const stopped = runLanes(
      {
        threads: dying,
        lanes: 2,
        writersPerLane: 1,
        slotsPerRing: 2,
        slotBytes: 65_536,
        hashing: 'none',
        reader: { source: options, nul: 'error', binaryCopy: true },
        writer: { target: configFor(options, {}).target },
        stopFlags: StopFlags.forTables(1),
        signal: new AbortController().signal,
      },
      { next: unused, read: unused, failed: unused },
      { committed: unused, failed: unused },
    );
    await assert.rejects(stopped, (error: AppError) => error.code === 'WORKER_DIED');
    await dying.end();
    await server.close();
  });
});
