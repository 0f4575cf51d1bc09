/**
 * The report of a run.
 *
 * Pure; runs on the main thread.
 */
import { byteCount, count, duration, short } from '../format.js';
import type { RunResult, TableResult } from '../schemas.js';
import { LIMIT_TEXT, limitOf } from '../tiers.js';
import { html, type Markup } from './html.js';
import {
  cellBar,
  errorBox,
  longTable,
  notesSection,
  type Observed,
  page,
  tableName,
  tableTimeline,
  throughput,
  tierWaits,
  tiles,
} from './page.js';

const STEPS_SHOWN = 15;
const LEFT_OUT = 'left out: ';

/** @returns the report of a run as a page. */
export function runPage(result: RunResult, observed: Observed): string {
  const lossy = result.tables.flatMap(({ table, notes }) =>
    notes.filter((text) => !text.startsWith(LEFT_OUT)).map((text) => ({ table, text })),
  );
  return page(
    'Migration report',
    result,
    observed,
    [
      tiles([
        { id: 'rows', value: count(result.rows_transferred), label: 'rows in the target' },
        { id: 'tables', value: `${result.tables_success} of ${result.tables_total}`, label: 'tables done' },
        { id: 'bytes', value: byteCount(result.bytes), label: 'of data' },
        { id: 'duration', value: duration(result.duration_seconds * 1000), label: 'from start to end' },
        { id: 'rate', value: short(result.rows_per_second), label: 'rows per second, over all' },
        { id: 'retries', value: count(result.retries), label: 'retries' },
      ]),
      ...errors(result),
      throughput(observed, 'How fast rows came'),
      tierWaits(observed),
      tables(result, observed),
      tableTimeline(observed, ({ rows, elapsedMs }) => `${short(rows)} rows, ${duration(elapsedMs ?? 0)}`),
      leftOut(result),
      notesSection('What the mapping changes', lossy),
      steps(result),
      notesSection(
        'Notes',
        result.notes.map((text) => ({ table: null, text })),
      ),
    ].filter((section) => section !== null),
  );
}

function errors(result: RunResult): Markup[] {
  return [
    ...result.tables.flatMap((t) => (t.error === undefined ? [] : [errorBox(`${t.table} failed`, t.error)])),
    ...result.steps.flatMap((s) =>
      s.error === undefined ? [] : [errorBox(`${s.step} ${s.name} of ${s.table} failed`, s.error)],
    ),
  ];
}

function tables(result: RunResult, { snapshot }: Observed): Markup {
  const most = Math.max(1, ...result.tables.map(({ bytes }) => bytes));
  const changed = result.tables.some(({ changes }) => changes !== undefined);
  const limits = new Map(snapshot.tables.map(({ table, tiers }) => [table, limitOf(tiers)]));
  const sorted = [...result.tables].sort((a, b) => b.bytes - a.bytes);
  const rows = sorted.map((t) => {
    const limit = limits.get(t.table) ?? null;
    return html`<tr><td>${tableName(t.table, t.target)}</td><td class="${t.status}">${t.status}</td><td class="n">${count(t.rows)}</td><td class="n">${byteCount(t.bytes)}</td><td class="bars">${cellBar(t.bytes / most, t.status === 'failed')}</td><td class="n">${duration(t.duration_seconds * 1000)}</td><td class="n">${short(t.rows_per_second)}</td><td class="n">${t.retries === 0 ? null : t.retries}</td>${changed ? changes(t) : null}<td class="mostly">${limit === null ? null : LIMIT_TEXT[limit]}</td></tr>`;
  });
  const head = html`<th>table</th><th>status</th><th class="n">rows</th><th class="n">size</th><th></th><th class="n">time</th><th class="n">rows/s</th><th class="n">retries</th>${
    changed ? html`<th class="n">inserted</th><th class="n">updated</th><th class="n">deleted</th>` : null
  }<th>mostly</th>`;
  return html`<section><h2>Tables</h2>${longTable('table-list', head, rows)}</section>`;
}

function changes({ changes: found }: TableResult): Markup {
  const cell = (value: number | undefined) =>
    html`<td class="n">${value === undefined ? null : count(value)}</td>`;
  return html`${cell(found?.inserted)}${cell(found?.updated)}${cell(found?.deleted)}`;
}

function leftOut(result: RunResult): Markup | null {
  const all = result.tables.flatMap((t) => t.left_out.map((one) => ({ table: t.table, ...one })));
  if (all.length === 0) return null;
  return html`<section><h2>Left out</h2><p>The source has these and the target does not.</p>${longTable(
    'left-out',
    html`<th>table</th><th>what</th><th>name</th><th>reason</th>`,
    all.map(
      ({ table, kind, name, definition, reason }) =>
        html`<tr><td>${table}</td><td>${kind}</td><td>${name}${definition === null || definition === '' ? null : html`<br><code>${definition}</code>`}</td><td>${reason}</td></tr>`,
    ),
  )}</section>`;
}

function steps(result: RunResult): Markup | null {
  if (result.steps.length === 0) return null;
  const slowest = [...result.steps].sort((a, b) => b.duration_seconds - a.duration_seconds);
  const most = Math.max(slowest[0]!.duration_seconds, 0.001);
  const rows = slowest.map(
    (s) =>
      html`<tr><td>${s.step}</td><td>${s.table}</td><td>${s.name}</td><td class="n">${duration(s.duration_seconds * 1000)}</td><td class="bars">${cellBar(s.duration_seconds / most, s.error !== undefined)}</td></tr>`,
  );
  const head = html`<th>step</th><th>table</th><th>name</th><th class="n">time</th><th></th>`;
  return html`<section><h2>What followed the rows</h2><p>${count(rows.length)} steps: keys, indexes, constraints, defaults, statistics; the slowest first.</p>${longTable('steps', head, rows, STEPS_SHOWN)}</section>`;
}
