/**
 * What a reader worker does: takes partitions from the orchestrator, one after another, and puts their rows
 * into its lane's rings. One source connection, which outlives a partition unless that one failed.
 */
import type { MessagePort } from 'node:worker_threads';
import type { NulPolicy } from '../copy/text.js';
import { AppError, atPlace, type ErrorData, toErrorData } from '../errors.js';
import { type ChunkBegin, hashFields } from '../plan/chunk.js';
import type { TablePlan } from '../plan/model.js';
import type { ReaderControl, ReadWork, StopFlags } from '../plan/work.js';
import { isLaneAborted, type LaneLayout } from '../ring/layout.js';
import { LaneProducer } from '../ring/producer.js';
import {
  connectSource,
  type SourceConnection,
  type SourceOptions,
  sourceError,
} from '../source/connection.js';
import { tableLabel } from '../source/model.js';
import { bulkRead } from '../tds/bulkRead.js';
import { InputWindow } from '../tds/window.js';
import { ChunkSink } from './chunkSink.js';
import { type ReaderBuffers, RowPump } from './rowPump.js';

/** What a reader worker is started with; `control` carries a comlink `ReaderControl`. */
export interface ReaderTask {
  lane: LaneLayout;
  source: SourceOptions;
  nul: NulPolicy;
  binaryCopy: boolean;
  /** Shared memory of `StopFlags`. */
  stopFlags: SharedArrayBuffer;
  control: MessagePort;
}

/** Bytes of a response a reader holds at most; a row that does not fit is streamed. */
const WINDOW_BYTES = 1024 * 1024;
/** How soon a lane's abort ends a read that waits for the server. */
const ABORT_CHECK_MS = 100;

/**
 * Reads until the orchestrator has no more work, then closes the rings.
 *
 * @throws AppError where the source can't be connected to, or CANCELLED where the lane was aborted
 */
export async function readLane(
  task: Omit<ReaderTask, 'control' | 'stopFlags'>,
  control: ReaderControl,
  stopFlags: StopFlags,
): Promise<void> {
  const lane = new LaneProducer(task.lane);
  const sink = new ChunkSink(lane);
  const buffers: ReaderBuffers = {
    window: new InputWindow(WINDOW_BYTES),
    scratch: Buffer.allocUnsafe(WINDOW_BYTES),
  };
  let source: SourceConnection | null = null;
  let onAbort: () => void = () => {};
  const aborted = new Promise<null>((resolve) => {
    onAbort = () => resolve(null);
  });
  const abortCheck = setInterval(() => {
    if (!isLaneAborted(task.lane)) return;
    source?.connection.close();
    onAbort();
  }, ABORT_CHECK_MS);
  /** The orchestrator may hold work back until another lane is through: an abort ends that wait, too. */
  const next = (): Promise<ReadWork | null> => Promise.race([control.next(), aborted]);
  try {
    for (let work = await next(); work !== null; work = await next()) {
      source ??= await connectSource({ ...task.source, request_timeout_seconds: 0 });
      const outcome = await readPartition(work, task, source, sink, buffers, stopFlags);
      if (outcome.error === null) {
        const { plan, partition } = work;
        await control.read({ table: plan.index, partition, rows: outcome.rows, chunks: outcome.chunks });
        continue;
      }
      if (isLaneAborted(task.lane)) throw new AppError('CANCELLED', 'the lane was aborted');
      await sink.abort(outcome.error.message);
      await source.close();
      source = null;
      await control.failed(work.plan.index, work.partition, outcome.error);
    }
    await lane.closeAll();
  } finally {
    clearInterval(abortCheck);
    await source?.close();
  }
}

interface Outcome {
  rows: number;
  chunks: number;
  error: ErrorData | null;
}

async function readPartition(
  { plan, partition, query, statements }: ReadWork,
  task: Pick<ReaderTask, 'nul' | 'binaryCopy'>,
  source: SourceConnection,
  sink: ChunkSink,
  buffers: ReaderBuffers,
  stopFlags: StopFlags,
): Promise<Outcome> {
  const table = tableLabel(plan.source);
  const begin: Omit<ChunkBegin, 'chunk'> = {
    table: plan.index,
    label: table,
    partition,
    ...statements,
    text: task.binaryCopy ? null : tupleFields(plan),
    hash: plan.rowHashColumn === null ? null : { fields: hashFields(plan.columns) },
  };
  const pump = new RowPump(
    {
      plan,
      nul: task.nul,
      describe: (chunk) => ({ ...begin, chunk }),
      stopped: () => stopFlags.isStopped(plan.index),
    },
    sink,
    buffers,
  );
  try {
    await bulkRead(source.connection, query.sql, query.parameters, pump);
    await pump.finish();
    return { rows: pump.rows, chunks: pump.chunks, error: null };
  } catch (error) {
    const known =
      error instanceof AppError
        ? atPlace(error, { table, partition })
        : sourceError(error, { table, partition });
    return { rows: pump.rows, chunks: pump.chunks, error: toErrorData(known) };
  }
}

function tupleFields(plan: TablePlan): ChunkBegin['text'] {
  const fields = plan.columns.map(({ field }) => field);
  return plan.rowHashColumn === null ? fields : [...fields, 'text'];
}
