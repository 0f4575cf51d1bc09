/**
 * Parses T-SQL expressions and predicates, by SQL Server's operator precedence.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import type { Expr, OrderItem, Over, Query, TypeRef } from '../ast.js';
import { Cursor } from './cursor.js';

const COMPARISONS: Record<string, string> = { '!<': '>=', '!>': '<=' };
/** Functions SQL Server calls without parentheses. */
const NILADIC = new Set([
  'CURRENT_TIMESTAMP',
  'CURRENT_USER',
  'SESSION_USER',
  'SYSTEM_USER',
  'USER',
  'CURRENT_DATE',
]);
/** Reserved words that are also function names. */
const CALLABLE = new Set(['LEFT', 'RIGHT', 'COALESCE', 'NULLIF']);

export abstract class ExpressionParser extends Cursor {
  protected abstract query(): Query;

  /** A condition: OR, AND, NOT and comparisons. */
  protected condition(): Expr {
    let left = this.conjunction();
    while (this.acceptWord('OR')) left = { k: 'or', left, right: this.conjunction() };
    return left;
  }

  private conjunction(): Expr {
    let left = this.negation();
    while (this.acceptWord('AND')) left = { k: 'and', left, right: this.negation() };
    return left;
  }

  private negation(): Expr {
    if (this.acceptWord('NOT')) return { k: 'not', operand: this.negation() };
    return this.predicate();
  }

  private predicate(): Expr {
    if (this.acceptWord('EXISTS')) return { k: 'exists', query: this.parenthesized(() => this.query()) };
    if (this.isOp('(')) {
      // A parenthesis opens a condition or a value: try the value, and fall back where no comparison follows.
      const mark = this.mark();
      try {
        return this.comparison(this.expression());
      } catch (error) {
        this.reset(mark);
        try {
          return this.parenthesized(() => this.condition());
        } catch {
          throw error;
        }
      }
    }
    return this.comparison(this.expression());
  }

  private comparison(left: Expr): Expr {
    const op = this.acceptOp('=', '<>', '<', '>', '<=', '>=', '!<', '!>');
    if (op) return { k: 'compare', op: COMPARISONS[op] ?? op, left, right: this.expression() };
    if (this.acceptWord('IS')) {
      const not = this.acceptWord('NOT') !== null;
      this.expectWord('NULL');
      return { k: 'isNull', operand: left, not };
    }
    const not = this.acceptWord('NOT') !== null;
    if (this.acceptWord('BETWEEN')) {
      const low = this.expression();
      this.expectWord('AND');
      return { k: 'between', operand: left, low, high: this.expression(), not };
    }
    if (this.acceptWord('IN')) {
      return this.parenthesized((): Expr => {
        if (this.isWord('SELECT', 'WITH'))
          return { k: 'in', operand: left, list: null, query: this.query(), not };
        return { k: 'in', operand: left, list: this.list(() => this.expression()), query: null, not };
      });
    }
    if (this.acceptWord('LIKE')) {
      const pattern = this.expression();
      const escapeBy = this.acceptWord('ESCAPE') ? this.expression() : null;
      return { k: 'like', operand: left, pattern, escape: escapeBy, not };
    }
    return this.fail();
  }

  /** A value. */
  protected expression(): Expr {
    let left = this.product();
    for (let op = this.additive(); op; op = this.additive())
      left = { k: 'binary', op, left, right: this.product() };
    return left;
  }

  private additive(): string | null {
    return this.acceptOp('+', '-', '&', '|', '^');
  }

  private product(): Expr {
    let left = this.unary();
    for (let op = this.acceptOp('*', '/', '%'); op; op = this.acceptOp('*', '/', '%')) {
      left = { k: 'binary', op, left, right: this.unary() };
    }
    return left;
  }

  private unary(): Expr {
    const op = this.acceptOp('-', '+', '~');
    if (op) return { k: 'unary', op: op as '-' | '+' | '~', operand: this.unary() };
    return this.postfix(this.primary());
  }

  private postfix(start: Expr): Expr {
    let expr = start;
    for (;;) {
      if (this.acceptWord('COLLATE')) expr = { k: 'collate', operand: expr, collation: this.name() };
      else if (this.isOp('.') && this.peek(2).text === '(') {
        this.advance();
        const name = this.name();
        expr = { k: 'method', operand: expr, name, args: this.arguments() };
      } else return expr;
    }
  }

  private arguments(): Expr[] {
    this.expectOp('(');
    if (this.acceptOp(')')) return [];
    const args = this.list(() => this.expression());
    this.expectOp(')');
    return args;
  }

  private primary(): Expr {
    const token = this.token;
    switch (token.kind) {
      case 'integer':
      case 'decimal':
      case 'float':
      case 'money':
      case 'binary':
      case 'string':
      case 'nstring':
        this.advance();
        return { k: 'literal', literal: token.kind, text: token.text };
      case 'variable':
        this.advance();
        return { k: 'variable', name: token.text };
      case 'op':
        if (token.text !== '(') this.fail();
        this.advance();
        if (this.isWord('SELECT', 'WITH')) {
          const query = this.query();
          this.expectOp(')');
          return { k: 'subquery', query };
        }
        return this.closing(this.expression());
      case 'word':
        return this.word();
      case 'quoted':
        return this.reference();
      default:
        return this.fail();
    }
  }

  private closing(expr: Expr): Expr {
    this.expectOp(')');
    return expr;
  }

