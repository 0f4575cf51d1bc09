/**
 * The state file: what the ledger says of a run, where schedulers and people can see it.
 *
 * Runs on the main thread. It is replaced as a whole, so that a reader or a crash never meets half of it.
 */
import { open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import * as v from 'valibot';
import { AppError } from '../errors.js';
import { splitLabel } from '../source/model.js';

const partitionSchema = v.object({
  partition_id: v.number(),
  status: v.string(),
  last_pk: v.optional(v.nullable(v.string()), null),
  rows_transferred: v.number(),
});

const tableSchema = v.object({
  status: v.picklist(['pending', 'in_progress', 'completed', 'failed']),
  total_rows: v.number(),
  transferred_rows: v.number(),
  // Not every tool that writes such files has it for a table under way.
  skipped_rows: v.optional(v.number(), 0),
  last_pk: v.optional(v.nullable(v.string())),
  partitions: v.optional(v.array(partitionSchema)),
});

const stateSchema = v.object({
  run_id: v.pipe(v.string(), v.uuid()),
  config_hash: v.string(),
  status: v.picklist(['running', 'completed', 'failed', 'cancelled']),
  started_at: v.string(),
  updated_at: v.string(),
  tables: v.record(v.string(), tableSchema),
});

export type State = v.InferOutput<typeof stateSchema>;
export type TableState = v.InferOutput<typeof tableSchema>;

/**
 * @returns the file's content, or null where there is no such file
 * @throws AppError STATE_INVALID where it is no state file, IO where it can't be read
 */
export async function readState(file: string): Promise<State | null> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new AppError('IO', `State file ${file} can't be read: ${(error as Error).message}`, {
      remedy: 'Name a file that may be read.',
      cause: error,
    });
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw notAState(file, (error as Error).message);
  }
  const result = v.safeParse(stateSchema, parsed);
  if (!result.success) throw notAState(file, faults(result.issues));
  return result.output;
}

function faults(issues: readonly v.BaseIssue<unknown>[]): string {
  const shown = issues.slice(0, 3).map((issue) => {
    const place = v.getDotPath(issue) ?? 'the whole';
    return issue.received === 'undefined'
      ? `${place} is missing`
      : `${place} is ${issue.received}, not ${issue.expected ?? 'of its kind'}`;
  });
  return issues.length > shown.length ? `${shown.join('; ')}; and more` : shown.join('; ');
}

function notAState(file: string, why: string): AppError {
  return new AppError('STATE_INVALID', `${file} is not a state file: ${why.replace(/\s+/g, ' ')}`, {
    remedy: 'Give another path, or delete the file; the ledger in the target still knows the run.',
  });
}

/**
 * @param labels `schema.table` of every table of a run
 * @returns what the state file calls a table: its name alone where all tables are of one schema
 */
export function stateKeys(labels: readonly string[]): (label: string) => string {
  const one = new Set(labels.map((label) => splitLabel(label).schema)).size <= 1;
  return (label) => (one ? splitLabel(label).name : label);
}

/**
 * Replaces the file: its content is on the disk before its name is.
 *
 * @throws AppError IO
 */
export async function writeState(file: string, state: State): Promise<void> {
  const folder = dirname(file);
  const draft = join(folder, `.${basename(file)}.${process.pid}.tmp`);
  try {
    const handle = await open(draft, 'w', 0o644);
    try {
      await handle.writeFile(`${JSON.stringify(state, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
    await syncFolder(folder);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {});
    throw new AppError('IO', `State file ${file} can't be written: ${(error as Error).message}`, {
      remedy: 'Check that its folder exists, may be written to and has room.',
      cause: error,
    });
  }
}

/** Removes the file; one that can't be removed stays. */
export async function forgetState(file: string): Promise<void> {
  await rm(file, { force: true }).catch(() => {});
}

/** Makes the new name survive a power cut; not every system lets a folder be opened. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
