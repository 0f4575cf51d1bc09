/**
 * Settings that are each right and wrong together.
 *
 * Runs on the main thread only.
 */
import type { Problem } from './problems.js';
import type { Config } from './schema.js';

/** @returns a problem for each pair of settings of which one would silently have no effect. */
export function contradictions(config: Config): Problem[] {
  const problems: Problem[] = [];
  const add = (path: string, text: string) => problems.push({ path: path.split('.'), text });
  const { source, target, migration } = config;

  if (source.ca_file !== undefined && !source.encrypt) {
    add('source.ca_file', 'has no effect while source.encrypt is false; leave one of them out');
  }
  if (source.ca_file !== undefined && source.trust_server_cert) {
    add('source.ca_file', 'has no effect while source.trust_server_cert is true; leave one of them out');
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
  const { tier1_batch_size, tier2_batch_size } = migration.batch_verify;
  if (tier2_batch_size > tier1_batch_size) {
    add(
      'migration.batch_verify.tier2_batch_size',
      `${tier2_batch_size} is larger than tier1_batch_size ${tier1_batch_size}; give at most that`,
    );
  }
  return problems;
}
