/**
 * Whether a run begins or goes on, and with what. Main thread.
 */
import { randomUUID } from 'node:crypto';
import { gapsOf } from '../checkpoint/coverage.js';
import type { Ledger } from '../checkpoint/ledger.js';
import {
  chunksBecomeLogged,
  claimRun,
  findRun,
  fingerprintOf,
  isUnfinished,
  type LedgerRun,
  type LedgerTable,
  newestRun,
  readTables,
} from '../checkpoint/runs.js';
import { knownVersion, ledgerExists } from '../checkpoint/schema.js';
import { forgetState, readState, type State, writeState } from '../checkpoint/stateFile.js';
import type { Move } from '../checkpoint/tableEntries.js';
import { AppError, toErrorData } from '../errors.js';
import type { Partition, TablePlan } from '../plan/model.js';
import { tableLabel } from '../source/model.js';
import { existingRelations } from '../target/catalog.js';
import { inTransaction, type TargetConnection } from '../target/connection.js';
import { qualified } from '../target/identifiers.js';
import type { Unfinished } from './events.js';
import type { EarlierWork } from './workQueue.js';

/** What is asked for. */
export interface CheckpointRequest {
  configHash: string;
  stateFile: string | null;
  resume: boolean;
  /** What happens to an unfinished run that could be resumed. */
  unfinished: Unfinished;
}

export interface Checkpoint {
  runId: string;
  /** The run that goes on, or null where one begins. */
  run: LedgerRun | null;
}

/**
 * Looks at the state file before anything is connected to. Where it says nothing of an unfinished run it is begun
 * anew at once: should the run end before it has touched anything, `resume` begins where it has ended.
 *
 * @throws AppError STATE_INVALID, IO
 */
export async function openState(request: CheckpointRequest): Promise<State | null> {
  const { configHash, stateFile, resume, unfinished } = request;
  if (stateFile === null) return null;
  // A state file that can't be read is no obstacle for a run that begins anew.
  const state = unfinished === 'give-up' && !resume ? null : await readState(stateFile);
  if (resume || (state !== null && state.status !== 'completed' && !isBegun(state))) return state;
  const now = new Date().toISOString();
  const head = { run_id: randomUUID(), config_hash: configHash, started_at: now, updated_at: now };
  const begun: State = { ...head, status: 'running', tables: {} };
  await writeState(stateFile, begun);
  return begun;
}

/** Where a run ends by `error` before it touched anything, its file says that it has ended. */
export async function endState({ stateFile }: CheckpointRequest, error: unknown): Promise<void> {
  if (stateFile === null) return;
  // What the run ended by is what counts, whatever becomes of the file.
  const state = await readState(stateFile).catch(() => null);
  if (state?.status !== 'running' || !isBegun(state)) return;
  const status = toErrorData(error).code === 'CANCELLED' ? 'cancelled' : 'failed';
  const ended: State = { ...state, status, updated_at: new Date().toISOString() };
  await writeState(stateFile, ended).catch(() => {});
}

/** True where the file's run has touched nothing yet. */
function isBegun(state: State): boolean {
  return Object.keys(state.tables).length === 0;
}

/**
 * Decides which run this is; changes nothing in the target.
 *
 * @throws AppError STATE_INVALID where the request and what is there do not go together
 */
export async function chooseRun(
  target: TargetConnection,
  request: CheckpointRequest,
  state: State | null,
): Promise<Checkpoint> {
  const { configHash, resume } = request;
  const there = await ledgerExists(target);
  // A newer one is refused; an older one is read as it is, and brought up to date when the run begins.
  if (there) await knownVersion(target);
  if (resume) return resumed(target, request, state, there);
  // A file that tells of tables belongs to a run that this ledger does not know: what begins is another one.
  const begun = { runId: state !== null && isBegun(state) ? state.run_id : randomUUID(), run: null };
  if (request.unfinished === 'give-up' || !there) return begun;
  const known = state === null ? null : await findRun(target, state.run_id);
  const unfinished =
    known !== null && isUnfinished(known) ? known : await newestRun(target, configHash, true);
  if (unfinished !== null && request.unfinished === 'resume')
    return { runId: unfinished.runId, run: unfinished };
  if (unfinished !== null) {
    // `resume` is to go on with that run, and not to begin what is refused here.
    if (request.stateFile !== null && begun.runId === state?.run_id) await forgetState(request.stateFile);
    throw new AppError(
      'STATE_INVALID',
      `Run ${unfinished.runId} of ${unfinished.startedAt.toISOString()} is not finished (${unfinished.status})`,
      {
        remedy:
          'Use `resume` (or `run --or-resume`) to go on with it, or `run --fresh` to give it up and begin anew.',
      },
    );
  }
  return begun;
}

