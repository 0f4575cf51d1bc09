/**
 * What of the source's names can't be in the target, or would be there twice: found before anything is touched.
 *
 * Runs on the main thread; pure.
 */
import type { ErrorCode } from '../errors.js';
import { tableLabel } from '../source/model.js';
import { LEDGER_SCHEMA } from '../target/identifiers.js';
import type { TablePlan } from './model.js';
import { bytes, tooLong } from './names.js';
import type { Naming } from './naming.js';

/** What stands in the way of one table, or of one column of it. */
export interface Problem {
  code: ErrorCode;
  table: string;
  column?: string;
  text: string;
  remedy: string;
}

/** PostgreSQL's own limit on columns of a table. */
const MAX_COLUMNS = 1600;
/** Every PostgreSQL table has these; no column can be called so. */
const SYSTEM_COLUMNS = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']);
const RENAME = 'Exclude the table with migration.exclude_tables, or rename it in the source.';
const OTHER_SCHEMA = 'Choose another target schema: target.schema, or migration.schema_mapping.';

/** @returns every problem of every table. */
export function checkNames(plans: readonly TablePlan[], naming: Naming): Problem[] {
  const problems: Problem[] = [];
  const conflict = (plan: TablePlan, text: string, remedy: string, column?: string): void => {
    const table = tableLabel(plan.source);
    problems.push({ code: 'SCHEMA_CONFLICT', table, ...(column !== undefined && { column }), text, remedy });
  };
  const otherCase =
    naming.identifierCase === 'preserve' ? '' : ', or choose another migration.identifier_case';
  checkSchemas(plans, conflict);
  const seen = new Map<string, TablePlan>();
  for (const plan of plans) {
    const label = tableLabel(plan.target);
    const other = seen.get(label);
    seen.set(label, plan);
    if (other !== undefined) {
      const remedy =
        other.source.schema === plan.source.schema
          ? `Exclude one of the tables with migration.exclude_tables${otherCase}.`
          : 'Give each source schema a target schema of its own: migration.schema_mapping.';
      conflict(plan, `would become ${label}, and so would ${tableLabel(other.source)}`, remedy);
    }
    if (!isWritable(plan.target.name)) conflict(plan, 'has a name that is no well-formed text', RENAME);
    checkColumnCount(plan, conflict);
    checkColumns(plan, otherCase, conflict);
  }
  return problems;
}

type Conflict = (plan: TablePlan, text: string, remedy: string, column?: string) => void;

function checkSchemas(plans: readonly TablePlan[], conflict: Conflict): void {
  const bySchema = new Map(plans.map((plan) => [plan.target.schema, plan]));
  for (const [schema, plan] of bySchema) {
    if (tooLong(schema)) {
      conflict(plan, `would go to a schema of ${bytes(schema)} bytes; PostgreSQL allows 63`, OTHER_SCHEMA);
    }
    if (/^pg_|^information_schema$/.test(schema)) {
      conflict(plan, `would go to schema ${schema}, which belongs to PostgreSQL itself`, OTHER_SCHEMA);
    }
    if (schema === LEDGER_SCHEMA) {
      conflict(plan, `would go to schema ${schema}, which holds the ledger of runs`, OTHER_SCHEMA);
    }
    if (!isWritable(schema)) conflict(plan, 'would go to a schema whose name is no text', OTHER_SCHEMA);
  }
}

function checkColumnCount(plan: TablePlan, conflict: Conflict): void {
  const { rowHashColumn } = plan;
  const { length } = plan.columns;
  if (length + (rowHashColumn === null ? 0 : 1) <= MAX_COLUMNS) return;
  const also = rowHashColumn === null ? '' : ` and gets ${rowHashColumn}`;
  const remedy =
    length <= MAX_COLUMNS
      ? 'Set migration.use_hash_detection: false, which adds no column, or exclude the table with migration.exclude_tables.'
      : 'Exclude the table with migration.exclude_tables, or move columns of it to a second table in the source.';
  conflict(plan, `has ${length} columns${also}; PostgreSQL allows ${MAX_COLUMNS} in a table`, remedy);
}

function checkColumns(plan: TablePlan, otherCase: string, conflict: Conflict): void {
  const seen = new Map<string, string>();
  for (const { sourceName, targetName } of plan.columns) {
    const other = seen.get(targetName);
    seen.set(targetName, sourceName);
    if (other !== undefined) {
      const text = `would become ${targetName}, and so would column ${other}`;
      conflict(plan, text, `Rename one of the columns in the source${otherCase}.`, sourceName);
    }
    if (!isWritable(targetName)) {
      conflict(plan, 'has a name that is no well-formed text', RENAME, sourceName);
    }
    if (SYSTEM_COLUMNS.has(targetName)) {
      conflict(plan, 'has the name of a system column of every PostgreSQL table', RENAME, sourceName);
    }
    if (targetName === plan.rowHashColumn) {
      const remedy = 'Set migration.row_hash_column to a name that no source column has.';
      conflict(plan, 'has the name of the row hash column', remedy, sourceName);
    }
  }
}

/** PostgreSQL's names are UTF-8 without NUL; SQL Server's may hold half a surrogate pair. */
function isWritable(name: string): boolean {
  return name.isWellFormed() && !name.includes('\0');
}
