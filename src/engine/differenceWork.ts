/**
 * From a table's differences to what is read for them: whole ranges where most rows changed, single keys where few
 * did; and rows only the target has, deleted where that was asked for. Main thread.
 */
import type { Ledger } from '../checkpoint/ledger.js';
import type { Config } from '../config/schema.js';
import { AppError } from '../errors.js';
import type { ChunkStatements, KeySpan } from '../plan/chunk.js';
import { keysQuery, maxKeys } from '../plan/keysQuery.js';
import type { TablePlan } from '../plan/model.js';
import { rangeColumns, readQuery } from '../plan/queries.js';
import { retryPolicy, withRetries } from '../plan/retry.js';
import type { ReadWork } from '../plan/work.js';
import { tableLabel } from '../source/model.js';
import { columnTypes, nameLockHolders } from '../target/catalog.js';
import { targetError } from '../target/connection.js';
import type { TargetSession } from '../target/session.js';
import type { Difference } from '../verify/compare.js';
import { type KeyRange, WHOLE } from '../verify/side.js';
import type { RowChanges } from './events.js';
import { deleteStatement, MAX_DELETED_KEYS, mergeStatements } from './mergeSql.js';

export const NO_CHANGES: RowChanges = { inserted: 0, updated: 0, deleted: 0, extra: 0 };

/** From this share of changed rows on, reading the whole range costs less than naming keys. */
const DENSE = 1 / 4;

/** What is read for a difference, and how many rows that must give; null where nobody knows. */
export interface DifferenceRead {
  read: ReadWork;
  expectedRows: number | null;
}

export interface DifferenceOptions {
  config: Config;
  /** Where rows are deleted. */
  session: TargetSession;
  ledger: Ledger;
  /** The target's. */
  serverVersion: number;
  /** False where the keys of differences can't be asked for: one of them has the whole table read. */
  exactKeys: boolean;
  /** @returns a partition number of the table that was not used before */
  newPartition: () => number;
  /** Rows deleted, and those left though only the target has them, are counted here. */
  changes: RowChanges;
  signal: AbortSignal;
  /** Rows are deleted anew after this error. */
  onRetry: (error: unknown) => void;
}

export class DifferenceWork {
  readonly #plan: TablePlan;
  readonly #options: DifferenceOptions;
  readonly #statements: ChunkStatements;
  #delete: string | null = null;
  /** Keys of rows to read, of which there are not enough yet for a statement: at most so many. */
  readonly #keys: string[][] = [];
  readonly #readKeys: number;
  /** The range whose later parts are already on their way, because it is read whole. */
  #whole: KeyRange | null = null;

  constructor(plan: TablePlan, options: DifferenceOptions) {
    const { migration } = options.config;
    this.#plan = { ...plan, chunkRows: migration.upsert_batch_size };
    this.#options = options;
    this.#readKeys = Math.min(maxKeys(plan), migration.upsert_batch_size);
    const format = migration.use_binary_copy ? 'binary' : 'text';
    this.#statements = {
      ...mergeStatements(plan, format, options.serverVersion),
      ledger: options.ledger.chunkEntry(plan),
    };
  }

  /**
   * @returns what is to be read for a difference; keys of single rows may wait for those of the next ones. Rows to
   * delete are gone when it resolves.
   */
  async of({ range, sourceRows, part, changes }: Difference): Promise<DifferenceRead[]> {
    const wanted: string[][] = [];
    const extra: string[][] = [];
    for (const { change, key, collides } of changes) {
      if (collides) throw collision(this.#plan, key);
      if (change === 'delete') extra.push(key);
      else wanted.push(key);
    }
    await this.#remove(extra);
    if (wanted.length === 0) return [];
    if (!this.#options.exactKeys) {
      if (this.#whole === WHOLE) return [];
      this.#whole = WHOLE;
      return [this.#readRange(WHOLE)];
    }
    if (part > 0 && range !== null && range === this.#whole) return [];
    if (range !== null && part === 0 && wanted.length >= Number(sourceRows) * DENSE) {
      this.#whole = range;
      return [this.#readRange(range)];
    }
    for (const key of wanted) this.#keys.push(key);
    const work: DifferenceRead[] = [];
    while (this.#keys.length >= this.#readKeys) work.push(...this.rest());
    return work;
  }

  /** @returns what is to be read for the keys that were left for more to come; after the last difference */
  rest(): DifferenceRead[] {
    const keys = this.#keys.splice(0, this.#readKeys);
    if (keys.length === 0) return [];
    const query = keysQuery(this.#plan, keys, this.#options.config.source);
    return [this.#read({ query, keys: spanOf(keys) }, keys.length)];
  }

  #readRange({ lower, upper }: KeyRange): DifferenceRead {
    const range = { lower, upper };
    const query = readQuery(this.#plan, range, this.#options.config.source);
    // Where no key bounds a range, the read begins anew after a break.
    return this.#read(rangeColumns(this.#plan) === null ? { query } : { query, range }, null);
  }

  #read(what: Pick<ReadWork, 'query' | 'range' | 'keys'>, expectedRows: number | null): DifferenceRead {
    const partition = this.#options.newPartition();
    return { read: { plan: this.#plan, partition, statements: this.#statements, ...what }, expectedRows };
  }

  async #remove(keys: readonly (readonly string[])[]): Promise<void> {
    const { config, changes, newPartition, signal, onRetry } = this.#options;
    if (!config.migration.delete_extra_rows) {
      changes.extra += keys.length;
      return;
    }
    for (let at = 0; at < keys.length; at += MAX_DELETED_KEYS) {
      const batch = keys.slice(at, at + MAX_DELETED_KEYS);
      // One number for every try: what was committed is not done again.
      const partition = newPartition();
      changes.deleted += await withRetries(
        retryPolicy(config.migration),
        () => this.#removeBatch(batch, partition),
        { ended: () => signal.aborted, onRetry },
      );
    }
  }

  #removeBatch(batch: readonly (readonly string[])[], partition: number): Promise<number> {
    const { session, ledger } = this.#options;
    const plan = this.#plan;
    return session.use(async (target) => {
      this.#delete ??= deleteStatement(plan, await columnTypes(target, plan.target));
      const statement = this.#delete;
      const columns = plan.keyColumns.map((_, i) => batch.map((key) => key[i]!));
      try {
        return await ledger.deletion(target, plan, { partition, keys: spanOf(batch) }, async () => {
          const [row] = await target.query<{ deleted: number }>(
            `WITH gone AS (${statement} RETURNING true) SELECT count(*)::float8 AS deleted FROM gone`,
            columns,
          );
          return row?.deleted ?? 0;
        });
      } catch (error) {
        throw targetError(await nameLockHolders(target, [plan.target], error), {
          table: tableLabel(plan.source),
        });
      }
    });
  }
}

function spanOf(keys: readonly (readonly string[])[]): KeySpan {
  return { first: [...keys[0]!], last: [...keys.at(-1)!] };
}

/** Both rows would be one row in the target, and every run would let the other one win. */
function collision(plan: TablePlan, key: readonly string[]): AppError {
  const table = tableLabel(plan.source);
  const shown = plan.keyColumns.map((name, i) => `${name}=${key[i]}`).join(', ');
  return new AppError(
    'VALUE_UNREPRESENTABLE',
    `Two rows of ${table} have keys that are the same in the target, one of them ${shown}`,
    {
      table,
      key: shown,
      remedy:
        "The target's type keeps less than the source's: see the table's notes. Make the keys differ in what is kept, or exclude the table.",
    },
  );
}