async function resumed(
  target: TargetConnection,
  { configHash, stateFile }: CheckpointRequest,
  state: State | null,
  there: boolean,
): Promise<Checkpoint> {
  if (state !== null && state.config_hash !== configHash) throw otherConfig(`State file ${stateFile}`);
  const run = !there
    ? null
    : state === null
      ? await newestRun(target, configHash, true)
      : await findRun(target, state.run_id);
  if (run === null) {
    // The run ended before it touched anything: its beginning is where it goes on.
    if (state !== null && isBegun(state)) return { runId: state.run_id, run: null };
    throw new AppError(
      'STATE_INVALID',
      state === null
        ? 'There is no unfinished run of this configuration to resume'
        : `The target's ledger knows nothing of run ${state.run_id}`,
      {
        remedy:
          state === null
            ? 'Begin one with `run` (`run --or-resume` does either): what ended before its tables were made ready has changed nothing, and is in no ledger. If there should be one, check the configuration: a run belongs to the configuration it began with, --source-schema and --target-schema included.'
            : 'Begin anew with `run --fresh`, and check that target.database is the one the run wrote to.',
      },
    );
  }
  if (run.configHash !== configHash) throw otherConfig(`Run ${run.runId}`);
  if (run.status === 'superseded') {
    throw new AppError(
      'STATE_INVALID',
      `Run ${run.runId} can't go on: a later run has loaded some of its tables`,
      { remedy: 'Begin anew with `run --fresh`.' },
    );
  }
  return { runId: run.runId, run };
}

function otherConfig(what: string): AppError {
  return new AppError('STATE_INVALID', `Config hash mismatch: ${what} belongs to another configuration`, {
    remedy:
      'Resume with the configuration the run began with (passwords, sizes and timeouts may differ), or begin anew with `run --fresh`.',
  });
}

/** What is left to do of a run that goes on. */
export interface Remaining {
  attempt: number;
  /** Tables not completed, renumbered. */
  plans: TablePlan[];
  /** What the ledger has of each. */
  tables: LedgerTable[];
  earlier: EarlierWork[];
  completed: LedgerTable[];
  /** Source tables that are new since the run began. */
  ignored: string[];
}

/**
 * Takes a run over and finds what is left of it.
 *
 * @throws AppError STATE_INVALID or SCHEMA_CONFLICT where tables are not what they were when the run began
 */
export async function takeOver(
  target: TargetConnection,
  runId: string,
  found: readonly TablePlan[],
): Promise<Remaining> {
  const attempt = await claimRun(target, runId);
  const tables = await readTables(target, runId);
  const plans: TablePlan[] = [];
  const earlier: EarlierWork[] = [];
  const byLabel = new Map(found.map((plan) => [tableLabel(plan.source), plan]));
  const relations = await existingRelations(
    target,
    tables.map((table) => table.target),
  );
  const there = new Map(relations.map((relation) => [tableLabel(relation), relation]));
  const unfinished: LedgerTable[] = [];
  for (const table of tables) {
    if (table.status === 'completed') continue;
    const plan = byLabel.get(table.table);
    if (plan === undefined || fingerprintOf(plan) !== table.fingerprint) throw changed(table, plan);
    const relation = there.get(tableLabel(table.target));
    if (relation === undefined || relation.oid !== table.targetOid) throw replaced(table);
    const committed = committedOf(table);
    if (committed.rows > 0) await requireRows(target, table);
    if (table.unlogged && relation.persistence !== 'u') {
      // Someone else has set it LOGGED: what is known of it must last as long as its rows.
      await inTransaction(target, () => chunksBecomeLogged(target, runId, table.table));
      table.unlogged = false;
    }
    unfinished.push(table);
    plans.push({ ...plan, index: plans.length });
    const numbers = [...table.partitions, ...table.chunks].map(({ partition }) => partition);
    earlier.push({ ...committed, nextPartition: 1 + numbers.reduce((a, b) => Math.max(a, b), -1) });
  }
  const known = new Set(tables.map(({ table }) => table));
  return {
    attempt,
    plans,
    tables: unfinished,
    earlier,
    completed: tables.filter(({ status }) => status === 'completed'),
    ignored: [...byLabel.keys()].filter((label) => !known.has(label)),
  };
}

