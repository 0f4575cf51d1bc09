/**
 * Reads one partition's rows into the lane's rings, as far as the connection carries. Reader thread.
 */
import { type AppError, atPlace } from '../errors.js';
import { type ChunkBegin, hashFields } from '../plan/chunk.js';
import { copiedColumns, type TablePlan } from '../plan/model.js';
import { readQuery } from '../plan/queries.js';
import type { ReadWork, StopFlags } from '../plan/work.js';
import type { SourceConnection, SourceIsolation } from '../source/connection.js';
import { tableLabel } from '../source/model.js';
import { bulkRead } from '../tds/bulkRead.js';
import type { InputWindow } from '../tds/window.js';
import type { ChunkSink } from './chunkSink.js';
import type { ReaderTask } from './readLane.js';
import { type PumpOptions, type RangeProgress, RowPump } from './rowPump.js';

export interface PartitionReading {
  work: ReadWork;
  /** Moved on with every chunk; a repeated read goes on from here. */
  progress: RangeProgress;
  task: Pick<ReaderTask, 'nul' | 'binaryCopy'> & { source: { isolation: SourceIsolation } };
  sink: ChunkSink;
  window: InputWindow;
  stopFlags: StopFlags;
}

/** @returns where a partition's reading begins. */
export function startOf(work: ReadWork): RangeProgress {
  return { lower: work.range?.lower ?? null, rows: 0, chunks: 0 };
}

/**
 * Reads to the partition's end.
 *
 * @returns why it broke off, or null
 */
export async function readPartition(
  reading: PartitionReading,
  source: SourceConnection,
): Promise<AppError | null> {
  const { work, progress } = reading;
  const place = { table: tableLabel(work.plan.source), partition: work.partition };
  const pump = new RowPump(pumpOptions(reading), reading.sink, reading.window);
  const answer = source.answer(0);
  try {
    const { range, plan } = work;
    const query =
      range == null || progress.chunks === 0
        ? work.query
        : readQuery(plan, { lower: progress.lower, upper: range.upper }, reading.task.source);
    const rows = bulkRead(source.connection, query.sql, query.parameters, pump);
    await answer.wait(rows, () => !pump.blocked);
    await pump.finish();
    return null;
  } catch (error) {
    pump.abandon();
    return atPlace(answer.error(error), place);
  }
}

function pumpOptions({ work, progress, task, stopFlags }: PartitionReading): PumpOptions {
  const { plan, partition, range, keys, retries, statements } = work;
  const begin: Omit<ChunkBegin, 'chunk' | 'lower'> = {
    table: plan.index,
    label: tableLabel(plan.source),
    partition,
    retries: retries ?? 0,
    into: plan.target,
    ...(keys !== undefined && { keys }),
    ...statements,
    text: task.binaryCopy ? null : tupleFields(plan),
    hash: plan.rowHashColumn === null ? null : { fields: hashFields(copiedColumns(plan)) },
  };
  return {
    plan,
    nul: task.nul,
    range: range ?? null,
    progress,
    describe: ({ chunks, lower }) => ({ ...begin, chunk: chunks, lower }),
    stopped: () => stopFlags.isStopped(plan.index),
    draining: () => stopFlags.isDraining,
  };
}

function tupleFields(plan: TablePlan): ChunkBegin['text'] {
  const fields = copiedColumns(plan).map(({ field }) => field);
  return plan.rowHashColumn === null ? fields : [...fields, 'text'];
}
