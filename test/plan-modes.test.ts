/** Transfer modes on a real PostgreSQL: what they make, what they keep, what they refuse. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { transferMode } from '../src/plan/modes/index.js';
import { connectTarget, type TargetConnection, type TargetOptions } from '../src/target/connection.js';
import { checked, refused } from './support/modes.js';
import type { TestPostgres } from './support/postgres.js';
import { ordersAndUsers } from './support/sourceTables.js';
import { withTarget } from './support/target.js';

let server: TestPostgres;
let options: TargetOptions;
let target: TargetConnection;

withTarget(['app', 'other'], (scene) => {
  ({ server, options, target } = scene);
});

async function columns(table: string): Promise<string[]> {
  const rows = await target.query<{ column: string }>(
    `SELECT format('%s %s%s', a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN '!' END) AS column
      FROM pg_attribute a WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [table],
  );
  return rows.map((row) => row.column);
}

async function persistence(table: string): Promise<string | undefined> {
  const [row] = await target.query<{ p: string }>(
    'SELECT relpersistence::text AS p FROM pg_class WHERE oid = $1::regclass',
    [table],
  );
  return row?.p;
}

async function count(table: string): Promise<string | undefined> {
  const [row] = await target.query<{ n: string }>(`SELECT count(*)::text AS n FROM ${table}`);
  return row?.n;
}

describe('drop_recreate', () => {
  const mode = transferMode('drop_recreate');

  test('makes the schema and the tables', async () => {
    const plans = ordersAndUsers();
    assert.deepEqual(await checked(mode, target, plans), [
      ['creates table app.Orders'],
      ['creates table app.Users'],
    ]);
    await mode.prepare(target, plans);
    assert.deepEqual(await columns('app."Orders"'), [
      'Id integer!',
      'User Id integer',
      'Total numeric(19,4)!',
    ]);
    assert.deepEqual(await columns('app."Users"'), ['Id integer!', 'Name character varying(40)']);
    assert.equal(await persistence('app."Users"'), 'p');
  });

  test('drops what was there, foreign keys between the run’s tables included', async () => {
    await target.query(`CREATE SCHEMA app;
      CREATE TABLE app."Users" (old int PRIMARY KEY);
      CREATE TABLE app."Orders" (old int REFERENCES app."Users");
      INSERT INTO app."Users" VALUES (1); INSERT INTO app."Orders" VALUES (1); ANALYZE app."Users"`);
    const plans = ordersAndUsers({ unlogged: true, rowHashColumn: 'row_hash' });
    assert.deepEqual(await checked(mode, target, plans), [
      ['drops app.Orders (never analyzed)', 'creates unlogged table app.Orders'],
      ['drops app.Users (about 1 rows)', 'creates unlogged table app.Users'],
    ]);
    assert.equal(await count('app."Users"'), '1', 'check changes nothing');
    await mode.prepare(target, plans);
    assert.deepEqual(await columns('app."Users"'), [
      'Id integer!',
      'Name character varying(40)',
      'row_hash character varying(32)',
    ]);
    assert.equal(await persistence('app."Orders"'), 'u');
  });

  test('names everything that stands on its tables and drops nothing, or all of it where asked to', async () => {
    await target.query(`CREATE SCHEMA app; CREATE SCHEMA other;
      CREATE TABLE app."Users" (id int PRIMARY KEY, name text, seq serial); INSERT INTO app."Users" VALUES (1);
      CREATE TABLE app."Orders" (id int REFERENCES app."Users");
      CREATE INDEX ON app."Users" (name); CREATE STATISTICS app.together ON id, name FROM app."Users";
      CREATE VIEW app.own AS SELECT id FROM app."Orders";
      CREATE TABLE other.visits (who int CONSTRAINT visits_who REFERENCES app."Users");
      CREATE VIEW other.names AS SELECT * FROM app."Users";
      CREATE MATERIALIZED VIEW other.counted AS SELECT count(*) AS n FROM other.names;
      CREATE INDEX ON other.counted (n);
      CREATE FUNCTION other.name_of(app."Users") RETURNS int LANGUAGE sql AS 'SELECT 1';
      CREATE FUNCTION other.users() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM app."Users"; END;
      CREATE TABLE other.child () INHERITS (app."Users");
      CREATE TABLE other.noted (n int DEFAULT nextval('app."Users_seq_seq"'), one app."Users");
      CREATE RULE copy AS ON INSERT TO other.noted DO ALSO INSERT INTO app."Orders" VALUES (NEW.n);
      ALTER TABLE other.noted ENABLE ROW LEVEL SECURITY;
      CREATE POLICY known ON other.noted USING (EXISTS (SELECT FROM app."Users"));
      CREATE PUBLICATION mpm_told FOR TABLE ONLY app."Users", other.visits`);
    const standing = [
      'default value for other.noted.n',
      'function other.name_of(app."Users")',
      'function other.users()',
      'materialized view other.counted',
      'policy known on other.noted',
      'publication relation app."Users" in publication mpm_told',
      'rule copy on other.noted',
      'table column other.noted.one',
      'table constraint visits_who on other.visits',
      'table other.child',
      'view app.own',
      'view other.names',
    ];
    try {
      for (const work of [mode.prepare, checked.bind(null, mode)]) {
        const { message } = await refused(
          work(target, ordersAndUsers()),
          'SCHEMA_CONFLICT',
          /^Objects outside this run depend on/,
        );
        const [, list = ''] = message.split(': ');
        assert.deepEqual(list.split(/ \(on app\.\w+\)(?:, |$)/).slice(0, -1), standing);
      }
      assert.equal(await count('other.names'), '1');

      const cascading = transferMode('drop_recreate', { dropCascade: true });
      const actions = (await checked(cascading, target, ordersAndUsers())).flat();
      assert.deepEqual(
        actions.filter((action) => action.endsWith(', which depends on it')).sort(),
        standing.map((object) => `drops ${object}, which depends on it`),
      );
      const plans = ordersAndUsers();
      await cascading.prepare(target, plans);
      assert.deepEqual(
        plans.flatMap(({ notes }) => notes.filter((note) => note.startsWith('dropped'))).sort(),
        standing.map((object) => `dropped by drop_cascade: ${object}`),
      );
      const left = await target.query<{ name: string }>(
        `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname IN ('app', 'other') AND c.relkind IN ('r', 'v', 'm') ORDER BY 1`,
      );
      assert.deepEqual(
        left.map(({ name }) => name),
        ['Orders', 'Users', 'noted', 'visits'],
      );
    } finally {
      await target.query('DROP PUBLICATION IF EXISTS mpm_told');
    }
  });

  test('partitions of a partitioned table are named', async () => {
    await target.query(`CREATE SCHEMA app;
      CREATE TABLE app."Users" (id int PRIMARY KEY) PARTITION BY RANGE (id);
      CREATE TABLE app.low PARTITION OF app."Users" FOR VALUES FROM (0) TO (10)`);
    await refused(
      checked(mode, target, ordersAndUsers()),
      'SCHEMA_CONFLICT',
      /table app\.low \(on app\.Users\)$/,
    );
  });

  test('a table that is a partition of another one does not leave it without a word', async () => {
    await target.query(`CREATE SCHEMA app; CREATE SCHEMA other;
      CREATE TABLE other.people ("Id" int) PARTITION BY RANGE ("Id");
      CREATE TABLE app."Users" PARTITION OF other.people FOR VALUES FROM (0) TO (10);
      CREATE TABLE other.log (); CREATE TABLE app."Orders" () INHERITS (other.log)`);
    await refused(
      checked(mode, target, ordersAndUsers()),
      'SCHEMA_CONFLICT',
      /: membership in table other\.log \(on app\.Orders\), membership in table other\.people \(on app\.Users\)$/,
    );
    const cascading = transferMode('drop_recreate', { dropCascade: true });
    const plans = ordersAndUsers();
    await cascading.prepare(target, plans);
    assert.match(plans[1]!.notes.join(), /dropped by drop_cascade: membership in table other\.people/);
  });

  test('every obstacle is named at once', async () => {
    await target.query(
      'CREATE SCHEMA app; CREATE VIEW app."Users" AS SELECT 1 AS one; CREATE TABLE app."PK_Orders" ()',
    );
    const { obstacles } = await mode.check(target, ordersAndUsers());
    assert.deepEqual(
      obstacles.map(({ message }) => message),
      [
        'Target app.Users is a view',
        "Index PK_Orders of app.Orders can't be made: app.PK_Orders is no index",
      ],
    );
    await refused(mode.prepare(target, ordersAndUsers()), 'SCHEMA_CONFLICT', /is a view; Index PK_Orders/);
  });

  test('refuses a target name that is not a table', async () => {
    await target.query('CREATE SCHEMA app; CREATE VIEW app."Users" AS SELECT 1 AS one');
    await refused(checked(mode, target, ordersAndUsers()), 'SCHEMA_CONFLICT', /app\.Users is a view/);
  });

  test('a lock is waited for no longer than configured, and its holder named', async () => {
    await mode.prepare(target, ordersAndUsers());
    const holder = await server.client();
    try {
      await holder.query(
        `SET application_name = 'reporting'; BEGIN; LOCK TABLE app."Users" IN ACCESS SHARE MODE`,
      );
      await refused(
        mode.prepare(target, ordersAndUsers()),
        'TARGET_TRANSIENT',
        /pid \d+ \(reporting, role \w+, idle in tr/,
      );
      await holder.query('ROLLBACK');
    } finally {
      await holder.end();
    }
  });
});

describe('truncate', () => {
  const mode = transferMode('truncate');

  test('empties what is there, keeps its structure, creates what is missing', async () => {
    await target.query(`CREATE SCHEMA app;
      CREATE TABLE app."Users" ("Id" int CONSTRAINT own_key PRIMARY KEY, "Name" text, note text DEFAULT 'x', seq serial);
      INSERT INTO app."Users" VALUES (1, 'a')`);
    const plans = ordersAndUsers({ unlogged: true, rowHashColumn: 'row_hash' });
    assert.deepEqual(await checked(mode, target, plans), [
      ['creates unlogged table app.Orders'],
      [
        'truncates app.Users (never analyzed)',
        'adds column row_hash varchar(32)',
        'sets it UNLOGGED until the rows are in',
      ],
    ]);
    await mode.prepare(target, plans);
    assert.equal(await count('app."Users"'), '0');
    assert.deepEqual(await columns('app."Users"'), [
      'Id integer!',
      'Name text',
      'note text',
      'seq integer!',
      'row_hash character varying(32)',
    ]);
    assert.equal(await persistence('app."Users"'), 'u');
    assert.equal(await persistence('app."Orders"'), 'u');
    await mode.prepare(target, plans);
    // A run that was to turn it back, and is given up, leaves it so.
    const [, users] = ordersAndUsers();
    await mode.prepare(target, [users!]);
    assert.match(users!.notes.join(), /is UNLOGGED, .*ALTER TABLE "app"\."Users" SET LOGGED/);
  });

  test('names every column that would not take the values, and keeps the rows', async () => {
    await target.query(`CREATE SCHEMA app;
      CREATE TABLE app."Users" ("Id" bigint, extra int NOT NULL);
      CREATE TABLE app."Orders" ("Id" int, "User Id" int GENERATED ALWAYS AS (1) STORED, "Total" numeric(19,2));
      INSERT INTO app."Users" VALUES (1, 1)`);
    const { message } = await refused(mode.prepare(target, ordersAndUsers()), 'SCHEMA_CONFLICT', /Total/);
    assert.match(message, /app\.Orders\.Total \(numeric\(19,2\)\) has fewer decimals: .*decimal\(19,4\)/);
    assert.match(message, /app\.Orders\.User Id is generated/);
    assert.match(message, /app\.Users\.Id \(bigint\) is of another type: source type int needs integer/);
    assert.match(message, /app\.Users has no column Name/);
    assert.match(message, /app\.Users\.extra is NOT NULL without a default/);
    assert.equal(await count('app."Users"'), '1');
  });

  test('refuses foreign keys that loading would break', async () => {
    await transferMode('drop_recreate').prepare(target, ordersAndUsers());
    await target.query(`ALTER TABLE app."Users" ADD PRIMARY KEY ("Id");
      ALTER TABLE app."Orders" ADD CONSTRAINT fk_user FOREIGN KEY ("User Id") REFERENCES app."Users"`);
    await refused(
      mode.prepare(target, ordersAndUsers()),
      'SCHEMA_CONFLICT',
      /fk_user of app\.Orders \(to app\.Users\)/,
    );
  });
});

describe('a role with few rights', () => {
  before(() => target.query(`CREATE ROLE mpm_limited LOGIN PASSWORD 'pw'`));
  after(() => target.query('DROP OWNED BY mpm_limited; DROP ROLE mpm_limited'));

  const limited = async (work: (limitedTarget: TargetConnection) => Promise<unknown>): Promise<void> => {
    const connection = await connectTarget({ ...options, user: 'mpm_limited', password: 'pw' });
    try {
      await work(connection);
    } finally {
      await connection.close();
    }
  };

  test('may not create the schema, nor tables in it, nor drop or truncate another role’s', async () => {
    await limited(async (connection) => {
      const drop = transferMode('drop_recreate');
      const truncate = transferMode('truncate');
      const permission = 'TARGET_PERMISSION';
      await refused(
        checked(drop, connection, ordersAndUsers()),
        permission,
        /app does not exist, and role mpm_limited/,
      );
      await target.query('CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO mpm_limited');
      await refused(
        checked(drop, connection, ordersAndUsers()),
        permission,
        /may not create tables in target schema app/,
      );
      await target.query('GRANT CREATE ON SCHEMA app TO mpm_limited');
      await target.query('CREATE TABLE app."Users" ("Id" int, "Name" varchar(40))');
      await refused(
        drop.prepare(connection, ordersAndUsers()),
        permission,
        /app\.Users belongs to another role/,
      );
      await refused(
        truncate.prepare(connection, ordersAndUsers()),
        permission,
        /lacks TRUNCATE, INSERT on app\.Users/,
      );
      await target.query('GRANT TRUNCATE, INSERT ON app."Users" TO mpm_limited');
      await refused(
        truncate.prepare(connection, ordersAndUsers({ unlogged: true })),
        permission,
        /must be altered/,
      );
      await truncate.prepare(connection, ordersAndUsers());
      assert.equal(await count('app."Orders"'), '0');
    });
  });

  test('may not merge without reading and updating, nor delete without the right to', async () => {
    await target.query(`CREATE SCHEMA app; GRANT USAGE, CREATE ON SCHEMA app TO mpm_limited;
      CREATE TABLE app."Users" ("Id" int PRIMARY KEY, "Name" varchar(40));
      GRANT INSERT, UPDATE ON app."Users" TO mpm_limited`);
    const users = () => ordersAndUsers().slice(1);
    await limited(async (connection) => {
      const lacking = (deletes: boolean, message: RegExp) =>
        refused(
          checked(transferMode('upsert', { deletesExtra: deletes }), connection, users()),
          'TARGET_PERMISSION',
          message,
        );
      await lacking(false, /lacks SELECT on app\.Users/);
      await lacking(true, /lacks SELECT, DELETE on app\.Users/);
      await target.query('GRANT SELECT ON app."Users" TO mpm_limited');
      await lacking(true, /lacks DELETE on app\.Users/);
      await checked(transferMode('upsert'), connection, users());
      await target.query('GRANT DELETE ON app."Users" TO mpm_limited');
      await checked(transferMode('upsert', { deletesExtra: true }), connection, users());
    });
  });
});
