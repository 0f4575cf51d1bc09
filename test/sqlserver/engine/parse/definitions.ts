/**
 * Parses CREATE, ALTER and DROP, and the definitions of columns and constraints inside them.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import type { ColumnDefinition, Constraint, ForeignKey, IndexColumn, Statement } from '../ast.js';
import { ObjectParser } from './objects.js';

type TableParts = { columns: ColumnDefinition[]; constraints: Constraint[] };

export abstract class DefinitionParser extends ObjectParser {
  protected create(): Statement {
    if (this.acceptWord('TABLE')) {
      const table = this.path();
      const parts = this.parenthesized(() => this.tableParts());
      if (this.acceptWord('ON')) this.name();
      if (this.acceptWord('TEXTIMAGE_ON')) this.name();
      if (this.acceptWord('WITH')) this.skipParentheses();
      return { k: 'createTable', table, ...parts };
    }
    if (this.acceptWord('SCHEMA')) {
      const name = this.name();
      if (this.acceptWord('AUTHORIZATION')) this.name();
      return { k: 'createSchema', name };
    }
    if (this.acceptWord('TYPE')) return this.createType();
    if (this.acceptWord('DATABASE')) {
      const name = this.name();
      return { k: 'createDatabase', name, collation: this.acceptWord('COLLATE') ? this.name() : null };
    }
    if (this.acceptWord('LOGIN')) return this.createLogin();
    if (this.acceptWord('USER')) {
      const name = this.name();
      let login: string | null = name;
      if (this.acceptWords('WITHOUT', 'LOGIN')) login = null;
      else if (this.acceptWord('FOR', 'FROM')) {
        this.expectWord('LOGIN');
        login = this.name();
      }
      if (this.acceptWord('WITH')) {
        this.expectWord('DEFAULT_SCHEMA');
        this.expectOp('=');
        this.name();
      }
      return { k: 'createUser', name, login };
    }
    return this.createObject() ?? this.createIndex();
  }

  private createType(): Statement {
    const path = this.path();
    this.expectWord('FROM');
    const base = this.typeRef();
    const notNull = this.acceptWords('NOT', 'NULL');
    if (!notNull) this.acceptWord('NULL');
    return { k: 'createType', path, base, nullable: !notNull };
  }

  private createLogin(): Statement {
    const name = this.name();
    this.expectWord('WITH');
    this.expectWord('PASSWORD');
    this.expectOp('=');
    if (this.token.kind !== 'string' && this.token.kind !== 'nstring') this.fail();
    const password = this.advance().text;
    while (this.acceptOp(',')) {
      this.name();
      this.expectOp('=');
      this.advance();
    }
    return { k: 'createLogin', name, password };
  }

  private createIndex(): Statement {
    const unique = this.acceptWord('UNIQUE') !== null;
    const clustered = this.acceptWord('CLUSTERED', 'NONCLUSTERED') === 'CLUSTERED';
    this.expectWord('INDEX');
    const name = this.name();
    this.expectWord('ON');
    const table = this.path();
    const columns = this.indexColumns();
    const include = this.acceptWord('INCLUDE') ? this.names() : [];
    let where = null;
    let whereText = '';
    if (this.acceptWord('WHERE')) {
      const { start } = this.token;
      where = this.condition();
      whereText = this.textSince(start);
    }
    if (this.acceptWord('WITH')) this.skipParentheses();
    if (this.acceptWord('ON')) this.name();
    return { k: 'createIndex', name, unique, clustered, table, columns, include, where, whereText };
  }

  private indexColumns(): IndexColumn[] {
    return this.parenthesized(() =>
      this.list(() => {
        const name = this.name();
        return { name, desc: this.acceptWord('ASC', 'DESC') === 'DESC' };
      }),
    );
  }

  protected tableParts(): TableParts {
    const parts: TableParts = { columns: [], constraints: [] };
    do {
      if (this.isOp(')') && parts.columns.length > 0) break;
      if (this.isWord('CONSTRAINT', 'PRIMARY', 'UNIQUE', 'CHECK', 'FOREIGN', 'DEFAULT')) {
        parts.constraints.push(this.constraint(null));
      } else parts.columns.push(this.columnDefinition());
    } while (this.acceptOp(','));
    return parts;
  }

  private columnDefinition(): ColumnDefinition {
    const column: ColumnDefinition = {
      name: this.name(),
      type: null,
      computed: null,
      nullable: null,
      collation: null,
      identity: null,
      sparse: false,
      rowGuid: false,
      constraints: [],
    };
    if (this.acceptWord('AS')) {
      const { start } = this.token;
      const expr = this.expression();
      column.computed = {
        expr,
        text: this.textSince(start),
        persisted: this.acceptWord('PERSISTED') !== null,
      };
      if (column.computed.persisted && this.acceptWords('NOT', 'NULL')) column.nullable = false;
    } else if (
      this.isWord('TIMESTAMP', 'ROWVERSION') &&
      (this.peek().text === ',' || this.peek().text === ')')
    ) {
      column.type = this.typeRef();
    } else column.type = this.typeRef();
    while (this.columnOption(column)) {
      // one option after the other
    }
    return column;
  }

  private columnOption(column: ColumnDefinition): boolean {
    if (this.acceptWords('NOT', 'NULL')) column.nullable = false;
    else if (this.acceptWord('NULL')) column.nullable = true;
    else if (this.acceptWord('SPARSE')) column.sparse = true;
    else if (this.acceptWord('ROWGUIDCOL')) column.rowGuid = true;
    else if (this.acceptWord('COLLATE')) column.collation = this.name();
    else if (this.acceptWord('IDENTITY')) {
      column.identity = { seed: '1', increment: '1' };
      if (this.acceptOp('(')) {
        const seed = this.signedInteger();
        this.expectOp(',');
        column.identity = { seed, increment: this.signedInteger() };
        this.expectOp(')');
      }
    } else if (this.acceptWords('NOT', 'FOR', 'REPLICATION')) return true;
    else if (this.isWord('CONSTRAINT', 'PRIMARY', 'UNIQUE', 'CHECK', 'REFERENCES', 'FOREIGN', 'DEFAULT')) {
      column.constraints.push(this.constraint(column.name));
    } else return false;
    return true;
  }

  /** A constraint; `column` is the column it stands in, or null for one of the table. */
  protected constraint(column: string | null): Constraint {
    const name = this.acceptWord('CONSTRAINT') ? this.name() : null;
    if (this.isWord('PRIMARY', 'UNIQUE')) {
      const primary = this.advance().text === 'PRIMARY';
      if (primary) this.expectWord('KEY');
      const kind = this.acceptWord('CLUSTERED', 'NONCLUSTERED');
      const clustered = kind === null ? null : kind === 'CLUSTERED';
      const columns =
        this.isOp('(') || column === null ? this.indexColumns() : [{ name: column, desc: false }];
      if (this.acceptWord('WITH')) this.skipParentheses();
      if (this.acceptWord('ON')) this.name();
      return { name, k: 'key', primary, clustered, columns };
    }
    if (this.acceptWord('CHECK')) {
      this.acceptWords('NOT', 'FOR', 'REPLICATION');
      const { start } = this.token;
      const expr = this.parenthesized(() => this.condition());
      return { name, k: 'check', expr, text: this.textSince(start) };
    }
    if (this.acceptWord('DEFAULT')) {
      const { start } = this.token;
      const expr = this.expression();
      const text = this.textSince(start);
      const target = column ?? (this.expectWord('FOR') ? this.name() : '');
      if (column === null && this.acceptWords('WITH', 'VALUES'))
        return { name, k: 'default', column: target, expr, text };
      return { name, k: 'default', column: target, expr, text };
    }
    let columns = column === null ? [] : [column];
    if (this.acceptWord('FOREIGN')) {
      this.expectWord('KEY');
      if (this.isOp('(') || column === null) columns = this.names();
    }
    return { name, k: 'foreign', columns, references: this.references() };
  }

  private references(): ForeignKey {
    this.expectWord('REFERENCES');
    const reference: ForeignKey = {
      table: this.path(),
      columns: this.isOp('(') ? this.names() : [],
      onDelete: 'NO ACTION',
      onUpdate: 'NO ACTION',
    };
    while (this.acceptWord('ON')) {
      const side = this.expectWord('DELETE', 'UPDATE') === 'DELETE' ? 'onDelete' : 'onUpdate';
      if (this.acceptWord('CASCADE')) reference[side] = 'CASCADE';
      else if (this.acceptWords('NO', 'ACTION')) reference[side] = 'NO ACTION';
      else {
        this.expectWord('SET');
        reference[side] = `SET ${this.expectWord('NULL', 'DEFAULT')}`;
      }
    }
    this.acceptWords('NOT', 'FOR', 'REPLICATION');
    return reference;
  }

  protected alter(): Statement {
    if (this.acceptWord('DATABASE')) {
      const name = this.acceptWord('CURRENT') ? null : this.name();
      this.expectWord('SET');
      const option = this.name().toUpperCase();
      this.acceptOp('=');
      const value = this.advance().text.toUpperCase();
      if (this.acceptWord('WITH')) {
        this.name();
        if (this.acceptWord('IMMEDIATE')) return { k: 'alterDatabase', name, option, value };
      }
      return { k: 'alterDatabase', name, option, value };
    }
    if (this.acceptWord('ROLE')) {
      const role = this.name();
      this.expectWord('ADD');
      this.expectWord('MEMBER');
      return { k: 'addRoleMember', role, member: this.name() };
    }
    if (this.acceptWord('INDEX')) {
      const name = this.name();
      this.expectWord('ON');
      const table = this.path();
      this.expectWord('DISABLE');
      return { k: 'disableIndex', name, table };
    }
    this.expectWord('TABLE');
    const table = this.path();
    const validation = this.acceptWord('WITH') ? this.expectWord('CHECK', 'NOCHECK') : null;
    // What is added is checked unless told otherwise; what is turned on again is not.
    if (this.acceptWord('ADD')) {
      return { k: 'addToTable', table, ...this.tableParts(), validate: validation !== 'NOCHECK' };
    }
    const validate = validation === 'CHECK';
    if (this.acceptWord('DROP')) {
      this.expectWord('CONSTRAINT');
      return { k: 'dropConstraint', table, names: this.list(() => this.name()) };
    }
    const enable = this.expectWord('CHECK', 'NOCHECK') === 'CHECK';
    this.expectWord('CONSTRAINT');
    const names = this.acceptWord('ALL') ? null : this.list(() => this.name());
    return { k: 'checkConstraint', table, enable, validate, names };
  }

  protected drop(): Statement {
    if (this.acceptWord('INDEX')) {
      const ifExists = this.acceptWords('IF', 'EXISTS');
      const name = this.name();
      this.expectWord('ON');
      return { k: 'dropIndex', table: this.path(), name, ifExists };
    }
    const what = this.expectWord(
      ...['TABLE', 'SCHEMA', 'TYPE', 'DATABASE', 'LOGIN', 'USER'],
      ...['VIEW', 'PROCEDURE', 'FUNCTION', 'TRIGGER', 'SYNONYM', 'SEQUENCE'],
    ) as 'TABLE';
    const ifExists = this.acceptWords('IF', 'EXISTS');
    return { k: 'drop', what, paths: this.list(() => this.path()), ifExists };
  }
}
