/**
 * Plans computed columns: which of them the target computes itself, and why the values of others are copied.
 *
 * Runs on the main thread; the plan is pure, `proveGenerated` asks the target.
 */
import { toErrorData } from '../errors.js';
import type { TargetConnection } from '../target/connection.js';
import { quoteIdent } from '../target/identifiers.js';
import { columnType, translateComputed } from '../translate/translate.js';
import { mapColumn } from '../types/index.js';
import type { PlannedColumn, TablePlan } from './model.js';
import type { ObjectWork } from './objectWork.js';
import type { TypeOptions } from './typeChoices.js';

export function planComputed(work: ObjectWork, wanted: TypeOptions['computedColumns']): void {
  for (const column of work.plan.columns) {
    if (column.source.computed === null) continue;
    const found = generatedBy(work, column, wanted);
    if ('sql' in found) column.generated = found.sql;
    else noteCopied(work.plan, column, found.reason);
  }
}

function generatedBy(
  { context }: ObjectWork,
  { source, keyPosition }: PlannedColumn,
  wanted: TypeOptions['computedColumns'],
): { sql: string } | { reason: string } {
  const { definition, persisted } = source.computed!;
  if (keyPosition >= 0) return { reason: 'it is part of the key that rows are told apart by' };
  if (wanted !== 'generated') return { reason: `migration.computed_columns is ${wanted}` };
  if (!persisted) return { reason: 'it is not persisted in the source' };
  const found = translateComputed(definition, columnType(source), context);
  if ('untranslated' in found) return { reason: found.untranslated };
  if (found.caveats.length > 0) return { reason: found.caveats.join('; ') };
  const { conversion, pgType } = mapColumn(source);
  const sql = conversion === undefined ? found.sql : conversion.fromOwn(found.sql);
  return sql === null ? { reason: `no expression gives it as ${pgType}` } : { sql };
}

function noteCopied(plan: TablePlan, { sourceName, source }: PlannedColumn, reason: string): void {
  const definition = source.computed?.definition ?? '';
  const shown = definition === '' ? '' : ` as ${definition}`;
  plan.notes.push(`column ${sourceName} is computed in the source${shown}; its values are copied: ${reason}`);
}

/**
 * Has PostgreSQL look at each expression of a generated column: it must be immutable, and of a type that fits. Those
 * that it refuses are copied. The table this takes is temporary, and rolled back.
 */
export async function proveGenerated(
  target: Pick<TargetConnection, 'query'>,
  plans: readonly TablePlan[],
): Promise<void> {
  for (const plan of plans) {
    const generated = plan.columns.filter((column) => column.generated !== undefined);
    if (generated.length === 0 || (await refusal(target, plan, generated)) === null) continue;
    for (const column of generated) {
      const reason = await refusal(target, plan, [column]);
      if (reason === null) continue;
      delete column.generated;
      noteCopied(plan, column, `PostgreSQL can't generate it: ${reason}`);
    }
  }
}

/** Types of extensions, which may not be there yet, as types that convert alike. */
const STANDS_FOR: Record<string, string> = { citext: 'text', geometry: 'bytea', geography: 'bytea' };

async function refusal(
  target: Pick<TargetConnection, 'query'>,
  plan: TablePlan,
  generated: readonly PlannedColumn[],
): Promise<string | null> {
  const columns = plan.columns
    .filter((column) => column.generated === undefined || generated.includes(column))
    .map(({ targetName, pgType, generated: expression }) => {
      const type = STANDS_FOR[pgType] ?? pgType;
      const computed = expression === undefined ? '' : ` GENERATED ALWAYS AS (${expression}) STORED`;
      return `${quoteIdent(targetName)} ${type}${computed}`;
    });
  await target.query('BEGIN');
  try {
    await target.query(
      `CREATE TEMPORARY TABLE mssql_pg_migrate_probe (${columns.join(', ')}) ON COMMIT DROP`,
    );
    return null;
  } catch (error) {
    const { code, message } = toErrorData(error);
    if (code.endsWith('_CONNECTION_LOST')) throw error;
    return message;
  } finally {
    await target.query('ROLLBACK');
  }
}
