/**
 * The catalog a client can read: `sys.*` and INFORMATION_SCHEMA as queries over the stand-in's own tables.
 *
 * Runs in the process of the stand-in SQL Server. A view is inlined where a statement names it. Columns are
 * those of SQL Server that make sense here, in its order and with its types; a column left out answers with
 * error 207. A login sees the objects it has a permission on, as SQL Server's metadata visibility has it.
 */
import { INFORMATION_SCHEMA } from './informationSchema.js';
import { SYSTEM_TYPES } from './types.js';
import { type CatalogContext, type CatalogView, COLUMNS, SEEN, text, view } from './viewSpec.js';

const OBJECT = `
  name sysname!=o.name
  object_id int!=o.object_id
  principal_id int=NULL::int
  schema_id int!=o.schema_id
  parent_object_id int!=o.parent_object_id
  type char(2)!=rpad(o.type, 2)
  type_desc nvarchar(60)=CASE o.type WHEN 'U' THEN 'USER_TABLE' WHEN 'PK' THEN 'PRIMARY_KEY_CONSTRAINT' WHEN 'UQ' THEN 'UNIQUE_CONSTRAINT' WHEN 'F' THEN 'FOREIGN_KEY_CONSTRAINT' WHEN 'C' THEN 'CHECK_CONSTRAINT' WHEN 'D' THEN 'DEFAULT_CONSTRAINT' WHEN 'V' THEN 'VIEW' WHEN 'P' THEN 'SQL_STORED_PROCEDURE' WHEN 'FN' THEN 'SQL_SCALAR_FUNCTION' WHEN 'IF' THEN 'SQL_INLINE_TABLE_VALUED_FUNCTION' WHEN 'TF' THEN 'SQL_TABLE_VALUED_FUNCTION' WHEN 'TR' THEN 'SQL_TRIGGER' WHEN 'SN' THEN 'SYNONYM' WHEN 'SO' THEN 'SEQUENCE_OBJECT' END
  create_date datetime!=o.created
  modify_date datetime!=o.created
  is_ms_shipped bit!=false
  is_published bit!=false
  is_schema_published bit!=false`;
const objectsOf = (...types: string[]): string =>
  `tsql.objects o WHERE o.type IN (${types.map(text).join(', ')}) AND ${SEEN}`;

const COLUMN = `
  object_id int!=c.object_id
  name sysname=c.name
  column_id int!=c.column_id
  system_type_id tinyint!=c.system_type_id::int2
  user_type_id int!=c.user_type_id
  max_length smallint!=c.max_length::int2
  precision tinyint!=c.precision::int2
  scale tinyint!=c.scale::int2
  collation_name sysname=c.collation_name
  is_nullable bit=c.nullable
  is_ansi_padded bit!=c.collation_name IS NOT NULL OR c.system_type_id IN (165, 173)
  is_rowguidcol bit!=c.rowguid
  is_identity bit!=c.identity_seed IS NOT NULL
  is_computed bit!=c.computed_text IS NOT NULL
  is_filestream bit!=false
  is_replicated bit=false
  is_xml_document bit!=false
  xml_collection_id int!=0
  default_object_id int!=c.default_object_id
  rule_object_id int!=0
  is_sparse bit=c.sparse
  is_column_set bit=false
  generated_always_type tinyint=0::int2
  generated_always_type_desc nvarchar(60)='NOT_APPLICABLE'
  encryption_type int=NULL::int
  is_hidden bit!=false
  is_masked bit!=false`;
const numberType = (type: string): string =>
  `jsonb_strip_nulls(jsonb_build_object('name', ${type}->>'name', 'precision', ${type}->'precision', 'scale', ${type}->'scale'))::text`;
const identityType = numberType('c.type');
const sequenceValue = (sql: string): string => `tsql.variant(${numberType('q.type')}, (${sql})::text)`;
const LAST_USED = 'tsql.sequence_last(q.object_id)';

const systemTypes = Object.entries(SYSTEM_TYPES)
  .map(
    ([name, t]) =>
      `(${text(name)}, ${t.systemTypeId}, ${t.userTypeId}, 4, ${t.maxLength}, ${t.precision}, ${t.scale}, ${t.family === 'string'}, true, false)`,
  )
  .join(', ');
