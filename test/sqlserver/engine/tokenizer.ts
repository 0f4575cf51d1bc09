/**
 * T-SQL lexis: identifiers in brackets or quotes, N'..' strings, 0x binary, money, variables, nested comments.
 *
 * Runs in the process of the stand-in SQL Server (tests, demo, benchmarks). `GO` is a client word and not known here.
 */
import { SqlError } from '../contract.js';

export type TokenKind =
  | 'word'
  | 'quoted'
  | 'string'
  | 'nstring'
  | 'integer'
  | 'decimal'
  | 'float'
  | 'money'
  | 'binary'
  | 'variable'
  | 'op'
  | 'end';

export interface Token {
  kind: TokenKind;
  /** Words and operators in upper case; identifiers, strings and numbers with quoting taken off. */
  text: string;
  /** As written, for messages and for unreserved words used as names. */
  raw: string;
  start: number;
  end: number;
  line: number;
}

const WORD_START = /[\p{L}_#]/u;
const WORD_PART = /[\p{L}\p{N}_@$#]/u;
const OPERATORS = ['<>', '!=', '<=', '>=', '!<', '!>', '+=', '-=', '*=', '/=', '%=', '&=', '|=', '^=', '::'];
const NUMBER = /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d*)?/y;
const MONEY = /[$£€¥]\s*[+-]?(?:\d[\d,]*\.?\d*|\.\d+)?/y;
const HEX = /0[xX][0-9a-fA-F]*/y;

/** Cuts a batch into tokens; the last one is of kind `end`. Throws SqlError 102, 105 or 113. */
export function tokenize(sql: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  const add = (kind: TokenKind, text: string, end: number): void => {
    const raw = sql.slice(at, end);
    tokens.push({ kind, text, raw, start: at, end, line });
    line += countNewlines(raw);
    at = end;
  };
  while (at < sql.length) {
    const c = sql.charAt(at);
    const next = sql.charAt(at + 1);
    if (/\s|\u0000|\uFEFF/.test(c)) {
      if (c === '\n') line++;
      at++;
    } else if (c === '-' && next === '-') {
      const end = sql.indexOf('\n', at);
      at = end < 0 ? sql.length : end;
    } else if (c === '/' && next === '*') {
      const end = endOfComment(sql, at);
      line += countNewlines(sql.slice(at, end));
      at = end;
    } else if (c === '[') {
      const { text, end } = delimited(sql, at + 1, ']');
      add('quoted', text, end);
    } else if (c === '"') {
      const { text, end } = delimited(sql, at + 1, '"');
      add('quoted', text, end);
    } else if (c === "'") {
      const { text, end } = delimited(sql, at + 1, "'");
      add('string', text, end);
    } else if ((c === 'N' || c === 'n') && next === "'") {
      const { text, end } = delimited(sql, at + 2, "'");
      add('nstring', text, end);
    } else if (c === '0' && (next === 'x' || next === 'X')) {
      const text = match(HEX, sql, at).slice(2);
      add('binary', text.length % 2 === 0 ? text : `0${text}`, at + text.length + 2);
    } else if (/\d/.test(c) || (c === '.' && /\d/.test(next))) {
      const text = match(NUMBER, sql, at);
      const kind = /[eE]/.test(text) ? 'float' : text.includes('.') ? 'decimal' : 'integer';
      add(kind, text, at + text.length);
    } else if (c === '@') {
      let end = at + 1;
      while (end < sql.length && WORD_PART.test(sql.charAt(end))) end++;
      add('variable', sql.slice(at, end), end);
    } else if (/[$£€¥]/.test(c) && !/[a-zA-Z]/.test(next)) {
      const text = match(MONEY, sql, at);
      add('money', text.replace(/[$£€¥,\s]/g, '') || '0', at + text.length);
    } else if (WORD_START.test(c) || (c === '$' && /[a-zA-Z]/.test(next))) {
      let end = at + 1;
      while (end < sql.length && WORD_PART.test(sql.charAt(end))) end++;
      add('word', sql.slice(at, end).toUpperCase(), end);
    } else {
      const two = OPERATORS.find((op) => sql.startsWith(op, at));
      const text = two ?? c;
      if (!two && !'+-*/%=<>(),.;&|^~:'.includes(c)) {
        throw new SqlError(102, `Incorrect syntax near '${c}'.`, { class: 15 });
      }
      add('op', text === '!=' ? '<>' : text, at + text.length);
    }
  }
  tokens.push({ kind: 'end', text: '', raw: '', start: at, end: at, line });
  return tokens;
}

function match(pattern: RegExp, sql: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(sql)?.[0] ?? sql.charAt(at);
}

function countNewlines(text: string): number {
  let count = 0;
  for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) count++;
  return count;
}

function delimited(sql: string, from: number, close: string): { text: string; end: number } {
  let text = '';
  let at = from;
  for (;;) {
    const end = sql.indexOf(close, at);
    if (end < 0) {
      throw new SqlError(
        105,
        `Unclosed quotation mark after the character string '${sql.slice(from, from + 128)}'.`,
        {
          class: 15,
        },
      );
    }
    text += sql.slice(at, end);
    if (sql.charAt(end + 1) !== close) return { text, end: end + 1 };
    text += close;
    at = end + 2;
  }
}

/** T-SQL comments nest. */
function endOfComment(sql: string, from: number): number {
  let depth = 0;
  for (let at = from; at < sql.length - 1; at++) {
    if (sql.startsWith('/*', at)) {
      depth++;
      at++;
    } else if (sql.startsWith('*/', at)) {
      at++;
      if (--depth === 0) return at + 1;
    }
  }
  throw new SqlError(113, "Missing end comment mark '*/'.", { class: 15 });
}
