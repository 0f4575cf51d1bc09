/**
 * Every default of the configuration: its value, its unit, and why it is that.
 *
 * Runs on the main thread only. `schema.ts` takes the values from here, docs/configuration.md and
 * the JSON Schema's descriptions follow from both. Settings that are sized from the host have no value here.
 */

/** A default with its unit (empty for names and switches) and the reason for it. */
export interface Default<T> {
  value: T;
  unit: string;
  why: string;
}

function setting<const T>(value: T, unit: string, why: string): Default<T> {
  return { value, unit, why };
}

export const SOURCE_DEFAULTS = {
  type: setting('mssql', '', 'the only kind of source there is'),
  port: setting(1433, 'TCP port', 'the port a default instance of SQL Server listens on'),
  authentication: setting('sql', '', 'every SQL Server can have it'),
  schema: setting('dbo', '', "SQL Server's own default schema"),
  encrypt: setting(true, '', 'passwords and rows should not cross a network in the clear unasked'),
  trust_server_cert: setting(false, '', 'a certificate nobody checks protects against nobody'),
  isolation: setting('read_committed', '', 'reads only what was committed, and works on every database'),
  application_intent: setting('read_write', '', 'the primary has the newest rows, and every server takes it'),
  connect_timeout_seconds: setting(
    15,
    's',
    'long enough for a login over a slow link, short enough to notice',
  ),
  request_timeout_seconds: setting(0, 's', 'reading a large table takes as long as it takes; 0 is no limit'),
  stall_timeout_seconds: setting(
    300,
    's',
    'longer than the source should block a reader, far shorter than the system takes to notice a lost peer',
  ),
  packet_size_bytes: setting(
    32767,
    'bytes',
    'the largest TDS packet: fewest packet headers a row; with encryption SQL Server takes 16383, and no more is asked for',
  ),
} as const;

/** SQL Server ends a session whose packets don't each fit one TLS record: "network packet size" of encrypted connections. */
export const MAX_ENCRYPTED_PACKET_BYTES = 16_383;

export const TARGET_DEFAULTS = {
  type: setting('postgres', '', 'the only kind of target there is'),
  port: setting(5432, 'TCP port', 'the port PostgreSQL listens on'),
  schema: setting('public', '', "PostgreSQL's own default schema"),
  ssl_mode: setting('require', '', 'like the source: no clear text unless it is asked for'),
  connect_timeout_seconds: setting(
    15,
    's',
    'long enough for a login over a slow link, short enough to notice',
  ),
  lock_timeout_seconds: setting(
    60,
    's',
    'someone holding a lock on a table should be reported, not waited for',
  ),
  stall_timeout_seconds: setting(
    300,
    's',
    'longer than a checkpoint or a slow disk, far shorter than the system takes to notice a lost peer',
  ),
} as const;

export const VERIFY_DEFAULTS = {
  tier1_batch_size: setting(1_000_000, 'rows', 'one aggregate answer for each million rows'),
  tier2_batch_size: setting(10_000, 'rows', 'few enough rows to fetch their hashes one by one'),
  parallel_verify_ranges: setting(4, 'ranges', 'keeps both servers busy without crowding them'),
} as const;

export const MIGRATION_DEFAULTS = {
  target_mode: setting('drop_recreate', '', 'the mode for a first migration'),
  drop_cascade: setting(false, '', 'views of other people should not go because a table is loaded anew'),
  identifier_case: setting('preserve', '', 'queries written for the source go on to work, quoted'),
  memory_budget_percent: setting(70, '% of memory', 'leaves the rest to the runtime and the page cache'),
  large_table_threshold: setting(5_000_000, 'rows', 'below this, cutting a table costs more than it gains'),
  max_partitions: setting(12, 'partitions', 'more ranges than readers, so that skewed keys even out'),
  min_rows_per_partition: setting(200_000, 'rows', 'a range should outlast the query that opens it'),
  use_binary_copy: setting(true, '', 'PostgreSQL takes in binary COPY about twice as fast as text'),
  use_unlogged_tables: setting(false, '', 'a crash of the server would empty an unlogged table'),
  copy_buffer_rows: setting(
    10_000,
    'rows',
    'the value such files usually hold; changing it has no effect and is reported',
  ),
  row_hash_column: setting('row_hash', '', 'the name other tools of this kind use'),
  hash_text_columns: setting(
    false,
    '',
    'large texts dominate the cost of hashing; the result names what was left out',
  ),
  upsert_batch_size: setting(2000, 'rows', 'rows merged by one statement'),
  upsert_parallel_tasks: setting(4, 'tasks', 'merges side by side without crowding the server'),
  delete_extra_rows: setting(
    false,
    '',
    'rows only the target has are reported; deleting is asked for, never assumed',
  ),
  max_retries: setting(5, 'retries', 'with the pauses between them, half a minute: a failover or a restart'),
  retry_delay_ms: setting(1000, 'ms', 'time for a deadlock or a lost connection to clear'),
  create_indexes: setting(true, '', 'a migrated table should answer queries as the original did'),
  create_foreign_keys: setting(true, '', 'a migrated table should refuse what the original refused'),
  create_check_constraints: setting(true, '', 'a migrated table should refuse what the original refused'),
  computed_columns: setting('generated', '', 'a migrated table should compute what the original computed'),
  datetimeoffset: setting('timestamptz', '', 'it is the instant that is compared, sorted and computed with'),
  xml: setting('text', '', 'text takes every value as it is and needs nothing of the server'),
  uniqueidentifier: setting('uuid', '', 'the same 16 bytes, and PostgreSQL checks them'),
  spatial: setting('text', '', 'needs no extension in the target'),
  collation: setting('none', '', 'comparing without case costs speed and changes what LIKE may do'),
  on_nul: setting('error', '', 'PostgreSQL text cannot hold U+0000; losing it silently is not a choice'),
} as const;
