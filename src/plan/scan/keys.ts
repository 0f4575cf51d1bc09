/**
 * Keys that are different in the source and one in the target, or the other way round: what takes more than one row to
 * see.
 *
 * Pure; runs on the main thread.
 */
import { quote, quoteTable } from '../../source/sql.js';
import { stringComparison } from '../../translate/sqlType.js';
import { mapColumn } from '../../types/index.js';
import { nvarcharOf } from '../../types/text.js';
import type { PlannedColumn, TablePlan } from '../model.js';
import type { Suspicion } from './finding.js';
import type { ScanOptions } from './values.js';

/** A suspicion with the statements that tell: how many (`n`), and the key of one of them (`k0`, `k1`, ...). */
export interface KeyProbe extends Suspicion {
  countSql: string;
  exampleSql: string | null;
}

const BY_CODE_UNIT = 'COLLATE Latin1_General_BIN2';

/** @returns what keys and foreign keys of the table might be in the way with. */
export function keyProbes(plan: TablePlan, plans: readonly TablePlan[], options: ScanOptions): KeyProbe[] {
  return [...duplicates(plan, options), ...orphans(plan, plans)];
}

/** Unique keys over columns that lose something, or that fold what the source tells apart. */
function duplicates(plan: TablePlan, options: ScanOptions): KeyProbe[] {
  const unique = plan.objects.indexes
    .filter((index) => index.unique && index.filter === null)
    .map(({ name, keys }) => ({ name, columns: keys.map(({ column }) => column) }));
  if (plan.primaryKeyName !== null) unique.unshift({ name: plan.primaryKeyName, columns: plan.primaryKey });
  return unique.flatMap(({ name, columns: names }) => {
    const columns = names.flatMap((target) => plan.columns.find((one) => one.targetName === target) ?? []);
    const why = columns.map((column) => merges(column, options)).find((reason) => reason !== null);
    const values = columns.map((column) => targetValue(column, options));
    if (why == null || columns.length < names.length || values.includes(null)) return [];
    const known = columns.map(({ sourceName }) => `t.${quote(sourceName)} IS NOT NULL`).join(' AND ');
    const groups = `FROM ${quoteTable(plan.source)} AS t WHERE ${known} GROUP BY ${values.join(', ')} HAVING COUNT_BIG(*) > 1`;
    const texts = columns.map((column) => mapColumn(column.source).keyText);
    const example = texts.map((text, i) => text?.toText(`MIN(${comparable(columns[i]!)})`));
    return [
      {
        kind: 'duplicate keys',
        severity: 'fails',
        column: columns.length === 1 ? columns[0]!.sourceName : null,
        object: name,
        effect: `these keys differ ${why}, which ${columns.length === 1 ? columns[0]!.pgType : 'the target'} does not hold apart: ${name} can't be made`,
        remedy:
          'Mend the rows in the source, or give the column a type that keeps the difference in migration.type_overrides.',
        code: 'TARGET_QUERY',
        countSql: `SELECT CONVERT(nvarchar(20), COUNT_BIG(*)) AS n FROM (SELECT COUNT_BIG(*) AS together ${groups}) AS g`,
        exampleSql: example.includes(undefined)
          ? null
          : `SELECT TOP (1) ${example.map((text, i) => `${text} AS k${i}`).join(', ')} ${groups}`,
      },
    ];
  });
}

/** There is no least bit for SQL Server. */
function comparable({ source, sourceName }: PlannedColumn): string {
  const name = `t.${quote(sourceName)}`;
  return source.type === 'bit' ? `CONVERT(tinyint, ${name})` : name;
}

/** @returns in what keys differ that would be one in the target, or null where there are none. */
function merges({ source, pgType, field }: PlannedColumn, { nul, utf8 }: ScanOptions): string | null {
  if (mapColumn(source).loses !== null && source.scale === 7) return 'in the 7th digit of the second only';
  if (source.collation === null || (field !== 'text' && field !== 'bpchar')) return null;
  if (pgType === 'citext' && stringComparison(source.collation).caseSensitive) return 'in case only';
  return nul !== 'error' && utf8 ? 'in U+0000 only' : null;
}

