/**
 * Brings the machine into the same state before every timed run, whoever's it is. Main thread.
 */
import { spawnSync } from 'node:child_process';
import { freemem } from 'node:os';
import type pg from 'pg';
import { reserveMemory } from './reserve.js';

const MIB = 1024 * 1024;
/** Memory that programs want, besides what they load. */
const PROGRAMS_BYTES = 256 * MIB;
/** How many times a table's bytes the kernel's cache takes while it is loaded: the table, its WAL, and an index. */
const COPIES = 3;

/** SQLSTATE insufficient_privilege. */
const NOT_ALLOWED = '42501';

/**
 * What earlier runs left to write is written, and memory for this one is at hand as it wants it (`reserve.ts`). Without
 * that the product, which drops its own last table as it begins, had up to half more of PostgreSQL's CPU left than a
 * contender after it.
 *
 * @param tableBytes that the run will write, about
 * @returns to be called when the run has ended
 */
export async function settle(client: pg.Client, tableBytes: number): Promise<() => Promise<void>> {
  await client.query('CHECKPOINT').catch((error: { code?: string }) => {
    // A server of the user's own may not grant it.
    if (error.code !== NOT_ALLOWED) throw error;
  });
  // Where there is no such command, nothing is to be done.
  spawnSync('sync', { stdio: 'ignore' });
  return reserveMemory(Math.min(PROGRAMS_BYTES + COPIES * tableBytes, freemem() / 2));
}
