/**
 * What belongs to the tables beside their rows: indexes, constraints, defaults, comments; and what else the database has.
 *
 * Runs on the main thread. Set-based: one query a kind of object, whatever the number of tables. Columns come one a
 * row, never as joined text: names may hold any character.
 */
import type { SourceConnection } from './connection.js';
import type { SourceTable } from './model.js';

type Row = Record<string, unknown>;
type Source = Pick<SourceConnection, 'query'>;

export interface SourceIndex {
  name: string;
  /** `sys.indexes.type`: 1 clustered, 2 nonclustered, 3 XML, 4 spatial, 5 and 6 columnstore, 7 hash. */
  type: number;
  typeName: string;
  unique: boolean;
  /** It stands for a UNIQUE constraint. */
  constraint: boolean;
  disabled: boolean;
  /** Its WHERE, as stored, or null; empty where the login may not see it. */
  filter: string | null;
  keys: { column: string; descending: boolean }[];
  included: string[];
}

export interface SourceForeignKey {
  name: string;
  columns: string[];
  to: { schema: string; name: string };
  toColumns: string[];
  /** `NO ACTION`, `CASCADE`, `SET NULL`, `SET DEFAULT`. */
  onDelete: string;
  onUpdate: string;
  disabled: boolean;
  /** False where rows that were there before may break it. */
  trusted: boolean;
}

export interface SourceCheck {
  name: string;
  /** Empty where the login may not see it: without VIEW DEFINITION. */
  definition: string;
  disabled: boolean;
  trusted: boolean;
}

/** What one table has; every list in the order of names or positions. */
export interface SourceObjects {
  indexes: SourceIndex[];
  foreignKeys: SourceForeignKey[];
  checks: SourceCheck[];
  defaults: { name: string; column: string; definition: string }[];
  comments: SourceComment[];
}

/** An MS_Description. */
export interface SourceComment {
  on: 'table' | 'column' | 'index' | 'constraint' | 'foreign key';
  /** Of the column, index or constraint; the table's own where it is on the table. */
  name: string;
  text: string;
}

/** Numbers as decimal text. */
export interface SourceSequence {
  schema: string;
  name: string;
  start: string;
  increment: string;
  minimum: string;
  maximum: string;
  cycles: boolean;
  /** The value given last, or the start where none was. */
  current: string;
  /** False where `current` was not given yet; a server before 2017 does not tell, and counts as having given it. */
  used: boolean;
}

export interface DatabaseObjects {
  /** By `object_id`. */
  tables: Map<number, SourceObjects>;
  sequences: SourceSequence[];
  /** Views, procedures and the like: `schema.name`s by kind. */
  notMigrated: { kind: string; names: string[] }[];
}

const INDEXES_SQL = `
SELECT i.object_id, i.index_id, i.name, i.type, i.type_desc, i.is_unique, i.is_unique_constraint, i.is_disabled,
  i.has_filter, i.filter_definition, c.name AS column_name, ic.is_descending_key, ic.is_included_column
FROM sys.indexes AS i
JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id
JOIN sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id
JOIN sys.tables AS t ON t.object_id = i.object_id
WHERE t.is_ms_shipped = 0 AND i.is_primary_key = 0 AND i.is_hypothetical = 0 AND i.name IS NOT NULL
  AND (ic.key_ordinal > 0 OR ic.is_included_column = 1 OR i.type NOT IN (1, 2))
ORDER BY i.object_id, i.index_id, ic.is_included_column, ic.key_ordinal, ic.index_column_id`;

const FOREIGN_KEYS_SQL = `
SELECT f.parent_object_id AS object_id, f.object_id AS constraint_id, f.name, f.is_disabled, f.is_not_trusted,
  f.delete_referential_action AS delete_action, f.update_referential_action AS update_action,
  rs.name AS to_schema, rt.name AS to_table, c.name AS column_name, rc.name AS to_column
FROM sys.foreign_keys AS f
JOIN sys.foreign_key_columns AS fc ON fc.constraint_object_id = f.object_id
JOIN sys.columns AS c ON c.object_id = fc.parent_object_id AND c.column_id = fc.parent_column_id
LEFT JOIN sys.columns AS rc ON rc.object_id = fc.referenced_object_id AND rc.column_id = fc.referenced_column_id
LEFT JOIN sys.tables AS rt ON rt.object_id = f.referenced_object_id
LEFT JOIN sys.schemas AS rs ON rs.schema_id = rt.schema_id
ORDER BY f.parent_object_id, f.name, fc.constraint_column_id`;

