/**
 * How long the rows of a run may take: an estimate, and what it is based on.
 *
 * Pure; runs on the main thread.
 */
import type { Sizes } from '../host/sizes.js';

/** What is assumed of one connection that reads, where nothing was measured. */
const SOURCE_BYTES_PER_SECOND = 40_000_000;
/** What is assumed of one connection that writes: COPY into a table without indexes, on a disk of one's own. */
const TARGET_BYTES_PER_SECOND = 30_000_000;
/** What is assumed of a row where the catalog does not say how much room its table takes. */
const ROW_BYTES = 200;

/** What is to be moved of one table. */
export interface TableVolume {
  rows: number;
  /** Bytes its rows take in the source, as far as its catalog tells. */
  bytes: number | null;
  /** Ranges that are read side by side. */
  partitions: number;
  /** Bytes of COPY data a row had in an earlier run. */
  copyBytesPerRow?: number | undefined;
}

/** What was measured, if anything. */
export type Measured =
  | { from: 'earlier run'; runId: string; finishedAt: Date; bytes: number; seconds: number }
  | { from: 'sample'; table: string; bytes: number; seconds: number }
  | { from: 'nothing' };

export interface TimeEstimate {
  seconds: number;
  rows: number;
  bytes: number;
  basis: Measured['from'];
  /** What it is based on and what it leaves out, in words. */
  reason: string;
}

type Widths = Pick<Sizes, 'lanes' | 'writersPerLane'>;

/** @param cores of this machine: more threads than these move no more rows */
export function estimateTime(
  tables: readonly TableVolume[],
  measured: Measured,
  sizes: Widths,
  cores: number,
): TimeEstimate {
  const volumes = tables.map((table) => ({ ...table, bytes: volumeOf(table, measured) }));
  const rows = volumes.reduce((sum, table) => sum + table.rows, 0);
  const bytes = Math.round(volumes.reduce((sum, table) => sum + table.bytes, 0));
  const { seconds, reason } =
    measured.from === 'earlier run'
      ? ofEarlierRun(bytes, measured)
      : ofRates(volumes, bytes, measured, sizes, cores);
  return {
    seconds: Number(seconds.toFixed(1)),
    rows,
    bytes,
    basis: measured.from,
    reason: `${reason}; indexes, keys and checks come on top`,
  };
}

/** COPY data where an earlier run measured that, else what the source's pages hold, which is close to it. */
function volumeOf({ rows, bytes, copyBytesPerRow }: TableVolume, { from }: Measured): number {
  if (from === 'earlier run' && copyBytesPerRow !== undefined) return rows * copyBytesPerRow;
  return bytes ?? rows * ROW_BYTES;
}

function ofEarlierRun(bytes: number, run: Measured & { from: 'earlier run' }) {
  const rate = run.bytes / run.seconds;
  return {
    seconds: bytes / rate,
    reason: `at the ${megabytes(rate)} of COPY data that run ${run.runId} moved into this target on ${run.finishedAt.toISOString().slice(0, 10)}`,
  };
}

function ofRates(
  volumes: readonly { bytes: number; partitions: number }[],
  bytes: number,
  measured: Exclude<Measured, { from: 'earlier run' }>,
  { lanes, writersPerLane }: Widths,
  cores: number,
) {
  const read = measured.from === 'sample' ? measured.bytes / measured.seconds : SOURCE_BYTES_PER_SECOND;
  const readers = Math.min(lanes, cores);
  const writers = Math.min(lanes * writersPerLane, 2 * cores);
  // One range is read by one reader, however many there are.
  const longest = Math.max(0, ...volumes.map((table) => table.bytes / Math.max(1, table.partitions)));
  const seconds = Math.max(
    bytes / (read * readers),
    bytes / (TARGET_BYTES_PER_SECOND * writers),
    longest / Math.min(read, TARGET_BYTES_PER_SECOND),
  );
  const source =
    measured.from === 'sample'
      ? `the source gave ${megabytes(read)} in a sample of ${measured.table}, taken for each of ${readers} reading connections`
      : `nothing could be measured: ${megabytes(read)} are assumed of each of ${readers} reading connections`;
  return {
    seconds,
    reason: `${source}; ${megabytes(TARGET_BYTES_PER_SECOND)} are assumed of each of ${writers} writing ones`,
  };
}

function megabytes(bytesPerSecond: number): string {
  const value = bytesPerSecond / 1e6;
  return `${value >= 10 ? Math.round(value) : value.toFixed(1)} MB/s`;
}
