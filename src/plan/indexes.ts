/**
 * Plans the indexes and unique constraints beside the primary keys.
 *
 * Runs on the main thread; pure.
 */
import type { SourceColumn } from '../source/model.js';
import type { SourceIndex } from '../source/objects.js';
import type { IndexDefinition } from '../target/objects.js';
import { translateCondition } from '../translate/translate.js';
import { inCase } from './casing.js';
import type { PlannedColumn, TablePlan } from './model.js';
import { type NameWish, relationKey, relationNames, sequenceName, tooLong } from './names.js';
import {
  columnOf,
  leaveOut,
  noteCaveats,
  type ObjectOptions,
  type ObjectWork,
  planComment,
} from './objectWork.js';

/** INDEX_MAX_KEYS: PostgreSQL counts included columns as well, of which SQL Server allows 1023. */
const MAX_INDEX_COLUMNS = 32;
/** A B-tree's entry fits a third of a page (BTMaxItemSize 2704), row pointers and alignment included. */
const MAX_ENTRY_BYTES = 2600;
/** The server that introduced NULLS NOT DISTINCT. */
const NULLS_NOT_DISTINCT_VERSION = 150_000;

export function planIndexes(works: readonly ObjectWork[], options: ObjectOptions): void {
  const planned: { work: ObjectWork; plan: TablePlan; source: SourceIndex; index: IndexDefinition }[] = [];
  for (const work of works) {
    const { plan } = work;
    const order = (index: SourceIndex): number => (index.constraint ? 0 : 1);
    for (const source of [...work.source.indexes].sort((a, b) => order(a) - order(b))) {
      if (!options.createIndexes && !source.constraint) {
        leaveOut(plan, 'index', source.name, null, 'migration.create_indexes is false');
        continue;
      }
      const index = planIndex(work, source, options);
      if (index !== null) planned.push({ work, plan, source, index });
    }
  }
  const taken = takenNames(works.map(({ plan }) => plan));
  for (const { plan } of works) {
    for (const sequence of plan.objects.sequences) taken.add(relationKey(sequence));
  }
  // Constraints have names that are unique in a schema of SQL Server as well.
  const constraints = planned.filter(({ source }) => source.constraint);
  name(constraints, taken, options);
  for (const { plan, index } of constraints) {
    taken.add(relationKey({ schema: plan.target.schema, name: index.name }));
  }
  name(
    planned.filter(({ source }) => !source.constraint),
    taken,
    options,
  );
  for (const { work, plan, source, index } of planned) {
    plan.objects.indexes.push(index);
    planComment(work, 'index', source.name, index.name);
    if (source.constraint) planComment(work, 'constraint', source.name, index.name);
  }
}

/** @returns the names of the tables, their primary keys and the sequences behind their identity columns. */
export function takenNames(plans: readonly TablePlan[]): Set<string> {
  const taken = new Set<string>();
  for (const { target, primaryKeyName, columns } of plans) {
    const take = (one: string): Set<string> => taken.add(relationKey({ schema: target.schema, name: one }));
    take(target.name);
    if (primaryKeyName !== null) take(primaryKeyName);
    for (const { source, targetName } of columns) {
      // What PostgreSQL calls the sequence of an identity column.
      if (source.identity !== null) take(sequenceName(target.name, targetName));
    }
  }
  return taken;
}

function name(
  planned: readonly { plan: TablePlan; source: SourceIndex; index: IndexDefinition }[],
  taken: ReadonlySet<string>,
  { naming }: ObjectOptions,
): void {
  const wishes = planned.map(
    ({ plan, source }): NameWish => ({
      schema: plan.target.schema,
      table: plan.target.name,
      name: inCase(source.name, naming.identifierCase),
      identity: JSON.stringify([plan.source.schema, plan.source.name, source.name]),
    }),
  );
  const names = relationNames(wishes, taken);
  for (const [i, { plan, source, index }] of planned.entries()) {
    const wanted = wishes[i]!.name;
    index.name = names[i]!;
    if (index.name === wanted) continue;
    const why = tooLong(wanted)
      ? '63 bytes at most'
      : 'names of indexes and tables are unique in a PostgreSQL schema';
    plan.notes.push(`index ${source.name} is named ${index.name} in PostgreSQL (${why})`);
  }
}

