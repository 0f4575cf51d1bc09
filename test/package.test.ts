/**
 * The package as `npm pack` makes it: what is in it, and that it works, installed globally in a clean folder, from the
 * command line and as a library that a TypeScript program imports by its name.
 *
 * Runs on the main thread of the test process. Needs the npm registry, as the installation did.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { oneLineOfJson, type Scene, startScene } from './support/endToEnd.js';
import { repositoryRoot } from './support/repository.js';

const ROWS = 3000;
const script = `CREATE TABLE dbo.orders (id int NOT NULL PRIMARY KEY, pad nvarchar(100) NULL, price decimal(9,2) NULL);
GO
INSERT INTO dbo.orders (id, pad, price)
SELECT s.value, REPLICATE(N'\u00fc', CAST(s.value % 60 AS int)), CAST(s.value AS decimal(9,2)) / 8
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${ROWS} AS bigint)) AS s;`;
/** Many small chunks, so that there is a middle to stop in. */
const migration = { chunk_size: 20, parallel_readers: 1, write_ahead_writers: 1 };

let scene: Scene;
/** What npm says it has packed. */
let packed: string[];
/** Where the package was installed to. */
let installed: string;
let tool: string;

before(async () => {
  scene = await startScene('package', script);
  const checkout = copyOfCheckout();
  const pack = npm(['pack', '--ignore-scripts', '--json', '--pack-destination', scene.directory], checkout);
  const [made] = JSON.parse(pack) as [{ filename: string; files: { path: string }[] }];
  packed = made.files.map(({ path }) => path).sort();
  const prefix = join(scene.directory, 'prefix');
  npm([
    ...['install', '--global', '--prefix', prefix, '--prefer-offline', '--no-audit', '--no-fund'],
    join(scene.directory, basename(made.filename)),
  ]);
  const modules = process.platform === 'win32' ? 'node_modules' : 'lib/node_modules';
  installed = join(prefix, modules, 'mssql-pg-migrate');
  tool = join(prefix, 'bin', 'mssql-pg-migrate');
});
after(() => scene?.stop());

/** What is packed of, with the step before packing done: this checkout's dist/ keeps all its declarations. */
function copyOfCheckout(): string {
  const copy = join(scene.directory, 'checkout');
  const { files } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as {
    files: string[];
  };
  const named = files.map((file) => file.replace(/\/\*.*$/, ''));
  for (const file of new Set([...named, 'package.json', 'README.md', 'LICENSE'])) {
    cpSync(join(repositoryRoot, file), join(copy, file), { recursive: true });
  }
  const step = spawnSync(process.execPath, [join(repositoryRoot, 'dist/scripts/publicTypes.js'), copy], {
    encoding: 'utf8',
  });
  assert.equal(step.status, 0, step.stderr);
  return copy;
}

/** Tries again where npm waits for an answer of the registry that does not come. */
function npm(args: string[], cwd = repositoryRoot, tries = 3): string {
  const done = spawnSync('npm', args, { cwd, encoding: 'utf8', timeout: 90_000, killSignal: 'SIGKILL' });
  if (done.signal !== null && tries > 1) return npm(args, cwd, tries - 1);
  assert.equal(done.status, 0, `npm ${args.join(' ')}\n${done.stdout}\n${done.stderr}`);
  return done.stdout;
}

