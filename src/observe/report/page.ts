/**
 * The report as one page that needs nothing else: what a run or a verification did, for people.
 *
 * Pure; runs on the main thread. The result that `--output-json` prints stands in the page as well, in the data
 * block `result`.
 */

import type { TierTimes } from '../../engine/sampler.js';
import { byteCount, count, duration, oneLine, short } from '../format.js';
import type { HistoryPoint } from '../pace.js';
import type { ResultError, ResultHead } from '../schemas.js';
import type { Snapshot, TableSnapshot } from '../tally.js';
import { LIMIT_TEXT, limitOf } from '../tiers.js';
import { percent, type Share, shareBars, timeChart, timeline } from './charts.js';
import { dataBlock, html, type Markup } from './html.js';
import { STYLE } from './style.js';

/** What the page tells beside the result: what was seen while the command worked. */
export interface Observed {
  snapshot: Snapshot;
  history: readonly HistoryPoint[];
  /** Where from and where to, in words, without secrets. */
  source: string;
  target: string;
  toolVersion: string;
}

/** Tables a chart shows at most, and rows a table shows at once. */
const MOST_BARS = 25;
const MOST_ROWS = 40;

const STATUS_TEXT = { success: 'done', failed: 'failed', cancelled: 'cancelled' };

/** @returns a whole page. */
export function page(
  title: string,
  result: ResultHead,
  observed: Observed,
  sections: readonly Markup[],
): string {
  const { status, error, run_id: runId, started_at: startedAt, duration_seconds: seconds } = result;
  const { source, target, toolVersion } = observed;
  const ended = error?.code === 'ROWS_DIFFER' ? 'rows differ' : STATUS_TEXT[status];
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}: ${ended}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<header><h1>${title}</h1><span class="${`badge ${status}`}" id="status">${ended}</span></header>
<p class="about">${source} to ${target}<br>begun <time datetime="${startedAt}">${startedAt.slice(0, 19).replace('T', ' ')} UTC</time>, ${duration(seconds * 1000)}; ${runId === null ? null : html`run <code>${runId}</code>; `}mssql-pg-migrate ${toolVersion}</p>
${error === null ? null : errorBox('', error)}
${sections}
</main>
${dataBlock('result', result)}
</body>
</html>
`.text;
}

export function tiles(values: readonly { id: string; value: string; label: string }[]): Markup {
  return html`<div class="tiles">${values.map(
    ({ id, value, label }) => html`<div class="tile"><b id="${id}">${value}</b><span>${label}</span></div>`,
  )}</div>`;
}

export function errorBox(heading: string, error: ResultError): Markup {
  const place = (['column', 'key', 'server_code'] as const).flatMap((name) =>
    error[name] === undefined ? [] : [`${name.replace('_', ' ')} ${error[name]}`],
  );
  return html`<div class="error" role="alert"><p><strong>${heading === '' ? null : `${heading}: `}${oneLine(error.message)}</strong> <code>${error.code}</code></p>
${place.length === 0 ? null : html`<p class="soft">${place.join(', ')}</p>`}
${error.remedy === null ? null : html`<p>What to do: ${error.remedy}</p>`}</div>`;
}

/** Rows and bytes a second, from the start to the end. */
export function throughput({ history, snapshot }: Observed, title: string): Markup | null {
  if (history.length < 2) return null;
  const endMs = snapshot.elapsedMs;
  const rows = history.map(({ atMs, rowsPerSecond }) => ({ atMs, value: rowsPerSecond }));
  const bytes = history.map(({ atMs, bytesPerSecond }) => ({ atMs, value: bytesPerSecond }));
  const moved = bytes.some(({ value }) => value > 0);
  return html`<section><h2>${title}</h2>
