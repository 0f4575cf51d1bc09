/**
 * The terminal as ink draws on it: the alternate screen, left for good however the program ends.
 *
 * Runs on the main thread. Ink gives it whole frames; what of a frame differs from the one before is drawn, line by
 * line in its place. What comes after the screen was left goes nowhere.
 */
import { EventEmitter } from 'node:events';
import type { ReadStream, WriteStream } from 'node:tty';

const ENTER = '\u001b[?1049h\u001b[2J\u001b[H\u001b[?25l';
const LEAVE = '\u001b[0m\u001b[?25h\u001b[?1049l';
const CLEAR = '\u001b[2J';
/** Terminals that know these show all of a frame at once. */
const BEGIN_FRAME = '\u001b[?2026h';
const END_FRAME = '\u001b[?2026l';

export class Canvas extends EventEmitter {
  readonly isTTY = true;
  readonly #stream: WriteStream;
  readonly #input: ReadStream;
  #open = true;
  /** Lines on the screen. */
  #drawn: string[] = [];

  constructor(stream: WriteStream, input: ReadStream) {
    super();
    this.#stream = stream;
    this.#input = input;
    stream.write(ENTER);
    stream.on('resize', this.#onResize);
    process.once('exit', this.#onExit);
  }

  get columns(): number {
    return this.#stream.columns;
  }

  get rows(): number {
    return this.#stream.rows;
  }

  /** @param frame all lines of the screen, from the first on */
  write(frame: string): boolean {
    if (!this.#open) return true;
    const lines = frame.split('\n').slice(0, this.rows);
    const changes = Array.from({ length: Math.max(lines.length, this.#drawn.length) }, (_, i) =>
      lines[i] === this.#drawn[i] ? '' : `\u001b[${i + 1};1H\u001b[2K${lines[i] ?? ''}`,
    ).join('');
    this.#drawn = lines;
    return changes === '' || this.#stream.write(`${BEGIN_FRAME}${changes}${END_FRAME}`);
  }

  /** Shows the normal screen again, its cursor, and lets the terminal edit lines; idempotent. */
  leave(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#stream.off('resize', this.#onResize);
    process.removeListener('exit', this.#onExit);
    this.#input.setRawMode(false);
    this.#stream.write(LEAVE);
  }

  readonly #onExit = (): void => this.leave();

  readonly #onResize = (): void => {
    // The terminal has moved or cut what was there.
    if (this.#open) this.#stream.write(CLEAR);
    this.#drawn = [];
    this.emit('resize');
  };
}
