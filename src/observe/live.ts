/**
 * Progress at a terminal: one line for the run and one for each running table, redrawn in place.
 *
 * Runs on the main thread. Log lines go through here while it draws, so that they scroll above the bars
 * instead of tearing them.
 */
import { MultiBar, type SingleBar } from 'cli-progress';
import { type LineRoom, overallLine, tableLine } from './lines.js';
import type { Snapshot } from './tally.js';

const MOST_TABLE_LINES = 8;
const REDRAWS_PER_SECOND = 8;
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

export class LiveProgress {
  readonly #snapshot: () => Snapshot;
  readonly #stream: NodeJS.WriteStream;
  /** Not with NO_COLOR, and not at terminals that know none. */
  readonly #color: boolean;
  readonly #bars: MultiBar;
  readonly #lines: SingleBar[] = [];
  readonly #timer: NodeJS.Timeout;
  #stopped = false;

  constructor(stream: NodeJS.WriteStream, snapshot: () => Snapshot) {
    this.#snapshot = snapshot;
    this.#stream = stream;
    this.#color = stream.hasColors?.() === true;
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
    const { columns = DEFAULT_COLUMNS, rows = DEFAULT_ROWS } = this.#stream;
    // The last column stays free: a terminal may go on to the next line once it is written.
    const room: LineRoom = { width: Math.max(10, columns - 1), color: this.#color };
    const most = Math.max(1, Math.min(MOST_TABLE_LINES, rows - 3));
    const lines = [
      overallLine(snapshot, room),
      ...snapshot.running.slice(0, most).map((table) => tableLine(table, room)),
    ];
    const hidden = snapshot.running.length - most;
    if (hidden > 0) lines[most] = `  and ${hidden + 1} more tables`;
    while (this.#lines.length < lines.length) this.#lines.push(this.#bars.create(1, 0, { line: '' }));
    for (const [i, bar] of this.#lines.entries()) bar.update(0, { line: lines[i] ?? '' });
  }
}
