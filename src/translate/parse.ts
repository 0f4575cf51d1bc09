/**
 * Parses T-SQL scalar expressions and search conditions, with T-SQL's precedence.
 *
 * Pure, any thread. Whether a tree is a value or a condition is the printer's question.
 */
import type { Arithmetic, Comparison, Expression, TypeName } from './ast.js';
import { type Token, tokenize } from './tokens.js';
import { Untranslatable } from './untranslatable.js';

/** Words that end an expression or stand between its parts; as a column's name they'd be in brackets. */
const RESERVED = new Set(
  'AND OR NOT IS IN BETWEEN LIKE ESCAPE CASE WHEN THEN ELSE END COLLATE AS OVER FROM WHERE SELECT EXISTS ALL ANY SOME FOR AT'.split(
    ' ',
  ),
);
/** Functions that are called without parentheses. */
const BARE_FUNCTIONS = new Set(['CURRENT_TIMESTAMP', 'CURRENT_USER', 'SESSION_USER', 'SYSTEM_USER', 'USER']);
const COMPARISONS: Record<string, Comparison> = {
  '=': '=',
  '<>': '<>',
  '!=': '<>',
  '<': '<',
  '<=': '<=',
  '!>': '<=',
  '>': '>',
  '>=': '>=',
  '!<': '>=',
};
/** Deeper than people nest; the tree is walked recursively. */
const MAX_DEPTH = 200;
/** Each operator of a chain, as SQL Server stores a long IN, is one level of the tree, too. */
const MAX_CHAINED = 3000;

/**
 * @returns the tree of one whole expression or condition.
 * @throws Untranslatable where the text is not one, or has what this parser does not know.
 */
export function parse(text: string): Expression {
  return new Parser(tokenize(text)).whole();
}

