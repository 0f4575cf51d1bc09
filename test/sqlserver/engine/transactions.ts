/**
 * BEGIN, COMMIT, ROLLBACK, savepoints and isolation levels of one session.
 *
 * Runs in the process of the stand-in SQL Server. SNAPSHOT and REPEATABLE READ are PostgreSQL's REPEATABLE READ,
 * SERIALIZABLE its SERIALIZABLE; READ UNCOMMITTED reads committed rows only.
 */
import { type EngineEvent, SqlError } from '../contract.js';
import type { Statement } from './ast.js';
import { quote } from './schema.js';
import type { Session } from './session.js';

const ISOLATION: Record<string, string> = {
  'READ UNCOMMITTED': '',
  'READ COMMITTED': '',
  'REPEATABLE READ': ' ISOLATION LEVEL REPEATABLE READ',
  SERIALIZABLE: ' ISOLATION LEVEL SERIALIZABLE',
  SNAPSHOT: ' ISOLATION LEVEL REPEATABLE READ',
};

export class Transactions {
  depth = 0;
  abortOnError = false;
  level = 'READ COMMITTED';
  private readonly session: Session;
  private serial = 0;

  constructor(session: Session) {
    this.session = session;
  }

  /** Runs a statement so that it happens wholly or not at all. */
  async statement<T>(work: () => Promise<T>): Promise<T> {
    return this.session.link.atomically(work, ISOLATION[this.level]);
  }

  /** Streams a query's rows, with the same promise. */
  async *stream(sql: string): AsyncGenerator<EngineEvent, number> {
    const { link } = this.session;
    if (link.inTransaction) await link.query('SAVEPOINT tsql_statement');
    let complete = false;
    try {
      const rows = link.copy(sql);
      let next = await rows.next();
      try {
        for (; !next.done; next = await rows.next()) yield { kind: 'copy', bytes: next.value };
      } finally {
        if (!next.done) await rows.return(0);
      }
      complete = true;
      return next.value as number;
    } finally {
      if (link.inTransaction) {
        await link.query(`${complete ? 'RELEASE' : 'ROLLBACK TO'} tsql_statement`).catch(() => {});
      }
    }
  }

  checkSnapshot(readsTables: boolean): void {
    if (this.level !== 'SNAPSHOT' || !readsTables || this.session.home.snapshot) return;
    throw new SqlError(
      3952,
      `Snapshot isolation transaction failed accessing database '${this.session.database}' because snapshot isolation is not allowed in this database. Use ALTER DATABASE to allow snapshot isolation.`,
    );
  }

  /** With XACT_ABORT an error takes the whole transaction with it. */
  async failed(): Promise<void> {
    if (!this.abortOnError || this.depth === 0) return;
    await this.end('ROLLBACK');
  }

  async *control(
    statement: Extract<Statement, { k: 'transaction' | 'isolation' }>,
  ): AsyncGenerator<EngineEvent> {
    const { link } = this.session;
    if (statement.k === 'isolation') {
      if (ISOLATION[statement.level] === undefined) {
        throw new SqlError(102, `Incorrect syntax near '${statement.level}'.`, { class: 15 });
      }
      if (link.inTransaction && statement.level === 'SNAPSHOT' && this.level !== 'SNAPSHOT') {
        throw new SqlError(
          3951,
          `Transaction failed in database '${this.session.database}' because the statement was run under snapshot isolation but the transaction did not start in snapshot isolation.`,
        );
      }
      this.level = statement.level;
      yield { kind: 'done' };
      return;
    }
    const { verb, name } = statement;
    if (verb === 'begin') {
      if (this.depth === 0) await link.query(`BEGIN${ISOLATION[this.level]}`);
      this.depth++;
      link.inTransaction = true;
      if (this.depth === 1) yield { kind: 'environment', change: 'begin', value: `${++this.serial}` };
    } else if (verb === 'save') {
      if (this.depth === 0)
        throw new SqlError(628, 'Cannot issue SAVE TRANSACTION when there is no active transaction.');
      await link.query(`SAVEPOINT ${quote(`s_${name ?? ''}`)}`);
    } else if (verb === 'commit') {
      if (this.depth === 0)
        throw new SqlError(3902, 'The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.');
      if (this.depth > 1) this.depth--;
      else {
        await this.end('COMMIT');
        yield { kind: 'environment', change: 'commit', value: `${this.serial}` };
      }
    } else {
      if (this.depth === 0)
        throw new SqlError(3903, 'The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.');
      const toSavepoint = name !== null && (await this.rollbackTo(name));
      if (!toSavepoint) {
        await this.end('ROLLBACK');
        yield { kind: 'environment', change: 'rollback', value: `${this.serial}` };
      }
    }
    yield { kind: 'done' };
  }

  /** Whether `name` was a savepoint; a transaction's own name rolls all of it back. */
  private async rollbackTo(name: string): Promise<boolean> {
    const { link } = this.session;
    await link.query('SAVEPOINT tsql_probe');
    try {
      await link.query(`ROLLBACK TO ${quote(`s_${name}`)}`);
      return true;
    } catch {
      await link.query('ROLLBACK TO tsql_probe');
      return false;
    }
  }

  private async end(how: 'COMMIT' | 'ROLLBACK'): Promise<void> {
    this.depth = 0;
    this.session.link.inTransaction = false;
    await this.session.link.query(how);
  }
}
