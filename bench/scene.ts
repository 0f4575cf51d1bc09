/**
 * One table on the stage: in the source as rows to replay, in the target as the same rows come by another way, which
 * is what every load is held against. Main thread.
 */
import { finished } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { loadConfig } from '../src/config/load.js';
import type { Config } from '../src/config/schema.js';
import { inspectHost } from '../src/host/host.js';
import { chooseSizes } from '../src/host/sizes.js';
import type { TablePlan } from '../src/plan/model.js';
import { namingOf } from '../src/plan/naming.js';
import { planTables } from '../src/plan/tables.js';
import { connectSource } from '../src/source/connection.js';
import type { SourceColumn } from '../src/source/model.js';
import { readScope } from '../src/source/scope.js';
import { quote } from '../src/source/sql.js';
import { createTable } from '../src/target/ddl.js';
import { quoteIdent } from '../src/target/identifiers.js';
import { writeConfig } from '../test/support/config.js';
import type { PostgresConnection } from '../test/support/postgres.js';
import { queryTsql, runTsql, type SqlServerConnection } from '../test/support/tsql.js';
import type { Shape } from './shapes.js';
import type { Stage } from './stage.js';

/** The table that the reference rows are in. */
export const TEMPLATE = { schema: 'bench', name: 'template' };

export interface Scene {
  shape: Shape;
  /** Rows that repeat. */
  templateRows: number;
  /** Bytes of a row in the target, about. */
  rowBytes: number;
  source: SqlServerConnection;
  target: PostgresConnection;
  plan: TablePlan;
  client: pg.Client;
  /** Rows the source knows the hashes of. */
  hashedRows: number;
  /** What tables of so many rows must add up to. */
  expected: Map<number, Sums>;
  /** Writes a configuration. @returns its file and what it says. */
  config(changes?: ConfigChanges): Promise<{ file: string; config: Config; chunkRows: number }>;
  /** Drops both databases. */
  stop(): Promise<void>;
}

export interface ConfigChanges {
  migration?: Record<string, unknown>;
  /** Sides whose connections are encrypted. */
  tls?: { source: boolean; target: boolean };
}

/** Makes the table on both sides. */
export async function startScene(stage: Stage, shape: Shape, templateRows: number): Promise<Scene> {
  const database = `bench_${shape.name}`;
  await runTsql(stage.source, `CREATE DATABASE [${database}]`);
  const source = { ...stage.source, database };
  await runTsql(source, shape.script(templateRows));
  const target = await stage.postgres.createDatabase(database);
  const config = async ({ migration = {}, tls }: ConfigChanges = {}) => {
    const file = writeConfig(stage.directory, {
      source,
      target,
      migration,
      sourceKeys: { encrypt: tls?.source ?? false },
      targetKeys: { ssl_mode: tls?.target ? 'require' : 'disable' },
    });
    const loaded = await loadConfig(file);
    return { file, config: loaded, chunkRows: chooseSizes(await inspectHost(), loaded).chunkRows };
  };
  const plan = await planOf((await config()).config);
  const client = await stage.postgres.client(database);
  let rowBytes: number;
  try {
    await client.query(`SET timezone = 'UTC'`);
    await client.query(`CREATE SCHEMA ${TEMPLATE.schema}`);
    await client.query(createTable({ ...plan, target: TEMPLATE }));
    await loadTemplate(source, plan, client);
    rowBytes = (await templateBytes(client)) / templateRows;
  } catch (error) {
    await client.end();
    throw error;
  }
  const stop = async (): Promise<void> => {
    await client.end();
    const admin = await stage.postgres.client();
    await admin.query(`DROP DATABASE ${database} WITH (FORCE)`).finally(() => admin.end());
    await runTsql(stage.source, `DROP DATABASE [${database}]`);
  };
  const known = { hashedRows: 0, expected: new Map<number, Sums>() };
  return { shape, templateRows, rowBytes, source, target, plan, client, ...known, config, stop };
}

async function planOf(config: Config): Promise<TablePlan> {
  const source = await connectSource(config.source);
  try {
    const [plan] = planTables(await readScope(source, config), {
      naming: namingOf(config),
      chunkRows: 1,
      rowHashColumn: null,
      hashTextColumns: true,
      unlogged: false,
    });
    if (plan === undefined) throw new Error('the scene has no table');
    return plan;
  } finally {
    await source.close();
  }
}

