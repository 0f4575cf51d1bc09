/**
 * What the configuration makes of a column: `type_overrides`, the options that name one type, and the collation.
 *
 * Runs on the main thread; pure.
 */
import { AppError } from '../errors.js';
import type { SourceColumn, SourceTable } from '../source/model.js';
import { createCollation } from '../target/ddl.js';
import { qualified } from '../target/identifiers.js';
import { stringComparison } from '../translate/sqlType.js';
import { isTarget } from '../types/conversions.js';
import { isSourceType } from '../types/index.js';
import { parsePgType, spellPgType } from '../types/pgType.js';
import { baseType } from './typeLabel.js';

export interface TypeOptions {
  /** `migration.type_overrides`: source type or column to PostgreSQL type. */
  overrides: Readonly<Record<string, string>>;
  datetimeoffset: 'timestamptz' | 'timestamp' | 'text';
  xml: 'text' | 'xml';
  uniqueidentifier: 'uuid' | 'text';
  spatial: 'text' | 'geometry';
  collation: 'none' | 'citext' | 'icu';
  computedColumns: 'generated' | 'value' | 'skip';
}

/** Every type's own mapping, every string with the database's collation. */
export const OWN_TYPES: TypeOptions = {
  overrides: {},
  datetimeoffset: 'timestamptz',
  xml: 'text',
  uniqueidentifier: 'uuid',
  spatial: 'text',
  collation: 'none',
  computedColumns: 'value',
};

/** What a column becomes, beside its type's own mapping. */
export interface TypeChoice {
  as?: string;
  collation?: string;
  /** The statement that makes what it needs. */
  requires?: string;
  /** What the choice means, in words that follow the column's name. */
  remark?: string;
}

interface Override {
  key: string;
  /** Schema, table and column, as far as the key names them, or a type's name; in lower case. */
  parts: string[];
  as: string;
}

const STRINGS = new Set(['char', 'nchar', 'varchar', 'nvarchar', 'text', 'ntext']);
const FIXED_STRINGS = new Set(['char', 'nchar']);

export class TypeChoices {
  readonly #options: TypeOptions;
  readonly #overrides: Override[];

  readonly #collationSchema: string;

  /** @param collationSchema where collations are made */
  constructor(options: TypeOptions, collationSchema: string) {
    this.#options = options;
    this.#collationSchema = collationSchema;
    this.#overrides = Object.entries(options.overrides).map(([key, as]) => ({
      key,
      parts: keyParts(key),
      as: spellPgType(parsePgType(as)),
    }));
  }

  of(table: SourceTable, column: SourceColumn): TypeChoice {
    const as = this.#override(table, column) ?? this.#option(column);
    const folds = STRINGS.has(column.type) && column.collation !== null ? folding(column.collation) : null;
    const { collation } = this.#options;
    if (as === 'citext' || (as === undefined && folds !== null && collation === 'citext')) {
      if (FIXED_STRINGS.has(column.type) && as === undefined) {
        return { remark: 'stays char(n) and is compared with case: citext has no fixed length' };
      }
      return { as: 'citext', requires: 'CREATE EXTENSION IF NOT EXISTS citext' };
    }
    if (folds === null || collation !== 'icu') return as === undefined ? {} : { as };
    const name = { schema: this.#collationSchema, name: folds.name };
    return {
      ...(as !== undefined && { as }),
      collation: qualified(name),
      requires: createCollation(name, folds.locale),
      remark: `is compared without case by collation ${folds.name} (ICU ${folds.locale}), as are its keys and indexes; trailing blanks make a difference, and LIKE needs PostgreSQL 18`,
    };
  }

  /** @returns CONFIG_INVALID naming the keys of `type_overrides` that name nothing, or the same thing twice; else null */
  mismatch(tables: readonly SourceTable[]): AppError | null {
    const named = new Set<string>();
    const wrong = this.#overrides.flatMap(({ key, parts, as }) => {
      const name = JSON.stringify(parts);
      if (named.has(name)) return [`migration.type_overrides.${key}: is there twice, but for its spelling`];
      named.add(name);
      if (!isTarget(as)) return [`migration.type_overrides.${key}: ${as} is no type that columns can become`];
      if (tables.some((table) => table.columns.some((column) => rank(parts, table, column) > 0))) return [];
      if (parts.length > 1)
        return [`migration.type_overrides.${key}: names no column of the tables of this run`];
      const isKnown = isSourceType(typeName(parts[0] ?? ''));
      return isKnown ? [] : [`migration.type_overrides.${key}: is no type of SQL Server`];
    });
    if (wrong.length === 0) return null;
    return new AppError('CONFIG_INVALID', wrong.join('; '), {
      remedy:
        'Write a type, or a column as table.column or schema.table.column; names with dots in brackets.',
    });
  }

  #override(table: SourceTable, column: SourceColumn): string | undefined {
    let best: Override | undefined;
    let highest = 0;
    for (const override of this.#overrides) {
      const found = rank(override.parts, table, column);
      if (found > highest) [best, highest] = [override, found];
    }
    return best?.as;
  }

  #option({ type }: SourceColumn): string | undefined {
    const { datetimeoffset, xml, uniqueidentifier, spatial } = this.#options;
    if (type === 'datetimeoffset' && datetimeoffset !== 'timestamptz') return datetimeoffset;
    if (type === 'xml' && xml !== 'text') return xml;
    if (type === 'uniqueidentifier' && uniqueidentifier !== 'uuid') return uniqueidentifier;
    if ((type === 'geometry' || type === 'geography') && spatial !== 'text') return type;
    return undefined;
  }
}

/** How closely a key fits a column: 0 not at all, 5 by its full name. */
function rank(parts: readonly string[], table: SourceTable, column: SourceColumn): number {
  const names = [table.schema, table.name, column.name].map((name) => name.toLowerCase());
  const declared = column.declaredType.toLowerCase();
  const [first = ''] = parts;
  if (parts.length === 3) return parts.every((part, i) => part === names[i]) ? 5 : 0;
  if (parts.length === 2) {
    if (first === names[1] && parts[1] === names[2]) return 4;
    return parts.join('.') === declared ? 3 : 0;
  }
  if (declared !== column.type && first === declared) return 3;
  if (first.includes('(')) return first === baseType(column) ? 2 : 0;
  return first === column.type || typeName(first) === column.type ? 1 : 0;
}

/** SQL Server's catalog calls a rowversion timestamp. */
function typeName(name: string): string {
  return name === 'rowversion' ? 'timestamp' : name.replace(/\(.*$/, '');
}

/** Splits at the dots outside of brackets and parentheses. */
function keyParts(key: string): string[] {
  const parts = key.match(/\[(?:[^\]]|\]\])*\]|[^.[(]+(?:\([^)]*\))?/g) ?? [key];
  return parts.map((part) => {
    const isQuoted = part.startsWith('[');
    const name = isQuoted ? part.slice(1, -1).replaceAll(']]', ']') : part.trim();
    return (isQuoted || parts.length > 1 ? name : name.replace(/\s+/g, '')).toLowerCase();
  });
}

/** @returns the ICU collation that folds as this one does, or null where case makes a difference. */
function folding(collation: string): { name: string; locale: string } | null {
  const { caseSensitive, accentSensitive } = stringComparison(collation);
  if (caseSensitive) return null;
  return accentSensitive
    ? { name: 'mssql_ci_as', locale: 'und-u-ks-level2' }
    : { name: 'mssql_ci_ai', locale: 'und-u-ks-level1' };
}
