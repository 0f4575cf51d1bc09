/**
 * What of a run is drawn: throughput by shape, cost as rows grow, throughput as lanes grow. Pure.
 */
import { barPlot, linePlot, type Series } from './plot.js';
import type { BenchFile } from './report.js';
import { middleRound, type ScenarioResult } from './run.js';
import { SHAPE_NAMES } from './shapes.js';

/** @returns the plots a run has enough results for, by file name. */
export function plotsOf({ machine, results }: BenchFile): Map<string, string> {
  const where = `${machine.cores} cores, ${machine.date.slice(0, 10)}`;
  const loads = results.filter(
    ({ scenario: { mode, tls, hosts } }) => mode === 'full' && tls === 'none' && hosts === undefined,
  );
  const plots = new Map<string, string>();
  const add = (name: string, plot: string | null) => {
    if (plot !== null) plots.set(name, plot);
  };
  add('throughput.svg', byShape(loads, where));
  add('rows.svg', asRowsGrow(loads, where));
  add('lanes.svg', asLanesGrow(loads, where));
  return plots;
}

function byShape(loads: readonly ScenarioResult[], where: string): string | null {
  const plain = SHAPE_NAMES.flatMap((shape) => {
    const found = largest(
      loads.filter(
        ({ scenario }) => scenario.shape === shape && scenario.writers === 1 && scenario.lanes === 1,
      ),
    );
    return found === undefined ? [] : [{ shape, result: found }];
  });
  if (plain.length < 2) return null;
  // Shapes differ a thousandfold in bytes a row: a rate in bytes puts them on one axis.
  const series = (name: string, who: 'product' | 'alone' | 'objects'): Series => ({
    name,
    points: plain.flatMap(({ result }, x) => {
      const rate = middleRound(result)[who]?.rowsPerSecond;
      return rate === undefined ? [] : [{ x, y: (rate * (result.tdsBytesPerRow ?? 0)) / 1e6 }];
    }),
  });
  return barPlot(
    { title: `Full load by shape, one writer (${where})`, xLabel: '', yLabel: 'MB of TDS rows a second' },
    plain.map(({ shape }) => shape),
    [series('this', 'product'), series('PostgreSQL alone', 'alone'), series('row objects', 'objects')],
  );
}

function asRowsGrow(loads: readonly ScenarioResult[], where: string): string | null {
  const votes = loads.filter(({ scenario }) => scenario.shape === 'votes' && scenario.lanes === 1);
  const series = [1, 2].map((writers): Series => {
    const some = votes.filter(({ scenario }) => scenario.writers === writers);
    return {
      name: `${writers} ${writers === 1 ? 'writer' : 'writers'}`,
      points: sorted(some, ({ scenario }) => scenario.rows).map((result) => {
        const { whole } = middleRound(result).product;
        return { x: result.scenario.rows, y: (whole.seconds / result.scenario.rows) * 1e6 };
      }),
    };
  });
  if (series.every(({ points }) => points.length < 2)) return null;
  return linePlot(
    {
      title: `votes: time as rows grow, the start included (${where})`,
      xLabel: 'rows',
      yLabel: 'seconds a million rows',
    },
    series.filter(({ points }) => points.length > 0),
    true,
  );
}

function asLanesGrow(loads: readonly ScenarioResult[], where: string): string | null {
  const series = (['votes', 'posts'] as const).map((shape): Series => {
    const some = loads.filter(({ scenario }) => scenario.shape === shape && scenario.writers === 1);
    const lanes = [...new Set(some.map(({ scenario }) => scenario.lanes))];
    const points = lanes.flatMap((x) => {
      const found = largest(some.filter(({ scenario }) => scenario.lanes === x));
      if (found === undefined) return [];
      return [{ x, y: (middleRound(found).product.rowsPerSecond * (found.tdsBytesPerRow ?? 0)) / 1e6 }];
    });
    return { name: shape, points: points.sort((a, b) => a.x - b.x) };
  });
  if (series.every(({ points }) => points.length < 2)) return null;
  return linePlot(
    { title: `Full load as lanes grow (${where})`, xLabel: 'lanes', yLabel: 'MB of TDS rows a second' },
    series.filter(({ points }) => points.length > 0),
    false,
  );
}

function sorted<Item>(items: readonly Item[], by: (item: Item) => number): Item[] {
  return [...items].sort((a, b) => by(a) - by(b));
}

/** @returns the result of the most rows. */
function largest(results: readonly ScenarioResult[]): ScenarioResult | undefined {
  return sorted(results, ({ scenario }) => scenario.rows).at(-1);
}
