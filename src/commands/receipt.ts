/**
 * `receipt`: what a run has left in the target, chunk by chunk, as the ledger has it.
 *
 * Runs on the main thread.
 */
import { type Command, Option } from 'commander';
import type { FullChunk, LedgerTable } from '../checkpoint/runs.js';
import { readState } from '../checkpoint/stateFile.js';
import { byteCount, count, duration, textTable } from '../observe/format.js';
import { resultHead } from '../observe/result.js';
import { tableLabel } from '../source/model.js';
import type { CommandResult, Context } from './context.js';
import { findLedgerRun, type RunChoice } from './ledgerRun.js';
import { runId } from './options.js';

export function addReceipt(program: Command): Command {
  return program
    .command('receipt')
    .description('what a run has committed: each chunk with its keys, rows, digest, time and retries')
    .option('--run-id <id>', 'this run instead of the newest of the configuration', runId)
    .addOption(new Option('--source-schema <name>', 'as given to the run'))
    .addOption(new Option('--target-schema <name>', 'as given to the run'));
}

export async function receipt(context: Context, flags: RunChoice): Promise<CommandResult> {
  const file = context.globals.stateFile;
  const state = file === undefined ? null : await readState(file);
  const { run, tables } = await findLedgerRun(context, flags, state?.run_id);
  const head = resultHead(context.command, context.span(), undefined, run.runId);
  const json = {
    ...head,
    run_status: run.status,
    mode: run.mode,
    config_hash: run.configHash,
    tool_version: run.toolVersion,
    attempts: run.attempt,
    run_started_at: run.startedAt.toISOString(),
    tables: tables.map(tableJson),
  };
  const lines = [
    `Run ${run.runId}: ${run.status}, ${run.mode}, begun ${run.startedAt.toISOString()}, ${run.attempt === 1 ? 'one process' : `${run.attempt} processes`}`,
    ...tables.flatMap(tableLines),
  ];
  return { json, text: lines.join('\n') };
}

function committed({ chunks }: LedgerTable): FullChunk[] {
  return chunks.filter(({ movedTo }) => movedTo === null);
}

function tableJson(table: LedgerTable): object {
  const chunks = committed(table);
  return {
    table: table.table,
    target: tableLabel(table.target),
    status: table.status,
    rows: chunks.reduce((sum, chunk) => sum + chunk.rows, 0),
    notes: table.notes,
    ...(table.error !== null && { error: { code: table.error.code, message: table.error.message } }),
    chunks: chunks.map((chunk) => ({
      partition: chunk.partition,
      chunk: chunk.chunk,
      ...(chunk.byKey
        ? { first_key: chunk.lower, last_key: chunk.upper }
        : { after_key: chunk.lower, to_key: chunk.upper }),
      rows: chunk.rows,
      ...mergeJson(chunk),
      bytes: chunk.bytes,
      digest: chunk.digest,
      committed_at: chunk.committedAt.toISOString(),
      duration_ms: chunk.durationMs,
      retries: chunk.retries,
    })),
  };
}

/** What a merge did; nothing of a chunk that was loaded. */
function mergeJson({ inserted, updated, deleted }: FullChunk): Partial<Record<string, number>> {
  return {
    ...(inserted !== null && { inserted }),
    ...(updated !== null && { updated }),
    ...(deleted !== null && { deleted }),
  };
}

function mergeText({ inserted, updated, deleted }: FullChunk): string {
  if (deleted !== null) return `${count(deleted)} deleted`;
  return inserted === null ? 'loaded' : `${count(inserted)} inserted, ${count(updated ?? 0)} updated`;
}

function tableLines(table: LedgerTable): string[] {
  const chunks = committed(table);
  const rows = chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
  const lines = [
    '',
    `${table.table}: ${table.status}, ${count(rows)} rows in ${count(chunks.length)} chunks`,
  ];
  for (const note of table.notes) lines.push(`  ${note}`);
  if (table.error !== null) lines.push(`  ${table.error.message} [${table.error.code}]`);
  if (chunks.length === 0) return lines;
  const merged = chunks.some(({ inserted, deleted }) => inserted !== null || deleted !== null);
  const listed = textTable(
    [
      { title: 'chunk' },
      { title: 'keys after' },
      { title: 'up to' },
      { title: 'rows', align: 'right' },
      ...(merged ? [{ title: 'merged' }] : []),
      { title: 'size', align: 'right' },
      { title: 'digest' },
      { title: 'committed' },
      { title: 'time', align: 'right' },
      { title: 'retries', align: 'right' },
    ],
    chunks.map((chunk) => [
      `${chunk.partition}.${chunk.chunk}`,
      chunk.byKey ? `from ${keyText(chunk.lower)}` : keyText(chunk.lower),
      keyText(chunk.upper),
      count(chunk.rows),
      ...(merged ? [mergeText(chunk)] : []),
      byteCount(chunk.bytes),
      chunk.digest ?? '',
      chunk.committedAt.toISOString(),
      duration(chunk.durationMs ?? 0),
      String(chunk.retries),
    ]),
  );
  return [...lines, listed];
}

function keyText(key: readonly string[] | null): string {
  return key === null ? '-' : key.join(', ');
}
