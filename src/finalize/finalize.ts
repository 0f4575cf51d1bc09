/**
 * What happens to the tables after their rows are in, several tables at a time.
 *
 * Runs on the main thread. A step that fails does not keep the others from being tried; every failure is in the
 * result.
 */
import { cancellation, toErrorData } from '../errors.js';
import type { TablePlan } from '../plan/model.js';
import { type RetryPolicy, withRetries } from '../plan/retry.js';
import { tableLabel } from '../source/model.js';
import { nameLockHolders, ownedByOthers, type TargetName } from '../target/catalog.js';
import { type TargetConnection, targetError } from '../target/connection.js';
import { TargetSession } from '../target/session.js';
import { analyze } from './analyze.js';
import { defaults, identities, sequences } from './columns.js';
import { comments, foreignKeyComments } from './comments.js';
import { checks, foreignKeys, validForeignKeys } from './constraints.js';
import { indexes, uniqueConstraints } from './indexes.js';
import { logged } from './logged.js';
import { primaryKeys } from './primaryKeys.js';
import type { FinalizeHooks, FinalizeStep, StepKind, StepMaker } from './step.js';

export type { FinalizeHooks, FinalizeStep, StepKind } from './step.js';

/** Steps of one stage are done in this order for each table; a stage begins when the one before it has ended. */
const STAGES: readonly { makers: readonly StepMaker[]; parallel: boolean }[] = [
  { makers: [sequences], parallel: false },
  {
    // SET LOGGED rewrites a table with its indexes, so it comes before there are any.
    makers: [
      ...[logged, primaryKeys, uniqueConstraints, indexes],
      // The counter looks for the largest value, which an index finds at once.
      ...[checks, defaults, identities, comments, analyze],
    ],
    parallel: true,
  },
  { makers: [foreignKeys], parallel: false },
  { makers: [validForeignKeys, foreignKeyComments], parallel: true },
];

/** Steps between tables: done when the rows of all of them are in. */
export const KEY_KINDS: readonly StepKind[] = [
  foreignKeys.kind,
  validForeignKeys.kind,
  foreignKeyComments.kind,
];
const NO_RETRIES: RetryPolicy = { retries: 0, delayMs: 0 };
/** The steps that concern one table. */
export const TABLE_KINDS: readonly StepKind[] = STAGES.flatMap(({ makers }) =>
  makers.map(({ kind }) => kind),
).filter((kind) => !KEY_KINDS.includes(kind));

/** What only the owner of a table may do, and what a table that was there before can do without. */
const OWNERS_KINDS: ReadonlySet<StepKind> = new Set([
  uniqueConstraints.kind,
  indexes.kind,
  checks.kind,
  defaults.kind,
  identities.kind,
  comments.kind,
  foreignKeys.kind,
  validForeignKeys.kind,
  foreignKeyComments.kind,
]);

export interface FinalizeOptions {
  /** Tables worked on at the same time, each on a connection of its own. */
  parallel: number;
  /** The kinds of step to do; default: all. A run that failed still asks for `logged`. */
  kinds?: readonly StepKind[];
  onStep?: (step: FinalizeStep) => void;
  /** What becomes of a step that fails for a passing reason; left out, it has failed. */
  retry?: RetryPolicy;
  /** A step of a table, named as in the source, is tried again after `error`. */
  onRetry?: (table: string, error: unknown) => void;
  hooks?: FinalizeHooks;
  /** Where it aborts no further step is begun; those under way end as `connect`'s connections let them. */
  signal?: AbortSignal;
}

/**
 * @param connect makes a target connection; called once a worker, and again where one is lost.
 * @returns every step that was done or failed, in the order they ended; steps with nothing to do are left out.
 * @throws AppError where the target can't be connected to at all; CANCELLED where `signal` left steps undone
 */
export async function finalize(
  connect: () => Promise<TargetConnection>,
  plans: readonly TablePlan[],
  options: FinalizeOptions,
): Promise<FinalizeStep[]> {
  const steps: FinalizeStep[][] = [];
  for (const stage of STAGES) {
    const makers = stage.makers.filter((maker) => options.kinds?.includes(maker.kind) ?? true);
    steps.push(await runStage(connect, plans, makers, stage.parallel ? options.parallel : 1, options));
  }
  return steps.flat();
}

