/**
 * How large a run is made: lanes, writers, slots, chunks and connections, each with the reason for it.
 *
 * Pure; runs on the main thread. Values given in the configuration are kept unless connections or memory
 * can't hold them, which the reason then says. Memory is bounded by construction: what the lanes take is
 * at most half the budget; the other half is the runtime's, the drivers' and large values'.
 */
import type { Config } from '../config/schema.js';
import type { Host } from './host.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** What a reader worker takes besides its ring: a JavaScript heap, the driver, socket buffers. */
export const READER_OVERHEAD_BYTES = 25 * MIB;
export const WRITER_OVERHEAD_BYTES = 15 * MIB;
/** Connections the main thread keeps for catalogs, DDL and the ledger. */
export const MAIN_CONNECTIONS = 2;

const MIN_SLOT_BYTES = 64 * KIB;
const DEFAULT_SLOT_BYTES = 256 * KIB;
const MIN_SLOTS = 8;
const MAX_SLOTS = 32;
/** Slots of each ring where a reader has several: it fills one after the other, and what they hold keeps the others' writers busy. */
const SLOTS_OF_SEVERAL = 64;
/** Bytes that a lane's slots take at most, unless `read_ahead_buffers` is given. */
const MAX_LANE_BYTES = GIB;

/** Up to so many cores the reader's thread hashes, too: measured on two, nobody has one to spare for a thread more. */
const CORES_WITHOUT_HASHERS = 2;

const UNITS = {
  workers: 'tables at a time',
  parallelReaders: 'readers',
  writeAheadWriters: 'writers',
  chunkRows: 'rows',
  readAheadBuffers: 'buffers',
  maxSourceConnections: 'connections',
  maxTargetConnections: 'connections',
  lanes: 'lanes',
  writersPerLane: 'writers',
  hashersPerLane: 'hash threads',
  lanesAtFirst: 'lanes',
  writersAtFirst: 'writers a lane',
  slotBytes: 'bytes',
  slotsPerRing: 'slots',
  memoryBudgetBytes: 'bytes',
} as const;

export type SizeName = keyof typeof UNITS;

/** The chosen sizes, and for each the reason in words. */
export type Sizes = Record<SizeName, number> & { reasons: Record<SizeName, string> };

/** One size for people: `lanes 4: ...`. */
export interface SizeLine {
  name: SizeName;
  value: number;
  unit: string;
  reason: string;
}

/** What is known of the work, if anything yet. */
export interface WorkFacts {
  /** Partitions to read, in all: more lanes than these would idle. */
  partitions?: number;
}

/** @returns the shared memory and thread overhead of all lanes, in bytes. */
export function laneMemoryBytes(
  sizes: Pick<Sizes, 'lanes' | 'writersPerLane' | 'slotsPerRing' | 'slotBytes'>,
): number {
  const rings = sizes.lanes * sizes.writersPerLane;
  return (
    rings * sizes.slotsPerRing * sizes.slotBytes +
    sizes.lanes * READER_OVERHEAD_BYTES +
    rings * WRITER_OVERHEAD_BYTES
  );
}

