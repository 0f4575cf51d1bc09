/**
 * What the screen shows and may start: the task under way, the last one's end, and the log.
 *
 * Runs on the main thread; knows nothing of terminals.
 */
import { AppError, type ErrorData, toErrorData } from '../../errors.js';
import type { HistoryPoint } from '../../observe/pace.js';
import { type Snapshot, Tally } from '../../observe/tally.js';

export type TaskName = 'run' | 'fresh run' | 'dry run' | 'verify' | 'resume';

/** How a task ended. */
export interface TaskEnd {
  /** What a person reads of it. */
  text: string;
  /** Each table's own end in a word: `success`, `failed`, `differs`, ... */
  tables: ReadonlyMap<string, string>;
  error?: ErrorData;
}

/** Does the work; rejects only where there is nothing to show of it. */
export type Work = (task: TaskName, tally: Tally, signal: AbortSignal) => Promise<TaskEnd>;

export interface Task {
  name: TaskName;
  tally: Tally;
  /** Null while it is under way. */
  end: TaskEnd | null;
  /** It was asked to stop. */
  stopping: boolean;
  /** Where it stood when it ended: clocks of a tally go on. */
  last: Standing | null;
}

export interface Standing {
  snapshot: Snapshot;
  history: HistoryPoint[];
}

const MOST_LOG_LINES = 1000;

export class Desk {
  readonly log: string[] = [];
  /** The task under way, else the last one; null before the first. */
  task: Task | null = null;
  /** Set once the screen is to be left. */
  leaving = false;
  /** Called after each change that should be seen at once. */
  onChange: () => void = () => {};
  readonly #work: Work;
  #stop = new AbortController();
  #left: () => void = () => {};
  /** Resolves when the screen is to be left and nothing is under way any more. */
  readonly left: Promise<void>;

  constructor(work: Work) {
    this.#work = work;
    this.left = new Promise((resolve) => {
      this.#left = resolve;
    });
  }

  get busy(): boolean {
    return this.task !== null && this.task.end === null;
  }

  addLog(text: string): void {
    this.log.push(...text.replace(/\n$/, '').split('\n'));
    this.log.splice(0, this.log.length - MOST_LOG_LINES);
    this.onChange();
  }

  start(name: TaskName): void {
    if (this.busy || this.leaving) return;
    const task: Task = { name, tally: new Tally(), end: null, stopping: false, last: null };
    this.task = task;
    this.#stop = new AbortController();
    this.onChange();
    void this.#work(name, task.tally, this.#stop.signal)
      .catch((error: unknown): TaskEnd => ({ text: '', tables: new Map(), error: toErrorData(error) }))
      .then((end) => {
        const { snapshot, history } = standingOf(task.tally);
        task.last = { snapshot: { ...snapshot, remainingMs: null }, history };
        task.end = end;
        this.onChange();
        if (this.leaving) this.#left();
      });
  }

  /** @returns where the task stands, or stood at its end; null before the first. */
  standing(): Standing | null {
    return this.task === null ? null : (this.task.last ?? standingOf(this.task.tally));
  }

  /** Lets what is under way end gracefully. */
  stop(
    why: unknown = new AppError('CANCELLED', 'stopped from the terminal', {
      remedy: 'resume goes on with it',
    }),
  ): void {
    if (this.task === null || this.task.end !== null || this.task.stopping) return;
    this.task.stopping = true;
    this.#stop.abort(why);
    this.onChange();
  }

  /** Leaves as soon as nothing is under way, which is stopped first. */
  leave(why?: unknown): void {
    this.leaving = true;
    if (this.busy) this.stop(why);
    else this.#left();
    this.onChange();
  }

  /** Leaves now: what is under way ends with the process, and can be resumed. */
  leaveNow(): void {
    if (this.task !== null && this.task.end === null) {
      const error = new AppError('CANCELLED', 'ended from the terminal before work under way had stopped', {
        remedy: 'resume goes on with it',
      });
      this.task.end = { text: '', tables: new Map(), error: toErrorData(error) };
    }
    this.leaving = true;
    this.#left();
  }
}

function standingOf(tally: Tally): Standing {
  return { snapshot: tally.snapshot(), history: tally.history() };
}
