/** What follows the rows, on a real PostgreSQL: the steps, one that fails, a connection that is lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError, toErrorData } from '../src/errors.js';
import { type FinalizeStep, finalize } from '../src/finalize/finalize.js';
import { transferMode } from '../src/plan/modes/index.js';
import { connectTarget, type TargetConnection, type TargetOptions } from '../src/target/connection.js';
import { ordersAndUsers } from './support/sourceTables.js';
import { withTarget } from './support/target.js';

let options: TargetOptions;
let target: TargetConnection;

withTarget(['app'], (scene) => {
  ({ options, target } = scene);
});

const connect = () => connectTarget(options);

const shown = (steps: readonly FinalizeStep[]) =>
  steps.map(({ table, kind, name, error }) => `${table} ${kind} ${name} ${error?.serverCode ?? 'ok'}`).sort();

test('turns tables back to LOGGED, makes primary keys and statistics', async () => {
  const plans = ordersAndUsers({ unlogged: true });
  await transferMode('drop_recreate').prepare(target, plans);
  await target.query('INSERT INTO app."Users" SELECT i FROM generate_series(1, 100) i');
  const seen: FinalizeStep[] = [];
  const steps = await finalize(connect, plans, { parallel: 2, onStep: (step) => seen.push(step) });
  assert.deepEqual(seen, steps);
  assert.deepEqual(shown(steps), [
    'dbo.Orders analyze app.Orders ok',
    'dbo.Orders logged app.Orders ok',
    'dbo.Orders primary key PK_Orders ok',
    'dbo.Users analyze app.Users ok',
    'dbo.Users logged app.Users ok',
    'dbo.Users primary key PK_Users ok',
  ]);
  const relations = await target.query(
    `SELECT relname, relpersistence AS kept FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relname LIKE '%Users' ORDER BY 1`,
  );
  assert.deepEqual(relations, [
    { relname: 'PK_Users', kept: 'p' },
    { relname: 'Users', kept: 'p' },
  ]);
  const rows = await target.query(
    `SELECT conname, pg_get_constraintdef(oid) AS def FROM pg_constraint WHERE conrelid = 'app."Users"'::regclass AND contype = 'p'`,
  );
  assert.deepEqual(rows, [{ conname: 'PK_Users', def: 'PRIMARY KEY ("Id")' }]);
  const [stats] = await target.query(`SELECT reltuples FROM pg_class WHERE oid = 'app."Users"'::regclass`);
  assert.deepEqual(stats, { reltuples: 100 });
  assert.deepEqual(shown(await finalize(connect, plans, { parallel: 1 })), [
    'dbo.Orders analyze app.Orders ok',
    'dbo.Users analyze app.Users ok',
  ]);
});

test('a step that fails is reported, and the others are done', async () => {
  const plans = ordersAndUsers({ unlogged: true });
  await transferMode('drop_recreate').prepare(target, plans);
  await target.query('INSERT INTO app."Users" VALUES (1), (1)');
  const steps = await finalize(connect, plans, { parallel: 1 });
  assert.deepEqual(
    shown(steps).filter((step) => step.includes('Users')),
    [
      'dbo.Users analyze app.Users ok',
      'dbo.Users logged app.Users ok',
      'dbo.Users primary key PK_Users 23505',
    ],
  );
  const failed = steps.find((step) => step.error !== undefined);
  assert.match(failed?.error?.message ?? '', /\(1\)/);
  assert.equal(failed?.error?.table, 'dbo.Users');
});

test('only the kinds asked for: what a failed run still owes', async () => {
  const plans = ordersAndUsers({ unlogged: true });
  await transferMode('drop_recreate').prepare(target, plans);
  const steps = await finalize(connect, plans, { parallel: 4, kinds: ['logged'] });
  assert.deepEqual(shown(steps), ['dbo.Orders logged app.Orders ok', 'dbo.Users logged app.Users ok']);
});

test('a connection that is lost is made again and the step repeated', async () => {
  const plans = ordersAndUsers({ unlogged: true });
  await transferMode('drop_recreate').prepare(target, plans);
  let made = 0;
  const breaking = async () => {
    const connection = await connect();
    made++;
    if (made === 1) {
      const [row] = await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await target.query('SELECT pg_terminate_backend($1)', [row?.pid]);
    }
    return connection;
  };
  const steps = await finalize(breaking, plans, { parallel: 1 });
  assert.equal(made, 2);
  assert.equal(steps.length, 6);
  assert.deepEqual(
    steps.filter((step) => step.error !== undefined),
    [],
  );
});

test('a step that fails for a passing reason is told of and done again', async () => {
  const plans = ordersAndUsers();
  await transferMode('drop_recreate').prepare(target, plans);
  const passing = new AppError('TARGET_TRANSIENT', 'for now');
  let refused = 0;
  const refusing = async (): Promise<TargetConnection> => {
    const connection = await connect();
    const query: TargetConnection['query'] = (sql, values) =>
      sql.includes('PRIMARY KEY') && refused++ === 0
        ? Promise.reject(passing)
        : connection.query(sql, values);
    return Object.create(connection, {
      query: { value: query },
      close: { value: () => connection.close() },
    });
  };
  const told: [string, unknown][] = [];
  const steps = await finalize(refusing, plans, {
    parallel: 1,
    retry: { retries: 1, delayMs: 0 },
    onRetry: (table, error) => told.push([table, toErrorData(error).code]),
  });
  assert.equal(shown(steps).filter((step) => step.endsWith('ok')).length, 4, shown(steps).join());
  assert.deepEqual(told, [['dbo.Orders', 'TARGET_TRANSIENT']]);
});

test('what a lost session of ours has made meanwhile is taken as made', async () => {
  const plans = ordersAndUsers();
  await transferMode('drop_recreate').prepare(target, plans);
  const late = async (): Promise<TargetConnection> => {
    const connection = await connect();
    const query: TargetConnection['query'] = async (sql, values) => {
      if (sql.includes('PRIMARY KEY')) await target.query(sql);
      return connection.query(sql, values);
    };
    return Object.create(connection, {
      query: { value: query },
      close: { value: () => connection.close() },
    });
  };
  const steps = await finalize(late, plans, { parallel: 1 });
  assert.deepEqual(shown(steps), ['dbo.Orders analyze app.Orders ok', 'dbo.Users analyze app.Users ok']);
});

test('a target that can’t be connected to is an error', async () => {
  const gone = async (): Promise<TargetConnection> => {
    throw new AppError('TARGET_UNREACHABLE', 'gone', { remedy: 'look' });
  };
  await assert.rejects(finalize(gone, ordersAndUsers(), { parallel: 2 }), {
    code: 'TARGET_UNREACHABLE',
    message: /gone/,
  });
});
