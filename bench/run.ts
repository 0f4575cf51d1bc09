/**
 * Runs scenarios, the product and its contenders in turn, and gathers what they took. Main thread.
 */
import { type Measurement, measure } from './measure/measurement.js';
import { runCopyOnly, runEngine, runHosts, runPeer, runRowObjects } from './runs.js';
import { nameOf, PEERS, type Scenario } from './scenarios.js';
import { type Scene, startScene } from './scene.js';
import { shapes } from './shapes.js';
import type { Stage } from './stage.js';

/** The product and its contenders one after the other, in one stretch of time. */
export interface Round {
  product: Measurement;
  /** *PostgreSQL alone*. */
  alone?: Measurement;
  /** *Row objects*, over fewer rows, and its start left out as the product's is. */
  objects?: Measurement;
  /** *FreeTDS and psql*. */
  freebcp?: Measurement;
  pgloader?: Measurement;
  /** The product in one process that shares the run with no other. */
  single?: Measurement;
}

/** Of each round, and then the median. */
export interface Ratios {
  /** Rate of the product / rate of *PostgreSQL alone*. */
  ofAlone: number | null;
  /** CPU of the product / CPU of PostgreSQL's backends for the same rows. */
  cpuOfBackend: number | null;
  /** CPU of *row objects* / CPU of the product. */
  objectsCpu: number | null;
  /** Time of *FreeTDS and psql* / time of the product, both from a program's start to its end. */
  freebcpTime: number | null;
  /** The same of pgloader. */
  pgloaderTime: number | null;
  /** Time of one process that has the run alone / time of those that share it, from their start to their end. */
  singleTime: number | null;
}

export interface ScenarioResult {
  name: string;
  scenario: Scenario;
  tdsBytesPerRow: number | null;
  /** What the replay source itself took of the same cores. */
  sourceCpuPerMillionRows: number;
  rounds: Round[];
  ratios: Ratios;
}

export interface RunOptions {
  scenarios: readonly Scenario[];
  rounds: number;
  /** Rows to repeat in place of the shape's own number, for tests. */
  templateRows?: number;
  say: (line: string) => void;
  onResult?: (result: ScenarioResult) => void;
}

/** Rows of *row objects*, for each of the product's: they take so much longer. */
const OBJECTS_SHARE = 0.15;

export async function runScenarios(stage: Stage, options: RunOptions): Promise<ScenarioResult[]> {
  const results: ScenarioResult[] = [];
  // A shape's table is made once.
  for (const name of new Set(options.scenarios.map((scenario) => scenario.shape))) {
    const scenarios = options.scenarios.filter((scenario) => scenario.shape === name);
    options.say(`making ${name}`);
    const shape = shapes[name];
    const scene = await startScene(stage, shape, options.templateRows ?? shape.templateRows);
    try {
      await warmUp(stage, scene, scenarios);
      for (const scenario of scenarios) {
        options.say(nameOf(scenario));
        const result = await runScenario(
          stage,
          scene,
          scenario,
          Math.max(options.rounds, scenario.rounds ?? 1),
        );
        results.push(result);
        options.onResult?.(result);
      }
    } finally {
      await scene.stop();
    }
  }
  return results;
}

/**
 * The first run of a shape finds files and memory that nobody has used before, which costs PostgreSQL a tenth more; it
 * would always be the product's. So the shape is loaded once before anything is timed.
 */
async function warmUp(stage: Stage, scene: Scene, scenarios: readonly Scenario[]): Promise<void> {
  const rows = Math.max(...scenarios.map((scenario) => scenario.rows));
  await runCopyOnly(stage, scene, { rows, connections: 1, tls: false });
}

async function runScenario(
  stage: Stage,
  scene: Scene,
  scenario: Scenario,
  count: number,
): Promise<ScenarioResult> {
  const { mode, rows, writers, lanes, tls, hosts } = scenario;
  const sides = { source: tls === 'source' || tls === 'both', target: tls === 'target' || tls === 'both' };
  const engine = { mode, rows, writers, lanes, tls: sides };
  const rounds: Round[] = [];
  let tdsBytes = 0;
  let sourceCpu = 0;
  for (let i = 0; i < count; i++) {
    const before = await stage.sourceAccount();
    const round: Round = {
      product:
        hosts === undefined
          ? measure(await runEngine(stage, scene, engine), mode, rows)
          : await runHosts(stage, scene, engine, hosts),
    };
    const after = await stage.sourceAccount();
    tdsBytes = after.tdsBytes - before.tdsBytes;
    sourceCpu = after.cpuSeconds - before.cpuSeconds;
    if (scenario.against.includes('alone')) {
      const connections = writers * lanes;
      const report = await runCopyOnly(stage, scene, { rows, connections, tls: sides.target });
      round.alone = measure(report, 'full', rows);
    }
    if (scenario.against.includes('objects')) {
      const fewer = Math.max(1, Math.round(rows * OBJECTS_SHARE));
      round.objects = measure(await runRowObjects(stage, scene, fewer), 'full', fewer);
    }
    for (const peer of PEERS) {
      if (scenario.against.includes(peer)) {
        round[peer] = measure(await runPeer(stage, scene, peer, rows), 'full', rows);
      }
    }
    if (scenario.against.includes('single')) round.single = await runHosts(stage, scene, engine, 'alone');
    rounds.push(round);
  }
  return {
    name: nameOf(scenario),
    scenario,
    tdsBytesPerRow: tdsBytes === 0 ? null : tdsBytes / rows,
    sourceCpuPerMillionRows: (sourceCpu / rows) * 1e6,
    rounds,
    ratios: ratiosOf(rounds),
  };
}

function ratiosOf(rounds: readonly Round[]): Ratios {
  const each = (ratio: (round: Round) => number | null): number | null => {
    const found = rounds.map(ratio).filter((value) => value !== null);
    return found.length === 0 ? null : median(found);
  };
  return {
    ofAlone: each(({ product, alone }) =>
      alone === undefined ? null : product.rowsPerSecond / alone.rowsPerSecond,
    ),
    cpuOfBackend: each(({ product }) =>
      product.backendPerMillionRows === null || product.backendPerMillionRows === 0
        ? null
        : product.cpuPerMillionRows / product.backendPerMillionRows,
    ),
    objectsCpu: each(({ product, objects }) =>
      objects === undefined ? null : objects.cpuPerMillionRows / product.cpuPerMillionRows,
    ),
    freebcpTime: each(({ product, freebcp }) =>
      freebcp === undefined ? null : freebcp.program.seconds / product.program.seconds,
    ),
    pgloaderTime: each(({ product, pgloader }) =>
      pgloader === undefined ? null : pgloader.program.seconds / product.program.seconds,
    ),
    singleTime: each(({ product, single }) =>
      single === undefined ? null : single.whole.seconds / product.whole.seconds,
    ),
  };
}

/** @returns the middle value, the lower one of two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1] ?? Number.NaN;
}

/** @returns the round whose product was neither the fastest nor the slowest. */
export function middleRound({ rounds }: ScenarioResult): Round {
  const middle = median(rounds.map(({ product }) => product.rowsPerSecond));
  return rounds.find(({ product }) => product.rowsPerSecond === middle)!;
}
