/**
 * Rows and bytes over time: how fast they come now, and how fast they came over the whole run.
 *
 * Pure; runs on the main thread.
 */

interface Point {
  atMs: number;
  rows: number;
  bytes: number;
}

/** Rates are those of the last few seconds. */
const WINDOW_MS = 6_000;

/** Rows and bytes over the last `WINDOW_MS`. */
export class Pace {
  #points: Point[];

  /** @param at where the counting begins */
  constructor(at: Point) {
    this.#points = [at];
  }

  add(point: Point): void {
    const last = this.#points.at(-1);
    // One point per tenth of a second is plenty, however many chunks are committed.
    if (last !== undefined && this.#points.length > 1 && point.atMs - last.atMs < 100) this.#points.pop();
    this.#points.push(point);
    while (this.#points.length > 2 && (this.#points[1]?.atMs ?? 0) < point.atMs - WINDOW_MS) {
      this.#points.shift();
    }
  }

  perSecond(nowMs: number): { rows: number; bytes: number } {
    const first = this.#points[0];
    const last = this.#points.at(-1);
    if (first === undefined || last === undefined) return { rows: 0, bytes: 0 };
    const seconds = Math.max(nowMs - first.atMs, 1) / 1000;
    // Rows of a chunk that was rolled back are counted once more when they come again.
    return {
      rows: Math.max(0, (last.rows - first.rows) / seconds),
      bytes: Math.max(0, (last.bytes - first.bytes) / seconds),
    };
  }
}

/** A stretch of the run. */
export interface HistoryPoint {
  /** Where the stretch ends, since the run's start. */
  atMs: number;
  rowsPerSecond: number;
  bytesPerSecond: number;
}

/** The whole run in no more than this many points: when there are more, each two become one. */
const MOST_POINTS = 480;

/** How fast rows came, from the run's start on; of a bounded size however long the run. */
export class History {
  #points: Point[] = [{ atMs: 0, rows: 0, bytes: 0 }];
  #everyMs = 250;

  /** @param point totals so far; `atMs` since the run's start */
  add(point: Point): void {
    if (point.atMs - this.#points.at(-1)!.atMs < this.#everyMs * 0.9) return;
    this.#points.push(point);
    if (this.#points.length <= MOST_POINTS) return;
    this.#points = this.#points.filter((_, i) => i % 2 === 0);
    this.#everyMs *= 2;
  }

  /** What an earlier process has done is not this one's speed. */
  shift(rows: number, bytes: number): void {
    this.#points = this.#points.map((point) => ({
      ...point,
      rows: point.rows + rows,
      bytes: point.bytes + bytes,
    }));
  }

  /** @param end the totals now, which end the last stretch */
  points(end: Point): HistoryPoint[] {
    const last = this.#points.at(-1)!;
    const all = end.atMs > last.atMs ? [...this.#points, end] : this.#points;
    return all.slice(1).map((point, i) => {
      const before = all[i]!;
      const seconds = (point.atMs - before.atMs) / 1000;
      return {
        atMs: point.atMs,
        rowsPerSecond: Math.max(0, (point.rows - before.rows) / seconds),
        bytesPerSecond: Math.max(0, (point.bytes - before.bytes) / seconds),
      };
    });
  }
}
