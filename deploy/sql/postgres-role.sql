-- The role the tool logs in to PostgreSQL with, and no more than it needs. As a superuser or the database's owner,
-- connected to the target database:
--
--   psql -v role=migrator -v password=... -v schema=sales -f postgres-role.sql
--
-- One schema to fill and one for the ledger are made beforehand: the role need not be allowed to make any. Tables it
-- is to empty or bring up to date must be its own: it alters them, and only an owner may.
CREATE ROLE :"role" LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
-- upsert brings changes over in temporary tables. PUBLIC may have both rights already.
GRANT CONNECT, TEMPORARY ON DATABASE :"DBNAME" TO :"role";
CREATE SCHEMA IF NOT EXISTS :"schema";
GRANT USAGE, CREATE ON SCHEMA :"schema" TO :"role";
CREATE SCHEMA IF NOT EXISTS mssql_pg_migrate;
GRANT USAGE, CREATE ON SCHEMA mssql_pg_migrate TO :"role";
-- Only for `run --join`, whose queue makes its own schema the first time:
-- GRANT CREATE ON DATABASE :"DBNAME" TO :"role";
