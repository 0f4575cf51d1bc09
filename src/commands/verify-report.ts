/**
 * How a verification's findings are shown to people.
 *
 * Pure; runs on the main thread.
 */
import type { VerifyResult } from '../observe/commandSchemas.js';
import { groupedCount, textTable } from '../observe/format.js';
import { errorLines } from '../observe/result.js';

export function verifyReport(result: VerifyResult): string {
  const { tables } = result;
  const right = (title: string) => ({ title, align: 'right' as const });
  const lines = [
    textTable(
      [
        { title: 'table' },
        { title: 'target' },
        right('source rows'),
        right('target rows'),
        right('insert'),
        right('update'),
        right('delete'),
        { title: 'status' },
      ],
      tables.map((t) => [
        t.table,
        t.target,
        ...[t.source_rows, t.target_rows, t.inserts_needed, t.updates_needed, t.deletes_needed].map(
          groupedCount,
        ),
        t.status,
      ]),
    ),
    '',
  ];
  for (const t of tables) {
    for (const [what, keys] of Object.entries(t.details)) {
      if (keys.length === 0) continue;
      lines.push(`${t.table}: ${what} needed`, ...keys.map((key) => `  ${key.map(quoted).join(', ')}`), '');
    }
    if (t.error !== undefined) lines.push(...errorLines(`${t.table} failed`, t.error), '');
  }
  const notes = [...tables.flatMap((t) => t.notes.map((note) => `${t.table}: ${note}`)), ...result.notes];
  if (notes.length > 0) lines.push('Notes', ...notes.map((note) => `  ${note}`), '');
  lines.push(verdictLine(result));
  return lines.join('\n');
}

function verdictLine(result: VerifyResult): string {
  const { tables_total: total, tables_differing: differing, tables_failed: failed } = result;
  if (differing === 0 && failed === 0) return `All ${total} tables hold the same rows.`;
  const parts = [`${differing} of ${total} tables differ`];
  if (failed > 0) parts.push(`${failed} could not be compared`);
  return `${parts.join(', ')}.`;
}

/** Texts as JSON: blanks at the ends and control characters are seen. */
function quoted(text: string): string {
  return /^[\w.:+-]+$/.test(text) ? text : JSON.stringify(text);
}
