/**
 * Reading configuration files: syntax, variables, defaults, and what is said of every mistake.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { configHash, redact } from '../src/config/identity.js';
import { loadConfig, readConfig } from '../src/config/load.js';
import { type Config, parseConfig } from '../src/config/schema.js';
import { unusedSettings } from '../src/config/unused.js';
import { namingOf, unusedMappings } from '../src/plan/naming.js';
import { assertFailure, failure, MINIMAL } from './support/configText.js';

/** The reference example: every key, explicitly. */
const COMPLETE = `
source:
  type: sqlserver
  host: mssql.example.com
  port: 1434
  database: SourceDB
  user: sa
  password: "p"
  schema: sales
  encrypt: false
  trust_server_cert: true
target:
  type: postgresql
  host: postgres.example.com
  port: 5433
  database: target_db
  user: postgres
  password: "p"
  schema: public2
  ssl_mode: verify-full
  ssl_ca_file: /etc/ca.pem
migration:
  target_mode: upsert
  workers: 4
  chunk_size: 50000
  parallel_readers: 8
  write_ahead_writers: 4
  memory_budget_percent: 60
  read_ahead_buffers: 8
  large_table_threshold: 4000000
  max_partitions: 10
  min_rows_per_partition: 100000
  max_mssql_connections: 50
  max_pg_connections: 40
  use_binary_copy: false
  use_unlogged_tables: true
  copy_buffer_rows: 20000
  use_hash_detection: true
  row_hash_column: hash
  hash_text_columns: true
  upsert_batch_size: 1000
  upsert_parallel_tasks: 2
  include_tables: ["sales_*", "inventory_*"]
  exclude_tables:
    - "*_archive"
  create_indexes: false
  create_foreign_keys: false
  create_check_constraints: false
  batch_verify:
    tier1_batch_size: 500000
    tier2_batch_size: 5000
    parallel_verify_ranges: 2
`;

test('a minimal file gets every default, and leaves what the host decides open', () => {
  const config = readConfig(MINIMAL, { environment: {} });
  assert.deepEqual(config, {
    source: {
      type: 'mssql',
      host: 'mssql',
      port: 1433,
      database: 'Sales',
      user: 'sa',
      password: 's3cret-source',
      schema: 'dbo',
      encrypt: true,
      trust_server_cert: false,
      isolation: 'read_committed',
      application_intent: 'read_write',
      authentication: 'sql',
      connect_timeout_seconds: 15,
      request_timeout_seconds: 0,
      packet_size_bytes: 32767,
      stall_timeout_seconds: 300,
    },
    target: {
      type: 'postgres',
      host: 'pg',
      port: 5432,
      database: 'sales',
      user: 'app',
      password: 's3cret-target',
      schema: 'public',
      ssl_mode: 'require',
      connect_timeout_seconds: 15,
      lock_timeout_seconds: 60,
      stall_timeout_seconds: 300,
    },
    migration: {
      target_mode: 'drop_recreate',
      drop_cascade: false,
      schema_mapping: {},
      identifier_case: 'preserve',
      memory_budget_percent: 70,
      large_table_threshold: 5_000_000,
      max_partitions: 12,
      min_rows_per_partition: 200_000,
      use_binary_copy: true,
      use_unlogged_tables: false,
      copy_buffer_rows: 10_000,
      use_hash_detection: false,
      row_hash_column: 'row_hash',
      hash_text_columns: false,
      upsert_batch_size: 2000,
      upsert_parallel_tasks: 4,
      delete_extra_rows: false,
      include_tables: [],
      exclude_tables: [],
      max_retries: 5,
      retry_delay_ms: 1000,
      create_indexes: true,
      create_foreign_keys: true,
      create_check_constraints: true,
      computed_columns: 'generated',
      type_overrides: {},
      datetimeoffset: 'timestamptz',
      xml: 'text',
      uniqueidentifier: 'uuid',
      spatial: 'text',
      collation: 'none',
      on_nul: 'error',
      batch_verify: { tier1_batch_size: 1_000_000, tier2_batch_size: 10_000, parallel_verify_ranges: 4 },
    },
  });
});

