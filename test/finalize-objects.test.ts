/**
 * Planned objects on a real PostgreSQL: what the end-to-end source can't have, and tables that are there already.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FinalizeStep, finalize } from '../src/finalize/finalize.js';
import type { TablePlan } from '../src/plan/model.js';
import { transferMode } from '../src/plan/modes/index.js';
import { planObjects } from '../src/plan/objects.js';
import type { ObjectOptions } from '../src/plan/objectWork.js';
import { planTables } from '../src/plan/tables.js';
import type { SourceTable } from '../src/source/model.js';
import type { DatabaseObjects, SourceObjects } from '../src/source/objects.js';
import { connectTarget, type TargetConnection, type TargetOptions } from '../src/target/connection.js';
import { sourceColumn, sourceTable } from './support/sourceTables.js';
import { withTarget } from './support/target.js';

let options: TargetOptions;
let target: TargetConnection;

withTarget(['app'], (scene) => {
  ({ options, target } = scene);
});

const nothing: SourceObjects = { indexes: [], foreignKeys: [], checks: [], defaults: [], comments: [] };

interface Parts {
  tables: SourceTable[];
  objects: Record<string, Partial<SourceObjects>>;
  sequences?: DatabaseObjects['sequences'];
  notMigrated?: DatabaseObjects['notMigrated'];
  options?: Partial<ObjectOptions>;
}

function planAll(parts: Parts): { plans: TablePlan[]; notes: string[] } {
  const tables = parts.tables.map((table, i) => ({ ...table, objectId: i + 1 }));
  const plans = planTables(tables, {
    naming: { identifierCase: 'preserve', schemaOf: () => 'app' },
    chunkRows: 1000,
    rowHashColumn: null,
    hashTextColumns: false,
    unlogged: false,
  });
  const notes = planObjects(
    plans,
    tables,
    {
      tables: new Map(tables.map(({ objectId, name }) => [objectId, { ...nothing, ...parts.objects[name] }])),
      sequences: parts.sequences ?? [],
      notMigrated: parts.notMigrated ?? [],
    },
    {
      naming: { identifierCase: 'preserve', schemaOf: () => 'app' },
      createIndexes: true,
      createForeignKeys: true,
      createCheckConstraints: true,
      computedColumns: 'value',
      databaseCollation: 'SQL_Latin1_General_CP1_CI_AS',
      pgVersion: target.serverVersion,
      ...parts.options,
    },
  );
  return { plans, notes };
}

async function finish(plans: readonly TablePlan[], as: TargetOptions = options): Promise<FinalizeStep[]> {
  const steps = await finalize(() => connectTarget(as), plans, { parallel: 3 });
  assert.deepEqual(
    steps.filter(({ error }) => error !== undefined),
    [],
  );
  return steps;
}

async function make(plans: readonly TablePlan[]): Promise<FinalizeStep[]> {
  await transferMode('drop_recreate').prepare(target, plans);
  return finish(plans);
}

const one = async (sql: string): Promise<unknown> => Object.values((await target.query(sql))[0] ?? {})[0];

const sequence = {
  schema: 'dbo',
  name: 'Order Numbers',
  start: '1000',
  increment: '5',
  minimum: '1000',
  maximum: '99999999999999999999999',
  cycles: false,
  current: '1040',
  used: true,
};

test('sequences, the defaults that use them, and comments', async () => {
  const order = sourceTable({
    name: 'Order',
    columns: [sourceColumn('Id', 'bigint'), sourceColumn('N', 'int')],
    key: ['Id'],
  });
  const { plans } = planAll({
    tables: [order],
    sequences: [sequence, { ...sequence, name: 'Unused', current: '7000' }],
    objects: {
      Order: {
        defaults: [{ name: 'DF', column: 'Id', definition: '(NEXT VALUE FOR [dbo].[Order Numbers])' }],
        comments: [
          { on: 'table', name: 'Order', text: "the customers' orders" },
          { on: 'column', name: 'N', text: 'Größe\\n' },
        ],
      },
    },
  });
  assert.ok(
    plans[0]?.notes.includes(
      'sequence Order Numbers counts from 1000 to 9223372036854775807 in PostgreSQL, as far as bigint goes',
    ),
  );
  await make(plans);
  await target.query('INSERT INTO app."Order" ("N") VALUES (1), (2)');
  assert.equal(await one('SELECT array_agg("Id" ORDER BY "Id")::text FROM app."Order"'), '{1045,1050}');
  assert.equal(await one(`SELECT nextval('app."Unused"')`), '7005');
  assert.equal(await one(`SELECT obj_description('app."Order"'::regclass)`), "the customers' orders");
  assert.equal(await one(`SELECT col_description('app."Order"'::regclass, 2)`), 'Größe\\n');
  // Another run does not set a sequence back.
  await target.query(`SELECT setval('app."Unused"', 9000)`);
  const again = await make(plans);
  assert.deepEqual(
    again.filter(({ kind }) => kind === 'sequence').map(({ name }) => name),
    [],
  );
  assert.equal(await one(`SELECT nextval('app."Unused"')`), '9005');
});

test('identity columns: fresh, descending, exhausted, set back, and one PostgreSQL can’t count', async () => {
  const table = (
    name: string,
    type: string,
    identity: { seed: string; increment: string; lastValue: string | null },
  ) =>
    sourceTable({
      name,
      columns: [
        sourceColumn('Id', type, { identity, ...(type === 'decimal' && { precision: 18 }) }),
        sourceColumn('N', 'int', { nullable: true }),
      ],
      key: ['Id'],
    });
  const { plans } = planAll({
    tables: [
      table('Fresh', 'int', { seed: '7', increment: '3', lastValue: null }),
      table('Down', 'int', { seed: '-1', increment: '-1', lastValue: '-5' }),
      table('Full', 'tinyint', { seed: '1', increment: '1', lastValue: '255' }),
      table('Odd', 'decimal', { seed: '1', increment: '1', lastValue: '9' }),
      table('SetBack', 'int', { seed: '1', increment: '1', lastValue: '0' }),
      table('Kept', 'int', { seed: '1', increment: '1', lastValue: '0' }),
      table('Below', 'int', { seed: '1', increment: '1', lastValue: null }),
      table('Around', 'int', { seed: '1', increment: '1', lastValue: '-2147483000' }),
    ],
    objects: {},
  });
  await transferMode('drop_recreate').prepare(target, plans);
  // A row that came in after the run was planned counts as well.
  await target.query('INSERT INTO app."Down" ("Id") VALUES (-8)');
  // Not counted, but written by hand, and from before the counter was set back.
  await target.query('INSERT INTO app."Below" ("Id") VALUES (-1), (0)');
  await target.query('INSERT INTO app."Around" ("Id") VALUES (2147483647)');
  // PostgreSQL's own range.
  await target.query('ALTER TABLE app."Kept" ALTER "Id" SET MINVALUE 1');
  await finish(plans);
  const next = (name: string) => one(`INSERT INTO app."${name}" ("N") VALUES (1) RETURNING "Id"`);
  assert.deepEqual([await next('Fresh'), await next('Fresh')], [7, 10]);
  assert.equal(await next('Down'), -9);
  assert.equal(await next('Full'), 256);
  for (const name of ['SetBack', 'Kept', 'Below']) assert.equal(await next(name), 1, name);
  assert.equal(await next('Around'), -2147482999);
  const odd = plans.find((plan) => plan.target.name === 'Odd');
  assert.match(odd?.notes.join('\n') ?? '', /left out: identity Id IDENTITY\(1, 1\): .*not numeric\(18,0\)/);
});

test('constraints the source does not trust are made, and not validated', async () => {
  const parent = sourceTable({ name: 'Parent', columns: [sourceColumn('Id', 'int')], key: ['Id'] });
  const child = sourceTable({
    name: 'Child',
    columns: [sourceColumn('Id', 'int'), sourceColumn('ParentId', 'int', { nullable: true })],
    key: ['Id'],
  });
  const key = {
    name: 'FK',
    columns: ['ParentId'],
    to: { schema: 'dbo', name: 'Parent' },
    toColumns: ['Id'],
    onDelete: 'SET NULL',
    onUpdate: 'NO ACTION',
    disabled: false,
    trusted: false,
  };
  const { plans } = planAll({
    tables: [parent, child],
    objects: {
      Child: {
        foreignKeys: [key],
        checks: [{ name: 'CK', definition: '([ParentId]<(10))', disabled: false, trusted: false }],
      },
    },
  });
  await transferMode('drop_recreate').prepare(target, plans);
  await target.query('INSERT INTO app."Child" VALUES (1, 99)');
  await finish(plans);
  const made = await target.query(
    `SELECT conname AS name, convalidated AS valid, pg_get_constraintdef(oid) AS definition FROM pg_constraint
      WHERE conrelid = 'app."Child"'::regclass AND contype IN ('c', 'f') ORDER BY 1`,
  );
  assert.deepEqual(made, [
    { name: 'CK', valid: false, definition: 'CHECK (("ParentId" < 10)) NOT VALID' },
    {
      name: 'FK',
      valid: false,
      definition: 'FOREIGN KEY ("ParentId") REFERENCES app."Parent"("Id") ON DELETE SET NULL NOT VALID',
    },
  ]);
  const notes = plans.find((plan) => plan.target.name === 'Child')?.notes.join('\n') ?? '';
  assert.match(notes, /foreign key FK: not trusted in the source/);
  assert.match(notes, /check CK: not trusted in the source/);
});

test('two tables that point at each other arrive, whatever the order', async () => {
  const table = (name: string, other: string): [SourceTable, Partial<SourceObjects>] => [
    sourceTable({
      name,
      columns: [sourceColumn('Id', 'int'), sourceColumn('Other', 'int', { nullable: true })],
      key: ['Id'],
    }),
    {
      foreignKeys: [1, 2, 3].map((n) => ({
        name: `FK_${name}_${n}`,
        columns: ['Other'],
        to: { schema: 'dbo', name: other },
        toColumns: ['Id'],
        onDelete: 'NO ACTION',
        onUpdate: 'NO ACTION',
        disabled: false,
        trusted: true,
      })),
    },
  ];
  const [a, keysOfA] = table('A', 'B');
  const [b, keysOfB] = table('B', 'A');
  const { plans } = planAll({ tables: [a, b], objects: { A: keysOfA, B: keysOfB } });
  await make(plans);
  const steps = await make(plans);
  assert.equal(steps.filter(({ kind }) => kind === 'validate foreign key').length, 6);
  assert.equal(
    await one(
      `SELECT count(*)::int FROM pg_constraint WHERE contype = 'f' AND convalidated AND connamespace = 'app'::regnamespace`,
    ),
    6,
  );
});

test('a table of another role keeps what it has, and that is said', async () => {
  const table = sourceTable({
    name: 'T',
    columns: [sourceColumn('Id', 'int'), sourceColumn('N', 'int')],
    key: ['Id'],
  });
  const { plans } = planAll({
    tables: [table],
    objects: {
      T: {
        indexes: [
          {
            name: 'IX',
            type: 2,
            typeName: 'nonclustered',
            unique: false,
            constraint: false,
            disabled: false,
            filter: null,
            keys: [{ column: 'N', descending: true }],
            included: [],
          },
        ],
        comments: [{ on: 'table', name: 'T', text: 'x' }],
      },
    },
  });
  const role = `mpm_objects_${process.pid}`;
  await target.query(`CREATE SCHEMA app; CREATE TABLE app."T" ("Id" int PRIMARY KEY, "N" int);
    CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT USAGE ON SCHEMA app TO ${role}; GRANT ALL ON app."T" TO ${role}`);
  try {
    const steps = await finish(plans, { ...options, user: role, password: 'pw' });
    assert.deepEqual(
      steps.map(({ kind }) => kind),
      ['analyze'],
    );
    assert.match(
      plans[0]?.notes.join('\n') ?? '',
      /app\.T belongs to another role and keeps what it has: index, comment/,
    );
  } finally {
    await target.query(`DROP SCHEMA app CASCADE; DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});

test('an index includes no more columns than PostgreSQL allows', async () => {
  const names = Array.from({ length: 40 }, (_, i) => `c${i}`);
  const table = sourceTable({
    name: 'Covered',
    columns: ['Id', ...names].map((name) => sourceColumn(name, 'int')),
    key: ['Id'],
  });
  const index = {
    ...{ name: 'IX', type: 2, typeName: 'nonclustered', unique: false, constraint: false, disabled: false },
    ...{ filter: null, keys: [{ column: 'c0', descending: false }], included: names.slice(1) },
  };
  const { plans } = planAll({ tables: [table], objects: { Covered: { indexes: [index] } } });
  await make(plans);
  assert.equal(await one(`SELECT indnatts::int FROM pg_index WHERE indexrelid = 'app."IX"'::regclass`), 32);
  assert.deepEqual(plans[0]?.notes, [
    'index IX does not include c32, c33, c34, c35, c36, c37, c38, c39: an index of PostgreSQL has 32 columns at most',
  ]);
});

test('an index entry that is too large is told with its row', async () => {
  const code = sourceColumn('Code', 'varchar', { maxLengthBytes: 8000 });
  const tables = [
    sourceTable({ name: 'Keyed', columns: [code], key: ['Code'] }),
    sourceTable({ name: 'Indexed', columns: [sourceColumn('Id', 'int'), code], key: ['Id'] }),
  ];
  const index = {
    ...{ name: 'IX', type: 2, typeName: 'nonclustered', unique: false, constraint: false, disabled: false },
    ...{ filter: null, keys: [{ column: 'Code', descending: false }], included: [] },
  };
  const { plans } = planAll({ tables, objects: { Indexed: { indexes: [index] } } });
  await transferMode('drop_recreate').prepare(target, plans);
  const random = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 200) AS i)";
  await target.query(`INSERT INTO app."Keyed" VALUES ('a'), (${random})`);
  await target.query(`INSERT INTO app."Indexed" VALUES (1, 'a'), (7, ${random})`);
  const failed = async (): Promise<[string, string | undefined, string | undefined][]> => {
    const steps = await finalize(() => connectTarget(options), plans, { parallel: 1 });
    const errors = steps.flatMap(({ error }) => (error === undefined ? [] : [error]));
    assert.ok(errors.every(({ code: of, serverCode }) => of === 'VALUE_TOO_LARGE' && serverCode === '54000'));
    return errors.map(({ message, key, remedy }) => [message.split(' ', 1)[0]!, key, remedy]);
  };
  const shown = await one(`SELECT left(${random}, 100)`);
  const remedy = 'Shorten the value on both sides, then `resume`; or';
  assert.deepEqual(await failed(), [
    ['IX', 'Id=7', `${remedy} set migration.create_indexes: false.`],
    ['PK_Keyed', `Code=${shown}`, `${remedy} exclude the table.`],
  ]);
  await target.query(
    `UPDATE app."Keyed" SET "Code" = 'b' WHERE "Code" <> 'a'; UPDATE app."Indexed" SET "Code" = 'b'`,
  );
  assert.deepEqual(await failed(), []);
});

test('keys that a mapping made the same are told with what keeps them apart', async () => {
  const table = sourceTable({ name: 'T', columns: [sourceColumn('At', 'time', { scale: 7 })], key: ['At'] });
  const { plans } = planAll({ tables: [table], objects: {} });
  await transferMode('drop_recreate').prepare(target, plans);
  await target.query(`INSERT INTO app."T" VALUES ('12:00:00.000001'), ('12:00:00.000001')`);
  const [step] = await finalize(() => connectTarget(options), plans, { parallel: 1 });
  const { code, serverCode, key, remedy } = step?.error ?? {};
  assert.deepEqual([code, serverCode, key], ['TARGET_QUERY', '23505', '"At"=12:00:00.000001']);
  assert.match(remedy ?? '', /a type that keeps the difference in migration\.type_overrides/);
});

test('foreign keys need a unique key that arrives, indexes a version of the server', async () => {
  const parent = sourceTable({
    name: 'Parent',
    columns: [sourceColumn('Id', 'int'), sourceColumn('Code', 'int', { nullable: true })],
    key: ['Id'],
  });
  const child = sourceTable({
    name: 'Child',
    columns: [sourceColumn('Id', 'int'), sourceColumn('Code', 'int')],
    key: ['Id'],
  });
  const parts: Parts = {
    tables: [parent, child],
    objects: {
      Parent: {
        indexes: [
          {
            name: 'UX_Code',
            type: 2,
            typeName: 'nonclustered',
            unique: true,
            constraint: false,
            disabled: false,
            filter: null,
            keys: [{ column: 'Code', descending: false }],
            included: [],
          },
          {
            name: 'CCI',
            type: 6,
            typeName: 'nonclustered columnstore',
            unique: false,
            constraint: false,
            disabled: false,
            filter: null,
            keys: [],
            included: ['Code'],
          },
        ],
      },
      Child: {
        foreignKeys: [
          {
            name: 'FK_Code',
            columns: ['Code'],
            to: { schema: 'dbo', name: 'Parent' },
            toColumns: ['Code'],
            onDelete: 'NO ACTION',
            onUpdate: 'NO ACTION',
            disabled: false,
            trusted: true,
          },
        ],
      },
    },
    notMigrated: [{ kind: 'views', names: ['dbo.V1', 'dbo.V2'] }],
  };
  const notesOf = (planned: ReturnType<typeof planAll>, name: string): string =>
    planned.plans.find((plan) => plan.target.name === name)?.notes.join('\n') ?? '';
  const whole = planAll(parts);
  await make(whole.plans);
  assert.equal(
    await one(`SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'FK_Code'`),
    'FOREIGN KEY ("Code") REFERENCES app."Parent"("Code")',
  );
  assert.match(notesOf(whole, 'Parent'), /left out: index CCI: it is of type nonclustered columnstore/);
  assert.deepEqual(whole.notes, ['2 views not migrated: dbo.V1, dbo.V2']);

  const bare = planAll({ ...parts, options: { createIndexes: false } });
  assert.match(
    notesOf(bare, 'Child'),
    /left out: foreign key FK_Code .*no unique key over the columns it points at arrives/,
  );
  const old = planAll({ ...parts, options: { pgVersion: 140_000 } });
  assert.match(notesOf(old, 'Parent'), /index UX_Code: more than one NULL is allowed/);
});
