/**
 * A run's report in the terms the benchmark speaks: rates, CPU a million rows, memory. Pure.
 */
import type { Mode } from '../runs.js';
import type { ServerSeconds, TierSeconds, TierThreads } from './cpu.js';
import { find, type Report, type Span, span, steadyTransfer, wholeTransfer } from './marks.js';

export interface Measurement {
  /** From the first commit to the last where a load has three or more, else of the whole. */
  rowsPerSecond: number;
  /** Whether `rowsPerSecond` and the CPU figures leave out the start. */
  steady: boolean;
  /** From the first connection of a worker to the last commit. */
  whole: { seconds: number; rowsPerSecond: number };
  /** The program from its start to its end: planning, keys and all. Of a contender, what it brings the rows with. */
  program: { seconds: number; cpuPerMillionRows: number };
  /** CPU seconds of the process. */
  cpuPerMillionRows: number;
  /** The same by thread. What ended threads took is missing, so they may add up to less. */
  tiersPerMillionRows: TierSeconds | null;
  /** CPU seconds of PostgreSQL's backends. */
  backendPerMillionRows: number | null;
  peakRssBytes: number;
  /** Worker threads at the end: the product begins no more than it has use for. */
  threads: TierThreads | null;
}

/** @param rows rows the run was about, where it does not commit all of them */
export function measure(report: Report, mode: Mode, rows: number): Measurement {
  if (mode.startsWith('verify')) return of(report, { ...between(report, 'verify'), rows }, null);
  if (mode.startsWith('upsert')) return of(report, { ...between(report, 'transfer'), rows }, null);
  return of(report, wholeTransfer(report), steadyTransfer(report));
}

/**
 * Processes that did one piece of work together; CPU is all of theirs.
 *
 * @param seconds from the start of the first to the end of the last
 * @param server PostgreSQL's seconds, then and then
 */
export function measureTogether(
  reports: readonly Report[],
  rows: number,
  seconds: number,
  server: Record<'before' | 'after', ServerSeconds | null>,
): Measurement {
  const ends = reports.map((report) => find(report, 'end'));
  const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
  const each = (spent: number) => (spent / rows) * 1e6;
  const { before, after } = server;
  const cpuPerMillionRows = each(sum(ends.map(({ cpuSeconds }) => cpuSeconds)));
  return {
    rowsPerSecond: rows / seconds,
    steady: false,
    whole: { seconds, rowsPerSecond: rows / seconds },
    program: { seconds, cpuPerMillionRows },
    cpuPerMillionRows,
    // The last threads have ended with their work, and their account with them.
    tiersPerMillionRows: null,
    backendPerMillionRows: before === null || after === null ? null : each(after.backends - before.backends),
    peakRssBytes: Math.max(...reports.map(({ peakRssBytes }) => peakRssBytes)),
    threads: null,
  };
}

function between(report: Report, phase: string): Span {
  return span(find(report, phase), find(report, 'loaded', 'last'));
}

function of(report: Report, whole: Span, steady: Span | null): Measurement {
  const { rows, seconds, cpuSeconds, tiers, server } = steady ?? whole;
  const each = (spent: number) => (spent / rows) * 1e6;
  // Its clock and its CPU account begin with the process.
  const end = report.marks.find(({ name }) => name === 'end');
  return {
    rowsPerSecond: rows / seconds,
    steady: steady !== null,
    whole: { seconds: whole.seconds, rowsPerSecond: whole.rows / whole.seconds },
    program: {
      seconds: end === undefined ? whole.seconds : end.atMs / 1000,
      cpuPerMillionRows: ((end ?? whole).cpuSeconds / whole.rows) * 1e6,
    },
    cpuPerMillionRows: each(cpuSeconds),
    tiersPerMillionRows:
      tiers === null
        ? null
        : (Object.fromEntries(
            Object.entries(tiers).map(([tier, spent]) => [tier, each(spent)]),
          ) as TierSeconds),
    backendPerMillionRows: server === null ? null : each(server.backends),
    peakRssBytes: report.peakRssBytes,
    threads: find(report, 'loaded', 'last').threads,
  };
}
