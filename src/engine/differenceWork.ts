/**
 * From a table's differences to what is read for them: whole ranges where most rows changed, single keys where few
 * did; and rows only the target has, deleted where that was asked for. Main thread.
 */
import type { Config } from '../config/schema.js';
import { AppError } from '../errors.js';
import type { ChunkStatements } from '../plan/chunk.js';
import { keysQuery, maxKeys } from '../plan/keysQuery.js';
import type { TablePlan } from '../plan/model.js';
import { readQuery } from '../plan/queries.js';
import type { ReadWork } from '../plan/work.js';
import { tableLabel } from '../source/model.js';
import { columnTypes } from '../target/catalog.js';
import { type TargetConnection, targetError } from '../target/connection.js';
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

export class DifferenceWork {
  readonly changes: RowChanges = { ...NO_CHANGES };
  readonly #plan: TablePlan;
  readonly #config: Config;
  readonly #target: TargetConnection;
  readonly #statements: ChunkStatements;
  #delete: string | null = null;
  #parts = 0;
  /** The range whose later parts are already on their way, because it is read whole. */
  #whole: KeyRange | null = null;
  readonly #exactKeys: boolean;

  /** @param exactKeys false where the keys of differences can't be asked for: one of them has the whole table read. */
  constructor(plan: TablePlan, config: Config, target: TargetConnection, exactKeys: boolean) {
    const { migration } = config;
    this.#plan = { ...plan, chunkRows: migration.upsert_batch_size };
    this.#config = config;
    this.#exactKeys = exactKeys;
    this.#target = target;
    this.#statements = mergeStatements(plan, migration.use_binary_copy ? 'binary' : 'text');
  }

  /** @returns what is to be read for a difference; rows to delete are gone when it resolves. */
  async of({ range, sourceRows, part, changes }: Difference): Promise<DifferenceRead[]> {
    const wanted: string[][] = [];
    const extra: string[][] = [];
    for (const { change, key, collides } of changes) {
      if (collides) throw collision(this.#plan, key);
      if (change === 'delete') extra.push(key);
      else {
        wanted.push(key);
        if (change === 'insert') this.changes.inserted++;
        else this.changes.updated++;
      }
    }
    await this.#remove(extra);
    if (wanted.length === 0) return [];
    if (!this.#exactKeys) {
      if (this.#whole === WHOLE) return [];
      this.#whole = WHOLE;
      return [this.#read(readQuery(this.#plan, WHOLE, this.#config.source), null)];
    }
    if (part > 0 && range !== null && range === this.#whole) return [];
    if (range !== null && part === 0 && wanted.length >= Number(sourceRows) * DENSE) {
      this.#whole = range;
      return [this.#read(readQuery(this.#plan, range, this.#config.source), null)];
    }
    const size = Math.min(maxKeys(this.#plan.keyColumns.length), this.#plan.chunkRows);
    const work: DifferenceRead[] = [];
    for (let at = 0; at < wanted.length; at += size) {
      const keys = wanted.slice(at, at + size);
      work.push(this.#read(keysQuery(this.#plan, keys, this.#config.source), keys.length));
    }
    return work;
  }

  #read(query: ReadWork['query'], expectedRows: number | null): DifferenceRead {
    const read = { plan: this.#plan, partition: this.#parts++, query, statements: this.#statements };
    return { read, expectedRows };
  }

  async #remove(keys: readonly (readonly string[])[]): Promise<void> {
    if (!this.#config.migration.delete_extra_rows) {
      this.changes.extra += keys.length;
      return;
    }
    if (keys.length === 0) return;
    this.#delete ??= deleteStatement(this.#plan, await columnTypes(this.#target, this.#plan.target));
    for (let at = 0; at < keys.length; at += MAX_DELETED_KEYS) {
      const batch = keys.slice(at, at + MAX_DELETED_KEYS);
      const columns = this.#plan.keyColumns.map((_, i) => batch.map((key) => key[i]!));
      try {
        const { rowCount } = await this.#target.client.query(this.#delete, columns);
        this.changes.deleted += rowCount ?? 0;
      } catch (error) {
        throw targetError(error, { table: tableLabel(this.#plan.source) });
      }
    }
  }
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
