/**
 * Creates unique constraints and indexes, once the rows are in.
 *
 * Runs on the main thread. What is there already, by its name or by what it covers, is left as it is.
 */
import type { TablePlan } from '../plan/model.js';
import type { TargetConnection } from '../target/connection.js';
import { createIndex, type IndexDefinition } from '../target/objects.js';
import { indexError } from './indexError.js';
import type { StepMaker } from './step.js';

export const uniqueConstraints = maker('unique constraint', true);
export const indexes = maker('index', false);

function maker(kind: 'unique constraint' | 'index', constraint: boolean): StepMaker {
  const wanted = (plan: TablePlan): IndexDefinition[] =>
    plan.objects.indexes.filter((index) => index.constraint === constraint);
  return {
    kind,
    names: (plan) => wanted(plan).map(({ name }) => name),

    async run(target, plan, name) {
      const index = wanted(plan).find((one) => one.name === name);
      if (index === undefined || (await isThere(target, plan, index))) return false;
      try {
        await target.query(createIndex(plan.target, index));
      } catch (error) {
        const otherwise = constraint ? 'exclude the table' : 'set migration.create_indexes: false';
        throw await indexError(target, plan, name, error, otherwise);
      }
      return true;
    },
  };
}

async function isThere(target: TargetConnection, plan: TablePlan, index: IndexDefinition): Promise<boolean> {
  const [row] = await target.query<{ there: boolean }>(
    `SELECT EXISTS (
      SELECT FROM pg_index i
      JOIN pg_class t ON t.oid = i.indrelid
      JOIN pg_namespace n ON n.oid = t.relnamespace
      JOIN pg_class x ON x.oid = i.indexrelid
      WHERE n.nspname = $1 AND t.relname = $2 AND (x.relname = $3 OR (
        $4 AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid AND (
          SELECT array_agg(a.attname::text ORDER BY k.position)
          FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
          WHERE k.position <= i.indnkeyatts
        ) = $5::text[]))) AS there`,
    [
      plan.target.schema,
      plan.target.name,
      index.name,
      index.constraint,
      index.keys.map(({ column }) => column),
    ],
  );
  return row?.there === true;
}
