/**
 * What a run tells the outside while it works, and what it leaves behind.
 *
 * Plain data, made on the main thread by the engine and read by `observe/` and `commands/`.
 */
import type { ErrorData } from '../errors.js';
import type { Host } from '../host/host.js';
import type { SizeLine } from '../host/sizes.js';
import type { TimeEstimate } from '../plan/estimate.js';
import type { Partition, TablePlan } from '../plan/model.js';
import type { ScanReport } from '../plan/scan/finding.js';
import type { LaneSample } from './sampler.js';
import type { Threads } from './threads.js';

/** The stages of a run, in order. */
export type RunPhase = 'connect' | 'plan' | 'prepare' | 'transfer' | 'finalize' | 'verify' | 'done';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** A log line's further fields; numbers carry their unit in the name. Never secrets. */
export type LogFields = Record<string, string | number | boolean | null>;

/** Tables are named `schema.table`, as in the source (`tableLabel`). */
export type RunEvent =
  | { kind: 'run-started'; runId: string; tables: { table: string; approximateRows: number }[] }
  | { kind: 'phase'; phase: RunPhase }
  | { kind: 'table-started'; table: string; partitions: number }
  /**
   * `rows`, `bytes` (of COPY data) and `chunks` are the table's totals so far, committed; before `table-started`,
   * those of an earlier process of the run.
   */
  | { kind: 'rows'; table: string; rows: number; bytes: number; chunks?: number }
  /** What the lanes do, every `SAMPLE_MS` while rows move; `tables` names the table numbers in it. */
  | { kind: 'sample'; lanes: LaneSample[]; tables: readonly string[] }
  /** Something of the table is tried again after `error`. */
  | { kind: 'retry'; table: string; error: ErrorData }
  | { kind: 'table-finished'; table: string; rows: number; bytes: number; durationMs: number }
  | { kind: 'table-failed'; table: string; error: ErrorData }
  /** Something done once to a table: `primary key`, `set logged`, `analyze`, ... */
  | { kind: 'step'; step: string; table: string; name: string; durationMs: number }
  /** Something a person should know at the end: what a mapping loses, what was not created. */
  | { kind: 'note'; table?: string; text: string }
  | { kind: 'log'; level: LogLevel; message: string; fields?: LogFields };

export type RunEventHandler = (event: RunEvent) => void;

/**
 * How a table ended: `skipped` was never begun because the run ended first, `interrupted` was begun and can be
 * resumed.
 */
export type TableStatus = 'success' | 'failed' | 'interrupted' | 'skipped' | 'planned';

/** What `upsert` found to do to a table that had rows already. */
export interface RowChanges {
  inserted: number;
  updated: number;
  deleted: number;
  /** Rows only the target has, left where they are. */
  extra: number;
}

export interface TableOutcome {
  /** `schema.table` of the source. */
  table: string;
  /** `schema.table` of the target. */
  target: string;
  status: TableStatus;
  /** Rows committed in the target. */
  rows: number;
  /** Bytes of COPY data committed. */
  bytes: number;
  durationMs: number;
  /** How often something of it was tried again, where it was. */
  retries?: number;
  /** Present where rows were brought over one by one. */
  changes?: RowChanges;
  /** What the source has of it and the target does not get. */
  leftOut?: TablePlan['objects']['leftOut'];
  notes: string[];
  error?: ErrorData;
}

export interface StepOutcome {
  step: string;
  table: string;
  name: string;
  durationMs: number;
  error?: ErrorData;
}

/** What a dry run found: everything the run would do, nothing of it done. */
export interface DryRun {
  /** `migration.target_mode`. */
  mode: string;
  tables: {
    plan: TablePlan;
    partitions: Partition[];
    /** Bytes its rows take in the source, as its catalog tells; null where it does not. */
    bytes: number | null;
    /** What the mode would do to the target first, in words: `drops public.orders (12 rows)`. */
    actions: string[];
  }[];
  /** Null where nothing could be planned. */
  estimate: TimeEstimate | null;
  /** What the data holds that a run would trip over; null where nobody looked. */
  scan: ScanReport | null;
  sizes: SizeLine[];
  /** What would keep the run from working. */
  obstacles: ErrorData[];
}

/** What `runMigration` resolves to; it rejects only where no table was begun. */
export interface RunOutcome {
  runId: string;
  tables: TableOutcome[];
  steps: StepOutcome[];
  notes: string[];
  /** Why the run as a whole did not succeed: cancelled, a lost connection, TABLES_FAILED. */
  error?: ErrorData;
  /** Present for a dry run only. */
  dryRun?: DryRun;
}

/** What a run does about an unfinished one of its configuration: refuses, goes on with it, or gives it up. */
export type Unfinished = 'refuse' | 'resume' | 'give-up';

export interface RunOptions {
  /** Its abort lets chunks and steps that are under way end, for `shutdownMs` at most; what waits for a lock at once. */
  signal: AbortSignal;
  shutdownMs?: number;
  onEvent: RunEventHandler;
  /** Goes on with an unfinished run. */
  resume?: boolean;
  /** `refuse` by default. Modes that look for differences begin anew by themselves. */
  unfinished?: Unfinished;
  /** The first table that fails ends the run. */
  failFast?: boolean;
  /** What the hosts call the run they share; left out, it is this process's alone. */
  join?: string | undefined;
  /** Path of the state file; left out, none is kept. */
  stateFile?: string | undefined;
  toolVersion?: string;
  /** What the run is sized for; left out, what this process has. */
  host?: Host;
  /** Threads begun ahead, which the run ends; left out, it begins its own. */
  threads?: Threads;
}