test('every key of the complete example is taken as given', () => {
  const config = readConfig(COMPLETE, { environment: {} });
  assert.equal(config.source.schema, 'sales');
  assert.equal(config.source.encrypt, false);
  assert.equal(config.target.ssl_ca_file, '/etc/ca.pem');
  assert.deepEqual(config.migration.include_tables, ['sales_*', 'inventory_*']);
  assert.deepEqual(
    [config.migration.workers, config.migration.chunk_size, config.migration.max_pg_connections],
    [4, 50_000, 40],
  );
  assert.equal(config.migration.create_check_constraints, false);
  assert.equal(config.migration.batch_verify.tier2_batch_size, 5000);
});

test('settings that don’t act as they are given are said', () => {
  const said = (source: string, migration = '') =>
    unusedSettings(
      readConfig(`${MINIMAL.replace('host: mssql', `host: mssql, ${source}`)}migration: { ${migration} }`, {
        environment: {},
      }),
    );
  assert.deepEqual(said('port: 1433'), []);
  assert.match(said('port: 1433', 'copy_buffer_rows: 9').join(), /copy_buffer_rows has no effect/);
  assert.match(said('packet_size_bytes: 20000').join(), /16383 is asked for, not 20000/);
  assert.deepEqual(said('packet_size_bytes: 16383'), []);
  assert.deepEqual(said('packet_size_bytes: 20000, encrypt: false'), []);
});

test('the hash column is kept by default for upsert only', () => {
  const mode = (text: string) =>
    readConfig(`${MINIMAL}migration: { ${text} }`, { environment: {} }).migration.use_hash_detection;
  assert.equal(mode('target_mode: upsert'), true);
  assert.equal(mode('target_mode: truncate'), false);
  assert.equal(mode('target_mode: truncate, use_hash_detection: true'), true);
  assert.equal(mode('target_mode: upsert, use_hash_detection: false'), false);
});

test('JSON is read as well, tabs and byte order mark included', () => {
  const json = JSON.stringify(
    {
      source: { host: 'h', database: 'd', user: 'u', password: 'p', port: 1500 },
      target: { host: 'h', database: 'd', user: 'u', password: '' },
    },
    null,
    '\t',
  );
  assert.equal(readConfig(`\uFEFF${json}`, { environment: {} }).source.port, 1500);
});

test('keys without a value count as not given', () => {
  const config = readConfig(`${MINIMAL}migration:\n  include_tables:\n  workers:\n  batch_verify:\n`, {
    environment: {},
  });
  assert.deepEqual(config.migration.include_tables, []);
  assert.equal(config.migration.workers, undefined);
});

test('all problems are reported at once, each with path, place, value and what would be right', () => {
  const error = failure(`source:
  host: h
  port: 99999
  database: 2024
  user: sa
  password: 123456
target:
  host: h
  user: u
  password: p
  ssl_mode: Require
migration:
  workers: 0
  chunk_size: 1.5
  use_binary_copy: yes please
  exclude_tables: temp_*
`);
  assert.equal(error.code, 'CONFIG_INVALID');
  assert.match(error.message, /^c\.yaml: 9 problems\n/);
  assert.match(error.message, /source\.port \(line 3, column 9\) 99999 .* 1 to 65535/);
  assert.match(error.message, /source\.database \(line 4, column 13\) 2024 .*in quotes/);
  assert.match(error.message, /target\.database .* is missing; it is required/);
  assert.match(
    error.message,
    /target\.ssl_mode .*"Require".*disable, allow, prefer, require, verify-ca, verify-full/,
  );
  assert.match(error.message, /migration\.workers .* 0 .* 1 to 256/);
  assert.match(error.message, /migration\.chunk_size .* 1\.5 .* whole number/);
  assert.match(error.message, /migration\.use_binary_copy .*"yes please".* true or false/);
  assert.match(error.message, /migration\.exclude_tables .*"temp_\*".* a list/);
});

