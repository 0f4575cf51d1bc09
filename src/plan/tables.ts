/**
 * Turns the source's tables into table plans, and refuses what can't be migrated before anything is touched.
 *
 * Runs on the main thread; pure. Every problem of every table is collected, so that one run shows them all.
 */
import { AppError, requireNone, toErrorData } from '../errors.js';
import { identifyingKey, type SourceColumn, type SourceTable, tableLabel } from '../source/model.js';
import { rowFilterNote } from '../source/rowFilters.js';
import { quote } from '../source/sql.js';
import type { MappedColumn } from '../types/family.js';
import { mapColumn } from '../types/index.js';
import { isLongText } from '../types/text.js';
import { inCase } from './casing.js';
import { checkNames, type Problem } from './collisions.js';
import { type PlannedColumn, type TablePlan, WHOLE_TABLE_ROWS } from './model.js';
import { type NameWish, relationKey, relationNames, tooLong } from './names.js';
import { type Naming, targetName } from './naming.js';
import { noObjects } from './objectWork.js';
import { MAX_PAGE_ROW_BYTES, widestRowBytes } from './rowSize.js';
import { OWN_TYPES, type TypeChoice, TypeChoices, type TypeOptions } from './typeChoices.js';
import { typeLabel } from './typeLabel.js';

export interface PlanOptions {
  naming: Naming;
  chunkRows: number;
  /** Name of the row hash column to add, or null. */
  rowHashColumn: string | null;
  /** Whether the row hash covers text, ntext, varchar(max), nvarchar(max) and xml, too. */
  hashTextColumns: boolean;
  unlogged: boolean;
  /** What columns become; left out: each type's own mapping, computed columns copied. */
  types?: TypeOptions;
}

/** What planning a table needs of the options. */
interface Planning extends PlanOptions {
  types: TypeOptions;
  choices: TypeChoices;
}

/**
 * @returns one plan a table, largest first, `index` its position.
 * @throws AppError naming everything that stands in the way: CONFIG_INVALID, TYPE_UNSUPPORTED, UNSUPPORTED, SOURCE_PERMISSION or
 * SCHEMA_CONFLICT, whichever was found first.
 */
export function planTables(tables: readonly SourceTable[], options: PlanOptions): TablePlan[] {
  const { plans, obstacles } = examineTables(tables, options);
  requireNone(obstacles);
  return plans;
}

/** As `planTables`, with what stands in the way beside the plans; these lack what can't be planned. */
export function examineTables(
  tables: readonly SourceTable[],
  given: PlanOptions,
): { plans: TablePlan[]; obstacles: AppError[] } {
  const types = given.types ?? OWN_TYPES;
  const [schema = 'public'] = tables.map((table) => given.naming.schemaOf(table.schema)).sort();
  const options: Planning = { ...given, types, choices: new TypeChoices(types, schema) };
  const mismatch = options.choices.mismatch(tables);
  const problems: Problem[] = [];
  const plans = [...tables]
    .sort((a, b) => b.approximateRows - a.approximateRows || compareLabels(a, b))
    .map((table, index) => planTable(table, index, options, problems));
  namePrimaryKeys(plans, options);
  problems.push(...checkNames(plans, options.naming));
  const obstacles = problems.map(asError);
  return { plans, obstacles: mismatch === null ? obstacles : [mismatch, ...obstacles] };
}

