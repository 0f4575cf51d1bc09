/**
 * Where a run stands, added up from its events.
 *
 * Pure but for the clock it is given; runs on the main thread. Live progress, the terminal UI, the report and the
 * metrics all ask for a `Snapshot`, or only for its `Totals`, which cost the same however many tables there are. Rows that have left for the target count as soon as they are under way;
 * `rowsCommitted` is what is there for good.
 */
import type { RunEvent, RunPhase } from '../engine/events.js';
import type { LaneSample } from '../engine/sampler.js';
import type { ErrorData } from '../errors.js';
import { History, type HistoryPoint, Pace } from './pace.js';
import { busy, type Limit, ringFill, TierClock, type Tiers } from './tiers.js';

export interface TableSnapshot {
  table: string;
  status: 'pending' | 'running' | 'completed' | 'failed';
  /** Committed and under way. */
  rows: number;
  bytes: number;
  rowsCommitted: number;
  bytesCommitted: number;
  chunks: number;
  retries: number;
  /** From the catalog: close, not exact. */
  approximateRows: number;
  rowsPerSecond: number;
  bytesPerSecond: number;
  /** Time left at the current pace, or null while there is none. */
  remainingMs: number | null;
  /** When it was begun, since the run's start; null before. */
  begunMs: number | null;
  /** Time since it was begun, or what it took; null before. */
  elapsedMs: number | null;
  /** What its rows wait for now, or null where nothing moves. */
  limit: Limit | null;
  /** What the tiers' time on it went into, so far. */
  tiers: Tiers;
  error: ErrorData | null;
}

/** How busy the tiers are, each from 0 to 1; null where it has nothing to do. */
export interface Gauges {
  reader: number | null;
  hasher: number | null;
  writer: number | null;
  ringFill: number;
}

/** The run as a whole, and the tables that are under way. */
export interface Totals {
  runId: string | null;
  phase: RunPhase;
  /** The phases so far and when each began, since the run's start. */
  phases: readonly { phase: RunPhase; atMs: number }[];
  tablesTotal: number;
  tablesCompleted: number;
  tablesFailed: number;
  /** Committed and under way. */
  rows: number;
  bytes: number;
  rowsCommitted: number;
  bytesCommitted: number;
  chunks: number;
  retries: number;
  approximateRows: number;
  rowsPerSecond: number;
  bytesPerSecond: number;
  /** Time left at the current pace, or null while there is none. */
  remainingMs: number | null;
  elapsedMs: number;
  limit: Limit | null;
  tiers: Tiers;
  gauges: Gauges;
  running: TableSnapshot[];
}

export interface Snapshot extends Totals {
  /** Every table, in the order of the plan. */
  tables: TableSnapshot[];
}

interface Tracked {
  table: string;
  status: TableSnapshot['status'];
  rowsCommitted: number;
  bytesCommitted: number;
  rowsUnderWay: number;
  bytesUnderWay: number;
  chunks: number;
  retries: number;
  approximateRows: number;
  startedMs: number | null;
  endedMs: number | null;
  clock: TierClock;
  error: ErrorData | null;
  pace: Pace;
}

