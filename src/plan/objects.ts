/**
 * Plans what is made after the rows are in: defaults, sequences, indexes, constraints, comments.
 *
 * Runs on the main thread; pure. What the target does not get is listed with its reason, and said in the notes.
 */
import { type SourceTable, tableLabel } from '../source/model.js';
import type { DatabaseObjects } from '../source/objects.js';
import { qualified, quoteIdent } from '../target/identifiers.js';
import { holds, mayBeIdentity } from '../target/objects.js';
import { columnType, type TranslateContext, translateDefault } from '../translate/translate.js';
import { mapColumn } from '../types/index.js';
import { inCase } from './casing.js';
import { planComputed } from './computed.js';
import { planChecks, planForeignKeys } from './constraints.js';
import { planIndexes, takenNames } from './indexes.js';
import type { PlannedColumn, PlannedObjects, TablePlan } from './model.js';
import { hashedName, type NameWish, relationKey, relationNames, sequenceName, tooLong } from './names.js';
import {
  columnOf,
  leaveOut,
  noteCaveats,
  type ObjectOptions,
  type ObjectWork,
  planComment,
} from './objectWork.js';

/**
 * Fills in `objects` of every plan and adds what is lost to its notes.
 *
 * @returns notes on the database as a whole: what kinds of object are not migrated
 */
export function planObjects(
  plans: readonly TablePlan[],
  tables: readonly SourceTable[],
  database: DatabaseObjects,
  options: ObjectOptions,
): string[] {
  const sources = new Map(tables.map((table) => [tableLabel(table), table]));
  const sequences = new Sequences(plans, database, options);
  const works = plans.flatMap((plan): ObjectWork[] => {
    const table = sources.get(tableLabel(plan.source));
    const source = database.tables.get(table?.objectId ?? -1);
    if (source === undefined) return [];
    const primaryKey = table?.primaryKey?.name ?? null;
    return [{ plan, source, primaryKey, context: contextOf(plan, sequences, options) }];
  });
  const tableNames = new Set(plans.map(({ target }) => relationKey(target)));
  for (const work of works) {
    planComputed(work, options.computedColumns);
    planIdentity(work, tableNames);
    planDefaults(work, sequences);
    planComment(work, 'table', work.plan.source.name, work.plan.target.name);
    for (const { sourceName, targetName } of work.plan.columns) {
      planComment(work, 'column', sourceName, targetName);
    }
    if (work.primaryKey !== null && work.plan.primaryKeyName !== null) {
      planComment(work, 'index', work.primaryKey, work.plan.primaryKeyName);
      planComment(work, 'constraint', work.primaryKey, work.plan.primaryKeyName);
    }
  }
  sequences.giveRest();
  planIndexes(works, options);
  for (const work of works) planChecks(work, options.naming, options.createCheckConstraints);
  planForeignKeys(works, options.naming, options.createForeignKeys);
  for (const { plan } of works) noteLeftOut(plan);
  return database.notMigrated.map(
    ({ kind, names }) =>
      `${names.length} ${names.length === 1 ? kind.slice(0, -1) : kind} not migrated: ${names.join(', ')}`,
  );
}

function contextOf(plan: TablePlan, sequences: Sequences, options: ObjectOptions): TranslateContext {
  return {
    column(name) {
      const column = columnOf(plan, name);
      return column === null ? null : columnExpression(column);
    },
    sequence: (schema, name) => sequences.find(schema ?? plan.source.schema, name),
    databaseCollation: options.databaseCollation,
    pgVersion: options.pgVersion,
  };
}

/** The column as its type's own mapping would have it, and without a collation that folds: what translations expect. */
function columnExpression(column: PlannedColumn): ReturnType<TranslateContext['column']> {
  const { conversion } = mapColumn(column.source);
  const name = quoteIdent(column.targetName);
  const sql = conversion === undefined ? name : conversion.toOwn(name);
  if (sql === null) return { unusable: `${column.sourceName} is ${column.pgType} in the target` };
  const plain = column.collation === undefined ? sql : `(${sql} COLLATE "default")`;
  return { sql: plain, type: columnType(column.source) };
}

function planIdentity({ plan }: ObjectWork, tableNames: ReadonlySet<string>): void {
  for (const column of plan.columns) {
    const { identity } = column.source;
    if (identity === null) continue;
    const counted = [identity.seed, identity.lastValue ?? identity.seed];
    const outside = counted.find((value) => !holds(column.pgType, BigInt(value)));
    if (mayBeIdentity(column.pgType) && outside === undefined) {
      column.identity = { ...identity, ...sequenceOf(plan, column, tableNames) };
      continue;
    }
    const definition = `IDENTITY(${identity.seed}, ${identity.increment})`;
    const reason = mayBeIdentity(column.pgType)
      ? `${column.pgType} does not hold its value ${outside}`
      : `PostgreSQL counts smallint, integer and bigint columns only, not ${column.pgType}`;
    leaveOut(plan, 'identity', column.sourceName, definition, reason);
  }
}

