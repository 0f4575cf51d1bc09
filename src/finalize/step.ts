/**
 * What finalization reports: one entry a thing done to a table after its rows are in.
 *
 * Runs on the main thread.
 */
import type { ErrorData } from '../errors.js';
import type { TablePlan } from '../plan/model.js';
import type { TargetConnection } from '../target/connection.js';

export type StepKind = 'logged' | 'primary key' | 'analyze';

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

/** One kind of step. `name` is null where the table has no need of it. */
export interface StepMaker {
  kind: StepKind;
  name(plan: TablePlan): string | null;
  /** @returns false where it turned out that there was nothing to do. */
  run(target: TargetConnection, plan: TablePlan, hooks: FinalizeHooks): Promise<boolean>;
}

/** What else must happen together with a step. */
export interface FinalizeHooks {
  /** In the transaction in which the table becomes LOGGED; what it throws keeps the table UNLOGGED. */
  onLogged?(target: TargetConnection, plan: TablePlan): Promise<void>;
}
