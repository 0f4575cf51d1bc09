/**
 * Two runs of the benchmark side by side. Pure.
 */
import { short, textTable } from '../src/observe/format.js';
import { type BenchFile, number } from './report.js';
import { middleRound } from './run.js';

/** Changes below this share are what two runs of the same thing differ by. */
const NOISE = 0.05;

/** @returns what changed from one run to the other, as text; scenarios that only one of them has are named. */
export function compareFiles(before: BenchFile, after: BenchFile): string {
  const lines = [`before  ${describe(before)}`, `after   ${describe(after)}`, ''];
  const differing = (['cpu', 'cores', 'node', 'postgres'] as const).filter(
    (fact) => before.machine[fact] !== after.machine[fact],
  );
  if (differing.length > 0)
    lines.push(`The runs differ in ${differing.join(', ')}: compare ratios only.`, '');
  const pairs = after.results.flatMap((b) => {
    const a = before.results.find(({ name }) => name === b.name);
    return a === undefined ? [] : [{ name: b.name, a, b }];
  });
  const right = (title: string) => ({ title, align: 'right' as const });
  lines.push(
    textTable(
      [
        { title: 'scenario' },
        ...[
          'rows/s',
          'after',
          'change',
          'of alone',
          'after',
          'CPU s/M',
          'after',
          'change',
          'peak MB',
          'after',
        ].map(right),
      ],
      pairs.map(({ name, a, b }) => {
        const [from, to] = [middleRound(a).product, middleRound(b).product];
        return [
          name,
          short(from.rowsPerSecond),
          short(to.rowsPerSecond),
          change(from.rowsPerSecond, to.rowsPerSecond, 'more is better'),
          number(a.ratios.ofAlone),
          number(b.ratios.ofAlone),
          number(from.cpuPerMillionRows),
          number(to.cpuPerMillionRows),
          change(from.cpuPerMillionRows, to.cpuPerMillionRows, 'less is better'),
          number(from.peakRssBytes / 1e6, 0),
          number(to.peakRssBytes / 1e6, 0),
        ];
      }),
    ),
  );
  const names = (file: BenchFile) => new Set(file.results.map(({ name }) => name));
  const only = (file: BenchFile, other: BenchFile) =>
    [...names(file)].filter((name) => !names(other).has(name));
  for (const [where, missing] of [
    ['before', only(before, after)],
    ['after', only(after, before)],
  ] as const) {
    if (missing.length > 0) lines.push('', `only ${where}: ${missing.join(', ')}`);
  }
  for (const { target, met, value } of after.targets) {
    const earlier = before.targets.find((one) => one.target === target);
    if (earlier === undefined || earlier.met === met || met === null || earlier.met === null) continue;
    lines.push(
      '',
      `${met ? 'now met' : 'NO LONGER MET'}: ${target} (${number(earlier.value)} -> ${number(value)})`,
    );
  }
  return lines.join('\n');
}

function describe({ machine }: BenchFile): string {
  return `${machine.date}  commit ${machine.commit ?? 'unknown'}  ${machine.cpu}, ${machine.cores} cores`;
}

function change(from: number, to: number, wanted: 'more is better' | 'less is better'): string {
  const share = to / from - 1;
  const percent = `${share >= 0 ? '+' : ''}${(share * 100).toFixed(0)} %`;
  if (Math.abs(share) < NOISE) return percent;
  return `${percent} ${share > 0 === (wanted === 'more is better') ? 'better' : 'WORSE'}`;
}
