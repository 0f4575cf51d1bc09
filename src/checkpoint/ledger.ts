/**
 * The ledger of one run, as the run itself writes it.
 *
 * Runs on the main thread, on a connection of its own that is made again where it is lost; every write may be
 * repeated, since the answer to a COMMIT can get lost. Chunks are entered by the writers (`chunkEntry`).
 */

import { AppError, type ErrorData } from '../errors.js';
import type { KeySpan, LedgerEntry, MergeCounts } from '../plan/chunk.js';
import type { KeyRange, Partition, TablePlan } from '../plan/model.js';
import { type RetryPolicy, withRetries } from '../plan/retry.js';
import type { ChunkPlace } from '../plan/work.js';
import { tableLabel } from '../source/model.js';
import { inTransaction, type TargetConnection } from '../target/connection.js';
import { endSession, shareLock, tryLock } from './locks.js';
import { chunksBecomeLogged } from './runs.js';
import { chunkTable, json, LEDGER } from './schema.js';
import {
  brief,
  type CommittedRows,
  type ExpectedRows,
  type LedgerTableStatus,
  type MissingRows,
  type Move,
  missingRows,
  setTables,
  type TableProgress,
} from './tableEntries.js';

export type RunStatus = 'running' | 'completed' | 'failed' | 'cancelled' | 'superseded';

export interface LedgerOptions {
  runId: string;
  /** Which process of the run this is, from 1: chunks of an earlier one are refused. */
  attempt: number;
  /** Labels of the target tables that are UNLOGGED, whatever the plan says of them. */
  unlogged: ReadonlySet<string>;
  connect: () => Promise<TargetConnection>;
  retry: RetryPolicy;
  /** How long the target may let one entry wait, in ms; 0: for ever. */
  stallMs: number;
  /** True once waiting for the target is of no use any more. */
  ended: () => boolean;
  onRetry: (error: unknown) => void;
  /** True where other hosts work on the run as well. */
  shared?: boolean;
}

/** That this host reads a planned partition of a shared run. */
export interface Claim {
  partition: number;
  claim: number;
}

export class Ledger {
  readonly #options: LedgerOptions;
  #target: TargetConnection | null;
  /** Process id of the session that was lost last: it may still hold the run's lock, and those of an entry. */
  #lost: number | null = null;
  #last: Promise<unknown> = Promise.resolve();
  readonly #unlogged: Set<string>;
  readonly #isUnlogged = (plan: TablePlan): boolean => this.isUnlogged(plan);
  /** Tables that are looked at together once the write before has ended. */
  #checks: { tables: ExpectedRows[]; missing: Promise<MissingRows> } | null = null;

  /** @param target the connection that holds the run's lock (`claimRun`) */
  constructor(target: TargetConnection, options: LedgerOptions) {
    this.#target = target;
    this.#options = options;
    this.#unlogged = new Set(options.unlogged);
  }

  get runId(): string {
    return this.#options.runId;
  }

  /** The target table was set LOGGED: its further chunks are entered among those that last. */
  isLoggedNow(plan: TablePlan): void {
    this.#unlogged.delete(tableLabel(plan.source));
  }

  /** True where a crash of the server empties the target table. */
  isUnlogged(plan: TablePlan): boolean {
    return this.#unlogged.has(tableLabel(plan.source));
  }

