/**
 * INFORMATION_SCHEMA as SQL Server has it: the views that programs other than the product ask for.
 *
 * Runs in the process of the stand-in SQL Server. Precisions and scales follow the definitions of SQL Server's views.
 */
import { type CatalogContext, type CatalogView, COLUMNS, SEEN, view } from './viewSpec.js';

const NUMBERS = 'c.system_type_id IN (48, 52, 56, 59, 60, 62, 106, 108, 122, 127)';
const APPROXIMATE = 'c.system_type_id IN (59, 62)';
const MOMENTS = 'c.system_type_id IN (40, 41, 42, 43, 58, 61)';
/** Characters of text, bytes of binary; -1 without a limit. */
const LENGTH = `CASE c.system_type_id WHEN 34 THEN 2147483647 WHEN 35 THEN 2147483647 WHEN 99 THEN 1073741823
  WHEN 241 THEN -1 ELSE (c.type->>'length')::int END`.replaceAll('\n', ' ');
/** Of other code pages than 1252 the names are not known here: they are left NULL. */
const CHARACTER_SET = `CASE WHEN c.system_type_id IN (99, 231, 239) THEN 'UNICODE'
  WHEN c.system_type_id IN (35, 167, 175) AND c.collation_name ~* '^(SQL_Latin1_General_CP1|Latin1_General(_100)?)_' AND c.collation_name !~* '_UTF8$' THEN 'iso_1' END`.replaceAll(
  '\n',
  ' ',
);
const SCHEMA = 'JOIN tsql.schemas s ON s.schema_id = o.schema_id';

export const INFORMATION_SCHEMA: Record<string, (context: CatalogContext) => CatalogView> = {
  'INFORMATION_SCHEMA.TABLES': view(
    `TABLE_CATALOG nvarchar(128)=$database
    TABLE_SCHEMA nvarchar(128)=s.name
    TABLE_NAME sysname!=o.name
    TABLE_TYPE varchar(10)=CASE o.type WHEN 'V' THEN 'VIEW' ELSE 'BASE TABLE' END`,
    `tsql.objects o ${SCHEMA} WHERE o.type IN ('U', 'V') AND ${SEEN}`,
  ),
  'INFORMATION_SCHEMA.COLUMNS': view(
    `TABLE_CATALOG nvarchar(128)=$database
    TABLE_SCHEMA nvarchar(128)=s.name
    TABLE_NAME sysname!=o.name
    COLUMN_NAME sysname=c.name
    ORDINAL_POSITION int=c.column_id
    COLUMN_DEFAULT nvarchar(4000)=c.default_text
    IS_NULLABLE varchar(3)=CASE WHEN c.nullable THEN 'YES' ELSE 'NO' END
    DATA_TYPE nvarchar(128)=c.type->>'name'
    CHARACTER_MAXIMUM_LENGTH int=${LENGTH}
    NUMERIC_PRECISION tinyint=CASE WHEN ${NUMBERS} THEN c.precision::int2 END
    NUMERIC_PRECISION_RADIX smallint=CASE WHEN ${APPROXIMATE} THEN 2::int2 WHEN ${NUMBERS} THEN 10::int2 END
    NUMERIC_SCALE int=CASE WHEN ${NUMBERS} AND NOT ${APPROXIMATE} THEN c.scale END
    DATETIME_PRECISION smallint=CASE WHEN ${MOMENTS} THEN c.scale::int2 END
    CHARACTER_SET_NAME sysname=${CHARACTER_SET}
    COLLATION_NAME sysname=c.collation_name`,
    `${COLUMNS} ${SCHEMA} WHERE o.type IN ('U', 'V') AND ${SEEN}`,
  ),
  'INFORMATION_SCHEMA.KEY_COLUMN_USAGE': view(
    `CONSTRAINT_CATALOG nvarchar(128)=$database
    CONSTRAINT_SCHEMA nvarchar(128)=s.name
    CONSTRAINT_NAME sysname!=o.name
    TABLE_CATALOG nvarchar(128)=$database
    TABLE_SCHEMA nvarchar(128)=s.name
    TABLE_NAME sysname!=t.name
    COLUMN_NAME nvarchar(128)=c.name
    ORDINAL_POSITION int!=u.ordinal`,
    `(SELECT i.constraint_id AS object_id, ic.column_id, ic.key_ordinal AS ordinal
        FROM tsql.indexes i JOIN tsql.index_columns ic USING (object_id, index_id)
        WHERE i.constraint_id IS NOT NULL AND NOT ic.included
      UNION ALL SELECT f.object_id, f.column_id, f.ordinal FROM tsql.foreign_key_columns f) u
    JOIN tsql.objects o ON o.object_id = u.object_id JOIN tsql.objects t ON t.object_id = o.parent_object_id
    JOIN tsql.columns c ON c.object_id = t.object_id AND c.column_id = u.column_id ${SCHEMA} WHERE ${SEEN}`,
  ),
  'INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS': view(
    `CONSTRAINT_CATALOG nvarchar(128)=$database
    CONSTRAINT_SCHEMA nvarchar(128)=s.name
    CONSTRAINT_NAME sysname!=o.name
    UNIQUE_CONSTRAINT_CATALOG nvarchar(128)=$database
    UNIQUE_CONSTRAINT_SCHEMA nvarchar(128)=rs.name
    UNIQUE_CONSTRAINT_NAME sysname=i.name
    MATCH_OPTION varchar(7)='SIMPLE'
    UPDATE_RULE varchar(11)=k.on_update
    DELETE_RULE varchar(11)=k.on_delete`,
    `tsql.foreign_keys k JOIN tsql.objects o ON o.object_id = k.object_id ${SCHEMA}
    JOIN tsql.objects r ON r.object_id = k.referenced_object_id JOIN tsql.schemas rs ON rs.schema_id = r.schema_id
    JOIN tsql.indexes i ON i.object_id = k.referenced_object_id AND i.index_id = k.key_index_id WHERE ${SEEN}`,
  ),
};