test('unknown keys are refused with the nearest known one', () => {
  assertFailure(
    `${MINIMAL}migration: { chunk_sise: 5 }`,
    'CONFIG_INVALID',
    /migration\.chunk_sise .*did you mean migration\.chunk_size\?/,
  );
  assertFailure(
    `${MINIMAL}migration: { chunkSize: 5 }`,
    'CONFIG_INVALID',
    /did you mean migration\.chunk_size\?/,
  );
  assertFailure(`${MINIMAL}workers: 5`, 'CONFIG_INVALID', /belongs at migration\.workers/);
  assertFailure(`${MINIMAL}migation: {}`, 'CONFIG_INVALID', /did you mean migration\?/);
  assertFailure(
    `${MINIMAL}migration: { batch_verify: { tier3_batch_size: 1 } }`,
    'CONFIG_INVALID',
    /migration\.batch_verify\.tier3_batch_size .*did you mean migration\.batch_verify\.tier[12]_batch_size\?/,
  );
  assertFailure(`${MINIMAL}zzzzzzzzzzzz: 1`, 'CONFIG_INVALID', /known here: source, target, migration/);
});

test('settings that cancel each other out are refused', () => {
  const with_ = (source: string, target: string, migration = '') => `
source: { host: h, database: d, user: u, password: p, ${source} }
target: { host: h, database: d, user: u, password: p, ${target} }
migration: { ${migration} }`;
  assertFailure(with_('ca_file: a.pem, encrypt: false', ''), 'CONFIG_INVALID', /source\.ca_file .*encrypt/);
  assertFailure(with_('ca_file: a.pem, trust_server_cert: true', ''), 'CONFIG_INVALID', /trust_server_cert/);
  assertFailure(with_('', 'ssl_mode: require, ssl_ca_file: a.pem'), 'CONFIG_INVALID', /target\.ssl_ca_file/);
  assertFailure(
    with_('', '', 'batch_verify: { tier1_batch_size: 10, tier2_batch_size: 20 }'),
    'CONFIG_INVALID',
    /tier2_batch_size/,
  );
  assertFailure(
    with_('', '', 'batch_verify: { tier1_batch_size: 500 }'),
    'CONFIG_INVALID',
    /tier2_batch_size .* 10000, its default, is larger than tier1_batch_size 500/,
  );
  for (const key of ['max_mssql_connections', 'max_pg_connections']) {
    const few = with_('', '', `target_mode: upsert, ${key}: 3`);
    assertFailure(few, 'CONFIG_INVALID', new RegExp(`migration\\.${key} .* 3 is too few .* at least 4`));
    readConfig(with_('', '', `target_mode: upsert, ${key}: 4`));
    readConfig(with_('', '', `target_mode: truncate, ${key}: 3`));
  }
  const instance = MINIMAL.replace('host: mssql', "host: 'sql\\EXPRESS'");
  assertFailure(instance, 'CONFIG_INVALID', /source\.host .* instance/);
});

test('command line values take the place of the file, and are named when wrong', () => {
  const overrides = { sourceSchema: 'hr', targetSchema: 'hr2', workers: 2 };
  const config = readConfig(MINIMAL, { environment: {}, overrides });
  assert.deepEqual([config.source.schema, config.target.schema, config.migration.workers], ['hr', 'hr2', 2]);
  assert.throws(
    () => readConfig(MINIMAL, { environment: {}, overrides: { sourceSchema: '' } }),
    /source\.schema \(from --source-schema\)/,
  );
});

