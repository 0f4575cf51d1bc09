/**
 * The statements that bring a chunk of rows into a table that keeps its rows: COPY into a temporary table, then
 * one INSERT ... ON CONFLICT that touches only rows whose values differ.
 *
 * Pure; main thread. The writers run them as part of a chunk's transaction.
 */
import type { ChunkStatements } from '../plan/chunk.js';
import { copiedColumns, type TablePlan } from '../plan/model.js';
import { targetKey } from '../plan/modes/upsert.js';
import { copyStatement } from '../target/ddl.js';
import { qualified, quoteIdent } from '../target/identifiers.js';
import { type HashedExpression, hashedColumns, targetCanonical } from '../verify/hashSql.js';

/** PostgreSQL that says of each row of an INSERT ... ON CONFLICT what it was before. */
const RETURNS_OLD_ROWS = 180_000;

/**
 * @param serverVersion the target's `server_version_num`
 * @returns the statements of one chunk of changed rows.
 */
export function mergeStatements(
  plan: TablePlan,
  format: 'binary' | 'text',
  serverVersion: number,
): ChunkStatements {
  const stage = { schema: 'pg_temp', name: `stage_${plan.index}` };
  const names = copiedColumns(plan).map(({ targetName }) => targetName);
  if (plan.rowHashColumn !== null) names.push(plan.rowHashColumn);
  const list = names.map(quoteIdent).join(', ');
  const key = targetKey(plan);
  // A key that is equal but for case is the same row, and takes the source's spelling.
  const folding = foldingKeys(plan);
  const others = names.filter((name) => !key.includes(name) || folding.includes(name));
  const match = key.map((name) => `t.${quoteIdent(name)} = s.${quoteIdent(name)}`).join(' AND ');
  const updates = others.map((name) => `${quoteIdent(name)} = EXCLUDED.${quoteIdent(name)}`);
  const resolve =
    updates.length === 0
      ? 'DO NOTHING'
      : `DO UPDATE SET ${updates.join(', ')} WHERE ${differs(plan, others)}`;
  const insert =
    // A key that the target would give itself is the source's all the same, as it is in a COPY.
    `INSERT INTO ${qualified(plan.target)} AS t (${list}) OVERRIDING SYSTEM VALUE SELECT ${list} FROM ${qualified(stage)} ` +
    `ON CONFLICT (${key.map(quoteIdent).join(', ')}) ${resolve}`;
  return {
    before: [
      `CREATE TEMPORARY TABLE IF NOT EXISTS ${quoteIdent(stage.name)} ON COMMIT DELETE ROWS AS ` +
        `SELECT ${list} FROM ${qualified(plan.target)} WITH NO DATA`,
    ],
    copy: copyStatement({ ...plan, target: stage }, format),
    merge:
      serverVersion >= RETURNS_OLD_ROWS
        ? `WITH merged AS (${insert} RETURNING old.${quoteIdent(key[0]!)} IS NULL AS is_new) ` +
          'SELECT count(*) FILTER (WHERE is_new)::float8 AS inserted, ' +
          'count(*) FILTER (WHERE NOT is_new)::float8 AS updated FROM merged'
        : `WITH present AS (SELECT count(*) AS rows FROM ${qualified(stage)} AS s ` +
          `WHERE EXISTS (SELECT FROM ${qualified(plan.target)} AS t WHERE ${match})), ` +
          `merged AS (${insert} RETURNING true), ` +
          // Inlined, it would have every row looked up twice.
          `counts AS MATERIALIZED (SELECT (SELECT count(*) FROM ${qualified(stage)}) - (SELECT rows FROM present) AS inserted, ` +
          '(SELECT count(*) FROM merged) AS written) ' +
          'SELECT inserted::float8 AS inserted, (written - inserted)::float8 AS updated FROM counts',
  };
}

/**
 * Whether the row in the target differs from the one that came. Its real values are compared, in the canonical
 * form, and not what its row hash says of them; columns outside of the hash are compared as texts.
 */
function differs(plan: TablePlan, others: readonly string[]): string {
  const hashed = hashedColumns(plan);
  const side = (alias: string): string => {
    const values: HashedExpression[] = hashed.map((column) => ({
      column,
      expression: `${alias}.${quoteIdent(column.targetName)}`,
    }));
    return targetCanonical(values);
  };
  const covered = new Set([...hashed.map(({ targetName }) => targetName), ...foldingKeys(plan)]);
  const conditions = hashed.length === 0 ? [] : [`${side('t')} <> ${side('EXCLUDED')}`];
  for (const name of foldingKeys(plan)) {
    conditions.push(`${bytesOf(`t.${quoteIdent(name)}`)} <> ${bytesOf(`EXCLUDED.${quoteIdent(name)}`)}`);
  }
  for (const name of others) {
    // Long texts and the row hash, byte by byte: xml knows no equality, and a collation may fold.
    if (!covered.has(name))
      conditions.push(
        `${bytesOf(`t.${quoteIdent(name)}`)} IS DISTINCT FROM ${bytesOf(`EXCLUDED.${quoteIdent(name)}`)}`,
      );
  }
  return conditions.join(' OR ');
}

/** Key columns, by target name, whose values may be equal without being the same. */
function foldingKeys(plan: TablePlan): string[] {
  return plan.columns
    .filter(
      ({ keyPosition, pgType, collation }) =>
        keyPosition >= 0 && (pgType === 'citext' || collation !== undefined),
    )
    .map(({ targetName }) => targetName);
}

/** A text's bytes, which are compared as they are. */
function bytesOf(expression: string): string {
  return `textsend(CAST(${expression} AS text))`;
}

/** Keys one DELETE names at most. */
export const MAX_DELETED_KEYS = 1000;

/**
 * The statement that deletes rows by their keys; its parameters are one array of texts a key column.
 *
 * @param types the key columns' own types, without limits: a cast to a shorter type would change a key in silence,
 * and the wrong row would go.
 */
export function deleteStatement(plan: TablePlan, types: ReadonlyMap<string, string>): string {
  const key = targetKey(plan);
  const arrays = key.map((_, i) => `$${i + 1}::text[]`).join(', ');
  const names = key.map((_, i) => `k${i}`).join(', ');
  const folding = foldingKeys(plan);
  const match = key.flatMap((name, i) => {
    const [there, wanted] = [`t.${quoteIdent(name)}`, `w.k${i}::${types.get(name)}`];
    const same = folding.includes(name) ? [`${bytesOf(there)} = ${bytesOf(wanted)}`] : [];
    return [`${there} = ${wanted}`, ...same];
  });
  return `DELETE FROM ${qualified(plan.target)} AS t USING unnest(${arrays}) AS w(${names}) WHERE ${match.join(' AND ')}`;
}
