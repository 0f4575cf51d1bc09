/**
 * The replay source as a process of its own, told over IPC what to pretend. Its only thread runs it all.
 */
import { randomBytes } from 'node:crypto';
import { createEngine } from '../../test/sqlserver/engine/index.js';
import { startSqlServer } from '../../test/sqlserver/server.js';
import { ReplayEngine, type ReplayTable } from './replayEngine.js';

/** What the process is asked. */
export type SourceRequest =
  | { kind: 'pretend'; database: string; table: ReplayTable }
  | { kind: 'account' }
  | { kind: 'stop' };

/** What the source has spent and sent since it started. */
export interface SourceAccount {
  cpuSeconds: number;
  /** Token bytes of replayed rows. */
  tdsBytes: number;
}

export interface SourceReady {
  port: number;
  /** The same server without encryption, for the peers. */
  plainPort: number;
  password: string;
}

const pgUrl = process.argv[2];
if (pgUrl === undefined || process.send === undefined) {
  throw new Error('the replay source is started by the benchmark, with the URL of its store');
}
const password = randomBytes(12).toString('hex');
const engine = new ReplayEngine(await createEngine({ pgUrl, password, user: 'sa' }));
const server = await startSqlServer({ engine });
/** FreeTDS encrypts the login where a server can, and its TLS does not get on with the stand-in's. */
const plain = await startSqlServer({ engine, encryption: 'off' });

process.on('message', (request: SourceRequest) => {
  switch (request.kind) {
    case 'pretend':
      engine.pretend(request.database, request.table);
      process.send?.({});
      return;
    case 'account': {
      const { user, system } = process.cpuUsage();
      const account: SourceAccount = { cpuSeconds: (user + system) / 1e6, tdsBytes: engine.tdsBytes };
      process.send?.(account);
      return;
    }
    case 'stop':
      void stop();
  }
});
process.on('disconnect', () => void stop());

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await Promise.all([server.close(), plain.close()]);
  await engine.close();
  process.exit(0);
}

process.send({ port: server.port, plainPort: plain.port, password } satisfies SourceReady);
