/**
 * Keeps the state file in step with the ledger: at most one write a second, and one at the end.
 *
 * Runs on the main thread. What is in memory here was committed before; the file may lag, never run ahead.
 */
import { type State, type TableState, writeState } from './stateFile.js';

/** A committed chunk, as the state file counts it. */
export interface MirroredChunk {
  partition: number;
  chunk: number;
  rows: number;
  upper: readonly string[] | null;
}

const INTERVAL_MS = 1000;

interface MirroredPartition {
  rows: number;
  /** Last keys of committed chunks by number, as far as they do not follow on `next` yet. */
  ahead: Map<number, readonly string[] | null>;
  next: number;
  lastKey: readonly string[] | null;
}

interface MirroredTable {
  status: TableState['status'];
  totalRows: number;
  partitions: Map<number, MirroredPartition>;
}

export class StateMirror {
  readonly #file: string | null;
  readonly #tables = new Map<string, MirroredTable>();
  readonly #head: Pick<State, 'run_id' | 'config_hash' | 'started_at'>;
  readonly #onError: (error: unknown) => void;
  #status: State['status'] = 'running';
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();

  /** @param file null where no state file is kept */
  constructor(
    file: string | null,
    head: { runId: string; configHash: string; startedAt: Date },
    onError: (error: unknown) => void,
  ) {
    this.#file = file;
    this.#head = {
      run_id: head.runId,
      config_hash: head.configHash,
      started_at: head.startedAt.toISOString(),
    };
    this.#onError = onError;
  }

  /** @param name as `stateKeys` has it */
  table(name: string, status: TableState['status'], totalRows?: number): void {
    const table = this.#tableOf(name);
    table.status = status;
    if (totalRows !== undefined) table.totalRows = totalRows;
    this.#changed();
  }

  committed(name: string, { partition, chunk, rows, upper }: MirroredChunk): void {
    const table = this.#tableOf(name);
    if (table.status === 'pending') table.status = 'in_progress';
    let part = table.partitions.get(partition);
    if (part === undefined) {
      part = { rows: 0, ahead: new Map(), next: 0, lastKey: null };
      table.partitions.set(partition, part);
    }
    part.rows += rows;
    // Writers commit out of order: the last key is that of the last chunk without a hole before it.
    part.ahead.set(chunk, upper);
    for (let key = part.ahead.get(part.next); key !== undefined; key = part.ahead.get(part.next)) {
      part.ahead.delete(part.next++);
      part.lastKey = key;
    }
    this.#changed();
  }

  /** What was counted of a table is not so any more. */
  forget(name: string): void {
    this.#tableOf(name).partitions.clear();
    this.#changed();
  }

  /** Writes the file now. @throws AppError IO */
  async save(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#file === null) return;
    const file = this.#file;
    const state = this.state();
    const write = this.#writing.then(() => writeState(file, state));
    this.#writing = write.catch(() => {});
    await write;
  }

  /** Writes the file a last time. */
  async end(status: State['status']): Promise<void> {
    this.#status = status;
    await this.save();
  }

  state(): State {
    const tables = [...this.#tables].map(([name, table]) => [name, tableState(table)] as const);
    return {
      ...this.#head,
      status: this.#status,
      updated_at: new Date().toISOString(),
      tables: Object.fromEntries(tables),
    } as State;
  }

  #tableOf(name: string): MirroredTable {
    let table = this.#tables.get(name);
    if (table === undefined) {
      table = { status: 'pending', totalRows: 0, partitions: new Map() };
      this.#tables.set(name, table);
    }
    return table;
  }

  #changed(): void {
    if (this.#file === null || this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.save().catch(this.#onError);
    }, INTERVAL_MS);
    this.#timer.unref();
  }
}

function tableState({ status, totalRows, partitions }: MirroredTable): TableState {
  const parts = [...partitions].sort(([a], [b]) => a - b);
  const transferred = parts.reduce((sum, [, part]) => sum + part.rows, 0);
  const whole = status === 'completed';
  const [first] = parts;
  return {
    status,
    // Until a table is through, its size is the catalog's estimate.
    total_rows: whole ? transferred : Math.max(totalRows, transferred),
    transferred_rows: transferred,
    skipped_rows: 0,
    ...(parts.length === 1 && { last_pk: keyText(first![1].lastKey) }),
    ...(parts.length > 0 && {
      partitions: parts.map(([id, part]) => ({
        partition_id: id,
        status: whole ? 'completed' : 'in_progress',
        last_pk: keyText(part.lastKey),
        rows_transferred: part.rows,
      })),
    }),
  };
}

/** A key of one column as it is, of several as a JSON array; null where the range has no last key. */
function keyText(key: readonly string[] | null): string | null {
  if (key === null) return null;
  return key.length === 1 ? key[0]! : JSON.stringify(key);
}
