/** What is asked of the target's catalog about many tables at once takes time by their number, not by its square. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { existingRelations, foreignKeysAt, relationsNamed, uniqueKeys } from '../src/target/catalog.js';
import type { TargetConnection } from '../src/target/connection.js';
import { dependents } from '../src/target/dependents.js';
import { withTarget } from './support/target.js';

const FEW = 50;
const MANY = 4 * FEW;
const QUESTIONS = [existingRelations, uniqueKeys, foreignKeysAt, relationsNamed, dependents];

let target: TargetConnection;
withTarget([], (scene) => {
  target = scene.target;
});

test('four times the tables are four times the work for PostgreSQL', async (t) => {
  // The few come first: what is looked through in vain is there of all tables.
  const few = await askAll(FEW);
  const many = await askAll(MANY);
  for (const [i, { name }] of QUESTIONS.entries()) {
    await t.test(name, () => {
      // By the square it would be 16 times.
      assert.ok(many[i]! < 8 * few[i]!, `${few[i]} rows for ${FEW} tables, ${many[i]} for ${MANY}`);
    });
  }
});

/** @returns the rows looked at for each question about so many tables with keys and foreign keys */
async function askAll(tables: number): Promise<number[]> {
  const schema = `tables_${tables}`;
  const each = Array.from(
    { length: tables },
    (_, i) => `CREATE TABLE ${schema}.t${i} (id int PRIMARY KEY, parent int UNIQUE, name text);
      ALTER TABLE ${schema}.t${i} ADD FOREIGN KEY (parent) REFERENCES ${schema}.t${i - (i % 2)} (id);`,
  );
  await target.query(`CREATE SCHEMA ${schema}; ${each.join('\n')}`);
  await target.query('ANALYZE');
  const rows: number[] = [];
  for (const ask of QUESTIONS) rows.push(await rowsLookedAt(ask, tables));
  return rows;
}

/** @returns the rows that all parts of the statement's plan went through, together. */
async function rowsLookedAt(
  ask: (target: TargetConnection, names: { schema: string; name: string }[]) => Promise<unknown>,
  tables: number,
): Promise<number> {
  const schema = `tables_${tables}`;
  const names = Array.from({ length: tables }, (_, i) => ({ schema, name: `t${i}` }));
  let rows = 0;
  const explaining = {
    query: async (sql: string, values: readonly unknown[]) => {
      const [plan] = await target.query<Record<string, [{ Plan: PlanNode }]>>(
        `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${sql}`,
        values,
      );
      rows += rowsOf(plan!['QUERY PLAN']![0].Plan);
      return [];
    },
  };
  await ask(Object.assign(Object.create(target) as TargetConnection, explaining), names);
  return rows;
}

interface PlanNode {
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Join Filter'?: number;
  Plans?: PlanNode[];
}

function rowsOf(node: PlanNode): number {
  const each =
    node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Join Filter'] ?? 0);
  return each * node['Actual Loops'] + (node.Plans ?? []).reduce((sum, part) => sum + rowsOf(part), 0);
}