export class Tally {
  readonly #clock: () => number;
  readonly #startedMs: number;
  readonly #tables = new Map<string, Tracked>();
  readonly #history = new History();
  readonly #tiers = new TierClock();
  #pace: Pace;
  readonly #phases: { phase: RunPhase; atMs: number }[] = [];
  #runId: string | null = null;
  #rows = 0;
  #bytes = 0;
  #ringFill = 0;
  /** Of all tables together. */
  readonly #sums = { rowsCommitted: 0, bytesCommitted: 0, chunks: 0, retries: 0, approximateRows: 0 };
  readonly #counts = { pending: 0, running: 0, completed: 0, failed: 0 };
  readonly #running = new Set<Tracked>();

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
    this.#startedMs = clock();
    this.#pace = new Pace({ atMs: this.#startedMs, rows: 0, bytes: 0 });
  }

  consume(event: RunEvent): void {
    switch (event.kind) {
      case 'run-started':
        this.#runId = event.runId;
        for (const { table, approximateRows } of event.tables)
          this.#change(this.#track(table), { approximateRows });
        break;
      case 'phase':
        this.#phases.push({ phase: event.phase, atMs: this.#clock() - this.#startedMs });
        this.#history.add(this.#sinceStart());
        // The pace counts from when rows begin to flow.
        if (event.phase === 'transfer' || event.phase === 'verify') this.#pace = new Pace(this.#now());
        break;
      case 'table-started': {
        const table = this.#track(event.table);
        const startedMs = this.#clock();
        const pace = new Pace({ atMs: startedMs, rows: rowsOf(table), bytes: bytesOf(table) });
        this.#change(table, { status: 'running', startedMs, pace });
        break;
      }
      case 'rows':
        this.#commit(event.table, event.rows, event.bytes, event.chunks);
        break;
      case 'sample':
        this.#sample(event.lanes, event.tables);
        break;
      case 'retry': {
        const table = this.#track(event.table);
        this.#change(table, { retries: table.retries + 1 });
        break;
      }
      case 'table-finished':
        this.#commit(event.table, event.rows, event.bytes);
        this.#end(event.table, 'completed');
        break;
      case 'table-failed':
        this.#change(this.#track(event.table), { error: event.error });
        this.#end(event.table, 'failed');
        break;
      case 'step':
      case 'note':
      case 'log':
        break;
    }
  }

  snapshot(): Snapshot {
    const now = this.#clock();
    return {
      ...this.totals(),
      tables: [...this.#tables.values()].map((table) => this.#snapshotOf(table, now)),
    };
  }

  totals(): Totals {
    const now = this.#clock();
    const pace = this.#pace.perSecond(now);
    const { approximateRows } = this.#sums;
    const { recent, total, limit } = this.#tiers;
    const phase = this.#phases.at(-1)?.phase ?? 'connect';
    return {
      runId: this.#runId,
      phase,
      phases: [...this.#phases],
      tablesTotal: this.#tables.size,
      tablesCompleted: this.#counts.completed,
      tablesFailed: this.#counts.failed,
      rows: this.#rows,
      bytes: this.#bytes,
      ...this.#sums,
      rowsPerSecond: pace.rows,
      bytesPerSecond: pace.bytes,
      remainingMs: remaining(approximateRows - this.#rows, pace.rows),
      elapsedMs: now - this.#startedMs,
      limit: phase === 'transfer' ? limit : null,
      tiers: copyOf(total),
      gauges: {
        reader: busy(recent.reader),
        hasher: busy(recent.hasher),
        writer: busy(recent.writer),
        ringFill: phase === 'transfer' ? this.#ringFill : 0,
      },
      running: [...this.#running].map((table) => this.#snapshotOf(table, now)),
    };
  }

  /** @returns how fast rows came, from the run's start to now. */
  history(): HistoryPoint[] {
    return this.#history.points(this.#sinceStart());
  }

  /** @returns one table's state so far. */
  table(name: string): TableSnapshot {
    return this.#snapshotOf(this.#track(name), this.#clock());
  }

  #track(name: string): Tracked {
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    const table: Tracked = {
      table: name,
      status: 'pending',
      rowsCommitted: 0,
      bytesCommitted: 0,
      rowsUnderWay: 0,
      bytesUnderWay: 0,
      chunks: 0,
      retries: 0,
      approximateRows: 0,
      startedMs: null,
      endedMs: null,
      clock: new TierClock(),
      error: null,
      pace: new Pace({ atMs: this.#clock(), rows: 0, bytes: 0 }),
    };
    this.#tables.set(name, table);
    this.#count(table, 1);
    return table;
  }

  /** Changes what is known of a table, and with it what is known of all of them. */
  #change(table: Tracked, changes: Partial<Tracked>): void {
    this.#count(table, -1);
    Object.assign(table, changes);
    this.#count(table, 1);
    if (table.status === 'running') this.#running.add(table);
    else this.#running.delete(table);
  }

  /** @param times 1: the table counts from here on; -1: not as it is now */
  #count(table: Tracked, times: 1 | -1): void {
    const { status, rowsCommitted, bytesCommitted, chunks, retries } = table;
    const rows = rowsOf(table);
    this.#counts[status] += times;
    this.#sums.rowsCommitted += times * rowsCommitted;
    this.#sums.bytesCommitted += times * bytesCommitted;
    this.#sums.chunks += times * chunks;
    this.#sums.retries += times * retries;
    // A finished table counts as what it turned out to be, a running one as at least what it has.
    this.#sums.approximateRows +=
      times * (status === 'completed' ? rows : Math.max(table.approximateRows, rows));
  }

  #commit(name: string, rows: number, bytes: number, chunks?: number): void {
    const table = this.#track(name);
    const newRows = rows - table.rowsCommitted;
    const newBytes = bytes - table.bytesCommitted;
    // What is committed was under way, as far as a sample has seen it.
    const rowsUnderWay = Math.max(0, table.rowsUnderWay - newRows);
    const bytesUnderWay = Math.max(0, table.bytesUnderWay - newBytes);
    this.#change(table, { rowsCommitted: rows, bytesCommitted: bytes, chunks: chunks ?? table.chunks });
    if (table.status === 'pending') {
      // An earlier process of the run has brought these: they are no part of this one's pace.
      this.#history.shift(newRows, newBytes);
      this.#rows += newRows;
      this.#bytes += newBytes;
      this.#pace = new Pace(this.#now());
      return;
    }
    this.#underWay(table, rowsUnderWay, bytesUnderWay, newRows, newBytes);
  }

  #sample(lanes: readonly LaneSample[], names: readonly string[]): void {
    this.#ringFill = ringFill(lanes);
    this.#tiers.fade();
    for (const { clock } of this.#running) clock.fade();
    const underWay = new Map<string, { rows: number; bytes: number }>();
    for (const { table, reader, hasher, writers } of lanes) {
      this.#addTimes('reader', reader, table, names);
      if (hasher !== null) this.#addTimes('hasher', hasher, table ?? writers[0]?.table ?? null, names);
      for (const writer of writers) {
        this.#addTimes('writer', writer.times, writer.table, names);
        const name = writer.table === null ? undefined : names[writer.table];
        if (name === undefined) continue;
        const { rows, bytes } = underWay.get(name) ?? { rows: 0, bytes: 0 };
        underWay.set(name, { rows: rows + writer.rowsUnderWay, bytes: bytes + writer.bytesUnderWay });
      }
    }
    for (const table of this.#running) {
      const { rows, bytes } = underWay.get(table.table) ?? { rows: 0, bytes: 0 };
      this.#underWay(table, rows, bytes, 0, 0);
    }
  }

  #addTimes(
    tier: keyof Tiers,
    times: LaneSample['reader'],
    table: number | null,
    names: readonly string[],
  ): void {
    // Threads without work wait for nothing.
    const name = table === null ? undefined : names[table];
    if (name === undefined) return;
    this.#tiers.add(tier, times);
    this.#track(name).clock.add(tier, times);
  }

  #underWay(table: Tracked, rows: number, bytes: number, newRows: number, newBytes: number): void {
    this.#rows += rows - table.rowsUnderWay + newRows;
    this.#bytes += bytes - table.bytesUnderWay + newBytes;
    this.#change(table, { rowsUnderWay: rows, bytesUnderWay: bytes });
    table.pace.add({ atMs: this.#clock(), rows: rowsOf(table), bytes: bytesOf(table) });
    this.#pace.add(this.#now());
    this.#history.add(this.#sinceStart());
  }

  #end(name: string, status: 'completed' | 'failed'): void {
    const table = this.#track(name);
    this.#change(table, { status, endedMs: this.#clock() });
    this.#underWay(table, 0, 0, 0, 0);
  }

  #snapshotOf(tracked: Tracked, nowMs: number): TableSnapshot {
    const { pace, clock, startedMs, endedMs, rowsUnderWay: _, bytesUnderWay: __, ...table } = tracked;
    const running = table.status === 'running';
    const { rows: rowsPerSecond, bytes: bytesPerSecond } = running
      ? pace.perSecond(nowMs)
      : { rows: 0, bytes: 0 };
    const rows = rowsOf(tracked);
    return {
      ...table,
      rows,
      bytes: bytesOf(tracked),
      rowsPerSecond,
      bytesPerSecond,
      remainingMs: remaining(table.approximateRows - rows, rowsPerSecond),
      begunMs: startedMs === null ? null : startedMs - this.#startedMs,
      elapsedMs: startedMs === null ? null : (endedMs ?? nowMs) - startedMs,
      limit: running ? clock.limit : null,
      tiers: copyOf(clock.total),
    };
  }

  #now(): { atMs: number; rows: number; bytes: number } {
    return { atMs: this.#clock(), rows: this.#rows, bytes: this.#bytes };
  }

  #sinceStart(): { atMs: number; rows: number; bytes: number } {
    return { ...this.#now(), atMs: this.#clock() - this.#startedMs };
  }
}

function copyOf({ reader, hasher, writer }: Tiers): Tiers {
  return { reader: { ...reader }, hasher: { ...hasher }, writer: { ...writer } };
}

function rowsOf({ rowsCommitted, rowsUnderWay }: Tracked): number {
  return rowsCommitted + rowsUnderWay;
}

function bytesOf({ bytesCommitted, bytesUnderWay }: Tracked): number {
  return bytesCommitted + bytesUnderWay;
}

function remaining(rowsLeft: number, rowsPerSecond: number): number | null {
  return rowsPerSecond > 0 && rowsLeft > 0 ? (rowsLeft / rowsPerSecond) * 1000 : null;
}
