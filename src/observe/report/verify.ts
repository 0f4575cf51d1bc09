/**
 * The report of a verification.
 *
 * Pure; runs on the main thread.
 */
import type { VerifyResult, VerifyTableResult } from '../commandSchemas.js';
import { count, duration, groupedCount, short } from '../format.js';
import { html, type Markup } from './html.js';
import {
  errorBox,
  longTable,
  notesSection,
  type Observed,
  page,
  tableName,
  tableTimeline,
  throughput,
  tiles,
} from './page.js';

const CHANGES = [
  ['inserts', 'to insert: only the source has them'],
  ['updates', 'to update: their values differ'],
  ['deletes', 'to delete: only the target has them'],
] as const;

/** @returns the report of a verification as a page. */
export function verifyPage(result: VerifyResult, observed: Observed): string {
  const notes = result.tables.flatMap(({ table, notes: texts }) => texts.map((text) => ({ table, text })));
  return page(
    'Verification report',
    result,
    observed,
    [
      tiles([
        {
          id: 'matching',
          value: `${result.tables_matching} of ${result.tables_total}`,
          label: 'tables match',
        },
        { id: 'differing', value: count(result.tables_differing), label: 'tables differ' },
        { id: 'failed', value: count(result.tables_failed), label: 'not compared' },
        { id: 'rows', value: count(observed.snapshot.rows), label: 'rows compared' },
        { id: 'duration', value: duration(result.duration_seconds * 1000), label: 'from start to end' },
      ]),
      ...result.tables.flatMap((t) =>
        t.error === undefined ? [] : [errorBox(`${t.table} failed`, t.error)],
      ),
      tables(result.tables),
      differences(result.tables),
      throughput(observed, 'How fast rows were compared'),
      tableTimeline(observed, ({ rows, elapsedMs }) => `${short(rows)} rows, ${duration(elapsedMs ?? 0)}`),
      notesSection('Notes', [...notes, ...result.notes.map((text) => ({ table: null, text }))]),
    ].filter((section) => section !== null),
  );
}

function tables(all: readonly VerifyTableResult[]): Markup {
  const order = ['failed', 'missing', 'differs', 'match'];
  const sorted = [...all].sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
  const rows = sorted.map((t) => {
    const counts = [t.source_rows, t.target_rows, t.inserts_needed, t.updates_needed, t.deletes_needed];
    return html`<tr><td>${tableName(t.table, t.target)}</td><td class="${t.status}">${t.status}</td>${counts.map((value) => html`<td class="n">${groupedCount(value)}</td>`)}<td class="n">${duration(t.duration_seconds * 1000)}</td><td class="mostly">${t.method}</td></tr>`;
  });
  const head = html`<th>table</th><th>status</th><th class="n">in source</th><th class="n">in target</th><th class="n">insert</th><th class="n">update</th><th class="n">delete</th><th class="n">time</th><th>compared by</th>`;
  return html`<section><h2>Tables</h2>${longTable('table-list', head, rows)}</section>`;
}

function differences(all: readonly VerifyTableResult[]): Markup | null {
  const lists = all.flatMap((t) =>
    CHANGES.flatMap(([kind, text]) => {
      const keys = t.details[kind];
      return keys.length === 0 ? [] : [{ title: `${t.table}: ${text}`, keys }];
    }),
  );
  if (lists.length === 0) return null;
  return html`<section id="differences"><h2>Rows that differ</h2>${lists.map(
    ({ title, keys }) =>
      html`<h3>${title}</h3><ul>${keys.map((key) => html`<li><code>${key.map((text) => JSON.stringify(text)).join(', ')}</code></li>`)}</ul>`,
  )}</section>`;
}
