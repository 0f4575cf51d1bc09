/**
 * Numbers, sizes, durations and tables as people read them.
 *
 * Pure; runs on the main thread.
 */

/** `1,234,567` */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A count that may be too large for a number, as text then; `-` where there is none. */
export function groupedCount(value: number | string | null): string {
  return value === null ? '-' : String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1.23 M`, `45.6 K`, `789`: three digits that matter. */
export function short(value: number): string {
  for (const [unit, size] of [
    ['G', 1e9],
    ['M', 1e6],
    ['K', 1e3],
  ] as const) {
    if (value >= size * 0.9995) return `${threeDigits(value / size)} ${unit}`;
  }
  return Number.isInteger(value) ? String(value) : threeDigits(value);
}

/** Decimal units: `12.3 MB`. */
export function byteCount(bytes: number): string {
  return bytes < 1000 ? `${Math.round(bytes)} B` : `${short(bytes).replace(' K', ' k')}B`;
}

/** `0.12 s`, `45.6 s`, `3:05`, `2:03:05`. */
export function duration(ms: number): string {
  if (ms < 59_950) return `${(ms / 1000).toFixed(ms < 9_995 ? 2 : 1)} s`;
  const seconds = Math.round(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

function threeDigits(value: number): string {
  if (value >= 99.95) return String(Math.round(value));
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

/** @returns `part` of `whole` from 0 to 1; `whole` is often an estimate, so a part may be more. */
export function fraction(part: number, whole: number): number {
  return whole <= 0 ? 0 : Math.min(1, part / whole);
}

export interface ColumnStyle {
  title: string;
  align?: 'left' | 'right';
  /** Where the table is too wide, columns go, those with the highest number first; without one they stay. */
  rank?: number;
}

/** @returns a table in plain characters, columns as wide as they need to be, without trailing blanks. */
export function textTable(
  columns: readonly ColumnStyle[],
  rows: readonly (readonly string[])[],
  width = Number.POSITIVE_INFINITY,
): string {
  const clean = rows.map((row) => row.map(oneLine));
  const widths = columns.map(({ title }, i) =>
    clean.reduce((most, row) => Math.max(most, [...(row[i] ?? '')].length), title.length),
  );
  const kept = fittingColumns(columns, widths, width);
  const line = (cells: readonly string[]) =>
    kept
      .map((i) => {
        const cell = cells[i] ?? '';
        const gap = ' '.repeat((widths[i] ?? 0) - [...cell].length);
        return columns[i]?.align === 'right' ? gap + cell : cell + gap;
      })
      .join('  ')
      .trimEnd();
  return [
    line(columns.map(({ title }) => title)),
    line(widths.map((most) => '-'.repeat(most))),
    ...clean.map(line),
  ].join('\n');
}

/** @returns the columns that stay. */
function fittingColumns(columns: readonly ColumnStyle[], widths: readonly number[], width: number): number[] {
  let kept = columns.map((_, i) => i);
  const total = () => kept.reduce((sum, i) => sum + (widths[i] ?? 0) + 2, -2);
  const rank = (i: number) => columns[i]?.rank ?? 0;
  while (total() > width) {
    const least = Math.max(...kept.map(rank));
    if (least === 0) break;
    kept = kept.filter((i) => rank(i) !== least);
  }
  return kept;
}

/** Control characters out of names and messages, so that they can't draw on the terminal. */
export function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}

/** The same of a whole text, whose lines and tabs stay. */
export function plainText(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]+/g, ' ');
}

/** @returns the text's words on lines of at most `width` characters, but for words that are longer. */
export function wrapWords(text: string, width: number): string[] {
  const lines: string[] = [];
  let open = '';
  for (const word of text.split(' ')) {
    if (open !== '' && open.length + 1 + word.length > width) {
      lines.push(open);
      open = word;
    } else open += open === '' ? word : ` ${word}`;
  }
  return [...lines, open];
}
