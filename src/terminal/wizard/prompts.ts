/**
 * Questions at a terminal, by clack; an interrupted one ends the whole conversation.
 *
 * Runs on the main thread. Everything is drawn on the stream given, stderr: stdout is the result's.
 */
import type { Readable } from 'node:stream';
import type { WriteStream } from 'node:tty';
import type * as Clack from '@clack/prompts';
import { AppError, toErrorData } from '../../errors.js';
import { oneLine, wrapWords } from '../../observe/format.js';

export interface Choice<T extends string> {
  value: T;
  label: string;
  hint?: string;
}

export interface TextQuestion {
  message: string;
  /** Taken where nothing is typed. */
  initial?: string | undefined;
  /** @returns what is wrong with an answer, or undefined */
  check?: (answer: string) => string | undefined;
}

/** Where a question is asked, and what ends it without an answer. */
interface Streams {
  input: Readable;
  output: WriteStream;
  signal: AbortSignal;
}

/** Choices shown at once; a list that is longer scrolls. */
const MAX_SHOWN = 10;
/** Longer lists can be searched. */
const MAX_UNSEARCHED = 20;

export class Prompts {
  readonly #clack: typeof Clack;
  readonly #input: Readable;
  readonly #output: WriteStream;
  readonly #signal: AbortSignal;

  /** Loads the library: not before there is somebody to ask. */
  static async open(input: Readable, output: WriteStream, signal: AbortSignal): Promise<Prompts> {
    return new Prompts(await import('@clack/prompts'), input, output, signal);
  }

  private constructor(clack: typeof Clack, input: Readable, output: WriteStream, signal: AbortSignal) {
    this.#clack = clack;
    this.#input = input;
    this.#output = output;
    this.#signal = signal;
  }

  /**
   * @param ask is given a question's streams; it never takes its listener off the signal, so each has one of its own
   * @throws AppError CANCELLED
   */
  async #asked<T>(ask: (streams: Streams) => Promise<T | typeof Clack.CANCEL_SYMBOL>): Promise<T> {
    const input = this.#input;
    const over = new AbortController();
    // Clack stops listening at the end of its input, which Ctrl-D is as well, and never answers.
    const onEnd = (): void => over.abort();
    const onKey = (_text: unknown, key?: { ctrl?: boolean; name?: string }): void => {
      if (key?.ctrl === true && key.name === 'd') onEnd();
    };
    input.on('keypress', onKey);
    input.once('end', onEnd);
    try {
      const signal = AbortSignal.any([this.#signal, over.signal]);
      return this.#answered(await ask({ input, output: this.#output, signal }));
    } finally {
      input.off('keypress', onKey);
      input.off('end', onEnd);
    }
  }

  get #saying() {
    return { output: this.#output };
  }

  /** Text beside the line on the left; lines that fit stay as they are, tables for instance. */
  #wrapped(text: string): string {
    const width = Math.max(20, this.#output.columns - 4);
    return text
      .split('\n')
      .flatMap((line) => (line.length <= width ? [line] : wrapWords(line, width)))
      .join('\n');
  }

  begin(title: string): void {
    this.#clack.intro(title, this.#saying);
  }

  end(text: string): void {
    this.#clack.outro(text, this.#saying);
  }

  step(text: string): void {
    this.#clack.log.step(this.#wrapped(text), this.#saying);
  }

  info(text: string): void {
    this.#clack.log.info(this.#wrapped(text), this.#saying);
  }

  success(text: string): void {
    this.#clack.log.success(this.#wrapped(text), this.#saying);
  }

  warn(text: string): void {
    this.#clack.log.warn(this.#wrapped(text), this.#saying);
  }

  /** Says what went wrong and what to do about it. */
  error(error: unknown): void {
    const { message, remedy, code } = toErrorData(error);
    const lines = message.split('\n').map(oneLine);
    lines[lines.length - 1] += ` [${code}]`;
    if (remedy !== undefined) lines.push(`What to do: ${remedy}`);
    this.#clack.log.error(this.#wrapped(lines.join('\n')), this.#saying);
  }

  async text({ message, initial, check }: TextQuestion): Promise<string> {
    const answer = await this.#asked((streams) =>
      this.#clack.text({
        message,
        ...(initial !== undefined && { placeholder: initial, defaultValue: initial }),
        validate: (given) => {
          const text = (given ?? '').trim();
          if (text === '' && initial === undefined) return 'An answer is needed here.';
          return text === '' ? undefined : check?.(text);
        },
        ...streams,
      }),
    );
    return answer.trim();
  }

  async secret(message: string): Promise<string> {
    return (await this.#asked((streams) => this.#clack.password({ message, ...streams }))) ?? '';
  }

  async confirm(message: string, initial: boolean): Promise<boolean> {
    return this.#asked((streams) => this.#clack.confirm({ message, initialValue: initial, ...streams }));
  }

  async choose<T extends string>(message: string, choices: readonly Choice<T>[], initial?: T): Promise<T> {
    const answer = await this.#asked((streams) =>
      this.#clack.select<string>({
        message,
        // Hints of their own would be shown for the choice under the cursor only.
        options: choices.map(({ value, label, hint }) => ({
          value,
          label: hint === undefined ? label : `${label} (${hint})`,
        })),
        ...(initial !== undefined && { initialValue: initial }),
        maxItems: MAX_SHOWN,
        ...streams,
      }),
    );
    return answer as T;
  }

  /** @returns the values chosen, at least one unless `mayBeNone` */
  async chooseMany<T extends string>(
    message: string,
    choices: readonly Choice<T>[],
    initial: readonly T[],
    mayBeNone = false,
  ): Promise<T[]> {
    const options = choices.map((choice) => ({ ...choice }));
    const common = {
      message,
      initialValues: [...initial],
      required: !mayBeNone,
      maxItems: MAX_SHOWN,
    };
    const answer = await this.#asked((streams) =>
      choices.length > MAX_UNSEARCHED
        ? this.#clack.autocompleteMultiselect<string>({
            ...common,
            ...streams,
            options,
            placeholder: 'type to search',
          })
        : this.#clack.multiselect<string>({ ...common, ...streams, options }),
    );
    return answer as T[];
  }

  #answered<T>(answer: T | typeof Clack.CANCEL_SYMBOL): T {
    if (!this.#clack.isCancel(answer)) return answer as T;
    const { reason } = this.#signal;
    throw reason instanceof AppError
      ? reason
      : new AppError('CANCELLED', 'the questions were broken off; nothing was written', {
          remedy: 'start init again when ready',
        });
  }
}
