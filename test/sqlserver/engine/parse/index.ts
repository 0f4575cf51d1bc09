/**
 * The T-SQL parser: a batch of text to a list of statements, or SQL Server's syntax errors.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError } from '../../contract.js';
import type { Expr, Source, Statement } from '../ast.js';
import { DefinitionParser } from './definitions.js';

/** Parses a whole batch before any of it runs, as SQL Server does. */
export function parseBatch(sql: string): Statement[] {
  return new StatementParser(sql).batch();
}

/** Parses a value or a condition on its own: stored defaults, computed columns and checks. */
export function parseExpression(sql: string, kind: 'value' | 'condition'): Expr {
  return new StatementParser(sql).alone(kind);
}

class StatementParser extends DefinitionParser {
  batch(): Statement[] {
    const statements: Statement[] = [];
    for (;;) {
      while (this.acceptOp(';')) {
        // empty statements
      }
      if (this.token.kind === 'end') return statements;
      statements.push(this.statement());
    }
  }

  alone(kind: 'value' | 'condition'): Expr {
    const expr = kind === 'value' ? this.expression() : this.condition();
    if (this.token.kind !== 'end') this.fail();
    return expr;
  }

  private statement(): Statement {
    const { line } = this.token;
    if (this.isWord('WITH', 'SELECT') || this.isOp('(')) return this.withTables(line);
    if (this.token.kind !== 'word') this.fail();
    switch (this.token.text) {
      case 'INSERT':
      case 'UPDATE':
      case 'DELETE':
        return this.modification();
      case 'CREATE':
        this.advance();
        return this.create();
      case 'ALTER':
        this.advance();
        return this.alter();
      case 'DROP':
        this.advance();
        return this.drop();
      case 'TRUNCATE':
        this.advance();
        this.expectWord('TABLE');
        return { k: 'truncate', table: this.path() };
      case 'USE':
        this.advance();
        return { k: 'use', database: this.name() };
      case 'DECLARE':
        return this.declare();
      case 'SET':
        return this.set();
      case 'BEGIN':
      case 'COMMIT':
      case 'ROLLBACK':
      case 'SAVE':
        return this.transaction();
      case 'GRANT':
      case 'DENY':
      case 'REVOKE':
        return this.permission();
      case 'IF':
        return this.ifStatement();
      case 'PRINT':
        this.advance();
        return { k: 'print', value: this.expression() };
      case 'THROW':
      case 'RAISERROR':
        return this.raise();
      case 'WAITFOR': {
        this.advance();
        this.expectWord('DELAY');
        const delay = this.advance();
        if (delay.kind !== 'string') this.fail(delay);
        return { k: 'waitFor', delay: delay.text };
      }
      default:
        if (this.acceptWord('EXEC', 'EXECUTE')) return this.execute();
        return this.fail();
    }
  }

  private execute(): Statement {
    const path = this.path();
    const procedure = path.at(-1)!.toLowerCase();
    if (procedure !== 'sp_addextendedproperty') {
      throw new SqlError(2812, `Could not find stored procedure '${path.join('.')}'.`, { state: 62 });
    }
    const args = this.list(() => {
      const named = this.token.kind === 'variable' && this.peek().text === '=';
      const name = named ? this.advance().text.toLowerCase() : null;
      if (named) this.expectOp('=');
      return { name, value: this.expression() };
    });
    return { k: 'execute', procedure, args };
  }

  private withTables(line: number): Statement {
    const ctes = this.commonTables();
    if (ctes.length > 0 && this.isWord('INSERT')) {
      const statement = this.modification();
      if (statement.k !== 'insert' || !statement.query) return this.fail();
      return { ...statement, query: { ...statement.query, ctes } };
    }
    return { k: 'query', query: { ...this.queryBody(), ctes }, line };
  }

  private modification(): Statement {
    switch (this.advance().text) {
      case 'INSERT':
        return this.insert();
      case 'UPDATE':
        return this.update();
      default:
        return this.delete();
    }
  }

  private insert(): Statement {
    this.acceptWord('INTO');
    const table = this.path();
    this.hints();
    const columns = this.isOp('(') ? this.names() : null;
    if (this.acceptWords('DEFAULT', 'VALUES'))
      return { k: 'insert', table, columns: [], rows: [[]], query: null };
    if (this.acceptWord('VALUES')) {
      const rows = this.list(() =>
        this.parenthesized(() => this.list(() => (this.acceptWord('DEFAULT') ? null : this.expression()))),
      );
      this.options();
      return { k: 'insert', table, columns, rows, query: null };
    }
    return { k: 'insert', table, columns, rows: null, query: this.query() };
  }

