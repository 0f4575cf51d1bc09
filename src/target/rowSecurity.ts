/**
 * Row-level security of the target: a role that policies apply to sees and writes some rows only, without an error.
 *
 * Runs on the main thread.
 */
import { AppError } from '../errors.js';
import { tableLabel } from '../source/model.js';
import type { TargetRelation } from './catalog.js';
import { qualified } from './identifiers.js';

/** @returns TARGET_PERMISSION where policies decide which of the table's rows the role sees, else null */
export function hiddenRows(
  relation: Pick<TargetRelation, 'schema' | 'name' | 'rowSecurity'>,
): AppError | null {
  if (!relation.rowSecurity) return null;
  const label = tableLabel(relation);
  return new AppError(
    'TARGET_PERMISSION',
    `Row-level security of target table ${label} applies to the role: rows would be hidden from it`,
    {
      table: label,
      remedy: `Connect as the table's owner or as a role with BYPASSRLS; or ALTER TABLE ${qualified(relation)} DISABLE ROW LEVEL SECURITY.`,
    },
  );
}
