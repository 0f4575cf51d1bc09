/** Many tables: what is asked about all of them takes time by their number, not by its square; and limits are named. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transferMode } from '../src/plan/modes/index.js';
import { existingRelations, foreignKeysAt, relationsNamed, uniqueKeys } from '../src/target/catalog.js';
import type { TargetConnection } from '../src/target/connection.js';
import { dependents } from '../src/target/dependents.js';
import { targetError } from '../src/target/errors.js';
import { refused } from './support/modes.js';
import { ordersAndUsers } from './support/sourceTables.js';
import { withTarget } from './support/target.js';

const FEW = 50;
const MANY = 4 * FEW;
const QUESTIONS = [existingRelations, uniqueKeys, foreignKeysAt, relationsNamed, dependents];

let target: TargetConnection;
withTarget(['app'], (scene) => {
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

test('too many tables for the locks of one transaction: says what to set, and that another try is of no use', async () => {
  const hint = { hint: 'You might need to increase "max_locks_per_transaction".' };
  const full = Object.assign(new Error('out of shared memory'), {
    ...{ code: '53200', severity: 'ERROR', ...hint },
  });
  const error = targetError(full);
  assert.equal(error.code, 'TARGET_TRANSIENT');
  assert.match(error.remedy!, /max_locks_per_transaction/);
  const preparing = transferMode('drop_recreate').prepare(target, ordersAndUsers(), () =>
    Promise.reject(error),
  );
  const named = await refused(
    preparing,
    'TARGET_QUERY',
    /^2 tables .* about 8 \(max_locks_per_transaction is 64/,
  );
  assert.match(named.remedy!, /max_locks_per_transaction to 128 .*include_tables/);
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