/** A name for the sequence, where another table of the run has the one PostgreSQL would give it. */
function sequenceOf(
  { target, notes }: TablePlan,
  { targetName }: PlannedColumn,
  tableNames: ReadonlySet<string>,
): { sequence?: string } {
  const { schema } = target;
  const usual = sequenceName(target.name, targetName);
  if (!tableNames.has(relationKey({ schema, name: usual }))) return {};
  const name = hashedName(usual, usual);
  notes.push(`the sequence of column ${targetName} is named ${name}: ${usual} is a table`);
  return { sequence: qualified({ schema, name }) };
}

function planDefaults({ plan, source, context }: ObjectWork, sequences: Sequences): void {
  for (const { name, column: columnName, definition } of source.defaults) {
    const column = columnOf(plan, columnName);
    if (column === null) continue;
    const found = translateDefault(definition, columnType(column.source), context);
    if ('untranslated' in found) {
      leaveOut(plan, 'default', `${name} of ${columnName}`, definition, found.untranslated);
      continue;
    }
    if (found.sql === 'NULL') continue;
    const { conversion } = mapColumn(column.source);
    const expression = conversion === undefined ? found.sql : conversion.fromOwn(found.sql);
    if (expression === null) {
      const reason = `no expression gives it as ${column.pgType}`;
      leaveOut(plan, 'default', `${name} of ${columnName}`, definition, reason);
      continue;
    }
    sequences.give(plan, expression);
    plan.objects.defaults.push({ column: column.targetName, expression });
    noteCaveats(plan, 'default of', columnName, found.caveats);
  }
}

/** The sequences of the source schemas of the run; each is made with one table, the first that uses it. */
class Sequences {
  readonly #plans: readonly TablePlan[];
  readonly #waiting = new Map<string, PlannedObjects['sequences'][number]>();
  readonly #known: { schema: string; name: string; target: string }[] = [];

  constructor(plans: readonly TablePlan[], { sequences }: DatabaseObjects, { naming }: ObjectOptions) {
    this.#plans = plans;
    const schemas = new Set(plans.map((plan) => plan.source.schema));
    const ours = sequences.filter(({ schema }) => schemas.has(schema));
    const arriving = ours.filter(
      ({ current, increment }) => clamped(current) === current && clamped(increment) === increment,
    );
    for (const lost of ours.filter((one) => !arriving.includes(one))) {
      const at = `at ${lost.current} INCREMENT BY ${lost.increment}`;
      const reason = 'a decimal sequence that counts further than any of PostgreSQL';
      if (plans[0] !== undefined) leaveOut(plans[0], 'sequence', tableLabel(lost), at, reason);
    }
    const wishes = arriving.map(
      ({ schema, name }): NameWish => ({
        schema: naming.schemaOf(schema),
        table: null,
        name: inCase(name, naming.identifierCase),
        identity: JSON.stringify([schema, name]),
      }),
    );
    const names = relationNames(wishes, takenNames(plans));
    for (const [i, { schema, name, ...rest }] of arriving.entries()) {
      const target = { schema: wishes[i]!.schema, name: names[i]! };
      const [start, minimum, maximum] = [clamped(rest.start), clamped(rest.minimum), clamped(rest.maximum)];
      this.#known.push({ schema, name, target: qualified(target) });
      this.#waiting.set(qualified(target), { ...target, ...rest, start, minimum, maximum });
      if (minimum !== rest.minimum || maximum !== rest.maximum) {
        const range = `from ${minimum} to ${maximum}`;
        this.#plans[0]?.notes.push(`sequence ${name} counts ${range} in PostgreSQL, as far as bigint goes`);
      }
      if (target.name === wishes[i]!.name) continue;
      const why = tooLong(wishes[i]!.name) ? '63 bytes at most' : 'something else has its name';
      this.#plans[0]?.notes.push(`sequence ${name} is named ${target.name} in PostgreSQL (${why})`);
    }
  }

  /** The very sequence, or the only one that is the same but for case. */
  find(schema: string, name: string): string | null {
    const exact = this.#known.find((one) => one.schema === schema && one.name === name);
    if (exact !== undefined) return exact.target;
    const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
    const alike = this.#known.filter((one) => same(one.schema, schema) && same(one.name, name));
    return alike.length === 1 ? alike[0]!.target : null;
  }

  /** Makes the sequences that `expression` names part of this table's objects. */
  give(plan: TablePlan, expression: string): void {
    for (const [label, sequence] of this.#waiting) {
      if (!expression.includes(label.replaceAll("'", "''"))) continue;
      plan.objects.sequences.push(sequence);
      this.#waiting.delete(label);
    }
  }

  /** Those that no default uses are made with the first table. */
  giveRest(): void {
    this.#plans[0]?.objects.sequences.push(...this.#waiting.values());
    this.#waiting.clear();
  }
}

/** @returns the number, or the nearest that PostgreSQL's sequences can count to. */
function clamped(number: string): string {
  return String(BigInt.asIntN(64, BigInt(number)) === BigInt(number) ? number : nearest(BigInt(number)));
}

function nearest(number: bigint): bigint {
  const largest = 2n ** 63n - 1n;
  return number > 0n ? largest : -largest - 1n;
}

function noteLeftOut(plan: TablePlan): void {
  for (const { kind, name, definition, reason } of plan.objects.leftOut) {
    const text = definition === null || definition === '' ? '' : ` ${definition}`;
    plan.notes.push(`left out: ${kind} ${name}${text}: ${reason}`);
  }
}
