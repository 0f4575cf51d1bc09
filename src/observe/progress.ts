/**
 * Takes a run's events and shows them: bars at a terminal, a line now and then elsewhere, or JSON lines.
 *
 * Runs on the main thread. All of it goes to stderr; stdout is the result's.
 */
import type { LogFields, RunEvent } from '../engine/events.js';
import type { ErrorData } from '../errors.js';
import { byteCount, duration, short } from './format.js';
import { LiveProgress } from './live.js';
import type { Log } from './log.js';
import type { ProgressLine } from './schemas.js';
import { type TableSnapshot, Tally, type Totals } from './tally.js';

/** `json`: JSON lines (`--progress`); `live`: bars; `lines`: log lines; `none`: only the run's own log lines. */
export type ProgressStyle = 'json' | 'live' | 'lines' | 'none';

const JSON_INTERVAL_MS = 1_000;
const LINES_INTERVAL_MS = 5_000;

/** What has the whole terminal while it is there, and takes the log lines meant for it. */
export interface FullScreen {
  log(text: string): void;
  /** Gives the terminal back as it was; idempotent. */
  leave(): void;
}

/** stderr, shared by logs and progress. */
export class Screen {
  readonly stream: NodeJS.WriteStream;
  #live: LiveProgress | null = null;
  #full: FullScreen | null = null;

  constructor(stream: NodeJS.WriteStream) {
    this.stream = stream;
  }

  /** Writes whole lines, above the bars while there are any. */
  write(text: string): void {
    if (this.#full !== null) this.#full.log(text);
    else if (this.#live !== null) this.#live.log(text);
    else this.stream.write(text);
  }

  /** Hands the terminal over, until `leave`. */
  enter(full: FullScreen): void {
    this.#full = full;
  }

  /** Gives the terminal back, whatever was on it. */
  leave(): void {
    const full = this.#full;
    this.#full = null;
    full?.leave();
    this.stopLive();
  }

  startLive(totals: () => Totals): void {
    this.#live ??= new LiveProgress(this.stream, totals);
  }

  stopLive(): void {
    const live = this.#live;
    this.#live = null;
    live?.stop();
  }
}

export class Progress {
  readonly #screen: Screen;
  readonly #log: Log;
  readonly #style: ProgressStyle;
  readonly #tally: Tally;
  #timer: NodeJS.Timeout | null = null;

  constructor(screen: Screen, log: Log, style: ProgressStyle, tally: Tally = new Tally()) {
    this.#screen = screen;
    this.#log = log;
    this.#style = style;
    this.#tally = tally;
  }

  /** Begins to draw. `stop` must follow, whatever happens. */
  start(): void {
    if (this.#style === 'live') this.#screen.startLive(() => this.#tally.totals());
    if (this.#style === 'json') this.#every(JSON_INTERVAL_MS, () => this.#writeJson());
    if (this.#style === 'lines') this.#every(LINES_INTERVAL_MS, () => this.#writeLine());
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    if (this.#style === 'json') this.#writeJson();
    this.#screen.stopLive();
  }

  readonly consume = (event: RunEvent): void => {
    this.#tally.consume(event);
    this.#report(event);
    if (this.#style !== 'json') return;
    if (event.kind === 'table-finished') this.#writeTableEnd(event.table, 'completed');
    if (event.kind === 'table-failed') this.#writeTableEnd(event.table, 'failed');
  };

  /** Puts what a person would want to look up later into the log. */
  #report(event: RunEvent): void {
    const log = this.#log;
    switch (event.kind) {
      case 'run-started':
        log.bind({ run_id: event.runId });
        log.info(`run ${event.runId}: ${event.tables.length} tables`);
        break;
      case 'phase':
        log.debug(`phase ${event.phase}`);
        break;
      case 'table-started':
        log.debug(`${event.table}: started`, { table: event.table, partitions: event.partitions });
        break;
      case 'table-finished': {
        // Of tables that are compared only rows are counted.
        const bytes = event.bytes === 0 ? '' : `, ${byteCount(event.bytes)}`;
        log.info(`${event.table}: ${short(event.rows)} rows${bytes} in ${duration(event.durationMs)}`, {
          table: event.table,
        });
        break;
      }
      case 'table-failed':
        log.error(`${event.table}: ${event.error.message}`, errorFields(event));
        break;
      case 'retry':
        log.warn(`${event.table}: trying again after: ${event.error.message}`, errorFields(event));
        break;
      case 'step':
        log.info(`${event.table}: ${event.step} ${event.name} in ${duration(event.durationMs)}`, {
          table: event.table,
        });
        break;
      case 'note':
        if (event.table === undefined) log.info(event.text);
        else log.info(`${event.table}: ${event.text}`, { table: event.table });
        break;
      case 'log':
        log[event.level](event.message, event.fields);
        break;
      case 'rows':
      case 'sample':
        break;
    }
  }

  #every(intervalMs: number, write: () => void): void {
    this.#timer = setInterval(write, intervalMs);
    // Progress alone keeps no process alive.
    this.#timer.unref();
  }

  #writeLine(): void {
    const s = this.#tally.totals();
    if (s.phase !== 'transfer' && s.phase !== 'verify') {
      this.#log.info(`${s.phase}: ${duration(s.elapsedMs)} so far`);
      return;
    }
    const left = s.remainingMs === null ? '' : `, about ${duration(s.remainingMs)} left`;
    this.#log.info(
      `${short(s.rows)} of about ${short(s.approximateRows)} rows, ` +
        `${s.tablesCompleted} of ${s.tablesTotal} tables, ` +
        `${short(s.rowsPerSecond)} rows/s, ${byteCount(s.bytesPerSecond)}/s${left}`,
    );
  }

  #writeJson(): void {
    const s = this.#tally.totals();
    this.#writeJsonLine(s, s, {
      table: null,
      current_table: s.running[0]?.table ?? null,
      table_status: null,
    });
    for (const t of s.running) this.#writeTableLine(s, t, 'running');
  }

