/**
 * A database's declared tables as the emitters see them: one snapshot, read again when the schema changes.
 *
 * Runs in the process of the stand-in SQL Server.
 */
import { createHash } from 'node:crypto';
import { SqlError, type SqlType } from '../contract.js';
import type { ResolvedType, TypeRef } from './ast.js';
import { resolveSystemType, systemType } from './types.js';

export interface TableColumn {
  id: number;
  name: string;
  pgName: string;
  type: SqlType;
  nullable: boolean;
  identity: { seed: string; increment: string } | null;
  computedText: string | null;
  persisted: boolean;
  defaultText: string | null;
}

export interface TableIndex {
  id: number;
  name: string | null;
  pgName: string | null;
  unique: boolean;
  primary: boolean;
  constraint: boolean;
  columns: number[];
}

export interface Table {
  objectId: number;
  schemaId: number;
  schema: string;
  name: string;
  /** Quoted PostgreSQL name, ready for a statement. */
  pg: string;
  columns: TableColumn[];
  indexes: TableIndex[];
}

export interface Permission {
  grantee: string;
  class: 'database' | 'schema' | 'object';
  id: number;
  permission: string;
  state: 'GRANT' | 'DENY';
}

/** What one row of the snapshot query holds. */
export interface SchemaData {
  version: string;
  schemas: { id: number; name: string; pgName: string }[] | null;
  types: { id: number; schemaId: number; name: string; type: SqlType; nullable: boolean }[] | null;
  objects: { id: number; schemaId: number; parentId: number; name: string; type: string }[] | null;
  tables: (Omit<Table, 'pg' | 'schema'> & { pgName: string; pgSchema: string; schema: string })[] | null;
  views: { schemaId: number; objectId: number; name: string; definition: string }[] | null;
  sequences: { id: number; type: SqlType }[] | null;
  users: { name: string; login: string | null }[] | null;
  roles: { role: string; member: string }[] | null;
  permissions: Permission[] | null;
}

/** The snapshot query: one row, one JSON value. */
export const SCHEMA_SQL = `SELECT json_build_object(
  'version', (SELECT id FROM tsql.version),
  'schemas', (SELECT json_agg(json_build_object('id', schema_id, 'name', name, 'pgName', pg_name)) FROM tsql.schemas),
  'types', (SELECT json_agg(json_build_object('id', user_type_id, 'schemaId', schema_id, 'name', name, 'type', type, 'nullable', nullable)) FROM tsql.types),
  'objects', (SELECT json_agg(json_build_object('id', object_id, 'schemaId', schema_id, 'parentId', parent_object_id, 'name', name, 'type', type)) FROM tsql.objects),
  'tables', (SELECT json_agg(json_build_object('objectId', o.object_id, 'schemaId', s.schema_id, 'schema', s.name, 'pgSchema', s.pg_name, 'name', o.name, 'pgName', o.pg_name,
    'columns', (SELECT json_agg(json_build_object('id', c.column_id, 'name', c.name, 'pgName', c.pg_name, 'type', c.type, 'nullable', c.nullable,
      'identity', CASE WHEN c.identity_seed IS NOT NULL THEN json_build_object('seed', c.identity_seed::text, 'increment', c.identity_increment::text) END,
      'computedText', c.computed_text, 'persisted', coalesce(c.persisted, false), 'defaultText', c.default_text) ORDER BY c.column_id) FROM tsql.columns c WHERE c.object_id = o.object_id),
    'indexes', coalesce((SELECT json_agg(json_build_object('id', i.index_id, 'name', i.name, 'pgName', i.pg_name, 'unique', i.is_unique, 'primary', i.is_primary, 'constraint', i.is_constraint,
      'columns', (SELECT json_agg(x.column_id ORDER BY x.key_ordinal) FROM tsql.index_columns x WHERE x.object_id = i.object_id AND x.index_id = i.index_id AND NOT x.included)) ORDER BY i.index_id)
      FROM tsql.indexes i WHERE i.object_id = o.object_id AND i.index_id > 0), '[]'))) FROM tsql.objects o JOIN tsql.schemas s USING (schema_id) WHERE o.type = 'U'),
  'views', (SELECT json_agg(json_build_object('schemaId', o.schema_id, 'objectId', o.object_id, 'name', o.name, 'definition', m.definition))
    FROM tsql.objects o JOIN tsql.modules m USING (object_id) WHERE o.type = 'V'),
  'sequences', (SELECT json_agg(json_build_object('id', object_id, 'type', type)) FROM tsql.sequences),
  'users', (SELECT json_agg(json_build_object('name', name, 'login', login)) FROM tsql.users),
  'roles', (SELECT json_agg(json_build_object('role', role, 'member', member)) FROM tsql.role_members),
  'permissions', (SELECT json_agg(json_build_object('grantee', grantee, 'class', class, 'id', id, 'permission', permission, 'state', state)) FROM tsql.permissions)) AS data`;

