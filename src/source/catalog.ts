/**
 * Reads the source's catalog into plain data: a handful of set-based queries over `sys.*`, whatever the
 * number of tables.
 *
 * Runs on the main thread. Columns that only newer servers have (`is_external`, `graph_type`) are taken from
 * `t.*` and `c.*`, so that one statement serves every version since SQL Server 2008.
 */
import { AppError } from '../errors.js';
import type { SourceConnection, SourceOptions } from './connection.js';
import { readsFloatsExactly } from './floatTexts.js';
import type { SourceColumn, SourceKey, SourceTable } from './model.js';
import { rowFilters } from './rowFilters.js';
import { numberedParameters } from './sql.js';

type Row = Record<string, unknown>;
type Source = Pick<SourceConnection, 'query'>;

/** What the server says of itself and of the database connected to. */
export interface ServerFacts {
  /** `16.0.4085.2`. */
  productVersion: string;
  /** What features go by: 16 for SQL Server 2022, Infinity for Azure, which says 12 whatever it can do. */
  majorVersion: number;
  edition: string;
  serverCollation: string;
  database: string;
  databaseCollation: string;
  compatibilityLevel: number;
  /** SNAPSHOT isolation may be asked for. */
  snapshotIsolation: boolean;
  /** False where the database takes no writes, as on a secondary of an availability group. */
  takesWrites: boolean;
  /** READ COMMITTED reads row versions instead of taking shared locks. */
  readCommittedSnapshot: boolean;
  /** The catalog hides nothing of the database from the login. */
  seesAll: boolean;
}

const FACTS_SQL = `
SELECT
  CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')) AS product_version,
  CONVERT(int, SERVERPROPERTY('EngineEdition')) AS engine_edition,
  CONVERT(nvarchar(128), SERVERPROPERTY('Edition')) AS edition,
  CONVERT(nvarchar(128), SERVERPROPERTY('Collation')) AS server_collation,
  d.name AS database_name,
  d.collation_name,
  d.compatibility_level,
  d.snapshot_isolation_state,
  d.is_read_committed_snapshot_on,
  CONVERT(nvarchar(60), DATABASEPROPERTYEX(d.name, 'Updateability')) AS updateability,
  HAS_PERMS_BY_NAME(NULL, 'DATABASE', 'VIEW DEFINITION') AS sees_all
FROM sys.databases AS d
WHERE d.database_id = DB_ID()`;

/** EngineEdition of Azure SQL Database, Azure SQL Managed Instance and the SQL database of Fabric. */
const ALWAYS_CURRENT: ReadonlySet<number> = new Set([5, 8, 12]);

/** @returns the server's version and the database's settings that reading depends on. */
export async function serverFacts(source: Source): Promise<ServerFacts> {
  const [row] = await source.query(FACTS_SQL);
  if (row === undefined) {
    throw new AppError('SOURCE_PERMISSION', 'sys.databases does not show the database connected to', {
      remedy: 'Give the login a user in the source database.',
    });
  }
  const productVersion = text(row.product_version);
  return {
    productVersion,
    majorVersion: ALWAYS_CURRENT.has(Number(row.engine_edition))
      ? Number.POSITIVE_INFINITY
      : Number.parseInt(productVersion, 10),
    edition: text(row.edition),
    serverCollation: text(row.server_collation),
    database: text(row.database_name),
    databaseCollation: text(row.collation_name),
    compatibilityLevel: Number(row.compatibility_level),
    snapshotIsolation: Number(row.snapshot_isolation_state) === 1,
    takesWrites: row.updateability !== 'READ_ONLY',
    readCommittedSnapshot: Boolean(row.is_read_committed_snapshot_on),
    seesAll: Number(row.sees_all) === 1,
  };
}

/** @returns what is to be said where a secondary was asked for and the server gave none, else null */
export function missedSecondary(
  { takesWrites }: ServerFacts,
  { application_intent: intent }: Pick<SourceOptions, 'application_intent'>,
): string | null {
  return intent === 'read_only' && takesWrites
    ? 'source.application_intent is read_only, and the database takes writes all the same: this is the primary (read-only routing works through the listener only) or no availability group'
    : null;
}

/** What users made: Azure keeps things in schema sys that it does not call its own. */
const OWN = "t.is_ms_shipped = 0 AND s.name <> 'sys'";

const tablesSql = (schemaFilter: string): string => `
SELECT
  s.name AS schema_name,
  (SELECT CONVERT(nvarchar(20), SUM(p.rows)) FROM sys.partitions AS p
    WHERE p.object_id = t.object_id AND p.index_id IN (0, 1)) AS approximate_rows,
  t.*
FROM sys.tables AS t
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
WHERE ${OWN}${schemaFilter}
ORDER BY s.name, t.name`;