function planIndex(
  { plan, context }: ObjectWork,
  source: SourceIndex,
  options: ObjectOptions,
): IndexDefinition | null {
  const kind = source.constraint ? 'unique constraint' : 'index';
  const out = (reason: string): null => {
    leaveOut(plan, kind, source.name, source.filter, reason);
    return null;
  };
  if (source.disabled) return out('it is disabled in the source');
  if (source.type !== 1 && source.type !== 2) return out(`it is of type ${source.typeName}`);
  const keys = source.keys.map(({ column }) => columnOf(plan, column));
  if (keys.length === 0 || keys.some((column) => column === null))
    return out('a column of it does not arrive');
  let filter: string | null = null;
  if (source.filter !== null) {
    const found = translateCondition(source.filter, context);
    if ('untranslated' in found) return out(found.untranslated);
    filter = found.sql;
    noteCaveats(plan, 'index', source.name, found.caveats);
  }
  const keyColumns = keys as PlannedColumn[];
  const mayRepeatNull = source.unique && keyColumns.some(({ nullable }) => nullable);
  const nullsNotDistinct = mayRepeatNull && options.pgVersion >= NULLS_NOT_DISTINCT_VERSION;
  if (mayRepeatNull && !nullsNotDistinct) {
    plan.notes.push(`${kind} ${source.name}: more than one NULL is allowed, as PostgreSQL before 15 has it`);
  }
  return {
    name: source.name,
    unique: source.unique,
    constraint: source.constraint,
    nullsNotDistinct,
    keys: keyColumns.map(({ targetName }, i) => ({
      column: targetName,
      descending: source.keys[i]?.descending === true,
    })),
    included: includedColumns(plan, source, keyColumns),
    filter,
  };
}

/** Included columns only spare a look into the table: those that may not fit an entry, or are too many, are left out. */
function includedColumns(plan: TablePlan, source: SourceIndex, keys: readonly PlannedColumn[]): string[] {
  let leftBytes = MAX_ENTRY_BYTES - keys.reduce((sum, key) => sum + largestBytes(key.source), 0);
  const kept: string[] = [];
  const dropped: string[] = [];
  const tooMany: string[] = [];
  for (const name of source.included) {
    const column = columnOf(plan, name);
    const size = column === null ? Number.POSITIVE_INFINITY : largestBytes(column.source);
    if (column === null || size > leftBytes) dropped.push(name);
    else if (keys.length + kept.length === MAX_INDEX_COLUMNS) tooMany.push(name);
    else {
      kept.push(column.targetName);
      leftBytes -= size;
    }
  }
  if (dropped.length > 0) {
    const reason = `values may be larger than an index entry of PostgreSQL`;
    plan.notes.push(`index ${source.name} does not include ${dropped.join(', ')}: ${reason}`);
  }
  if (tooMany.length > 0) {
    const reason = `an index of PostgreSQL has ${MAX_INDEX_COLUMNS} columns at most`;
    plan.notes.push(`index ${source.name} does not include ${tooMany.join(', ')}: ${reason}`);
  }
  return kept;
}

/** Bytes a value may have in PostgreSQL, alignment included. */
function largestBytes({ type, maxLengthBytes }: SourceColumn): number {
  if (maxLengthBytes === -1 || ['text', 'ntext', 'image', 'xml', 'sql_variant'].includes(type)) {
    return Number.POSITIVE_INFINITY;
  }
  // UTF-8 needs three bytes for a UTF-16 unit, and for a byte of a code page.
  if (type === 'nchar' || type === 'nvarchar') return maxLengthBytes * 1.5 + 4;
  if (type === 'char' || type === 'varchar') return maxLengthBytes * 3 + 4;
  return maxLengthBytes + 8;
}
