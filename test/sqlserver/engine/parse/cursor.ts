/**
 * The parser's place in the token list, and the small readers everything else is made of.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { SqlError } from '../../contract.js';
import { type Token, tokenize } from '../tokenizer.js';

/** T-SQL's reserved words: none of them is a name or an alias without brackets. */
const RESERVED = new Set(
  `ADD ALL ALTER AND ANY AS ASC AUTHORIZATION BACKUP BEGIN BETWEEN BREAK BROWSE BULK BY CASCADE CASE CHECK CHECKPOINT
  CLOSE CLUSTERED COALESCE COLLATE COLUMN COMMIT COMPUTE CONSTRAINT CONTAINS CONTAINSTABLE CONTINUE CONVERT CREATE CROSS
  CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURSOR DATABASE DBCC DEALLOCATE DECLARE DEFAULT DELETE
  DENY DESC DISK DISTINCT DISTRIBUTED DOUBLE DROP DUMP ELSE END ERRLVL ESCAPE EXCEPT EXEC EXECUTE EXISTS EXIT EXTERNAL
  FETCH FILE FILLFACTOR FOR FOREIGN FREETEXT FREETEXTTABLE FROM FULL FUNCTION GOTO GRANT GROUP HAVING HOLDLOCK IDENTITY
  IDENTITY_INSERT IDENTITYCOL IF IN INDEX INNER INSERT INTERSECT INTO IS JOIN KEY KILL LEFT LIKE LINENO LOAD MERGE
  NATIONAL NOCHECK NONCLUSTERED NOT NULL NULLIF OF OFF OFFSETS ON OPEN OPENDATASOURCE OPENQUERY OPENROWSET OPENXML OPTION
  OR ORDER OUTER OVER PERCENT PIVOT PLAN PRIMARY PRINT PROC PROCEDURE RAISERROR READ READTEXT
  RECONFIGURE REFERENCES REPLICATION RESTORE RESTRICT RETURN REVERT REVOKE RIGHT ROLLBACK ROWCOUNT ROWGUIDCOL RULE SAVE
  SCHEMA SECURITYAUDIT SELECT SESSION_USER SET SETUSER SHUTDOWN SOME STATISTICS SYSTEM_USER TABLE TABLESAMPLE TEXTSIZE
  THEN TO TOP TRAN TRANSACTION TRIGGER TRUNCATE TRY_CONVERT TSEQUAL UNION UNIQUE UNPIVOT UPDATE UPDATETEXT USE USER
  VALUES VARYING VIEW WAITFOR WHEN WHERE WHILE WITH WITHIN WRITETEXT`.split(/\s+/),
);

export class Cursor {
  protected readonly sql: string;
  private readonly tokens: Token[];
  private position = 0;

  constructor(sql: string) {
    this.sql = sql;
    this.tokens = tokenize(sql);
  }

  protected get token(): Token {
    return this.tokens[this.position]!;
  }

  protected peek(ahead = 1): Token {
    return this.tokens[Math.min(this.position + ahead, this.tokens.length - 1)]!;
  }

  protected advance(): Token {
    const token = this.token;
    if (token.kind !== 'end') this.position++;
    return token;
  }

  protected mark(): number {
    return this.position;
  }

  protected reset(mark: number): void {
    this.position = mark;
  }

  protected fail(token: Token = this.token): never {
    if (token.kind === 'end') {
      const last = this.tokens[this.position - 1]?.raw ?? '';
      throw new SqlError(102, `Incorrect syntax near '${last}'.`, { class: 15 });
    }
    if (token.kind === 'word' && RESERVED.has(token.text)) {
      throw new SqlError(156, `Incorrect syntax near the keyword '${token.raw}'.`, { class: 15 });
    }
    throw new SqlError(102, `Incorrect syntax near '${token.text}'.`, { class: 15 });
  }

  protected isWord(...words: string[]): boolean {
    return this.token.kind === 'word' && words.includes(this.token.text);
  }

  protected isOp(...ops: string[]): boolean {
    return this.token.kind === 'op' && ops.includes(this.token.text);
  }

  protected isWords(...words: string[]): boolean {
    return words.every((word, i) => this.peek(i).kind === 'word' && this.peek(i).text === word);
  }

  protected acceptWord(...words: string[]): string | null {
    return this.isWord(...words) ? this.advance().text : null;
  }

  protected acceptWords(...words: string[]): boolean {
    if (!this.isWords(...words)) return false;
    this.position += words.length;
    return true;
  }

  protected acceptOp(...ops: string[]): string | null {
    return this.isOp(...ops) ? this.advance().text : null;
  }

  protected expectWord(...words: string[]): string {
    return this.acceptWord(...words) ?? this.fail();
  }

  protected expectOp(...ops: string[]): string {
    return this.acceptOp(...ops) ?? this.fail();
  }

  protected isName(): boolean {
    return this.token.kind === 'quoted' || (this.token.kind === 'word' && !RESERVED.has(this.token.text));
  }

  /** An identifier of at most 128 characters. */
  protected name(): string {
    if (!this.isName()) this.fail();
    const token = this.advance();
    const text = token.kind === 'quoted' ? token.text : token.raw;
    if (text.length > 128) {
      throw new SqlError(
        103,
        `The identifier that starts with '${text.slice(0, 128)}' is too long. Maximum length is 128.`,
        { class: 15 },
      );
    }
    return text;
  }

  /** `a.b.c`; an empty part (`db..t`) is ''. */
  protected path(): string[] {
    const parts = [this.name()];
    while (this.acceptOp('.')) parts.push(this.isOp('.') ? '' : this.name());
    return parts;
  }

  protected integer(): number {
    const sign = this.acceptOp('-') ? -1 : 1;
    if (this.token.kind !== 'integer') this.fail();
    return sign * Number(this.advance().text);
  }

  /** Comma-separated items. */
  protected list<T>(item: () => T): T[] {
    const items = [item()];
    while (this.acceptOp(',')) items.push(item());
    return items;
  }

  protected parenthesized<T>(inner: () => T): T {
    this.expectOp('(');
    const value = inner();
    this.expectOp(')');
    return value;
  }

  /** The batch's own text from a token up to where the cursor stands. */
  protected textSince(start: number): string {
    const last = this.tokens[this.position - 1];
    return this.sql.slice(start, last ? last.end : start);
  }
}