const TYPES = `(VALUES ${systemTypes}, ('sysname', 231, 256, 4, 256, 0, 0, true, false, false)) t(name, system_type_id, user_type_id, schema_id, max_length, "precision", scale, text, nullable, alias)`;
const ALL_TYPES = `(SELECT * FROM ${TYPES} UNION ALL SELECT u.name, b.system_type_id, u.user_type_id, u.schema_id,
  CASE WHEN u.type->>'name' IN ('nchar', 'nvarchar') THEN CASE WHEN (u.type->>'length')::int < 0 THEN -1 ELSE (u.type->>'length')::int * 2 END ELSE coalesce((u.type->>'length')::int, b.max_length) END,
  coalesce((u.type->>'precision')::int, b."precision"), coalesce((u.type->>'scale')::int, b.scale), b.text, u.nullable, true
  FROM tsql.types u JOIN ${TYPES.replace(') t(', ') b(')} ON b.name = u.type->>'name') t`;

const INDEX_DESC = `CASE i.kind WHEN 0 THEN 'HEAP' WHEN 1 THEN 'CLUSTERED' ELSE 'NONCLUSTERED' END`;
const INDEXES = `tsql.indexes i JOIN tsql.objects o ON o.object_id = i.object_id WHERE ${SEEN}`;
const FILTERED = '((i.object_id::bigint << 8) | i.index_id)';
const action = (column: string): string =>
  `(CASE ${column} WHEN 'NO ACTION' THEN 0 WHEN 'CASCADE' THEN 1 WHEN 'SET NULL' THEN 2 ELSE 3 END)::int2`;

