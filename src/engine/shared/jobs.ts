/**
 * The partitions of a shared run as jobs of pg-boss in the target database: its queue hands each to one host, and gives
 * it to another where that host fails or is gone. Main thread, on a connection of its own.
 */
import PgBoss from 'pg-boss';
import { LEDGER } from '../../checkpoint/schema.js';
import { type RetryPolicy, withRetries } from '../../plan/retry.js';
import type { TargetConnection } from '../../target/connection.js';
import { targetError } from '../../target/errors.js';

/** Schema of pg-boss's tables. */
export const JOBS_SCHEMA = 'mssql_pg_migrate_jobs';

/** When a host that is there, but does nothing any more, loses its partition: longer than one should take. */
const EXPIRE_SECONDS = 3600;
/** Tries by any host, after which the partition is left to the one that finishes the run. */
const LEAST_TRIES = 10;

/** What a job says: a planned partition. */
export interface PartitionJob {
  table: string;
  partition: number;
}

export interface Job extends PartitionJob {
  id: string;
}

export interface JobsOptions {
  runId: string;
  connect: () => Promise<TargetConnection>;
  retry: RetryPolicy;
  /** True once waiting for the target is of no use any more. */
  ended: () => boolean;
}

export class Jobs {
  readonly #options: JobsOptions;
  readonly #boss: PgBoss;
  readonly #queue: string;
  #target: TargetConnection | null = null;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(options: JobsOptions) {
    this.#options = options;
    this.#queue = options.runId;
    this.#boss = new PgBoss({
      db: { executeSql: (text, values) => this.#execute(text, values) },
      schema: JOBS_SCHEMA,
      // What is to be looked after is done by `handOn`, more often than pg-boss would.
      supervise: false,
      schedule: false,
    });
    // What fails is thrown by the call; the event says it once more.
    this.#boss.on('error', () => {});
  }

  /** Makes pg-boss's tables and the run's queue where they are missing. */
  static async open(options: JobsOptions): Promise<Jobs> {
    const jobs = new Jobs(options);
    try {
      await jobs.#boss.start();
      await jobs.#boss.createQueue(jobs.#queue, {
        name: jobs.#queue,
        retryLimit: Math.max(LEAST_TRIES, options.retry.retries),
        expireInSeconds: EXPIRE_SECONDS,
      });
      return jobs;
    } catch (error) {
      await jobs.close();
      throw error;
    }
  }

  /** Adds a job for each of these partitions that has none to be done. Call while no other host does the same. */
  async publish(partitions: readonly PartitionJob[]): Promise<void> {
    const { rows } = await this.#execute(
      `SELECT data->>'table' AS table, (data->>'partition')::integer AS partition
        FROM ${JOBS_SCHEMA}.job WHERE name = $1 AND state < 'completed'`,
      [this.#queue],
    );
    const known = new Set((rows as PartitionJob[]).map(nameOf));
    const missing = partitions.filter((partition) => !known.has(nameOf(partition)));
    if (missing.length === 0) return;
    await this.#boss.insert(
      missing.map(({ table, partition }) => ({ name: this.#queue, data: { table, partition } })),
    );
  }

  /** @returns a job for this host, or null where there is none at the moment. */
  async fetch(): Promise<Job | null> {
    const db = { executeSql: (text: string, values: unknown[]) => this.#fetchBySession(text, values) };
    const [job] = await this.#boss.fetch<PartitionJob>(this.#queue, { batchSize: 1, db });
    return job === undefined ? null : { id: job.id, ...job.data };
  }

  /**
   * Fetches as pg-boss would, and enters in the same statement whose session has the job: a host may end before it claims
   * the partition from there. The claim itself stays the one before.
   */
  #fetchBySession(text: string, values: unknown[]): Promise<{ rows: unknown[] }> {
    return this.#execute(
      `WITH fetched AS (${text}), entered AS (
        INSERT INTO ${LEDGER}.claims (run_id, table_name, partition, claim, job, session, session_started)
          SELECT $${values.length + 1}, f.data->>'table', (f.data->>'partition')::integer, 0, f.id, a.pid, a.backend_start
          FROM fetched f, pg_stat_activity a WHERE a.pid = pg_backend_pid()
          ON CONFLICT (run_id, table_name, partition) DO UPDATE
            SET job = excluded.job, session = excluded.session, session_started = excluded.session_started,
              claimed_at = excluded.claimed_at)
        SELECT * FROM fetched`,
      [...values, this.#options.runId],
    );
  }

  /** @returns how many jobs some host is at, or has still to do. */
  async unfinished(): Promise<number> {
    const { rows } = await this.#execute(
      `SELECT count(*)::integer AS count FROM ${JOBS_SCHEMA}.job WHERE name = $1 AND state < 'completed'`,
      [this.#queue],
    );
    return (rows as { count: number }[])[0]!.count;
  }

  async complete({ id }: Job): Promise<void> {
    await this.#boss.complete(this.#queue, id);
  }

  /** Gives a job back, for any host to try again. */
  async giveBack({ id }: Job, why: string): Promise<void> {
    await this.#boss.fail(this.#queue, id, { message: why });
  }

  /** Gives the jobs of hosts that are gone to the others. @returns how many there were */
  async handOn(): Promise<number> {
    await this.#boss.expire();
    const { rows } = await this.#execute(
      `SELECT j.id FROM ${JOBS_SCHEMA}.job j JOIN ${LEDGER}.claims c ON c.run_id = $2 AND c.job = j.id
        WHERE j.name = $1 AND j.state = 'active' AND NOT EXISTS (
          SELECT FROM pg_stat_activity a WHERE a.pid = c.session AND a.backend_start = c.session_started)`,
      [this.#queue, this.#options.runId],
    );
    const gone = (rows as { id: string }[]).map(({ id }) => id);
    if (gone.length > 0) await this.#boss.fail(this.#queue, gone);
    return gone.length;
  }

  /** Removes the queue of a run that is complete. */
  async remove(): Promise<void> {
    // pg-boss deletes a queue only where no job is left in it, and purges only jobs that were never begun.
    await this.#execute(`DELETE FROM ${JOBS_SCHEMA}.job WHERE name = $1`, [this.#queue]);
    await this.#boss.deleteQueue(this.#queue);
  }

  async close(): Promise<void> {
    const target = this.#target;
    this.#target = null;
    await target?.close().catch(() => {});
  }

  /** What pg-boss runs, over our own connection, with its TLS and its login: one statement after the other. */
  #execute(text: string, values?: unknown[]): Promise<{ rows: unknown[] }> {
    const { retry, ended } = this.#options;
    const result = this.#last.then(() => withRetries(retry, () => this.#once(text, values), { ended }));
    this.#last = result.catch(() => {});
    return result;
  }

  async #once(text: string, values?: unknown[]): Promise<{ rows: unknown[] }> {
    this.#target ??= await this.#options.connect();
    try {
      // Several statements at once come without values, and have several results.
      const result = await this.#target.client.query(text, values?.length === 0 ? undefined : values);
      return Array.isArray(result) ? result.at(-1) : result;
    } catch (error) {
      const named = targetError(error);
      if (named.code === 'TARGET_CONNECTION_LOST') await this.close();
      // Of several statements at once, the ones behind the error include the COMMIT.
      else await this.#target?.client.query('ROLLBACK').catch(() => {});
      throw named;
    }
  }
}

function nameOf({ table, partition }: PartitionJob): string {
  return JSON.stringify([table, partition]);
}
