/**
 * What the parts that plan a table's objects share.
 *
 * Runs on the main thread; pure.
 */
import type { SourceComment, SourceObjects } from '../source/objects.js';
import type { TranslateContext } from '../translate/translate.js';
import type { PlannedColumn, PlannedObjects, TablePlan } from './model.js';
import type { Naming } from './naming.js';
import type { TypeOptions } from './typeChoices.js';

export interface ObjectOptions {
  naming: Naming;
  createIndexes: boolean;
  createForeignKeys: boolean;
  createCheckConstraints: boolean;
  databaseCollation: string;
  computedColumns: TypeOptions['computedColumns'];
  /** `server_version_num` of the target. */
  pgVersion: number;
}

/** One table with what the source says of it, while its objects are planned. */
export interface ObjectWork {
  plan: TablePlan;
  source: SourceObjects;
  /** The source's name of its primary key, or null. */
  primaryKey: string | null;
  context: TranslateContext;
}

/** @returns a table's objects before any are planned. */
export function noObjects(): PlannedObjects {
  return { sequences: [], defaults: [], indexes: [], checks: [], foreignKeys: [], comments: [], leftOut: [] };
}

/** @returns the planned column of a source name: the very same, or the same but for case. */
export function columnOf(plan: TablePlan, name: string): PlannedColumn | null {
  const exact = plan.columns.find(({ sourceName }) => sourceName === name);
  if (exact !== undefined) return exact;
  const alike = plan.columns.filter(({ sourceName }) => sourceName.toLowerCase() === name.toLowerCase());
  return alike.length === 1 ? (alike[0] as PlannedColumn) : null;
}

/** Plans the descriptions of something that arrives by the name of `targetName`. */
export function planComment(
  { plan, source }: Pick<ObjectWork, 'plan' | 'source'>,
  on: SourceComment['on'],
  name: string,
  targetName: string,
): void {
  for (const comment of source.comments) {
    if (comment.on !== on || comment.name !== name) continue;
    if (!comment.text.includes('\0'))
      plan.objects.comments.push({ on, name: targetName, text: comment.text });
    else leaveOut(plan, 'comment', name, null, 'PostgreSQL has no NUL character');
  }
}

/** Says of something that it does not arrive. */
export function leaveOut(
  plan: TablePlan,
  kind: string,
  name: string,
  definition: string | null,
  reason: string,
): void {
  plan.objects.leftOut.push({ kind, name, definition, reason });
}

/** Says of a translation where it differs. */
export function noteCaveats(plan: TablePlan, kind: string, name: string, caveats: readonly string[]): void {
  if (caveats.length > 0) plan.notes.push(`${kind} ${name}: ${caveats.join('; ')}`);
}
