/**
 * A look into the data of a planned run: several ranges at a time, over connections of its own, until everything was
 * looked at or the time is up.
 *
 * Main thread; the source does the work, and is only read.
 */
import type { Config } from '../config/schema.js';
import { AppError, cancellation } from '../errors.js';
import type { Partition, TablePlan } from '../plan/model.js';
import type { Finding, ScanReport, Suspicion } from '../plan/scan/finding.js';
import { type KeyProbe, keyProbes } from '../plan/scan/keys.js';
import { countQuery, exampleQuery } from '../plan/scan/queries.js';
import { type ScanOptions, type ValueProbe, valueProbes } from '../plan/scan/values.js';
import { connectSource, type SourceConnection } from '../source/connection.js';
import { tableLabel } from '../source/model.js';
import type { RunEventHandler } from './events.js';
import type { Planned } from './planning.js';

export interface ScanLimits {
  signal: AbortSignal;
  /** Looks at nothing more after this. */
  limitMs: number;
  onEvent: RunEventHandler;
}

/** One statement's worth of looking. */
type Work =
  | { kind: 'values'; table: ScannedTable; partition: Partition }
  | { kind: 'keys'; table: ScannedTable; probe: KeyProbe };

/** What is known of a table so far. */
interface ScannedTable {
  plan: TablePlan;
  label: string;
  probes: ValueProbe[];
  /** Of each probe, how many rows, and the first partition that has some. */
  counts: { rows: number; partition: Partition | null }[];
  found: Finding[];
  rows: number;
  left: number;
  beganMs: number;
  failed: string | null;
}

/** SQL Server 2019, the first with `_UTF8` collations. */
const FIRST_MAJOR_WITH_UTF8 = 15;

/**
 * @param majorVersion of the source, as `serverFacts` has it
 * @throws AppError CANCELLED, or what keeps it from connecting
 */
export async function scan(
  config: Config,
  { plans, partitions, sizes }: Planned,
  majorVersion: number,
  limits: ScanLimits,
): Promise<ScanReport> {
  const options: ScanOptions = {
    nul: config.migration.on_nul,
    utf8: majorVersion >= FIRST_MAJOR_WITH_UTF8,
  };
  const tables = plans.map((plan): ScannedTable => {
    const probes = valueProbes(plan, options);
    const counts = probes.map(() => ({ rows: 0, partition: null }));
    const label = tableLabel(plan.source);
    return { plan, label, probes, counts, found: [], rows: 0, left: 0, beganMs: 0, failed: null };
  });
  const works = tables.flatMap((table, i): Work[] => [
    ...(table.probes.length === 0 ? [] : partitions[i]!).map(
      (partition): Work => ({ kind: 'values', table, partition }),
    ),
    ...keyProbes(table.plan, plans, options).map((probe): Work => ({ kind: 'keys', table, probe })),
  ]);
  for (const { table } of works) table.left++;
  // The connection that planned stays open.
  const connections = Math.max(1, Math.min(works.length, sizes.maxSourceConnections - 1, sizes.lanes));
  return await new Scanner(config, tables, works, limits).run(connections);
}

class Scanner {
  readonly #config: Config;
  readonly #tables: readonly ScannedTable[];
  readonly #works: Work[];
  readonly #limits: ScanLimits;
  /** Ends with the time, or with the command. */
  readonly #stop: AbortSignal;

  constructor(config: Config, tables: readonly ScannedTable[], works: Work[], limits: ScanLimits) {
    this.#config = config;
    this.#tables = tables;
    this.#works = works;
    this.#limits = limits;
    this.#stop = AbortSignal.any([limits.signal, AbortSignal.timeout(limits.limitMs)]);
  }