  private word(): Expr {
    const { text } = this.token;
    if (this.acceptWord('NULL')) return { k: 'literal', literal: 'null', text: '' };
    if (this.acceptWord('CASE')) return this.caseExpression();
    if (this.acceptWords('NEXT', 'VALUE', 'FOR')) return { k: 'nextValue', path: this.path() };
    if (NILADIC.has(text) && this.peek().text !== '(') {
      this.advance();
      return { k: 'call', name: text, args: [], star: false, distinct: false, over: null };
    }
    if (this.peek().kind === 'op' && this.peek().text === '(') {
      if (text === 'CAST' || text === 'TRY_CAST') return this.cast(text === 'TRY_CAST');
      if (text === 'CONVERT' || text === 'TRY_CONVERT') return this.convert(text === 'TRY_CONVERT');
      if (text === 'IIF') return this.iif();
      if (CALLABLE.has(text)) {
        this.advance();
        return this.call(text);
      }
    }
    return this.reference();
  }

  private reference(): Expr {
    const path = [this.name()];
    if (this.acceptOp('::')) {
      const name = this.name();
      return { k: 'staticMethod', type: path[0]!, name, args: this.arguments() };
    }
    if (this.isOp('(')) return this.call(path[0]!.toUpperCase());
    while (this.isOp('.')) {
      // `column.Method(` is a method; `schema.column` is a path.
      if (path.length > 0 && this.peek(2).kind === 'op' && this.peek(2).text === '(') break;
      this.advance();
      path.push(this.isOp('.') ? '' : this.name());
    }
    return { k: 'column', path };
  }

  private call(name: string): Expr {
    this.expectOp('(');
    if (this.acceptOp('*')) {
      this.expectOp(')');
      return { k: 'call', name, args: [], star: true, distinct: false, over: this.over() };
    }
    if (this.acceptOp(')'))
      return { k: 'call', name, args: [], star: false, distinct: false, over: this.over() };
    const distinct = this.acceptWord('DISTINCT') !== null;
    this.acceptWord('ALL');
    // TRIM(characters FROM string)
    let args = this.list(() => this.expression());
    if (name === 'TRIM' && this.acceptWord('FROM')) args = [this.expression(), ...args];
    this.expectOp(')');
    return { k: 'call', name, args, star: false, distinct, over: this.over() };
  }

  private over(): Over | null {
    if (!this.acceptWord('OVER')) return null;
    return this.parenthesized(() => {
      const partitionBy = this.acceptWords('PARTITION', 'BY') ? this.list(() => this.expression()) : [];
      const orderBy = this.acceptWords('ORDER', 'BY') ? this.list(() => this.orderItem()) : [];
      return { partitionBy, orderBy };
    });
  }

  protected orderItem(): OrderItem {
    const expr = this.expression();
    const desc = this.acceptWord('ASC', 'DESC') === 'DESC';
    return { expr, desc };
  }

  private caseExpression(): Expr {
    const operand = this.isWord('WHEN') ? null : this.expression();
    const whens: { when: Expr; result: Expr }[] = [];
    while (this.acceptWord('WHEN')) {
      const when = operand ? this.expression() : this.condition();
      this.expectWord('THEN');
      whens.push({ when, result: this.expression() });
    }
    if (whens.length === 0) this.fail();
    const otherwise = this.acceptWord('ELSE') ? this.expression() : null;
    this.expectWord('END');
    return { k: 'case', operand, whens, otherwise };
  }

  private iif(): Expr {
    this.advance();
    return this.parenthesized((): Expr => {
      const when = this.condition();
      this.expectOp(',');
      const result = this.expression();
      this.expectOp(',');
      return { k: 'case', operand: null, whens: [{ when, result }], otherwise: this.expression() };
    });
  }

  private cast(attempt: boolean): Expr {
    this.advance();
    return this.parenthesized((): Expr => {
      const operand = this.expression();
      this.expectWord('AS');
      return { k: 'cast', operand, type: this.typeRef(), style: null, attempt };
    });
  }

  private convert(attempt: boolean): Expr {
    this.advance();
    return this.parenthesized((): Expr => {
      const type = this.typeRef();
      this.expectOp(',');
      const operand = this.expression();
      const style = this.acceptOp(',') ? this.expression() : null;
      return { k: 'cast', operand, type, style, attempt };
    });
  }

  /** A type's name and arguments; the multi-word ISO spellings become their T-SQL names. */
  protected typeRef(): TypeRef {
    if (this.acceptWord('NATIONAL')) {
      this.acceptWord('CHARACTER', 'CHAR', 'TEXT');
      return { name: this.acceptWord('VARYING') ? 'nvarchar' : 'nchar', args: this.typeArguments() };
    }
    if (this.acceptWords('DOUBLE', 'PRECISION')) return { name: 'float', args: [] };
    let name = this.name();
    let schema: string | undefined;
    if (this.acceptOp('.')) {
      schema = name;
      name = this.name();
    }
    if (schema?.toLowerCase() === 'sys') schema = undefined;
    if (!schema && this.acceptWord('VARYING'))
      name = name.toLowerCase() === 'binary' ? 'varbinary' : 'varchar';
    const args = this.typeArguments();
    return schema === undefined ? { name, args } : { schema, name, args };
  }

  private typeArguments(): (number | 'max')[] {
    if (!this.acceptOp('(')) return [];
    const args = this.list((): number | 'max' => (this.acceptWord('MAX') ? 'max' : this.integer()));
    this.expectOp(')');
    return args;
  }
}