const VIEWS: Record<string, (context: CatalogContext) => CatalogView> = {
  'sys.schemas': view(
    'name sysname!=s.name\nschema_id int!=s.schema_id\nprincipal_id int=s.schema_id',
    'tsql.schemas s',
  ),
  'sys.objects': view(OBJECT, `tsql.objects o WHERE ${SEEN}`),
  'sys.tables': view(
    `${OBJECT}\nlob_data_space_id int!=0\nmax_column_id_used int!=(SELECT max(column_id) FROM tsql.columns m WHERE m.object_id = o.object_id)\ntemporal_type tinyint=0::int2\nis_memory_optimized bit=false\nis_external bit!=false\nis_node bit=false\nis_edge bit=false`,
    `tsql.objects o WHERE o.type = 'U' AND ${SEEN}`,
  ),
  'sys.columns': view(COLUMN, `${COLUMNS} WHERE ${SEEN}`),
  'sys.types': view(
    `name sysname!=t.name
    system_type_id tinyint!=t.system_type_id::int2
    user_type_id int!=t.user_type_id
    schema_id int!=t.schema_id
    principal_id int=NULL::int
    max_length smallint!=t.max_length::int2
    precision tinyint!=t."precision"::int2
    scale tinyint!=t.scale::int2
    collation_name sysname=CASE WHEN t.text THEN $collation END
    is_nullable bit=t.nullable
    is_user_defined bit!=t.alias
    is_assembly_type bit!=t.system_type_id = 240
    default_object_id int!=0
    rule_object_id int!=0
    is_table_type bit!=false`,
    ALL_TYPES,
  ),
  'sys.indexes': view(
    `object_id int!=i.object_id
    name sysname=i.name
    index_id int!=i.index_id
    type tinyint!=i.kind::int2
    type_desc nvarchar(60)=${INDEX_DESC}
    is_unique bit=i.is_unique
    data_space_id int=1
    ignore_dup_key bit=false
    is_primary_key bit=i.is_primary
    is_unique_constraint bit=i.is_constraint AND NOT i.is_primary
    fill_factor tinyint!=0::int2
    is_padded bit=false
    is_disabled bit=i.disabled
    is_hypothetical bit=false
    allow_row_locks bit=true
    allow_page_locks bit=true
    has_filter bit=i.filter_text IS NOT NULL
    filter_definition nvarchar(max)=i.filter_text`,
    INDEXES,
  ),
  'sys.index_columns': view(
    `object_id int!=ic.object_id
    index_id int!=ic.index_id
    index_column_id int!=ic.index_column_id
    column_id int!=ic.column_id
    key_ordinal tinyint!=ic.key_ordinal::int2
    partition_ordinal tinyint!=0::int2
    is_descending_key bit=ic.descending
    is_included_column bit=ic.included`,
    `tsql.index_columns ic JOIN tsql.objects o ON o.object_id = ic.object_id WHERE ${SEEN}`,
  ),
  'sys.key_constraints': view(
    `${OBJECT}\nunique_index_id int=(SELECT i.index_id FROM tsql.indexes i WHERE i.constraint_id = o.object_id)\nis_system_named bit!=o.system_named`,
    `tsql.objects o WHERE o.type IN ('PK', 'UQ') AND ${SEEN}`,
  ),
  'sys.identity_columns': view(
    `${COLUMN}
    seed_value sql_variant=tsql.variant(${identityType}, c.identity_seed::text)
    increment_value sql_variant=tsql.variant(${identityType}, c.identity_increment::text)
    last_value sql_variant=tsql.variant(${identityType}, tsql.identity_last(c.object_id)::text)
    is_not_for_replication bit=false`,
    `${COLUMNS} WHERE c.identity_seed IS NOT NULL AND ${SEEN}`,
  ),
  'sys.computed_columns': view(
    `${COLUMN}\ndefinition nvarchar(max)=c.computed_text\nuses_database_collation bit=true\nis_persisted bit!=c.persisted`,
    `${COLUMNS} WHERE c.computed_text IS NOT NULL AND ${SEEN}`,
  ),
  'sys.default_constraints': view(
    `${OBJECT}\nparent_column_id int!=c.column_id\ndefinition nvarchar(max)=c.default_text\nis_system_named bit!=o.system_named`,
    `tsql.objects o JOIN tsql.columns c ON c.default_object_id = o.object_id WHERE o.type = 'D' AND ${SEEN}`,
  ),
  'sys.check_constraints': view(
    `${OBJECT}\nis_disabled bit!=k.disabled\nis_not_for_replication bit!=false\nis_not_trusted bit!=k.not_trusted\nparent_column_id int!=k.column_id\ndefinition nvarchar(max)=k.text\nis_system_named bit!=o.system_named`,
    `tsql.objects o JOIN tsql.checks k ON k.object_id = o.object_id WHERE ${SEEN}`,
  ),
  'sys.foreign_keys': view(
    `${OBJECT}
    referenced_object_id int=k.referenced_object_id
    key_index_id int=k.key_index_id
    is_disabled bit!=k.disabled
    is_not_for_replication bit!=false
    is_not_trusted bit!=k.not_trusted
    delete_referential_action tinyint=${action('k.on_delete')}
    delete_referential_action_desc nvarchar(60)=replace(k.on_delete, ' ', '_')
    update_referential_action tinyint=${action('k.on_update')}
    update_referential_action_desc nvarchar(60)=replace(k.on_update, ' ', '_')
    is_system_named bit!=o.system_named`,
    `tsql.objects o JOIN tsql.foreign_keys k ON k.object_id = o.object_id WHERE ${SEEN}`,
  ),
  'sys.foreign_key_columns': view(
    `constraint_object_id int!=k.object_id
    constraint_column_id int!=f.ordinal
    parent_object_id int!=o.parent_object_id
    parent_column_id int!=f.column_id
    referenced_object_id int!=k.referenced_object_id
    referenced_column_id int!=f.referenced_column_id`,
    `tsql.foreign_key_columns f JOIN tsql.foreign_keys k ON k.object_id = f.object_id JOIN tsql.objects o ON o.object_id = k.object_id WHERE ${SEEN}`,
  ),
  'sys.partitions': view(
    `partition_id bigint!=${FILTERED}
    object_id int!=i.object_id
    index_id int!=i.index_id
    partition_number int!=1
    hobt_id bigint!=${FILTERED}
    rows bigint=CASE WHEN i.filter_text IS NULL THEN tsql.count_rows(i.object_id) END
    data_compression tinyint!=0::int2
    data_compression_desc nvarchar(60)='NONE'`,
    INDEXES,
  ),
  'sys.allocation_units': view(
    `allocation_unit_id bigint!=${FILTERED}
    type tinyint!=1::int2
    type_desc nvarchar(60)='IN_ROW_DATA'
    container_id bigint!=${FILTERED}
    total_pages bigint!=tsql.used_pages(i.object_id)
    used_pages bigint!=tsql.used_pages(i.object_id)
    data_pages bigint!=tsql.used_pages(i.object_id)`,
    INDEXES,
  ),
  'sys.dm_db_partition_stats': view(
    `partition_id bigint=${FILTERED}
    object_id int!=i.object_id
    index_id int!=i.index_id
    partition_number int!=1
    in_row_data_page_count bigint=tsql.used_pages(i.object_id)
    in_row_used_page_count bigint=tsql.used_pages(i.object_id)
    used_page_count bigint=tsql.used_pages(i.object_id)
    reserved_page_count bigint=tsql.used_pages(i.object_id)
    row_count bigint=tsql.count_rows(i.object_id)`,
    INDEXES,
  ),
  'sys.databases': view(
    `name sysname!=d.name
    database_id int!=d.id
    create_date datetime!=d.created
    compatibility_level tinyint!=160::int2
    collation_name sysname=d.collation_name
    user_access tinyint=0::int2
    is_read_only bit=false
    state tinyint=0::int2
    state_desc nvarchar(60)='ONLINE'
    snapshot_isolation_state tinyint=d.snapshot::int::int2
    snapshot_isolation_state_desc nvarchar(60)=CASE WHEN d.snapshot THEN 'ON' ELSE 'OFF' END
    is_read_committed_snapshot_on bit=d.rcsi
    recovery_model tinyint=3::int2
    recovery_model_desc nvarchar(60)='SIMPLE'`,
    '(VALUES $databases) d(id, name, collation_name, created, snapshot, rcsi)',
  ),
  'sys.database_principals': view(
    `name sysname!=u.name\nprincipal_id int!=u.principal_id\ntype char(1)!='S'\ntype_desc nvarchar(60)='SQL_USER'`,
    'tsql.users u',
  ),
  'sys.extended_properties': view(
    `class tinyint!=p.class::int2
    class_desc nvarchar(60)=CASE p.class WHEN 0 THEN 'DATABASE' WHEN 1 THEN 'OBJECT_OR_COLUMN' WHEN 3 THEN 'SCHEMA' WHEN 6 THEN 'TYPE' ELSE 'INDEX' END
    major_id int!=p.major_id
    minor_id int!=p.minor_id
    name sysname!=p.name
    value sql_variant=p.value`,
    `tsql.properties p LEFT JOIN tsql.objects o ON o.object_id = p.major_id AND p.class IN (1, 7) WHERE o.object_id IS NULL OR ${SEEN}`,
  ),
  'sys.sequences': view(
    `${OBJECT}
    start_value sql_variant!=${sequenceValue('q.start_value')}
    increment sql_variant!=${sequenceValue('q.increment')}
    minimum_value sql_variant=${sequenceValue('q.minimum')}
    maximum_value sql_variant=${sequenceValue('q.maximum')}
    is_cycling bit=q.cycles
    is_cached bit=q.cached
    cache_size int=q.cache_size
    current_value sql_variant!=${sequenceValue(`coalesce(${LAST_USED}, q.start_value)`)}
    is_exhausted bit!=coalesce(NOT q.cycles AND ${LAST_USED} + q.increment NOT BETWEEN q.minimum AND q.maximum, false)
    last_used_value sql_variant=${sequenceValue(LAST_USED)}`,
    `tsql.objects o JOIN tsql.sequences q ON q.object_id = o.object_id WHERE ${SEEN}`,
  ),
  'sys.views': view(OBJECT, objectsOf('V')),
  'sys.procedures': view(OBJECT, objectsOf('P')),
  'sys.synonyms': view(
    `${OBJECT}\nbase_object_name nvarchar(1035)=y.base`,
    `tsql.objects o JOIN tsql.synonyms y ON y.object_id = o.object_id WHERE ${SEEN}`,
  ),
  'sys.sql_modules': view(
    'object_id int!=o.object_id\ndefinition nvarchar(max)=m.definition',
    `tsql.objects o JOIN tsql.modules m ON m.object_id = o.object_id WHERE ${SEEN}`,
  ),
  'sys.triggers': view(
    'name sysname!=o.name\nobject_id int!=o.object_id\nparent_class tinyint!=1::int2\nparent_id int!=o.parent_object_id\nis_disabled bit!=false\nis_instead_of_trigger bit!=false',
    objectsOf('TR'),
  ),
  ...INFORMATION_SCHEMA,
};
const BY_LOWER_NAME = new Map(Object.entries(VIEWS).map(([name, make]) => [name.toLowerCase(), make]));

/** @returns the view `schema.name` names in any case, or null. */
export function catalogView(schema: string, name: string, context: CatalogContext): CatalogView | null {
  return BY_LOWER_NAME.get(`${schema}.${name}`.toLowerCase())?.(context) ?? null;
}
