/**
 * What a run of the benchmark leaves: a file, and the tables people read. Main thread.
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { short, textTable } from '../src/observe/format.js';
import type { Measurement } from './measure/measurement.js';
import { middleRound, type ScenarioResult } from './run.js';
import { PEERS, type Peer } from './scenarios.js';
import type { Stage } from './stage.js';
import { type Verdict, verdicts } from './targets.js';

const PEER_NAMES: Record<Peer, string> = { freebcp: 'freebcp and psql', pgloader: 'pgloader' };

/** Where and when a run was made. */
export interface Machine {
  date: string;
  /** Commit of the working tree; `+` behind it where the tree has changes of its own. */
  commit: string | null;
  node: string;
  postgres: string;
  platform: string;
  cpu: string;
  cores: number;
  memoryBytes: number;
}

/** The JSON a run writes. */
export interface BenchFile {
  machine: Machine;
  results: ScenarioResult[];
  targets: Verdict[];
}

export async function benchFile(stage: Stage, results: ScenarioResult[]): Promise<BenchFile> {
  const client = await stage.postgres.client();
  const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
  await client.end();
  return {
    machine: {
      date: new Date().toISOString(),
      commit: commit(),
      node: process.version,
      postgres: rows[0]?.server_version ?? 'unknown',
      platform: `${process.platform} ${process.arch}`,
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      memoryBytes: totalmem(),
    },
    results,
    targets: verdicts(results),
  };
}

function commit(): string | null {
  const git = (...args: string[]) => execFileSync('git', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no').length > 0;
    return `${git('rev-parse', '--short', 'HEAD').toString().trim()}${changed ? '+' : ''}`;
  } catch {
    return null;
  }
}

export const number = (value: number | null | undefined, decimals = 2) =>
  value === null || value === undefined ? '-' : value.toFixed(decimals);

/** One line a scenario. */
export function resultTable(results: readonly ScenarioResult[]): string {
  const right = (title: string) => ({ title, align: 'right' as const });
  return textTable(
    [
      { title: 'scenario' },
      right('threads'),
      right('rows/s'),
      right('whole'),
      right('TDS MB/s'),
      right('of alone'),
      right('CPU s/M'),
      right('read'),
      right('hash'),
      right('write'),
      right('main'),
      right('runtime'),
      right('pg CPU'),
      right('of pg'),
      right('objects'),
      right('peak MB'),
    ],
    results.map((result) => {
      const { name, ratios, tdsBytesPerRow } = result;
      const { product } = middleRound(result);
      const tiers = product.tiersPerMillionRows;
      return [
        name,
        product.threads === null ? '-' : Object.values(product.threads).join('+'),
        short(product.rowsPerSecond),
        short(product.whole.rowsPerSecond),
        number(tdsBytesPerRow === null ? null : (product.rowsPerSecond * tdsBytesPerRow) / 1e6, 0),
        number(ratios.ofAlone),
        number(product.cpuPerMillionRows),
        number(tiers?.reader),
        number(tiers?.hasher),
        number(tiers?.writer),
        number(tiers?.main),
        number(tiers?.runtime),
        number(product.backendPerMillionRows),
        number(ratios.cpuOfBackend),
        ratios.objectsCpu === null ? '-' : `${number(ratios.objectsCpu, 1)}x`,
        number(product.peakRssBytes / 1e6, 0),
      ];
    }),
  );
}

/** What the peers took, where they ran, from the start of a program to its end. */
export function peerLines(results: readonly ScenarioResult[]): string[] {
  return results.flatMap((result) =>
    PEERS.flatMap((peer) => {
      const { [peer]: other, product } = middleRound(result);
      if (other === undefined) return [];
      const took = ({ program }: Measurement) =>
        `${number(program.seconds, 1)} s and ${number(program.cpuPerMillionRows)} CPU s/M`;
      const times = `${number(result.ratios[`${peer}Time`], 1)} times as long`;
      const cpu = `${number(other.program.cpuPerMillionRows / product.program.cpuPerMillionRows, 1)} times the CPU`;
      return [`${result.name}: ${PEER_NAMES[peer]} ${took(other)}, this ${took(product)}: ${times}, ${cpu}`];
    }),
  );
}

/** What processes that share a run took, beside one that has it alone. */
export function hostLines({ results, machine }: BenchFile): string[] {
  return results.flatMap((result) => {
    const { single, product } = middleRound(result);
    if (single === undefined) return [];
    const seconds = ({ whole }: Measurement) => `${number(whole.seconds, 1)} s`;
    const times = `${number(result.ratios.singleTime)} times as fast on ${machine.cores} cores`;
    return [`${result.name}: ${seconds(product)}, one process ${seconds(single)}: ${times}`];
  });
}

/** The targets this run says something to. */
export function targetTable(targets: readonly Verdict[]): string {
  const known = targets.filter(({ met }) => met !== null);
  if (known.length === 0) return '';
  return textTable(
    [{ title: 'target' }, { title: 'wanted' }, { title: 'measured', align: 'right' }, { title: '' }],
    known.map(({ target, limit, value, met }) => [target, limit, number(value, 3), met ? 'met' : 'MISSED']),
  );
}
