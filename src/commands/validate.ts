/**
 * `validate`: compares row counts, table by table.
 *
 * Runs on the main thread.
 */
import type { Command } from 'commander';
import { loadConfig, type Overrides } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { orAborted } from '../engine/abort.js';
import { AppError, type ErrorData, toErrorData } from '../errors.js';
import { inspectHost } from '../host/host.js';
import { chooseSizes } from '../host/sizes.js';
import { groupedCount, textTable } from '../observe/format.js';
import { resultHead } from '../observe/result.js';
import type { TableCount } from '../verify/counts.js';
import type { CommandResult, Context } from './context.js';

export function addValidate(program: Command): Command {
  return program
    .command('validate')
    .description('compare the row counts of source and target; exit code 4 if they differ')
    .option('--source-schema <name>', 'as given to the run')
    .option('--target-schema <name>', 'as given to the run')
    .addHelpText(
      'after',
      `
Examples:
  mssql-pg-migrate -c config.yaml validate
  mssql-pg-migrate -c config.yaml --output-json validate`,
    );
}

export async function validate(context: Context, flags: Overrides): Promise<CommandResult> {
  const config = await loadConfig(context.globals.config, {
    environment: context.environment,
    overrides: flags,
  });
  const counts = await orAborted(countTables(config, context), context.signal);
  const tables = counts.map(compare);
  const differing = tables.filter((table) => table.status !== 'match');
  const error = differing.length === 0 ? undefined : mismatch(differing, tables.length);
  const sum = (side: 'source_rows' | 'target_rows') =>
    jsonCount(
      counts.reduce((total, c) => total + ((side === 'source_rows' ? c.sourceRows : c.targetRows) ?? 0n), 0n),
    );
  return {
    json: {
      ...resultHead(context.command, context.span(), error),
      tables_total: tables.length,
      tables_matching: tables.length - differing.length,
      tables_differing: differing.length,
      source_rows: sum('source_rows'),
      target_rows: sum('target_rows'),
      tables,
    },
    text: report(tables, differing.length),
    error,
  };
}

async function countTables(config: Config, context: Context): Promise<TableCount[]> {
  const [{ connectSource }, { connectTarget }, { readScope }, { namingOf }, { planTables }, { countRows }] =
    await Promise.all([
      import('../source/connection.js'),
      import('../target/connection.js'),
      import('../source/scope.js'),
      import('../plan/naming.js'),
      import('../plan/tables.js'),
      import('../verify/counts.js'),
    ]);
  const sizes = chooseSizes(await inspectHost(), config);
  const source = await connectSource(config.source);
  const tables = await readScope(source, config).finally(() => source.close());
  const plans = planTables(tables, {
    naming: namingOf(config),
    chunkRows: sizes.chunkRows,
    rowHashColumn: null,
    hashTextColumns: config.migration.hash_text_columns,
    unlogged: false,
  });
  return countRows(
    () => connectSource(config.source),
    () => connectTarget(config.target),
    plans,
    {
      parallel: Math.min(sizes.workers, sizes.maxSourceConnections, sizes.maxTargetConnections),
      isolation: config.source.isolation,
      onTable: (count) => context.log.debug(`${count.table}: counted`),
    },
  );
}

interface Comparison {
  table: string;
  target: string;
  status: 'match' | 'differs' | 'missing';
  /** A number; as text where a JavaScript number can't hold it exactly. */
  source_rows: number | string;
  /** null where the target has no such table. */
  target_rows: number | string | null;
  /** Target less source; null where the target has no such table. */
  difference: number | string | null;
}

function compare({ table, target, sourceRows, targetRows }: TableCount): Comparison {
  let status: Comparison['status'] = 'missing';
  if (targetRows !== null) status = sourceRows === targetRows ? 'match' : 'differs';
  return {
    table,
    target,
    status,
    source_rows: jsonCount(sourceRows),
    target_rows: targetRows === null ? null : jsonCount(targetRows),
    difference: targetRows === null ? null : jsonCount(targetRows - sourceRows),
  };
}

function jsonCount(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function mismatch(differing: readonly Comparison[], total: number): ErrorData {
  const named = differing
    .slice(0, 5)
    .map((t) => `${t.table} (${t.source_rows} in the source, ${t.target_rows ?? 'no table'} in the target)`);
  const rest = differing.length > named.length ? ` and ${differing.length - named.length} more` : '';
  return toErrorData(
    new AppError(
      'ROW_COUNT_MISMATCH',
      `row counts differ in ${differing.length} of ${total} tables: ${named.join(', ')}${rest}`,
      {
        remedy:
          'if the source was written to since the migration, run it again; otherwise look into these tables',
      },
    ),
  );
}

function report(tables: readonly Comparison[], differing: number): string {
  const table = textTable(
    [
      { title: 'table' },
      { title: 'target' },
      { title: 'source rows', align: 'right' },
      { title: 'target rows', align: 'right' },
      { title: 'difference', align: 'right' },
      { title: 'status' },
    ],
    tables.map((t) => [
      t.table,
      t.target,
      groupedCount(t.source_rows),
      groupedCount(t.target_rows),
      t.difference === 0 ? '' : groupedCount(t.difference),
      t.status,
    ]),
  );
  const verdict =
    differing === 0
      ? `All ${tables.length} tables hold the same number of rows.`
      : `${differing} of ${tables.length} tables differ.`;
  return `${table}\n\n${verdict}`;
}
