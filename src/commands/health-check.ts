/**
 * `health-check`: connects to both sides and says what it found; tries the second even if the first fails.
 *
 * Runs on the main thread.
 */
import type { Command } from 'commander';
import { askedNames } from '../config/fields.js';
import { loadConfig } from '../config/load.js';
import type { Config, SourceConfig } from '../config/schema.js';
import { orAborted } from '../engine/abort.js';
import type { Findings } from '../engine/health.js';
import { AppError, type ErrorData, toErrorData } from '../errors.js';
import type { HealthSide } from '../observe/commandSchemas.js';
import { errorLines, errorResult, resultHead } from '../observe/result.js';
import { namingOf } from '../plan/naming.js';
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

export async function healthCheck(context: Context): Promise<CommandResult> {
  const config = await loadConfig(context.globals.config, { environment: context.environment });
  // Loaded only now: --help and a wrong configuration should not wait for the drivers.
  const { checkSource, checkTarget } = await import('../engine/health.js');
  const errors: ErrorData[] = [];
  const schemas = targetSchemas(config);
  const side = async (
    options: Parameters<typeof address>[0],
    check: () => Promise<Findings>,
  ): Promise<HealthSide> => {
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
      side({ ...config.target, schema: schemas }, () => checkTarget(config.target, schemas)),
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

function address({
  host,
  port,
  database,
  schema,
  user,
}: Pick<SourceConfig, 'host' | 'port' | 'database' | 'schema' | 'user'>) {
  return {
    host,
    port,
    database,
    schema: Array.isArray(schema) && schema.length === 1 ? schema[0]! : schema,
    user,
  };
}

/** The target's schemas, as far as they are known before the source has named its own. */
function targetSchemas(config: Config): string[] {
  const asked = askedNames(config.source.schema);
  const naming = namingOf(config);
  const known =
    asked.length > 0
      ? asked.map((schema) => naming.schemaOf(schema))
      : [config.target.schema, ...Object.values(config.migration.schema_mapping)];
  return [...new Set(known)];
}

/** Both failures in one message, under the first one's code. */
function combine(
  source: HealthSide,
  target: HealthSide,
  errors: readonly ErrorData[],
): ErrorData | undefined {
  const [first] = errors;
  if (errors.length < 2 || first === undefined) return first;
  const [from, to] = [source.error, target.error];
  if (from === undefined || to === undefined) return first;
  const message = `source: ${from.message}; target: ${to.message}`;
  const remedy = [from.remedy, to.remedy].filter((text) => text !== null).join(' ');
  const code = errors.find((error) => error.message === from.message)?.code ?? first.code;
  return toErrorData(new AppError(code, message, remedy === '' ? {} : { remedy }));
}

function sideLines(title: string, side: HealthSide): string[] {
  const place = `${side.user} at ${side.host}:${side.port}, database ${side.database}, schema ${[side.schema].flat().join(', ')}`;
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
