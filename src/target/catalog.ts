/**
 * What is already there in the target: relations, their columns, what refers to them, and what the role may do.
 *
 * Runs on the main thread. Set-based: one query whatever the number of tables.
 */
import { AppError } from '../errors.js';
import type { TargetConnection } from './connection.js';

export interface TargetName {
  schema: string;
  name: string;
}

export interface TargetColumn {
  name: string;
  /** As `format_type` spells it: `numeric(19,4)`, `character varying(50)`. */
  type: string;
  notNull: boolean;
  /** Filled in by the server where a row leaves it out: default or identity. */
  hasDefault: boolean;
  /** Computed by the server; can't be written. */
  generated: boolean;
  /** Its collation takes different texts for equal. */
  folds: boolean;
}

export type TableRight = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE';

export type TriggerEvent = 'insert' | 'update' | 'delete' | 'truncate';

export interface TargetTrigger {
  name: string;
  when: 'before' | 'after';
  forEachRow: boolean;
  events: TriggerEvent[];
}

export interface TargetRelation extends TargetName {
  oid: string;
  /** `pg_class.relkind`: r table, p partitioned table, v view, m materialized view, f foreign table, S sequence. */
  kind: string;
  /** `pg_class.relpersistence`: p permanent, u unlogged, t temporary. */
  persistence: string;
  /** The role owns it, or is a member of the role that does. */
  owned: boolean;
  /** What the role may do to it. */
  rights: TableRight[];
  /** Row-level security applies to the role: it sees and writes only rows that policies let it. */
  rowSecurity: boolean;
  /** Of a partitioned table: the partitions that are UNLOGGED, `schema.name`. */
  unloggedPartitions: string[];
  /** Tables below it by INHERITS, `schema.name`, partitions aside: statements that name the table reach their rows, too. */
  heirs: string[];
  /** Users' triggers that are not disabled, by name; those of partitions as well. */
  triggers: TargetTrigger[];
  /** Rules for INSERT or UPDATE, by name; COPY passes them by. */
  rules: string[];
  /** Rules for DELETE, by name; TRUNCATE passes them by. */
  deleteRules: string[];
  /** `pg_class.reltuples`: -1 before the first ANALYZE. */
  approximateRows: number;
  columns: TargetColumn[];
}

const WANTED = 'unnest($1::text[], $2::text[]) AS w(schema, name)';

const RELATIONS_SQL = `
SELECT n.nspname AS schema, c.relname AS name, c.oid::text, c.relkind::text AS kind,
  c.relpersistence::text AS persistence,
  pg_has_role(c.relowner, 'USAGE') AS owned,
  ARRAY(SELECT w.wanted FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS w(wanted)
    WHERE c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, w.wanted)) AS rights,
  c.reltuples::float8 AS "approximateRows",
  CASE WHEN c.relkind IN ('r', 'p') THEN row_security_active(c.oid) ELSE false END AS "rowSecurity",
  ARRAY(SELECT ln.nspname || '.' || l.relname
    FROM pg_partition_tree(CASE c.relkind WHEN 'p' THEN c.oid END) AS tree
    JOIN pg_class l ON l.oid = tree.relid JOIN pg_namespace ln ON ln.oid = l.relnamespace
    WHERE tree.isleaf AND l.relpersistence = 'u' ORDER BY 1) AS "unloggedPartitions",
  ARRAY(
    WITH RECURSIVE below AS (
      SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = c.oid AND c.relkind = 'r'
      UNION
      SELECT i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.inhrelid)
    SELECT hn.nspname || '.' || h.relname FROM below b
    JOIN pg_class h ON h.oid = b.inhrelid JOIN pg_namespace hn ON hn.oid = h.relnamespace ORDER BY 1) AS heirs,
  -- tgtype: 1 for each row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate.
  COALESCE((
    SELECT json_agg(DISTINCT jsonb_build_object(
      'name', g.tgname,
      'when', CASE WHEN g.tgtype & 2 <> 0 THEN 'before' ELSE 'after' END,
      'forEachRow', g.tgtype & 1 <> 0,
      'events', array_remove(ARRAY[
        CASE WHEN g.tgtype & 4 <> 0 THEN 'insert' END, CASE WHEN g.tgtype & 16 <> 0 THEN 'update' END,
        CASE WHEN g.tgtype & 8 <> 0 THEN 'delete' END, CASE WHEN g.tgtype & 32 <> 0 THEN 'truncate' END], NULL)))
    FROM pg_trigger g
    -- As an array, so that each table's triggers are found by the index: every foreign key has four of its own.
    WHERE g.tgrelid = ANY (CASE c.relkind
        WHEN 'p' THEN ARRAY(SELECT relid::oid FROM pg_partition_tree(c.oid)) ELSE ARRAY[c.oid] END)
      AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
  ), '[]'::json) AS triggers,
  -- ev_type: 2 update, 3 insert, 4 delete. Even a disabled rule for UPDATE keeps ON CONFLICT from working.
  ARRAY(SELECT r.rulename::text FROM pg_rewrite r
    WHERE r.ev_class = c.oid AND (r.ev_type = '2' OR (r.ev_type = '3' AND r.ev_enabled IN ('O', 'A'))) ORDER BY 1) AS rules,
  ARRAY(SELECT r.rulename::text FROM pg_rewrite r
    WHERE r.ev_class = c.oid AND r.ev_type = '4' AND r.ev_enabled IN ('O', 'A') ORDER BY 1) AS "deleteRules",
  COALESCE((
    SELECT json_agg(json_build_object(
      'name', a.attname,
      'type', format_type(a.atttypid, a.atttypmod),
      'notNull', a.attnotnull,
      'hasDefault', (a.atthasdef AND a.attgenerated = '') OR a.attidentity <> '',
      'generated', a.attgenerated <> '',
      'folds', EXISTS (SELECT FROM pg_collation l WHERE l.oid = a.attcollation AND NOT l.collisdeterministic)
    ) ORDER BY a.attnum)
    FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  ), '[]'::json) AS columns
FROM ${WANTED}
JOIN pg_namespace n ON n.nspname = w.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
ORDER BY n.nspname, c.relname`;