/** Sizes a run for this host and configuration. */
export function chooseSizes(host: Host, config: Config, facts: WorkFacts = {}): Sizes {
  const m = config.migration;
  const { cores } = host;
  const reasons = {} as Record<SizeName, string>;
  const chosen = {} as Record<SizeName, number>;
  const set = (name: SizeName, value: number, reason: string): number => {
    reasons[name] = reason;
    chosen[name] = value;
    return value;
  };
  const given = (name: SizeName, key: keyof Config['migration'], auto: () => [number, string]): number => {
    const value = m[key];
    return typeof value === 'number' ? set(name, value, `given as migration.${key}`) : set(name, ...auto());
  };
  const shrink = (name: SizeName, value: number, reason: string): void => {
    set(name, value, `${reasons[name]}; ${reason}`);
  };

  const share = Math.floor((host.memoryBytes * m.memory_budget_percent) / 100);
  const budget = set(
    'memoryBudgetBytes',
    Math.min(share, host.availableBytes),
    share <= host.availableBytes
      ? `${m.memory_budget_percent} % of ${host.memoryFrom}, ${mib(host.memoryBytes)}`
      : `no more than is free now, less than ${m.memory_budget_percent} % of ${host.memoryFrom}`,
  );
  const ram = host.memoryBytes / GIB;

  const workers = given('workers', 'workers', () => [
    clamp(Math.floor(cores / 2), 4, 8),
    `half the ${cores} cores, within 4 to 8`,
  ]);
  const readers = given('parallelReaders', 'parallel_readers', () => [
    clamp(cores, 8, 16),
    `the ${cores} cores, within 8 to 16`,
  ]);
  const writers = given('writeAheadWriters', 'write_ahead_writers', () => [
    clamp(Math.floor((2 * cores) / 3), 6, 12),
    `two thirds of the ${cores} cores, within 6 to 12`,
  ]);
  given('chunkRows', 'chunk_size', () => [
    clamp(Math.round((12_500 * ram) / 5_000) * 5_000, 10_000, 200_000),
    `about 12,500 for each GiB of ${host.memoryFrom}, within 10,000 to 200,000`,
  ]);
  const buffers = given('readAheadBuffers', 'read_ahead_buffers', () => [
    clamp(Math.floor(ram), MIN_SLOTS, MAX_SLOTS),
    `one for each GiB of ${host.memoryFrom}, within ${MIN_SLOTS} to ${MAX_SLOTS}`,
  ]);

  if (m.parallel_readers !== undefined) set('lanes', readers, 'one for each of migration.parallel_readers');
  else {
    const wish = Math.max(workers, readers);
    const cap = 2 * cores;
    set(
      'lanes',
      Math.min(wish, cap),
      wish <= cap
        ? 'one for each table worker or reader, whichever are more'
        : `two for each of the ${cores} cores`,
    );
  }
  if (facts.partitions !== undefined && chosen.lanes > facts.partitions) {
    shrink('lanes', Math.max(1, facts.partitions), 'no more than there are partitions to read');
  }
  set(
    'writersPerLane',
    Math.max(1, Math.floor(writers / chosen.lanes)),
    `${writers} writers over ${chosen.lanes} lanes`,
  );
  set(
    'hashersPerLane',
    hashersPerLane(cores),
    cores > CORES_WITHOUT_HASHERS
      ? 'where rows are hashed, beside their reader'
      : `where rows are hashed the reader does it: ${cores === 1 ? 'one core has' : `${cores} cores have`} enough to do`,
  );
  const slots = 2 ** Math.floor(Math.log2(Math.max(2, buffers)));
  set(
    'slotsPerRing',
    slots,
    slots === buffers
      ? 'one for each read-ahead buffer'
      : `the largest power of two within ${buffers} read-ahead buffers`,
  );
  if (chosen.writersPerLane > 1 && m.read_ahead_buffers === undefined) {
    const most = MAX_LANE_BYTES / DEFAULT_SLOT_BYTES / chosen.writersPerLane;
    const several = Math.min(SLOTS_OF_SEVERAL, 2 ** Math.floor(Math.log2(most)));
    if (several > slots) {
      set('slotsPerRing', several, 'enough to keep a writer busy while its reader fills the rings of others');
    }
  }
  set('slotBytes', DEFAULT_SLOT_BYTES, "fits a core's cache and costs little per slot");

  fitConnections(m, chosen, shrink);
  fitMemory(Math.floor(budget / 2), chosen, shrink);

  given('maxSourceConnections', 'max_mssql_connections', () => [
    chosen.lanes + MAIN_CONNECTIONS,
    `one a lane, and ${MAIN_CONNECTIONS} of the main thread's`,
  ]);
  given('maxTargetConnections', 'max_pg_connections', () => [
    chosen.lanes * chosen.writersPerLane + MAIN_CONNECTIONS,
    `one a writer, and ${MAIN_CONNECTIONS} of the main thread's`,
  ]);
  const early = (name: SizeName, all: number, key: keyof Config['migration']): void => {
    if (all === 1) set(name, 1, 'there are no more');
    else if (m[key] !== undefined) set(name, all, `all, since migration.${key} is given`);
    else set(name, 1, 'the others begin when rows or work wait and cores are free');
  };
  early('lanesAtFirst', chosen.lanes, 'parallel_readers');
  early('writersAtFirst', chosen.writersPerLane, 'write_ahead_writers');
  return { ...chosen, reasons };
}

/** @returns the hash threads of a lane whose rows are hashed; 0: its reader does it. */
export function hashersPerLane(cores: number): number {
  return cores > CORES_WITHOUT_HASHERS ? 1 : 0;
}

type Shrink = (name: SizeName, value: number, reason: string) => void;

function fitConnections(m: Config['migration'], sizes: Record<SizeName, number>, shrink: Shrink): void {
  const source = (m.max_mssql_connections ?? Number.POSITIVE_INFINITY) - MAIN_CONNECTIONS;
  const target = (m.max_pg_connections ?? Number.POSITIVE_INFINITY) - MAIN_CONNECTIONS;
  if (sizes.lanes > source)
    shrink('lanes', Math.max(1, source), 'fewer, to fit migration.max_mssql_connections');
  if (sizes.lanes > target)
    shrink('lanes', Math.max(1, target), 'fewer, to fit migration.max_pg_connections');
  if (sizes.lanes * sizes.writersPerLane > target) {
    const fitting = Math.max(1, Math.floor(target / sizes.lanes));
    shrink('writersPerLane', fitting, 'fewer, to fit migration.max_pg_connections');
  }
}

/** Gives up, in this order: slots over 8, slot size, writers, lanes, and in the end slots below 8. */
function fitMemory(limitBytes: number, sizes: Record<SizeName, number>, shrink: Shrink): void {
  const reason = `smaller, to keep the lanes within ${mib(limitBytes)}, half the memory budget`;
  const reduce = (name: SizeName, least: number, next: (value: number) => number): void => {
    let value = sizes[name];
    while (value > least && laneMemoryBytes({ ...sizes, [name]: value }) > limitBytes) {
      value = Math.max(least, next(value));
    }
    if (value !== sizes[name]) shrink(name, value, reason);
  };
  const half = (value: number) => value / 2;
  const less = (value: number) => value - 1;
  reduce('slotsPerRing', MIN_SLOTS, half);
  reduce('slotBytes', MIN_SLOT_BYTES, half);
  reduce('writersPerLane', 1, less);
  reduce('lanes', 1, less);
  reduce('slotsPerRing', 2, half);
  if (laneMemoryBytes(sizes as Sizes) > limitBytes) {
    shrink('lanes', sizes.lanes, `the least there can be, though ${mib(limitBytes)} is too little for it`);
  }
}

/** @returns the sizes as lines for people and for JSON, in a fixed order. */
export function sizeLines(sizes: Sizes): SizeLine[] {
  return (Object.keys(UNITS) as SizeName[]).map((name) => ({
    name,
    value: sizes[name],
    unit: UNITS[name],
    reason: sizes.reasons[name],
  }));
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

function mib(bytes: number): string {
  return bytes >= 10 * GIB ? `${Math.round(bytes / GIB)} GiB` : `${Math.round(bytes / MIB)} MiB`;
}
