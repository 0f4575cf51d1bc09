/**
 * What the product is to reach, and what a run of the benchmark says to it. Pure.
 *
 * The targets are for two cores, which source, product and PostgreSQL share.
 */
import { median, type Ratios, type Round, type ScenarioResult } from './run.js';
import type { Scenario } from './scenarios.js';

export interface Verdict {
  target: string;
  limit: string;
  /** null where no scenario of the run says anything to it. */
  value: number | null;
  met: boolean | null;
}

interface Target {
  target: string;
  bound: 'at least' | 'at most';
  limit: number;
  value: (results: Results) => number | null;
}

type Wanted = Partial<Option>;
type Figure = (round: Round) => number | null;
type Option = Omit<Scenario, 'against' | 'rounds'>;

/** The results of a run, and how to find one among them: the one with the most rows. */
class Results {
  constructor(private readonly all: readonly ScenarioResult[]) {}

  matching(wanted: Wanted): ScenarioResult[] {
    const plain: Wanted = { lanes: 1, writers: 1, tls: 'none', hosts: undefined, ...wanted };
    return this.all
      .filter(({ scenario }) =>
        Object.entries(plain).every(([key, value]) => scenario[key as keyof Option] === value),
      )
      .sort((a, b) => a.scenario.rows - b.scenario.rows);
  }

  ratio(wanted: Wanted, ratio: keyof Ratios): number | null {
    return this.matching(wanted).findLast(({ ratios }) => ratios[ratio] !== null)?.ratios[ratio] ?? null;
  }

  /** The median of a figure over a scenario's rounds: each figure has noise of its own. */
  figure(wanted: Wanted, figure: Figure): number | null {
    const found = this.matching(wanted)
      .at(-1)
      ?.rounds.map(figure)
      .filter((value) => value !== null);
    return found === undefined || found.length === 0 ? null : median(found);
  }

  /** What a figure of one scenario is to that of another. */
  quotient(above: Wanted, below: Wanted, figure: Figure): number | null {
    const [over, under] = [this.figure(above, figure), this.figure(below, figure)];
    return over === null || under === null ? null : over / under;
  }
}

const cpu = ({ product }: Round) => product.cpuPerMillionRows;
const seconds = ({ product }: Round) => product.whole.seconds;
const shareOfCpu = ({ product: { cpuPerMillionRows, backendPerMillionRows } }: Round) =>
  backendPerMillionRows === null ? null : cpuPerMillionRows / (cpuPerMillionRows + backendPerMillionRows);
const quotientBySeconds = (results: Results, above: Wanted, below: Wanted) =>
  results.quotient(above, below, seconds);

const TARGETS: Target[] = [
  ...(['votes', 'comments', 'posts'] as const).map(
    (shape): Target => ({
      target: `${shape}, one writer: rate / PostgreSQL alone`,
      bound: 'at least',
      limit: 0.95,
      value: (results) => results.ratio({ shape, mode: 'full' }, 'ofAlone'),
    }),
  ),
  ...(['votes', 'comments', 'posts'] as const).map(
    (shape): Target => ({
      target: `${shape}, two writers: rate / PostgreSQL alone`,
      bound: 'at least',
      limit: 0.75,
      value: (results) => results.ratio({ shape, mode: 'full', writers: 2 }, 'ofAlone'),
    }),
  ),
  ...(
    [
      ['votes', 0.35],
      ['posts', 0.8],
    ] as const
  ).map(
    ([shape, limit]): Target => ({
      target: `${shape}: engine CPU / PostgreSQL CPU`,
      bound: 'at most',
      limit,
      value: (results) => results.ratio({ shape, mode: 'full' }, 'cpuOfBackend'),
    }),
  ),
  ...(['votes', 'posts'] as const).map(
    (shape): Target => ({
      target: `${shape}: engine CPU with row_hash / without`,
      bound: 'at most',
      limit: 1.6,
      value: (results) => results.quotient({ shape, mode: 'full-hash' }, { shape, mode: 'full' }, cpu),
    }),
  ),
  ...(
    [
      ['votes', 6],
      ['posts', 4],
    ] as const
  ).map(
    ([shape, limit]): Target => ({
      target: `${shape}: CPU of row objects / engine CPU`,
      bound: 'at least',
      limit,
      value: (results) => results.ratio({ shape, mode: 'full' }, 'objectsCpu'),
    }),
  ),
  {
    target: 'votes, verify where servers hash: engine CPU / all CPU',
    bound: 'at most',
    limit: 0.1,
    value: (results) => results.figure({ shape: 'votes', mode: 'verify-hashing' }, shareOfCpu),
  },
  {
    target: 'votes, verify through the hash tier: million rows a second of engine CPU',
    bound: 'at least',
    limit: 1.5,
    value: (results) =>
      results.figure({ shape: 'votes', mode: 'verify-streamed' }, (round) => 1 / cpu(round)),
  },
  {
    target: 'votes, upsert of nothing: time / verify',
    bound: 'at most',
    limit: 1.1,
    value: (results) =>
      quotientBySeconds(
        results,
        { shape: 'votes', mode: 'upsert-nothing' },
        { shape: 'votes', mode: 'verify-hashing' },
      ),
  },
  {
    target: 'votes, upsert of 1 %: time / upsert of nothing',
    bound: 'at most',
    limit: 1.3,
    value: (results) =>
      quotientBySeconds(
        results,
        { shape: 'votes', mode: 'upsert-percent' },
        { shape: 'votes', mode: 'upsert-nothing' },
      ),
  },
  {
    target: 'votes: peak memory at 10 M rows / at 1 M',
    bound: 'at most',
    limit: 1.1,
    value: (results) =>
      results.quotient(
        { shape: 'votes', mode: 'full', writers: 2, rows: 10_000_000 },
        { shape: 'votes', mode: 'full', writers: 2, rows: 1_000_000 },
        ({ product }) => product.peakRssBytes,
      ),
  },
  {
    target: 'peak memory of any full load, MB',
    bound: 'at most',
    limit: 400,
    value: (results) => {
      const peaks = results
        .matching({ mode: 'full' })
        .concat(results.matching({ mode: 'full', writers: 2 }))
        .flatMap(({ rounds }) => rounds.map(({ product }) => product.peakRssBytes / 1e6));
      return peaks.length === 0 ? null : Math.max(...peaks);
    },
  },
];

/** @returns every target with what this run says to it. */
export function verdicts(results: readonly ScenarioResult[]): Verdict[] {
  const found = new Results(results);
  return TARGETS.map(({ target, bound, limit, value: measured }) => {
    const value = measured(found);
    const met = value === null ? null : bound === 'at least' ? value >= limit : value <= limit;
    return { target, limit: `${bound} ${limit}`, value, met };
  });
}