/** @returns the relations of these names that exist, whatever their kind. */
export function existingRelations(
  target: TargetConnection,
  names: readonly TargetName[],
): Promise<TargetRelation[]> {
  return target.query<TargetRelation>(RELATIONS_SQL, nameArrays(names));
}

/** @returns those of these relations that another role owns, whose members this one is none of. */
export function ownedByOthers(target: TargetConnection, names: readonly TargetName[]): Promise<TargetName[]> {
  return target.query<{ schema: string; name: string }>(
    `SELECT w.schema, w.name FROM ${WANTED}
      JOIN pg_namespace n ON n.nspname = w.schema
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
      WHERE NOT pg_has_role(c.relowner, 'USAGE')`,
    nameArrays(names),
  );
}

/** @returns a table's column types without their limits, by column: `numeric`, `bpchar`, `character varying`. */
export async function columnTypes(
  target: TargetConnection,
  { schema, name }: TargetName,
): Promise<Map<string, string>> {
  const rows = await target.query<{ name: string; type: string }>(
    `SELECT a.attname AS name, format_type(a.atttypid, -1) AS type
      FROM pg_namespace n
      JOIN pg_class c ON c.relnamespace = n.oid
      JOIN pg_attribute a ON a.attrelid = c.oid
      WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped`,
    [schema, name],
  );
  return new Map(rows.map((row) => [row.name, row.type]));
}

const UNIQUE_KEYS_SQL = `
SELECT n.nspname AS schema, c.relname AS name, (
    SELECT json_agg(a.attname ORDER BY a.attname)
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.position <= i.indnkeyatts
  ) AS columns, EXISTS (
    SELECT FROM unnest(i.indcollation::oid[]) AS k(oid)
    JOIN pg_collation l ON l.oid = k.oid AND NOT l.collisdeterministic
  ) AS folds, (
    SELECT k.conname FROM pg_constraint k
    -- Constraints are found by their table: there is no index over conindid.
    WHERE k.conrelid = i.indrelid AND k.conindid = i.indexrelid AND k.contype IN ('p', 'u') AND k.condeferrable
  ) AS deferrable
FROM ${WANTED}
JOIN pg_namespace n ON n.nspname = w.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
JOIN pg_index i ON i.indrelid = c.oid
WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL`;

/** A set of columns that a unique index covers, sorted by name: what ON CONFLICT names. */
export interface UniqueKey extends TargetName {
  columns: string[];
  /** One of its collations takes different texts for equal. */
  folds: boolean;
  /** The DEFERRABLE constraint that it is the index of, which ON CONFLICT fails at, or null. */
  deferrable: string | null;
}

/** @returns the unique keys of these tables that hold for every row. */
export function uniqueKeys(target: TargetConnection, names: readonly TargetName[]): Promise<UniqueKey[]> {
  return target.query<UniqueKey>(UNIQUE_KEYS_SQL, nameArrays(names));
}

export interface ForeignKeyReference {
  constraint: string;
  /** The table that has the foreign key, and the one it points at. */
  from: TargetName;
  to: TargetName;
  /** Whether each end is among the tables asked for. */
  fromAsked: boolean;
  toAsked: boolean;
}

