/**
 * Settings that are each right and wrong together.
 *
 * Runs on the main thread only.
 */
import { TARGET_DEFAULTS, VERIFY_DEFAULTS } from './defaults.js';
import { askedNames } from './fields.js';
import type { Problem } from './problems.js';
import type { Config } from './schema.js';

/** Two of the main thread's, one that compares, and a reader or a writer. */
const UPSERT_CONNECTIONS = 4;

/** @returns a problem for each pair of settings of which one would silently have no effect. */
export function contradictions(config: Config): Problem[] {
  const problems: Problem[] = [];
  const add = (path: string, text: string) => problems.push({ path: path.split('.'), text });
  const { source, target, migration } = config;

  for (const key of ['ca_file', 'client_cert_file'] as const) {
    if (source[key] !== undefined && source.encrypt === false) {
      add(`source.${key}`, 'has no effect while source.encrypt is false; leave one of them out');
    }
  }
  if (source.encrypt === 'strict' && source.trust_server_cert) {
    add('source.trust_server_cert', 'is true, but source.encrypt strict always checks the certificate');
  }
  if (source.ca_file !== undefined && source.trust_server_cert) {
    add('source.ca_file', 'has no effect while source.trust_server_cert is true; leave one of them out');
  }
  for (const [cert, key] of [
    ['source.client_cert_file', 'source.client_key_file'],
    ['target.ssl_cert_file', 'target.ssl_key_file'],
  ] as const) {
    const given = (path: string): boolean => {
      const [section, name] = path.split('.') as ['source' | 'target', string];
      return (config[section] as Record<string, unknown>)[name] !== undefined;
    };
    if (given(cert) && !given(key)) add(key, `is missing; ${cert} needs its key`);
    if (given(key) && !given(cert)) add(cert, `is missing; ${key} is the key of a certificate`);
  }
  if (target.ssl_cert_file !== undefined && target.ssl_mode === 'disable') {
    add('target.ssl_cert_file', 'has no effect with target.ssl_mode disable; leave one of them out');
  }
  if (/[\\,]/.test(source.host)) {
    add(
      'source.host',
      'names an instance or a port; give the host alone, and the port the instance listens on as source.port',
    );
  }
  if (target.ssl_ca_file !== undefined && !target.ssl_mode.startsWith('verify-')) {
    add(
      'target.ssl_ca_file',
      `has no effect with target.ssl_mode ${target.ssl_mode}; use verify-ca or verify-full, or leave it out`,
    );
  }
  if (migration.drop_cascade && migration.target_mode !== 'drop_recreate') {
    add('migration.drop_cascade', `has no effect with target_mode ${migration.target_mode}; leave it out`);
  }
  for (const key of ['max_mssql_connections', 'max_pg_connections'] as const) {
    const most = migration[key];
    if (migration.target_mode !== 'upsert' || most === undefined || most >= UPSERT_CONNECTIONS) continue;
    add(
      `migration.${key}`,
      `${most} is too few for target_mode upsert, which compares and reads or writes at the same time; give at least ${UPSERT_CONNECTIONS}`,
    );
  }
  const schemas = askedNames(source.schema);
  if (typeof source.schema !== 'string' && schemas.includes('*')) {
    add('source.schema', 'lists "*" among others; give "*" alone for all schemas');
  }
  const mapped = new Set(Object.keys(migration.schema_mapping).map((name) => name.toLowerCase()));
  const toTarget = schemas.length === 1 ? schemas : schemas.filter((name) => name === 'dbo');
  if (
    target.schema !== TARGET_DEFAULTS.schema.value &&
    schemas.length > 0 &&
    toTarget.every((name) => mapped.has(name.toLowerCase()))
  ) {
    add(
      'target.schema',
      'has no effect: it takes the tables of the only source schema, or of dbo among several; say with migration.schema_mapping where the others go',
    );
  }
  for (const [path, name] of [
    ['target.schema', target.schema],
    ['migration.row_hash_column', migration.row_hash_column],
    ...Object.entries(migration.schema_mapping).map(([from, to]) => [`migration.schema_mapping.${from}`, to]),
  ] as [string, string][]) {
    if (Buffer.byteLength(name) > 63)
      add(path, 'has a name of more than 63 bytes, which PostgreSQL would cut');
  }
  const { tier1_batch_size, tier2_batch_size } = migration.batch_verify;
  if (tier2_batch_size > tier1_batch_size) {
    const isDefault = tier2_batch_size === VERIFY_DEFAULTS.tier2_batch_size.value;
    add(
      'migration.batch_verify.tier2_batch_size',
      `${tier2_batch_size}${isDefault ? ', its default,' : ''} is larger than tier1_batch_size ${tier1_batch_size}; give at most that`,
    );
  }
  if (migration.spatial === 'geometry' && !migration.use_binary_copy) {
    add('migration.spatial', 'geometry needs binary COPY; leave migration.use_binary_copy at true');
  }
  return problems;
}