  private update(): Statement {
    const table = this.path();
    this.hints();
    this.expectWord('SET');
    const sets = this.list(() => {
      const path = this.path();
      this.expectOp('=');
      return { column: path[path.length - 1]!, expr: this.acceptWord('DEFAULT') ? null : this.expression() };
    });
    const { from, where } = this.fromWhere();
    return { k: 'update', table, sets, from, where };
  }

  private delete(): Statement {
    const top = this.top();
    this.acceptWord('FROM');
    const table = this.path();
    this.hints();
    return { k: 'delete', table, top, ...this.fromWhere() };
  }

  private fromWhere(): { from: Source[]; where: Expr | null } {
    const from = this.acceptWord('FROM') ? this.list(() => this.joined()) : [];
    const where = this.acceptWord('WHERE') ? this.condition() : null;
    this.options();
    return { from, where };
  }

  private declare(): Statement {
    this.advance();
    const variables = this.list(() => {
      if (this.token.kind !== 'variable') this.fail();
      const name = this.advance().text;
      this.acceptWord('AS');
      const type = this.typeRef();
      return { name, type, value: this.acceptOp('=') ? this.expression() : null };
    });
    return { k: 'declare', variables };
  }

  private set(): Statement {
    this.advance();
    if (this.token.kind === 'variable') {
      const name = this.advance().text;
      this.expectOp('=');
      return { k: 'setVariable', name, value: this.expression() };
    }
    if (this.acceptWord('IDENTITY_INSERT')) {
      const table = this.path();
      return { k: 'identityInsert', table, on: this.expectWord('ON', 'OFF') === 'ON' };
    }
    if (this.acceptWords('TRANSACTION', 'ISOLATION', 'LEVEL')) {
      let level = this.advance().text;
      if (level === 'READ' || level === 'REPEATABLE') level += ` ${this.advance().text}`;
      return { k: 'isolation', level };
    }
    const options = this.list(() => this.advance().text.toLowerCase());
    let value = '';
    if (this.acceptOp('-')) value = '-';
    value += this.advance().text;
    return { k: 'set', option: options.join(','), value };
  }

  private transaction(): Statement {
    const verb = this.advance().text.toLowerCase() as 'begin' | 'commit' | 'rollback' | 'save';
    if (verb === 'begin' && !this.isWord('TRAN', 'TRANSACTION')) return this.block();
    const marked = this.acceptWord('TRAN', 'TRANSACTION', 'WORK');
    let name: string | null = null;
    if (marked && this.token.kind === 'variable') name = this.advance().text;
    else if (marked && this.isName()) name = this.name();
    return { k: 'transaction', verb, name };
  }

  private block(): Statement {
    const statements: Statement[] = [];
    while (!this.acceptWord('END')) {
      if (this.acceptOp(';')) continue;
      if (this.token.kind === 'end') this.fail();
      statements.push(this.statement());
    }
    return { k: 'block', statements };
  }

  private ifStatement(): Statement {
    this.advance();
    const condition = this.condition();
    const yes = this.statement();
    this.acceptOp(';');
    const otherwise = this.acceptWord('ELSE') ? this.statement() : null;
    return { k: 'if', condition, yes, otherwise };
  }

  private permission(): Statement {
    const verb = this.advance().text as 'GRANT' | 'DENY' | 'REVOKE';
    const permissions = this.list(() => {
      let text = this.advance().text;
      while (!this.isOp(',') && !this.isWord('ON', 'TO', 'FROM')) text += ` ${this.advance().text}`;
      return text;
    });
    let on: string[] | null = null;
    let schemaWide = false;
    if (this.acceptWord('ON')) {
      schemaWide = this.isWord('SCHEMA') && this.peek().text === '::';
      if (schemaWide || (this.isWord('OBJECT') && this.peek().text === '::')) {
        this.advance();
        this.advance();
      }
      on = this.path();
    }
    this.expectWord('TO', 'FROM');
    return { k: 'permission', verb, permissions, on, schemaWide, to: this.list(() => this.name()) };
  }

  private raise(): Statement {
    if (this.advance().text === 'THROW') {
      const number = this.integer();
      this.expectOp(',');
      const message = this.expression();
      this.expectOp(',');
      this.integer();
      return { k: 'raise', number, message, severity: 16 };
    }
    return this.parenthesized((): Statement => {
      const message = this.expression();
      this.expectOp(',');
      const severity = this.integer();
      this.expectOp(',');
      this.integer();
      return { k: 'raise', number: 50000, message, severity };
    });
  }
}
