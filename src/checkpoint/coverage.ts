/**
 * What is still missing of a table: its planned key ranges without the ranges of committed chunks.
 *
 * Pure. Keys are compared for equality only, never for order: a partition's chunks follow one another, each begins
 * with the key its predecessor ends with, and both were written from the same text.
 */
import { AppError } from '../errors.js';
import type { KeyRange } from '../plan/model.js';

/** A partition as the ledger has it. */
export interface LedgerPartition extends KeyRange {
  partition: number;
  retries: number;
  /** The chunk whose keys these are, which was moved here; null where the partition was planned. */
  of: Pick<LedgerChunk, 'partition' | 'chunk'> | null;
}

/** A chunk as the ledger has it. */
export interface LedgerChunk extends KeyRange {
  partition: number;
  chunk: number;
  rows: number;
  bytes: number;
  /** Not committed: its keys are the partition of this number. Null where it was committed. */
  movedTo: number | null;
}

/** A range without committed rows, and the chunk's number under which it can be moved to a partition of its own. */
export interface Gap extends KeyRange {
  partition: number;
  chunk: number;
  retries: number;
}

/**
 * Where the server has crashed, entries of an UNLOGGED table's chunks are gone and its partitions are not: what was
 * moved is then known from the partition it was moved to.
 *
 * @returns the gaps of one table by the planned partition they are in, in the order of these
 */
export function gapsByPlanned(
  partitions: readonly LedgerPartition[],
  chunks: readonly LedgerChunk[],
): Map<number, Gap[]> {
  const byNumber = new Map(partitions.map((one) => [one.partition, one]));
  const chunksOf = new Map<number, LedgerChunk[]>();
  for (const chunk of [...chunks, ...lostMoves(partitions, chunks)]) {
    const list = chunksOf.get(chunk.partition);
    if (list === undefined) chunksOf.set(chunk.partition, [chunk]);
    else list.push(chunk);
  }
  const walk = (partition: LedgerPartition, gaps: Gap[]): Gap[] => {
    const { upper, retries } = partition;
    let { lower } = partition;
    let next = 0;
    let complete = false;
    for (const chunk of (chunksOf.get(partition.partition) ?? []).sort((a, b) => a.chunk - b.chunk)) {
      if (!sameKey(chunk.lower, lower)) {
        if (chunk.chunk === next) throw inconsistent(partition.partition, chunk.chunk);
        gaps.push({ partition: partition.partition, chunk: next, lower, upper: chunk.lower, retries });
      }
      if (chunk.movedTo !== null) {
        const moved = byNumber.get(chunk.movedTo);
        if (moved === undefined) throw inconsistent(partition.partition, chunk.chunk);
        walk(moved, gaps);
      }
      lower = chunk.upper;
      next = chunk.chunk + 1;
      complete = sameKey(chunk.upper, upper);
    }
    if (!complete) gaps.push({ partition: partition.partition, chunk: next, lower, upper, retries });
    return gaps;
  };
  const planned = partitions.filter(({ of }) => of === null);
  return new Map(planned.map((partition) => [partition.partition, walk(partition, [])]));
}

/** @returns all gaps of one table, in the order of its partitions */
export function gapsOf(partitions: readonly LedgerPartition[], chunks: readonly LedgerChunk[]): Gap[] {
  return [...gapsByPlanned(partitions, chunks).values()].flat();
}

/** @returns entries of chunks that were moved, for those that a crash of the server has emptied. */
function lostMoves(partitions: readonly LedgerPartition[], chunks: readonly LedgerChunk[]): LedgerChunk[] {
  const entered = new Set(chunks.map(({ partition, chunk }) => `${partition}.${chunk}`));
  return partitions.flatMap(({ partition, of, lower, upper }) =>
    of === null || entered.has(`${of.partition}.${of.chunk}`)
      ? []
      : [{ ...of, lower, upper, rows: 0, bytes: 0, movedTo: partition }],
  );
}

function sameKey(a: readonly string[] | null, b: readonly string[] | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((text, i) => text === b[i]);
}

function inconsistent(partition: number, chunk: number): AppError {
  return new AppError(
    'STATE_INVALID',
    `The ledger contradicts itself at chunk ${chunk} of partition ${partition}`,
    { remedy: 'Start anew with `run --fresh`.' },
  );
}
