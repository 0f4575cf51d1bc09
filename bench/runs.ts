/**
 * One timed run of the product or of a contender, its answer checked. Main thread.
 */
import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type pg from 'pg';
import { keysQuery } from '../src/plan/keysQuery.js';
import { readQuery } from '../src/plan/queries.js';
import { connectSource } from '../src/source/connection.js';
import { copyStatement } from '../src/target/ddl.js';
import { qualified, quoteIdent } from '../src/target/identifiers.js';
import { rowHashSql } from '../src/verify/hashSql.js';
import type { CopyRequest } from './contenders/copyOnly.js';
import type { PeerRequest } from './contenders/peer.js';
import type { RowObjectsRequest } from './contenders/rowObjects.js';
import type { EngineRequest } from './engine/main.js';
import { ask } from './measure/child.js';
import { serverSeconds } from './measure/cpu.js';
import type { Report } from './measure/marks.js';
import { type Measurement, measureTogether } from './measure/measurement.js';
import { settle } from './measure/settle.js';
import { type ConfigChanges, checkLoaded, type Scene, TEMPLATE } from './scene.js';
import type { Stage } from './stage.js';

export const MODES = [
  'full',
  'full-hash',
  'truncate',
  'verify-hashing',
  'verify-streamed',
  'upsert-nothing',
  'upsert-percent',
  'upsert-all',
] as const;
export type Mode = (typeof MODES)[number];

/** Modes whose runs can be shared by several processes. */
export const SHARED_MODES: readonly Mode[] = ['full', 'full-hash', 'truncate'];
/** Key ranges of a shared table, however many processes there are: all do the same work. */
const SHARED_PARTITIONS = 16;

export interface EngineOptions {
  mode: Mode;
  rows: number;
  /** Writing connections, all behind one reader; or as many lanes of one each, with `lanes`. */
  writers: number;
  lanes?: number;
  tls?: ConfigChanges['tls'];
}

const ENGINE = new URL('./engine/main.js', import.meta.url);
const COPY_ONLY = new URL('./contenders/copyOnly.js', import.meta.url);
const ROW_OBJECTS = new URL('./contenders/rowObjects.js', import.meta.url);
const PEERS = {
  freebcp: new URL('./contenders/bulkCopy.js', import.meta.url),
  pgloader: new URL('./contenders/pgloader.js', import.meta.url),
} as const;

/** Runs the product. Verify and upsert find the target as the source is, changed as far as the mode says. */
export async function runEngine(stage: Stage, scene: Scene, options: EngineOptions): Promise<Report> {
  const { mode, rows } = options;
  const compares = mode.startsWith('verify') || mode.startsWith('upsert');
  await stage.pretend(scene.source.database, {
    name: scene.shape.table,
    rows,
    hashes: mode !== 'verify-streamed',
  });
  if (compares && mode !== 'verify-streamed') await prepareDigests(stage, scene, rows);
  if (mode.startsWith('upsert')) await prepareKeyed(scene);
  if (compares) await fillTarget(scene, rows, mode);
  const { file } = await scene.config({
    migration: { ...migration(options), chunk_size: await chunkRowsOf(scene, rows) },
    ...(options.tls !== undefined && { tls: options.tls }),
  });
  const request: EngineRequest = {
    command: mode.startsWith('verify') ? 'verify' : 'run',
    config: file,
    postmaster: stage.postmaster,
    rows,
  };
  const report = await timed(scene, ENGINE, request);
  if (!mode.startsWith('verify')) await checkProduct(scene, mode, rows);
  return report;
}

/**
 * Runs the product as processes that share one run, or as one that has it alone.
 *
 * @returns what they took together, their start and their end included
 */
export async function runHosts(
  stage: Stage,
  scene: Scene,
  options: EngineOptions,
  hosts: number | 'alone',
): Promise<Measurement> {
  const { mode, rows, tls } = options;
  await stage.pretend(scene.source.database, { name: scene.shape.table, rows, hashes: true });
  const { file } = await scene.config({
    migration: {
      ...migration(options),
      chunk_size: await chunkRowsOf(scene, rows),
      ...{ large_table_threshold: 1, min_rows_per_partition: 1, max_partitions: SHARED_PARTITIONS },
    },
    ...(tls !== undefined && { tls }),
  });
  const request: EngineRequest = {
    ...{ command: 'run', config: file, postmaster: stage.postmaster, rows },
    ...(hosts !== 'alone' && { join: `bench ${randomUUID()}` }),
  };
  const release = await settle(scene.client, rows * scene.rowBytes);
  const begun = { atMs: performance.now(), server: serverSeconds(stage.postmaster) };
  const measured = await Promise.all(
    Array.from({ length: hosts === 'alone' ? 1 : hosts }, () => ask(ENGINE, request)),
  )
    .then((reports) =>
      measureTogether(reports, rows, (performance.now() - begun.atMs) / 1000, {
        before: begun.server,
        after: serverSeconds(stage.postmaster),
      }),
    )
    .finally(release);
  await checkProduct(scene, mode, rows);
  return measured;
}

