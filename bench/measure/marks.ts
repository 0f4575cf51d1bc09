/**
 * Marks a process sets while it works, and what lies between two of them. Any process.
 */
import { performance } from 'node:perf_hooks';
import {
  childrenSeconds,
  type ServerSeconds,
  serverSeconds,
  type TierSeconds,
  type TierThreads,
  threadTimes,
} from './cpu.js';

/** How far the work was at a moment, and what it had cost by then. */
export interface Mark {
  name: string;
  atMs: number;
  /** Rows committed. */
  rows: number;
  /** CPU of this process, of threads and children that have ended, too. */
  cpuSeconds: number;
  tiers: TierSeconds | null;
  threads: TierThreads | null;
  server: ServerSeconds | null;
}

/** What a process reports at its end. */
export interface Report {
  marks: Mark[];
  peakRssBytes: number;
  /** Anything its runner wants to say. */
  notes: string[];
}

/** Between two marks. */
export interface Span {
  seconds: number;
  rows: number;
  cpuSeconds: number;
  tiers: TierSeconds | null;
  server: ServerSeconds | null;
}

/** Reading /proc takes about a millisecond: marks for progress keep this apart. */
const APART_MS = 40;

export class Marks {
  readonly marks: Mark[] = [];
  #lastMs = 0;

  constructor(private readonly postmaster: number | null) {}

  add(name: string, rows = 0): void {
    const { user, system } = process.cpuUsage();
    const times = threadTimes();
    this.#lastMs = performance.now();
    this.marks.push({
      name,
      atMs: this.#lastMs,
      rows,
      cpuSeconds: (user + system) / 1e6 + childrenSeconds(),
      tiers: times?.seconds ?? null,
      threads: times?.threads ?? null,
      server: serverSeconds(this.postmaster),
    });
  }

  /** Marks progress, but not all of it where it comes fast. */
  progress(rows: number): void {
    if (performance.now() - this.#lastMs >= APART_MS) this.add('rows', rows);
  }

  report(notes: string[] = []): Report {
    return { marks: this.marks, peakRssBytes: process.resourceUsage().maxRSS * 1024, notes };
  }
}

/** @returns what lies between two marks. */
export function span(from: Mark, to: Mark): Span {
  const less = <Key extends string>(
    a: Record<Key, number> | null,
    b: Record<Key, number> | null,
  ): Record<Key, number> | null => {
    if (a === null || b === null) return null;
    const keys = Object.keys(b) as Key[];
    return Object.fromEntries(keys.map((key) => [key, Math.max(0, b[key] - a[key])])) as Record<Key, number>;
  };
  return {
    seconds: (to.atMs - from.atMs) / 1000,
    rows: to.rows - from.rows,
    cpuSeconds: to.cpuSeconds - from.cpuSeconds,
    tiers: less(from.tiers, to.tiers),
    server: less(from.server, to.server),
  };
}

/** @returns the first mark of a name, or the last. */
export function find(report: Report, name: string, which: 'first' | 'last' = 'first'): Mark {
  const found = report.marks.filter((mark) => mark.name === name);
  const mark = which === 'first' ? found[0] : found.at(-1);
  if (mark === undefined) throw new Error(`a process reported no ${name}`);
  return mark;
}

/** The whole transfer of rows: connections, threads and first answers included. */
export function wholeTransfer(report: Report): Span {
  return span(find(report, 'transfer'), find(report, 'loaded', 'last'));
}

/**
 * From the first commit to the last: the speed of a long transfer, seen in a short one.
 * Null where fewer than three commits lie between.
 */
export function steadyTransfer(report: Report): Span | null {
  const commits = report.marks.filter(({ name }) => name === 'rows');
  const [first] = commits;
  return first === undefined || commits.length < 3 ? null : span(first, find(report, 'loaded', 'last'));
}