test('the package holds what runs, its types and its documentation, and nothing else', () => {
  const folders = new Set(packed.map((file) => /^(dist\/\w+|schemas|docs)\//.exec(file)?.[1] ?? file));
  assert.deepEqual([...folders].sort(), [
    ...['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'config.schema.json'],
    ...['dist/src', 'dist/workers', 'docs', 'package.json', 'schemas'],
  ]);
  const modules = packed.filter((file) => file.startsWith('dist/'));
  assert.deepEqual(
    modules.filter((file) => !/\.(js|d\.ts)$/.test(file)),
    [],
  );
  // What was built of a source that is gone would be packed, too.
  const stale = modules
    .map((file) => file.replace(/^dist\//, '').replace(/(\.d\.ts|\.js)$/, ''))
    .filter((file) => !['.ts', '.tsx'].some((end) => existsSync(join(repositoryRoot, `${file}${end}`))));
  assert.deepEqual(stale, []);
  for (const link of packed.filter((file) => file.endsWith('.md')).flatMap(linksOf)) {
    assert.ok(existsSync(join(repositoryRoot, link)), `${link} is linked to, and is not there`);
  }
});

test('of the declarations it holds those that its entry leads to, and all of them', () => {
  const types = packed.filter((file) => file.endsWith('.d.ts'));
  const named = types.flatMap((file) =>
    [...readFileSync(join(installed, file), 'utf8').matchAll(/["'](\.\.?\/[^"']+)\.js["']/g)].map(
      ([, path]) => `${normalize(join(dirname(file), path!))}.d.ts`,
    ),
  );
  assert.deepEqual([...new Set([...named, 'dist/src/index.d.ts'])].sort(), types);
  const { length } = packed.filter((file) => file.endsWith('.js'));
  assert.ok(types.length < length / 2, `${types.length} declarations of ${length} modules`);
});

/** Files that a page links to, as paths of the repository. */
function linksOf(page: string): string[] {
  const text = readFileSync(join(repositoryRoot, page), 'utf8').replace(/```[\s\S]*?```/g, '');
  return [...text.matchAll(/\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)/g)].map((match) =>
    normalize(join(dirname(page), match[1]!)),
  );
}

function blocksOf(page: string, language: string): string[] {
  const text = readFileSync(join(repositoryRoot, page), 'utf8');
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, of, code]) =>
    of === language ? [code!] : [],
  );
}

test('a TypeScript program imports it by name, migrates, is stopped, goes on, and verifies', async () => {
  const folder = join(scene.directory, 'consumer');
  mkdirSync(join(folder, 'node_modules'), { recursive: true });
  symlinkSync(installed, join(folder, 'node_modules/mssql-pg-migrate'), 'dir');
  const section = ({ host, port, database, user, password }: typeof scene.target.connection) =>
    JSON.stringify({ host, port, database, user, password }).slice(1, -1);
  const { encrypt } = scene.source;
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(
    join(folder, 'use.ts'),
    `import { AppError, type ConfigInput, migrate, type RunEvent, verify } from 'mssql-pg-migrate';

const config: ConfigInput = {
  source: { ${section(scene.source)}, encrypt: ${encrypt}, trust_server_cert: true },
  target: { ${section(scene.target.connection)}, schema: 'library', ssl_mode: 'disable' },
  migration: ${JSON.stringify(migration)},
};
// @ts-expect-error there is no such mode
const wrong: ConfigInput = { ...config, migration: { target_mode: 'replace' } };
const refused = await migrate(wrong).catch((error: unknown) => (error instanceof AppError ? error.code : 'other'));

const stop = new AbortController();
const kinds = new Set<RunEvent['kind']>();
const stopped = await migrate(config, {
  signal: stop.signal,
  onEvent: (event) => {
    kinds.add(event.kind);
    if (event.kind === 'rows' && event.rows > 0) stop.abort();
  },
});
const resumed = await migrate(config, { resume: true });
const late = await migrate(config, { signal: AbortSignal.abort() }).catch((error: unknown) => error);
const verified = await verify(config, { details: 3 });
const broken = await migrate(config, {
  shutdownMs: 600_000,
  onEvent: ({ kind }) => {
    if (kind === 'table-started') throw new Error('of the listener');
  },
}).catch((error: unknown) => error);
const rows: number = resumed.rows_transferred;
console.log(JSON.stringify({
  refused,
  broken: broken instanceof Error && broken.message,
  kinds: [...kinds],
  stopped: [stopped.status, stopped.error?.code, stopped.rows_transferred],
  resumed: [resumed.status, rows, resumed.run_id === stopped.run_id],
  late: late instanceof AppError && late.code,
  verified: [verified.status, verified.tables[0]?.source_rows],
}));
`,
  );
  const options = { target: 'es2022', module: 'nodenext', strict: true, types: ['node'], skipLibCheck: true };
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        ...options,
        lib: ['es2024', 'dom'],
        typeRoots: [join(repositoryRoot, 'node_modules/@types')],
      },
    }),
  );
  // The examples of the documentation are programs, too.
  const examples = blocksOf('docs/library.md', 'ts').join('\n');
  writeFileSync(join(folder, 'documented.ts'), examples);
  const compiler = join(repositoryRoot, 'node_modules/typescript/bin/tsc');
  const compiled = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' });
  assert.equal(compiled.status, 0, compiled.stdout);

  const done = spawnSync(process.execPath, ['use.js'], { cwd: folder, encoding: 'utf8', timeout: 120_000 });
  assert.equal(done.status, 0, done.stderr);
  assert.equal(done.stderr, '', 'a library prints nothing');
  const said = oneLineOfJson(done.stdout) as Record<string, unknown[]>;
  assert.equal(said.refused, 'CONFIG_INVALID');
  assert.equal(said.broken, 'of the listener');
  for (const kind of ['phase', 'run-started', 'table-started', 'rows'])
    assert.ok(said.kinds?.includes(kind), kind);
  assert.deepEqual(said.stopped?.slice(0, 2), ['cancelled', 'CANCELLED']);
  const atStop = Number(said.stopped?.[2]);
  assert.ok(atStop > 0 && atStop < ROWS, `stopped after ${atStop} rows`);
  assert.deepEqual(said.resumed, ['success', ROWS, true]);
  assert.equal(said.late, 'CANCELLED');
  assert.deepEqual(said.verified, ['success', ROWS]);
});