/**
 * Gives every gap of the unfinished tables to a partition of its own.
 *
 * @returns the partitions of each table; none where every row is there already
 */
export async function moveGaps(
  ledger: Ledger,
  tables: readonly LedgerTable[],
  plans: readonly TablePlan[],
  earlier: readonly EarlierWork[],
): Promise<Partition[][]> {
  const gaps = plans.map((plan, i) => {
    const next = () => earlier[i]!.nextPartition++;
    return tables[i]!.status === 'loaded' ? [] : tableGaps(tables[i]!, { ...plan, index: i }, next);
  });
  await moveTo(ledger, gaps.flat());
  return gaps.map((some) => some.map(({ to }) => to));
}

interface GapMove extends Move {
  to: Partition;
}

/** @returns the gaps of one table, each to be a partition of its own with a number of `next`. */
function tableGaps(
  { partitions, chunks }: Pick<LedgerTable, 'partitions' | 'chunks'>,
  plan: TablePlan,
  next: () => number,
): GapMove[] {
  return gapsOf(partitions, chunks).map(({ lower, upper, retries, ...chunk }) => ({
    ...{ plan, chunk, range: { lower, upper } },
    to: { table: plan.index, partition: next(), lower, upper, retries: retries + 1 },
  }));
}

async function moveTo(ledger: Ledger, moves: readonly GapMove[]): Promise<void> {
  if (moves.length === 0 || (await ledger.moveAll(moves))) return;
  throw new AppError('INTERNAL', 'A gap of the ledger turned out to be filled');
}

/** Committed chunks of a table are gone: what the ledger has left of it, and what is to be read again. */
export interface Rest {
  table: LedgerTable;
  rows: number;
  bytes: number;
  chunks: number;
  partitions: Partition[];
}

/** Finds what is left of a table whose chunks a crash of the server has taken, and moves its gaps. */
export async function restOf(ledger: Ledger, plan: TablePlan, next: () => number): Promise<Rest> {
  const [table] = await ledger.read((target) => readTables(target, ledger.runId, tableLabel(plan.source)));
  if (table === undefined) throw new AppError('INTERNAL', `The ledger has lost ${tableLabel(plan.source)}`);
  const moves = tableGaps(table, plan, next);
  await moveTo(ledger, moves);
  return { table, ...committedOf(table), partitions: moves.map(({ to }) => to) };
}

function committedOf({ chunks }: LedgerTable): Pick<EarlierWork, 'rows' | 'bytes' | 'chunks'> {
  const committed = chunks.filter(({ movedTo }) => movedTo === null);
  return {
    rows: committed.reduce((sum, chunk) => sum + chunk.rows, 0),
    bytes: committed.reduce((sum, chunk) => sum + chunk.bytes, 0),
    chunks: committed.length,
  };
}

async function requireRows(target: TargetConnection, { target: name, table }: LedgerTable): Promise<void> {
  const [row] = await target.query<{ there: boolean }>(
    `SELECT EXISTS (SELECT FROM ${qualified(name)}) AS there`,
  );
  if (row?.there === true) return;
  throw new AppError(
    'STATE_INVALID',
    `Target table ${tableLabel(name)} was emptied since the run loaded it`,
    {
      table,
      remedy: 'Begin anew with `run --fresh`.',
    },
  );
}

function changed({ table }: LedgerTable, plan: TablePlan | undefined): AppError {
  const what = plan === undefined ? 'is not there any more, or excluded' : 'has other columns or another key';
  return new AppError('SCHEMA_CONFLICT', `Source table ${table} ${what} since the run began`, {
    table,
    remedy: 'Put it back as it was, or begin anew with `run --fresh`.',
  });
}

function replaced({ table, target }: LedgerTable): AppError {
  return new AppError('STATE_INVALID', `Target table ${tableLabel(target)} was dropped since the run began`, {
    table,
    remedy: 'Begin anew with `run --fresh`.',
  });
}