/** A run that is timed: one process does it. */
async function timed<Request extends { rows: number }>(
  scene: Scene,
  program: URL,
  request: Request,
): Promise<Report> {
  const release = await settle(scene.client, request.rows * scene.rowBytes);
  return ask(program, request).finally(release);
}

/** Throws where the product has not loaded exactly the rows it should, or stored other hashes of them. */
async function checkProduct(scene: Scene, mode: Mode, rows: number): Promise<void> {
  const table = qualified(scene.plan.target);
  await checkLoaded(scene, table, rows, 'the product');
  if (mode === 'full-hash') await checkRowHashes(scene, table);
}

/** The source works out its hashes when it is asked for the first time: that must not be in the time taken. */
async function prepareDigests(stage: Stage, scene: Scene, rows: number): Promise<void> {
  if (scene.hashedRows === rows) return;
  await fillTarget(scene, rows, 'verify-hashing');
  const { file } = await scene.config({
    migration: migration({ mode: 'verify-hashing', rows, writers: 1 }),
  });
  await ask<EngineRequest>(ENGINE, { command: 'verify', config: file, postmaster: stage.postmaster, rows });
  scene.hashedRows = rows;
}

/** The same of the rows it is asked for by key, which it records when it is first asked. */
async function prepareKeyed(scene: Scene): Promise<void> {
  const { config } = await scene.config();
  const { sql, parameters } = keysQuery(scene.plan, [['1']], config.source);
  const source = await connectSource(config.source);
  await source.query(sql, parameters).finally(() => source.close());
}

/** The product's own choice, but ten chunks at least: the time between commits is what is measured. */
async function chunkRowsOf(scene: Scene, rows: number): Promise<number> {
  return Math.max(1, Math.min((await scene.config()).chunkRows, Math.ceil(rows / 10)));
}

function migration({ mode, writers, lanes = 1 }: EngineOptions): Record<string, unknown> {
  const target = mode.startsWith('upsert') ? 'upsert' : mode === 'truncate' ? 'truncate' : 'drop_recreate';
  return {
    target_mode: target,
    hash_text_columns: true,
    ...(mode === 'full-hash' && { use_hash_detection: true }),
    // Stored hashes are a thing of their own; what is compared here are the values.
    ...(target === 'upsert' && { use_hash_detection: false }),
    parallel_readers: lanes,
    write_ahead_writers: writers * lanes,
    ...(lanes > 1 && {
      large_table_threshold: 1,
      min_rows_per_partition: 1,
      max_partitions: 4 * lanes,
    }),
  };
}

/** Makes the target what a full load leaves, from the reference rows; then changes what the mode asks for. */
async function fillTarget(scene: Scene, rows: number, mode: Mode): Promise<void> {
  const { client, plan, templateRows, shape } = scene;
  const table = qualified(plan.target);
  const others = plan.columns
    .filter(({ keyPosition }) => keyPosition < 0)
    .map(({ targetName }) => `x.${quoteIdent(targetName)}`);
  await client.query(`DROP TABLE IF EXISTS ${table}`);
  await client.query(`CREATE TABLE ${table} (LIKE ${TEMPLATE.schema}.${TEMPLATE.name})`);
  await client.query(
    `INSERT INTO ${table} SELECT id, ${others.join(', ')}
     FROM generate_series(0, ${rows - 1}, ${templateRows}) AS base, ${TEMPLATE.schema}.${TEMPLATE.name} AS x,
       LATERAL (SELECT base + x."Id" AS id) AS i
     WHERE id <= ${rows} ORDER BY id`,
  );
  await client.query(`ALTER TABLE ${table} ADD PRIMARY KEY ("Id")`);
  const which = { 'upsert-percent': `WHERE "Id" % 100 = 7`, 'upsert-all': '' }[mode as string];
  if (which !== undefined) await client.query(`UPDATE ${table} SET ${shape.change} ${which}`);
  await client.query(`VACUUM ANALYZE ${table}`);
}

