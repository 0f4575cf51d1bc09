/**
 * Lines of progress, fitted to the width there is: what matters least goes first.
 *
 * Pure; runs on the main thread.
 */
import { styleText } from 'node:util';
import { byteCount, count, duration, fraction, oneLine, short } from './format.js';
import type { TableSnapshot, Totals } from './tally.js';
import { LIMIT_TEXT } from './tiers.js';

type Style = Parameters<typeof styleText>[0];

/** A part of a line; where there is no room, those with the highest `rank` are left out. */
interface Part {
  text: string;
  rank: number;
  style?: Style;
}

/** What a line may take. */
export interface LineRoom {
  /** In characters. */
  width: number;
  color: boolean;
}

const WIDE: LineRoom = { width: 200, color: false };
const BAR_WIDTH = 16;
const GAP = '  ';

/** `transfer [=====>    ]  45 %  3/10 tables  1.20 M of 2.60 M rows  310 K rows/s  45.0 MB/s  0:05 left  waiting for ...` */
export function overallLine(s: Totals, room: LineRoom = WIDE): string {
  const part = fraction(s.rows, s.approximateRows);
  const phase: Part = { text: s.phase.padEnd(8), rank: 0, style: 'bold' };
  const elapsed: Part = { text: duration(s.elapsedMs), rank: 1 };
  if (s.phase === 'connect' || s.phase === 'plan' || s.phase === 'prepare') {
    return fit([phase, elapsed, ...(s.tablesTotal === 0 ? [] : [tablesPart(s)])], room);
  }
  const failed: Part[] =
    s.tablesFailed === 0 ? [] : [{ text: `${s.tablesFailed} failed`, rank: 1, style: 'red' }];
  return fit(
    [
      phase,
      { text: bar(part), rank: 7, style: 'cyan' },
      { text: percent(part), rank: 0 },
      tablesPart(s),
      ...failed,
      { text: `${short(s.rows)} of ${short(s.approximateRows)} rows`, rank: 6 },
      { text: `${short(s.rowsPerSecond)} rows/s`, rank: 2 },
      { text: `${byteCount(s.bytesPerSecond)}/s`, rank: 4 },
      s.remainingMs === null ? elapsed : { text: `${duration(s.remainingMs)} left`, rank: 1 },
      ...limitPart(s),
    ],
    room,
  );
}

/** `  dbo.Votes      45 %  1,200,000 rows  310 K rows/s  45.0 MB/s  0:05 left  waiting for PostgreSQL` */
export function tableLine(t: TableSnapshot, room: LineRoom = WIDE): string {
  const nameWidth = Math.max(8, Math.min(30, Math.floor(room.width / 3)));
  const retries: Part[] =
    t.retries === 0
      ? []
      : [{ text: `${t.retries} ${t.retries === 1 ? 'retry' : 'retries'}`, rank: 5, style: 'yellow' }];
  return fit(
    [
      { text: `  ${shorten(oneLine(t.table), nameWidth).padEnd(nameWidth)}`, rank: 0 },
      { text: percent(fraction(t.rows, t.approximateRows)), rank: 0 },
      { text: `${count(t.rows)} rows`, rank: 4 },
      { text: `${short(t.rowsPerSecond)} rows/s`, rank: 1 },
      { text: `${byteCount(t.bytesPerSecond)}/s`, rank: 6 },
      ...(t.remainingMs === null ? [] : [{ text: `${duration(t.remainingMs)} left`, rank: 2 }]),
      ...retries,
      ...limitPart(t),
    ],
    room,
  );
}

function tablesPart(s: Totals): Part {
  return { text: `${s.tablesCompleted}/${s.tablesTotal} tables`, rank: 5 };
}

function limitPart({ limit }: Pick<Totals, 'limit'>): Part[] {
  return limit === null ? [] : [{ text: LIMIT_TEXT[limit], rank: 3, style: 'dim' }];
}

function fit(parts: readonly Part[], { width, color }: LineRoom): string {
  let kept = parts;
  while (kept.length > 1 && widthOf(kept) > width) {
    const least = Math.max(...kept.map(({ rank }) => rank));
    if (least === 0) break;
    kept = kept.filter(({ rank }) => rank !== least);
  }
  const line = kept
    .map(({ text, style }) =>
      color && style !== undefined ? styleText(style, text, { validateStream: false }) : text,
    )
    .join(GAP);
  return widthOf(kept) > width ? line.slice(0, width) : line;
}

function widthOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { text }) => sum + text.length, (parts.length - 1) * GAP.length);
}

function bar(part: number): string {
  const full = Math.round(part * BAR_WIDTH);
  return `[${'='.repeat(full)}${' '.repeat(BAR_WIDTH - full)}]`;
}

function percent(part: number): string {
  // 100 % is for what is done: an estimate that is passed early stays below.
  return `${String(Math.floor(part * 100)).padStart(3)} %`;
}

function shorten(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}\u2026`;
}
