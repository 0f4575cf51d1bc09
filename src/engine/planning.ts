/**
 * The plan of a run: tables, partitions and sizes, from the source's catalog, the configuration and the host.
 *
 * Main thread.
 */
import type { Config } from '../config/schema.js';
import { AppError, type ErrorCode, requireNone } from '../errors.js';
import type { Host } from '../host/host.js';
import { chooseSizes, type Sizes, sizeLines } from '../host/sizes.js';
import { proveGenerated } from '../plan/computed.js';
import type { Partition, TablePlan } from '../plan/model.js';
import { namingOf, unusedMappings } from '../plan/naming.js';
import { planObjects } from '../plan/objects.js';
import { planPartitions } from '../plan/partitions.js';
import { examineTables } from '../plan/tables.js';
import type { TypeOptions } from '../plan/typeChoices.js';
import { requireTypes } from '../plan/typesNeeded.js';
import { missedSecondary, serverFacts } from '../source/catalog.js';
import type { SourceConnection } from '../source/connection.js';
import { tableLabel } from '../source/model.js';
import { readObjects } from '../source/objects.js';
import { readScope } from '../source/scope.js';
import type { TargetConnection } from '../target/connection.js';
import { unhashedNotes } from '../verify/hashSql.js';
import type { RunEventHandler } from './events.js';

/** What is known once the plan is made. */
export interface Planned {
  plans: TablePlan[];
  partitions: Partition[][];
  sizes: Sizes;
  notes: string[];
  /** Of the source, as `serverFacts` has it. */
  majorVersion: number;
}

/**
 * @param obstacles is given what would keep the run from working; left out, the first of it is thrown
 * @throws AppError
 */
export async function planRun(
  config: Config,
  host: Host,
  source: SourceConnection,
  target: Pick<TargetConnection, 'serverVersion' | 'query'>,
  obstacles?: AppError[],
): Promise<Planned> {
  const { migration } = config;
  const facts = await serverFacts(source);
  const notes = [`source: SQL Server ${facts.productVersion}, ${facts.edition}`];
  const missed = missedSecondary(facts, config.source);
  if (missed !== null) notes.push(missed);
  const tables = await readScope(source, config, { obstacles, notes });
  const naming = namingOf(config);
  const { chunkRows } = chooseSizes(host, config);
  const { plans, obstacles: found } = examineTables(tables, {
    naming,
    chunkRows,
    rowHashColumn: migration.use_hash_detection ? migration.row_hash_column : null,
    hashTextColumns: migration.hash_text_columns,
    unlogged: migration.use_unlogged_tables,
    types: typeOptions(config),
  });
  if (obstacles === undefined) requireNone(found);
  else obstacles.push(...found);
  await attempt(obstacles, () => requireTypes(target, plans));
  const partitions: Partition[][] = [];
  for (const table of plans) {
    const ranges = await attempt(obstacles, () =>
      planPartitions(source, table, {
        largeTableThreshold: migration.large_table_threshold,
        maxPartitions: migration.max_partitions,
        minRowsPerPartition: migration.min_rows_per_partition,
      }),
    );
    partitions.push(ranges ?? []);
  }
  if (!facts.seesAll) {
    notes.push(
      'this login may see a part of the source only: tables it has no right to are not in this run, and row-level security could hide rows from it unseen (GRANT VIEW DEFINITION on the database shows both)',
    );
  }
  if (config.source.isolation === 'read_uncommitted') {
    notes.push('source.isolation is read_uncommitted: rows may be missing, doubled or never committed');
  }
  const unused = unusedMappings(
    migration.schema_mapping,
    tables.map(({ schema }) => schema),
  );
  if (unused.length > 0) {
    notes.push(`migration.schema_mapping: no table of this run is in schema ${unused.join(', ')}`);
  }
  const objects = await readObjects(source, tables, facts.majorVersion);
  notes.push(
    ...planObjects(plans, tables, objects, {
      naming,
      createIndexes: migration.create_indexes,
      createForeignKeys: migration.create_foreign_keys,
      createCheckConstraints: migration.create_check_constraints,
      databaseCollation: facts.databaseCollation,
      computedColumns: migration.computed_columns,
      pgVersion: target.serverVersion,
    }),
  );
  await proveGenerated(target, plans);
  for (const table of plans) table.notes.push(...unhashed(table, migration.target_mode));
  const sizes = chooseSizes(host, config, { partitions: partitions.flat().length });
  return { plans, partitions, sizes, notes, majorVersion: facts.majorVersion };
}

/** What stands in the way of a run for as long as nobody does something about it. */
const OBSTACLES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'UNSUPPORTED',
  'TYPE_UNSUPPORTED',
  'SCHEMA_CONFLICT',
  'SOURCE_PERMISSION',
  'SOURCE_QUERY',
  'TARGET_PERMISSION',
  'STATE_INVALID',
]);

/**
 * @param obstacles takes what stands in the way; left out, it is thrown like every other error
 * @returns what `work` gives, or null where something stands in its way.
 */
export async function attempt<T>(
  obstacles: AppError[] | undefined,
  work: () => Promise<T>,
): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (obstacles === undefined || !(error instanceof AppError) || !OBSTACLES.has(error.code)) throw error;
    // Two that look at the ledger meet the same.
    if (!obstacles.some(({ message }) => message === error.message)) obstacles.push(error);
    return null;
  }
}

/** @returns what the configuration makes of types. */
export function typeOptions({ migration }: Config): TypeOptions {
  return {
    overrides: migration.type_overrides,
    datetimeoffset: migration.datetimeoffset,
    xml: migration.xml,
    uniqueidentifier: migration.uniqueidentifier,
    spatial: migration.spatial,
    collation: migration.collation,
    computedColumns: migration.computed_columns,
  };
}

/** Columns the row hash does not cover must be said, and those `upsert` does not compare: a change in them goes unseen. */
function unhashed(table: TablePlan, mode: Config['migration']['target_mode']): string[] {
  if (table.rowHashColumn === null && mode !== 'upsert') return [];
  return table.rowHashColumn === null
    ? unhashedNotes(table)
    : unhashedNotes(table, 'not covered by the row hash');
}

export function tellPlan(runId: string, { plans, sizes, notes }: Planned, onEvent: RunEventHandler): void {
  const tables = plans.map((table) => ({
    table: tableLabel(table.source),
    approximateRows: table.approximateRows,
  }));
  onEvent({ kind: 'run-started', runId, tables });
  onEvent({ kind: 'log', level: 'info', message: beginning(sizes) });
  for (const { name, value, unit, reason } of sizeLines(sizes)) {
    onEvent({ kind: 'log', level: 'debug', message: `${name}: ${value} ${unit} (${reason})` });
  }
  for (const text of notes) onEvent({ kind: 'note', text });
  for (const table of plans) {
    for (const text of table.notes) onEvent({ kind: 'note', table: tableLabel(table.source), text });
  }
}

/** @returns what a run begins with and what it may grow to, with the reasons, as one line. */
function beginning({
  lanes,
  lanesAtFirst,
  writersPerLane,
  writersAtFirst,
  chunkRows,
  reasons,
}: Sizes): string {
  const upTo = (now: number, all: number) => (now === all ? `${all}` : `${now} of up to ${all}`);
  return [
    `lanes: ${upTo(lanesAtFirst, lanes)} (${reasons.lanes})`,
    `writers a lane: ${upTo(writersAtFirst, writersPerLane)} (${reasons.writersPerLane})`,
    `chunks: ${chunkRows} rows (${reasons.chunkRows})`,
  ].join('; ');
}
