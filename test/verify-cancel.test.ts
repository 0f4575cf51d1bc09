/** A verification that is cancelled ends at once and leaves nothing open; one whose sessions are killed goes on. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { type Migrated, migrated, verifyAll } from './support/verifying.js';

let both: Migrated;
before(async () => {
  both = await migrated(
    [
      `CREATE TABLE dbo.A (Id int NOT NULL CONSTRAINT PK_A PRIMARY KEY, V sql_variant NULL);
    CREATE TABLE dbo.B (Id int NOT NULL CONSTRAINT PK_B PRIMARY KEY, V int NULL);
    INSERT INTO dbo.A (Id, V) VALUES (1, CAST(1 AS sql_variant));
    INSERT INTO dbo.B (Id, V) VALUES (1, 1);`,
    ],
    { retry_delay_ms: 10 },
  );
});
after(() => both?.stop());

/** A session of its own that holds locks: within a transaction, pg_stat_activity stands still. */
async function holder(tables: string): Promise<pg.Client> {
  const { host, port, user, password, database } = both.config.target;
  const client = new pg.Client({ host, port, user, password, database });
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${tables}`);
  return client;
}

async function sessions(): Promise<number> {
  const { rows } = await both.client.query(
    `SELECT count(*)::int AS n FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'mssql-pg-migrate'`,
  );
  return rows[0].n;
}

const within = async (ms: number, condition: () => Promise<boolean>): Promise<void> => {
  const end = Date.now() + ms;
  while (!(await condition())) {
    assert.ok(Date.now() < end, 'the condition does not come true in time');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

test('cancelled while the target waits for a lock', async () => {
  const client = await holder('"A", "B"');
  const stop = new AbortController();
  try {
    const verifying = verifyAll(both.config, { signal: stop.signal });
    verifying.catch(() => {});
    await within(20_000, async () => (await sessions()) > 0);
    stop.abort();
    const startedMs = performance.now();
    await assert.rejects(verifying, { code: 'CANCELLED' });
    assert.ok(performance.now() - startedMs < 10_000);
  } finally {
    await client.end();
  }
  await within(10_000, async () => (await sessions()) === 0);
});

/** Kills the session that waits for a lock, once there is one. */
const killWaiting = () =>
  within(20_000, async () => {
    const { rows } = await both.client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'mssql-pg-migrate' AND wait_event_type = 'Lock'`,
    );
    return rows.length > 0;
  });

test('a target session that is killed fails its table, where nothing is tried again', async () => {
  const client = await holder('"B"');
  try {
    const config = { ...both.config, migration: { ...both.config.migration, max_retries: 0 } };
    const verifying = verifyAll(config);
    verifying.catch(() => {});
    await killWaiting();
    const reports = await verifying;
    const { status, error } = reports.get('dbo.B')!;
    assert.deepEqual([status, error?.code], ['failed', 'TARGET_CONNECTION_LOST']);
    assert.equal(reports.get('dbo.A')?.status, 'match');
  } finally {
    await client.end();
  }
  await within(10_000, async () => (await sessions()) === 0);
});

test('a target session that is killed, twice: its table is compared all the same', async () => {
  const client = await holder('"B"');
  let retries = 0;
  try {
    const verifying = verifyAll(both.config, {
      onEvent: (event) => {
        if (event.kind === 'retry') retries++;
      },
    });
    verifying.catch(() => {});
    for (let killed = 0; killed < 2; killed++) {
      await killWaiting();
      await within(10_000, async () => retries > killed);
    }
    await client.end();
    assert.deepEqual(
      [...(await verifying).values()].map(({ status }) => status),
      ['match', 'match'],
    );
  } finally {
    await client.end();
  }
  assert.equal(retries, 2);
});

test('cancelled before it began', async () => {
  await assert.rejects(verifyAll(both.config, { signal: AbortSignal.abort() }));
  assert.equal(await sessions(), 0);
});
