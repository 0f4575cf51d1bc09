/**
 * The role of deploy/sql/postgres-role.sql suffices: a load, a refresh, an upsert and a verification, with nothing
 * granted beyond. Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { runCli } from './support/cli.js';
import { type Scene, startScene, succeeded } from './support/endToEnd.js';
import { repositoryRoot } from './support/repository.js';

const role = `mpm role "${randomBytes(4).toString('hex')}`;
const database = `mpm_roles_${randomBytes(4).toString('hex')}`;
const password = `it's "${randomBytes(6).toString('hex')}`;
let scene: Scene;

before(async () => {
  scene = await startScene(
    'roles',
    `CREATE TABLE dbo.owner (id int IDENTITY(1,1) NOT NULL PRIMARY KEY, name nvarchar(30) NOT NULL DEFAULT (N'none'));
GO
CREATE TABLE dbo.pet (id int NOT NULL PRIMARY KEY, owner_id int NOT NULL REFERENCES dbo.owner (id),
  kind varchar(10) NOT NULL CHECK (kind IN ('cat', 'dog')));
GO
CREATE INDEX ix_pet_kind ON dbo.pet (kind);
GO
INSERT INTO dbo.owner (name) VALUES (N'Ann'), (N'Bo');
GO
INSERT INTO dbo.pet VALUES (1, 1, 'cat'), (2, 2, 'dog');`,
  );
  await scene.client.query(`CREATE DATABASE ${database}`);
  const admin = await scene.target.client(database);
  // What psql makes of :"name", of :'name', and of its own variable DBNAME.
  const variables: Record<string, string> = { role, password, schema: 'pets', DBNAME: database };
  const script = readFileSync(join(repositoryRoot, 'deploy', 'sql', 'postgres-role.sql'), 'utf8')
    .replace(/:"(\w+)"/g, (_, name: string) => pg.escapeIdentifier(variables[name]!))
    .replace(/:'(\w+)'/g, (_, name: string) => pg.escapeLiteral(variables[name]!));
  await admin.query(
    `REVOKE ALL ON DATABASE ${database} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC`,
  );
  await admin.query(script);
  await admin.end();
});

after(async () => {
  await scene?.client.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  await scene?.client.query(`DROP ROLE IF EXISTS ${pg.escapeIdentifier(role)}`);
  await scene?.stop();
});

test('a run in each mode, verify, receipt and health-check under the role of the script', async () => {
  const target = { database, user: role, password, schema: 'pets' };
  for (const [i, target_mode] of ['drop_recreate', 'truncate', 'upsert'].entries()) {
    await scene.tsql(`UPDATE dbo.owner SET name = N'Ann ${i}' WHERE id = 1`);
    const done = await scene.migrate({ target, migration: { target_mode } });
    succeeded(done);
  }
  for (const command of ['verify', 'receipt', 'health-check']) {
    const done = await runCli([
      '-c',
      scene.config({ target, migration: { target_mode: 'truncate' } }),
      command,
    ]);
    assert.equal(done.code, 0, `${command}: ${done.stderr}`);
  }
  const admin = await scene.target.client(database);
  const { rows } = await admin.query(
    `SELECT count(*)::int AS keys FROM pg_constraint WHERE contype = 'f' AND connamespace = 'pets'::regnamespace`,
  );
  await admin.end();
  assert.deepEqual(rows, [{ keys: 1 }]);
});
