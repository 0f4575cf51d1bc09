/**
 * What a look into the data may find, and what a run would do about it.
 *
 * Pure; runs on the main thread.
 */
import type { ErrorCode } from '../../errors.js';

export const FINDING_KINDS = [
  'nul characters',
  'unpaired surrogates',
  'out of range',
  'too large',
  'lost offset',
  'lost 7th digit',
  'index row',
  'wide row',
  'duplicate keys',
  'orphans',
  'broken check',
] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

/** `fails`: the run would not work. `alters`: it works and loses something. `warns`: it works, and may not please. */
export type Severity = 'fails' | 'alters' | 'warns';

/** Something to look for. */
export interface Suspicion {
  kind: FindingKind;
  severity: Severity;
  /** Column of the source, or null where it is about several. */
  column: string | null;
  /** Index or foreign key it is about, as the target names it, or null. */
  object: string | null;
  /** What the run would do about it. */
  effect: string;
  remedy: string;
  /** What it is as an obstacle. */
  code: ErrorCode;
}

/** Something that is there. */
export interface Finding extends Suspicion {
  /** `schema.table` of the source. */
  table: string;
  /** Rows; groups of rows for duplicate keys. */
  count: number;
  /** Key of one such row, a text a column; null where the table has none that can be named. */
  exampleKey: string[] | null;
}

export interface ScanReport {
  findings: Finding[];
  /** Tables, or parts of them, that were not looked at to the end. */
  unscanned: { table: string; reason: string }[];
  tables: number;
  rows: number;
  seconds: number;
}
