/**
 * A run that is only thought through: everything it would do, and everything that would keep it from working.
 *
 * Main thread. It changes nothing, in either database or in a file.
 */
import { randomUUID } from 'node:crypto';
import { checkLedger } from '../checkpoint/schema.js';
import { readState } from '../checkpoint/stateFile.js';
import { configHash } from '../config/identity.js';
import type { Config } from '../config/schema.js';
import { AppError, toErrorData } from '../errors.js';
import { inspectHost } from '../host/host.js';
import { sizeLines } from '../host/sizes.js';
import { configuredMode, type TransferMode } from '../plan/modes/index.js';
import type { SourceConnection } from '../source/connection.js';
import { tableLabel } from '../source/model.js';
import { tableSizes } from '../source/sizes.js';
import type { TargetConnection } from '../target/connection.js';
import { orAborted } from './abort.js';
import { chooseRun } from './checkpoint.js';
import { connectBoth } from './connecting.js';
import { estimate } from './estimating.js';
import type { DryRun, RunOptions, RunOutcome } from './events.js';
import { outcomeOf } from './finishing.js';
import { attempt, type Planned, planRun, tellPlan } from './planning.js';
import { scan, scanObstacles } from './scanning.js';

export interface RehearsalOptions
  extends Pick<RunOptions, 'signal' | 'onEvent' | 'unfinished' | 'stateFile'> {
  /** Estimates the time, for which a sample may be read; true by default. */
  estimate?: boolean;
  /** Looks into the data, for this long at most. */
  scanMs?: number;
}

/**
 * @returns the plan as a run's outcome; its error is RUN_IMPOSSIBLE where there are obstacles
 * @throws AppError where there is nothing to plan: connections, configuration, no such tables; CANCELLED
 */
export async function rehearse(config: Config, options: RehearsalOptions): Promise<RunOutcome> {
  const { onEvent, signal } = options;
  const host = await inspectHost();
  onEvent({ kind: 'phase', phase: 'connect' });
  const [source, target] = await connectBoth(config, signal);
  try {
    onEvent({ kind: 'phase', phase: 'plan' });
    const rehearsal = new Rehearsal(config, source, target);
    return await orAborted(rehearsal.outcome(host, options), signal);
  } finally {
    await Promise.allSettled([source.close(), target.close()]);
  }
}

class Rehearsal {
  readonly #config: Config;
  readonly #source: SourceConnection;
  readonly #target: TargetConnection;
  readonly #mode: TransferMode;
  readonly #obstacles: AppError[] = [];

  constructor(config: Config, source: SourceConnection, target: TargetConnection) {
    this.#config = config;
    this.#source = source;
    this.#target = target;
    this.#mode = configuredMode(config);
  }

  async outcome(
    host: Awaited<ReturnType<typeof inspectHost>>,
    options: RehearsalOptions,
  ): Promise<RunOutcome> {
    const { signal, onEvent, unfinished = 'refuse', stateFile, estimate: wanted = true, scanMs } = options;
    const runId = randomUUID();
    await attempt(this.#obstacles, () => this.#lookForUnfinished(unfinished, stateFile ?? null));
    const upgrade = await attempt(this.#obstacles, () => checkLedger(this.#target));
    const planned = await attempt(this.#obstacles, () =>
      planRun(this.#config, host, this.#source, this.#target, this.#obstacles),
    );
    if (planned !== null) tellPlan(runId, planned, onEvent);
    const dryRun = await this.#dryRun(planned, wanted ? host.cores : null);
    if (planned !== null && scanMs !== undefined) {
      const limits = { signal, onEvent, limitMs: scanMs };
      dryRun.scan = await scan(this.#config, planned, planned.majorVersion, limits);
      this.#obstacles.push(...scanObstacles(dryRun.scan));
      dryRun.obstacles = this.#obstacles.map(toErrorData);
    }
    const error = impossible(this.#obstacles);
    return {
      runId,
      tables: planned?.plans.map((plan) => outcomeOf(plan, 'planned')) ?? [],
      steps: [],
      notes: [...(upgrade === null ? [] : [upgrade]), ...(planned?.notes ?? [])],
      dryRun,
      ...(error !== null && { error: toErrorData(error) }),
    };
  }

  /** @param cores to estimate the time with; null where nobody asks for it */
  async #dryRun(planned: Planned | null, cores: number | null): Promise<DryRun> {
    const { target_mode } = this.#config.migration;
    const found =
      planned === null
        ? null
        : await attempt(this.#obstacles, () => this.#mode.check(this.#target, planned.plans));
    this.#obstacles.push(...(found?.obstacles ?? []));
    const bytes = await tableSizes(this.#source);
    const time =
      planned === null || cores === null
        ? null
        : await estimate(this.#config, planned, this.#target, bytes, cores);
    return {
      mode: target_mode,
      tables:
        planned?.plans.map((plan, i) => ({
          plan,
          partitions: planned.partitions[i]!,
          bytes: bytes.get(tableLabel(plan.source)) ?? null,
          actions: found?.actions[i] ?? [],
        })) ?? [],
      estimate: time,
      scan: null,
      sizes: planned === null ? [] : sizeLines(planned.sizes),
      obstacles: this.#obstacles.map(toErrorData),
    };
  }

  /** A run would refuse to begin, or go on with what is there. */
  async #lookForUnfinished(
    unfinished: NonNullable<RunOptions['unfinished']>,
    stateFile: string | null,
  ): Promise<void> {
    const settled = this.#mode.loads === 'differences' ? 'give-up' : unfinished;
    const state = stateFile === null || settled === 'give-up' ? null : await readState(stateFile);
    const request = { resume: false, unfinished: settled, stateFile, configHash: configHash(this.#config) };
    await chooseRun(this.#target, request, state);
  }
}

function impossible(obstacles: readonly AppError[]): AppError | null {
  const [first] = obstacles;
  if (first === undefined) return null;
  const count = obstacles.length === 1 ? 'something stands' : `${obstacles.length} things stand`;
  return new AppError(
    'RUN_IMPOSSIBLE',
    `A run could not work: ${count} in its way; ${obstacles.length === 1 ? '' : 'the first: '}${first.message}`,
    { ...first.place, ...(first.remedy !== undefined && { remedy: first.remedy }), cause: first },
  );
}
