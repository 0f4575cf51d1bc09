/** The runner of the command line tool itself: it reports what a scheduler sees, and never waits for ever. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCli } from './support/cli.js';
import { writeConfig } from './support/config.js';

const nobody = { user: 'nobody', password: 'Secret-1', database: 'none' };

test('the runner returns code, output and peak memory', async () => {
  const help = await runCli(['--help'], { process: true });
  assert.equal(help.code, 0, help.stderr);
  assert.match(help.stdout, /Usage: mssql-pg-migrate/);
  const peakIsSeen = process.platform !== 'linux' || help.peakRssKb > 10_000;
  assert.ok(peakIsSeen, `${help.peakRssKb} KiB`);
  const unknown = await runCli(['no-such-command']);
  assert.equal(unknown.code, 1);
});

test('a tool that does not end in time is killed, and what it said is in the error', async (t) => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => sockets.add(socket));
  const port = await new Promise<number>((resolve) => {
    silent.listen(0, '127.0.0.1', () => {
      const address = silent.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
  const directory = mkdtempSync(join(tmpdir(), 'mpm-support-'));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const end = { host: '127.0.0.1', port, ...nobody };
  const config = writeConfig(directory, { source: { ...end, encrypt: false }, target: end });
  let child: ChildProcess | undefined;
  await assert.rejects(
    runCli(['-c', config, 'health-check'], {
      timeoutMs: 1_500,
      onStart: (started) => {
        child = started;
      },
    }),
    /did not end within 1500 ms: -c .* health-check\nstdout:/,
  );
  assert.equal(child?.signalCode, 'SIGKILL');
  assert.match(readFileSync(config, 'utf8'), /Secret-1/);
});
