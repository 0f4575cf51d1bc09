/**
 * `health-check`: connects to both sides and says what it found; tries the second even if the first fails.
 *
 * Runs on the main thread.
 */
import type { Command } from 'commander';
import { loadConfig } from '../config/load.js';
import type { SourceConfig, TargetConfig } from '../config/schema.js';
import { orAborted } from '../engine/abort.js';
import { AppError, type ErrorData, toErrorData } from '../errors.js';
import { errorLines, errorResult, type ResultError, resultHead } from '../observe/result.js';
import type { CommandResult, Context } from './context.js';

export function addHealthCheck(program: Command): Command {
  return program
    .command('health-check')
    .description('connect to both databases and show versions and permissions; exit code 2 if one fails')
    .addHelpText(
      'after',
      `
Examples:
  mssql-pg-migrate -c config.yaml health-check
  mssql-pg-migrate -c config.yaml --output-json health-check`,
    );
}

/** One side's findings; the names are those of the JSON. */
interface Side {
  ok: boolean;
  host: string;
  port: number;
  database: string;
  schema: string;
  user: string;
  server_version?: string;
  /** Time to connect and log in. */
  connect_ms?: number;
  /** Time of one small query there and back. */
  latency_ms?: number;
  /** What was found, by name: `tables visible`, `may create schemas`, ... */
  facts?: Record<string, string | number | boolean>;
  /** Things that will stop or hurt a run although the connection works. */
  warnings: string[];
  error?: ResultError;
}

export async function healthCheck(context: Context): Promise<CommandResult> {
  const config = await loadConfig(context.globals.config, { environment: context.environment });
  context.log.hide([config.source.password, config.target.password]);
  const errors: ErrorData[] = [];
  const side = async (
    options: SourceConfig | TargetConfig,
    check: () => Promise<Omit<Side, 'ok' | keyof ReturnType<typeof address>>>,
  ): Promise<Side> => {
    try {
      return { ok: true, ...address(options), ...(await check()) };
    } catch (error) {
      const data = toErrorData(error);
      errors.push(data);
      return { ok: false, ...address(options), warnings: [], error: errorResult(data) };
    }
  };
  const [source, target] = await orAborted(
    Promise.all([
      side(config.source, () => checkSource(config.source)),
      side(config.target, () => checkTarget(config.target)),
    ]),
    context.signal,
  );
  const error = combine(source, target, errors);
  return {
    json: { ...resultHead(context.command, context.span(), error), source, target },
    text: [...sideLines('Source (SQL Server)', source), ...sideLines('Target (PostgreSQL)', target)].join(
      '\n',
    ),
    error,
  };
}

function address({ host, port, database, schema, user }: SourceConfig | TargetConfig) {
  return { host, port, database, schema, user };
}

/** Both failures in one message, under the first one's code. */
function combine(source: Side, target: Side, errors: readonly ErrorData[]): ErrorData | undefined {
  const [first] = errors;
  if (errors.length < 2 || first === undefined) return first;
  const [from, to] = [source.error, target.error];
  if (from === undefined || to === undefined) return first;
  const message = `source: ${from.message}; target: ${to.message}`;
  const remedy = [from.remedy, to.remedy].filter((text) => text !== null).join(' ');
  const code = errors.find((error) => error.message === from.message)?.code ?? first.code;
  return toErrorData(new AppError(code, message, remedy === '' ? {} : { remedy }));
}

async function checkSource(options: SourceConfig) {
  const [{ connectSource }, { readCatalog, serverFacts }] = await Promise.all([
    import('../source/connection.js'),
    import('../source/catalog.js'),
  ]);
  const [source, connectMs] = await timed(() => connectSource(options));
  try {
    const [, latencyMs] = await timed(() => source.query('SELECT 1 AS one'));
    const facts = await serverFacts(source);
    const warnings: string[] = [];
    let visible = 0;
    try {
      visible = (await readCatalog(source, { schemas: [options.schema] })).length;
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
  schema_exists: boolean;
  may_create_table: boolean | null;
}

async function checkTarget(options: TargetConfig) {
  const { connectTarget } = await import('../target/connection.js');
  const [target, connectMs] = await timed(() => connectTarget(options));
  try {
    const [, latencyMs] = await timed(() => target.query('SELECT 1 AS one'));
    const [row] = await target.query<TargetRow>(
      `SELECT current_setting('server_version') AS version,
              has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
              n.oid IS NOT NULL AS schema_exists,
              has_schema_privilege(n.oid, 'CREATE') AS may_create_table
         FROM (VALUES ($1::text)) AS wanted(name)
         LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = wanted.name`,
      [options.schema],
    );
    if (row === undefined)
      throw new AppError('TARGET_QUERY', 'the target answered a one-row query with no row');
    const warnings: string[] = [];
    if (row.schema_exists && row.may_create_table !== true) {
      warnings.push(
        `${options.user} may not create tables in schema ${options.schema}: GRANT CREATE ON SCHEMA`,
      );
    }
    if (!row.schema_exists && !row.may_create_schema) {
      warnings.push(
        `schema ${options.schema} does not exist and ${options.user} may not create it: GRANT CREATE ON DATABASE`,
      );
    }
    return {
      server_version: row.version,
      connect_ms: connectMs,
      latency_ms: latencyMs,
      facts: {
        encrypted: target.encrypted,
        'schema exists': row.schema_exists,
        'may create tables': row.schema_exists ? row.may_create_table === true : row.may_create_schema,
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

function sideLines(title: string, side: Side): string[] {
  const place = `${side.user} at ${side.host}:${side.port}, database ${side.database}, schema ${side.schema}`;
  const lines = [`${title}: ${side.ok ? 'ok' : 'FAILED'}`, `  ${place}`];
  if (side.server_version !== undefined) lines.push(`  version ${side.server_version}`);
  if (side.connect_ms !== undefined)
    lines.push(`  connected in ${side.connect_ms} ms, query ${side.latency_ms} ms`);
  for (const [name, value] of Object.entries(side.facts ?? {})) {
    lines.push(`  ${name}: ${typeof value === 'boolean' ? (value ? 'yes' : 'no') : value}`);
  }
  lines.push(...side.warnings.map((warning) => `  warning: ${warning}`));
  if (side.error !== undefined) lines.push(...errorLines('error', side.error).map((line) => `  ${line}`));
  return lines;
}
