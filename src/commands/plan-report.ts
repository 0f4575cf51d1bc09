/**
 * How a plan is shown.
 *
 * Pure; runs on the main thread.
 */
import type { DryRun } from '../engine/events.js';
import type { PartitionResult } from '../observe/commandSchemas.js';
import { byteCount, count, duration, textTable } from '../observe/format.js';
import { errorResult } from '../observe/result.js';
import type { TimeEstimate } from '../plan/estimate.js';
import type { Partition, TablePlan } from '../plan/model.js';
import { runScript, tableScript } from '../plan/script.js';
import { tableLabel } from '../source/model.js';
import { scanJson, scanLines } from './scan-report.js';

/** The plan as JSON: everything of it but the statements that read. */
export function planJson({ mode, tables, estimate, scan, sizes, obstacles }: DryRun): object {
  return {
    mode,
    estimate,
    scan: scan === null ? null : scanJson(scan),
    obstacles: obstacles.map(errorResult),
    ddl: runScript(tables.map(({ plan }) => plan)),
    tables: tables.map(({ plan, partitions, bytes, actions }) => ({
      table: sourceName(plan),
      target: targetName(plan),
      approximate_rows: plan.approximateRows,
      bytes,
      key_columns: plan.keyColumns,
      primary_key: plan.primaryKey,
      chunk_rows: plan.chunkRows,
      row_hash_column: plan.rowHashColumn,
      unlogged: plan.unlogged,
      columns: plan.columns.map((column) => ({
        source: column.sourceName,
        target: column.targetName,
        source_type: column.sourceType,
        target_type: column.pgType,
        nullable: column.nullable,
        ...(column.generated !== undefined && { generated: column.generated }),
        ...(column.collation !== undefined && { collation: column.collation }),
      })),
      partitions: partitions.map(({ partition, lower, upper }) => ({ partition, lower, upper })),
      actions,
      ddl: Object.values(tableScript(plan)).flat(),
      left_out: plan.objects.leftOut,
      notes: plan.notes,
    })),
    sizes,
  };
}

/** What `run --join` shares out: every range of every table, ranges of a table as large as one another. */
export function partitionsJson({ tables }: Pick<DryRun, 'tables'>): PartitionResult[] {
  return tables.flatMap(({ plan, partitions, bytes }) =>
    partitions.map(({ partition, lower, upper }) => ({
      table: sourceName(plan),
      partition,
      lower,
      upper,
      approximate_rows: Math.round(plan.approximateRows / partitions.length),
      approximate_bytes: bytes === null ? null : Math.round(bytes / partitions.length),
    })),
  );
}

/** The plan for people. What stands in the way of a run comes last, where a terminal shows it. */
export function planReport(
  { mode, tables, estimate, scan, sizes, obstacles }: DryRun,
  notes: readonly string[],
): string {
  const lines: string[] = [`Nothing was changed. A run with target_mode ${mode} would do this:`, ''];
  for (const { plan, partitions, bytes, actions } of tables) {
    lines.push(
      `${sourceName(plan)} -> ${targetName(plan)}, about ${count(plan.approximateRows)} rows${room(bytes)}, ${key(plan)}, ${ranges(partitions)}`,
      ...actions.map((action) => `  would: ${action}`),
      ...indent(
        textTable(
          [
            { title: 'column' },
            { title: 'SQL Server' },
            { title: 'PostgreSQL' },
            { title: 'as' },
            { title: '' },
          ],
          plan.columns.map((column) => [
            column.sourceName,
            column.sourceType,
            column.pgType,
            column.targetName === column.sourceName ? '' : column.targetName,
            marks(plan, column),
          ]),
        ),
      ),
      ...afterwards(plan).map((statement) => `  then: ${statement}`),
      ...plan.notes.map((note) => `  note: ${note}`),
      '',
    );
  }
  lines.push(
    'Sizes',
    ...indent(
      textTable(
        [{ title: 'size' }, { title: 'value', align: 'right' }, { title: 'unit' }, { title: 'why' }],
        sizes.map((size) => [size.name, count(size.value), size.unit, size.reason]),
      ),
    ),
  );
  if (estimate !== null) lines.push('', estimated(estimate));
  if (scan !== null) lines.push('', ...scanLines(scan));
  if (notes.length > 0) lines.push('', 'Notes', ...notes.map((note) => `  ${note}`));
  if (obstacles.length > 0) {
    const listed = obstacles.flatMap((obstacle) => {
      const { code, message, remedy } = errorResult(obstacle);
      return [`  ${message} [${code}]`, ...(remedy === null ? [] : [`    ${remedy}`])];
    });
    lines.push('', 'A run could not work:', ...listed);
  }
  return lines.join('\n');
}

/** The statements that follow the rows. */
function afterwards(plan: TablePlan): string[] {
  const { objects, foreignKeys } = tableScript(plan);
  return [...objects, ...foreignKeys].filter((statement) => !statement.includes(' VALIDATE CONSTRAINT '));
}

function sourceName(plan: TablePlan): string {
  return tableLabel(plan.source);
}

function targetName(plan: TablePlan): string {
  return tableLabel(plan.target);
}

function room(bytes: number | null): string {
  return bytes === null ? '' : ` in ${byteCount(bytes)}`;
}

/** A guess is not written as if it were exact. */
function estimated({ seconds, rows, bytes, reason }: TimeEstimate): string {
  const time = seconds < 1 ? 'less than a second' : `about ${duration(Math.round(seconds) * 1000)}`;
  return `Estimated time of the rows: ${time} for ${count(rows)} rows in ${byteCount(bytes)}: ${reason}.`;
}

function key({ keyColumns }: TablePlan): string {
  return keyColumns.length === 0 ? 'no key' : `key ${keyColumns.join(', ')}`;
}

function ranges(partitions: readonly Partition[]): string {
  if (partitions.length <= 1) return 'read as one stream';
  return `read in ${partitions.length} ranges`;
}

function marks(plan: TablePlan, column: TablePlan['columns'][number]): string {
  const words: string[] = [];
  if (plan.primaryKey.includes(column.targetName)) words.push('primary key');
  else if (!column.nullable) words.push('not null');
  if (column.generated !== undefined) words.push('generated');
  if (column.collation !== undefined) words.push(`collation ${column.collation}`);
  return words.join(', ');
}

function indent(text: string): string[] {
  return text.split('\n').map((line) => `  ${line}`);
}
