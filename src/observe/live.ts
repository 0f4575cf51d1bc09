/**
 * Progress at a terminal: one line for the run and one for each running table, redrawn in place.
 *
 * Runs on the main thread. Log lines go through here while it draws, so that they scroll above these lines instead
 * of tearing them. Each redraw is one write, and no line is longer than the terminal is wide.
 */
import { stripVTControlCharacters } from 'node:util';
import { type LineRoom, overallLine, tableLine } from './lines.js';
import type { Totals } from './tally.js';

const MOST_TABLE_LINES = 8;
const REDRAW_MS = 125;
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const ERASE_LINE_END = '\u001b[K';
const ERASE_BELOW = '\u001b[J';

export class LiveProgress {
  readonly #stream: NodeJS.WriteStream;
  readonly #totals: () => Totals;
  /** Not with NO_COLOR, and not at terminals that know none. */
  readonly #color: boolean;
  readonly #timer: NodeJS.Timeout;
  /** Widths of the lines on the screen; the cursor stands at the end of the last. */
  #drawn: number[] = [];
  #stopped = false;

  constructor(stream: NodeJS.WriteStream, totals: () => Totals) {
    this.#stream = stream;
    this.#totals = totals;
    this.#color = stream.hasColors?.() === true;
    this.#draw(HIDE_CURSOR);
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
    this.#timer.unref();
    // However the process ends, the cursor comes back.
    process.once('exit', this.#onExit);
  }

  /** Writes whole lines above the progress. */
  log(text: string): void {
    this.#draw('', text.replaceAll('\n', `${ERASE_LINE_END}\n`));
  }

  /** Takes the progress off the screen; what was logged stays. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#timer);
    process.removeListener('exit', this.#onExit);
    this.#stream.write(`${this.#toStart()}${ERASE_BELOW}${SHOW_CURSOR}`);
  }

  readonly #onExit = (): void => this.stop();

  /** A terminal that nobody has told its size says it has none. */
  get #columns(): number {
    return this.#stream.columns || DEFAULT_COLUMNS;
  }

  /** @param above whole lines that scroll above the progress */
  #draw(before = '', above = ''): void {
    const totals = this.#totals();
    const rows = this.#stream.rows || DEFAULT_ROWS;
    const columns = this.#columns;
    // The last column stays free: a terminal may go on to the next line once it is written.
    const room: LineRoom = { width: Math.max(10, columns - 1), color: this.#color };
    const most = Math.max(1, Math.min(MOST_TABLE_LINES, rows - 3));
    const lines = [
      overallLine(totals, room),
      ...totals.running.slice(0, most).map((table) => tableLine(table, room)),
    ];
    const hidden = totals.running.length - most;
    if (hidden > 0) lines[most] = `  and ${hidden + 1} more tables`;
    const text = lines.map((line) => `${line}${ERASE_LINE_END}`).join('\n');
    this.#stream.write(`${before}${this.#toStart()}${above}${text}${ERASE_BELOW}`);
    this.#drawn = lines.map((line) => stripVTControlCharacters(line).length);
  }

  /** @returns what moves the cursor to the first line's first column; a terminal made narrower has wrapped the lines. */
  #toStart(): string {
    const rows = this.#drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / this.#columns)), 0);
    return rows > 1 ? `\r\u001b[${rows - 1}A` : '\r';
  }
}
