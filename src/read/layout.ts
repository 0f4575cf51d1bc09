/**
 * What a result set's rows become: the wire columns beside the fields of the target tuple. Reader thread.
 */
import type { NulPolicy } from '../copy/text.js';
import { AppError, toErrorData } from '../errors.js';
import { copiedColumns, type PlannedColumn, type TablePlan } from '../plan/model.js';
import { tableLabel } from '../source/model.js';
import type { WireColumn } from '../tds/colmetadata.js';
import { notAsPlanned, type TargetField, type TypeCodec } from '../types/family.js';
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

/** Decimals of money and smallmoney, which the wire does not tell. */
const MONEY_SCALE = 4;

/** Length of the row hash field: MD5 as hexadecimal digits. */
export const ROW_HASH_BYTES = 32;

/**
 * Holds the columns the server announced against the plan.
 *
 * @throws AppError SCHEMA_CONFLICT where they are not what was planned
 */
export function rowLayout(plan: TablePlan, columns: readonly WireColumn[], nul: NulPolicy): RowLayout {
  const table = tableLabel(plan.source);
  const planned = copiedColumns(plan);
  if (columns.length !== planned.length) {
    throw new AppError(
      'SCHEMA_CONFLICT',
      `Table ${table} answers with ${columns.length} columns where ${planned.length} were planned`,
      { table, remedy: 'The table was changed while the run was planned; start the run again.' },
    );
  }
  const targets = planned.map(({ field, pgType, source }) => ({
    field,
    padCharacters: padOf(field, pgType),
    nul,
    converted: source.as !== undefined,
  }));
  return {
    table,
    columns,
    targets,
    codecs: columns.map((column, i) => checkedCodec(table, column, targets[i]!, planned[i]!)),
    keyOrdinals: planned
      .map(({ keyPosition }, ordinal) => ({ keyPosition, ordinal }))
      .filter(({ keyPosition }) => keyPosition >= 0)
      .sort((a, b) => a.keyPosition - b.keyPosition)
      .map(({ ordinal }) => ordinal),
    rowHash: plan.rowHashColumn !== null,
  };
}

function checkedCodec(
  table: string,
  column: WireColumn,
  target: TargetField,
  planned: PlannedColumn,
): TypeCodec {
  try {
    const codec = codecFor(column, target);
    if (!fits(column, planned.pgType)) throw notAsPlanned(column, target);
    return codec;
  } catch (error) {
    const { code, message, remedy } = toErrorData(error);
    const name = planned.sourceName;
    throw new AppError(code, `Table ${table}, column ${name}: ${message} (${planned.pgType})`, {
      table,
      column: name,
      ...(remedy !== undefined && { remedy }),
      cause: error,
    });
  }
}

/** False where PostgreSQL would round a number, or cut blanks off a text, that grew since the plan was made. */
function fits(column: WireColumn, pgType: string): boolean {
  const [, type, first, second] = /^(numeric|varchar|char)\((\d+)(?:,(\d+))?\)$/.exec(pgType) ?? [];
  if (type === undefined) return true;
  if (type === 'numeric') return (column.precision > 0 ? column.scale : MONEY_SCALE) <= Number(second ?? 0);
  // What SQL Server prints for a value of another type was measured when the plan was made.
  if (column.encoding === null) return true;
  if (column.framing !== 'ushort') return false;
  return column.maxBytes / (column.encoding === 'utf16le' ? 2 : 1) <= Number(first);
}

function padOf(field: string, pgType: string): number {
  return field === 'bpchar' ? Number(/\((\d+)\)/.exec(pgType)?.[1] ?? 0) : 0;
}
