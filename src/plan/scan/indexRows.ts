/**
 * Rows that are wider than an index of PostgreSQL holds.
 *
 * Pure; runs on the main thread.
 */
import { quote } from '../../source/sql.js';
import { mapColumn } from '../../types/index.js';
import type { PlannedColumn, TablePlan } from '../model.js';
import type { ScanOptions, ValueProbe } from './values.js';

/** A third of a page, less what comes with each entry of a B-tree and each of its values. */
const MAX_INDEX_ROW_BYTES = 2704;
const ENTRY_BYTES = 8;
const VALUE_BYTES = 4;

/** @returns a probe for each key and index whose columns' types allow more than an entry holds. */
export function wideIndexes(plan: TablePlan, options: ScanOptions): ValueProbe[] {
  const { primaryKey, primaryKeyName, objects } = plan;
  const indexes = objects.indexes.map(({ name, keys, included }) => ({
    name,
    columns: [...keys.map(({ column }) => column), ...included],
  }));
  if (primaryKeyName !== null) indexes.unshift({ name: primaryKeyName, columns: primaryKey });
  return indexes.flatMap(({ name, columns }) => {
    const members = columns.flatMap((target) => plan.columns.find((one) => one.targetName === target) ?? []);
    const widest = members.reduce((sum, column) => sum + mostBytes(column), ENTRY_BYTES);
    if (widest <= MAX_INDEX_ROW_BYTES) return [];
    const sizes = members.map((column) => `ISNULL(CONVERT(bigint, ${sizeOf(column, options)}), 0)`);
    const room = MAX_INDEX_ROW_BYTES - ENTRY_BYTES - VALUE_BYTES * members.length;
    const estimated = options.utf8 ? '' : ' (as many bytes as its characters may have)';
    return [
      {
        kind: 'index row',
        severity: 'warns',
        column: members.length === 1 ? members[0]!.sourceName : null,
        object: name,
        condition: `${sizes.join(' + ')} > ${room}`,
        effect: `an entry of index ${name} takes ${MAX_INDEX_ROW_BYTES} bytes at most${estimated}: unless PostgreSQL can compress the values, the index can't be made`,
        remedy: 'Shorten the values in the source, or leave the index out: migration.create_indexes: false.',
        code: 'VALUE_TOO_LARGE',
      },
    ];
  });
}

export const isVarying = ({ field }: PlannedColumn): boolean =>
  field === 'text' || field === 'bpchar' || field === 'bytea';

function mostBytes(column: PlannedColumn): number {
  return VALUE_BYTES + (isVarying(column) ? mapColumn(column.source).hash.maxBytes : 16);
}

/** Bytes of the value in the target, as T-SQL. */
export function sizeOf(column: PlannedColumn, { nul, utf8 }: ScanOptions): string {
  if (!isVarying(column)) return '16';
  const name = `t.${quote(column.sourceName)}`;
  const { sourceBytes } = mapColumn(column.source).hash;
  if (sourceBytes !== null && (utf8 || column.field === 'bytea'))
    return `DATALENGTH(${sourceBytes(name, nul)})`;
  return column.source.type.startsWith('n') ? `DATALENGTH(${name}) / 2 * 3` : `DATALENGTH(${name}) * 3`;
}
