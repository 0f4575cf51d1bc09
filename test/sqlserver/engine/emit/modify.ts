/**
 * Emits INSERT, UPDATE and DELETE: storing a value into a column, defaults, identity and rowversion.
 *
 * Runs in the process of the stand-in SQL Server. One difference remains: PostgreSQL checks unique indexes row
 * by row, so an UPDATE that only swaps keys is refused where SQL Server would allow it.
 */
import { SqlError } from '../../contract.js';
import type { Expr, Source, Statement } from '../ast.js';
import { collationOf } from '../collations.js';
import { parseExpression } from '../parse/index.js';
import { literal as pgText, quote, same, type Table, type TableColumn } from '../schema.js';
import { describe, family, isMax, isUnicode, pgType } from '../types.js';
import { type Emitted, type Env, fresh, isNullLiteral, NO_SCOPE, nullOf, type Scope } from './context.js';
import { convert } from './convert.js';
import { condition, value } from './expressions.js';
import { requirePermission } from './permissions.js';
import { emitQuery } from './query.js';
import { emitSources, findTable, tableSource } from './sources.js';

type Insert = Extract<Statement, { k: 'insert' }>;
type Update = Extract<Statement, { k: 'update' }>;
type Delete = Extract<Statement, { k: 'delete' }>;

export interface Modification {
  table: Table;
  sql: string;
  /** The identity column's sequence must catch up with explicit values. */
  identityColumn: TableColumn | null;
}

const ROWVERSION = `int8send(nextval('tsql.rowversions'))`;

/** Implicit conversions SQL Server refuses on assignment; throws SqlError 257 or 206. */
function checkAssignment(from: Emitted, column: TableColumn): void {
  if (isNullLiteral(from)) return;
  const [a, b] = [family(from.type), family(column.type)];
  const moments = ['date', 'time', 'datetime2', 'datetime', 'smalldatetime', 'datetimeoffset'];
  const refused =
    (a === 'string' && b === 'binary') ||
    (moments.includes(a) && ['integer', 'decimal', 'money', 'float', 'bit', 'binary'].includes(b)) ||
    (a === 'variant' && b !== 'variant');
  if (refused) {
    throw new SqlError(
      257,
      `Implicit conversion from data type ${describe(from.type)} to ${describe(column.type)} is not allowed. Use the CONVERT function to run this query.`,
      { state: 3 },
    );
  }
}

/** A value as it goes into a column: too long is an error here, not a cut. */
export function stored(from: Emitted, column: TableColumn, table: Table, env: Env): string {
  checkAssignment(from, column);
  const { type } = column;
  const place = `table '${env.session.database}.${table.schema}.${table.name}', column '${column.name}'`;
  const limited =
    (family(type) === 'string' || (family(type) === 'binary' && type.name !== 'timestamp')) && !isMax(type);
  if (!limited || isNullLiteral(from)) return convert(from, type).sql;
  const length = type.length ?? 1;
  if (family(type) === 'binary') {
    const bytes = convert(from, { name: 'varbinary', length: -1 }).sql;
    const checked =
      from.type.length !== undefined && from.type.length > 0 && from.type.length <= length
        ? bytes
        : `tsql.store_bytes(${bytes}, ${length}, ${pgText(place)})`;
    return type.name === 'binary' ? `tsql.fit_left(${checked}, ${length}, true)` : checked;
  }
  const wide = { ...type, name: isUnicode(type) ? 'nvarchar' : 'varchar', length: -1 };
  const text = convert(from, wide).sql;
  const page = collationOf(type).codePage;
  const fits =
    family(from.type) === 'string' &&
    !isMax(from.type) &&
    (from.type.length ?? 1) <= length &&
    (isUnicode(type) || page < 900 || (page > 1000 && page < 2000));
  let checked = text;
  if (!fits && !isUnicode(type) && (page === 65001 || (page > 900 && page < 1000))) {
    // A double-byte page or UTF-8: the length counts bytes.
    checked = `CASE WHEN length(tsql.cp${page}_encode(${text})) > ${length} THEN tsql.store_text(${text}, 0, ${pgText(place)}) ELSE ${text} END`;
  } else if (!fits) checked = `tsql.store_text(${text}, ${length}, ${pgText(place)})`;
  return type.name.endsWith('char') && !type.name.includes('var')
    ? `tsql.pad(${checked}, ${length})`
    : checked;
}

