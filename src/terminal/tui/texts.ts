/**
 * The longer texts of overlays: help, a table's details, its error.
 *
 * Pure.
 */
import { byteCount, count, duration, oneLine, wrapWords } from '../../observe/format.js';
import { errorLines, errorResult } from '../../observe/result.js';
import type { TableSnapshot } from '../../observe/tally.js';
import { LIMIT_TEXT, type Tiers } from '../../observe/tiers.js';
import type { Task } from './desk.js';
import { KEY_HELP } from './keys.js';
import type { TableRow } from './rows.js';

export function helpText(): string[] {
  return KEY_HELP.map(([keys, meaning]) => `${keys.padEnd(10)}${meaning}`);
}

export function detailText({ snapshot: t, state }: TableRow, width: number): string[] {
  const lines = [
    `state      ${state}`,
    `rows       ${count(t.rows)} of about ${count(t.approximateRows)}; committed ${count(t.rowsCommitted)}`,
    `data       ${byteCount(t.bytes)} in ${count(t.chunks)} chunks${t.retries > 0 ? `, tried again ${t.retries} times` : ''}`,
    `time       ${t.elapsedMs === null ? 'not begun' : duration(t.elapsedMs)}${t.remainingMs !== null && state === 'running' ? `, about ${duration(t.remainingMs)} left` : ''}`,
  ];
  if (t.rowsPerSecond > 0)
    lines.push(`speed      ${count(t.rowsPerSecond)} rows/s, ${byteCount(t.bytesPerSecond)}/s`);
  if (t.limit !== null) lines.push(`now        ${LIMIT_TEXT[t.limit]}`);
  lines.push(...tierLines(t.tiers));
  if (t.error !== null) lines.push('', ...failureText(t, width));
  return lines;
}

function failureText({ error, table }: TableSnapshot, width: number): string[] {
  if (error === null) return [];
  return errorLines(`${table} failed`, errorResult(error)).flatMap((line) => wrapWords(oneLine(line), width));
}

/** Each tier's time: its own work, and whom it waited for. */
function tierLines(tiers: Tiers): string[] {
  return (['reader', 'hasher', 'writer'] as const).flatMap((tier) => {
    const times = Object.entries(tiers[tier]).filter(([, ms]) => ms >= 1);
    const all = times.reduce((sum, [, ms]) => sum + ms, 0);
    if (all === 0) return [];
    const parts = times
      .sort((a, b) => b[1] - a[1])
      .map(([kind, ms]) => `${WAIT_TEXT[kind] ?? kind} ${Math.round((ms / all) * 100)} %`);
    return [`${tier.padEnd(11)}${parts.join(', ')}`];
  });
}

const WAIT_TEXT: Record<string, string> = {
  working: 'worked',
  source: 'waited for SQL Server',
  reader: 'waited for the reader',
  hasher: 'waited for the hasher',
  writer: 'waited for the writer',
  target: 'waited for PostgreSQL',
};

/** The last result as it is printed, or why there is none. */
export function resultText(task: Task | null, width: number): string[] {
  if (task === null) return ['Nothing was started yet.'];
  if (task.end === null) return [`The ${task.name} is still under way.`];
  const { text, error } = task.end;
  const lines = text === '' ? [] : text.split('\n');
  if (error !== undefined) {
    lines.push(
      ...(lines.length > 0 ? [''] : []),
      ...errorLines('', errorResult(error)).flatMap((line) => line.split('\n')),
    );
  }
  return lines.flatMap((line) => fit(line, width));
}

/** Tables keep their columns, and what is too wide is cut at the edge; sentences are wrapped. */
function fit(line: string, width: number): string[] {
  const text = line.trimStart();
  if (line.length <= width || / {2,}/.test(text)) return [line];
  const indent = ' '.repeat(line.length - text.length);
  return wrapWords(text, width - indent.length - 2).map((part, i) => `${indent}${i > 0 ? '  ' : ''}${part}`);
}
