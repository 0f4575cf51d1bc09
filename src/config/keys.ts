/**
 * Every configuration key: its type, bounds and default, in one valibot schema.
 *
 * Runs on the main thread only. `schema.ts` checks files against it, `json-schema.ts` generates the
 * JSON Schema for editors from it.
 */
import * as v from 'valibot';
import { AUTHENTICATION_METHODS } from './authentication.js';
import { MIGRATION_DEFAULTS, SOURCE_DEFAULTS, TARGET_DEFAULTS, VERIFY_DEFAULTS } from './defaults.js';
import { choice, flag, flagOr, mapping, nameMap, names, patterns, secret, text, whole } from './fields.js';

const S = SOURCE_DEFAULTS;
const T = TARGET_DEFAULTS;
const M = MIGRATION_DEFAULTS;
const B = VERIFY_DEFAULTS;

/** A day: no timeout in this file may be longer. */
const MAX_TIMEOUT_SECONDS = 86_400;

export const sourceSchema = v.strictObject({
  type: v.optional(choice(['mssql', 'sqlserver'], 'Kind of source', S.type.why), S.type.value),
  host: text(255, 'Host name or IP address of SQL Server'),
  port: v.optional(whole(1, 65_535, 'Port of SQL Server', S.port.unit, S.port.why), S.port.value),
  database: text(128, 'Database to read'),
  authentication: v.optional(
    choice(
      AUTHENTICATION_METHODS,
      "Who logs in: SQL Server's own login, a Windows account (NTLM), or an identity of Microsoft Entra ID",
      S.authentication.why,
    ),
    S.authentication.value,
  ),
  user: v.optional(text(128, 'Login name; Windows or Entra user')),
  password: v.optional(
    secret('Password of the login, client secret or access token; best taken from a variable or a file'),
  ),
  domain: v.optional(text(255, 'Windows domain, for ntlm')),
  tenant_id: v.optional(text(128, 'Entra tenant, for entra_service_principal and entra_password')),
  client_id: v.optional(text(128, 'Entra application or managed identity')),
  schema: v.optional(
    names(128, 'Schema whose tables are read: one, a list, or "*" for all', S.schema.why),
    S.schema.value,
  ),
  encrypt: v.optional(
    flagOr(
      'strict',
      'Encrypt the whole connection with TLS; strict is TDS 8.0 of SQL Server 2022, with TLS before anything else',
      S.encrypt.why,
    ),
    S.encrypt.value,
  ),
  trust_server_cert: v.optional(
    flag("Accept the server's certificate unchecked (development only)", S.trust_server_cert.why),
    S.trust_server_cert.value,
  ),
  ca_file: v.optional(text(4096, 'PEM file of the authorities that may have signed the certificate')),
  client_cert_file: v.optional(text(4096, 'PEM file of a certificate to show, where a proxy asks for one')),
  client_key_file: v.optional(text(4096, 'PEM file of its key')),
  isolation: v.optional(
    choice(
      ['read_committed', 'snapshot', 'read_uncommitted'],
      'Isolation level of reads; read_uncommitted (NOLOCK) may miss or double rows and is named in the result',
      S.isolation.why,
    ),
    S.isolation.value,
  ),
  application_intent: v.optional(
    choice(
      ['read_write', 'read_only'],
      'What connections are announced for, as ApplicationIntent; read_only lets an availability group give a readable secondary',
      S.application_intent.why,
    ),
    S.application_intent.value,
  ),
  connect_timeout_seconds: v.optional(
    whole(1, 3600, 'Time to connect and log in', 's', S.connect_timeout_seconds.why),
    S.connect_timeout_seconds.value,
  ),
  request_timeout_seconds: v.optional(
    whole(
      0,
      MAX_TIMEOUT_SECONDS,
      'Time one read may take; 0 is no limit',
      's',
      S.request_timeout_seconds.why,
    ),
    S.request_timeout_seconds.value,
  ),
  stall_timeout_seconds: v.optional(
    whole(
      0,
      MAX_TIMEOUT_SECONDS,
      'Time the source may send nothing in the middle of an answer; before it four times as long, and that for every 10 million rows it has to go through first; 0 is no limit',
      's',
      S.stall_timeout_seconds.why,
    ),
    S.stall_timeout_seconds.value,
  ),
  packet_size_bytes: v.optional(
    whole(512, 32_767, 'TDS packet size asked of the server', 'bytes', S.packet_size_bytes.why),
    S.packet_size_bytes.value,
  ),
});

