/**
 * The syntax tree of the T-SQL the stand-in knows: plain data between the parser and the emitters.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import type { SqlType } from '../contract.js';

/** A type as written; `name` may be an alias type's, so it is resolved later. */
export interface TypeRef {
  schema?: string;
  name: string;
  args: (number | 'max')[];
}

export type Literal = 'integer' | 'decimal' | 'float' | 'money' | 'string' | 'nstring' | 'binary' | 'null';

export interface OrderItem {
  expr: Expr;
  desc: boolean;
}

export interface Over {
  partitionBy: Expr[];
  orderBy: OrderItem[];
}

export type Expr =
  | { k: 'literal'; literal: Literal; text: string }
  | { k: 'column'; path: string[] }
  | { k: 'variable'; name: string }
  | { k: 'unary'; op: '-' | '+' | '~'; operand: Expr }
  | { k: 'binary'; op: string; left: Expr; right: Expr }
  | { k: 'compare'; op: string; left: Expr; right: Expr }
  | { k: 'and' | 'or'; left: Expr; right: Expr }
  | { k: 'not'; operand: Expr }
  | { k: 'isNull'; operand: Expr; not: boolean }
  | { k: 'between'; operand: Expr; low: Expr; high: Expr; not: boolean }
  | { k: 'in'; operand: Expr; list: Expr[] | null; query: Query | null; not: boolean }
  | { k: 'like'; operand: Expr; pattern: Expr; escape: Expr | null; not: boolean }
  | { k: 'exists'; query: Query }
  | { k: 'case'; operand: Expr | null; whens: { when: Expr; result: Expr }[]; otherwise: Expr | null }
  | { k: 'call'; name: string; args: Expr[]; star: boolean; distinct: boolean; over: Over | null }
  | { k: 'cast'; operand: Expr; type: TypeRef; style: Expr | null; attempt: boolean }
  | { k: 'collate'; operand: Expr; collation: string }
  | { k: 'subquery'; query: Query }
  | { k: 'method'; operand: Expr; name: string; args: Expr[] }
  | { k: 'staticMethod'; type: string; name: string; args: Expr[] }
  | { k: 'nextValue'; path: string[] };

export type SelectItem =
  | { k: 'star'; path: string[] }
  | { k: 'expr'; expr: Expr; alias: string | null }
  | { k: 'assign'; variable: string; expr: Expr };

export interface Select {
  k: 'select';
  top: Expr | null;
  distinct: boolean;
  items: SelectItem[];
  from: Source[];
  where: Expr | null;
  groupBy: Expr[];
  having: Expr | null;
}

export interface SetOperation {
  k: 'set';
  op: 'UNION' | 'UNION ALL' | 'EXCEPT' | 'INTERSECT';
  left: Body;
  right: Body;
}

export type Body = Select | SetOperation | { k: 'nested'; query: Query };

export interface Query {
  ctes: { name: string; columns: string[] | null; query: Query }[];
  body: Body;
  orderBy: OrderItem[];
  offset: Expr | null;
  fetch: Expr | null;
}

export type Source =
  | { k: 'table'; path: string[]; alias: string | null }
  | { k: 'derived'; query: Query; alias: string; columns: string[] | null }
  | { k: 'values'; rows: Expr[][]; alias: string; columns: string[] }
  | { k: 'series'; args: Expr[]; alias: string | null }
  | {
      k: 'join';
      kind: 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | 'CROSS';
      left: Source;
      right: Source;
      on: Expr | null;
    }
  | { k: 'apply'; outer: boolean; left: Source; right: Source };

export interface IndexColumn {
  name: string;
  desc: boolean;
}

export interface ForeignKey {
  table: string[];
  columns: string[];
  onDelete: string;
  onUpdate: string;
}

export type Constraint = { name: string | null } & (
  | { k: 'key'; primary: boolean; clustered: boolean | null; columns: IndexColumn[] }
  | { k: 'check'; expr: Expr; text: string }
  | { k: 'foreign'; columns: string[]; references: ForeignKey }
  | { k: 'default'; column: string; expr: Expr; text: string }
);

export interface ColumnDefinition {
  name: string;
  type: TypeRef | null;
  computed: { expr: Expr; text: string; persisted: boolean } | null;
  nullable: boolean | null;
  collation: string | null;
  identity: { seed: string; increment: string } | null;
  sparse: boolean;
  rowGuid: boolean;
  constraints: Constraint[];
}

