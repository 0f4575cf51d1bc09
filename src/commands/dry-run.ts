/**
 * How a dry run's findings are shown.
 *
 * Pure; runs on the main thread.
 */
import type { DryRun } from '../engine/events.js';
import { count, textTable } from '../observe/format.js';
import type { Partition, TablePlan } from '../plan/model.js';
import { runScript, tableScript } from '../plan/script.js';
import { tableLabel } from '../source/model.js';

/** The plan as JSON: everything of it but the statements that read. */
export function dryRunJson({ tables, sizes }: DryRun): object {
  return {
    ddl: runScript(tables.map(({ plan }) => plan)),
    tables: tables.map(({ plan, partitions, actions }) => ({
      table: sourceName(plan),
      target: targetName(plan),
      approximate_rows: plan.approximateRows,
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

export function dryRunReport({ tables, sizes }: DryRun, notes: readonly string[]): string {
  const lines: string[] = ['Dry run: nothing was changed.', ''];
  for (const { plan, partitions, actions } of tables) {
    lines.push(
      `${sourceName(plan)} -> ${targetName(plan)}, about ${count(plan.approximateRows)} rows, ${ranges(plan, partitions)}`,
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
  if (notes.length > 0) lines.push('', 'Notes', ...notes.map((note) => `  ${note}`));
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

function ranges(plan: TablePlan, partitions: readonly Partition[]): string {
  if (partitions.length <= 1) return 'read as one stream';
  return `read in ${partitions.length} ranges of ${plan.keyColumns.join(', ')}`;
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
