/**
 * Progress at a terminal: one line for the run and one for each running table, redrawn in place.
 *
 * Runs on the main thread. Log lines go through here while it draws, so that they scroll above the bars
 * instead of tearing them.
 */
import { MultiBar, type SingleBar } from 'cli-progress';
import { byteCount, count, duration, fraction, oneLine, short } from './format.js';
import type { Snapshot, TableSnapshot } from './tally.js';

const MAX_TABLE_LINES = 8;
const REDRAWS_PER_SECOND = 8;
const BAR_WIDTH = 16;

export class LiveProgress {
  readonly #snapshot: () => Snapshot;
  readonly #bars: MultiBar;
  readonly #lines: SingleBar[] = [];
  readonly #timer: NodeJS.Timeout;
  #stopped = false;

  constructor(stream: NodeJS.WritableStream, snapshot: () => Snapshot) {
    this.#snapshot = snapshot;
    this.#bars = new MultiBar({
      stream,
      fps: REDRAWS_PER_SECOND,
      format: (_options, _params, payload: { line?: string }) => payload.line ?? '',
      // Log lines move the bars, so that an unchanged bar has to be drawn again too.
      forceRedraw: true,
      linewrap: true,
      hideCursor: true,
      clearOnComplete: true,
      // Signals are the command line's business.
      gracefulExit: false,
    });
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), 1000 / REDRAWS_PER_SECOND);
    this.#timer.unref();
  }

  /** Writes whole lines above the bars. */
  log(text: string): void {
    // The bars' old lines lie under all but the first line of a log.
    this.#bars.log(text.replaceAll('\n', '\u001b[K\n'));
  }

  /** Takes the bars off the screen; what was logged stays. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#bars.update();
    this.#bars.stop();
  }

  #draw(): void {
    const snapshot = this.#snapshot();
    const lines = [overallLine(snapshot), ...snapshot.running.slice(0, MAX_TABLE_LINES).map(tableLine)];
    const hidden = snapshot.running.length - MAX_TABLE_LINES;
    if (hidden > 0) lines[MAX_TABLE_LINES] = `  and ${hidden + 1} more tables`;
    while (this.#lines.length < lines.length) this.#lines.push(this.#bars.create(1, 0, { line: '' }));
    for (const [i, bar] of this.#lines.entries()) bar.update(0, { line: lines[i] ?? '' });
  }
}

/** `transfer [=====>    ] 45 %  3/10 tables  1.2 M of 2.6 M rows  310 K rows/s  45 MB/s  0:05 left` */
export function overallLine(s: Snapshot): string {
  const part = fraction(s.rows, s.approximateRows);
  const parts = [
    `${s.phase.padEnd(9)}${bar(part)}${percent(part)}`,
    `${s.tablesCompleted}/${s.tablesTotal} tables${s.tablesFailed > 0 ? `, ${s.tablesFailed} failed` : ''}`,
    `${short(s.rows)} of ${short(s.approximateRows)} rows`,
    `${short(s.rowsPerSecond)} rows/s`,
    `${byteCount(s.bytesPerSecond)}/s`,
    s.remainingMs === null ? duration(s.elapsedMs) : `${duration(s.remainingMs)} left`,
  ];
  return parts.join('  ');
}

export function tableLine(t: TableSnapshot): string {
  const part = fraction(t.rows, t.approximateRows);
  const left = t.approximateRows - t.rows;
  const parts = [
    `  ${shorten(oneLine(t.table), 30).padEnd(30)} ${percent(part)}`,
    `${count(t.rows)} rows`,
    `${short(t.rowsPerSecond)} rows/s`,
    `${byteCount(t.bytesPerSecond)}/s`,
  ];
  if (t.rowsPerSecond > 0 && left > 0) parts.push(`${duration((left / t.rowsPerSecond) * 1000)} left`);
  return parts.join('  ');
}

function bar(part: number): string {
  const full = Math.round(part * BAR_WIDTH);
  return `[${'='.repeat(full)}${' '.repeat(BAR_WIDTH - full)}]`;
}

function percent(part: number): string {
  // 100 % is for what is done: an estimate that is passed early stays below.
  return `${String(Math.floor(part * 100)).padStart(4)} %`;
}

function shorten(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}\u2026`;
}