test('installed globally: a migration that is killed, resumed, and verified', async () => {
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8'));
  assert.equal(run(['--version']).stdout.trim(), version);
  assert.deepEqual(
    readdirSync(join(installed, 'node_modules')).filter((name) => ['typescript', 'knip'].includes(name)),
    [],
  );
  const config = scene.config({ target: { schema: 'installed' }, migration });
  const child = spawn(tool, ['-c', config, 'run'], { cwd: scene.directory, stdio: 'ignore' });
  await chunksEntered(child, 3);
  child.kill('SIGKILL');
  const resumed = run(['-c', config, '--output-json', 'resume']);
  assert.equal(resumed.status, 0, resumed.stderr);
  const verified = run(['-c', config, '--output-json', 'verify']);
  assert.equal(verified.status, 0, verified.stderr);
  const result = oneLineOfJson(verified.stdout) as { tables: { status: string; target_rows: number }[] };
  assert.deepEqual(
    result.tables.map(({ status, target_rows }) => [status, target_rows]),
    [['match', ROWS]],
  );
  const [attempts] = await scene.rows(
    'SELECT attempt FROM mssql_pg_migrate.runs ORDER BY started_at DESC LIMIT 1',
  );
  assert.deepEqual(attempts, ['2'], 'it was killed in the middle');
});

function run(args: string[]) {
  return spawnSync(tool, args, { cwd: scene.directory, encoding: 'utf8', timeout: 120_000 });
}

/** Waits until the run of `child` has committed this many chunks. */
async function chunksEntered(child: ChildProcess, chunks: number): Promise<void> {
  const sql = `SELECT count(*) FROM mssql_pg_migrate.chunks JOIN mssql_pg_migrate.tables USING (run_id, table_name)
    WHERE target_schema = 'installed'`;
  while (Number((await scene.rows(sql))[0]?.[0]) < chunks) {
    assert.equal(child.exitCode, null, 'the run ended before it could be killed');
    await sleep(5);
  }
}
