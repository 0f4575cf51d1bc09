/**
 * `${NAME}` in configuration values.
 *
 * Runs on the main thread only.
 */
import { AppError } from '../errors.js';
import type { Origin } from './problems.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** `$${` is a plain `${`; `${NAME}` is a variable; an opened but unfinished or misnamed one is an error. */
const VARIABLE = /\$\$\{|\$\{([^}]*)(\}?)/g;

/**
 * Replaces `${NAME}` in every text of a parsed file; keys are left alone. `$${` writes a literal `${`.
 *
 * @returns the new tree, and the dotted paths of the texts in which a variable was replaced
 * @throws AppError CONFIG_VARIABLE_UNSET naming each variable that is not set, and where it is used
 * @throws AppError CONFIG_INVALID for `${` that does not begin a variable
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
      if (name === undefined || end !== '}' || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
        // The text may be a password: it is not repeated.
        throw new AppError('CONFIG_INVALID', `${file}: "\${" at ${place(path)} does not begin a variable`, {
          remedy:
            'write "$" and the name in braces, of letters, digits and _; or "$$" and a brace for a literal one',
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