export const targetSchema = v.strictObject({
  type: v.optional(choice(['postgres', 'postgresql'], 'Kind of target', T.type.why), T.type.value),
  host: text(255, 'Host name or IP address of PostgreSQL'),
  port: v.optional(whole(1, 65_535, 'Port of PostgreSQL', T.port.unit, T.port.why), T.port.value),
  database: text(63, 'Database to write to; it must exist'),
  user: text(63, 'Role to log in as'),
  password: v.optional(
    secret('Password of the role; best taken from a variable or a file; may be left out with ssl_cert_file'),
  ),
  schema: v.optional(text(63, 'Schema to write to; created if missing', T.schema.why), T.schema.value),
  ssl_mode: v.optional(
    choice(
      ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'],
      "TLS, with libpq's meanings; verify-ca and verify-full check the certificate",
      T.ssl_mode.why,
    ),
    T.ssl_mode.value,
  ),
  ssl_ca_file: v.optional(text(4096, 'PEM file of the authorities for verify-ca and verify-full')),
  ssl_cert_file: v.optional(text(4096, 'PEM file of the client certificate to log in with')),
  ssl_key_file: v.optional(text(4096, 'PEM file of its key')),
  connect_timeout_seconds: v.optional(
    whole(1, 3600, 'Time to connect and log in', 's', T.connect_timeout_seconds.why),
    T.connect_timeout_seconds.value,
  ),
  lock_timeout_seconds: v.optional(
    whole(
      0,
      MAX_TIMEOUT_SECONDS,
      "Time a statement waits for another session's lock; 0 is no limit",
      's',
      T.lock_timeout_seconds.why,
    ),
    T.lock_timeout_seconds.value,
  ),
  stall_timeout_seconds: v.optional(
    whole(
      0,
      MAX_TIMEOUT_SECONDS,
      'Time the target may let a COPY or COMMIT wait; 0 is no limit',
      's',
      T.stall_timeout_seconds.why,
    ),
    T.stall_timeout_seconds.value,
  ),
});

export const batchVerifySchema = v.strictObject({
  tier1_batch_size: v.optional(
    whole(1, 1_000_000_000, 'Size of the coarse ranges', 'rows', B.tier1_batch_size.why),
    B.tier1_batch_size.value,
  ),
  tier2_batch_size: v.optional(
    whole(1, 10_000_000, 'Size of the fine ranges', 'rows', B.tier2_batch_size.why),
    B.tier2_batch_size.value,
  ),
  parallel_verify_ranges: v.optional(
    whole(1, 64, 'Ranges compared at the same time', 'ranges', B.parallel_verify_ranges.why),
    B.parallel_verify_ranges.value,
  ),
});