async function runStage(
  connect: () => Promise<TargetConnection>,
  plans: readonly TablePlan[],
  makers: readonly StepMaker[],
  parallel: number,
  { onStep, hooks = {}, retry = NO_RETRIES, onRetry = () => {}, signal }: FinalizeOptions,
): Promise<FinalizeStep[]> {
  const concerned = plans.filter((plan) => makers.some((maker) => maker.names(plan).length > 0));
  const waiting = concerned.values();
  const owners = new Owners(concerned);
  const steps: FinalizeStep[] = [];
  const report = (step: FinalizeStep): void => {
    steps.push(step);
    onStep?.(step);
  };
  const work = async (): Promise<void> => {
    const session = new TargetSession(connect);
    try {
      await session.use(async () => {});
      for (const plan of waiting) {
        const owned = makers.some(({ kind }) => OWNERS_KINDS.has(kind)) && (await owners.own(session, plan));
        const allowed = owned ? makers : makers.filter(({ kind }) => !OWNERS_KINDS.has(kind));
        if (!owned) noteUntouched(plan, makers);
        for (const [maker, name] of thingsToDo(allowed, plan)) {
          if (signal?.aborted) throw cancellation(signal);
          const step = await runStep(session, plan, maker, name, { hooks, retry, onRetry, signal });
          if (step !== null) report(step);
        }
      }
    } finally {
      await session.close();
    }
  };
  const workers = Math.min(Math.max(1, parallel), concerned.length);
  const ended = await Promise.allSettled(Array.from({ length: workers }, work));
  const stopped = ended.find((end) => end.status === 'rejected' && isStop(end.reason));
  if (stopped?.status === 'rejected') throw stopped.reason;
  // A worker that got no connection took no table: the others do them all, unless there are no others.
  const [first] = ended;
  if (first?.status === 'rejected' && ended.every((end) => end.status === 'rejected')) throw first.reason;
  return steps;
}

/** Which of a stage's tables the role may change the definition of: asked once, about all of them. */
class Owners {
  readonly #names: TargetName[];
  #others: Promise<ReadonlySet<string>> | null = null;

  constructor(plans: readonly TablePlan[]) {
    this.#names = plans.map((plan) => plan.target);
  }

  /** @returns whether the table is the role's; one that can't be looked up counts as such */
  async own(session: TargetSession, plan: TablePlan): Promise<boolean> {
    this.#others ??= session.use(async (target) => {
      const others = await ownedByOthers(target, this.#names);
      return new Set(others.map(tableLabel));
    });
    try {
      return !(await this.#others).has(tableLabel(plan.target));
    } catch {
      // Whatever is wrong, the steps themselves will say; the next table may be looked up.
      this.#others = null;
      return true;
    }
  }
}

function noteUntouched(plan: TablePlan, makers: readonly StepMaker[]): void {
  const kinds = makers.filter((maker) => OWNERS_KINDS.has(maker.kind) && maker.names(plan).length > 0);
  if (kinds.length === 0) return;
  const list = kinds.map(({ kind }) => kind).join(', ');
  plan.notes.push(`${tableLabel(plan.target)} belongs to another role and keeps what it has: ${list}`);
}

function thingsToDo(makers: readonly StepMaker[], plan: TablePlan): [StepMaker, string][] {
  return makers.flatMap((maker) => maker.names(plan).map((name): [StepMaker, string] => [maker, name]));
}

/** Every step looks first what is there already, so that it may be run again. */
async function runStep(
  session: TargetSession,
  plan: TablePlan,
  maker: StepMaker,
  name: string,
  {
    hooks,
    retry,
    onRetry,
    signal,
  }: Required<Pick<FinalizeOptions, 'hooks' | 'retry' | 'onRetry'>> & Pick<FinalizeOptions, 'signal'>,
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
    const run = (): Promise<boolean> =>
      session.use(async (target) => {
        const make = (): Promise<boolean> => maker.run(target, plan, name, hooks);
        try {
          return await make().catch((error) => {
            if (isMadeMeanwhile(error)) return make();
            throw error;
          });
        } catch (error) {
          throw await nameLockHolders(target, [plan.target, ...referredTo(plan, maker, name)], error);
        }
      });
    const made = await withRetries(retry, run, {
      ended: () => signal?.aborted === true,
      onRetry: (error) => onRetry(table, error),
    });
    return made ? done() : null;
  } catch (error) {
    if (isStop(error)) throw error;
    return { ...done(), error: toErrorData(targetError(error, { table })) };
  }
}

/** The step is none that failed: who goes on makes it. */
function isStop(error: unknown): boolean {
  return toErrorData(error).code === 'CANCELLED';
}

/** Whether another session was first: one of ours whose connection was lost, and that the server let finish. */
function isMadeMeanwhile(error: unknown): boolean {
  const { serverCode, message } = toErrorData(error);
  if (serverCode === '23505') return message.includes('constraint pg_');
  return serverCode !== undefined && ['42P07', '42710', '42P16'].includes(serverCode);
}

/** A foreign key locks the table it points at, too. */
function referredTo(plan: TablePlan, maker: StepMaker, name: string): TargetName[] {
  if (!KEY_KINDS.includes(maker.kind)) return [];
  return plan.objects.foreignKeys.flatMap((key) => (key.name === name ? [key.to] : []));
}