const CHECKS_SQL = `
SELECT k.parent_object_id AS object_id, k.name, k.definition, k.is_disabled, k.is_not_trusted
FROM sys.check_constraints AS k
ORDER BY k.parent_object_id, k.name`;

const DEFAULTS_SQL = `
SELECT d.parent_object_id AS object_id, d.name, d.definition, c.name AS column_name
FROM sys.default_constraints AS d
JOIN sys.columns AS c ON c.object_id = d.parent_object_id AND c.column_id = d.parent_column_id
ORDER BY d.parent_object_id, c.column_id`;

// class 1: objects and columns, 7: indexes. A default's description has no place in PostgreSQL.
const COMMENTS_SQL = `
SELECT p.major_id AS object_id, p.minor_id AS part, CASE WHEN p.minor_id = 0 THEN 'table' ELSE 'column' END AS kind,
  COALESCE(c.name, t.name) AS name, CONVERT(nvarchar(max), p.value) AS text
FROM sys.extended_properties AS p
JOIN sys.tables AS t ON t.object_id = p.major_id
LEFT JOIN sys.columns AS c ON c.object_id = p.major_id AND c.column_id = p.minor_id
WHERE p.class = 1 AND p.name = 'MS_Description' AND p.value IS NOT NULL AND (p.minor_id = 0 OR c.name IS NOT NULL)
UNION ALL
SELECT p.major_id, p.minor_id, 'index', i.name, CONVERT(nvarchar(max), p.value)
FROM sys.extended_properties AS p
JOIN sys.indexes AS i ON i.object_id = p.major_id AND i.index_id = p.minor_id
WHERE p.class = 7 AND p.name = 'MS_Description' AND p.value IS NOT NULL
UNION ALL
SELECT o.parent_object_id, p.major_id, CASE WHEN o.type = 'F' THEN 'foreign key' ELSE 'constraint' END, o.name,
  CONVERT(nvarchar(max), p.value)
FROM sys.extended_properties AS p
JOIN sys.objects AS o ON o.object_id = p.major_id
WHERE p.class = 1 AND p.minor_id = 0 AND o.type IN ('PK', 'UQ', 'C', 'F') AND p.name = 'MS_Description'
  AND p.value IS NOT NULL
ORDER BY object_id, part`;

const sequencesSql = (hasLastUsed: boolean): string => `
SELECT s.name AS schema_name, q.name,
  CONVERT(nvarchar(40), q.start_value) AS start_value, CONVERT(nvarchar(40), q.increment) AS increment_value,
  CONVERT(nvarchar(40), q.minimum_value) AS minimum_value, CONVERT(nvarchar(40), q.maximum_value) AS maximum_value,
  CONVERT(nvarchar(40), q.current_value) AS now_value, q.is_cycling${
    hasLastUsed ? ', CASE WHEN q.last_used_value IS NULL THEN 0 ELSE 1 END AS used' : ''
  }
FROM sys.sequences AS q
JOIN sys.schemas AS s ON s.schema_id = q.schema_id
ORDER BY s.name, q.name`;

// Azure has views in schema sys that it does not call its own.
const OTHERS_SQL = `
SELECT s.name AS schema_name, o.name, o.type
FROM sys.objects AS o
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE o.is_ms_shipped = 0 AND s.name <> 'sys'
  AND (o.type IN ('V', 'P', 'PC', 'TR', 'TA', 'FN', 'IF', 'TF', 'FS', 'FT', 'AF', 'SN', 'R')
  OR o.type = 'D' AND o.parent_object_id = 0)
ORDER BY s.name, o.name`;

/** `sys.objects.type` of what is named and not migrated. */
const OTHER_KINDS: Record<string, string> = {
  V: 'views',
  P: 'procedures',
  PC: 'procedures',
  TR: 'triggers',
  TA: 'triggers',
  FN: 'functions',
  IF: 'functions',
  TF: 'functions',
  FS: 'functions',
  FT: 'functions',
  AF: 'functions',
  SN: 'synonyms',
  R: 'rules',
  // Made by CREATE DEFAULT and bound to columns; those of ALTER TABLE are constraints and have a table.
  D: 'bound defaults',
};

/** Stands for the name of what the login may not see. */
const HIDDEN = '(hidden from this login)';
const ACTIONS = ['NO ACTION', 'CASCADE', 'SET NULL', 'SET DEFAULT'];
/** sys.sequences came with this version of SQL Server. */
const FIRST_MAJOR_WITH_SEQUENCES = 11;
/** SQL Server 2017, whose sys.sequences tells one that was never used from one that gave its first value. */
const FIRST_MAJOR_WITH_LAST_USED = 14;

