/**
 * Partitions of a shared run: which host reads which. Main thread.
 *
 * A claim fences: a chunk is entered only under the newest claim of its partition, in the transaction that commits it.
 * Whoever claims a partition waits for chunks that are being entered and sees all that were; chunks that an earlier
 * claimant still has under way are refused.
 */
import { AppError } from '../errors.js';
import type { Partition, TablePlan } from '../plan/model.js';
import { tableLabel } from '../source/model.js';
import { gapsByPlanned } from './coverage.js';
import type { Claim, Ledger } from './ledger.js';
import { readTables } from './runs.js';
import { LEDGER } from './schema.js';

/** A claimed partition: what is to be read of it, in pieces. */
export interface Claimed {
  claim: Claim;
  /** None where all of it is there. */
  pieces: Partition[];
}

/**
 * Claims a planned partition and finds what is missing of it.
 *
 * @param job the job it was claimed for: where this session ends, the job is given to others
 * @returns null where the table has failed: nothing more is read of it
 */
export async function claimPartition(
  ledger: Ledger,
  plan: TablePlan,
  partition: number,
  job: string,
): Promise<Claimed | null> {
  const label = tableLabel(plan.source);
  const claim = await ledger.read(async (target) => {
    const [row] = await target.query<{ claim: number }>(
      `INSERT INTO ${LEDGER}.claims AS c (run_id, table_name, partition, claim, job, session, session_started)
        SELECT $1, $2, $3, 1, $4, a.pid, a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()
        ON CONFLICT (run_id, table_name, partition) DO UPDATE
          SET claim = c.claim + 1, job = excluded.job, session = excluded.session,
            session_started = excluded.session_started, claimed_at = excluded.claimed_at
        RETURNING claim`,
      [ledger.runId, label, partition, job],
    );
    return { partition, claim: row!.claim };
  });
  for (;;) {
    const [table] = await ledger.read((target) => readTables(target, ledger.runId, label));
    if (table === undefined) throw new AppError('INTERNAL', `The ledger has lost ${label}`, { table: label });
    if (table.status === 'failed') return null;
    if (table.status === 'completed') return { claim, pieces: [] };
    const used = new Set(table.chunks.map((chunk) => chunk.partition));
    const pieces: Partition[] = [];
    let moved = true;
    for (const gap of gapsByPlanned(table.partitions, table.chunks).get(partition) ?? []) {
      const { lower, upper } = gap;
      const retries = gap.retries + (claim.claim > 1 ? 1 : 0);
      // A partition of which nothing is entered is read as it is; what is left of another one becomes its own.
      const number = used.has(gap.partition)
        ? await ledger.moveShared(plan, gap, { lower, upper }, retries)
        : gap.partition;
      // An earlier claimant has just moved it: there is another gap now, in the partition it was moved to.
      moved &&= number !== null;
      if (number !== null) pieces.push({ table: plan.index, partition: number, lower, upper, retries });
    }
    if (moved) return { claim, pieces };
  }
}
