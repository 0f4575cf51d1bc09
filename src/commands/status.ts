/**
 * `status`: how far a run is, from the state file or from the target's ledger.
 *
 * Runs on the main thread.
 */
import { type Command, Option } from 'commander';
import { StateMirror } from '../checkpoint/mirror.js';
import type { LedgerRun, LedgerTable } from '../checkpoint/runs.js';
import { readState, type State, stateKeys } from '../checkpoint/stateFile.js';
import { count, textTable } from '../observe/format.js';
import { resultHead } from '../observe/result.js';
import type { CommandResult, Context } from './context.js';
import { findLedgerRun, type RunChoice } from './ledgerRun.js';
import { runId } from './options.js';

export function addStatus(program: Command): Command {
  return program
    .command('status')
    .description('how far a run is: what the state file says, or the ledger where there is no such file')
    .option('--run-id <id>', 'this run, from the ledger', runId)
    .addOption(new Option('--source-schema <name>', 'as given to the run'))
    .addOption(new Option('--target-schema <name>', 'as given to the run'));
}

export async function status(context: Context, flags: RunChoice): Promise<CommandResult> {
  const file = context.globals.stateFile;
  const fromFile = flags.runId === undefined && file !== undefined ? await readState(file) : null;
  let state: State;
  if (fromFile !== null) state = fromFile;
  else {
    const { run, tables } = await findLedgerRun(context, flags, undefined);
    state = stateOf(run, tables);
  }
  const { run_id, status: runStatus, ...rest } = state;
  const head = resultHead(context.command, context.span(), undefined, run_id);
  return {
    json: {
      ...head,
      run_status: runStatus,
      from: fromFile === null ? 'ledger' : 'state file',
      ...withoutTimes(rest),
    },
    text: report(state),
  };
}

/** `started_at` of a result is the command's own. */
function withoutTimes({ started_at, updated_at, ...rest }: Omit<State, 'run_id' | 'status'>): object {
  return { run_started_at: started_at, run_updated_at: updated_at, ...rest };
}

function stateOf(run: LedgerRun, tables: readonly LedgerTable[]): State {
  const mirror = new StateMirror(null, run, () => {});
  const keyOf = stateKeys(tables.map(({ table }) => table));
  for (const { table, status: tableStatus, totalRows, chunks } of tables) {
    const name = keyOf(table);
    mirror.table(name, tableStatus === 'loaded' ? 'in_progress' : tableStatus, totalRows);
    for (const chunk of chunks) mirror.committed(name, chunk);
  }
  const times = tables.flatMap(({ chunks }) => chunks.map(({ committedAt }) => committedAt.getTime()));
  const updated = times.reduce((latest, time) => Math.max(latest, time), run.updatedAt.getTime());
  return {
    ...mirror.state(),
    status: run.status === 'superseded' ? 'cancelled' : run.status,
    updated_at: new Date(updated).toISOString(),
  };
}

function report(state: State): string {
  const rows = Object.entries(state.tables).map(([name, table]) => [
    name,
    table.status,
    count(table.transferred_rows),
    count(table.total_rows),
    table.last_pk ?? '',
  ]);
  const table = textTable(
    [
      { title: 'table' },
      { title: 'status' },
      { title: 'rows', align: 'right' },
      { title: 'of about', align: 'right' },
      { title: 'last key' },
    ],
    rows,
  );
  const transferred = Object.values(state.tables).reduce((sum, one) => sum + one.transferred_rows, 0);
  return `Run ${state.run_id}: ${state.status}, begun ${state.started_at}, last change ${state.updated_at}\n\n${table}\n\n${count(transferred)} rows in ${rows.length} tables`;
}
