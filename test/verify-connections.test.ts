/**
 * Connections that break or fall silent while tables are compared, on either side: the table is compared anew, and the
 * verdict is that of an undisturbed comparison. Main thread of the test process.
 */
import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import type { Config } from '../src/config/schema.js';
import type { RunEvent } from '../src/engine/events.js';
import { runMigration } from '../src/engine/run.js';
import { exitCodeOf, fromErrorData, toErrorData } from '../src/errors.js';
import { verifyVerdict } from '../src/observe/verifyResult.js';
import type { TableReport } from '../src/verify/verify.js';
import { each, type FaultProxy, type Piece, startFaultProxy, type Verdict } from './support/faultProxy.js';
import { threads } from './support/threads.js';
import { found, type Migrated, migrated, verifyAll } from './support/verifying.js';

const ROWS = 1000;
const table = (name: string, columns: string, values: string) =>
  `CREATE TABLE dbo.${name} (${columns});
GO
INSERT INTO dbo.${name} SELECT ${values} FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${ROWS} AS bigint)) AS s;`;
const script = [
  table('ByNumber', 'Id int NOT NULL PRIMARY KEY, V int NOT NULL', 's.value, s.value'),
  table(
    'ByDay',
    'Day date NOT NULL, Part tinyint NOT NULL, V int NOT NULL, PRIMARY KEY (Day, Part)',
    "DATEADD(day, s.value / 3, CAST('1995-05-05' AS date)), s.value % 3, s.value",
  ),
  table('ByName', 'Name varchar(20) NOT NULL PRIMARY KEY, V int NOT NULL', "CONCAT('n', s.value), s.value"),
  table(
    'Streamed',
    'Id int NOT NULL PRIMARY KEY, V int NOT NULL, X sql_variant NULL',
    's.value, s.value, CAST(s.value AS sql_variant)',
  ),
  table('Keyless', 'V int NOT NULL', 's.value'),
].join('\nGO\n');
const TABLES = ['ByNumber', 'ByDay', 'ByName', 'Streamed', 'Keyless'];

let both: Migrated;
let undisturbed: Map<string, TableReport>;
before(async () => {
  both = await migrated([script], { max_retries: 12, retry_delay_ms: 0, workers: 2 });
  await both.client.query(
    TABLES.map((name) => `UPDATE "${name}" SET "V" = -"V" WHERE "V" IN (7, 509, 900);`).join(' '),
  );
  await both.client.query(`DELETE FROM "ByName" WHERE "V" % 500 = 3; DELETE FROM "Streamed" WHERE "V" = 12;
    INSERT INTO "ByNumber" VALUES (-4, 1), (9000, 1)`);
  undisturbed = await verifyAll(both.config);
  assert.deepEqual(verdict(undisturbed, 'ByNumber'), {
    ...{ status: 'differs', insert: '-', update: '509 7 900', delete: '-4 9000' },
    rows: [1000n, 1002n],
    changes: { insert: 0, update: 3, delete: 2 },
  });
  assert.equal(verdict(undisturbed, 'Keyless').status, 'differs');
});
after(() => both?.stop());

function verdict(reports: Map<string, TableReport>, name: string): Record<string, unknown> {
  const report = reports.get(`dbo.${name}`)!;
  const { sourceRows, targetRows, changes } = report;
  return { ...found(report), rows: [sourceRows, targetRows], changes };
}

interface Disturbed {
  reports: Map<string, TableReport>;
  /** Tables that were tried again, as often as they were. */
  retried: string[];
  proxy: FaultProxy;
}

interface Disturbance {
  migration?: Partial<Config['migration']>;
  /** How long that side may be silent. */
  stallSeconds?: number;
  onEvent?: (event: RunEvent) => void;
}

