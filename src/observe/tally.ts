/**
 * Where a run stands, added up from its events.
 *
 * Pure but for the clock it is given; runs on the main thread. What draws progress asks for a `Snapshot`.
 */
import type { RunEvent, RunPhase } from '../engine/events.js';

export interface TableSnapshot {
  table: string;
  status: 'pending' | 'running' | 'completed' | 'failed';
  rows: number;
  bytes: number;
  /** From the catalog: close, not exact. */
  approximateRows: number;
  rowsPerSecond: number;
  bytesPerSecond: number;
}

export interface Snapshot {
  phase: RunPhase;
  tablesTotal: number;
  tablesCompleted: number;
  tablesFailed: number;
  rows: number;
  bytes: number;
  approximateRows: number;
  rowsPerSecond: number;
  bytesPerSecond: number;
  /** Time left at the current pace, or null while there is none. */
  remainingMs: number | null;
  elapsedMs: number;
  running: TableSnapshot[];
}

interface Sample {
  atMs: number;
  rows: number;
  bytes: number;
}

interface Tracked extends Omit<TableSnapshot, 'rowsPerSecond' | 'bytesPerSecond'> {
  pace: Pace;
}

/** Rates are those of the last few seconds: chunks are committed in bursts. */
const WINDOW_MS = 6_000;

/** Rows and bytes over the last `WINDOW_MS`. */
class Pace {
  #samples: Sample[];

  constructor(atMs: number) {
    this.#samples = [{ atMs, rows: 0, bytes: 0 }];
  }

  add(sample: Sample): void {
    const last = this.#samples.at(-1);
    // One sample per tenth of a second is plenty, however many chunks are committed.
    if (last !== undefined && this.#samples.length > 1 && sample.atMs - last.atMs < 100) this.#samples.pop();
    this.#samples.push(sample);
    while (this.#samples.length > 2 && (this.#samples[1]?.atMs ?? 0) < sample.atMs - WINDOW_MS) {
      this.#samples.shift();
    }
  }

  perSecond(nowMs: number): { rows: number; bytes: number } {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined) return { rows: 0, bytes: 0 };
    const seconds = Math.max(nowMs - first.atMs, 1) / 1000;
    return { rows: (last.rows - first.rows) / seconds, bytes: (last.bytes - first.bytes) / seconds };
  }
}

export class Tally {
  readonly #clock: () => number;
  readonly #startedMs: number;
  readonly #tables = new Map<string, Tracked>();
  #pace: Pace;
  #phase: RunPhase = 'connect';
  #rows = 0;
  #bytes = 0;

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
    this.#startedMs = clock();
    this.#pace = new Pace(this.#startedMs);
  }

  consume(event: RunEvent): void {
    switch (event.kind) {
      case 'run-started':
        for (const { table, approximateRows } of event.tables)
          this.#track(table).approximateRows = approximateRows;
        break;
      case 'phase':
        this.#phase = event.phase;
        // The pace counts from when rows begin to flow.
        if (event.phase === 'transfer' || event.phase === 'verify') this.#pace = new Pace(this.#clock());
        break;
      case 'table-started': {
        const table = this.#track(event.table);
        table.status = 'running';
        table.pace = new Pace(this.#clock());
        break;
      }
      case 'rows':
        this.#count(event.table, event.rows, event.bytes);
        break;
      case 'table-finished':
        this.#count(event.table, event.rows, event.bytes);
        this.#track(event.table).status = 'completed';
        break;
      case 'table-failed':
        this.#track(event.table).status = 'failed';
        break;
      case 'step':
      case 'note':
      case 'log':
        break;
    }
  }

  snapshot(): Snapshot {
    const now = this.#clock();
    const all = [...this.#tables.values()];
    const pace = this.#pace.perSecond(now);
    // A finished table counts as what it turned out to be, a running one as at least what it has.
    const approximateRows = all.reduce(
      (sum, t) => sum + (t.status === 'completed' ? t.rows : Math.max(t.approximateRows, t.rows)),
      0,
    );
    const left = approximateRows - this.#rows;
    return {
      phase: this.#phase,
      tablesTotal: all.length,
      tablesCompleted: all.filter((t) => t.status === 'completed').length,
      tablesFailed: all.filter((t) => t.status === 'failed').length,
      rows: this.#rows,
      bytes: this.#bytes,
      approximateRows,
      rowsPerSecond: pace.rows,
      bytesPerSecond: pace.bytes,
      remainingMs: pace.rows > 0 && left > 0 ? (left / pace.rows) * 1000 : null,
      elapsedMs: now - this.#startedMs,
      running: all.filter((t) => t.status === 'running').map((t) => snapshotOf(t, now)),
    };
  }

  /** @returns one table's state so far. */
  table(name: string): TableSnapshot {
    return snapshotOf(this.#track(name), this.#clock());
  }

  #track(name: string): Tracked {
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    const table: Tracked = {
      table: name,
      status: 'pending',
      rows: 0,
      bytes: 0,
      approximateRows: 0,
      pace: new Pace(this.#clock()),
    };
    this.#tables.set(name, table);
    return table;
  }

  #count(name: string, rows: number, bytes: number): void {
    const table = this.#track(name);
    this.#rows += rows - table.rows;
    this.#bytes += bytes - table.bytes;
    table.rows = rows;
    table.bytes = bytes;
    const atMs = this.#clock();
    table.pace.add({ atMs, rows, bytes });
    this.#pace.add({ atMs, rows: this.#rows, bytes: this.#bytes });
  }
}

function snapshotOf(tracked: Tracked, nowMs: number): TableSnapshot {
  const { pace, ...table } = tracked;
  const { rows, bytes } = pace.perSecond(nowMs);
  return { ...table, rowsPerSecond: rows, bytesPerSecond: bytes };
}