class Parser {
  readonly #tokens: Token[];
  #at = 0;
  #depth = 0;
  #links = 0;

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  whole(): Expression {
    const expression = this.#or();
    if (this.#peek().kind !== 'end') throw this.#unexpected();
    return expression;
  }

  #or(): Expression {
    if (++this.#depth > MAX_DEPTH) throw new Untranslatable('it is nested too deeply');
    let left = this.#and();
    while (this.#takeWord('OR')) left = { kind: 'or', left: this.#chained(left), right: this.#and() };
    this.#depth--;
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#takeWord('AND')) left = { kind: 'and', left: this.#chained(left), right: this.#not() };
    return left;
  }

  #chained(left: Expression): Expression {
    if (++this.#links > MAX_CHAINED) throw new Untranslatable(`it has more than ${MAX_CHAINED} operators`);
    return left;
  }

  #not(): Expression {
    let negations = 0;
    while (this.#takeWord('NOT')) negations++;
    let operand = this.#predicate();
    for (; negations > 0; negations--) operand = { kind: 'not', operand };
    return operand;
  }

  #predicate(): Expression {
    const left = this.#sum();
    const token = this.#peek();
    const comparison = token.kind === 'symbol' ? COMPARISONS[token.text] : undefined;
    if (comparison !== undefined) {
      this.#at++;
      return { kind: 'compare', operator: comparison, left, right: this.#sum() };
    }
    if (this.#takeWord('IS')) {
      const negated = this.#takeWord('NOT');
      this.#expectWord('NULL');
      return { kind: 'is null', operand: left, negated };
    }
    const negated = this.#isWord('NOT') && this.#takeWord('NOT');
    if (this.#takeWord('IN')) {
      this.#expectSymbol('(');
      return { kind: 'in', operand: left, values: this.#list(), negated };
    }
    if (this.#takeWord('BETWEEN')) {
      const low = this.#sum();
      this.#expectWord('AND');
      return { kind: 'between', operand: left, low, high: this.#sum(), negated };
    }
    if (this.#takeWord('LIKE')) {
      const pattern = this.#sum();
      const escapeValue = this.#takeWord('ESCAPE') ? this.#sum() : null;
      return { kind: 'like', operand: left, pattern, escape: escapeValue, negated };
    }
    if (negated) throw this.#unexpected();
    return left;
  }

  #sum(): Expression {
    let left = this.#product();
    for (;;) {
      const operator = this.#takeSymbol('+', '-', '&', '|', '^');
      if (operator === null) return left;
      left = {
        kind: 'arithmetic',
        operator: operator as Arithmetic,
        left: this.#chained(left),
        right: this.#product(),
      };
    }
  }

  #product(): Expression {
    let left = this.#signed();
    for (;;) {
      const operator = this.#takeSymbol('*', '/', '%');
      if (operator === null) return left;
      left = {
        kind: 'arithmetic',
        operator: operator as Arithmetic,
        left: this.#chained(left),
        right: this.#signed(),
      };
    }
  }

  #signed(): Expression {
    const operator = this.#takeSymbol('-', '+', '~');
    if (operator !== null) {
      if (++this.#depth > MAX_DEPTH) throw new Untranslatable('it is nested too deeply');
      const operand = this.#signed();
      this.#depth--;
      return { kind: 'sign', operator: operator as '-' | '+' | '~', operand };
    }
    let operand = this.#primary();
    while (this.#takeWord('COLLATE')) operand = { kind: 'collate', operand, collation: this.#word() };
    return operand;
  }

  #primary(): Expression {
    const token = this.#next();
    switch (token.kind) {
      case 'number':
        return { kind: 'number', text: token.text };
      case 'money':
        return { kind: 'money', text: token.text };
      case 'binary':
        return { kind: 'binary', hex: token.text };
      case 'string':
        return { kind: 'string', value: token.text, national: token.national };
      case 'symbol':
        if (token.text !== '(') break;
        return this.#parenthesised();
      case 'name':
        return this.#named(token.text);
      case 'word':
        return this.#wordly(token.text);
    }
    throw this.#unexpected(token);
  }

  #parenthesised(): Expression {
    const inner = this.#or();
    this.#expectSymbol(')');
    return inner;
  }

  #wordly(text: string): Expression {
    const word = text.toUpperCase();
    if (word === 'NULL') return { kind: 'null' };
    if (word === 'CASE') return this.#case();
    if (word === 'NEXT' && this.#isWord('VALUE')) return this.#nextValue();
    if ((word === 'CAST' || word === 'TRY_CAST') && this.#isSymbol('('))
      return this.#cast(word === 'TRY_CAST');
    if ((word === 'CONVERT' || word === 'TRY_CONVERT') && this.#isSymbol('(')) {
      return this.#convert(word === 'TRY_CONVERT');
    }
    if (BARE_FUNCTIONS.has(word) && !this.#isSymbol('(')) return { kind: 'call', name: word, arguments: [] };
    if (RESERVED.has(word)) {
      throw this.#unexpected({ kind: 'word', text });
    }
    if (text.startsWith('@')) throw new Untranslatable(`${text} is a variable of the server`);
    return this.#named(text);
  }

  /** A column, possibly of a named table, or a call. */
  #named(first: string): Expression {
    const parts = [first];
    while (this.#takeSymbol('.') !== null) parts.push(this.#word());
    const last = parts.at(-1) as string;
    if (this.#takeSymbol('(') === null) return { kind: 'column', name: last };
    const name = parts.join('.');
    if (parts.length > 1) throw new Untranslatable(`${name} is a function of the source database`);
    const list = this.#takeSymbol(')') !== null ? [] : this.#list();
    if (this.#isWord('OVER')) throw new Untranslatable(`${name} is used as a window function`);
    return { kind: 'call', name: last.toUpperCase(), arguments: list };
  }

  /** The rest of a list whose opening parenthesis was taken. */
  #list(): Expression[] {
    const items: Expression[] = [];
    do items.push(this.#or());
    while (this.#takeSymbol(',') !== null);
    this.#expectSymbol(')');
    return items;
  }

  #case(): Expression {
    const subject = this.#isWord('WHEN') ? null : this.#or();
    const branches: { when: Expression; result: Expression }[] = [];
    while (this.#takeWord('WHEN')) {
      const when = this.#or();
      this.#expectWord('THEN');
      branches.push({ when, result: this.#or() });
    }
    const otherwise = this.#takeWord('ELSE') ? this.#or() : null;
    this.#expectWord('END');
    if (branches.length === 0) throw new Untranslatable('a CASE has no WHEN');
    return { kind: 'case', subject, branches, otherwise };
  }

  #nextValue(): Expression {
    this.#expectWord('VALUE');
    this.#expectWord('FOR');
    const parts = [this.#word()];
    while (this.#takeSymbol('.') !== null) parts.push(this.#word());
    return { kind: 'next value', schema: parts.at(-2) ?? null, name: parts.at(-1) as string };
  }

  #cast(tries: boolean): Expression {
    this.#expectSymbol('(');
    const operand = this.#or();
    this.#expectWord('AS');
    const type = this.#type();
    this.#expectSymbol(')');
    return { kind: 'cast', tries, operand, type, style: null };
  }

  #convert(tries: boolean): Expression {
    this.#expectSymbol('(');
    const type = this.#type();
    this.#expectSymbol(',');
    const operand = this.#or();
    const style = this.#takeSymbol(',') === null ? null : this.#or();
    this.#expectSymbol(')');
    return { kind: 'cast', tries, operand, type, style };
  }

  #type(): TypeName {
    let name = this.#word().toLowerCase();
    while (this.#takeSymbol('.') !== null) name = `${name}.${this.#word().toLowerCase()}`;
    const list: number[] = [];
    if (this.#takeSymbol('(') !== null) {
      do {
        const token = this.#next();
        const isMax = token.kind === 'word' && token.text.toLowerCase() === 'max';
        list.push(isMax ? -1 : token.kind === 'number' ? Number(token.text) : Number.NaN);
      } while (this.#takeSymbol(',') !== null);
      this.#expectSymbol(')');
    }
    if (list.some(Number.isNaN)) throw new Untranslatable(`the type ${name} is not understood`);
    return { name: name.replace(/^sys\./, ''), arguments: list };
  }

  #peek(): Token {
    return this.#tokens[this.#at] as Token;
  }

  #next(): Token {
    const token = this.#peek();
    if (token.kind !== 'end') this.#at++;
    return token;
  }

  #word(): string {
    const token = this.#next();
    if (token.kind === 'word' || token.kind === 'name') return token.text;
    throw this.#unexpected(token);
  }

  #isWord(word: string): boolean {
    const token = this.#peek();
    return token.kind === 'word' && token.text.toUpperCase() === word;
  }

  #takeWord(word: string): boolean {
    if (!this.#isWord(word)) return false;
    this.#at++;
    return true;
  }

  #expectWord(word: string): void {
    if (!this.#takeWord(word)) throw this.#unexpected();
  }

  #isSymbol(symbol: string): boolean {
    const token = this.#peek();
    return token.kind === 'symbol' && token.text === symbol;
  }

  #takeSymbol(...symbols: string[]): string | null {
    const token = this.#peek();
    if (token.kind !== 'symbol' || !symbols.includes(token.text)) return null;
    this.#at++;
    return token.text;
  }

  #expectSymbol(symbol: string): void {
    if (this.#takeSymbol(symbol) === null) throw this.#unexpected();
  }

  #unexpected(token: Token = this.#peek()): Untranslatable {
    return new Untranslatable(
      token.kind === 'end' ? 'it ends too early' : `${token.text} is not understood here`,
    );
  }
}
