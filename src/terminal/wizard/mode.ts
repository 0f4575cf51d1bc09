/**
 * Which mode: proposed from what the target holds already, with the reason; then what it would do there.
 *
 * Runs on the main thread. Only looks: nothing of the target is changed.
 */
import type { Config } from '../../config/schema.js';
import { AppError, requireNone } from '../../errors.js';
import { count, oneLine } from '../../observe/format.js';
import type { TablePlan } from '../../plan/model.js';
import { configuredMode } from '../../plan/modes/index.js';
import { namingOf } from '../../plan/naming.js';
import { planTables } from '../../plan/tables.js';
import { type SourceTable, tableLabel } from '../../source/model.js';
import { existingRelations } from '../../target/catalog.js';
import type { TargetConnection } from '../../target/connection.js';
import { qualified } from '../../target/identifiers.js';
import type { Prompts } from './prompts.js';

export type ModeName = Config['migration']['target_mode'];

/** What of the chosen tables the target has. */
export interface TargetSurvey {
  missing: string[];
  empty: string[];
  /** Tables that have rows. */
  filled: string[];
  /** Source tables without a key to match rows by. */
  keyless: string[];
}

export interface Proposal {
  mode: ModeName;
  why: string;
}

/** @returns the mode that does what is most likely wanted and loses the least. */
export function proposeMode({ missing, empty, filled, keyless }: TargetSurvey): Proposal {
  if (filled.length === 0) {
    const why =
      empty.length === 0
        ? `the target has none of the ${tables(missing.length)} yet`
        : `the target has no rows in ${empty.length === 1 ? 'the table' : `the ${tables(empty.length)}`} that ${empty.length === 1 ? 'is' : 'are'} there`;
    return { mode: 'drop_recreate', why };
  }
  const there = `${tables(filled.length)} of the target ${filled.length === 1 ? 'has' : 'have'} rows`;
  if (keyless.length === 0) {
    return { mode: 'upsert', why: `${there}, and every table has a key: only differences are brought over` };
  }
  return {
    mode: 'truncate',
    why: `${there}, and rows of ${named(keyless)} have no key to be matched by: tables are kept, rows loaded anew`,
  };
}

/** @throws AppError what the source's tables, or rights in the target, stand in the way with */
export async function surveyTarget(
  config: Config,
  tables: readonly SourceTable[],
  target: TargetConnection,
): Promise<TargetSurvey> {
  const plans = plansOf(config, tables);
  const relations = await existingRelations(
    target,
    plans.map((plan) => plan.target),
  );
  const there = new Set(relations.map(tableLabel));
  const survey: TargetSurvey = {
    missing: plans.map((plan) => tableLabel(plan.target)).filter((name) => !there.has(name)),
    empty: [],
    filled: [],
    keyless: plans.filter(({ keyColumns }) => keyColumns.length === 0).map((plan) => tableLabel(plan.source)),
  };
  for (const relation of relations) {
    // Statistics say 0 of a table that was never analyzed, too.
    const [row] = await target.query<{ filled: boolean }>(
      `SELECT EXISTS (SELECT FROM ${qualified(relation)}) AS filled`,
    );
    (row?.filled === true ? survey.filled : survey.empty).push(tableLabel(relation));
  }
  return survey;
}

export async function askMode(prompts: Prompts, proposal: Proposal | null): Promise<ModeName> {
  if (proposal !== null) prompts.info(`${proposal.mode} is proposed: ${proposal.why}.`);
  return prompts.choose<ModeName>(
    'What happens to tables of the target',
    [
      { value: 'drop_recreate', label: 'drop_recreate', hint: 'dropped where they are there, and created' },
      { value: 'truncate', label: 'truncate', hint: 'kept as they are, emptied, loaded anew' },
      { value: 'upsert', label: 'upsert', hint: 'kept, and brought up to date by key' },
    ],
    proposal?.mode ?? 'drop_recreate',
  );
}

/**
 * @returns what a run with this configuration would do to tables that are there already, in words
 * @throws AppError what a run would refuse
 */
export async function consequences(
  config: Config,
  tables: readonly SourceTable[],
  target: TargetConnection,
): Promise<string[]> {
  const plans = plansOf(config, tables);
  if (plans.length === 0) throw new AppError('TABLE_NOT_FOUND', 'no table is chosen');
  const mode = configuredMode(config);
  const { actions, obstacles } = await mode.check(target, plans);
  requireNone(obstacles);
  return actions
    .flat()
    .filter((action) => !action.startsWith('creates '))
    .map(oneLine);
}

function plansOf(config: Config, tables: readonly SourceTable[]): TablePlan[] {
  const { migration } = config;
  return planTables(tables, {
    naming: namingOf(config),
    chunkRows: 1,
    rowHashColumn: migration.use_hash_detection ? migration.row_hash_column : null,
    hashTextColumns: migration.hash_text_columns,
    unlogged: migration.use_unlogged_tables,
  });
}

function tables(number: number): string {
  return number === 1 ? '1 table' : `${count(number)} tables`;
}

function named(names: readonly string[]): string {
  const shown = names.slice(0, 3).map(oneLine).join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}
