/**
 * The tool in a pseudo-terminal, as a person has it: keys in, screen out; on the main thread of the test process.
 *
 * The terminal is util-linux' `script`, the screen xterm without a window. Where `script` is missing tests are
 * skipped: `terminalMissing` says so.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import xterm from '@xterm/headless';
import { cliFile } from './cli.js';

export interface TerminalOptions {
  rows?: number;
  columns?: number;
  cwd?: string;
  env?: Record<string, string | undefined>;
}

/** What is left of a terminal once its program has ended. */
export interface TerminalEnd {
  code: number;
  /** True where the alternate screen was left. */
  normalScreen: boolean;
  cursorShown: boolean;
  /** True where typed characters are echoed and lines edited again. */
  cooked: boolean;
}

/** Keys as terminals send them. */
export const KEYS = {
  enter: '\r',
  escape: '\u001b',
  up: '\u001b[A',
  down: '\u001b[B',
  right: '\u001b[C',
  space: ' ',
  backspace: '\u007f',
  ctrlC: '\u0003',
  ctrlD: '\u0004',
} as const;

/** Why there can be no terminal here, or false. */
export const terminalMissing: string | false = (() => {
  const found = spawnSync('script', ['--version'], { encoding: 'utf8' });
  return found.status === 0 && found.stdout.includes('util-linux')
    ? false
    : "util-linux' script is not installed";
})();

const DEFAULT_WAIT_MS = 60_000;

export class TestTerminal {
  readonly #directory = mkdtempSync(join(tmpdir(), 'mpm-terminal-'));
  readonly #screen: InstanceType<typeof xterm.Terminal>;
  readonly #child: ChildProcess;
  readonly #closed: Promise<number>;
  #cursorShown = true;
  /** Everything written so far, as bytes of the terminal. */
  output = '';

  constructor(args: readonly string[], options: TerminalOptions = {}) {
    const { rows = 24, columns = 80 } = options;
    this.#screen = new xterm.Terminal({ rows, cols: columns, allowProposedApi: true, scrollback: 2000 });
    const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
    const place = (name: string) => quote(join(this.#directory, name));
    const tool = [process.execPath, cliFile, ...args].map(quote).join(' ');
    const command = `tty > ${place('tty')}; stty rows ${rows} cols ${columns}; sh -c 'echo $$ > "$0"; exec "$@"' ${place('pid')} ${tool}; code=$?; stty -a > ${place('modes')}; exit $code`;
    this.#child = spawn('script', ['-qfec', command, '/dev/null'], {
      cwd: options.cwd,
      env: { ...process.env, TERM: 'xterm-256color', CI: undefined, ...options.env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
      for (const [, what] of text.matchAll(/\u001b\[\?25([hl])/g)) this.#cursorShown = what === 'h';
      this.#screen.write(text);
    });
    // What the program asks of the terminal is answered, as a terminal does.
    this.#screen.onData((text) => this.#child.stdin?.write(text));
    this.#child.stdin?.on('error', () => {});
    this.#closed = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code) => resolve(code ?? -1));
    });
  }

  /** The visible lines, blanks at their ends cut off. */
  screen(): string {
    const { active } = this.#screen.buffer;
    const lines = Array.from({ length: this.#screen.rows }, (_, i) =>
      (active.getLine(active.baseY + i)?.translateToString(true) ?? '').trimEnd(),
    );
    return lines.join('\n').trimEnd();
  }

  get alternate(): boolean {
    return this.#screen.buffer.active.type === 'alternate';
  }

  /** Process id of the tool. */
  get pid(): number {
    return Number(readFileSync(join(this.#directory, 'pid'), 'utf8'));
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** Waits until the screen shows it. */
  async waitFor(
    wanted: RegExp | ((screen: string) => boolean),
    timeoutMs = DEFAULT_WAIT_MS,
  ): Promise<string> {
    const end = Date.now() + timeoutMs;
    const isThere = (text: string) => (typeof wanted === 'function' ? wanted(text) : wanted.test(text));
    for (;;) {
      const text = this.screen();
      if (isThere(text)) return text;
      if (Date.now() > end) assert.fail(`the screen never showed ${wanted}:\n${text}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Waits for a question, then answers it. */
  async answer(question: RegExp, keys: string): Promise<void> {
    await this.waitFor(question);
    this.type(keys);
  }

  resize(rows: number, columns: number): void {
    const tty = readFileSync(join(this.#directory, 'tty'), 'utf8').trim();
    this.#screen.resize(columns, rows);
    execFileSync('stty', ['-F', tty, 'rows', String(rows), 'cols', String(columns)]);
  }

  /** Waits until the program has ended by itself. */
  async ended(timeoutMs = DEFAULT_WAIT_MS): Promise<TerminalEnd> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    const code = await this.#closed;
    clearTimeout(timer);
    // What was written last is on the screen once a later write is.
    await new Promise<void>((resolve) => this.#screen.write('', resolve));
    const modes = readFileSync(join(this.#directory, 'modes'), 'utf8');
    return {
      code,
      normalScreen: !this.alternate,
      cursorShown: this.#cursorShown,
      cooked: / icanon\b/.test(modes) && / echo\b/.test(modes),
    };
  }

  /** Ends the program, however far it is. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      try {
        process.kill(this.pid, 'SIGKILL');
      } catch {
        // Not begun yet, or gone already.
      }
      this.#child.kill('SIGKILL');
    }
    await this.#closed.catch(() => {});
    this.#screen.dispose();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