const columnsSql = (schemaFilter: string): string => `
SELECT
  c.*,
  ty.name AS declared_type,
  ty.is_user_defined,
  tys.name AS declared_type_schema,
  base.name AS base_type,
  cc.definition AS computed_definition,
  cc.is_persisted AS computed_persisted,
  CONVERT(nvarchar(40), ic.seed_value) AS identity_seed,
  CONVERT(nvarchar(40), ic.increment_value) AS identity_increment,
  CONVERT(nvarchar(40), ic.last_value) AS identity_last
FROM sys.columns AS c
JOIN sys.tables AS t ON t.object_id = c.object_id
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
JOIN sys.types AS ty ON ty.user_type_id = c.user_type_id
JOIN sys.schemas AS tys ON tys.schema_id = ty.schema_id
LEFT JOIN sys.types AS base ON base.user_type_id = c.system_type_id
LEFT JOIN sys.computed_columns AS cc ON cc.object_id = c.object_id AND cc.column_id = c.column_id
LEFT JOIN sys.identity_columns AS ic ON ic.object_id = c.object_id AND ic.column_id = c.column_id
WHERE ${OWN}${schemaFilter}
ORDER BY c.object_id, c.column_id`;

// key_ordinal 0 is a partitioning column that is stored with the index without being part of its key.
const keysSql = (schemaFilter: string): string => `
SELECT
  i.object_id,
  i.index_id,
  i.name AS index_name,
  i.type AS index_type,
  i.is_primary_key,
  i.is_unique_constraint,
  c.name AS column_name,
  c.is_nullable
FROM sys.indexes AS i
JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id
JOIN sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id
JOIN sys.tables AS t ON t.object_id = i.object_id
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
WHERE i.is_unique = 1 AND i.has_filter = 0 AND i.is_disabled = 0 AND i.is_hypothetical = 0
  AND ic.is_included_column = 0 AND ic.key_ordinal > 0
  AND ${OWN}${schemaFilter}
ORDER BY i.object_id, i.index_id, ic.key_ordinal`;

const SCHEMAS_SQL = `
SELECT DISTINCT s.name AS schema_name
FROM sys.schemas AS s
JOIN sys.tables AS t ON t.schema_id = s.schema_id
WHERE ${OWN}
ORDER BY schema_name`;

const UNMASK_SQL = `SELECT HAS_PERMS_BY_NAME(NULL, 'DATABASE', 'UNMASK') AS may_unmask`;

/**
 * Reads every user table of `schemas` (all schemas where the list is empty), as far as the login may see them.
 * Names are compared by the source, in the database's own collation.
 *
 * @param obstacles takes what stands in the way, where there are tables all the same; left out, it is thrown
 * @throws AppError TABLE_NOT_FOUND where a schema asked for holds no visible table.
 */
export async function readCatalog(
  source: Source,
  options: { schemas: readonly string[] },
  obstacles?: AppError[],
): Promise<SourceTable[]> {
  const { names, parameters } = numberedParameters('s', options.schemas);
  const schemaFilter = names.length === 0 ? '' : ` AND s.name IN (${names.join(', ')})`;
  const tableRows = await source.query(tablesSql(schemaFilter), parameters);
  const missing = await missingSchemas(source, options.schemas, tableRows);
  if (missing !== null && (obstacles === undefined || tableRows.length === 0)) throw missing;
  if (missing !== null) obstacles?.push(missing);
  const columnRows = await source.query(columnsSql(schemaFilter), parameters);
  const masked = columnRows.some((row) => row.is_masked) && !(await mayUnmask(source));
  const columns = groupByObject(columnRows);
  const keys = groupByObject(await source.query(keysSql(schemaFilter), parameters));
  const filters = await rowFilters(source);
  const tables = tableRows.map((row): SourceTable => {
    const objectId = Number(row.object_id);
    const tableColumns = (columns.get(objectId) ?? []).map((column, index) =>
      toColumn(column, index, masked),
    );
    const tableKeys = toKeys(keys.get(objectId) ?? [], tableColumns);
    const policies = filters.get(objectId);
    return {
      schema: text(row.schema_name),
      name: text(row.name),
      objectId,
      kind: tableKind(row),
      columns: tableColumns,
      primaryKey: tableKeys.find((key) => key.kind === 'primary key') ?? null,
      uniqueKeys: tableKeys.filter((key) => key.kind !== 'primary key'),
      approximateRows: Number(row.approximate_rows ?? 0),
      ...(Boolean(row.is_memory_optimized) && { memoryOptimized: true as const }),
      ...(Number(row.temporal_type ?? 0) === 2 && { versioned: true as const }),
      ...(policies !== undefined && { rowFilters: policies }),
    };
  });
  await markInexactTexts(source, tables);
  return tables;
}

/** Asks the server only where there are keys that it matters for. */
async function markInexactTexts(source: Source, tables: readonly SourceTable[]): Promise<void> {
  const floats = tables.flatMap((table) => {
    const keys = new Set([table.primaryKey, ...table.uniqueKeys].flatMap((key) => key?.columns ?? []));
    return table.columns.filter(({ name, type }) => keys.has(name) && (type === 'float' || type === 'real'));
  });
  if (floats.length === 0 || (await readsFloatsExactly(source))) return;
  for (const column of floats) column.inexactText = true;
}

