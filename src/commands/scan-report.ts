/**
 * How what `plan --scan` found is shown.
 *
 * Pure; runs on the main thread.
 */
import type { ScanResult } from '../observe/commandSchemas.js';
import { count, duration, oneLine } from '../observe/format.js';
import type { Finding, ScanReport, Severity } from '../plan/scan/finding.js';

const WORDS: Record<Severity, string> = {
  fails: 'would fail',
  alters: 'would be altered',
  warns: 'to know',
};
const ORDER: readonly Severity[] = ['fails', 'alters', 'warns'];

export function scanJson({ findings, unscanned, tables, rows, seconds }: ScanReport): ScanResult {
  return {
    tables,
    rows,
    duration_seconds: seconds,
    findings: findings.map(
      ({ table, column, object, kind, severity, count: n, exampleKey, effect, remedy }) => ({
        table,
        column,
        object,
        kind,
        severity,
        count: n,
        example_key: exampleKey,
        effect,
        remedy,
      }),
    ),
    unscanned,
  };
}

/** The findings as lines, the worst first. */
export function scanLines({ findings, unscanned, tables, rows, seconds }: ScanReport): string[] {
  const lines = [`In the data (tables: ${tables}, rows: ${count(rows)}, in ${duration(seconds * 1000)})`];
  const sorted = [...findings].sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity));
  for (const finding of sorted) {
    lines.push(`  ${WORDS[finding.severity]}: ${place(finding)}: ${finding.kind}, ${howMany(finding)}`);
    lines.push(`    ${finding.effect}`, `    ${finding.remedy}`);
  }
  for (const { table, reason } of unscanned) {
    lines.push(`  not looked at to the end: ${table}: ${reason}`);
  }
  if (lines.length === 1) lines.push('  Nothing that a run would trip over.');
  return lines;
}

function place({ table, column, object }: Finding): string {
  const parts = column === null ? (object === null ? '' : `, ${object}`) : `, column ${column}`;
  return oneLine(`${table}${parts}`);
}

function howMany({ count: n, kind, exampleKey }: Finding): string {
  const rows =
    kind === 'duplicate keys'
      ? `${count(n)} ${n === 1 ? 'key' : 'keys'}`
      : `${count(n)} ${n === 1 ? 'row' : 'rows'}`;
  return exampleKey === null ? rows : `${rows}, such as key ${oneLine(exampleKey.join(', '))}`;
}
