/**
 * Looks at the lanes some times a second: rows that are under way, and what every tier's time went into.
 *
 * Main thread. It only reads counters that the tiers keep anyway, and how long their event loops were idle; the
 * threads that move rows do nothing for it.
 */
import type { Worker } from 'node:worker_threads';
import type { ChunkPlace } from '../plan/work.js';
import { type LaneProgress, type RingProgress, readProgress } from '../ring/counters.js';
import type { LaneLayout } from '../ring/layout.js';

/** How often rows and tiers are looked at while they move. */
export const SAMPLE_MS = 250;

/** Where a thread's time can go: its own work, or waiting for a server or for another tier. */
export const TIME_KINDS = ['working', 'source', 'reader', 'hasher', 'writer', 'target'] as const;

/** Milliseconds since the sample before; those of a thread that has no work at all are left out. */
export type TierTimes = Record<(typeof TIME_KINDS)[number], number>;

export interface WriterSample {
  /** Number of the table whose chunk it writes, or null. */
  table: number | null;
  times: TierTimes;
  /** Rows and COPY bytes of the chunk that have left for the target and are not committed. */
  rowsUnderWay: number;
  bytesUnderWay: number;
  slotsInUse: number;
  slots: number;
}

export interface LaneSample {
  /** Number of the table that is read, or null where the reader has no work. */
  table: number | null;
  reader: TierTimes;
  /** null in a lane without a hash thread. */
  hasher: TierTimes | null;
  writers: WriterSample[];
}

interface Before {
  atMs: number;
  progress: LaneProgress[];
  /** Idle milliseconds of each event loop, by thread id. */
  idle: Map<number, number>;
}

/** @returns no time at all. */
export function noTime(): TierTimes {
  return { working: 0, source: 0, reader: 0, hasher: 0, writer: 0, target: 0 };
}

export class LaneSampler {
  readonly #lanes: readonly LaneLayout[];
  readonly #threads: () => readonly Worker[];
  #before: Before;
  /** Chunks that were counted as committed, while their writer may still show them as open. */
  #settled = new Set<string>();

  /**
   * @param lanes may grow
   * @param threads of the reader and the writer pool
   */
  constructor(lanes: readonly LaneLayout[], threads: () => readonly Worker[]) {
    this.#lanes = lanes;
    this.#threads = threads;
    this.#before = this.#look();
  }

  /** The chunk is counted as committed from here on: its rows are not under way any more. */
  settled(chunk: ChunkPlace): void {
    this.#settled.add(nameOf(chunk));
  }

  /** @returns what has changed since the sample before. */
  sample(): LaneSample[] {
    const before = this.#before;
    const now = this.#look();
    this.#before = now;
    const elapsedMs = now.atMs - before.atMs;
    const idleOf = (thread: number) =>
      between(0, (now.idle.get(thread) ?? 0) - (before.idle.get(thread) ?? 0), elapsedMs);
    const stillOpen = new Set<string>();
    const samples = now.progress.map((progress, i) => {
      // A lane may have begun since.
      const was = before.progress[i] ?? progress;
      const { slotsPerRing, hashing } = this.#lanes[i]!;
      const idleMs = idleOf(progress.readerThread);
      return {
        table: progress.readerTable,
        reader: readerTimes(progress, was, elapsedMs, idleMs, slotsPerRing),
        hasher: hashing === 'hasher' ? hasherTimes(progress, was, elapsedMs) : null,
        writers: progress.rings.map((ring, r) => {
          const { chunk } = ring;
          const name = chunk === null ? '' : nameOf(chunk);
          const settled = this.#settled.has(name);
          if (settled) stillOpen.add(name);
          return {
            table: chunk?.table ?? null,
            times: writerTimes(ring, was.rings[r]!, elapsedMs, idleOf(ring.writerThread)),
            rowsUnderWay: settled ? 0 : (chunk?.rows ?? 0),
            bytesUnderWay: settled ? 0 : (chunk?.bytes ?? 0),
            slotsInUse: ring.slotsInUse,
            // A ring without a writer yet is not in use.
            slots: ring.writerThread === 0 ? 0 : slotsPerRing,
          };
        }),
      };
    });
    this.#settled = stillOpen;
    return samples;
  }

  #look(): Before {
    const idle = new Map<number, number>();
    for (const thread of this.#threads()) {
      idle.set(thread.threadId, thread.performance.eventLoopUtilization().idle);
    }
    return { atMs: performance.now(), progress: this.#lanes.map(readProgress), idle };
  }
}

function nameOf({ table, partition, chunk }: Pick<ChunkPlace, 'table' | 'partition' | 'chunk'>): string {
  return `${table}/${partition}/${chunk}`;
}

/** A reader that is idle and does not wait for room waits for its socket, that is, for the source. */
function readerTimes(
  now: LaneProgress,
  was: LaneProgress,
  elapsedMs: number,
  idleMs: number,
  slotsPerRing: number,
): TierTimes {
  if (now.readerTable === null) return noTime();
  // Where all rings were full, what filled them says who is behind.
  const anyRing = now.readerWaitMs - was.readerWaitMs;
  const behind = now.rings.some(({ slotsUnhashed }) => slotsUnhashed > slotsPerRing / 2);
  let hasher = behind ? anyRing : 0;
  let writer = behind ? 0 : anyRing;
  for (const [r, ring] of now.rings.entries()) {
    hasher += ring.readerWaitedForHasherMs - was.rings[r]!.readerWaitedForHasherMs;
    writer += ring.readerWaitedForWriterMs - was.rings[r]!.readerWaitedForWriterMs;
  }
  hasher = between(0, hasher, idleMs);
  writer = between(0, writer, idleMs - hasher);
  return { ...noTime(), working: elapsedMs - idleMs, source: idleMs - hasher - writer, hasher, writer };
}

function hasherTimes(now: LaneProgress, was: LaneProgress, elapsedMs: number): TierTimes {
  const reader = between(0, now.hasherWaitMs - was.hasherWaitMs, elapsedMs);
  return { ...noTime(), working: elapsedMs - reader, reader };
}

/** A writer that is idle and does not wait for rows waits for the target, if it has a chunk at all. */
function writerTimes(now: RingProgress, was: RingProgress, elapsedMs: number, idleMs: number): TierTimes {
  const reader = between(0, now.writerWaitedForReaderMs - was.writerWaitedForReaderMs, idleMs);
  const hasher = between(0, now.writerWaitedForHasherMs - was.writerWaitedForHasherMs, idleMs - reader);
  const rest = idleMs - reader - hasher;
  return { ...noTime(), working: elapsedMs - idleMs, reader, hasher, target: now.chunk === null ? 0 : rest };
}

function between(least: number, value: number, most: number): number {
  return Math.min(Math.max(least, value), Math.max(least, most));
}