function planTable(table: SourceTable, index: number, options: Planning, problems: Problem[]): TablePlan {
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
  if (table.rowFilters !== undefined) notes.push(rowFilterNote(table.rowFilters));
  const key = identifyingKey(table)?.columns ?? [];
  const columns: PlannedColumn[] = [];
  const objects = noObjects();
  const requires = new Set<string>();
  const remarks = new Map<string, string[]>();
  for (const column of table.columns) {
    const keyPosition = key.indexOf(column.name);
    if (column.computed !== null && keyPosition < 0 && options.types.computedColumns === 'skip') {
      const { definition } = column.computed;
      const reason = 'migration.computed_columns is skip';
      objects.leftOut.push({ kind: 'computed column', name: column.name, definition, reason });
      continue;
    }
    const choice = options.choices.of(table, column);
    const planned = planColumn(label, column, choice, keyPosition, options, problems, notes);
    if (planned === null) continue;
    columns.push(planned);
    if (choice.requires !== undefined) requires.add(choice.requires);
    for (const remark of remarksOn(planned, choice)) {
      remarks.set(remark, [...(remarks.get(remark) ?? []), column.name]);
    }
  }
  for (const [remark, names] of remarks) notes.push(`column ${names.join(', ')} ${remark}`);
  const widest = widestRowBytes(columns, options.rowHashColumn !== null);
  if (widest > MAX_PAGE_ROW_BYTES) {
    notes.push(
      `a row may have ${widest} bytes in PostgreSQL beside its long values, where ${MAX_PAGE_ROW_BYTES} fit: one that has more fails the table (plan --scan finds such rows)`,
    );
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
  if (table.versioned === true) {
    notes.push('is system-versioned in the source: PostgreSQL keeps no history, and fills no period columns');
  }
  const target = {
    schema: options.naming.schemaOf(table.schema),
    name: targetName(table.name, options.naming),
  };
  if (isCut(table.name, options)) notes.push(`is named ${target.name} in PostgreSQL (63 bytes at most)`);
  const primaryKey = (table.primaryKey?.columns ?? []).map((name) => targetName(name, options.naming));
  return {
    index,
    source: { schema: table.schema, name: table.name },
    target,
    columns,
    keyColumns: [...key],
    primaryKey,
    primaryKeyName: table.primaryKey?.name ?? null,
    approximateRows: table.approximateRows,
    // Without a key that can bound a range a second try could not tell which rows are there already: all or nothing.
    chunkRows: ranged ? options.chunkRows : WHOLE_TABLE_ROWS,
    rowHashColumn: options.rowHashColumn,
    unlogged: options.unlogged,
    objects,
    requires: [...requires],
    notes,
    ...(table.rowFilters !== undefined && { rowFilters: table.rowFilters }),
  };
}

function planColumn(
  table: string,
  source: SourceColumn,
  choice: TypeChoice,
  keyPosition: number,
  options: PlanOptions,
  problems: Problem[],
  notes: string[],
): PlannedColumn | null {
  const column: MappedColumn = choice.as === undefined ? source : { ...source, as: choice.as };
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
  const name = targetName(column.name, options.naming);
  if (isCut(column.name, options)) {
    notes.push(`column ${column.name} is named ${name} in PostgreSQL (63 bytes at most)`);
  }
  return {
    source: column,
    sourceName: column.name,
    targetName: name,
    sourceType: typeLabel(column),
    pgType: mapping.pgType,
    field: mapping.field,
    selectExpression: mapping.select(quote(column.name)),
    nullable: column.nullable,
    keyPosition,
    hashed: keyPosition < 0 && (options.hashTextColumns || !isLongText(column)),
    ...(choice.collation !== undefined && { collation: choice.collation }),
  };
}

/** What a person should know of a column that does not become what its type's own mapping makes of it. */
function remarksOn({ source, pgType }: PlannedColumn, choice: TypeChoice): string[] {
  const remark = mapColumn(source).conversion?.remark;
  return [
    ...(remark === undefined ? [] : [`becomes ${pgType}: ${remark}`]),
    ...(choice.remark === undefined ? [] : [choice.remark]),
  ];
}

/** Primary keys share their names with tables: where two schemas become one, or cases fall together, they may clash. */
function namePrimaryKeys(plans: readonly TablePlan[], { naming }: PlanOptions): void {
  const keyed = plans.flatMap((plan) =>
    plan.primaryKeyName === null ? [] : [{ plan, sourceName: plan.primaryKeyName }],
  );
  const wishes = keyed.map(
    ({ plan, sourceName }): NameWish => ({
      schema: plan.target.schema,
      table: plan.target.name,
      name: inCase(sourceName, naming.identifierCase),
      identity: JSON.stringify([plan.source.schema, plan.source.name, sourceName]),
    }),
  );
  const names = relationNames(wishes, new Set(plans.map(({ target }) => relationKey(target))));
  for (const [i, { plan, sourceName }] of keyed.entries()) {
    const name = names[i]!;
    plan.primaryKeyName = name;
    if (name === wishes[i]!.name) continue;
    const why = tooLong(wishes[i]!.name) ? '63 bytes at most' : 'something else has its name';
    plan.notes.push(`primary key ${sourceName} is named ${name} in PostgreSQL (${why})`);
  }
}

function isCut(name: string, { naming }: PlanOptions): boolean {
  return tooLong(inCase(name, naming.identifierCase));
}

function asError({ code, table, column, text, remedy }: Problem): AppError {
  const place = column === undefined ? table : `${table}, column ${column}`;
  return new AppError(code, `${place}: ${text}`, { table, ...(column !== undefined && { column }), remedy });
}

function compareLabels(a: SourceTable, b: SourceTable): number {
  return tableLabel(a) < tableLabel(b) ? -1 : 1;
}
