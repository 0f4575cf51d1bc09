/**
 * What a run would make of a table, as the statements it would run.
 *
 * Pure. Where an identity goes on is not in them: that is known when the rows are in.
 */
import { addPrimaryKey, createSchema, createTable } from '../target/ddl.js';
import {
  addCheck,
  addForeignKey,
  commentOn,
  createIndex,
  createSequence,
  setDefault,
  validateConstraint,
} from '../target/objects.js';
import { requirements, type TablePlan } from './model.js';

/** @returns the statements that make the table and its objects, foreign keys last; without semicolons. */
export function tableScript(plan: TablePlan): { table: string[]; objects: string[]; foreignKeys: string[] } {
  const { target, objects, primaryKey, primaryKeyName } = plan;
  const comments = (ofKeys: boolean): string[] =>
    objects.comments
      .filter(({ on }) => (on === 'foreign key') === ofKeys)
      .map((comment) => commentOn(target, comment));
  const validation = ({ name, validate }: { name: string; validate: boolean }): string[] =>
    validate ? [validateConstraint(target, name)] : [];
  return {
    table: [...objects.sequences.map(createSequence), createTable(plan)],
    objects: [
      ...(primaryKeyName === null ? [] : [addPrimaryKey(target, primaryKeyName, primaryKey)]),
      ...objects.indexes.map((index) => createIndex(target, index)),
      ...objects.checks.flatMap((check) => [addCheck(target, check), ...validation(check)]),
      ...objects.defaults.map(({ column, expression }) => setDefault(target, column, expression)),
      ...comments(false),
    ],
    foreignKeys: [
      ...objects.foreignKeys.flatMap((key) => [addForeignKey(target, key), ...validation(key)]),
      ...comments(true),
    ],
  };
}

/** @returns one script that makes all tables and their objects in an empty database, as psql runs it. */
export function runScript(plans: readonly TablePlan[]): string {
  const schemas = [...new Set(plans.map(({ target }) => target.schema))];
  const scripts = plans.map(tableScript);
  const statements = [
    ...schemas.map(createSchema),
    ...requirements(plans),
    // Defaults may count by a sequence that is made with another table.
    ...scripts.flatMap(({ table }) => table),
    ...scripts.flatMap(({ objects }) => objects),
    ...scripts.flatMap(({ foreignKeys }) => foreignKeys),
  ];
  return statements.map((statement) => `${statement};\n`).join('');
}
