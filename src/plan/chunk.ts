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
  after: string[];
}

/** A chunk starts: one COPY in one transaction. */
export interface ChunkBegin extends ChunkStatements {
  table: number;
  /** `schema.table` of the source. */
  label: string;
  partition: number;
  /** Number of this chunk in its partition, from 0. */
  chunk: number;
  /** Fields of the tuple where the writer sends text instead of binary; null for binary COPY. */
  text: CopyField[] | null;
  hash: ChunkHash | null;
}

/** A chunk is complete. */
export interface ChunkEnd {
  rows: number;
  /** COPY bytes of its tuples. */
  bytes: number;
}

/** A chunk can't be completed. */
export interface ChunkAbort {
  reason: string;
}