function defaultOf(column: TableColumn, table: Table, env: Env): string {
  if (column.type.name === 'timestamp') return ROWVERSION;
  if (column.identity) return `nextval('tsql."id_${table.objectId}"')::${pgType(column.type)}`;
  if (column.defaultText === null) return nullOf(column.type).sql;
  return stored(value(parseExpression(column.defaultText, 'value'), env, NO_SCOPE), column, table, env);
}

function insertColumns(statement: Insert, table: Table, identityInsert: boolean): TableColumn[] {
  if (!statement.columns) {
    const columns = table.columns.filter(
      (column) =>
        column.computedText === null &&
        column.type.name !== 'timestamp' &&
        (!column.identity || identityInsert),
    );
    if (identityInsert && columns.some((column) => column.identity)) {
      throw new SqlError(
        8101,
        `An explicit value for the identity column in table '${table.name}' can only be specified when a column list is used and IDENTITY_INSERT is ON.`,
      );
    }
    return columns;
  }
  return statement.columns.map((name) => {
    const column = table.columns.find((candidate) => same(candidate.name, name));
    if (!column) throw new SqlError(207, `Invalid column name '${name}'.`);
    if (column.computedText !== null) {
      throw new SqlError(
        271,
        `The column "${column.name}" cannot be modified because it is either a computed column or is the result of a UNION operator.`,
      );
    }
    if (column.type.name === 'timestamp') {
      throw new SqlError(
        273,
        'Cannot insert an explicit value into a timestamp column. Use INSERT with a column list to exclude the timestamp column, or insert a DEFAULT into the timestamp column.',
      );
    }
    if (column.identity && !identityInsert) {
      throw new SqlError(
        544,
        `Cannot insert explicit value for identity column in table '${table.name}' when IDENTITY_INSERT is set to OFF.`,
      );
    }
    return column;
  });
}

/** No trigger is run here, so a table that has one is not changed. */
function requireNoTrigger(env: Env, table: Table): void {
  const trigger = env.schema.data.objects?.find(
    ({ type, parentId }) => type === 'TR' && parentId === table.objectId,
  );
  if (trigger) throw new SqlError(50000, `The stand-in does not run triggers: drop ${trigger.name} first.`);
}

export function emitInsert(statement: Insert, env: Env, identityInsertTable: number | null): Modification {
  const table = findTable(statement.table, env);
  requirePermission(env, table, 'INSERT');
  requireNoTrigger(env, table);
  const identityInsert = identityInsertTable === table.objectId;
  const identity = table.columns.find((column) => column.identity) ?? null;
  const columns = insertColumns(statement, table, identityInsert);
  const explicitIdentity = identity !== null && columns.includes(identity);
  if (identityInsert && !explicitIdentity) {
    throw new SqlError(
      545,
      `Explicit value must be specified for identity column in table '${table.name}' either when IDENTITY_INSERT is set to ON or when a replication user is inserting into a NOT FOR REPLICATION identity column.`,
    );
  }
  const defaulted = table.columns.filter(
    (column) =>
      !columns.includes(column) &&
      column.computedText === null &&
      (column.identity || column.defaultText !== null || column.type.name === 'timestamp'),
  );
  const names = [...columns, ...defaulted].map((column) => quote(column.pgName)).join(', ');
  const tail = defaulted.map((column) => defaultOf(column, table, env));
  const head = `INSERT INTO ${table.pg} (${names})`;
  const result = (sql: string): Modification => ({
    table,
    sql,
    identityColumn: explicitIdentity ? identity : null,
  });
  if (names === '') return result(`INSERT INTO ${table.pg} DEFAULT VALUES`);
  const wrongCount = (given: number): never => {
    if (!statement.columns)
      throw new SqlError(213, 'Column name or number of supplied values does not match table definition.');
    const [number, what] = given < columns.length ? [109, 'more'] : [110, 'fewer'];
    throw new SqlError(
      number as number,
      `There are ${what} columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement.`,
      { class: 15 },
    );
  };
  if (statement.rows) {
    const rows = statement.rows.map((row) => {
      if (row.length !== columns.length) wrongCount(row.length);
      const cells = row.map((expr, i) =>
        expr
          ? stored(value(expr, env, NO_SCOPE), columns[i]!, table, env)
          : defaultOf(columns[i]!, table, env),
      );
      return `(${[...cells, ...tail].join(', ')})`;
    });
    return result(`${head} VALUES ${rows.join(', ')}`);
  }
  const query = emitQuery(statement.query!, env, null);
  if (query.columns.length !== columns.length) {
    const [number, what] = query.columns.length < columns.length ? [120, 'fewer'] : [121, 'more'];
    throw new SqlError(
      number as number,
      `The select list for the INSERT statement contains ${what} items than the insert list. The number of SELECT values must match the number of INSERT columns.`,
    );
  }
  const cells = query.columns.map((column, i) => {
    const from: Emitted = {
      sql: `q.${column.pg}`,
      type: column.type,
      nullable: column.nullable,
      collationFrom: 'column',
    };
    return stored(from, columns[i]!, table, env);
  });
  return result(`${head} SELECT ${[...cells, ...tail].join(', ')} FROM (${query.sql}) AS q`);
}

