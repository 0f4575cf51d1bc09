/**
 * Configuration problems, collected and reported all at once.
 *
 * Runs on the main thread only.
 */
import { AppError } from '../errors.js';

export interface Problem {
  path: string[];
  /** What is wrong and what would be right, to follow the path: `is missing; give ...`. */
  text: string;
}

/** Where a value was given: a place in the file (1-based), or a command line option. */
export type Origin = { line: number; column: number } | { option: string };

/** @returns one CONFIG_INVALID that lists the problems in the order of the file, one a line. */
export function reportProblems(
  file: string,
  problems: readonly Problem[],
  locate: (path: readonly string[]) => Origin | undefined = () => undefined,
): AppError {
  const seen = new Set<string>();
  const lines: { rank: number; text: string }[] = [];
  for (const { path, text } of problems) {
    const name = path.join('.');
    // A value that fails two checks fails both for the same reason; the first says it.
    if (seen.has(name)) continue;
    seen.add(name);
    const origin = locate(path);
    let place = '';
    let rank = Number.MAX_SAFE_INTEGER;
    if (origin !== undefined && 'option' in origin) place = ` (from ${origin.option})`;
    else if (origin !== undefined) {
      place = ` (line ${origin.line}, column ${origin.column})`;
      rank = origin.line * 10_000 + Math.min(origin.column, 9_999);
    }
    lines.push({ rank, text: `${name}${place} ${text}` });
  }
  lines.sort((a, b) => a.rank - b.rank);
  const [first] = lines;
  const message =
    lines.length === 1 && first !== undefined
      ? `${file}: ${first.text}`
      : `${file}: ${lines.length} problems\n${lines.map((line) => `  ${line.text}`).join('\n')}`;
  return new AppError('CONFIG_INVALID', message, {
    remedy: 'correct the file; docs/configuration.md lists every key with its bounds and default',
  });
}
