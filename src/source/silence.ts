/**
 * Notices that a source does not go on with an answer, or never begins one: a lock may be in its way, or the connection
 * lost without a word. Runs on the main thread and in the reader workers.
 */
import { AppError } from '../errors.js';
import { sourceError } from './errors.js';

/** A source may sort a table before it sends the first row: it is given so many times the stall timeout. */
const FIRST_ANSWER_PATIENCE = 4;
/** Where it goes through more rows than these before it can answer, it is given as long again for as many. */
const ROWS_OF_PATIENCE = 10_000_000;
/** How often is looked within the stall timeout. */
const LOOKS = 10;

/** What an answer comes by. */
export interface Line {
  /** How long the source may pause in the middle of an answer, in ms; 0: for ever. */
  stallMs: number;
  /** Bytes that have come so far. */
  bytesRead: () => number;
  /** Ends the wait: the statement fails. */
  hangUp: () => void;
}

/** The answer to one statement. */
export class Answer {
  readonly #line: Line;
  readonly #patience: number;
  readonly #bytesBefore: number;
  #silent = false;

  /**
   * To be made before the statement is sent.
   *
   * @param rows that the source has to go through before it can say anything
   */
  constructor(line: Line, rows: number) {
    this.#line = line;
    this.#patience = FIRST_ANSWER_PATIENCE * Math.max(1, Math.ceil(rows / ROWS_OF_PATIENCE));
    this.#bytesBefore = line.bytesRead();
  }

  /**
   * Waits for more of it, or for its end, and hangs up where nothing comes meanwhile.
   *
   * @param wanted whether more is waited for at the moment: while nobody takes it, the source may not go on
   */
  async wait<T>(work: Promise<T>, wanted: () => boolean = () => true): Promise<T> {
    const { stallMs, bytesRead, hangUp } = this.#line;
    if (stallMs <= 0) return work;
    let over = false;
    let bytes = bytesRead();
    let silences = 0;
    const look = (): void => {
      if (over) return;
      const now = bytesRead();
      silences = now === bytes && wanted() ? silences + 1 : 0;
      bytes = now;
      if (silences < LOOKS * (now === this.#bytesBefore ? this.#patience : 1)) return;
      this.#silent = true;
      hangUp();
    };
    // Behind the sockets: what came while this thread was busy has come.
    const timer = setInterval(() => setImmediate(look), stallMs / LOOKS);
    try {
      return await work;
    } finally {
      over = true;
      clearInterval(timer);
    }
  }

  /** @returns why the statement failed, by what the driver says of it; an `AppError` passes through. */
  error(failure: unknown): AppError {
    if (!this.#silent) return sourceError(failure);
    return new AppError(
      'SOURCE_CONNECTION_LOST',
      `The source sent nothing for more than ${this.#line.stallMs / 1000} s in the middle of an answer, or ${this.#patience} times as long before it`,
      { remedy: 'Look for what blocks its session, or raise source.stall_timeout_seconds.' },
    );
  }
}