  #chunks(plan: TablePlan): string {
    return chunkTable(this.isUnlogged(plan));
  }

  /**
   * @param claim the partition of a shared run that the chunks are of
   * @returns how writers enter the chunks of a table
   */
  chunkEntry(plan: TablePlan, claim: Claim | null = null): LedgerEntry {
    const ours =
      claim === null
        ? ''
        : `JOIN ${LEDGER}.claims c ON c.run_id = r.run_id AND c.table_name = $3
            AND c.partition = ${claim.partition} AND c.claim = ${claim.claim}`;
    return {
      ...(claim !== null && { shared: true }),
      sql: `INSERT INTO ${this.#chunks(plan)}
        (run_id, table_name, partition, chunk, lower, upper, rows, bytes, digest, duration_ms, retries,
          inserted, updated, by_key)
        SELECT r.run_id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
        FROM ${LEDGER}.runs r ${ours} WHERE r.run_id = $1 AND r.attempt = $2 FOR SHARE`,
      values: [this.#options.runId, this.#options.attempt],
    };
  }

  /**
   * Gives the keys of a chunk that is not committed to a partition of its own, and makes sure that the chunk never
   * will be committed: its number is taken. Ends the session that may still be at it, or waits for it.
   *
   * @param session that session's process id, where it is not known to have ended
   * @returns false where it turns out that the chunk is committed
   */
  move(
    plan: TablePlan,
    chunk: Pick<ChunkPlace, 'partition' | 'chunk'>,
    range: KeyRange,
    to: Pick<Partition, 'partition' | 'retries'>,
    session: number | null = null,
  ): Promise<boolean> {
    return this.#write(async (target) => {
      if (session !== null) await endSession(target, session);
      return this.#moveIn(target, plan, chunk, range, to);
    });
  }

  /** `move` of many chunks whose sessions have ended, all or none. @returns whether none of them is committed */
  moveAll(moves: readonly Move[]): Promise<boolean> {
    return this.#write(async (target) => {
      for (const { plan, chunk, range, to } of moves) {
        if (!(await this.#moveIn(target, plan, chunk, range, to))) return false;
      }
      return true;
    });
  }

  /** `move`, to a partition whose number no other host takes. @returns that number, or null where the chunk is taken */
  moveShared(
    plan: TablePlan,
    chunk: Pick<ChunkPlace, 'partition' | 'chunk'>,
    range: KeyRange,
    retries: number,
  ): Promise<number | null> {
    const id = [this.#options.runId, tableLabel(plan.source)];
    return this.#write(async (target) => {
      await target.query(`SELECT FROM ${LEDGER}.tables WHERE run_id = $1 AND table_name = $2 FOR UPDATE`, id);
      const [row] = await target.query<{ next: number }>(
        `SELECT max(partition) + 1 AS next FROM ${LEDGER}.partitions WHERE run_id = $1 AND table_name = $2`,
        id,
      );
      const partition = row!.next;
      return (await this.#moveIn(target, plan, chunk, range, { partition, retries })) ? partition : null;
    });
  }

  async #moveIn(
    target: TargetConnection,
    plan: TablePlan,
    chunk: Pick<ChunkPlace, 'partition' | 'chunk'>,
    range: KeyRange,
    to: Pick<Partition, 'partition' | 'retries'>,
  ): Promise<boolean> {
    const table = tableLabel(plan.source);
    const { runId } = this;
    const id = [runId, table, chunk.partition, chunk.chunk];
    const bounds = [json(range.lower), json(range.upper)];
    const taken = await target.query(
      `INSERT INTO ${this.#chunks(plan)}
        (run_id, table_name, partition, chunk, lower, upper, rows, bytes, moved_to)
        VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7) ON CONFLICT DO NOTHING RETURNING chunk`,
      [...id, ...bounds, to.partition],
    );
    if (taken.length === 0) {
      const [found] = await target.query<{ moved: number | null }>(
        `SELECT moved_to AS moved FROM ${this.#chunks(plan)}
          WHERE run_id = $1 AND table_name = $2 AND partition = $3 AND chunk = $4`,
        id,
      );
      if (found?.moved !== to.partition) return false;
    }
    await target.query(
      `INSERT INTO ${LEDGER}.partitions
        (run_id, table_name, partition, lower, upper, retries, planned, of_partition, of_chunk)
        VALUES ($1, $2, $3, $4, $5, $6, false, $7, $8) ON CONFLICT (run_id, table_name, partition) DO NOTHING`,
      [runId, table, to.partition, ...bounds, to.retries ?? 0, chunk.partition, chunk.chunk],
    );
    return true;
  }

  /** @returns what a committed chunk has merged. */
  merged(
    plan: TablePlan,
    { partition, chunk }: Pick<ChunkPlace, 'partition' | 'chunk'>,
  ): Promise<MergeCounts> {
    return this.#write(async (target) => {
      const [found] = await target.query<MergeCounts>(
        `SELECT COALESCE(inserted, 0)::float8 AS inserted, COALESCE(updated, 0)::float8 AS updated
          FROM ${this.#chunks(plan)}
          WHERE run_id = $1 AND table_name = $2 AND partition = $3 AND chunk = $4`,
        [this.#options.runId, tableLabel(plan.source), partition, chunk],
      );
      return found ?? { inserted: 0, updated: 0 };
    });
  }

  /**
   * Deletes rows and enters that, both or neither, in a transaction on `target`. May be repeated: what was committed
   * before is not done again.
   *
   * @param remove @returns how many rows were deleted
   * @returns the same
   */
  deletion(
    target: TargetConnection,
    plan: TablePlan,
    { partition, keys }: { partition: number; keys: KeySpan },
    remove: () => Promise<number>,
  ): Promise<number> {
    const startedMs = performance.now();
    const id = [this.#options.runId, tableLabel(plan.source), partition];
    return inTransaction(target, async () => {
      await this.#requireOurs(target);
      const entered = await target.query(
        `INSERT INTO ${this.#chunks(plan)}
          (run_id, table_name, partition, chunk, lower, upper, rows, bytes, deleted, by_key)
          VALUES ($1, $2, $3, 0, $4, $5, 0, 0, 0, true) ON CONFLICT DO NOTHING RETURNING chunk`,
        [...id, json(keys.first), json(keys.last)],
      );
      const where = 'WHERE run_id = $1 AND table_name = $2 AND partition = $3 AND chunk = 0';
      if (entered.length === 0) {
        const [before] = await target.query<{ deleted: number }>(
          `SELECT deleted::float8 AS deleted FROM ${this.#chunks(plan)} ${where}`,
          id,
        );
        return before?.deleted ?? 0;
      }
      const deleted = await remove();
      await target.query(
        `UPDATE ${this.#chunks(plan)} SET deleted = $4, duration_ms = $5, committed_at = clock_timestamp() ${where}`,
        [...id, deleted, Math.round(performance.now() - startedMs)],
      );
      return deleted;
    });
  }

  /**
   * Every row of the table should be committed: enters that they are, but for an UNLOGGED table, whose rows a crash
   * may still take away. Tables that come while another write is under way are entered together.
   *
   * @returns what is not so, as `missing`
   */
  async loaded(plan: TablePlan, expected: CommittedRows): Promise<AppError | null> {
    this.#checks ??= this.#checkTogether();
    const { tables, missing } = this.#checks;
    tables.push({ plan, expected });
    return (await missing).get(plan) ?? null;
  }

  #checkTogether(): { tables: ExpectedRows[]; missing: Promise<MissingRows> } {
    const tables: ExpectedRows[] = [];
    // Its turn has come, or it failed before: who asks from here on is for the next one.
    const closed = (): void => {
      if (this.#checks?.tables === tables) this.#checks = null;
    };
    const missing = this.#write(async (target) => {
      closed();
      const found = await missingRows(target, this.runId, tables, this.#isUnlogged);
      const there = tables.filter(({ plan }) => !found.has(plan) && !this.isUnlogged(plan));
      await setTables(
        target,
        this.runId,
        there.map(({ plan }) => ({ plan, status: 'loaded', error: null })),
      );
      return found;
    }).finally(closed);
    return { tables, missing };
  }

  /** @returns what `read` finds on the ledger's own connection; repeated where that is lost. */
  read<T>(read: (target: TargetConnection) => Promise<T>): Promise<T> {
    return this.#write(read);
  }

  /** `missing` of many tables, on the ledger's own connection. */
  missingNow(tables: readonly ExpectedRows[]): Promise<MissingRows> {
    return this.#write((target) => missingRows(target, this.runId, tables, this.#isUnlogged));
  }

  /**
   * Holds what the ledger has of a table against what its writers have reported.
   *
   * @returns TARGET_TRANSIENT where chunks are gone: the server crashed and emptied an UNLOGGED table
   */
  async missing(
    target: TargetConnection,
    plan: TablePlan,
    expected: CommittedRows,
  ): Promise<AppError | null> {
    return (await missingRows(target, this.runId, [{ plan, expected }], this.#isUnlogged)).get(plan) ?? null;
  }

  /** The table is LOGGED from now on, and so is what the ledger has of it: in the transaction that sets it LOGGED. */
  async becomesLogged(target: TargetConnection, plan: TablePlan, loaded: boolean): Promise<void> {
    const id = [this.runId, tableLabel(plan.source)] as const;
    await chunksBecomeLogged(target, ...id);
    if (!loaded) return;
    await target.query(
      `UPDATE ${LEDGER}.tables SET status = 'loaded' WHERE run_id = $1 AND table_name = $2`,
      id,
    );
  }

  /** Notes how far a table is. */
  table(plan: TablePlan, status: LedgerTableStatus, error: ErrorData | null = null): Promise<void> {
    return this.tables([{ plan, status, error }]);
  }

  /** Notes how far these tables are, of all of them or of none. */
  tables(tables: readonly TableProgress[]): Promise<void> {
    return this.#write((target) => setTables(target, this.runId, tables));
  }

  /** Notes how the run ended. */
  end(status: Exclude<RunStatus, 'running' | 'superseded'>, error: ErrorData | null): Promise<void> {
    return this.#write(async (target) => {
      await target.query(
        `UPDATE ${LEDGER}.runs SET status = $3, error = $4, updated_at = clock_timestamp()
          WHERE run_id = $1 AND attempt = $2`,
        [this.#options.runId, this.#options.attempt, status, error === null ? null : brief(error)],
      );
    });
  }

  /** Lets go of the run. */
  async close(): Promise<void> {
    const target = this.#target;
    this.#target = null;
    await target?.close().catch(() => {});
  }

  /** One transaction after the other, each repeated while what goes wrong is passing. */
  #write<T>(work: (target: TargetConnection) => Promise<T>): Promise<T> {
    const { retry, ended, onRetry } = this.#options;
    const write = this.#last.then(() => withRetries(retry, () => this.#once(work), { ended, onRetry }));
    this.#last = write.catch(() => {});
    return write;
  }

  async #once<T>(work: (target: TargetConnection) => Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    try {
      const target = this.#target ?? (await this.#reconnect());
      const { stallMs } = this.#options;
      // A peer that has gone without a word never answers: hung up on, the wait ends as a lost connection.
      if (stallMs > 0) timer = setTimeout(() => target.client.connection.stream.destroy(), stallMs);
      return await inTransaction(target, async () => {
        await this.#requireOurs(target);
        return work(target);
      });
    } catch (error) {
      if (error instanceof AppError && error.code === 'TARGET_CONNECTION_LOST') {
        this.#lost = this.#target?.session ?? this.#lost;
        await this.close();
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #reconnect(): Promise<TargetConnection> {
    const target = await this.#options.connect();
    this.#target = target;
    if (this.#lost !== null) await endSession(target, this.#lost);
    this.#lost = null;
    await (this.#options.shared === true ? shareLock : tryLock)(target, this.#options.runId);
    return target;
  }

  async #requireOurs(target: TargetConnection): Promise<void> {
    const ours = await target.query(
      `SELECT 1 FROM ${LEDGER}.runs WHERE run_id = $1 AND attempt = $2 FOR SHARE`,
      [this.#options.runId, this.#options.attempt],
    );
    if (ours.length === 1) return;
    throw new AppError('STATE_INVALID', 'Another process has taken this run over', {
      remedy: 'Nothing more is written by this process. Let the other one finish.',
    });
  }
}