  async run(connections: number): Promise<ScanReport> {
    const beganMs = performance.now();
    const { signal } = this.#limits;
    const threads = Array.from({ length: this.#works.length === 0 ? 0 : connections }, () => this.#thread());
    const ended = await Promise.allSettled(threads);
    if (signal.aborted) throw cancellation(signal);
    for (const one of ended) if (one.status === 'rejected') throw one.reason;
    for (const table of this.#tables) if (table.left > 0) addWithoutExample(table);
    return {
      findings: this.#tables.flatMap(({ found }) => found),
      unscanned: this.#tables.flatMap(({ label, left, failed }) =>
        left === 0 && failed === null ? [] : [{ table: label, reason: failed ?? 'the time was up' }],
      ),
      tables: this.#tables.length,
      rows: this.#tables.reduce((sum, { rows }) => sum + rows, 0),
      seconds: Number(((performance.now() - beganMs) / 1000).toFixed(3)),
    };
  }

  /** One connection, for as long as there is work. */
  async #thread(): Promise<void> {
    if (this.#stop.aborted) return;
    // How long a table may take is for the limit to say.
    const unlimited = { request_timeout_seconds: 0, stall_timeout_seconds: 0 };
    const source = await connectSource({ ...this.#config.source, ...unlimited });
    const cut = (): void => void source.close();
    this.#stop.addEventListener('abort', cut, { once: true });
    try {
      while (!this.#stop.aborted) {
        const work = this.#works.shift();
        if (work === undefined) return;
        await this.#do(work, source);
      }
    } finally {
      this.#stop.removeEventListener('abort', cut);
      await source.close();
    }
  }

  async #do(work: Work, source: SourceConnection): Promise<void> {
    const { table } = work;
    const { onEvent } = this.#limits;
    if (table.beganMs === 0) {
      table.beganMs = performance.now();
      onEvent({ kind: 'table-started', table: table.label, partitions: table.left });
    }
    try {
      if (work.kind === 'values') await this.#values(table, work.partition, source);
      else await keys(table, work.probe, source);
    } catch (error) {
      if (this.#stop.aborted) return;
      if (!(error instanceof AppError) || !source.isOpen) throw error;
      // The run reads with other statements than these: what fails here says nothing about it.
      table.failed = error.message;
    }
    table.left--;
    if (table.left > 0) return;
    for (const [i, probe] of table.probes.entries()) {
      const { rows, partition } = table.counts[i]!;
      if (partition !== null) await this.#add(table, probe, rows, partition, source);
    }
    const { label, rows, beganMs } = table;
    const durationMs = performance.now() - beganMs;
    onEvent({ kind: 'table-finished', table: label, rows, bytes: 0, durationMs });
  }

  async #values(table: ScannedTable, partition: Partition, source: SourceConnection): Promise<void> {
    const { plan, probes, counts } = table;
    const query = countQuery(plan, partition, probes, this.#config.source);
    const [row] = await source.query(query.sql, query.parameters);
    table.rows += Number(row?.n ?? 0);
    for (const [i, seen] of counts.entries()) {
      const rows = Number(row?.[`c${i}`] ?? 0);
      seen.rows += rows;
      if (rows > 0 && (seen.partition?.partition ?? Number.POSITIVE_INFINITY) > partition.partition) {
        seen.partition = partition;
      }
    }
    this.#limits.onEvent({ kind: 'rows', table: table.label, rows: table.rows, bytes: 0 });
  }

  async #add(
    table: ScannedTable,
    probe: ValueProbe,
    rows: number,
    partition: Partition,
    source: SourceConnection,
  ): Promise<void> {
    const query = exampleQuery(table.plan, partition, probe, this.#config.source);
    let key: string[] | null = null;
    try {
      if (query !== null) key = keyOf((await source.query(query.sql, query.parameters))[0]);
    } catch (error) {
      // The finding stands without an example.
      if (!(error instanceof AppError)) throw error;
    }
    table.found.push(finding(table, probe, rows, key));
  }
}

/** What was found of a table before the time was up. */
function addWithoutExample(table: ScannedTable): void {
  for (const [i, probe] of table.probes.entries()) {
    const { rows } = table.counts[i]!;
    if (rows > 0) table.found.push(finding(table, probe, rows, null));
  }
}

async function keys(table: ScannedTable, probe: KeyProbe, source: SourceConnection): Promise<void> {
  const [row] = await source.query(probe.countSql);
  const count = Number(row?.n ?? 0);
  if (count === 0) return;
  const [example] = probe.exampleSql === null ? [] : await source.query(probe.exampleSql);
  table.found.push(finding(table, probe, count, keyOf(example)));
}

/** `k0`, `k1`, ... of a row. */
function keyOf(row: Record<string, unknown> | undefined): string[] | null {
  if (row === undefined) return null;
  return Object.keys(row).map((_, i) => String(row[`k${i}`]));
}

function finding({ label }: ScannedTable, suspicion: Suspicion, count: number, exampleKey: string[] | null) {
  const { kind, severity, column, object, effect, remedy, code } = suspicion;
  return { table: label, kind, severity, column, object, count, exampleKey, effect, remedy, code };
}

/** @returns what would keep the run from working, as obstacles. */
export function scanObstacles({ findings }: ScanReport): AppError[] {
  return findings
    .filter(({ severity }) => severity === 'fails')
    .map(
      ({ table, column, kind, count, exampleKey, effect, remedy, code }) =>
        new AppError(
          code,
          `${table}${column === null ? '' : `, column ${column}`}: ${kind} in the data (${count}): ${effect}`,
          {
            table,
            ...(column !== null && { column }),
            ...(exampleKey !== null && { key: exampleKey.join(', ') }),
            remedy,
          },
        ),
    );
}