/** Verifies through a proxy on one side. */
async function disturbed(
  side: 'source' | 'target',
  judge: (piece: Piece) => Verdict,
  { migration, stallSeconds = 0, onEvent }: Disturbance = {},
): Promise<Disturbed> {
  const real = both.config[side];
  const proxy = await startFaultProxy(real.host, real.port, judge);
  const through = { ...real, host: '127.0.0.1', port: proxy.port, stall_timeout_seconds: stallSeconds };
  const config = {
    ...both.config,
    [side]: through,
    migration: { ...both.config.migration, ...migration },
  };
  const retried: string[] = [];
  const listen = (event: RunEvent): void => {
    if (event.kind === 'retry') retried.push(event.table);
    onEvent?.(event);
  };
  try {
    return { reports: await verifyAll(config, { onEvent: listen }), retried, proxy };
  } finally {
    proxy.close();
  }
}

function assertUndisturbed(reports: Map<string, TableReport>, names: readonly string[] = TABLES): void {
  for (const name of names) assert.deepEqual(verdict(reports, name), verdict(undisturbed, name), name);
}

const oneAtATime = () => ({ ...both.config.migration.batch_verify, parallel_verify_ranges: 1 });

/** Of statements: not of logins, nor of the source's first connection, by which tables are found. */
const isAnswer = ({ direction, offset, connection }: Piece) =>
  connection > 0 && direction === 'to client' && offset > 1200;

for (const [side, how] of [
  ['source', 'cut'],
  ['target', 'reset'],
] as const) {
  test(`the ${side}'s connections are ${how}, again and again`, async () => {
    const { reports, retried, proxy } = await disturbed(side, each(7, 6, how, isAnswer));
    assertUndisturbed(reports);
    assert.equal(proxy.harmed, 6);
    assert.ok(retried.length >= 3, retried.join());
  });
}

test('the source falls silent', async () => {
  const stall = each(9, 2, 'stall', isAnswer);
  // Where this machine is busy a sound connection may be silent for so long, too: it is one more try then.
  const { reports, retried, proxy } = await disturbed('source', stall, { stallSeconds: 0.15 });
  assertUndisturbed(reports);
  assert.equal(proxy.harmed, 2);
  assert.ok(retried.length >= 1, retried.join());
});

test('the connection that rows are streamed by is refused, and had in another try', async () => {
  // The first one finds the tables, the second one asks.
  const refused = each(1, 2, 'cut', ({ connection, offset }) => connection >= 2 && offset === 0);
  const { reports, retried } = await disturbed('source', refused, {
    migration: { include_tables: ['Streamed'], batch_verify: oneAtATime() },
  });
  assertUndisturbed(reports, ['Streamed']);
  assert.deepEqual(retried, ['dbo.Streamed', 'dbo.Streamed']);
});

test('a server that is gone for good: what was found stands, the other tables were not compared', async () => {
  let gone = false;
  const { reports, retried } = await disturbed('source', () => (gone ? 'cut' : 'pass'), {
    migration: { max_retries: 1, batch_verify: oneAtATime() },
    onEvent: ({ kind }) => {
      gone ||= kind === 'table-finished';
    },
  });
  const [first, ...others] = [...reports.values()];
  assertUndisturbed(reports, [first!.target.slice('public.'.length)]);
  for (const { status, error, table, sourceRows, changes } of others) {
    assert.deepEqual([status, error?.code, error?.table], ['failed', 'SOURCE_UNREACHABLE', table]);
    assert.deepEqual([sourceRows, changes], [null, null]);
  }
  assert.deepEqual(retried, [others[0]!.table]);
  const error = verifyVerdict({ tables: others, notes: [], runId: '' })!;
  assert.equal(exitCodeOf(fromErrorData(error)), 2);
});

