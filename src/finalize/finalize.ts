/**
 * What happens to the tables after their rows are in, several tables at a time.
 *
 * Runs on the main thread. A step that fails does not keep the others from being tried; every failure is in the
 * result.
 */
import { toErrorData } from '../errors.js';
import type { TablePlan } from '../plan/model.js';
import { tableLabel } from '../source/model.js';
import { type TargetConnection, targetError } from '../target/connection.js';
import { analyze } from './analyze.js';
import { logged } from './logged.js';
import { primaryKeys } from './primaryKeys.js';
import type { FinalizeHooks, FinalizeStep, StepKind, StepMaker } from './step.js';

export type { FinalizeHooks, FinalizeStep, StepKind } from './step.js';

/** In this order for each table: SET LOGGED rewrites a table with its indexes, so it comes before there are any. */
const STEPS: readonly StepMaker[] = [logged, primaryKeys, analyze];

export interface FinalizeOptions {
  /** Tables worked on at the same time, each on a connection of its own. */
  parallel: number;
  /** The kinds of step to do; default: all. A run that failed still asks for `logged`. */
  kinds?: readonly StepKind[];
  onStep?: (step: FinalizeStep) => void;
  hooks?: FinalizeHooks;
}

/**
 * @param connect makes a target connection; called once a worker, and again where one is lost.
 * @returns every step that was done or failed, in the order they ended; steps with nothing to do are left out.
 * @throws AppError where the target can't be connected to at all.
 */
export async function finalize(
  connect: () => Promise<TargetConnection>,
  plans: readonly TablePlan[],
  options: FinalizeOptions,
): Promise<FinalizeStep[]> {
  const makers = STEPS.filter((maker) => options.kinds?.includes(maker.kind) ?? true);
  const waiting = plans.filter((plan) => makers.some((maker) => maker.name(plan) !== null));
  const steps: FinalizeStep[] = [];
  const report = (step: FinalizeStep): void => {
    steps.push(step);
    options.onStep?.(step);
  };
  const work = async (): Promise<void> => {
    const session = new Session(connect);
    await session.open();
    try {
      for (let plan = waiting.shift(); plan !== undefined; plan = waiting.shift()) {
        for (const maker of makers) {
          const name = maker.name(plan);
          if (name === null) continue;
          const hooks = options.hooks ?? {};
          let step = await runStep(session, plan, maker, name, hooks);
          if (step?.error?.code === 'TARGET_CONNECTION_LOST') {
            // Every step looks first what is there already, so it may be run twice.
            await session.close();
            step = await runStep(session, plan, maker, name, hooks);
          }
          if (step !== null) report(step);
        }
      }
    } finally {
      await session.close();
    }
  };
  const workers = Math.min(Math.max(1, options.parallel), waiting.length);
  const ended = await Promise.allSettled(Array.from({ length: workers }, work));
  // A worker that got no connection took no table: the others do them all, unless there are no others.
  const [first] = ended;
  if (first?.status === 'rejected' && ended.every((end) => end.status === 'rejected')) throw first.reason;
  return steps;
}

/** A connection that is made when it is needed, and made again after it was closed. */
class Session {
  readonly #connect: () => Promise<TargetConnection>;
  #target: TargetConnection | null = null;

  constructor(connect: () => Promise<TargetConnection>) {
    this.#connect = connect;
  }

  async open(): Promise<TargetConnection> {
    this.#target ??= await this.#connect();
    return this.#target;
  }

  async close(): Promise<void> {
    const target = this.#target;
    this.#target = null;
    await target?.close().catch(() => {});
  }
}

async function runStep(
  session: Session,
  plan: TablePlan,
  maker: StepMaker,
  name: string,
  hooks: FinalizeHooks,
): Promise<FinalizeStep | null> {
  const table = tableLabel(plan.source);
  const started = performance.now();
  const done = (): Pick<FinalizeStep, 'table' | 'kind' | 'name' | 'durationMs'> => ({
    table,
    kind: maker.kind,
    name,
    durationMs: Math.round(performance.now() - started),
  });
  try {
    return (await maker.run(await session.open(), plan, hooks)) ? done() : null;
  } catch (error) {
    return { ...done(), error: toErrorData(targetError(error, { table })) };
  }
}
