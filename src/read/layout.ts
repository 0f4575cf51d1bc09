/**
 * What a result set's rows become: the wire columns beside the fields of the target tuple. Reader thread.
 */
import type { NulPolicy } from '../copy/text.js';
import { AppError } from '../errors.js';
import type { TablePlan } from '../plan/model.js';
import type { WireColumn } from '../tds/colmetadata.js';
import type { TargetField, TypeCodec } from '../types/family.js';
import { codecFor } from '../types/index.js';

export interface RowLayout {
  /** `schema.table` of the source, for messages. */
  table: string;
  columns: readonly WireColumn[];
  targets: readonly TargetField[];
  codecs: readonly TypeCodec[];
  /** Ordinals of the identifying key's columns, in key order. */
  keyOrdinals: readonly number[];
  /** True where a last field of 32 bytes is kept free for the row hash. */
  rowHash: boolean;
}

/** Length of the row hash field: MD5 as hexadecimal digits. */
export const ROW_HASH_BYTES = 32;

/**
 * Holds the columns the server announced against the plan.
 *
 * @throws AppError SCHEMA_CONFLICT where they are not what was planned
 */
export function rowLayout(plan: TablePlan, columns: readonly WireColumn[], nul: NulPolicy): RowLayout {
  const table = `${plan.source.schema}.${plan.source.name}`;
  if (columns.length !== plan.columns.length) {
    throw new AppError(
      'SCHEMA_CONFLICT',
      `Table ${table} answers with ${columns.length} columns where ${plan.columns.length} were planned`,
      { table, remedy: 'The table was changed while the run was planned; start the run again.' },
    );
  }
  const targets = plan.columns.map(({ field, pgType }) => ({
    field,
    padCharacters: padOf(field, pgType),
    nul,
  }));
  return {
    table,
    columns,
    targets,
    codecs: columns.map((column, i) => codecFor(column, targets[i]!)),
    keyOrdinals: plan.columns
      .map(({ keyPosition }, ordinal) => ({ keyPosition, ordinal }))
      .filter(({ keyPosition }) => keyPosition >= 0)
      .sort((a, b) => a.keyPosition - b.keyPosition)
      .map(({ ordinal }) => ordinal),
    rowHash: plan.rowHashColumn !== null,
  };
}

function padOf(field: string, pgType: string): number {
  return field === 'bpchar' ? Number(/\((\d+)\)/.exec(pgType)?.[1] ?? 0) : 0;
}
