/** A verification that is cancelled, or loses a server, ends at once and leaves nothing open. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { type Migrated, migrated, verifyAll } from './support/verifying.js';

let both: Migrated;
before(async () => {
  both = await migrated([
    `CREATE TABLE dbo.A (Id int NOT NULL CONSTRAINT PK_A PRIMARY KEY, V sql_variant NULL);
    CREATE TABLE dbo.B (Id int NOT NULL CONSTRAINT PK_B PRIMARY KEY, V int NULL);
    INSERT INTO dbo.A (Id, V) VALUES (1, CAST(1 AS sql_variant));
    INSERT INTO dbo.B (Id, V) VALUES (1, 1);`,
  ]);
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

test('a target session that is killed ends the verification as a lost connection', async () => {
  const client = await holder('"B"');
  try {
    const verifying = verifyAll(both.config);
    verifying.catch(() => {});
    await within(20_000, async () => {
      const { rows } = await both.client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'mssql-pg-migrate' AND wait_event_type = 'Lock'`,
      );
      return rows.length > 0;
    });
    await assert.rejects(verifying, { code: 'TARGET_CONNECTION_LOST' });
  } finally {
    await client.end();
  }
  await within(10_000, async () => (await sessions()) === 0);
});

test('cancelled before it began', async () => {
  await assert.rejects(verifyAll(both.config, { signal: AbortSignal.abort() }));
  assert.equal(await sessions(), 0);
});