async function missingSchemas(
  source: Source,
  asked: readonly string[],
  rows: Row[],
): Promise<AppError | null> {
  const found = new Set(rows.map((row) => text(row.schema_name).toLowerCase()));
  const missing = asked.filter((schema) => !found.has(schema.toLowerCase()));
  if (missing.length === 0 && rows.length > 0) return null;
  const known = (await source.query(SCHEMAS_SQL)).map((row) => text(row.schema_name));
  return new AppError(
    'TABLE_NOT_FOUND',
    `No table is visible in ${missing.length === 0 ? 'the source database' : `source schema ${missing.join(', ')}`}`,
    {
      remedy:
        known.length === 0
          ? 'Check source.database, and that the login may SELECT from its tables: it sees none.'
          : `Set source.schema to one that holds tables (${known.join(', ')}), or grant SELECT on it.`,
    },
  );
}

/** Dynamic data masking alters values on the way out, without an error, for a login that may not UNMASK. */
async function mayUnmask(source: Source): Promise<boolean> {
  const [row] = await source.query(UNMASK_SQL);
  return Number(row?.may_unmask) === 1;
}

function tableKind(row: Row): SourceTable['kind'] {
  if (row.is_external) return 'external';
  if (row.is_node || row.is_edge) return 'graph';
  return 'table';
}

function toColumn(row: Row, index: number, masked: boolean): SourceColumn {
  const declared = text(row.declared_type);
  // CLR system types (hierarchyid, geometry, geography) share system_type_id 240, which is no type of its own; vector
  // is stored as varbinary and is none. Of the server's own types only sysname is an alias.
  const isAlias = Boolean(row.is_user_defined) || declared.toLowerCase() === 'sysname';
  const type = (row.base_type === null || !isAlias ? declared : text(row.base_type)).toLowerCase();
  return {
    name: text(row.name),
    ordinal: index + 1,
    type,
    declaredType: row.is_user_defined
      ? `${text(row.declared_type_schema)}.${declared}`
      : declared.toLowerCase(),
    maxLengthBytes: Number(row.max_length),
    precision: Number(row.precision),
    scale: Number(row.scale),
    nullable: Boolean(row.is_nullable),
    collation: nullableText(row.collation_name),
    identity:
      row.is_identity && row.identity_seed !== null
        ? {
            seed: text(row.identity_seed),
            increment: text(row.identity_increment),
            lastValue: nullableText(row.identity_last),
          }
        : null,
    computed: computedBy(row),
    ...(Boolean(row.encryption_type) && { unreadable: 'Always Encrypted' }),
    ...(masked && Boolean(row.is_masked) && { unreadable: 'dynamic data masking' }),
  };
}

function computedBy(row: Row): SourceColumn['computed'] {
  // The sparse columns of a row once more, as one xml that is nowhere stored.
  if (row.is_column_set) return { definition: 'COLUMN_SET FOR ALL_SPARSE_COLUMNS', persisted: false };
  if (!row.is_computed) return null;
  // The definition is NULL for a login without VIEW DEFINITION; the column is computed all the same.
  return { definition: text(row.computed_definition ?? ''), persisted: Boolean(row.computed_persisted) };
}

/** Keys over NOT NULL columns only, in the order they identify best: fewest columns, then fewest bytes. */
function toKeys(rows: Row[], columns: SourceColumn[]): SourceKey[] {
  const byIndex = new Map<number, Row[]>();
  for (const row of rows) {
    const id = Number(row.index_id);
    byIndex.set(id, [...(byIndex.get(id) ?? []), row]);
  }
  const keys = [...byIndex.values()]
    .filter((members) => members.every((row) => !row.is_nullable))
    .map((members): SourceKey => {
      const [first] = members as [Row];
      return {
        name: text(first.index_name),
        kind: first.is_primary_key
          ? 'primary key'
          : first.is_unique_constraint
            ? 'unique constraint'
            : 'unique index',
        clustered: Number(first.index_type) === 1,
        columns: members.map((row) => text(row.column_name)),
      };
    });
  const bytes = new Map(columns.map((column) => [column.name, column.maxLengthBytes]));
  const widthBytes = (key: SourceKey): number =>
    key.columns.reduce((sum, name) => sum + (bytes.get(name) ?? 0), 0);
  return keys.sort((a, b) => a.columns.length - b.columns.length || widthBytes(a) - widthBytes(b));
}

function groupByObject(rows: Row[]): Map<number, Row[]> {
  const groups = new Map<number, Row[]>();
  for (const row of rows) {
    const id = Number(row.object_id);
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [row]);
    else group.push(row);
  }
  return groups;
}

function text(value: unknown): string {
  return String(value);
}

function nullableText(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}
