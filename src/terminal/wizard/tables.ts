/**
 * Which tables: a schema of the source, then all of its tables, some of them, or those that match patterns.
 *
 * Runs on the main thread.
 */
import { literally } from '../../config/document.js';
import { byteCount, count, oneLine } from '../../observe/format.js';
import { readCatalog } from '../../source/catalog.js';
import type { SourceConnection } from '../../source/connection.js';
import { filterTables } from '../../source/filter.js';
import { identifyingKey, type SourceTable, tableLabel } from '../../source/model.js';
import { tableSizes, withCountedRows } from '../../source/sizes.js';
import type { Prompts } from './prompts.js';

export interface TableAnswers {
  schemas: string[];
  include: string[];
  exclude: string[];
  /** What of the source's catalog that selects; null without a connection. */
  tables: SourceTable[] | null;
}

interface Found {
  tables: SourceTable[];
  /** By object id; empty where the login may not see them. */
  sizes: Map<string, number>;
}

export async function readTables(source: SourceConnection): Promise<Found> {
  const tables = await withCountedRows(source, await readCatalog(source, { schemas: [] }));
  const sizes = await tableSizes(source);
  return { tables, sizes };
}

export async function askTables(prompts: Prompts, found: Found): Promise<TableAnswers> {
  const schemas = await askSchemas(prompts, found);
  const tables = found.tables.filter((table) => schemas.includes(table.schema));
  const how = await prompts.choose(
    `Tables of ${schemas.map(oneLine).join(', ')}: ${totals(tables, found.sizes)}`,
    [
      { value: 'all', label: 'all of them', hint: 'also those that are added later' },
      { value: 'choose', label: 'choose from a list' },
      { value: 'pattern', label: 'by name patterns', hint: 'such as sales_*, orders' },
    ],
    'all',
  );
  if (how === 'all') return { schemas, include: [], exclude: [], tables };
  return how === 'choose'
    ? chooseTables(prompts, schemas, tables, found.sizes)
    : askPatterns(prompts, schemas, tables);
}

/** Without a connection: a schema's name and patterns, unchecked. */
export async function askTablesBlind(prompts: Prompts): Promise<TableAnswers> {
  return askPatterns(prompts, [await askSchemaName(prompts)], null);
}

function askSchemaName(prompts: Prompts): Promise<string> {
  return prompts.text({ message: 'SQL Server: schema whose tables are read', initial: 'dbo' });
}

async function askSchemas(prompts: Prompts, { tables, sizes }: Found): Promise<string[]> {
  const schemas = [...new Set(tables.map((table) => table.schema))];
  const [only] = schemas;
  if (only === undefined) {
    prompts.warn('This login sees no table in the database; check its permissions before a run.');
    return [await askSchemaName(prompts)];
  }
  if (schemas.length === 1) return [only];
  const chosen = await prompts.chooseMany(
    'Schemas whose tables are migrated',
    schemas.map((schema) => ({
      value: schema,
      label: oneLine(schema),
      hint: totals(
        tables.filter((table) => table.schema === schema),
        sizes,
      ),
    })),
    [schemas.includes('dbo') ? 'dbo' : only],
  );
  return schemas.filter((schema) => chosen.includes(schema));
}

async function chooseTables(
  prompts: Prompts,
  schemas: string[],
  tables: readonly SourceTable[],
  sizes: ReadonlyMap<string, number>,
): Promise<TableAnswers> {
  const nameOf = (table: SourceTable) => (schemas.length === 1 ? table.name : tableLabel(table));
  const largestFirst = [...tables].sort((a, b) => b.approximateRows - a.approximateRows);
  const names = await prompts.chooseMany(
    'Tables to migrate',
    largestFirst.map((table) => ({
      value: nameOf(table),
      label: oneLine(nameOf(table)),
      hint: describe(table, sizes),
    })),
    largestFirst.filter(({ kind }) => kind === 'table').map(nameOf),
  );
  const chosen = tables.filter((table) => names.includes(nameOf(table)));
  const include = chosen.length === tables.length ? [] : chosen.map((table) => asPattern(nameOf(table)));
  return { schemas, include, exclude: [], tables: chosen };
}

async function askPatterns(
  prompts: Prompts,
  schemas: string[],
  tables: readonly SourceTable[] | null,
): Promise<TableAnswers> {
  for (;;) {
    const include = listed(
      await prompts.text({ message: 'Tables to migrate: patterns, with commas between them', initial: '*' }),
    ).filter((pattern) => pattern !== '*');
    const exclude = listed(
      await prompts.text({ message: 'Tables to leave out: patterns, or none', initial: 'none' }),
    ).filter((pattern) => pattern !== 'none');
    const answers = { schemas, include: include.map(literally), exclude: exclude.map(literally) };
    if (tables === null) return { ...answers, tables: null };
    try {
      const kept = filterTables(tables, { include_tables: include, exclude_tables: exclude });
      const shown = kept.slice(0, 12).map(({ name }) => oneLine(name));
      const more = kept.length > shown.length ? ` and ${kept.length - shown.length} more` : '';
      prompts.info(`${tableCount(kept.length)}: ${shown.join(', ')}${more}`);
      if (await prompts.confirm('Are these the tables?', true)) return { ...answers, tables: kept };
    } catch (error) {
      prompts.error(error);
    }
  }
}

/** `12 tables, about 3,400,000 rows, 1.2 GB` */
function totals(tables: readonly SourceTable[], sizes: ReadonlyMap<string, number>): string {
  const rows = tables.reduce((sum, table) => sum + table.approximateRows, 0);
  const bytes = tables.reduce((sum, table) => sum + (sizes.get(tableLabel(table)) ?? 0), 0);
  return `${tableCount(tables.length)}, about ${count(rows)} rows${bytes > 0 ? `, ${byteCount(bytes)}` : ''}`;
}

function describe(table: SourceTable, sizes: ReadonlyMap<string, number>): string {
  const bytes = sizes.get(tableLabel(table));
  const parts = [`${count(table.approximateRows)} rows`];
  if (bytes !== undefined) parts.push(byteCount(bytes));
  if (table.kind !== 'table') parts.push(`${table.kind} table: can't be migrated`);
  else if (identifyingKey(table) === null) parts.push('no key');
  return parts.join(', ');
}

function tableCount(tables: number): string {
  return tables === 1 ? '1 table' : `${count(tables)} tables`;
}

function listed(text: string): string[] {
  return text
    .split(',')
    .map((pattern) => pattern.trim())
    .filter((pattern) => pattern !== '');
}

/** The pattern that matches this name alone. */
function asPattern(name: string): string {
  return literally(name.replace(/[\\*?[\]{}()!+@|$^]/g, '\\$&'));
}
