/** The PostgreSQL harness itself: it serves, isolates databases, speaks verified TLS and leaves nothing behind. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { sharedPostgres, startPostgres } from './support/postgres.js';

const harness = new URL('./support/postgres.js', import.meta.url).href;

test('a server with TLS proves itself to a client that trusts its CA, and is gone after stop', async () => {
  const postgres = await startPostgres({ ssl: true, flags: ['-c', 'work_mem=5MB'] });
  const { dataDir, caFile, connection } = postgres;
  try {
    assert.ok(caFile && dataDir);
    const ssl = { ca: readFileSync(caFile, 'utf8'), rejectUnauthorized: true };
    const client = new pg.Client({ ...connection, host: 'localhost', ssl });
    await client.connect();
    const { rows } = await client.query(
      `SELECT ssl, current_setting('work_mem') AS work_mem, current_setting('server_encoding') AS encoding,
              upper('straße é') AS upper FROM pg_stat_ssl WHERE pid = pg_backend_pid()`,
    );
    assert.deepEqual(rows, [{ ssl: true, work_mem: '5MB', encoding: 'UTF8', upper: 'STRAßE É' }]);
    await client.end();
    await assert.rejects(new pg.Client({ ...connection, ssl: { rejectUnauthorized: true } }).connect());
  } finally {
    await postgres.stop();
  }
  assert.equal(existsSync(dirname(dataDir as string)), false);
  await assert.rejects(postgres.client(), { code: 'ECONNREFUSED' });
});

test('the shared server gives every caller a database of its own', async () => {
  const [one, two] = await Promise.all([sharedPostgres(), sharedPostgres()]);
  try {
    const first = await one.client();
    await first.query('CREATE TABLE mine (id int)');
    await first.end();
    const second = await two.client();
    const { rows } = await second.query(`SELECT to_regclass('mine') AS mine`);
    assert.deepEqual(rows, [{ mine: null }]);
    await second.end();
    const other = await one.createDatabase('Odd "name"'.concat(String(process.pid)));
    const third = await one.client(other.database);
    assert.equal((await third.query('SELECT current_database() AS name')).rows[0].name, other.database);
    await third.end();
  } finally {
    await Promise.all([one.stop(), two.stop()]);
  }
});

test('a parent killed outright leaves neither server nor files behind', async () => {
  const script = `const { startPostgres } = await import(${JSON.stringify(harness)});
    const server = await startPostgres({ flags: [] });
    console.log(server.dataDir);
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const dataDir = await new Promise<string>((resolve, reject) => {
    parent.stdout.once('data', (text: Buffer) => resolve(text.toString().trim()));
    parent.once('exit', (code) => reject(new Error(`the parent ended with ${code}`)));
  });
  const pid = Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
  assert.ok(isAlive(pid));
  parent.kill('SIGKILL');
  for (let waited = 0; waited < 10_000 && (isAlive(pid) || existsSync(dirname(dataDir))); waited += 100)
    await sleep(100);
  assert.equal(isAlive(pid), false);
  assert.equal(existsSync(dirname(dataDir)), false);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
