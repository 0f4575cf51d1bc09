/**
 * Whether a side can be worked with: connects, and says what it found.
 *
 * Runs on the main thread.
 */
import { askedNames } from '../config/fields.js';
import type { SourceConfig, TargetConfig } from '../config/schema.js';
import { AppError, toErrorData } from '../errors.js';
import { missedSecondary, readCatalog, serverFacts } from '../source/catalog.js';
import { connectSource } from '../source/connection.js';
import { schemaRights } from '../target/catalog.js';
import { connectTarget } from '../target/connection.js';

/** What a side answered; the names are those of the JSON of `health-check`. */
export interface Findings {
  server_version: string;
  /** Time to connect and log in. */
  connect_ms: number;
  /** Time of one small query there and back. */
  latency_ms: number;
  /** What was found, by name: `tables visible`, `may create schemas`, ... */
  facts: Record<string, string | number | boolean>;
  /** Things that will stop or hurt a run although the connection works. */
  warnings: string[];
}

/** @throws AppError as `connectSource` names it */
export async function checkSource(options: SourceConfig): Promise<Findings> {
  const [source, connectMs] = await timed(() => connectSource(options));
  try {
    const [, latencyMs] = await timed(() => source.query('SELECT 1 AS one'));
    const facts = await serverFacts(source);
    const missed = missedSecondary(facts, options);
    const warnings: string[] = missed === null ? [] : [missed];
    let visible = 0;
    try {
      visible = (await readCatalog(source, { schemas: askedNames(options.schema) })).length;
    } catch (error) {
      // The connection is well; a schema without tables is for `run` to refuse.
      warnings.push(toErrorData(error).message);
    }
    return {
      server_version: `${facts.productVersion}, ${facts.edition}`,
      connect_ms: connectMs,
      latency_ms: latencyMs,
      facts: {
        'tables visible': visible,
        'database collation': facts.databaseCollation,
        'snapshot isolation allowed': facts.snapshotIsolation,
        'may see the whole catalog': facts.seesAll,
      },
      warnings,
    };
  } finally {
    await source.close();
  }
}

interface TargetRow {
  version: string;
  may_create_schema: boolean;
}

/**
 * @param schemas where tables are to go
 * @throws AppError as `connectTarget` names it
 */
export async function checkTarget(
  options: TargetConfig,
  schemas: readonly string[] = [options.schema],
): Promise<Findings> {
  const [target, connectMs] = await timed(() => connectTarget(options));
  try {
    const [, latencyMs] = await timed(() => target.query('SELECT 1 AS one'));
    const [row] = await target.query<TargetRow>(
      `SELECT current_setting('server_version') AS version,
              has_database_privilege(current_database(), 'CREATE') AS may_create_schema`,
    );
    if (row === undefined)
      throw new AppError('TARGET_QUERY', 'the target answered a one-row query with no row');
    const rights = await schemaRights(target, schemas);
    const warnings = rights.flatMap(({ schema, exists, mayCreate }) => {
      if (mayCreate) return [];
      return exists
        ? `${options.user} may not create tables in schema ${schema}: GRANT CREATE ON SCHEMA`
        : `schema ${schema} does not exist and ${options.user} may not create it: GRANT CREATE ON DATABASE`;
    });
    return {
      server_version: row.version,
      connect_ms: connectMs,
      latency_ms: latencyMs,
      facts: {
        encrypted: target.encrypted,
        'schema exists': rights.every(({ exists }) => exists),
        'may create tables': rights.every(({ mayCreate }) => mayCreate),
        'may create schemas': row.may_create_schema,
      },
      warnings,
    };
  } finally {
    await target.close();
  }
}

/** @returns the work's result and how long it took, in milliseconds with one decimal */
async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const startedMs = performance.now();
  const result = await work();
  return [result, Math.round((performance.now() - startedMs) * 10) / 10];
}
