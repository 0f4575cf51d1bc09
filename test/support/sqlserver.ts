/**
 * A SQL Server for tests and the demo: the stand-in in a child process, or the server of `TEST_MSSQL_URL`.
 *
 * Runs on the main thread of the test process. Scripts are plain T-SQL, so both take the same ones.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Certificates, makeCertificates } from './certificates.js';
import { sharedPostgres } from './postgres.js';
import { runTsql, type SqlServerConnection } from './tsql.js';

export { queryTsql, runTsql, type SqlServerConnection } from './tsql.js';

export interface StartSqlServerOptions {
  /** Gives the stand-in a fresh certificate for localhost and 127.0.0.1 whose CA is `caFile`. */
  tls?: boolean;
  /** What the stand-in says to a client that asks for encryption. */
  encryption?: 'off' | 'on' | 'required';
  /** Further arguments of the stand-in, such as `--no-nbcrow`. */
  flags?: string[];
  /** Password of `sa`; the outside server's is in its URL. */
  password?: string;
  /** Where the stand-in keeps its tables; a database of the shared PostgreSQL by default. */
  pgUrl?: string;
}

export interface TestSqlServer {
  /** As `sa` on `master`. */
  connection: SqlServerConnection;
  /** PEM file of the CA that signed the stand-in's certificate, with `tls: true` only. */
  caFile: string | null;
  /** False where `TEST_MSSQL_URL` names a real server: what it prints and how long it takes may differ. */
  isStandIn: boolean;
  /** What the stand-in has written to stderr so far. */
  log(): string;
  /** Makes a database whose name starts with `prefix`; `stop` drops it. */
  createDatabase(prefix: string): Promise<SqlServerConnection>;
  stop(): Promise<void>;
}

/** Starts the stand-in and waits until it takes connections (20 s at most). */
export async function startSqlServer(options: StartSqlServerOptions = {}): Promise<TestSqlServer> {
  const outside = process.env.TEST_MSSQL_URL;
  if (outside) return outsideServer(outside);

  const password = options.password ?? `Sa-${randomBytes(9).toString('base64url')}`;
  const directory = options.tls ? mkdtempSync(join(tmpdir(), 'mpm-sqlserver-')) : null;
  const store = options.pgUrl === undefined ? await sharedPostgres() : null;
  let child: ChildProcess | null = null;
  const stop = async () => {
    if (child) await stopChild(child);
    await store?.stop();
    if (directory) rmSync(directory, { recursive: true, force: true });
  };
  try {
    const certificates = directory ? await makeCertificates(directory) : null;
    const standIn = spawnStandIn(store?.url ?? (options.pgUrl as string), password, certificates, options);
    child = standIn.child;
    const port = await standIn.port;
    const connection = { host: '127.0.0.1', port, user: 'sa', password, database: 'master', encrypt: false };
    return {
      ...server(connection, stop),
      caFile: certificates?.caFile ?? null,
      isStandIn: true,
      log: standIn.log,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function spawnStandIn(
  pgUrl: string,
  password: string,
  certificates: Certificates | null,
  options: StartSqlServerOptions,
) {
  // The other end of its stdin is ours: however this process ends, the stand-in ends with it.
  const args = [fileURLToPath(new URL('../sqlserver/main.js', import.meta.url)), '--exit-with-stdin'];
  args.push('--host', '127.0.0.1', '--port', '0', '--pg-url', pgUrl, '--password', password);
  if (options.encryption) args.push('--encryption', options.encryption);
  args.push(...(options.flags ?? []));
  if (certificates) args.push('--cert', certificates.certFile, '--key', certificates.keyFile);
  const child = spawn(process.execPath, args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  const port = new Promise<number>((resolve, reject) => {
    const fail = (what: string) => reject(new Error(`The stand-in SQL Server ${what}:\n${stderr}${stdout}`));
    const timer = setTimeout(() => fail('was not ready within 20 s'), 20_000);
    child.once('error', reject);
    child.once('close', (code, signal) => fail(`ended with ${signal ?? code}`));
    child.stderr.on('data', (text) => {
      if (stderr.length < 1_048_576) stderr += text;
    });
    child.stdout.on('data', (text) => {
      stdout += text;
      if (!stdout.includes('\n')) return;
      clearTimeout(timer);
      resolve((JSON.parse(stdout.slice(0, stdout.indexOf('\n'))) as { port: number }).port);
    });
  });
  return { child, port, log: () => stderr };
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 3_000);
  await exited;
  clearTimeout(timer);
}

function outsideServer(url: string): TestSqlServer {
  const parsed = new URL(url);
  const connection = {
    host: parsed.hostname,
    port: Number(parsed.port || 1433),
    user: decodeURIComponent(parsed.username),
    password: decodeURIComponent(parsed.password),
    database: 'master',
    encrypt: parsed.searchParams.get('encrypt') !== 'false',
  };
  return { ...server(connection, async () => {}), caFile: null, isStandIn: false, log: () => '' };
}

/** What both kinds of server do alike; databases are dropped before `release` lets go of the server. */
function server(connection: SqlServerConnection, release: () => Promise<void>) {
  const made: string[] = [];
  let stopping: Promise<void> | null = null;
  const createDatabase = async (prefix: string) => {
    const database = `${prefix}_${process.pid}_${randomBytes(3).toString('hex')}`;
    await runTsql(connection, `CREATE DATABASE [${database}]`);
    made.push(database);
    return { ...connection, database };
  };
  const end = async () => {
    try {
      for (const name of made.splice(0)) await runTsql(connection, `DROP DATABASE [${name}]`);
    } finally {
      await release();
    }
  };
  const stop = () => {
    stopping ??= end();
    return stopping;
  };
  return { connection, createDatabase, stop };
}
