/**
 * Turns the source's tables into table plans, and refuses what can't be migrated before anything is touched.
 *
 * Runs on the main thread; pure. Every problem of every table is collected, so that one run shows them all.
 */
import { AppError, type ErrorCode, toErrorData } from '../errors.js';
import { identifyingKey, type SourceColumn, type SourceTable, tableLabel } from '../source/model.js';
import { quote } from '../source/sql.js';
import { mapColumn } from '../types/index.js';
import { isLongText } from '../types/text.js';
import { type PlannedColumn, type TablePlan, WHOLE_TABLE_ROWS } from './model.js';
import { bytes, constraintName, tooLong } from './names.js';
import { noObjects } from './objectWork.js';

export interface PlanOptions {
  targetSchema: string;
  chunkRows: number;
  /** Name of the row hash column to add, or null. */
  rowHashColumn: string | null;
  /** Whether the row hash covers text, ntext, varchar(max), nvarchar(max) and xml, too. */
  hashTextColumns: boolean;
  unlogged: boolean;
}

interface Problem {
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

/**
 * @returns one plan a table, largest first, `index` its position.
 * @throws AppError naming everything that stands in the way: TYPE_UNSUPPORTED, UNSUPPORTED, SOURCE_PERMISSION or
 * SCHEMA_CONFLICT, whichever was found first.
 */
export function planTables(tables: readonly SourceTable[], options: PlanOptions): TablePlan[] {
  const problems: Problem[] = [];
  const plans = [...tables]
    .sort((a, b) => b.approximateRows - a.approximateRows || compareLabels(a, b))
    .map((table, index) => planTable(table, index, options, problems));
  checkNames(plans, options, problems);
  if (problems.length > 0) throw refusal(problems);
  return plans;
}

function planTable(table: SourceTable, index: number, options: PlanOptions, problems: Problem[]): TablePlan {
  const label = tableLabel(table);
  const notes: string[] = [];
  if (table.kind !== 'table') {
    problems.push({
      code: 'UNSUPPORTED',
      table: label,
      text: `is a table of kind ${table.kind}, which a plain SELECT does not give whole`,
      remedy: `Exclude it with migration.exclude_tables: "${label}".`,
    });
  }
  const key = identifyingKey(table)?.columns ?? [];
  const columns: PlannedColumn[] = [];
  for (const column of table.columns) {
    const planned = planColumn(label, column, key.indexOf(column.name), options, problems, notes);
    if (planned !== null) columns.push(planned);
  }
  const keyed = key.map((name) => columns.find(({ sourceName }) => sourceName === name)?.source);
  const unbound = keyed.find((column) => column !== undefined && mapColumn(column).keyText === null);
  const ranged = key.length > 0 && unbound === undefined;
  if (key.length === 0) notes.push('no primary key or unique key: read as one stream, in one transaction');
  if (unbound !== undefined) {
    notes.push(
      `key column ${unbound.name} (${unbound.declaredType}) can't bound a range: read as one stream, in one transaction`,
    );
  }
  const primaryKey = table.primaryKey === null ? [] : [...table.primaryKey.columns];
  const primaryKeyName = table.primaryKey === null ? null : constraintName(table.primaryKey.name);
  if (table.primaryKey !== null && primaryKeyName !== table.primaryKey.name) {
    notes.push(
      `primary key ${table.primaryKey.name} is named ${primaryKeyName} in PostgreSQL (63 bytes at most)`,
    );
  }
  return {
    index,
    source: { schema: table.schema, name: table.name },
    target: { schema: options.targetSchema, name: table.name },
    columns,
    keyColumns: [...key],
    primaryKey,
    primaryKeyName,
    approximateRows: table.approximateRows,
    // Without a key that can bound a range a second try could not tell which rows are there already: all or nothing.
    chunkRows: ranged ? options.chunkRows : WHOLE_TABLE_ROWS,
    rowHashColumn: options.rowHashColumn,
    unlogged: options.unlogged,
    objects: noObjects(),
    notes,
  };
}

function planColumn(
  table: string,
  column: SourceColumn,
  keyPosition: number,
  options: PlanOptions,
  problems: Problem[],
  notes: string[],
): PlannedColumn | null {
  if (column.unreadable !== undefined) {
    problems.push({
      code: 'SOURCE_PERMISSION',
      table,
      column: column.name,
      text: `is protected by ${column.unreadable}: this login would read something else than what is stored`,
      remedy:
        column.unreadable === 'dynamic data masking'
          ? 'GRANT UNMASK to the source login, or exclude the table.'
          : 'Exclude the table with migration.exclude_tables.',
    });
    return null;
  }
  let mapping: ReturnType<typeof mapColumn>;
  try {
    mapping = mapColumn(column);
  } catch (error) {
    const data = toErrorData(error);
    problems.push({
      code: data.code,
      table,
      column: column.name,
      text: data.message,
      remedy: data.remedy ?? 'Exclude the table with migration.exclude_tables.',
    });
    return null;
  }
  if (mapping.loses !== null) {
    notes.push(`column ${column.name} (${column.declaredType}) loses ${mapping.loses}`);
    if (keyPosition >= 0)
      notes.push(`key column ${column.name}: keys that differ only in what is lost will collide`);
  }
  if (column.computed !== null)
    notes.push(`column ${column.name} is computed in the source; its values are copied`);
  return {
    source: column,
    sourceName: column.name,
    targetName: column.name,
    sourceType: typeLabel(column),
    pgType: mapping.pgType,
    field: mapping.field,
    selectExpression: mapping.select(quote(column.name)),
    nullable: column.nullable,
    keyPosition,
    hashed: keyPosition < 0 && (options.hashTextColumns || !isLongText(column)),
  };
}

function checkNames(plans: readonly TablePlan[], options: PlanOptions, problems: Problem[]): void {
  const conflict = (plan: TablePlan, text: string, remedy: string, column?: string): void => {
    const table = tableLabel(plan.source);
    problems.push({ code: 'SCHEMA_CONFLICT', table, ...(column !== undefined && { column }), text, remedy });
  };
  const rename = 'Exclude the table with migration.exclude_tables, or rename it in the source.';
  const seen = new Map<string, TablePlan>();
  for (const plan of plans) {
    const { name } = plan.target;
    const other = seen.get(name);
    seen.set(name, plan);
    if (other !== undefined) {
      const both = `would become ${options.targetSchema}.${name}, and so would ${tableLabel(other.source)}`;
      conflict(plan, both, 'Migrate the source schemas in two runs, each with a target schema of its own.');
    }
    if (tooLong(name)) conflict(plan, `has a name of ${bytes(name)} bytes; PostgreSQL allows 63`, rename);
    if (plan.columns.length + (plan.rowHashColumn === null ? 0 : 1) > MAX_COLUMNS) {
      conflict(plan, `has ${plan.columns.length} columns; PostgreSQL allows ${MAX_COLUMNS}`, rename);
    }
    for (const { targetName } of plan.columns) {
      if (tooLong(targetName)) {
        conflict(plan, `has a name of ${bytes(targetName)} bytes; PostgreSQL allows 63`, rename, targetName);
      }
      if (SYSTEM_COLUMNS.has(targetName)) {
        conflict(plan, 'has the name of a system column of every PostgreSQL table', rename, targetName);
      }
      if (targetName === plan.rowHashColumn) {
        const remedy = 'Set migration.row_hash_column to a name that no source column has.';
        conflict(plan, 'has the name of the row hash column', remedy, targetName);
      }
    }
  }
}

/** One error for all problems: the first one's code, every one's text, each remedy once. */
function refusal(problems: readonly Problem[]): AppError {
  const [first] = problems as [Problem];
  const lines = problems.map(
    (problem) =>
      `${problem.table}${problem.column === undefined ? '' : `, column ${problem.column}`}: ${problem.text}`,
  );
  const remedies = [...new Set(problems.map((problem) => problem.remedy))];
  return new AppError(first.code, lines.join('; '), {
    table: first.table,
    ...(first.column !== undefined && { column: first.column }),
    remedy: remedies.join(' '),
  });
}

/** @returns the column's type as SQL Server's DDL spells it: `decimal(18,4)`, `nvarchar(max)`, `dbo.Phone`. */
export function typeLabel(column: SourceColumn): string {
  if (column.declaredType !== column.type) return `${column.declaredType} (${baseType(column)})`;
  return baseType(column);
}

function baseType(column: SourceColumn): string {
  const { type, maxLengthBytes, precision, scale } = column;
  switch (type) {
    case 'decimal':
    case 'numeric':
      return `${type}(${precision},${scale})`;
    case 'datetime2':
    case 'datetimeoffset':
    case 'time':
      return `${type}(${scale})`;
    case 'char':
    case 'varchar':
    case 'binary':
    case 'varbinary':
      return `${type}(${maxLengthBytes === -1 ? 'max' : maxLengthBytes})`;
    case 'nchar':
    case 'nvarchar':
      return `${type}(${maxLengthBytes === -1 ? 'max' : maxLengthBytes / 2})`;
    default:
      return type;
  }
}

function compareLabels(a: SourceTable, b: SourceTable): number {
  return tableLabel(a) < tableLabel(b) ? -1 : 1;
}