export interface CreateIndex {
  k: 'createIndex';
  name: string;
  unique: boolean;
  clustered: boolean;
  table: string[];
  columns: IndexColumn[];
  include: string[];
  where: Expr | null;
  whereText: string;
}

/** A view, procedure, function or trigger: only a view's text is understood. */
export interface CreateModule {
  k: 'createModule';
  /** `sys.objects.type`. */
  type: 'V' | 'P' | 'FN' | 'IF' | 'TF' | 'TR';
  path: string[];
  /** A trigger's table. */
  on: string[] | null;
  /** A view's. */
  columns: string[] | null;
  query: Query | null;
  /** The whole batch. */
  text: string;
}

export interface CreateSequence {
  k: 'createSequence';
  path: string[];
  type: TypeRef | null;
  /** Integers as text; null where not given. */
  start: string | null;
  increment: string | null;
  minimum: string | null;
  maximum: string | null;
  cycles: boolean;
  cached: boolean;
  cacheSize: number | null;
}

export type Statement =
  | CreateModule
  | CreateSequence
  | { k: 'createSynonym'; path: string[]; base: string }
  | { k: 'execute'; procedure: string; args: { name: string | null; value: Expr }[] }
  | { k: 'disableIndex'; name: string; table: string[] }
  | { k: 'query'; query: Query; line: number }
  | {
      k: 'insert';
      table: string[];
      columns: string[] | null;
      rows: (Expr | null)[][] | null;
      query: Query | null;
    }
  | {
      k: 'update';
      table: string[];
      sets: { column: string; expr: Expr | null }[];
      from: Source[];
      where: Expr | null;
    }
  | { k: 'delete'; table: string[]; from: Source[]; where: Expr | null; top: Expr | null }
  | { k: 'truncate'; table: string[] }
  | { k: 'createTable'; table: string[]; columns: ColumnDefinition[]; constraints: Constraint[] }
  | {
      k: 'addToTable';
      table: string[];
      columns: ColumnDefinition[];
      constraints: Constraint[];
      /** False for WITH NOCHECK: rows that are there are not looked at. */
      validate: boolean;
    }
  | { k: 'dropConstraint'; table: string[]; names: string[] }
  | { k: 'checkConstraint'; table: string[]; enable: boolean; validate: boolean; names: string[] | null }
  | CreateIndex
  | { k: 'dropIndex'; table: string[]; name: string; ifExists: boolean }
  | { k: 'createSchema'; name: string }
  | { k: 'createType'; path: string[]; base: TypeRef; nullable: boolean }
  | { k: 'createDatabase'; name: string; collation: string | null }
  | { k: 'createLogin'; name: string; password: string }
  | { k: 'createUser'; name: string; login: string | null }
  | {
      k: 'drop';
      what:
        | 'TABLE'
        | 'SCHEMA'
        | 'TYPE'
        | 'DATABASE'
        | 'LOGIN'
        | 'USER'
        | 'VIEW'
        | 'PROCEDURE'
        | 'FUNCTION'
        | 'TRIGGER'
        | 'SYNONYM'
        | 'SEQUENCE';
      paths: string[][];
      ifExists: boolean;
    }
  | { k: 'alterDatabase'; name: string | null; option: string; value: string }
  | { k: 'addRoleMember'; role: string; member: string }
  | {
      k: 'permission';
      verb: 'GRANT' | 'DENY' | 'REVOKE';
      permissions: string[];
      on: string[] | null;
      schemaWide: boolean;
      to: string[];
    }
  | { k: 'use'; database: string }
  | { k: 'set'; option: string; value: string }
  | { k: 'identityInsert'; table: string[]; on: boolean }
  | { k: 'isolation'; level: string }
  | { k: 'declare'; variables: { name: string; type: TypeRef; value: Expr | null }[] }
  | { k: 'setVariable'; name: string; value: Expr }
  | { k: 'transaction'; verb: 'begin' | 'commit' | 'rollback' | 'save'; name: string | null }
  | { k: 'if'; condition: Expr; yes: Statement; otherwise: Statement | null }
  | { k: 'block'; statements: Statement[] }
  | { k: 'print'; value: Expr }
  | { k: 'raise'; number: number; message: Expr; severity: number }
  | { k: 'waitFor'; delay: string };

/** A declared type with its alias resolved. */
export interface ResolvedType {
  type: SqlType;
  /** `user_type_id` of the alias type, or of the system type. */
  userTypeId: number;
}
