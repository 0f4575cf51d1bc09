/**
 * Moves the rows: hands partitions to the lanes and keeps account of what was committed. Main thread.
 */
import type { Config } from '../config/schema.js';
import type { Sizes } from '../host/sizes.js';
import type { Partition, TablePlan } from '../plan/model.js';
import { readQuery } from '../plan/queries.js';
import { type ReaderControl, StopFlags, type WriterControl } from '../plan/work.js';
import { copyStatement } from '../target/ddl.js';
import type { RunEventHandler } from './events.js';
import { runLanes } from './lanes.js';
import { type TableWork, type WorkListener, WorkQueue } from './workQueue.js';

export interface TransferOptions {
  config: Config;
  plans: TablePlan[];
  partitions: Partition[][];
  sizes: Sizes;
  signal: AbortSignal;
  onEvent: RunEventHandler;
}

export interface Transferred {
  tables: readonly TableWork[];
  /** Why the transfer ended before all tables were through, or null. A failed table alone does not end it. */
  error: unknown;
}

/** Transfers every partition; does not throw: what went wrong is in the result, beside what went right. */
export async function transfer({
  config,
  plans,
  partitions,
  sizes,
  signal,
  onEvent,
}: TransferOptions): Promise<Transferred> {
  const stopFlags = StopFlags.forTables(plans.length);
  const queue = new WorkQueue(
    plans,
    partitions,
    { tables: sizes.workers, readersPerTable: sizes.parallelReaders },
    listener(onEvent, stopFlags),
  );
  const format = config.migration.use_binary_copy ? 'binary' : 'text';
  const reader: ReaderControl = {
    async next() {
      const partition = await queue.next();
      if (partition === null) return null;
      const plan = plans[partition.table]!;
      return {
        plan,
        partition: partition.partition,
        query: readQuery(plan, partition, config.source),
        statements: { before: [], copy: copyStatement(plan, format), after: [] },
      };
    },
    async read(done) {
      queue.read(done);
    },
    async failed(table, _partition, error) {
      queue.failed(table, error, true);
    },
  };
  const writer: WriterControl = {
    async committed(chunk, end) {
      queue.committed(chunk.table, end);
    },
    async failed(chunk, error) {
      queue.failed(chunk.table, error, false);
    },
  };
  try {
    await runLanes(
      {
        ...sizes,
        hashed: plans.some(({ rowHashColumn }) => rowHashColumn !== null),
        reader: {
          source: config.source,
          nul: config.migration.on_nul,
          binaryCopy: config.migration.use_binary_copy,
        },
        writer: { target: config.target },
        stopFlags,
        signal,
      },
      reader,
      writer,
    );
    queue.assertComplete();
    return { tables: queue.tables, error: null };
  } catch (error) {
    return { tables: queue.tables, error };
  }
}

function listener(onEvent: RunEventHandler, stopFlags: StopFlags): WorkListener {
  return {
    started: ({ label, partitions }) => onEvent({ kind: 'table-started', table: label, partitions }),
    committed: ({ label, rowsCommitted, bytesCommitted }) =>
      onEvent({ kind: 'rows', table: label, rows: rowsCommitted, bytes: bytesCommitted }),
    finished: (table) =>
      onEvent({
        kind: 'table-finished',
        table: table.label,
        rows: table.rowsCommitted,
        bytes: table.bytesCommitted,
        durationMs: table.endedMs - table.startedMs,
      }),
    failed: (table) => {
      stopFlags.stop(table.plan.index);
      onEvent({ kind: 'table-failed', table: table.label, error: table.error! });
    },
  };
}
