/**
 * One run of the product in a process of its own: what `run` and `verify` do, with marks set as it goes on.
 *
 * Its main thread is the product's main thread; the product can't tell.
 */
import { loadConfig } from '../../src/config/load.js';
import type { RunEvent } from '../../src/engine/events.js';
import { serve } from '../measure/child.js';
import { Marks } from '../measure/marks.js';

export interface EngineRequest {
  command: 'run' | 'verify';
  config: string;
  postmaster: number | null;
  /** Rows the source pretends to have: a plan that knows of others was not made for this run. */
  rows: number;
  /** Name of the run that other processes join as well. */
  join?: string;
}

serve<EngineRequest>(async ({ command, config: file, postmaster, rows, join }) => {
  const config = await loadConfig(file);
  const marks = new Marks(postmaster);
  const notes: string[] = [];
  const onEvent = (event: RunEvent): void => {
    switch (event.kind) {
      case 'run-started': {
        const planned = event.tables.reduce((sum, table) => sum + table.approximateRows, 0);
        if (planned !== rows) throw new Error(`the product planned for ${planned} rows, not for ${rows}`);
        return;
      }
      case 'phase':
        marks.add(event.phase);
        return;
      case 'rows':
        marks.progress(event.rows);
        return;
      case 'table-finished':
        marks.add('loaded', event.rows);
        return;
      case 'table-failed':
        throw new Error(`${event.table}: ${event.error.message}`);
      case 'note':
        notes.push(event.text);
    }
  };
  const { signal } = new AbortController();
  marks.add('begin');
  if (command === 'verify') {
    const { runVerify } = await import('../../src/engine/verifyRun.js');
    const { tables } = await runVerify(config, { details: 0, trustRowHash: false, signal, onEvent });
    for (const { table, status } of tables) if (status !== 'match') throw new Error(`${table}: ${status}`);
  } else {
    const { beginThreads } = await import('../../src/library/migrate.js');
    const threads = await beginThreads(config);
    const { runMigration } = await import('../../src/engine/run.js');
    const { error, tables } = await runMigration(config, {
      signal,
      onEvent,
      // A run that is shared goes on by itself.
      ...(join === undefined ? { unfinished: 'give-up' as const } : { join }),
      threads,
    });
    if (error !== undefined) throw new Error(error.message);
    for (const { changes } of tables)
      if (changes !== undefined) notes.push(`changes ${JSON.stringify(changes)}`);
  }
  marks.add('end', rows);
  return marks.report(notes);
});