/** Begins like a PostgreSQL that is not up yet: so many connections are told so, further ones get through. */
async function startingPostgres(refusals: number): Promise<{ port: number; close(): void }> {
  const { host, port } = both.config.target;
  const said = 'SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0';
  const refusal = Buffer.alloc(5 + said.length);
  refusal.write('E');
  refusal.writeInt32BE(4 + said.length, 1);
  refusal.write(said, 5);
  let connections = 0;
  const server = createServer((client) => {
    client.on('error', () => {});
    if (connections++ < refusals) {
      client.once('data', () => client.end(refusal));
      return;
    }
    const real = connect({ host, port, noDelay: true });
    real.on('error', () => client.destroy());
    client.on('close', () => real.destroy());
    client.pipe(real).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

/** What a run or verification said of its waiting, and the code it failed with. */
async function waited(
  changes: { source?: Partial<Config['source']>; target?: Partial<Config['target']>; retries?: number },
  how: 'run' | 'verify',
): Promise<{ said: string[]; code: string | undefined }> {
  const { source, target, migration } = both.config;
  const { retries: max_retries = 12 } = changes;
  const config = {
    source: { ...source, ...changes.source },
    target: { ...target, ...changes.target },
    migration: { ...migration, max_retries, include_tables: ['Keyless'] },
  };
  const said: string[] = [];
  const onEvent = (event: RunEvent): void => {
    if (event.kind === 'log' && event.level === 'warn') said.push(event.message);
  };
  const { signal } = new AbortController();
  try {
    if (how === 'verify') await verifyAll(config, { onEvent });
    else assert.equal((await runMigration(config, { signal, onEvent, threads })).error, undefined);
    return { said: said.filter((line) => line.startsWith('connect:')), code: undefined };
  } catch (error) {
    return { said, code: toErrorData(error).code };
  }
}

test('servers that are about to start are waited for', async () => {
  const { host, port } = both.config.source;
  for (const how of ['verify', 'run'] as const) {
    const postgres = await startingPostgres(2);
    const sqlServer = await startFaultProxy(host, port, ({ connection }) =>
      connection < 2 ? 'cut' : 'pass',
    );
    try {
      const ofTarget = await waited({ target: { port: postgres.port } }, how);
      const again = /^connect: trying again after: PostgreSQL at .* the database system is starting up/;
      assert.deepEqual([ofTarget.code, ofTarget.said.length], [undefined, 2], ofTarget.said.join());
      for (const line of ofTarget.said) assert.match(line, again);
      const ofSource = await waited({ source: { port: sqlServer.port } }, how);
      assert.deepEqual([ofSource.code, ofSource.said.length], [undefined, 2], ofSource.said.join());
      assert.match(ofSource.said[0]!, /^connect: trying again after: SQL Server at .* can't be reached/);
    } finally {
      postgres.close();
      sqlServer.close();
    }
  }
});

test('what waiting does not mend fails at once, and what it does not mend in time with its own error', async () => {
  for (const how of ['verify', 'run'] as const) {
    for (const [changes, code] of [
      [{ source: { host: 'no-such-host.invalid' } }, 'SOURCE_UNREACHABLE'],
      [{ target: { host: 'no-such-host.invalid' } }, 'TARGET_UNREACHABLE'],
      [{ source: { password: 'wrong' } }, 'SOURCE_LOGIN_FAILED'],
      [{ target: { database: 'none' } }, 'TARGET_DATABASE_UNKNOWN'],
      [{ target: { ssl_mode: 'verify-full', ssl_ca_file: '/no/such/file' } }, 'IO'],
    ] as const) {
      assert.deepEqual(await waited(changes, how), { said: [], code }, `${how} ${code}`);
    }
    const postgres = await startingPostgres(Number.POSITIVE_INFINITY);
    const late = await waited({ target: { port: postgres.port }, retries: 3 }, how).finally(postgres.close);
    assert.deepEqual([late.said.length, late.code], [3, 'TARGET_UNREACHABLE']);
  }
  // A server that is about to start does not hide what is wrong at the other.
  const postgres = await startingPostgres(Number.POSITIVE_INFINITY);
  const wrong = { source: { password: 'wrong' }, target: { port: postgres.port } };
  assert.deepEqual(await waited(wrong, 'run').finally(postgres.close), {
    said: [],
    code: 'SOURCE_LOGIN_FAILED',
  });
});