/** The table an UPDATE or DELETE means, which may be named by an alias of its FROM clause. */
function target(
  path: string[],
  from: Source[],
  env: Env,
): { table: Table; alias: string; scope: Scope; joined: string; match: string } {
  const alias = fresh(env, 'u');
  if (from.length === 0) {
    const table = findTable(path, env);
    return {
      table,
      alias,
      scope: { sources: [tableSource(table, alias, null)], parent: null },
      joined: '',
      match: '',
    };
  }
  const { from: joined, scope } = emitSources(from, env, null);
  const name = path[path.length - 1]!;
  const named = tablesOf(from).find((source) =>
    same(source.alias ?? source.path[source.path.length - 1]!, name),
  );
  const source = scope.sources.find((candidate) => same(candidate.name, name));
  const anchor = source?.columns[0]?.sql.split('.')[0];
  if (!named || !anchor) throw new SqlError(208, `Invalid object name '${path.join('.')}'.`);
  return { table: findTable(named.path, env), alias, scope, joined, match: `${alias}.ctid = ${anchor}.ctid` };
}

function tablesOf(sources: Source[]): Extract<Source, { k: 'table' }>[] {
  return sources.flatMap((source) => {
    if (source.k === 'table') return [source];
    return source.k === 'join' || source.k === 'apply' ? tablesOf([source.left, source.right]) : [];
  });
}

const whereOf = (match: string, where: Expr | null, env: Env, scope: Scope): string => {
  const parts = [...(match ? [match] : []), ...(where ? [condition(where, env, scope)] : [])];
  return parts.length === 0 ? '' : ` WHERE ${parts.join(' AND ')}`;
};

export function emitUpdate(statement: Update, env: Env): Modification {
  const { table, alias, scope, joined, match } = target(statement.table, statement.from, env);
  requirePermission(env, table, 'UPDATE');
  requireNoTrigger(env, table);
  const sets = statement.sets.map(({ column: name, expr }) => {
    const column = table.columns.find((candidate) => same(candidate.name, name));
    if (!column) throw new SqlError(207, `Invalid column name '${name}'.`);
    if (column.identity) throw new SqlError(8102, `Cannot update identity column '${column.name}'.`);
    if (column.type.name === 'timestamp') throw new SqlError(272, 'Cannot update a timestamp column.');
    if (column.computedText !== null) {
      throw new SqlError(
        271,
        `The column "${column.name}" cannot be modified because it is either a computed column or is the result of a UNION operator.`,
      );
    }
    const sql = expr ? stored(value(expr, env, scope), column, table, env) : defaultOf(column, table, env);
    return `${quote(column.pgName)} = ${sql}`;
  });
  const version = table.columns.find((column) => column.type.name === 'timestamp');
  if (version) sets.push(`${quote(version.pgName)} = ${ROWVERSION}`);
  const from = joined === '' ? '' : ` FROM ${joined}`;
  const sql = `UPDATE ${table.pg} AS ${alias} SET ${sets.join(', ')}${from}${whereOf(match, statement.where, env, scope)}`;
  return { table, sql, identityColumn: null };
}

export function emitDelete(statement: Delete, env: Env): Modification {
  const { table, alias, scope, joined, match } = target(statement.table, statement.from, env);
  requirePermission(env, table, 'DELETE');
  requireNoTrigger(env, table);
  const where = whereOf(match, statement.where, env, scope);
  if (statement.top) {
    if (joined !== '') throw new SqlError(102, "Incorrect syntax near 'TOP'.", { class: 15 });
    const limit = convert(value(statement.top, env, NO_SCOPE), { name: 'bigint' }).sql;
    const sql = `DELETE FROM ${table.pg} WHERE ctid IN (SELECT ${alias}.ctid FROM ${table.pg} AS ${alias}${where} LIMIT ${limit})`;
    return { table, sql, identityColumn: null };
  }
  const using = joined === '' ? '' : ` USING ${joined}`;
  return { table, sql: `DELETE FROM ${table.pg} AS ${alias}${using}${where}`, identityColumn: null };
}