export const migrationSchema = v.strictObject({
  target_mode: v.optional(
    choice(
      ['drop_recreate', 'truncate', 'upsert'],
      'What happens to target tables: dropped and created again, emptied, or brought up to date',
      M.target_mode.why,
    ),
    M.target_mode.value,
  ),

  drop_cascade: v.optional(
    flag(
      'drop_recreate: drop what depends on the tables as well: views, foreign keys, functions, partitions',
      M.drop_cascade.why,
    ),
    M.drop_cascade.value,
  ),
  schema_mapping: v.optional(
    nameMap(128, 63, 'Target schema of each source schema; others go to target.schema or keep their name'),
    {},
  ),
  identifier_case: v.optional(
    choice(
      ['preserve', 'lower', 'snake'],
      'Names in the target: as in the source, in lower case, or in snake_case',
      M.identifier_case.why,
    ),
    M.identifier_case.value,
  ),

  workers: v.optional(whole(1, 256, 'Tables read at the same time; unset: from the cores')),
  chunk_size: v.optional(whole(1, 10_000_000, 'One COPY, one transaction; unset: from memory', 'rows')),
  parallel_readers: v.optional(whole(1, 256, 'Reading streams; unset: from the cores')),
  write_ahead_writers: v.optional(whole(1, 256, 'Writing connections; unset: from the cores')),

  memory_budget_percent: v.optional(
    whole(
      1,
      95,
      'Share of the memory this process may use',
      M.memory_budget_percent.unit,
      M.memory_budget_percent.why,
    ),
    M.memory_budget_percent.value,
  ),
  read_ahead_buffers: v.optional(whole(1, 256, 'Buffers a ring holds; unset: from memory', 'buffers')),

  large_table_threshold: v.optional(
    whole(
      1,
      Number.MAX_SAFE_INTEGER,
      'Tables of at least this size are read in partitions',
      'rows',
      M.large_table_threshold.why,
    ),
    M.large_table_threshold.value,
  ),
  max_partitions: v.optional(
    whole(1, 4096, 'Partitions a table is cut into, at most', 'partitions', M.max_partitions.why),
    M.max_partitions.value,
  ),
  min_rows_per_partition: v.optional(
    whole(
      1,
      Number.MAX_SAFE_INTEGER,
      'No partition is planned smaller than this',
      'rows',
      M.min_rows_per_partition.why,
    ),
    M.min_rows_per_partition.value,
  ),

  max_mssql_connections: v.optional(
    whole(3, 1024, 'Connections to SQL Server, at most; unset: as many as needed'),
  ),
  max_pg_connections: v.optional(
    whole(3, 1024, 'Connections to PostgreSQL, at most; unset: as many as needed'),
  ),

  use_binary_copy: v.optional(
    flag('Send rows as binary COPY; false sends text', M.use_binary_copy.why),
    M.use_binary_copy.value,
  ),
  use_unlogged_tables: v.optional(
    flag('Load into UNLOGGED tables and turn them LOGGED before the end', M.use_unlogged_tables.why),
    M.use_unlogged_tables.value,
  ),
  copy_buffer_rows: v.optional(
    whole(
      1,
      10_000_000,
      'Kept for files of other tools: COPY data is sent on as soon as a buffer is full',
      'rows',
      M.copy_buffer_rows.why,
    ),
    M.copy_buffer_rows.value,
  ),

  use_hash_detection: v.optional(
    flag('Keep a hash of every row in the target. Default: true for upsert, false otherwise'),
  ),
  row_hash_column: v.optional(
    text(63, 'Column that holds the hash', M.row_hash_column.why),
    M.row_hash_column.value,
  ),
  hash_text_columns: v.optional(
    flag('Hash text, ntext, varchar(max), nvarchar(max) and xml columns too', M.hash_text_columns.why),
    M.hash_text_columns.value,
  ),
  upsert_batch_size: v.optional(
    whole(1, 1_000_000, 'Size of one merge', 'rows', M.upsert_batch_size.why),
    M.upsert_batch_size.value,
  ),
  upsert_parallel_tasks: v.optional(
    whole(1, 64, 'Merges at the same time', 'tasks', M.upsert_parallel_tasks.why),
    M.upsert_parallel_tasks.value,
  ),
  delete_extra_rows: v.optional(
    flag('upsert: delete target rows whose key the source no longer has', M.delete_extra_rows.why),
    M.delete_extra_rows.value,
  ),

  include_tables: v.optional(
    patterns('Patterns of tables to migrate, matched against table and schema.table; empty: all'),
    [],
  ),
  exclude_tables: v.optional(patterns('Patterns of tables to leave out; they win over include_tables'), []),

  max_retries: v.optional(
    whole(
      0,
      1000,
      'Tries after the first where something fails for a passing reason, without progress in between',
      M.max_retries.unit,
      M.max_retries.why,
    ),
    M.max_retries.value,
  ),
  retry_delay_ms: v.optional(
    whole(
      0,
      600_000,
      'Pause before the first of them; each further one is twice as long, up to a minute',
      M.retry_delay_ms.unit,
      M.retry_delay_ms.why,
    ),
    M.retry_delay_ms.value,
  ),

  create_indexes: v.optional(
    flag('Create the indexes other than the primary key', M.create_indexes.why),
    M.create_indexes.value,
  ),
  create_foreign_keys: v.optional(
    flag('Create the foreign keys', M.create_foreign_keys.why),
    M.create_foreign_keys.value,
  ),
  create_check_constraints: v.optional(
    flag('Create the check constraints', M.create_check_constraints.why),
    M.create_check_constraints.value,
  ),

  on_nul: v.optional(
    choice(
      ['error', 'strip', 'replace'],
      'A NUL character in text: refuse the row, leave the character out, or write U+FFFD instead',
      M.on_nul.why,
    ),
    M.on_nul.value,
  ),

  computed_columns: v.optional(
    choice(
      ['generated', 'value', 'skip'],
      'Computed columns: generated by the target where they are persisted and translate exactly, else copied; always copied; or left out',
      M.computed_columns.why,
    ),
    M.computed_columns.value,
  ),
  type_overrides: v.optional(
    mapping(
      'a PostgreSQL type, such as "text" or "numeric(19,4)"',
      'PostgreSQL types by source type (nvarchar, "decimal(10,0)", an alias type) or by column (table.column, schema.table.column)',
    ),
    {},
  ),
  datetimeoffset: v.optional(
    choice(
      ['timestamptz', 'timestamp', 'text'],
      'What datetimeoffset becomes: the instant, the instant in UTC, or the text with its offset',
      M.datetimeoffset.why,
    ),
    M.datetimeoffset.value,
  ),
  xml: v.optional(choice(['text', 'xml'], 'What xml becomes', M.xml.why), M.xml.value),
  uniqueidentifier: v.optional(
    choice(['uuid', 'text'], 'What uniqueidentifier becomes', M.uniqueidentifier.why),
    M.uniqueidentifier.value,
  ),
  spatial: v.optional(
    choice(
      ['text', 'geometry'],
      'What geometry and geography become: well-known text, or the types of PostGIS, which must be in the target',
      M.spatial.why,
    ),
    M.spatial.value,
  ),
  collation: v.optional(
    choice(
      ['none', 'citext', 'icu'],
      'Text of a case-insensitive collation: compared as the target does, type citext, or a collation of ICU without case',
      M.collation.why,
    ),
    M.collation.value,
  ),

  batch_verify: v.optional(batchVerifySchema, {}),
});

export const configSchema = v.strictObject({
  source: sourceSchema,
  target: targetSchema,
  migration: v.optional(migrationSchema, {}),
});

/** Paths whose values are never printed, logged or hashed. */
export const SECRET_PATHS: readonly string[] = ['source.password', 'target.password'];
