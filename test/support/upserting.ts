/**
 * What the upsert tests ask of a scene: runs, verifications, which rows a run wrote, and whether source and target
 * are alike. Main thread of the test process.
 */
import assert from 'node:assert/strict';
import pg from 'pg';
import type { VerifyResult } from '../../src/observe/commandSchemas.js';
import type { TableResult } from '../../src/observe/result.js';
import { type CliOptions, runCli } from './cli.js';
import { type ConfigChanges, type Migration, oneLineOfJson, type Scene, succeeded } from './endToEnd.js';

type Changes = NonNullable<TableResult['changes']>;

/** `run` with `target_mode: upsert`; row hashes cover long text unless told otherwise. */
export function upsert(
  scene: Scene,
  migration: Record<string, unknown> = {},
  changes: Omit<ConfigChanges, 'migration'> = {},
  options: CliOptions = {},
): Promise<Migration> {
  return scene.migrate(
    { ...changes, migration: { target_mode: 'upsert', hash_text_columns: true, ...migration } },
    [],
    options,
  );
}

/** What a run that must succeed found to do, by target table; tables that were loaded whole are left out. */
export function changesOf(done: Migration): Record<string, Changes> {
  const { tables } = succeeded(done);
  return Object.fromEntries(
    tables.flatMap(({ target, changes }) => (changes === undefined ? [] : [[target, changes]])),
  );
}

/** `verify` naming every key. */
export async function verify(
  scene: Scene,
  changes: ConfigChanges = {},
  args: string[] = [],
): Promise<{ code: number; tables: Map<string, VerifyResult['tables'][number]>; stderr: string }> {
  const config = scene.config({ ...changes, migration: { hash_text_columns: true, ...changes.migration } });
  const done = await runCli(['-c', config, '--output-json', 'verify', '--details', '1000', ...args], {
    timeoutMs: 120_000,
  });
  const result = oneLineOfJson(done.stdout) as VerifyResult;
  return {
    code: done.code,
    stderr: done.stderr,
    tables: new Map(result.tables.map((table) => [table.target, table])),
  };
}

/** Asserts that `verify` finds nothing. */
export async function assertVerified(scene: Scene, changes: ConfigChanges = {}): Promise<void> {
  const { code, tables, stderr } = await verify(scene, changes);
  const differing = [...tables.values()].filter(({ status }) => status !== 'match');
  assert.deepEqual([code, differing], [0, []], stderr);
}

/** Which version of each row a table holds: `key` (SQL text) to xmin and place. */
export async function versions(scene: Scene, table: string, key: string): Promise<Map<string, string>> {
  const rows = await scene.rows(`SELECT ${key}, xmin::text || ' ' || ctid::text FROM ${table}`);
  return new Map(rows.map(([k, version]) => [k ?? 'NULL', version ?? '']));
}

/** Keys of rows that are new or another version than before, sorted. */
export function written(before: Map<string, string>, after: Map<string, string>): string[] {
  return [...after].flatMap(([key, version]) => (before.get(key) === version ? [] : [key])).sort();
}

/** PostgreSQL's own count of rows written, by table of a schema. */
export async function writes(scene: Scene, schema: string): Promise<Record<string, string>> {
  // Counts of a backend that has ended are there at once; nothing of this session's is cached.
  await scene.client.query('SELECT pg_stat_clear_snapshot()');
  const rows = await scene.rows(
    `SELECT relname, concat_ws(' ', n_tup_ins, n_tup_upd, n_tup_del) FROM pg_stat_all_tables
      WHERE schemaname = '${schema}' ORDER BY 1`,
  );
  return Object.fromEntries(rows) as Record<string, string>;
}

/** Migrates the whole source into a schema of its own: what an upsert must come to. @returns its tables' names. */
export async function migrateTruth(
  scene: Scene,
  truth: string,
  migration: Record<string, unknown> = {},
): Promise<string[]> {
  const full = {
    hash_text_columns: true,
    use_hash_detection: true,
    ...migration,
    target_mode: 'drop_recreate',
  };
  const { tables } = succeeded(await scene.migrate({ target: { schema: truth }, migration: full }));
  return tables.map(({ target }) => target.slice(truth.length + 1));
}

/** Asserts that two tables hold the same rows, byte for byte, in the columns they have in common. */
export async function assertSameRows(
  scene: Scene,
  name: string,
  schemas: { truth: string; schema: string },
): Promise<void> {
  const [expected, found] = [schemas.truth, schemas.schema].map((one) =>
    [one, name].map(pg.escapeIdentifier).join('.'),
  );
  const columns = await scene.client.query<{ list: string }>(
    `SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS list FROM pg_attribute a
      JOIN pg_attribute b ON b.attrelid = $2::regclass AND b.attname = a.attname
      WHERE a.attrelid = $1::regclass AND a.attnum > 0`,
    [expected, found],
  );
  const rows = (table: string | undefined) => `SELECT (ROW(${columns.rows[0]?.list}))::text FROM ${table}`;
  const missing = await scene.rows(`${rows(expected)} EXCEPT ALL ${rows(found)} LIMIT 5`);
  const extra = await scene.rows(`${rows(found)} EXCEPT ALL ${rows(expected)} LIMIT 5`);
  assert.deepEqual({ name, missing, extra }, { name, missing: [], extra: [] });
}

/** Asserts that each table of `schema` holds exactly the rows a fresh full migration of the source makes. */
export async function assertLikeSource(
  scene: Scene,
  schema: string,
  migration: Record<string, unknown> = {},
): Promise<void> {
  const truth = `${schema}_truth`;
  const names = await migrateTruth(scene, truth, migration);
  for (const name of names) await assertSameRows(scene, name, { truth, schema });
  await scene.client.query(`DROP SCHEMA "${truth}" CASCADE`);
}
