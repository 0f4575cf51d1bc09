/**
 * What emitting works with: typed PostgreSQL expressions, name scopes, and the session's facts.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import type { EngineParameter, SqlType } from '../../contract.js';
import type { Expr } from '../ast.js';
import { literal, type Schema } from '../schema.js';
import { pgType } from '../types.js';
import type { CatalogContext } from '../viewSpec.js';

/** A PostgreSQL expression in the storage type of a T-SQL type. */
export interface Emitted {
  sql: string;
  type: SqlType;
  nullable: boolean;
  /** The literal it was written as: its digits and its conversions are special. */
  literal?: Extract<Expr, { k: 'literal' }>;
  /** Text known to hold no character beyond the basic plane: characters are UTF-16 units. */
  plain?: boolean;
  /** Where the collation comes from; a stronger source wins. */
  collationFrom?: 'literal' | 'column' | 'explicit';
}

export interface ScopeColumn {
  name: string;
  type: SqlType;
  nullable: boolean;
  sql: string;
}

export interface ScopeSource {
  /** Alias, or the table's name; `schema` only where a table stands without alias. */
  name: string;
  schema: string | null;
  columns: ScopeColumn[];
}

export interface Scope {
  sources: ScopeSource[];
  parent: Scope | null;
  /** GROUP BY keys in force, as printed expressions: a grouped column is read through an aggregate. */
  grouped?: Map<string, boolean>;
}

/** A common table expression by name. */
export interface CommonTable {
  name: string;
  pg: string;
  columns: { name: string; type: SqlType; nullable: boolean }[];
}

export interface SessionFacts {
  database: string;
  databaseId: number;
  databaseIds: Map<string, number>;
  login: string;
  /** The database user, or '' for sysadmin and db_owner. */
  principal: string;
  user: string;
  spid: number;
  transactionCount: number;
  rowCount: number;
  lastError: number;
  scopeIdentity: string | null;
  dateFirst: number;
  collation: string;
  quotedIdentifier: boolean;
}

export interface Env {
  schema: Schema;
  session: SessionFacts;
  catalog: CatalogContext;
  variables: Map<string, EngineParameter>;
  /** Tables read, for permission checks. */
  reads: Set<number>;
  commonTables: CommonTable[];
  counter: { next: number };
}

export const NO_SCOPE: Scope = { sources: [], parent: null };

export const fresh = (env: Env, prefix: string): string => `${prefix}${env.counter.next++}`;

export const nullOf = (type: SqlType): Emitted => ({
  sql: `NULL::${pgType(type)}`,
  type,
  nullable: true,
  literal: { k: 'literal', literal: 'null', text: '' },
});

export const isNullLiteral = (value: Emitted): boolean => value.literal?.literal === 'null';

/** A typed constant from its storage text. */
export function constant(type: SqlType, text: string | null): Emitted {
  if (text === null) return nullOf(type);
  const sql = pgType(type) === 'text' ? literal(text) : `'${text.replaceAll("'", "''")}'::${pgType(type)}`;
  return { sql, type, nullable: false };
}

/** The literal integer a value was written as, or null. */
export function integerLiteral(value: Expr): number | null {
  if (value.k === 'literal' && value.literal === 'integer') return Number(value.text);
  if (value.k === 'unary' && value.op === '-') {
    const inner = integerLiteral(value.operand);
    return inner === null ? null : -inner;
  }
  return null;
}
