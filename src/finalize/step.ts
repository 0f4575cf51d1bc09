/**
 * What finalization reports: one entry a thing done to a table after its rows are in.
 *
 * Runs on the main thread.
 */
import type { ErrorData } from '../errors.js';
import type { TablePlan } from '../plan/model.js';
import type { TargetConnection } from '../target/connection.js';

export type StepKind =
  | 'sequence'
  | 'logged'
  | 'primary key'
  | 'unique constraint'
  | 'index'
  | 'check'
  | 'default'
  | 'identity'
  | 'comment'
  | 'foreign key'
  | 'validate foreign key'
  | 'foreign key comment'
  | 'analyze';

export interface FinalizeStep {
  /** The source table, `schema.name`. */
  table: string;
  kind: StepKind;
  /** What was made or changed: a constraint's name, else the target table's. */
  name: string;
  durationMs: number;
  /** Why it failed; absent where it did not. */
  error?: ErrorData;
}

/** One kind of step. */
export interface StepMaker {
  kind: StepKind;
  /** What there is to do for a table, by the names that are reported; empty where it has no need of it. */
  names(plan: TablePlan): string[];
  /** @returns false where it turned out that there was nothing to do. */
  run(target: TargetConnection, plan: TablePlan, name: string, hooks: FinalizeHooks): Promise<boolean>;
}

/** What else must happen together with a step. */
export interface FinalizeHooks {
  /** In the transaction in which the table becomes LOGGED; what it throws keeps the table UNLOGGED. */
  onLogged?(target: TargetConnection, plan: TablePlan): Promise<void>;
  /** Whether this target table belongs to the run and did not arrive whole. */
  isMissing?(table: { schema: string; name: string }): boolean;
}
