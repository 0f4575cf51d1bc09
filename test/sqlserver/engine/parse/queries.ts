/**
 * Parses SELECT: common table expressions, set operations, joins, derived tables, hints.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import type { Body, Expr, Query, SelectItem, Source } from '../ast.js';
import { ExpressionParser } from './expressions.js';

export abstract class QueryParser extends ExpressionParser {
  protected override query(): Query {
    const ctes = this.commonTables();
    const query = this.queryBody();
    return { ...query, ctes };
  }

  protected commonTables(): Query['ctes'] {
    if (!this.acceptWord('WITH')) return [];
    return this.list(() => {
      const name = this.name();
      const columns = this.isOp('(') ? this.names() : null;
      this.expectWord('AS');
      return { name, columns, query: this.parenthesized(() => this.query()) };
    });
  }

  protected names(): string[] {
    return this.parenthesized(() => this.list(() => this.name()));
  }

  protected queryBody(): Query {
    const body = this.setOperation();
    const orderBy = this.acceptWords('ORDER', 'BY') ? this.list(() => this.orderItem()) : [];
    let offset: Expr | null = null;
    let fetch: Expr | null = null;
    if (orderBy.length > 0 && this.acceptWord('OFFSET')) {
      offset = this.expression();
      this.expectWord('ROWS', 'ROW');
      if (this.acceptWord('FETCH')) {
        this.expectWord('NEXT', 'FIRST');
        fetch = this.expression();
        this.expectWord('ROWS', 'ROW');
        this.expectWord('ONLY');
      }
    }
    this.options();
    return { ctes: [], body, orderBy, offset, fetch };
  }

  /** OPTION (...) changes plans, not results: read and dropped. */
  protected options(): void {
    if (!this.acceptWord('OPTION')) return;
    this.skipParentheses();
  }

  protected skipParentheses(): void {
    this.expectOp('(');
    for (let depth = 1; depth > 0; ) {
      if (this.token.kind === 'end') this.fail();
      const { kind, text } = this.advance();
      if (kind === 'op' && text === '(') depth++;
      if (kind === 'op' && text === ')') depth--;
    }
  }

  private setOperation(): Body {
    let left = this.intersection();
    for (;;) {
      if (this.acceptWords('UNION', 'ALL'))
        left = { k: 'set', op: 'UNION ALL', left, right: this.intersection() };
      else if (this.acceptWord('UNION')) left = { k: 'set', op: 'UNION', left, right: this.intersection() };
      else if (this.acceptWord('EXCEPT')) left = { k: 'set', op: 'EXCEPT', left, right: this.intersection() };
      else return left;
    }
  }

  private intersection(): Body {
    let left = this.queryTerm();
    while (this.acceptWord('INTERSECT')) left = { k: 'set', op: 'INTERSECT', left, right: this.queryTerm() };
    return left;
  }

  private queryTerm(): Body {
    if (this.isOp('(')) return { k: 'nested', query: this.parenthesized(() => this.query()) };
    return this.select();
  }

  private select(): Body {
    this.expectWord('SELECT');
    const distinct = this.acceptWord('DISTINCT', 'ALL') === 'DISTINCT';
    const top = this.top();
    const items = this.list(() => this.selectItem());
    const from = this.acceptWord('FROM') ? this.list(() => this.joined()) : [];
    const where = this.acceptWord('WHERE') ? this.condition() : null;
    const groupBy = this.acceptWords('GROUP', 'BY') ? this.list(() => this.expression()) : [];
    const having = this.acceptWord('HAVING') ? this.condition() : null;
    return { k: 'select', top, distinct, items, from, where, groupBy, having };
  }

  protected top(): Expr | null {
    if (!this.acceptWord('TOP')) return null;
    if (this.isOp('(')) return this.parenthesized(() => this.expression());
    if (this.token.kind !== 'integer') this.fail();
    return { k: 'literal', literal: 'integer', text: this.advance().text };
  }

  private selectItem(): SelectItem {
    if (this.acceptOp('*')) return { k: 'star', path: [] };
    const mark = this.mark();
    if (this.isName()) {
      const path = [this.name()];
      if (path.length === 1 && this.acceptOp('='))
        return { k: 'expr', expr: this.expression(), alias: path[0]! };
      while (this.acceptOp('.')) {
        if (this.acceptOp('*')) return { k: 'star', path };
        if (!this.isName()) break;
        path.push(this.name());
      }
      this.reset(mark);
    }
    if (this.token.kind === 'variable' && this.peek().text === '=') {
      const variable = this.advance().text;
      this.advance();
      return { k: 'assign', variable, expr: this.expression() };
    }
    const expr = this.expression();
    return { k: 'expr', expr, alias: this.columnAlias() };
  }

  private columnAlias(): string | null {
    const explicit = this.acceptWord('AS') !== null;
    if (this.token.kind === 'string' || this.token.kind === 'nstring') return this.advance().text;
    if (this.isName()) return this.name();
    return explicit ? this.fail() : null;
  }

  protected tableAlias(): string | null {
    const explicit = this.acceptWord('AS') !== null;
    if (this.isName()) return this.name();
    return explicit ? this.fail() : null;
  }

  /** A FROM item with the joins that follow it. */
  protected joined(): Source {
    let left = this.source();
    for (;;) {
      if (this.acceptWords('CROSS', 'APPLY')) left = { k: 'apply', outer: false, left, right: this.source() };
      else if (this.acceptWords('OUTER', 'APPLY'))
        left = { k: 'apply', outer: true, left, right: this.source() };
      else if (this.acceptWords('CROSS', 'JOIN')) {
        left = { k: 'join', kind: 'CROSS', left, right: this.source(), on: null };
      } else {
        const kind = this.joinKind();
        if (!kind) return left;
        // `a JOIN b JOIN c ON .. ON ..` nests: the right side takes its own joins until its ON.
        let right = this.source();
        while (!this.isWord('ON')) {
          const inner = this.joinKind() ?? this.fail();
          const other = this.source();
          this.expectWord('ON');
          right = { k: 'join', kind: inner, left: right, right: other, on: this.condition() };
        }
        this.expectWord('ON');
        left = { k: 'join', kind, left, right, on: this.condition() };
      }
    }
  }

  private joinKind(): 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | null {
    const kind = this.acceptWord('INNER', 'LEFT', 'RIGHT', 'FULL') as
      | 'INNER'
      | 'LEFT'
      | 'RIGHT'
      | 'FULL'
      | null;
    if (kind && kind !== 'INNER') this.acceptWord('OUTER');
    if (kind) this.acceptWord('LOOP', 'HASH', 'MERGE');
    if (!kind && !this.isWord('JOIN')) return null;
    this.expectWord('JOIN');
    return kind ?? 'INNER';
  }

  private source(): Source {
    if (this.isOp('(')) {
      if (this.peek().text === 'VALUES') {
        this.advance();
        this.advance();
        const rows = this.list(() => this.parenthesized(() => this.list(() => this.expression())));
        this.expectOp(')');
        const alias = this.tableAlias() ?? this.fail();
        return { k: 'values', rows, alias, columns: this.names() };
      }
      if (this.peek().text === 'SELECT' || this.peek().text === 'WITH' || this.peek().text === '(') {
        const mark = this.mark();
        try {
          const query = this.parenthesized(() => this.query());
          const alias = this.tableAlias() ?? this.fail();
          return { k: 'derived', query, alias, columns: this.isOp('(') ? this.names() : null };
        } catch (error) {
          if (this.sql.charAt(this.token.start) !== '(') throw error;
          this.reset(mark);
        }
      }
      return this.parenthesized(() => this.joined());
    }
    if (this.isWord('GENERATE_SERIES') && this.peek().text === '(') {
      this.advance();
      const args = this.parenthesized(() => this.list(() => this.expression()));
      return { k: 'series', args, alias: this.tableAlias() };
    }
    const path = this.path();
    if (this.isOp('(') && path.length > 1) this.fail();
    const alias = this.tableAlias();
    this.hints();
    return { k: 'table', path, alias };
  }

  /** WITH (NOLOCK, ...): locking hints change no result here; read and dropped. */
  protected hints(): void {
    if (this.isWord('WITH') && this.peek().text === '(') {
      this.advance();
      this.skipParentheses();
    }
  }
}