<h3>Rows per second</h3><div class="scroll">${timeChart('Rows per second', rows, endMs, short)}</div>
${moved ? html`<h3>Data per second</h3><div class="scroll">${timeChart('Data per second', bytes, endMs, byteCount)}</div>` : null}
${phaseList(snapshot)}</section>`;
}

function phaseList({ phases, elapsedMs }: Snapshot): Markup {
  const lasted = phases
    .map(({ phase, atMs }, i) => ({ phase, ms: (phases[i + 1]?.atMs ?? elapsedMs) - atMs }))
    .filter(({ phase }) => phase !== 'done');
  return html`<p class="legend">${lasted.map(({ phase, ms }) => html`<span>${phase} ${duration(ms)}</span>`)}</p>`;
}

/** When each table was worked on, those that took longest if they are many. */
export function tableTimeline(
  { snapshot }: Observed,
  label: (table: TableSnapshot) => string,
): Markup | null {
  const begun = snapshot.tables.filter(({ begunMs }) => begunMs !== null);
  if (begun.length === 0) return null;
  const shown = [...begun]
    .sort((a, b) => (b.elapsedMs ?? 0) - (a.elapsedMs ?? 0))
    .slice(0, MOST_BARS)
    .sort((a, b) => a.begunMs! - b.begunMs!);
  const bars = shown.map((table) => ({
    name: table.table,
    startMs: table.begunMs!,
    endMs: table.begunMs! + (table.elapsedMs ?? 0),
    label: label(table),
    failed: table.status === 'failed',
  }));
  const endMs = Math.max(...bars.map((bar) => bar.endMs));
  const which =
    shown.length < begun.length
      ? html`<p class="soft">The ${shown.length} of ${begun.length} that took longest.</p>`
      : null;
  return html`<section><h2>When each table was worked on</h2>${which}<div class="scroll">${timeline('When each table was worked on', bars, endMs)}</div></section>`;
}

const KIND_TEXT: Record<keyof TierTimes, string> = {
  working: 'working',
  source: 'waiting for SQL Server',
  reader: 'waiting for the reader',
  hasher: 'waiting for the hasher',
  writer: 'waiting for the writer',
  target: 'waiting for PostgreSQL',
};

/** What the tiers' time went into. */
export function tierWaits({ snapshot }: Observed): Markup | null {
  const { tiers } = snapshot;
  const lines = (['reader', 'hasher', 'writer'] as const).flatMap((tier) => {
    const all = Object.values(tiers[tier]).reduce((sum, ms) => sum + ms, 0);
    if (all < 1) return [];
    const shares: Share[] = Object.entries(tiers[tier])
      .map(([kind, ms]) => ({ name: KIND_TEXT[kind as keyof TierTimes], kind, part: ms / all }))
      .filter(({ part }) => part > 0.001);
    return [{ name: tier, shares }];
  });
  if (lines.length === 0) return null;
  const kinds = [...new Set(lines.flatMap(({ shares }) => shares.map(({ kind }) => kind)))];
  const limit = limitOf(tiers);
  return html`<section><h2>Where the time went</h2>
<p>Readers take rows from SQL Server, hashers compute row hashes, writers send them to PostgreSQL.${limit === null ? null : ` For the most part, the run was ${LIMIT_TEXT[limit]}.`}</p>
<div class="scroll">${shareBars('What the time of each tier went into', lines)}</div>
<p class="legend">${kinds.map((kind) => html`<span><i class="${kind}"></i>${KIND_TEXT[kind as keyof TierTimes]}</span>`)}</p>
<details><summary>The same as numbers</summary><table><thead><tr><th>tier</th><th>time went into</th><th class="n">part</th></tr></thead><tbody>${lines.flatMap(
    ({ name, shares }) =>
      shares.map(
        (share) =>
          html`<tr><td>${name}</td><td>${share.name}</td><td class="n">${percent(share.part)}</td></tr>`,
      ),
  )}</tbody></table></details></section>`;
}

/** A table's name, and where it went: only the schema where the name is the same. */
export function tableName(table: string, target: string): Markup {
  const name = (label: string) => label.slice(label.indexOf('.'));
  const to = name(table) === name(target) ? target.slice(0, target.indexOf('.')) : target;
  return html`${table} <span class="soft">to ${to}</span>`;
}

/** A bar in a table's cell, as long as its part of the largest. */
export function cellBar(part: number, failed: boolean): Markup {
  const width = Math.max(part > 0 ? 1 : 0, Math.round(part * 1000) / 10);
  return html`<svg viewBox="0 0 100 8" height="8" preserveAspectRatio="none" aria-hidden="true"><rect class="back" width="100" height="8" rx="2"/><rect class="${failed ? 'bar failed' : 'bar'}" width="${width}" height="8" rx="2"/></svg>`;
}

/** A table whose later rows are folded away where it is long. */
export function longTable(id: string, head: Markup, rows: readonly Markup[], shown = MOST_ROWS): Markup {
  const table = (some: readonly Markup[], attributes: Markup) =>
    html`<div class="scroll"><table${attributes}><thead><tr>${head}</tr></thead><tbody>${some}</tbody></table></div>`;
  const rest = rows.slice(shown);
  return html`${table(rows.slice(0, shown), html` id="${id}"`)}${
    rest.length === 0
      ? null
      : html`<details><summary>${count(rest.length)} more</summary>${table(rest, html``)}</details>`
  }`;
}

export function notesSection(
  title: string,
  notes: readonly { table: string | null; text: string }[],
): Markup | null {
  if (notes.length === 0) return null;
  const items = notes.map(
    ({ table, text }) =>
      html`<li>${table === null ? null : html`<strong>${table}</strong>: `}${oneLine(text)}</li>`,
  );
  const list = (some: readonly Markup[]) => html`<ul>${some}</ul>`;
  const rest = items.slice(MOST_ROWS);
  return html`<section><h2>${title}</h2>${list(items.slice(0, MOST_ROWS))}${
    rest.length === 0
      ? null
      : html`<details><summary>${count(rest.length)} more</summary>${list(rest)}</details>`
  }</section>`;
}
