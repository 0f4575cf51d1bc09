/**
 * Throughput over time in braille characters: two columns and four rows of dots in each.
 *
 * Pure.
 */
import type { HistoryPoint } from '../../observe/pace.js';

const EMPTY = 0x2800;
/** Dots of a character from the bottom up, left column and right column. */
const DOTS = [
  [0x40, 0x04, 0x02, 0x01],
  [0x80, 0x20, 0x10, 0x08],
] as const;

export interface Plot {
  /** As many lines as asked for, each of the width asked for, from the top. */
  lines: string[];
  /** What the top stands for. */
  mostRowsPerSecond: number;
  /** What the whole width stands for. */
  spanMs: number;
}

/** Draws the whole run, however long, into `width` times `height` characters. */
export function plot(history: readonly HistoryPoint[], width: number, height: number): Plot {
  const columns = width * 2;
  const spanMs = history.at(-1)?.atMs ?? 0;
  const speeds = resample(history, columns, spanMs);
  const most = Math.max(0, ...speeds);
  const cells = Array.from({ length: height }, () => new Array<number>(width).fill(EMPTY));
  speeds.forEach((speed, column) => {
    // Something is never drawn as nothing.
    const dots = most === 0 ? 0 : Math.max(speed > 0 ? 1 : 0, Math.round((speed / most) * height * 4));
    for (let dot = 0; dot < dots; dot++) {
      const row = cells[height - 1 - Math.floor(dot / 4)]!;
      row[column >> 1]! |= DOTS[(column & 1) as 0 | 1][(dot % 4) as 0 | 1 | 2 | 3];
    }
  });
  return {
    lines: cells.map((row) => String.fromCharCode(...row)),
    mostRowsPerSecond: most,
    spanMs,
  };
}

/** @returns the mean speed of each of `columns` equal stretches of time. */
function resample(history: readonly HistoryPoint[], columns: number, spanMs: number): number[] {
  const rows = new Array<number>(columns).fill(0);
  if (spanMs <= 0) return rows;
  const stretchMs = spanMs / columns;
  let beginMs = 0;
  for (const { atMs, rowsPerSecond } of history) {
    for (let column = Math.floor(beginMs / stretchMs); column < columns; column++) {
      const overlapMs = Math.min(atMs, (column + 1) * stretchMs) - Math.max(beginMs, column * stretchMs);
      if (overlapMs <= 0) break;
      rows[column]! += rowsPerSecond * overlapMs;
    }
    beginMs = atMs;
  }
  return rows.map((sum) => sum / stretchMs);
}

const EIGHTHS = ['', '\u258f', '\u258e', '\u258d', '\u258c', '\u258b', '\u258a', '\u2589'];

/** A bar of `width` characters in all, filled from 0 to 1. */
export function bar(part: number, width: number): { filled: string; rest: string } {
  const eighths = Math.round(Math.min(1, Math.max(0, part)) * width * 8);
  const filled = '\u2588'.repeat(eighths >> 3) + EIGHTHS[eighths & 7];
  return { filled, rest: '\u2591'.repeat(width - filled.length) };
}
