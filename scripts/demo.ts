/**
 * The demonstration behind `scripts/demo`: fills a stand-in SQL Server, migrates it, validates, and says how it went.
 *
 * Runs on the main thread of a process of its own; servers and the command line tool are its children and are
 * gone when it ends, however it ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { everyTypeScript, everyTypeTables } from '../test/fixtures/everyType.js';
import { typeCaseScript, typeCases, typeCaseTable } from '../test/fixtures/typeCases.js';
import { cliFile } from '../test/support/cli.js';
import { writeConfig } from '../test/support/config.js';
import { type PostgresConnection, startPostgres, type TestPostgres } from '../test/support/postgres.js';
import { compareRows } from '../test/support/rowCounts.js';
import {
  runTsql,
  type SqlServerConnection,
  startSqlServer,
  type TestSqlServer,
} from '../test/support/sqlserver.js';
import { stackOverflowScripts } from '../test/support/stackOverflow.js';
import { checkTypeCases } from '../test/support/typeCheck.js';
import { type ExpectedTable, howToConnect, printSummary } from './demoReport.js';

const { values: options } = parseArgs({
  options: { keep: { type: 'boolean', default: false }, rows: { type: 'string', default: '1000000' } },
});
const wantedRows = Number(options.rows);
if (!Number.isSafeInteger(wantedRows) || wantedRows < 1) {
  console.error(`--rows takes a whole number from 1; ${options.rows} is none.`);
  process.exit(1);
}

const say = (line: string) => process.stdout.write(`${line}\n`);
const seconds = (since: number) => (performance.now() - since) / 1000;
const phases: { name: string; seconds: number }[] = [];

async function phase<T>(name: string, work: () => Promise<T>): Promise<T> {
  say(`\n== ${name}`);
  const start = performance.now();
  const result = await work();
  phases.push({ name, seconds: seconds(start) });
  return result;
}

/** What runs at the moment, to be stopped at the end. */
const running: { postgres?: TestPostgres; sqlServer?: TestSqlServer; tool?: ChildProcess | undefined } = {};
/** The exit code once everything has been looked at; `--keep` waits after that. */
let outcome: number | null = null;
const directory = mkdtempSync(join(tmpdir(), 'mpm-demo-'));

/** Resolves with the signal that asks the demo to stop. */
const interrupted = new Promise<NodeJS.Signals>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
});

async function demo(): Promise<number> {
  const target = await phase('Starting PostgreSQL and the stand-in SQL Server', startServers);
  const source = await phase('Filling the source database', fillSource);
  const expected = expectedTables();
  const config = writeConfig(directory, { source, target });

  // One run moves one schema; the second schema of the source is a second run of the same configuration.
  const second = ['--source-schema', 'sales', '--target-schema', 'sales'];
  let failed = 0;
  failed ||= await phase('Migrating schema dbo', () => runTool('-c', config, 'run'));
  failed ||= await phase('Migrating schema sales', () => runTool('-c', config, 'run', ...second));
  const migrationSeconds = phases
    .filter(({ name }) => name.startsWith('Migrating'))
    .reduce((sum, one) => sum + one.seconds, 0);
  failed ||= await phase('Validating', () => runTool('-c', config, 'validate'));
  if (failed) say(`\nThe tool ended with exit code ${failed}.`);

  const client = await started(running.postgres).client(target.database);
  const { tables, types } = await phase('Checking the target independently', async () => ({
    tables: await compareRows(client, expected),
    types: await checkTypeCases(client, 'public'),
  })).finally(() => client.end());
  printSummary(say, { tables, types, phases, migrationSeconds });
  const sound = tables.every((table) => table.found === table.rows) && types.differences.length === 0;

  outcome = failed || (sound ? 0 : 1);
  if (options.keep) {
    say(howToConnect({ source, target, config, cliFile }));
    await interrupted;
  }
  return outcome;
}

function started<T>(server: T | undefined): T {
  if (server === undefined) throw new Error('A server was used before it was started');
  return server;
}

async function startServers(): Promise<PostgresConnection> {
  const postgres = await startPostgres();
  running.postgres = postgres;
  const target = await postgres.createDatabase('demo_target');
  const store = await postgres.createDatabase('demo_standin_store');
  const storeUrl = new URL(postgres.url);
  storeUrl.pathname = store.database;
  const sqlServer = await startSqlServer({ pgUrl: storeUrl.href });
  running.sqlServer = sqlServer;
  say(`PostgreSQL on port ${target.port}, the stand-in SQL Server on port ${sqlServer.connection.port}`);
  return target;
}

async function fillSource(): Promise<SqlServerConnection> {
  const source = await started(running.sqlServer).createDatabase('StackOverflow2010');
  for (const { table, rows, script } of stackOverflowScripts(wantedRows)) {
    const start = performance.now();
    await runTsql(source, script);
    say(
      `  ${table.padEnd(12)}${rows.toLocaleString('en').padStart(10)} rows ${seconds(start).toFixed(1).padStart(6)} s`,
    );
  }
  const start = performance.now();
  await runTsql(source, typeCaseScript());
  await runTsql(source, everyTypeScript());
  const awkward = typeCases.length + everyTypeTables.length;
  say(`  ${awkward} tables of every type, key and name ${seconds(start).toFixed(1).padStart(6)} s`);
  return source;
}

function expectedTables(): ExpectedTable[] {
  return [
    ...stackOverflowScripts(wantedRows).map(({ table, rows }) => ({
      group: 'Stack Overflow 2010' as const,
      schema: 'public',
      name: table,
      rows,
    })),
    ...typeCases.map((one) => ({
      group: 'every type at its limits' as const,
      schema: 'public',
      name: typeCaseTable(one),
      rows: one.values.length + 1,
    })),
    ...everyTypeTables.map(({ schema, name, rows }) => ({
      group: 'keys, names, second schema' as const,
      schema: schema === 'dbo' ? 'public' : schema,
      name,
      rows,
    })),
  ];
}

/** Runs the tool with this terminal as its own. @returns its exit code. */
async function runTool(...args: string[]): Promise<number> {
  say(`$ mssql-pg-migrate ${args.join(' ')}`);
  const child = spawn(process.execPath, [cliFile, ...args], { cwd: directory, stdio: 'inherit' });
  running.tool = child;
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      running.tool = undefined;
      resolve(code ?? (signal ? 130 : 1));
    });
  });
}

async function stopEverything(): Promise<void> {
  const child = running.tool;
  if (child) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await ended;
    clearTimeout(timer);
  }
  // The stand-in's database goes with its store: nothing to drop one by one.
  await Promise.allSettled([running.sqlServer?.stop(), running.postgres?.stop()]);
  rmSync(directory, { recursive: true, force: true });
}

let code: number;
try {
  code = await Promise.race([demo(), interrupted.then(() => outcome ?? 130)]);
} catch (error) {
  console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  const log = running.sqlServer?.log() ?? '';
  if (log) console.error(`The stand-in wrote:\n${log.slice(-4_000)}`);
  code = 1;
}
await stopEverything();
// An interrupted demo still has promises waiting on servers that are gone.
process.exit(code);