  #writeTableEnd(table: string, status: 'completed' | 'failed'): void {
    const t = this.#tally.table(table);
    // What is in the target is what the table had, whatever the catalog said.
    const approximateRows = status === 'completed' ? t.rows : t.approximateRows;
    this.#writeTableLine(this.#tally.totals(), { ...t, approximateRows }, status);
  }

  #writeTableLine(s: Totals, t: TableSnapshot, status: 'running' | 'completed' | 'failed'): void {
    this.#writeJsonLine(s, t, { table: t.table, current_table: t.table, table_status: status });
  }

  #writeJsonLine(
    s: Totals,
    counts: Pick<
      TableSnapshot,
      'rows' | 'rowsCommitted' | 'bytes' | 'approximateRows' | 'rowsPerSecond' | 'remainingMs' | 'limit'
    >,
    about: Pick<ProgressLine, 'table' | 'current_table' | 'table_status'>,
  ): void {
    const { remainingMs } = counts;
    const line: ProgressLine = {
      timestamp: new Date().toISOString(),
      phase: s.phase,
      table: about.table,
      rows_transferred: counts.rows,
      rows_committed: counts.rowsCommitted,
      bytes_transferred: counts.bytes,
      tables_completed: s.tablesCompleted,
      tables_total: s.tablesTotal,
      total_rows: counts.approximateRows,
      rows_per_second: Math.round(counts.rowsPerSecond),
      eta_seconds: remainingMs === null ? null : Math.round(remainingMs / 100) / 10,
      waiting_for: counts.limit,
      current_table: about.current_table,
      table_status: about.table_status,
    };
    this.#screen.write(`${JSON.stringify(line)}\n`);
  }
}

function errorFields({ table, error }: { table: string; error: ErrorData }): LogFields {
  const { code, partition } = error;
  return { table, ...(partition !== undefined && { partition }), code };
}