/** @param majorVersion of the server, as `serverFacts` has it */
export async function readObjects(
  source: Source,
  tables: readonly SourceTable[],
  majorVersion: number,
): Promise<DatabaseObjects> {
  const found = new Map<number, SourceObjects>(
    tables.map(({ objectId }) => [
      objectId,
      { indexes: [], foreignKeys: [], checks: [], defaults: [], comments: [] },
    ]),
  );
  const each = async (sql: string, take: (objects: SourceObjects, row: Row) => void): Promise<void> => {
    for (const row of await source.query(sql)) {
      const objects = found.get(Number(row.object_id));
      if (objects !== undefined) take(objects, row);
    }
  };
  await each(INDEXES_SQL, takeIndex());
  await each(FOREIGN_KEYS_SQL, takeForeignKey());
  await each(CHECKS_SQL, ({ checks }, row) => {
    checks.push({
      name: String(row.name),
      definition: String(row.definition ?? ''),
      disabled: Boolean(row.is_disabled),
      trusted: !row.is_not_trusted,
    });
  });
  await each(DEFAULTS_SQL, ({ defaults }, row) => {
    defaults.push({
      name: String(row.name),
      column: String(row.column_name),
      definition: String(row.definition ?? ''),
    });
  });
  await each(COMMENTS_SQL, ({ comments }, row) => {
    const on = String(row.kind) as SourceComment['on'];
    comments.push({ on, name: String(row.name), text: String(row.text) });
  });
  const sequences = sequencesSql(majorVersion >= FIRST_MAJOR_WITH_LAST_USED);
  return {
    tables: found,
    sequences:
      majorVersion >= FIRST_MAJOR_WITH_SEQUENCES ? (await source.query(sequences)).map(toSequence) : [],
    notMigrated: await readOthers(source),
  };
}

function takeIndex(): (objects: SourceObjects, row: Row) => void {
  let last: { objectId: unknown; indexId: unknown; index: SourceIndex } | null = null;
  return ({ indexes }, row) => {
    if (last === null || last.objectId !== row.object_id || last.indexId !== row.index_id) {
      const index: SourceIndex = {
        name: String(row.name),
        type: Number(row.type),
        typeName: String(row.type_desc).toLowerCase(),
        unique: Boolean(row.is_unique),
        constraint: Boolean(row.is_unique_constraint),
        disabled: Boolean(row.is_disabled),
        filter: row.has_filter ? String(row.filter_definition ?? '') : null,
        keys: [],
        included: [],
      };
      indexes.push(index);
      last = { objectId: row.object_id, indexId: row.index_id, index };
    }
    const column = String(row.column_name);
    if (row.is_included_column) last.index.included.push(column);
    else last.index.keys.push({ column, descending: Boolean(row.is_descending_key) });
  };
}

function takeForeignKey(): (objects: SourceObjects, row: Row) => void {
  let last: { id: unknown; key: SourceForeignKey } | null = null;
  return ({ foreignKeys }, row) => {
    if (last === null || last.id !== row.constraint_id) {
      const key: SourceForeignKey = {
        name: String(row.name),
        columns: [],
        to: { schema: String(row.to_schema ?? HIDDEN), name: String(row.to_table ?? HIDDEN) },
        toColumns: [],
        onDelete: ACTIONS[Number(row.delete_action)] ?? 'NO ACTION',
        onUpdate: ACTIONS[Number(row.update_action)] ?? 'NO ACTION',
        disabled: Boolean(row.is_disabled),
        trusted: !row.is_not_trusted,
      };
      foreignKeys.push(key);
      last = { id: row.constraint_id, key };
    }
    last.key.columns.push(String(row.column_name));
    last.key.toColumns.push(String(row.to_column ?? HIDDEN));
  };
}

function toSequence(row: Row): SourceSequence {
  return {
    schema: String(row.schema_name),
    name: String(row.name),
    start: String(row.start_value),
    increment: String(row.increment_value),
    minimum: String(row.minimum_value),
    maximum: String(row.maximum_value),
    cycles: Boolean(row.is_cycling),
    current: String(row.now_value),
    used: Number(row.used ?? 1) === 1,
  };
}

async function readOthers(source: Source): Promise<DatabaseObjects['notMigrated']> {
  const kinds = new Map<string, string[]>();
  for (const row of await source.query(OTHERS_SQL)) {
    const kind = OTHER_KINDS[String(row.type).trim()];
    if (kind === undefined) continue;
    const names = kinds.get(kind) ?? [];
    kinds.set(kind, names);
    names.push(`${String(row.schema_name)}.${String(row.name)}`);
  }
  return [...kinds].map(([kind, names]) => ({ kind, names }));
}
