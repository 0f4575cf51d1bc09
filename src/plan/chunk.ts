/**
 * The words a chunk is announced and ended with: JSON in BEGIN, END and ABORT slots of a ring, written by the
 * reader and read by the hash thread and the writer.
 */
import type { CopyField } from '../copy/frame.js';
import type { PlannedColumn } from './model.js';

/** A column of the tuple, in COPY order, as the hash thread treats it. */
export interface HashField {
  field: CopyField;
  /** False for key columns and for those left out of the hash. */
  hashed: boolean;
  /** Decimals of a hashed numeric column. */
  scale?: number;
}

/** How the hash thread treats a chunk's rows; the row hash itself follows the fields and is not listed. */
export interface ChunkHash {
  fields: HashField[];
}

/** @returns how the tuple's fields are hashed where these are its columns. */
export function hashFields(
  columns: readonly Pick<PlannedColumn, 'field' | 'pgType' | 'hashed'>[],
): HashField[] {
  return columns.map(({ field, pgType, hashed }) => ({
    field,
    hashed,
    ...(field === 'numeric' && { scale: Number(/,(\d+)\)/.exec(pgType)?.[1] ?? 0) }),
  }));
}

/** What a writer runs for a chunk, in one transaction. */
export interface ChunkStatements {
  before: string[];
  copy: string;
  /** Brings the copied rows into their table, and gives one row: `inserted`, `updated`. Left out where COPY did. */
  merge?: string;
  /** Nothing is written: the hash thread leaves in each slot the sums of its rows' hashes (`hash/slotTotals.ts`). */
  totalsOnly?: true;
  /** How the chunk is entered in the ledger, last of all; left out where there is none. */
  ledger?: LedgerEntry;
}

/** The entry of a chunk in the ledger: part of the chunk's own transaction, so that neither is there without the other. */
export interface LedgerEntry {
  /**
   * Parameters: those of `values`, then table, partition, chunk, lower, upper, rows, bytes, digest, duration in ms,
   * retries, rows inserted and updated, by key or not. Enters one row; none where another process has taken the run
   * over.
   */
  sql: string;
  values: (string | number)[];
  /** True where other hosts work on the run: none is entered, too, where another one has taken the partition over. */
  shared?: boolean;
}

/** A chunk starts: one COPY in one transaction. */
export interface ChunkBegin extends ChunkStatements {
  table: number;
  /** `schema.table` of the source. */
  label: string;
  partition: number;
  /** Number of this chunk in its partition, from 0. */
  chunk: number;
  /** Keys of its rows are greater than this; null where nothing bounds them below. */
  lower: string[] | null;
  /** How often its rows were tried before. */
  retries: number;
  /** The first and last of the keys its rows were asked for by, where they are not a range's. */
  keys?: KeySpan;
  /** The target table, where a lock on it is to be explained. */
  into?: { schema: string; name: string };
  /** Fields of the tuple where the writer sends text instead of binary; null for binary COPY. */
  text: CopyField[] | null;
  hash: ChunkHash | null;
}

/** A chunk is complete. */
export interface ChunkEnd {
  rows: number;
  /** COPY bytes of its tuples. */
  bytes: number;
  /** Keys of its rows are not greater than this: the last one's, or its partition's bound where there is no more. */
  upper: string[] | null;
}

/** A chunk that is in the target. */
export interface ChunkDone extends ChunkEnd {
  /** CRC-32 of its COPY bytes, 8 hexadecimal digits. */
  digest: string;
  /** Where it was merged into rows that were there. */
  merged?: MergeCounts;
}

/** What a merge found to do: rows that were as they should be are in neither. */
export interface MergeCounts {
  inserted: number;
  updated: number;
}

/** The first and the last of a list of keys, as exact key texts. */
export interface KeySpan {
  first: string[];
  last: string[];
}

/** A chunk can't be completed. */
export interface ChunkAbort {
  reason: string;
}
