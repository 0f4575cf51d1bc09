/**
 * A verification from the first connection to the last table. Main thread; rows that a server can't hash go
 * through reader and hash tier.
 */
import { randomUUID } from 'node:crypto';
import type { Config } from '../config/schema.js';
import { AppError } from '../errors.js';
import { inspectHost } from '../host/host.js';
import { chooseSizes, type Sizes } from '../host/sizes.js';
import { namingOf } from '../plan/naming.js';
import { retryPolicy } from '../plan/retry.js';
import { planTables } from '../plan/tables.js';
import { connectSource, type SourceConnection } from '../source/connection.js';
import { tableLabel } from '../source/model.js';
import { readScope } from '../source/scope.js';
import { connectTarget, type TargetConnection } from '../target/connection.js';
import type { CompareOptions } from '../verify/compare.js';
import { Verifier } from '../verify/verifier.js';
import { type TableReport, verifyTables } from '../verify/verify.js';
import { orAborted } from './abort.js';
import { tellsOf, waitingFor } from './connecting.js';
import type { RunEventHandler } from './events.js';
import { hashingOf } from './laneSettings.js';
import { typeOptions } from './planning.js';
import { RowStreamer } from './rowStreamer.js';
import type { Threads } from './threads.js';

export interface VerifyRunOptions {
  /** In place of `batch_verify.tier1_batch_size` and `tier2_batch_size`. */
  tier1Rows?: number | undefined;
  tier2Rows?: number | undefined;
  /** Keys to name of each kind of difference. */
  details: number;
  /** Compares the stored row hashes instead of the target's values. */
  trustRowHash: boolean;
  signal: AbortSignal;
  onEvent: RunEventHandler;
  /** For rows that are streamed; left out, threads are begun for them. */
  threads?: Threads | undefined;
}

export interface VerifyOutcome {
  runId: string;
  tables: TableReport[];
  notes: string[];
}

/**
 * Compares the tables the configuration selects.
 *
 * @throws AppError where no table could be compared: USAGE, connections, configuration, planning; CANCELLED
 */
export async function runVerify(config: Config, options: VerifyRunOptions): Promise<VerifyOutcome> {
  const { onEvent, signal } = options;
  const { migration, source } = config;
  requireSizes(migration.batch_verify, options);
  const runId = randomUUID();
  const notes: string[] = [];
  const note = (text: string): void => {
    notes.push(text);
    onEvent({ kind: 'note', text });
  };
  onEvent({ kind: 'phase', phase: 'connect' });
  const catalog = await waitingFor(config, options, () =>
    orAborted(connectSource(source), signal, (late) => late.close()),
  );
  onEvent({ kind: 'phase', phase: 'plan' });
  const tables = await orAborted(
    readScope(catalog, config).finally(() => catalog.close()),
    signal,
  );
  const sizes = chooseSizes(await inspectHost(), config);
  const plans = planTables(tables, {
    naming: namingOf(config),
    chunkRows: sizes.chunkRows,
    rowHashColumn: null,
    hashTextColumns: migration.hash_text_columns,
    unlogged: false,
    types: typeOptions(config),
  });
  onEvent({
    kind: 'run-started',
    runId,
    tables: plans.map((plan) => ({
      table: tableLabel(plan.source),
      approximateRows: plan.approximateRows,
    })),
  });
  onEvent({ kind: 'phase', phase: 'verify' });
  if (source.isolation === 'read_uncommitted') {
    note('source.isolation is read_uncommitted: rows may be missing, doubled or never committed');
  }
  if (options.trustRowHash) {
    note(
      `--trust-row-hash: ${migration.row_hash_column} is compared; the target's values were looked at only where it differs`,
    );
  }
  const { verifier, streamer, parallel } = comparisonOf(config, sizes, { ...options, looksAgain: 'always' });
  try {
    const tables = await verifyTables(verifier, {
      plans,
      parallel,
      details: options.details,
      retry: retryPolicy(migration),
      signal,
      events: {
        note,
        waiting: tellsOf('connect', onEvent),
        started: (plan) => onEvent({ kind: 'table-started', table: tableLabel(plan.source), partitions: 1 }),
        rows: (plan, rows) =>
          onEvent({ kind: 'rows', table: tableLabel(plan.source), rows: Number(rows), bytes: 0 }),
        retry: (plan, error) => onEvent({ kind: 'retry', table: tableLabel(plan.source), error }),
        finished: (report) => tellFinished(report, onEvent),
      },
    });
    onEvent({ kind: 'phase', phase: 'done' });
    return { runId, tables, notes };
  } finally {
    await streamer.close();
  }
}

