/**
 * Parses what CREATE makes beside tables: views, procedures, functions, triggers, synonyms, sequences.
 *
 * Runs in the process of the stand-in SQL Server. Bodies other than a view's query are kept as text and not read.
 */
import { SqlError } from '../../contract.js';
import type { CreateModule, CreateSequence, Statement } from '../ast.js';
import { QueryParser } from './queries.js';

export abstract class ObjectParser extends QueryParser {
  /** What follows CREATE, or null where it is something else. */
  protected createObject(): Statement | null {
    if (this.acceptWord('SYNONYM')) {
      const path = this.path();
      this.expectWord('FOR');
      const { start } = this.token;
      this.path();
      return { k: 'createSynonym', path, base: this.textSince(start) };
    }
    if (this.acceptWord('SEQUENCE')) return this.createSequence();
    const first = this.mark() === 1;
    const replace = this.acceptWords('OR', 'ALTER');
    if (!this.isWord('VIEW', 'PROC', 'PROCEDURE', 'FUNCTION', 'TRIGGER')) return replace ? this.fail() : null;
    const what = this.advance().text;
    if (replace) throw new SqlError(102, 'The stand-in has no CREATE OR ALTER.', { class: 15 });
    if (!first) {
      throw new SqlError(111, `'CREATE ${what}' must be the first statement in a query batch.`, {
        class: 15,
      });
    }
    const path = this.path();
    const common = { k: 'createModule' as const, path, on: null, columns: null, query: null };
    switch (what) {
      case 'VIEW':
        return this.createView(path);
      case 'FUNCTION':
        return { ...common, type: this.functionType(), text: this.wholeBatch() };
      case 'TRIGGER': {
        this.expectWord('ON');
        const on = this.path();
        return { ...common, type: 'TR', on, text: this.wholeBatch() };
      }
      default:
        return { ...common, type: 'P', text: this.wholeBatch() };
    }
  }

  private createView(path: string[]): CreateModule {
    const columns = this.isOp('(') ? this.names() : null;
    if (this.acceptWord('WITH')) this.list(() => this.name());
    this.expectWord('AS');
    const query = this.query();
    if (this.acceptWords('WITH', 'CHECK')) this.expectWord('OPTION');
    this.acceptOp(';');
    if (this.token.kind !== 'end') this.fail();
    return { k: 'createModule', type: 'V', path, on: null, columns, query, text: this.sql };
  }

  /** Scalar, inline table-valued, or filling a table variable: by what RETURNS says. */
  private functionType(): 'FN' | 'IF' | 'TF' {
    while (!this.acceptWord('RETURNS')) {
      if (this.token.kind === 'end') this.fail();
      this.advance();
    }
    if (this.token.kind === 'variable') return 'TF';
    return this.isWord('TABLE') ? 'IF' : 'FN';
  }

  private wholeBatch(): string {
    while (this.token.kind !== 'end') this.advance();
    return this.sql;
  }

  private createSequence(): CreateSequence {
    const sequence: CreateSequence = {
      ...{ k: 'createSequence', path: this.path(), type: null, start: null, increment: null },
      ...{ minimum: null, maximum: null, cycles: false, cached: true, cacheSize: null },
    };
    if (this.acceptWord('AS')) sequence.type = this.typeRef();
    for (;;) {
      if (this.acceptWords('START', 'WITH')) sequence.start = this.signedInteger();
      else if (this.acceptWords('INCREMENT', 'BY')) sequence.increment = this.signedInteger();
      else if (this.acceptWord('MINVALUE')) sequence.minimum = this.signedInteger();
      else if (this.acceptWord('MAXVALUE')) sequence.maximum = this.signedInteger();
      else if (this.acceptWord('CYCLE')) sequence.cycles = true;
      else if (this.acceptWord('CACHE')) {
        if (this.token.kind === 'integer') sequence.cacheSize = this.integer();
      } else if (this.acceptWord('NO')) {
        if (this.expectWord('MINVALUE', 'MAXVALUE', 'CYCLE', 'CACHE') === 'CACHE') sequence.cached = false;
      } else return sequence;
    }
  }

  protected signedInteger(): string {
    const sign = this.acceptOp('-') ? '-' : '';
    this.acceptOp('+');
    if (this.token.kind !== 'integer') this.fail();
    return sign + this.advance().text;
  }
}
