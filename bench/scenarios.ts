/**
 * What is measured: a shape, a mode and options, and whom the product is held against. Pure.
 */
import type { Mode } from './runs.js';
import { SHAPE_NAMES, type ShapeName, shapes } from './shapes.js';

/** Contenders that run beside the product, in turn with it. */
export type Contender = 'alone' | 'objects' | Peer | 'single';
/** Other tools. */
export const PEERS = ['freebcp', 'pgloader'] as const;
export type Peer = (typeof PEERS)[number];
export type Tls = 'none' | 'source' | 'target' | 'both';

export interface Scenario {
  shape: ShapeName;
  mode: Mode;
  rows: number;
  /** Writing connections behind one reader; with several lanes, lanes of one writer each. */
  writers: number;
  lanes: number;
  tls: Tls;
  /** Processes that share the run, each with so many lanes and writers; left out, one process that shares nothing. */
  hosts?: number;
  against: Contender[];
  /** Times it is run, where that is more often than was asked for. */
  rounds?: number;
}

/** Of what the targets are about, in a full run: neighbours of one run can't decide. */
const TARGET_ROUNDS = 3;

/** Modes that do nothing but load: *PostgreSQL alone* does the same work. */
const LOADS: readonly Mode[] = ['full', 'truncate'];

export function scenario(shape: ShapeName, mode: Mode, rows: number, more: Partial<Scenario> = {}): Scenario {
  const against: Contender[] = LOADS.includes(mode) ? ['alone'] : [];
  return { shape, mode, rows, writers: 1, lanes: 1, tls: 'none', against, ...more };
}

/** The same by `hosts` processes that share the run, held against one that has it alone. */
export function shared(hosts: number, one: Scenario): Scenario {
  return { ...one, hosts, against: ['single'] };
}

/** @returns what `scenario` is called, in tables and in comparisons of two runs. */
export function nameOf({ shape, mode, rows, writers, lanes, tls, hosts }: Scenario): string {
  const parts = [shape, mode, countOf(rows), `${lanes}x${writers}`];
  if (tls !== 'none') parts.push(`tls ${tls}`);
  if (hosts !== undefined) parts.push(hosts === 1 ? '1 host' : `${hosts} hosts`);
  return parts.join(' ');
}

function countOf(rows: number): string {
  if (rows >= 1_000_000 && rows % 100_000 === 0) return `${rows / 1_000_000}M`;
  return rows >= 1000 && rows % 1000 === 0 ? `${rows / 1000}K` : String(rows);
}

/** Everything the list of targets asks for, in under three minutes. */
export function quickScenarios(): Scenario[] {
  const list: Scenario[] = [];
  for (const shape of ['votes', 'comments', 'posts'] as const) {
    const rows = shapes[shape].quickRows;
    const against: Contender[] = shape === 'comments' ? ['alone'] : ['alone', 'objects'];
    list.push(scenario(shape, 'full', rows, { against }));
    list.push(scenario(shape, 'full', rows, { writers: 2 }));
    if (shape !== 'comments') list.push(scenario(shape, 'full-hash', rows));
    if (shape !== 'votes') continue;
    for (const mode of ['verify-hashing', 'verify-streamed', 'upsert-nothing', 'upsert-percent'] as const) {
      list.push(scenario(shape, mode, rows));
    }
    list.push(scenario(shape, 'full', 1_000_000, { writers: 2, against: [] }));
    list.push(scenario(shape, 'full', 10_000_000, { writers: 2, against: [] }));
  }
  return list;
}

/** All shapes and modes, and how cost goes with rows and lanes. */
export function fullScenarios(): Scenario[] {
  const list = SHAPE_NAMES.flatMap((shape) => {
    const { fullRows } = shapes[shape];
    const rounds = shape === 'votes' || shape === 'comments' || shape === 'posts' ? TARGET_ROUNDS : 1;
    const compared = shape === 'blobs' ? fullRows : Math.min(fullRows, 2_000_000);
    return [
      scenario(shape, 'full', fullRows, { rounds, against: ['alone', 'objects'] }),
      scenario(shape, 'full', fullRows, { rounds, writers: 2 }),
      scenario(shape, 'full-hash', fullRows, { rounds }),
      scenario(shape, 'truncate', fullRows),
      scenario(shape, 'verify-hashing', compared),
      scenario(shape, 'verify-streamed', compared),
      scenario(shape, 'upsert-nothing', compared),
      scenario(shape, 'upsert-percent', compared),
      scenario(shape, 'upsert-all', Math.min(compared, 500_000)),
    ];
  });
  for (const tls of ['source', 'target', 'both'] as const) {
    list.push(scenario('votes', 'full', shapes.votes.fullRows, { tls }));
    list.push(scenario('posts', 'full', shapes.posts.fullRows, { tls }));
  }
  for (const rows of [100_000, 300_000, 1_000_000, 3_000_000]) {
    list.push(scenario('votes', 'full', rows));
    list.push(scenario('votes', 'full', rows, { writers: 2, against: [] }));
  }
  for (const mode of ['verify-hashing', 'upsert-nothing', 'upsert-percent'] as const) {
    list.push(scenario('votes', mode, shapes.votes.fullRows, { rounds: TARGET_ROUNDS }));
  }
  for (const lanes of [2, 3, 4]) {
    list.push(scenario('votes', 'full', shapes.votes.fullRows, { lanes }));
    list.push(scenario('posts', 'full', shapes.posts.fullRows, { lanes }));
  }
  for (const hosts of [1, 4]) {
    list.push(shared(hosts, scenario('votes', 'full', shapes.votes.fullRows)));
  }
  return list;
}