/** Brings the reference rows over as text that T-SQL and PostgreSQL write and read: no code of the product's. */
async function loadTemplate(source: SqlServerConnection, plan: TablePlan, client: pg.Client): Promise<void> {
  const select = plan.columns.map(({ source: column }) => `${textOf(column)} AS ${quote(column.name)}`);
  const rows = await queryTsql(
    source,
    `SELECT ${select.join(', ')} FROM dbo.${quote(plan.source.name)} ORDER BY ${quote('Id')}`,
  );
  const table = `${TEMPLATE.schema}.${TEMPLATE.name}`;
  const stream = client.query(copyFrom(`COPY ${table} FROM STDIN`));
  for (const row of rows) {
    const fields = plan.columns.map(({ source: column }) => {
      const value = row[column.name];
      if (value === null || value === undefined) return '\\N';
      const text = String(value);
      return column.type === 'varbinary' ? `\\\\x${text}` : text.replace(/[\\\t\n\r]/g, escaped);
    });
    stream.write(`${fields.join('\t')}\n`);
  }
  stream.end();
  await finished(stream);
}

async function templateBytes(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ bytes: number }>(
    `SELECT pg_table_size('${TEMPLATE.schema}.${TEMPLATE.name}')::float8 AS bytes`,
  );
  return rows[0]!.bytes;
}

function escaped(character: string): string {
  return { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }[character] ?? character;
}

/** T-SQL that gives a value as text PostgreSQL reads exactly. */
function textOf({ name, type }: SourceColumn): string {
  const column = quote(name);
  switch (type) {
    case 'nvarchar':
    case 'varchar':
      return column;
    case 'datetime':
      return `CONVERT(nvarchar(30), ${column}, 121)`;
    case 'date':
      return `CONVERT(nvarchar(30), ${column}, 23)`;
    case 'float':
      return `CONVERT(nvarchar(50), ${column}, 3)`;
    case 'money':
      return `CONVERT(nvarchar(50), ${column}, 2)`;
    case 'varbinary':
      return `CONVERT(varchar(max), ${column}, 2)`;
    case 'bit':
    case 'int':
    case 'bigint':
    case 'decimal':
    case 'uniqueidentifier':
      return `CONVERT(nvarchar(50), ${column})`;
    default:
      throw new Error(`no text is known of type ${type}`);
  }
}

/** What a table's rows add up to: their number, their Ids, and sums of a hash of everything else. */
export interface Sums {
  rows: string;
  ids: string;
  hashes: string;
  /** The hashes times their Ids: says that each row has its own Id. */
  paired: string;
}

/** Sums over a loaded table, computed by PostgreSQL from its values. */
export async function sumsOf(scene: Scene, table: string): Promise<Sums> {
  const { rows } = await scene.client.query<Sums>(
    `SELECT count(*)::text AS rows, sum("Id"::int8)::text AS ids, sum(w)::text AS hashes,
       sum(w * ("Id" % 65521))::text AS paired
     FROM (SELECT "Id", ${wordOf(scene)} AS w FROM ${table}) AS x`,
  );
  return rows[0]!;
}

/** The same sums over the reference rows, repeated as the source repeats them. */
export async function expectedSums(scene: Scene, rows: number): Promise<Sums> {
  const known = scene.expected.get(rows);
  if (known !== undefined) return known;
  const { rows: found } = await scene.client.query<Sums>(
    `WITH x AS MATERIALIZED (
       SELECT "Id", ${wordOf(scene)} AS w FROM ${TEMPLATE.schema}.${TEMPLATE.name})
     SELECT count(*)::text AS rows, sum(id)::text AS ids, sum(w)::text AS hashes,
       sum(w * (id % 65521))::text AS paired
     FROM x, generate_series("Id"::int8, ${rows}, ${scene.templateRows}) AS id`,
  );
  scene.expected.set(rows, found[0]!);
  return found[0]!;
}

/** 32 bits of MD5 over the text of every column but the Id; of bytes, over the text of their own MD5. */
function wordOf({ plan }: Scene): string {
  const columns = plan.columns
    .filter(({ keyPosition }) => keyPosition < 0)
    .map(({ targetName, field }) =>
      field === 'bytea' ? `md5(${quoteIdent(targetName)})` : quoteIdent(targetName),
    );
  return `('x' || left(md5(ROW(${columns.join(', ')})::text), 8))::bit(32)::int8`;
}

/** Throws where a loaded table does not hold exactly the rows it should. */
export async function checkLoaded(scene: Scene, table: string, rows: number, who: string): Promise<void> {
  const [found, expected] = [await sumsOf(scene, table), await expectedSums(scene, rows)];
  for (const sum of ['rows', 'ids', 'hashes', 'paired'] as const) {
    if (found[sum] !== expected[sum]) {
      throw new Error(
        `${who} loaded wrong rows into ${table}: ${sum} ${found[sum]}, expected ${expected[sum]}`,
      );
    }
  }
}
