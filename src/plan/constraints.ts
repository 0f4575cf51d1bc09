/**
 * Plans checks and foreign keys.
 *
 * Runs on the main thread; pure.
 */
import { tableLabel } from '../source/model.js';
import type { SourceForeignKey } from '../source/objects.js';
import { translateCondition } from '../translate/translate.js';
import { parsePgType } from '../types/pgType.js';
import { inCase } from './casing.js';
import type { PlannedColumn, TablePlan } from './model.js';
import { fitting, hashedName } from './names.js';
import type { Naming } from './naming.js';
import { columnOf, leaveOut, noteCaveats, type ObjectWork, planComment } from './objectWork.js';

const NOT_TRUSTED = 'not trusted in the source, so rows that are there are not checked';

export function planChecks(work: ObjectWork, naming: Naming, wanted: boolean): void {
  const { plan, source, context } = work;
  for (const { name, definition, disabled, trusted } of source.checks) {
    const out = (reason: string): void => leaveOut(plan, 'check', name, definition, reason);
    if (!wanted) {
      out('migration.create_check_constraints is false');
      continue;
    }
    if (disabled) {
      out('it is disabled in the source');
      continue;
    }
    const found = translateCondition(definition, context);
    if ('untranslated' in found) {
      out(found.untranslated);
      continue;
    }
    const target = nameOf(plan, 'check', name, naming);
    const untrusted = trusted ? {} : { untrusted: definition };
    plan.objects.checks.push({ name: target, condition: found.sql, validate: trusted, ...untrusted });
    planComment(work, 'constraint', name, target);
    noteCaveats(plan, 'check', name, found.caveats);
    if (!trusted) plan.notes.push(`check ${name}: ${NOT_TRUSTED} until they are changed`);
  }
}

export function planForeignKeys(works: readonly ObjectWork[], naming: Naming, wanted: boolean): void {
  const plans = new Map(works.map(({ plan }) => [tableLabel(plan.source), plan]));
  for (const work of works) {
    for (const key of work.source.foreignKeys) {
      planForeignKey(work, key, plans.get(tableLabel(key.to)), naming, wanted);
    }
  }
}

function planForeignKey(
  work: ObjectWork,
  key: SourceForeignKey,
  to: TablePlan | undefined,
  naming: Naming,
  wanted: boolean,
): void {
  const { plan } = work;
  const ends = key.columns.map((name) => columnOf(plan, name));
  const toEnds = key.toColumns.map((name) => to && columnOf(to, name));
  const columns = ends.map((column) => column?.targetName);
  const toColumns = toEnds.map((column) => column?.targetName);
  const apart = ends.findIndex((column, i) => !comparable(column, toEnds[i]));
  const complete = [...columns, ...toColumns].every((name) => name !== undefined);
  const reason = !wanted
    ? 'migration.create_foreign_keys is false'
    : key.disabled
      ? 'it is disabled in the source'
      : to === undefined
        ? `${tableLabel(key.to)} is not part of this run`
        : !complete
          ? 'a column of it does not arrive'
          : apart >= 0
            ? `${typeOf(ends[apart])} and ${typeOf(toEnds[apart])} are not compared alike`
            : hasKey(to, toColumns as string[])
              ? null
              : 'no unique key over the columns it points at arrives';
  if (reason !== null || to === undefined) {
    const definition = `(${key.columns.join(', ')}) to ${tableLabel(key.to)} (${key.toColumns.join(', ')})`;
    leaveOut(plan, 'foreign key', key.name, definition, reason ?? '');
    return;
  }
  const name = nameOf(plan, 'foreign key', key.name, naming);
  planComment(work, 'foreign key', key.name, name);
  plan.objects.foreignKeys.push({
    name,
    columns: columns as string[],
    to: to.target,
    toColumns: toColumns as string[],
    onDelete: key.onDelete,
    onUpdate: key.onUpdate,
    validate: key.trusted,
  });
  if (!key.trusted) plan.notes.push(`foreign key ${key.name}: ${NOT_TRUSTED}`);
}

const NUMBERS = new Set(['smallint', 'integer', 'bigint', 'numeric']);

/** Whether PostgreSQL can hold these two to be equal in one sense; types that are not converted always are. */
function comparable(a: PlannedColumn | null | undefined, b: PlannedColumn | null | undefined): boolean {
  if (!a || !b) return true;
  if (a.collation !== b.collation) return false;
  if (a.source.as === undefined && b.source.as === undefined) return true;
  const [one, other] = [a, b].map(({ pgType }) => parsePgType(pgType).name) as [string, string];
  const isText = (name: string): boolean => name === 'text' || name === 'character varying';
  return one === other || (NUMBERS.has(one) && NUMBERS.has(other)) || (isText(one) && isText(other));
}

function typeOf(column: PlannedColumn | null | undefined): string {
  return column ? `${column.targetName} (${column.pgType})` : '';
}

function hasKey(to: TablePlan, columns: readonly string[]): boolean {
  const same = (key: readonly string[]): boolean =>
    key.length === columns.length && columns.every((column) => key.includes(column));
  return (
    same(to.primaryKey) ||
    to.objects.indexes.some(
      ({ unique, filter, keys }) => unique && filter === null && same(keys.map(({ column }) => column)),
    )
  );
}

/** Names of these are unique in a table of PostgreSQL: a schema's unique ones stay so, unless cases fall together. */
function nameOf(plan: TablePlan, kind: string, name: string, { identifierCase }: Naming): string {
  const { checks, foreignKeys, indexes } = plan.objects;
  const taken = new Set(
    [...checks, ...foreignKeys, ...indexes.filter(({ constraint }) => constraint)].map((one) => one.name),
  );
  if (plan.primaryKeyName !== null) taken.add(plan.primaryKeyName);
  const wanted = inCase(name, identifierCase);
  const fits = fitting(wanted, name);
  const target = taken.has(fits) ? hashedName(wanted, name) : fits;
  if (target !== wanted) {
    const why = fits === wanted ? 'the table has another constraint of its name' : '63 bytes at most';
    plan.notes.push(`${kind} ${name} is named ${target} in PostgreSQL (${why})`);
  }
  return target;
}
