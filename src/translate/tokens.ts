/**
 * Cuts T-SQL expressions as the catalog stores them into tokens.
 *
 * Pure, any thread.
 */
import { Untranslatable } from './untranslatable.js';

export type Token =
  /** An unquoted word, keywords included. */
  | { kind: 'word'; text: string }
  /** `[name]` or `"name"`, unescaped. */
  | { kind: 'name'; text: string }
  | { kind: 'string'; text: string; national: boolean }
  /** Digits with at most one point and an exponent. */
  | { kind: 'number'; text: string }
  /** `$1.50`, the sign left out. */
  | { kind: 'money'; text: string }
  /** `0x0fab`, the prefix left out. */
  | { kind: 'binary'; text: string }
  | { kind: 'symbol'; text: string }
  | { kind: 'end'; text: '' };

const SPACE = /(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)+/y;
const RULES: readonly [RegExp, (match: RegExpExecArray) => Token][] = [
  [/(N)?'((?:[^']|'')*)'/iy, ([, n, text = '']) => string(text, n !== undefined)],
  [/\[((?:[^\]]|\]\])*)\]/y, ([, text = '']) => ({ kind: 'name', text: text.replaceAll(']]', ']') })],
  [/"((?:[^"]|"")*)"/y, ([, text = '']) => ({ kind: 'name', text: text.replaceAll('""', '"') })],
  [/0x([0-9a-f]*)(?![\w@#$])/iy, ([, text = '']) => ({ kind: 'binary', text })],
  [/\$(\d+(?:\.\d*)?|\.\d+)/y, ([, text = '']) => ({ kind: 'money', text })],
  [/(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?(?![\w@#$])/iy, ([text]) => ({ kind: 'number', text })],
  [/[\p{L}_@#][\p{L}\p{N}_@#$]*/uy, ([text]) => ({ kind: 'word', text })],
  [/<>|!=|!<|!>|<=|>=|[-+*/%&|^~=<>(),.]/y, ([text]) => ({ kind: 'symbol', text })],
];

function string(text: string, national: boolean): Token {
  return { kind: 'string', text: text.replaceAll("''", "'"), national };
}

/**
 * @returns the tokens of `text`, the last one of kind `end`.
 * @throws Untranslatable at what T-SQL has and this does not.
 */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    SPACE.lastIndex = at;
    at += SPACE.exec(text)?.[0].length ?? 0;
    if (at >= text.length) break;
    const before = at;
    for (const [pattern, make] of RULES) {
      pattern.lastIndex = at;
      const match = pattern.exec(text);
      if (match === null) continue;
      tokens.push(make(match));
      at += match[0].length;
      break;
    }
    if (at === before)
      throw new Untranslatable(`the character ${JSON.stringify(text[at])} is not understood`);
  }
  tokens.push({ kind: 'end', text: '' });
  return tokens;
}