async function checkRowHashes(scene: Scene, table: string): Promise<void> {
  const hash = rowHashSql(scene.plan, 'target', 'error');
  const { rows } = await scene.client.query<{ wrong: string }>(
    `SELECT count(*)::text AS wrong FROM ${table} AS t WHERE t.row_hash IS DISTINCT FROM ${hash}`,
  );
  if (rows[0]?.wrong !== '0')
    throw new Error(`the product stored ${rows[0]?.wrong} wrong row hashes in ${table}`);
}

/** An empty table for a contender, without constraints, as the product's is while it loads. */
async function emptyTable(scene: Scene, name: string): Promise<string> {
  const table = `${TEMPLATE.schema}.${name}`;
  await scene.client.query(`DROP TABLE IF EXISTS ${table}`);
  await scene.client.query(`CREATE TABLE ${table} (LIKE ${TEMPLATE.schema}.${TEMPLATE.name})`);
  return table;
}

function targetOf(scene: Scene, tls: boolean): pg.ClientConfig {
  return { ...scene.target, ...(tls && { ssl: { rejectUnauthorized: false } }) };
}

/** Runs *PostgreSQL alone*. */
export async function runCopyOnly(
  stage: Stage,
  scene: Scene,
  options: { rows: number; connections: number; tls?: boolean },
): Promise<Report> {
  const { rows, connections } = options;
  const table = await emptyTable(scene, 'copy_only');
  const request: CopyRequest = {
    target: targetOf(scene, options.tls ?? false),
    postmaster: stage.postmaster,
    select: `SELECT * FROM ${TEMPLATE.schema}.${TEMPLATE.name} ORDER BY "Id"`,
    copy: `COPY ${table} FROM STDIN (FORMAT binary)`,
    rows,
    connections,
    chunkRows: await chunkRowsOf(scene, rows),
  };
  const report = await timed(scene, COPY_ONLY, request);
  await checkLoaded(scene, table, rows, 'PostgreSQL alone');
  await scene.client.query(`DROP TABLE ${table}`);
  return report;
}

/** Runs *row objects*; of its answer only the number of rows is checked, since tedious rounds decimals. */
export async function runRowObjects(stage: Stage, scene: Scene, rows: number): Promise<Report> {
  const table = await emptyTable(scene, 'row_objects');
  await stage.pretend(scene.source.database, { name: scene.shape.table, rows, hashes: true });
  const query = readQuery(
    scene.plan,
    { lower: null, upper: [String(rows)] },
    { isolation: 'read_committed' },
  );
  const request: RowObjectsRequest = {
    source: scene.source,
    packetSize: 32_767,
    target: targetOf(scene, false),
    postmaster: stage.postmaster,
    query: query.sql,
    copy: copyStatement(
      {
        target: { schema: TEMPLATE.schema, name: 'row_objects' },
        columns: scene.plan.columns,
        rowHashColumn: null,
      },
      'text',
    ),
    rows,
  };
  const report = await timed(scene, ROW_OBJECTS, request);
  await checkCount(scene, table, rows, 'row objects');
  await scene.client.query(`DROP TABLE ${table}`);
  return report;
}

/** Runs another tool; of what pgloader makes of decimals only the number of rows is checked, since it rounds them. */
export async function runPeer(
  stage: Stage,
  scene: Scene,
  peer: keyof typeof PEERS,
  rows: number,
): Promise<Report> {
  const table = await emptyTable(scene, peer);
  await stage.pretend(scene.source.database, { name: scene.shape.table, rows, hashes: true });
  const request: PeerRequest = {
    source: { ...scene.source, port: stage.plainPort },
    target: scene.target,
    postmaster: stage.postmaster,
    directory: stage.directory,
    from: scene.shape.table,
    into: { schema: TEMPLATE.schema, name: peer },
    rows,
  };
  const report = await timed(scene, PEERS[peer], request);
  if (peer === 'pgloader' && scene.shape.name === 'decimals') await checkCount(scene, table, rows, peer);
  else await checkLoaded(scene, table, rows, peer);
  await scene.client.query(`DROP TABLE ${table}`);
  return report;
}

/** Throws where a table has another number of rows. */
async function checkCount(scene: Scene, table: string, rows: number, who: string): Promise<void> {
  const { rows: counted } = await scene.client.query<{ n: string }>(
    `SELECT count(*)::text AS n FROM ${table}`,
  );
  if (counted[0]?.n !== String(rows)) throw new Error(`${who} loaded ${counted[0]?.n} rows of ${rows}`);
}