export class Schema {
  readonly data: SchemaData;
  private readonly tables = new Map<string, Table>();
  private readonly objects = new Map<string, { id: number; type: string; name: string; schemaId: number }>();

  constructor(data: SchemaData) {
    this.data = data;
    for (const { pgName, pgSchema, ...table } of data.tables ?? []) {
      this.tables.set(key(table.schema, table.name), { ...table, pg: `${quote(pgSchema)}.${quote(pgName)}` });
    }
    for (const object of data.objects ?? []) {
      this.objects.set(key(this.schemaById(object.schemaId)?.name ?? '', object.name), object);
    }
  }

  table(schema: string, name: string): Table | null {
    return this.tables.get(key(schema, name)) ?? null;
  }

  object(schema: string, name: string): { id: number; type: string; name: string; schemaId: number } | null {
    return this.objects.get(key(schema, name)) ?? null;
  }

  tableById(id: number): Table | null {
    return [...this.tables.values()].find((table) => table.objectId === id) ?? null;
  }

  schema(name: string): { id: number; name: string; pgName: string } | null {
    return this.data.schemas?.find((schema) => same(schema.name, name)) ?? null;
  }

  schemaById(id: number): { id: number; name: string; pgName: string } | null {
    return this.data.schemas?.find((schema) => schema.id === id) ?? null;
  }

  view(schema: string, name: string): { schemaId: number; objectId: number; definition: string } | null {
    const schemaId = this.schema(schema)?.id;
    return this.data.views?.find((view) => view.schemaId === schemaId && same(view.name, name)) ?? null;
  }

  sequence(schema: string, name: string): { id: number; type: SqlType } | null {
    const id = this.object(schema, name)?.id;
    return this.data.sequences?.find((sequence) => sequence.id === id) ?? null;
  }

  alias(schema: string, name: string): { id: number; type: SqlType; nullable: boolean } | null {
    const schemaId = this.schema(schema)?.id;
    return this.data.types?.find((type) => type.schemaId === schemaId && same(type.name, name)) ?? null;
  }

  /** A type as written, alias types resolved; throws SqlError 2715 for a name that is no type. */
  type(ref: TypeRef, bareLength: 1 | 30): ResolvedType & { nullable: boolean } {
    const system = resolveSystemType(ref, bareLength);
    if (system) {
      const userTypeId = ref.name.toLowerCase() === 'sysname' ? 256 : systemType(system).userTypeId;
      return { type: system, userTypeId, nullable: userTypeId !== 256 };
    }
    const alias = this.alias(ref.schema ?? 'dbo', ref.name);
    if (!alias) {
      const name = ref.schema ? `${ref.schema}.${ref.name}` : ref.name;
      throw new SqlError(2715, `Column, parameter, or variable #1: Cannot find data type ${name}.`, {
        state: 6,
      });
    }
    return { type: alias.type, userTypeId: alias.id, nullable: alias.nullable };
  }
}

export const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
const key = (schema: string, name: string): string => `${schema.toLowerCase()}\u0000${name.toLowerCase()}`;

/** A PostgreSQL identifier. */
export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
/** A PostgreSQL string literal of type text. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'::text`;

const TAKEN = new Set([
  'tsql',
  'sys',
  'public',
  'information_schema',
  'ctid',
  'xmin',
  'xmax',
  'cmin',
  'cmax',
  'tableoid',
  'oid',
]);

/**
 * The PostgreSQL name of a T-SQL name: the same where PostgreSQL can hold it (63 bytes, no NUL, not one it
 * uses itself), else its start with a digest of all of it.
 */
export function pgName(name: string): string {
  const bytes = Buffer.byteLength(name);
  const plain = bytes <= 63 && !name.includes('\u0000') && name.isWellFormed() && !/^pg_/i.test(name);
  if (plain && !TAKEN.has(name.toLowerCase())) return name;
  const start = [...name.toWellFormed().replaceAll('\u0000', '')].slice(0, 12).join('');
  return `${start}~${createHash('md5').update(Buffer.from(name, 'utf16le')).digest('hex').slice(0, 12)}`;
}

/** Text into its stored form (contract.ts): U+0000 and lone surrogates have no place in PostgreSQL. */
export function escapeText(text: string): string {
  if (text.isWellFormed() && !text.includes('\u0000')) return text;
  let escaped = '';
  for (const char of text) {
    const code = char.codePointAt(0)!;
    if (code === 0) escaped += '\u{10FFFF}';
    else if (code >= 0xd800 && code <= 0xdfff) escaped += String.fromCodePoint(0x10f000 + code - 0xd800);
    else escaped += char;
  }
  return escaped;
}