/** @throws AppError USAGE where a fine range would have more rows than the coarse one it is a part of */
function requireSizes(batch: Config['migration']['batch_verify'], given: VerifyRunOptions): void {
  const coarse = given.tier1Rows ?? batch.tier1_batch_size;
  const fine = given.tier2Rows ?? batch.tier2_batch_size;
  if (fine <= coarse) return;
  const name = (tier: 1 | 2, rows: number | undefined): string =>
    rows === undefined ? `migration.batch_verify.tier${tier}_batch_size` : `--tier${tier}-size`;
  const [ofFine, ofCoarse] = [name(2, given.tier2Rows), name(1, given.tier1Rows)];
  throw new AppError('USAGE', `${ofFine} ${fine} is larger than ${ofCoarse} ${coarse}`, {
    remedy: 'A fine range is a part of a coarse one: give both, the second at most as large as the first.',
  });
}

/** How the comparison comes by its connections. */
interface Connect {
  source: () => Promise<SourceConnection>;
  target: () => Promise<TargetConnection>;
}

/** The comparison of both servers as a configuration describes it. Whoever makes it closes verifier and streamer. */
export function comparisonOf(
  config: Config,
  sizes: Sizes,
  options: Pick<VerifyRunOptions, 'tier1Rows' | 'tier2Rows' | 'trustRowHash' | 'signal' | 'threads'> &
    Pick<CompareOptions, 'looksAgain'>,
  connect: Connect = {
    source: () => connectSource({ ...config.source, request_timeout_seconds: 0 }),
    target: () => connectTarget(config.target),
  },
): { verifier: Verifier; streamer: RowStreamer; parallel: number } {
  const { migration, source } = config;
  const batch = migration.batch_verify;
  // One connection of each side is left for rows that are streamed.
  const most = Math.min(sizes.maxSourceConnections, sizes.maxTargetConnections) - 1;
  const parallel = Math.max(1, Math.min(batch.parallel_verify_ranges, most));
  const streamer = new RowStreamer({
    source,
    nul: migration.on_nul,
    slotsPerRing: sizes.slotsPerRing,
    slotBytes: sizes.slotBytes,
    hashing: hashingOf(sizes),
    signal: options.signal,
    threads: options.threads,
  });
  const verifier = new Verifier(connect.source, connect.target, {
    tier1Rows: options.tier1Rows ?? batch.tier1_batch_size,
    tier2Rows: options.tier2Rows ?? batch.tier2_batch_size,
    parallel,
    looksAgain: options.looksAgain,
    nul: migration.on_nul,
    isolation: source.isolation,
    rowHashColumn: options.trustRowHash ? migration.row_hash_column : null,
    streamSource: streamer,
  });
  return { verifier, streamer, parallel };
}

function tellFinished(report: TableReport, onEvent: RunEventHandler): void {
  const { table, status, error, durationMs } = report;
  for (const text of report.notes) onEvent({ kind: 'note', table, text });
  if (error !== undefined) {
    onEvent({ kind: 'table-failed', table, error });
    return;
  }
  if (status !== 'match') onEvent({ kind: 'log', level: 'warn', message: `${table}: ${status}` });
  onEvent({ kind: 'table-finished', table, rows: Number(report.sourceRows ?? 0n), bytes: 0, durationMs });
}
