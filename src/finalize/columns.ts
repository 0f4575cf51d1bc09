/**
 * What columns get once the rows are in: defaults, and counters that go on behind the source's.
 *
 * Runs on the main thread.
 */
import type { PlannedColumn, PlannedObjects, TablePlan } from '../plan/model.js';
import { inTransaction, type TargetConnection } from '../target/connection.js';
import { qualified, quoteIdent } from '../target/identifiers.js';
import { createSequence, holds, setDefault } from '../target/objects.js';
import type { StepMaker } from './step.js';

export const defaults: StepMaker = {
  kind: 'default',
  names: (plan) => plan.objects.defaults.map(({ column }) => column),

  async run(target, plan, name) {
    const found = plan.objects.defaults.find(({ column }) => column === name);
    // `truncate` and `upsert` keep the default a column already has.
    if (found === undefined || (await hasDefault(target, plan, name))) return false;
    await target.query(setDefault(plan.target, name, found.expression));
    return true;
  },
};

async function hasDefault(target: TargetConnection, plan: TablePlan, column: string): Promise<boolean> {
  const [row] = await target.query<{ there: boolean }>(
    `SELECT a.atthasdef OR a.attidentity <> '' AS there FROM pg_attribute a
      WHERE a.attrelid = $1::regclass AND a.attname = $2`,
    [qualified(plan.target), column],
  );
  return row?.there === true;
}

export const identities: StepMaker = {
  kind: 'identity',
  names: (plan) =>
    plan.columns.flatMap(({ targetName, identity }) => (identity === undefined ? [] : [targetName])),

  async run(target, plan, name) {
    const column = plan.columns.find(({ targetName }) => targetName === name);
    if (column?.identity === undefined) return false;
    const [found] = await target.query<{ sequence: string; least: string; most: string }>(
      `SELECT sequence, seqmin::text AS least, seqmax::text AS most
        FROM pg_get_serial_sequence($1, $2) AS sequence JOIN pg_sequence ON seqrelid = sequence::regclass`,
      [qualified(plan.target), name],
    );
    // A table of somebody else's making may count otherwise, or not at all.
    if (found === undefined) return false;
    const { seed, increment } = column.identity;
    const last = await lastValue(target, plan, column);
    // A counter that was set back to 0 goes on with 1: of a range from 1 on that is the first value.
    const isOutside = last !== null && (last < BigInt(found.least) || last > BigInt(found.most));
    const value = last === null ? seed : isOutside ? last + BigInt(increment) : last;
    await target.query('SELECT setval($1::regclass, $2::bigint, $3)', [
      found.sequence,
      String(value),
      last !== null && !isOutside,
    ]);
    return true;
  },
};

/** The source's last value, or that of a row which came in since the run was planned. */
async function lastValue(
  target: TargetConnection,
  plan: TablePlan,
  { targetName, pgType, identity }: PlannedColumn,
): Promise<bigint | null> {
  const { seed, lastValue: given, increment } = identity!;
  const rises = BigInt(increment) > 0n;
  const [row] = await target.query<{ last: string | null }>(
    `SELECT ${rises ? 'max' : 'min'}(${quoteIdent(targetName)})::text AS last FROM ${qualified(plan.target)}`,
  );
  const last = row?.last == null ? null : BigInt(row.last);
  if (given === null) {
    // Rows on this side of the seed were not counted: -1, say, for what is not known.
    return last === null || (last !== BigInt(seed) && last > BigInt(seed) !== rises) ? null : last;
  }
  // A counter that came to its end may have been set back, to the rows of which one is the last there can be.
  if (last === null || !holds(pgType, last + BigInt(increment))) return BigInt(given);
  return last > BigInt(given) === rises ? last : BigInt(given);
}

export const sequences: StepMaker = {
  kind: 'sequence',
  names: (plan) => plan.objects.sequences.map(({ name }) => name),

  async run(target, plan, name) {
    const sequence = plan.objects.sequences.find((one) => one.name === name);
    if (sequence === undefined) return false;
    const [row] = await target.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
      qualified(sequence),
    ]);
    // One that is there already may be ahead of the source's.
    if (row?.there === true && !(await isBehind(target, sequence))) return false;
    await inTransaction(target, async () => {
      if (row?.there !== true) await target.query(createSequence(sequence));
      await target.query('SELECT setval($1::regclass, $2::bigint, $3)', [
        qualified(sequence),
        sequence.current,
        sequence.used,
      ]);
    });
    return true;
  },
};

async function isBehind(
  target: TargetConnection,
  sequence: PlannedObjects['sequences'][number],
): Promise<boolean> {
  const [row] = await target.query<{ last: string; called: boolean }>(
    `SELECT last_value::text AS last, is_called AS called FROM ${qualified(sequence)}`,
  );
  if (row === undefined) return true;
  const ahead = BigInt(sequence.current) - BigInt(row.last);
  if (ahead === 0n) return sequence.used && !row.called;
  return BigInt(sequence.increment) > 0n ? ahead > 0n : ahead < 0n;
}
