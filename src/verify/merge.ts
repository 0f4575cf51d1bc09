/**
 * Two sides' rows of one scope, both ordered by key hash and digest, walked side by side: what must be done to the
 * target to make it the source. Memory holds one batch of each side. Main thread.
 */
import type { KeyedDigest } from './side.js';

export interface RowChange {
  change: 'insert' | 'update' | 'delete';
  /** Exact key texts in key order: the source's for an insert or update, the target's for a delete. */
  key: string[];
  /** The source has another row whose key the target can't tell from this one's; only one of them fits. */
  collides?: true;
}

type Batches = AsyncIterator<KeyedDigest[], void>;

/** One side's rows, one by one. */
class Rows {
  readonly #batches: Batches;
  #batch: KeyedDigest[] = [];
  #at = 0;

  constructor(batches: Batches) {
    this.#batches = batches;
  }

  /** @returns the row at hand, without waiting, or undefined where the next batch must be awaited. */
  get row(): KeyedDigest | undefined {
    return this.#batch[this.#at];
  }

  next(): void {
    this.#at++;
  }

  /** Fetches batches until there is a row at hand. @returns false where there are no more. */
  async load(): Promise<boolean> {
    while (this.row === undefined) {
      const { value, done } = await this.#batches.next();
      if (done) return false;
      this.#batch = value;
      this.#at = 0;
    }
    return true;
  }
}

/** @yields the changes, in batches of `batchRows` at most. */
export async function* mergeSides(
  source: AsyncGenerator<KeyedDigest[], void, void>,
  target: AsyncGenerator<KeyedDigest[], void, void>,
  batchRows: number,
): AsyncGenerator<RowChange[], void, void> {
  const s = new Rows(source);
  const t = new Rows(target);
  let changes: RowChange[] = [];
  let lastSource = '';
  const add = (change: RowChange['change'], { key, keyHash }: KeyedDigest): void => {
    const collides = change !== 'delete' && keyHash === lastSource;
    changes.push(collides ? { change, key, collides } : { change, key });
  };
  try {
    for (;;) {
      const [sourceHas, targetHas] = await Promise.all([s.load(), t.load()]);
      if (!sourceHas && !targetHas) break;
      // As far as both have rows at hand, or the one that is left.
      while ((s.row !== undefined || !sourceHas) && (t.row !== undefined || !targetHas)) {
        const { row: from } = s;
        const { row: to } = t;
        if (from === undefined && to === undefined) break;
        if (to === undefined || (from !== undefined && from.keyHash < to.keyHash)) {
          add('insert', from!);
          lastSource = from!.keyHash;
          s.next();
        } else if (from === undefined || to.keyHash < from.keyHash) {
          add('delete', to);
          t.next();
        } else {
          if (from.digest !== to.digest) add('update', from);
          lastSource = from.keyHash;
          s.next();
          t.next();
        }
        if (changes.length >= batchRows) {
          yield changes;
          changes = [];
        }
      }
    }
    if (changes.length > 0) yield changes;
  } finally {
    await Promise.allSettled([source.return(), target.return()]);
  }
}