/** What two values share that are equal in the target, as T-SQL; null where SQL Server can't tell. */
function targetValue(
  { source, sourceName, pgType }: PlannedColumn,
  { nul, utf8 }: ScanOptions,
): string | null {
  const name = `t.${quote(sourceName)}`;
  const { field, hash } = mapColumn(source);
  if (field !== 'text' && field !== 'bpchar') return hash.sourceBytes?.(name, nul) ?? null;
  const value = pgType === 'citext' ? `LOWER(${name})` : name;
  // Blanks at the end make no difference to any comparison of SQL Server's: they are told apart by the bytes.
  return utf8 && hash.sourceBytes !== null
    ? hash.sourceBytes(value, nul)
    : `CONVERT(varbinary(max), CONVERT(nvarchar(max), ${value}))`;
}

function orphans(plan: TablePlan, plans: readonly TablePlan[]): KeyProbe[] {
  return plan.objects.foreignKeys.flatMap((key) => {
    const to = plans.find(({ target }) => target.schema === key.to.schema && target.name === key.to.name);
    const pairs = key.columns.map((name, i) => ({
      from: plan.columns.find(({ targetName }) => targetName === name),
      to: to?.columns.find(({ targetName }) => targetName === key.toColumns[i]),
    }));
    const known = pairs.filter((pair): pair is Pair => pair.from !== undefined && pair.to !== undefined);
    if (to === undefined || known.length < pairs.length) return [];
    // What the source has checked, and compares as the target does, needs no look.
    if (key.validate && known.every(({ from }) => strictness(from) === null)) return [];
    const matches = known.map(samePair).join(' AND ');
    const given = known.map(({ from }) => `t.${quote(from.sourceName)} IS NOT NULL`).join(' AND ');
    const rows = `FROM ${quoteTable(plan.source)} AS t WHERE ${given} AND NOT EXISTS (SELECT 1 FROM ${quoteTable(to.source)} AS p WHERE ${matches})`;
    const texts = plan.keyColumns.map((name) => {
      const column = plan.columns.find(({ sourceName }) => sourceName === name);
      return column && mapColumn(column.source).keyText?.toText(`t.${quote(name)}`);
    });
    const named = texts.length > 0 && !texts.includes(undefined);
    return [
      {
        kind: 'orphans',
        severity: key.validate ? 'fails' : 'warns',
        column: known.length === 1 ? known[0]!.from.sourceName : null,
        object: key.name,
        effect: key.validate
          ? `in PostgreSQL, where case and blanks at the end make a difference, these rows point at no row: ${key.name} can't be made`
          : `these rows point at no row: ${key.name}, which the source does not trust, is made NOT VALID and does not check them until they are changed`,
        remedy: key.validate
          ? 'Write the values as the rows they point at have them, choose migration.collation, or set migration.create_foreign_keys: false.'
          : 'Mend or delete the rows in the source, and check the key there: ALTER TABLE ... WITH CHECK CHECK CONSTRAINT.',
        code: 'TARGET_QUERY',
        countSql: `SELECT CONVERT(nvarchar(20), COUNT_BIG(*)) AS n ${rows}`,
        exampleSql: named
          ? `SELECT TOP (1) ${texts.map((text, i) => `${text} AS k${i}`).join(', ')} ${rows} ORDER BY ${plan.keyColumns.map((name) => `t.${quote(name)}`).join(', ')}`
          : null,
      },
    ];
  });
}

interface Pair {
  from: PlannedColumn;
  to: PlannedColumn;
}

/** In what the target's comparison is stricter than the source's; null where it is not. */
function strictness({ source, collation, pgType, field }: PlannedColumn): 'case' | 'blanks' | null {
  if (source.collation === null || (field !== 'text' && field !== 'bpchar')) return null;
  const folds = collation !== undefined || pgType === 'citext';
  if (!folds && !stringComparison(source.collation).binary) return 'case';
  return field === 'text' ? 'blanks' : null;
}

/** Equal in the source, by which its index finds it, and in the target. */
function samePair({ from, to }: Pair): string {
  const [child, parent] = [`t.${quote(from.sourceName)}`, `p.${quote(to.sourceName)}`];
  const strict = strictness(from);
  const same = [`${parent} = ${child}`];
  if (strict === 'case') {
    const exact = ({ source }: PlannedColumn, name: string): string =>
      `${nvarcharOf(source, Number.POSITIVE_INFINITY, name)} ${BY_CODE_UNIT}`;
    same.push(`${exact(to, parent)} = ${exact(from, child)}`);
  }
  if (strict !== null && from.field === 'text') same.push(`DATALENGTH(${parent}) = DATALENGTH(${child})`);
  return same.join(' AND ');
}
