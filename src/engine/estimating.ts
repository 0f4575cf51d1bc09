/**
 * What the estimate of a run's time is based on: an earlier run, or a quick look at how fast the source gives rows.
 *
 * Main thread; reads only.
 */
import { newestRates } from '../checkpoint/rates.js';
import type { Config } from '../config/schema.js';
import { AppError } from '../errors.js';
import { estimateTime, type Measured, type TimeEstimate } from '../plan/estimate.js';
import type { Partition, TablePlan } from '../plan/model.js';
import { sampleQuery } from '../plan/queries.js';
import { connectSource } from '../source/connection.js';
import { tableLabel } from '../source/model.js';
import type { TargetConnection } from '../target/connection.js';
import { bulkRead, type ResponseSink } from '../tds/bulkRead.js';
import { TOKEN } from '../tds/tokens.js';
import type { Planned } from './planning.js';

const SAMPLE_ROWS = 50_000;
const SAMPLE_BYTES = 32 * 1024 * 1024;
const SAMPLE_MS = 2_000;
/** A sample of less says more about the latency than about the rate. */
const LEAST_SAMPLE_BYTES = 128 * 1024;

/** @param bytes of each table's rows in the source, by label */
export async function estimate(
  config: Config,
  { plans, partitions, sizes }: Planned,
  target: TargetConnection,
  bytes: ReadonlyMap<string, number>,
  cores: number,
): Promise<TimeEstimate> {
  const earlier = await newestRates(target).catch(unlessOurs);
  const measured: Measured =
    earlier === null
      ? await measureSource(config, largest(plans, bytes))
      : { from: 'earlier run', ...earlier };
  const tables = plans.map((plan, i) => {
    const label = tableLabel(plan.source);
    return {
      rows: plan.approximateRows,
      bytes: bytes.get(label) ?? null,
      partitions: (partitions[i] as Partition[]).length,
      copyBytesPerRow: earlier?.copyBytesPerRow.get(label),
    };
  });
  return estimateTime(tables, measured, sizes, cores);
}

/** What keeps an estimate from being made keeps no run from working; what is our own fault is told. */
function unlessOurs(error: unknown): null {
  if (error instanceof AppError && error.code !== 'INTERNAL') return null;
  throw error;
}

function largest(plans: readonly TablePlan[], bytes: ReadonlyMap<string, number>): TablePlan | null {
  const size = (plan: TablePlan): number => bytes.get(tableLabel(plan.source)) ?? plan.approximateRows;
  return plans.reduce<TablePlan | null>(
    (most, plan) => (most === null || size(plan) > size(most) ? plan : most),
    null,
  );
}

/** Counts what comes and looks at none of it but the end. Breaks off, and the connection with it, at its limits. */
class Sampler implements ResponseSink {
  onMessage = null;
  bytes = 0;
  firstMs = 0;
  lastMs = 0;
  #tail = Buffer.alloc(0);

  push(chunk: Buffer): undefined {
    this.lastMs = performance.now();
    if (this.bytes === 0) this.firstMs = this.lastMs;
    else if (this.bytes > SAMPLE_BYTES || this.lastMs - this.firstMs > SAMPLE_MS) throw new Enough();
    this.bytes += chunk.length;
    this.#tail = Buffer.concat([this.#tail, chunk.subarray(-DONE_BYTES)]).subarray(-DONE_BYTES);
  }

  /** [MS-TDS] DONEPROC ends the answer to an RPC, and says in its status whether there was an error. */
  end(): void {
    if (this.#tail[0] !== TOKEN.DONEPROC || (this.#tail.readUInt16LE(1) & DONE_FAILED) !== 0) {
      throw new AppError('SOURCE_QUERY', 'the sample was not read');
    }
  }
}

class Enough extends Error {}

const DONE_BYTES = 13;
const DONE_FAILED = 0x102;

/** Reads the first rows of a table, over a connection of its own. */
async function measureSource({ source }: Config, plan: TablePlan | null): Promise<Measured> {
  if (plan === null || plan.columns.length === 0) return { from: 'nothing' };
  const connection = await connectSource(source).catch(unlessOurs);
  if (connection === null) return { from: 'nothing' };
  const sampler = new Sampler();
  const query = sampleQuery(plan, SAMPLE_ROWS, source);
  const beganMs = performance.now();
  try {
    await bulkRead(connection.connection, query.sql, query.parameters, sampler);
  } catch (error) {
    if (!(error instanceof Enough)) return { from: 'nothing' };
  } finally {
    await connection.close();
  }
  if (sampler.bytes < LEAST_SAMPLE_BYTES) return { from: 'nothing' };
  // Where all of it came at once, the time to the first byte is part of what it took.
  const took = Math.max(sampler.lastMs - sampler.firstMs, (sampler.lastMs - beganMs) / 2, 1);
  return { from: 'sample', table: tableLabel(plan.source), bytes: sampler.bytes, seconds: took / 1000 };
}
