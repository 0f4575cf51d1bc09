/**
 * `${NAME}`, `${file:PATH}` and `${command:...}` in configuration values.
 *
 * Runs on the main thread only, once, before anything else: reading a file or waiting for a command blocks nobody.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { AppError } from '../errors.js';
import type { Origin } from './problems.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** `$${` is a plain `${`; `${NAME}` is a variable; an opened but unfinished or misnamed one is an error. */
const VARIABLE = /\$\$\{|\$\{([^}]*)(\}?)/g;

/** Long enough for a secret manager at the other end of a slow line. */
const COMMAND_TIMEOUT_MS = 60_000;

/**
 * Replaces `${NAME}` by a variable of the environment, `${file:PATH}` by a file's text and `${command:...}` by what
 * a shell command prints, the latter two without the line end they end with, in every text of a parsed file; keys
 * are left alone. `$${` writes a literal `${`.
 *
 * @returns the new tree, and the dotted paths of the texts in which a variable was replaced
 * @throws AppError CONFIG_VARIABLE_UNSET naming each variable that is not set, and where it is used
 * @throws AppError CONFIG_INVALID for `${` that does not begin a variable, and for a command that fails
 * @throws AppError IO for a file that can't be read
 */
export function expandVariables(
  tree: unknown,
  environment: Environment,
  file: string,
  locate: (path: readonly string[]) => Origin | undefined,
): { value: unknown; expanded: Set<string> } {
  const expanded = new Set<string>();
  const unset: string[] = [];

  const place = (path: readonly string[]): string => {
    const origin = locate(path);
    return origin !== undefined && 'line' in origin
      ? `${path.join('.')}, line ${origin.line}`
      : path.join('.');
  };

  const expandText = (text: string, path: readonly string[]): string =>
    text.replace(VARIABLE, (match: string, name: string | undefined, end: string) => {
      if (match === '$${') return '${';
      const [, kind, what] = /^(file|command):(.+)$/s.exec(name ?? '') ?? [];
      if (kind !== undefined && what !== undefined && end === '}') {
        expanded.add(path.join('.'));
        const used = `${file}, ${place(path)}`;
        return kind === 'file' ? textOfFile(what, used) : outputOf(what, environment, used);
      }
      if (name === undefined || end !== '}' || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
        // The text may be a password: it is not repeated.
        throw new AppError('CONFIG_INVALID', `${file}: "\${" at ${place(path)} does not begin a variable`, {
          remedy:
            'write "$" and in braces a name of letters, digits and _, or file: and a path, or command: and a command; or "$$" and a brace for a literal one',
        });
      }
      const value = environment[name];
      if (value === undefined) {
        unset.push(`${name} (used by ${place(path)})`);
        return '';
      }
      expanded.add(path.join('.'));
      return value;
    });

  const walk = (node: unknown, path: readonly string[]): unknown => {
    if (typeof node === 'string') return expandText(node, path);
    if (Array.isArray(node)) return node.map((item, index) => walk(item, [...path, String(index)]));
    if (typeof node === 'object' && node !== null) {
      return Object.fromEntries(
        Object.entries(node).map(([key, value]) => [key, walk(value, [...path, key])]),
      );
    }
    return node;
  };

  const value = walk(tree, []);
  if (unset.length > 0) {
    const noun = unset.length === 1 ? 'environment variable is' : 'environment variables are';
    throw new AppError('CONFIG_VARIABLE_UNSET', `${file}: ${noun} not set: ${unset.join('; ')}`, {
      remedy: 'set it before starting; write "$$" and a brace where a literal "$" and brace is meant',
    });
  }
  return { value, expanded };
}

function textOfFile(path: string, used: string): string {
  try {
    return withoutLineEnd(readFileSync(path, 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new AppError('IO', `${used}: the file ${path} can't be read: ${code ?? String(error)}`, {
      remedy: 'check that it is there, or mounted, and that this user may read it',
      cause: error,
    });
  }
}

/** What the command prints is a secret more often than not: it goes into no message, and neither does its text. */
function outputOf(command: string, environment: Environment, used: string): string {
  const done = spawnSync('sh', ['-c', command], {
    encoding: 'utf8',
    env: { ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: COMMAND_TIMEOUT_MS,
  });
  if (done.status === 0) return withoutLineEnd(done.stdout);
  const how =
    done.error !== undefined
      ? ((done.error as NodeJS.ErrnoException).code ?? done.error.message)
      : done.signal !== null
        ? `signal ${done.signal}`
        : `exit code ${done.status}`;
  throw new AppError('CONFIG_INVALID', `${used}: the command failed: ${how}`, {
    remedy: `run it in a shell to see why; it has to end within ${COMMAND_TIMEOUT_MS / 1000} s`,
  });
}

function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, '');
}
