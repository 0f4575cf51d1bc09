/**
 * The stand-in's own tables in each PostgreSQL database: what was declared in T-SQL, beside the real tables.
 *
 * Runs inside the embedded PostgreSQL, schema `tsql`. Everything here is transactional with the DDL it describes.
 */
export const METADATA_SQL = `
CREATE SEQUENCE tsql.object_ids AS int START 581577110 INCREMENT 16;
CREATE SEQUENCE tsql.rowversions START 2001;
CREATE TABLE tsql.schemas (schema_id int PRIMARY KEY, name text NOT NULL, pg_name text NOT NULL);
INSERT INTO tsql.schemas VALUES (1, 'dbo', 'dbo'), (2, 'guest', 'guest'), (3, 'INFORMATION_SCHEMA', 'INFORMATION_SCHEMA'), (4, 'sys', 'sys');
CREATE SCHEMA dbo;
CREATE SCHEMA guest;
CREATE TABLE tsql.types (user_type_id int PRIMARY KEY, schema_id int NOT NULL, name text NOT NULL, type jsonb NOT NULL, nullable boolean NOT NULL);
CREATE TABLE tsql.objects (object_id int PRIMARY KEY, schema_id int NOT NULL, parent_object_id int NOT NULL, name text NOT NULL, pg_name text NOT NULL,
  type text NOT NULL, created bigint NOT NULL DEFAULT tsql.ticks_datetime(tsql.now_ticks(true), '', false), system_named boolean NOT NULL DEFAULT false);
CREATE UNIQUE INDEX ON tsql.objects (schema_id, (name COLLATE tsql.ci_as));
CREATE TABLE tsql.columns (object_id int NOT NULL, column_id int NOT NULL, name text NOT NULL, pg_name text NOT NULL, type jsonb NOT NULL, system_type_id int NOT NULL,
  user_type_id int NOT NULL, max_length int NOT NULL, precision int NOT NULL, scale int NOT NULL, collation_name text, nullable boolean NOT NULL,
  identity_seed numeric, identity_increment numeric, computed_text text, persisted boolean, default_object_id int NOT NULL DEFAULT 0, default_text text,
  sparse boolean NOT NULL DEFAULT false, rowguid boolean NOT NULL DEFAULT false, PRIMARY KEY (object_id, column_id));
CREATE TABLE tsql.indexes (object_id int NOT NULL, index_id int NOT NULL, name text, pg_name text, kind int NOT NULL, is_unique boolean NOT NULL, is_primary boolean NOT NULL,
  is_constraint boolean NOT NULL, constraint_id int, filter_text text, disabled boolean NOT NULL DEFAULT false, PRIMARY KEY (object_id, index_id));
CREATE TABLE tsql.index_columns (object_id int NOT NULL, index_id int NOT NULL, index_column_id int NOT NULL, column_id int NOT NULL, key_ordinal int NOT NULL,
  descending boolean NOT NULL, included boolean NOT NULL, PRIMARY KEY (object_id, index_id, index_column_id));
CREATE TABLE tsql.checks (object_id int PRIMARY KEY, column_id int NOT NULL, text text NOT NULL, disabled boolean NOT NULL DEFAULT false, not_trusted boolean NOT NULL DEFAULT false);
CREATE TABLE tsql.foreign_keys (object_id int PRIMARY KEY, referenced_object_id int NOT NULL, key_index_id int NOT NULL, on_delete text NOT NULL, on_update text NOT NULL,
  disabled boolean NOT NULL DEFAULT false, not_trusted boolean NOT NULL DEFAULT false);
CREATE TABLE tsql.foreign_key_columns (object_id int NOT NULL, ordinal int NOT NULL, column_id int NOT NULL, referenced_column_id int NOT NULL, PRIMARY KEY (object_id, ordinal));
CREATE TABLE tsql.modules (object_id int PRIMARY KEY, definition text NOT NULL);
CREATE TABLE tsql.synonyms (object_id int PRIMARY KEY, base text NOT NULL);
CREATE TABLE tsql.sequences (object_id int PRIMARY KEY, type jsonb NOT NULL, start_value numeric NOT NULL, increment numeric NOT NULL, minimum numeric NOT NULL,
  maximum numeric NOT NULL, cycles boolean NOT NULL, cached boolean NOT NULL, cache_size int);
-- value: a sql_variant.
CREATE TABLE tsql.properties (class int NOT NULL, major_id int NOT NULL, minor_id int NOT NULL, name text NOT NULL, value text);
CREATE UNIQUE INDEX ON tsql.properties (class, major_id, minor_id, (name COLLATE tsql.ci_as));
CREATE TABLE tsql.users (principal_id int PRIMARY KEY, name text NOT NULL, login text);
INSERT INTO tsql.users VALUES (1, 'dbo', 'sa');
CREATE TABLE tsql.role_members (role text NOT NULL, member text NOT NULL, PRIMARY KEY (role, member));
-- class: database, schema or object; id is its id, or 0.
CREATE TABLE tsql.permissions (grantee text NOT NULL, class text NOT NULL, id int NOT NULL, permission text NOT NULL, state text NOT NULL, PRIMARY KEY (grantee, class, id, permission));

CREATE FUNCTION tsql.relation(id int) RETURNS text LANGUAGE sql STABLE STRICT
RETURN (SELECT format('%I.%I', s.pg_name, o.pg_name) FROM tsql.objects o JOIN tsql.schemas s USING (schema_id) WHERE o.object_id = id AND o.type = 'U');
CREATE FUNCTION tsql.count_rows(id int) RETURNS bigint LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE n bigint;
BEGIN EXECUTE 'SELECT count(*) FROM ' || tsql.relation(id) INTO n; RETURN n; END $$;
CREATE FUNCTION tsql.used_pages(id int) RETURNS bigint LANGUAGE sql STABLE STRICT RETURN pg_total_relation_size(tsql.relation(id)) / 8192;
CREATE FUNCTION tsql.identity_last(id int) RETURNS numeric LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE n numeric;
BEGIN EXECUTE format('SELECT CASE WHEN is_called THEN last_value END FROM tsql."id_%s"', id) INTO n; RETURN n; END $$;
CREATE FUNCTION tsql.sequence_last(id int) RETURNS numeric LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE n numeric;
BEGIN
  IF to_regclass(format('tsql."sq_%s"', id)) IS NULL THEN RETURN NULL; END IF;
  EXECUTE format('SELECT CASE WHEN is_called THEN last_value END FROM tsql."sq_%s"', id) INTO n;
  RETURN n;
END $$;
-- Who asks: '' is a member of sysadmin; the role dbo sees everything too.
CREATE FUNCTION tsql.sees(id int, parent int, schema int) RETURNS boolean LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE who text := current_setting('tsql.principal', true);
BEGIN
  IF coalesce(who, '') = '' THEN RETURN true; END IF;
  RETURN EXISTS (SELECT FROM tsql.role_members WHERE member = who AND role IN ('db_owner', 'db_datareader', 'db_datawriter', 'db_ddladmin'))
    OR EXISTS (SELECT FROM tsql.permissions p WHERE p.grantee IN (who, 'public') AND p.state = 'GRANT'
      AND (p.class = 'database' AND p.permission IN ('SELECT', 'CONTROL', 'VIEW DEFINITION', 'INSERT', 'UPDATE', 'DELETE', 'ALTER')
        OR p.class = 'schema' AND p.id = sees.schema OR p.class = 'object' AND p.id IN (sees.id, sees.parent)));
END $$;
-- OBJECT_ID of a value: [schema].[name], also without a schema, which is dbo then; of a type, or of any.
CREATE FUNCTION tsql.object_id(named text, kind text) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE parts text[] := array(SELECT coalesce(replace(m[1], ']]', ']'), replace(m[2], '""', '"'), btrim(m[3]))
  FROM regexp_matches(named, '\\[((?:[^\\]]|\\]\\])*)\\]|"((?:[^"]|"")*)"|([^.[\\]"]+)', 'g') WITH ORDINALITY AS r(m, n) ORDER BY n);
BEGIN
  RETURN (SELECT o.object_id FROM tsql.objects o JOIN tsql.schemas s USING (schema_id)
    WHERE o.name COLLATE tsql.ci_as = parts[cardinality(parts)] COLLATE tsql.ci_as
      AND s.name COLLATE tsql.ci_as = coalesce(parts[cardinality(parts) - 1], 'dbo') COLLATE tsql.ci_as
      AND (kind IS NULL OR o.type = upper(btrim(kind))));
END $$;
`;