test('schemas: one, a list, all, and where they go', () => {
  const read = (source: string, target = '', migration = '') =>
    parseConfig({
      source: { host: 'h', database: 'd', user: 'u', password: 'p', ...(parse(source) ?? {}) },
      target: { host: 'h', database: 'd', user: 'u', password: 'p', ...(parse(target) ?? {}) },
      migration: parse(migration) ?? {},
    });
  const goes = (config: Config, schema: string) => namingOf(config).schemaOf(schema);

  assert.equal(goes(read('schema: Sales', 'schema: app'), 'Sales'), 'app');
  assert.equal(goes(read('schema: [Sales]', 'schema: app'), 'Sales'), 'app');
  const several = read('schema: [dbo, Sales]', 'schema: app', 'identifier_case: lower');
  assert.deepEqual([goes(several, 'dbo'), goes(several, 'Sales')], ['app', 'sales']);
  const all = read('schema: "*"', '', 'schema_mapping: { sales: Shop, "a.b": dotted }');
  assert.deepEqual([goes(all, 'Sales'), goes(all, 'a.b'), goes(all, 'HR')], ['Shop', 'dotted', 'HR']);
  assert.deepEqual(unusedMappings(all.migration.schema_mapping, ['Sales', 'HR']), ['a.b']);
  const long = 'S'.repeat(100);
  assert.match(goes(all, long), /^S{54}_[0-9a-f]{8}$/);

  for (const [source, target, migration, message] of [
    ['schema: []', '', '', /source\.schema/],
    ['schema: [dbo, "*"]', '', '', /source\.schema lists "\*" among others/],
    ['schema: 7', '', '', /a name of 1 to 128 characters, a list of such names, or "\*" for all/],
    ['schema: [Sales, HR]', 'schema: app', '', /target\.schema has no effect/],
    ['schema: Sales', 'schema: app', 'schema_mapping: { sales: x }', /target\.schema has no effect/],
    ['', '', 'schema_mapping: { sales: [x] }', /schema_mapping\.sales/],
    ['', '', `schema_mapping: { sales: ${'ü'.repeat(40)} }`, /more than 63 bytes/],
    ['', '', 'identifier_case: camel', /one of preserve, lower, snake/],
  ] as [string, string, string, RegExp][]) {
    assert.throws(() => read(source, target, migration), message);
  }
});

test('files: missing, a folder, readable', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'config-'));
  try {
    await assert.rejects(loadConfig(join(folder, 'none.yaml')), { code: 'CONFIG_NOT_FOUND' });
    await assert.rejects(loadConfig(folder), { code: 'IO' });
    const file = join(folder, 'config.json');
    await writeFile(
      file,
      JSON.stringify({
        source: { host: 'h', database: 'd', user: 'u', password: 'p' },
        target: { host: 'h', database: 'd', user: 'u', password: 'p' },
      }),
    );
    assert.equal((await loadConfig(file, { environment: {} })).source.host, 'h');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('the hash of a configuration ignores passwords, tuning and the order of keys, and nothing else', () => {
  const hash = (text: string) => configHash(readConfig(text, { environment: {} }));
  const base = hash(MINIMAL);
  assert.match(base, /^sha256:[0-9a-f]{64}$/);
  assert.equal(hash(MINIMAL.replace('s3cret-source', 'other')), base);
  assert.equal(
    hash(`${MINIMAL}migration: { workers: 3, chunk_size: 77, batch_verify: { tier2_batch_size: 5 } }`),
    base,
  );
  assert.equal(hash(MINIMAL.replace('host: mssql, database: Sales', 'database: Sales, host: mssql')), base);
  assert.notEqual(hash(MINIMAL.replace('Sales', 'Sales2')), base);
  assert.notEqual(hash(`${MINIMAL}migration: { target_mode: truncate }`), base);
  assert.notEqual(hash(`${MINIMAL}migration: { exclude_tables: [a] }`), base);
  assert.notEqual(hash(`${MINIMAL}migration: { max_partitions: 3 }`), base);
});

test('a redacted configuration holds no password, and the original is left alone', () => {
  const config = readConfig(MINIMAL, { environment: {} });
  assert.doesNotMatch(JSON.stringify(redact(config)), /s3cret/);
  assert.equal(config.source.password, 's3cret-source');
});