const FOREIGN_KEYS_SQL = `
WITH asked AS (
  SELECT c.oid FROM ${WANTED}
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
)
SELECT k.conname AS constraint,
  json_build_object('schema', fn.nspname, 'name', f.relname) AS "from",
  json_build_object('schema', tn.nspname, 'name', t.relname) AS "to",
  k.conrelid IN (SELECT oid FROM asked) AS "fromAsked", k.confrelid IN (SELECT oid FROM asked) AS "toAsked"
FROM pg_constraint k
JOIN pg_class f ON f.oid = k.conrelid
JOIN pg_namespace fn ON fn.oid = f.relnamespace
JOIN pg_class t ON t.oid = k.confrelid
JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
  AND (k.conrelid IN (SELECT oid FROM asked) OR k.confrelid IN (SELECT oid FROM asked))
ORDER BY fn.nspname, f.relname, k.conname`;

/** @returns every foreign key that starts or ends at one of these tables. */
export function foreignKeysAt(
  target: TargetConnection,
  names: readonly TargetName[],
): Promise<ForeignKeyReference[]> {
  return target.query<ForeignKeyReference>(FOREIGN_KEYS_SQL, nameArrays(names));
}

const NAMED_SQL = `
SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, tn.nspname AS "tableSchema", t.relname AS table
FROM ${WANTED}
JOIN pg_namespace n ON n.nspname = w.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
LEFT JOIN pg_index i ON i.indexrelid = c.oid
LEFT JOIN pg_class t ON t.oid = i.indrelid
LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
ORDER BY 1, 2`;

/** A relation, and the table it indexes where it is an index. */
export interface NamedRelation extends TargetName {
  /** `pg_class.relkind`. */
  kind: string;
  tableSchema: string | null;
  table: string | null;
}

/** @returns the relations that have these names: indexes share them with tables. */
export function relationsNamed(
  target: TargetConnection,
  names: readonly TargetName[],
): Promise<NamedRelation[]> {
  return target.query<NamedRelation>(NAMED_SQL, nameArrays(names));
}

export interface SchemaRights {
  schema: string;
  exists: boolean;
  /** May create tables in it; where it does not exist, may create it. */
  mayCreate: boolean;
}

const SCHEMA_RIGHTS_SQL = `
SELECT w.schema, n.oid IS NOT NULL AS exists,
  CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
    ELSE has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE') END AS "mayCreate"
FROM unnest($1::text[]) AS w(schema)
LEFT JOIN pg_namespace n ON n.nspname = w.schema
ORDER BY w.schema`;

/** @returns for each schema whether it exists and whether the role may create tables in it. */
export function schemaRights(target: TargetConnection, schemas: readonly string[]): Promise<SchemaRights[]> {
  return target.query<SchemaRights>(SCHEMA_RIGHTS_SQL, [schemas]);
}

/** @returns sessions other than this one that hold a lock on these tables: `pid 4711 (app, role, idle in transaction)`. */
async function lockHolders(target: TargetConnection, names: readonly TargetName[]): Promise<string[]> {
  const rows = await target.query<{ holder: string }>(
    `SELECT DISTINCT format('pid %s (%s, role %s, %s)', l.pid, COALESCE(NULLIF(a.application_name, ''), 'unnamed'),
        a.usename, COALESCE(a.state, a.backend_type)) AS holder
      FROM ${WANTED}
      JOIN pg_namespace n ON n.nspname = w.schema
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
      JOIN pg_locks l ON l.relation = c.oid AND l.granted AND l.pid <> pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      LEFT JOIN pg_stat_activity a ON a.pid = l.pid
      ORDER BY 1`,
    nameArrays(names),
  );
  return rows.map((row) => row.holder);
}

/** @returns `error`, or where a lock on these tables was waited for in vain, one that names who holds locks on them */
export async function nameLockHolders<E>(
  target: TargetConnection,
  names: readonly TargetName[],
  error: E,
): Promise<E | AppError> {
  if (!(error instanceof AppError) || error.serverCode !== '55P03') return error;
  const holders = await lockHolders(target, names).catch(() => []);
  if (holders.length === 0) return error;
  return new AppError(error.code, `${error.message}; locks are held by ${holders.join(', ')}`, {
    ...error.place,
    ...(error.remedy !== undefined && { remedy: error.remedy }),
    serverCode: error.serverCode,
    cause: error,
  });
}

function nameArrays(names: readonly TargetName[]): [string[], string[]] {
  return [names.map(({ schema }) => schema), names.map(({ name }) => name)];
}
