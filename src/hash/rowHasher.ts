/**
 * Hashes rows where they lie: walks the binary COPY tuples of a slot, hashes the canonical form of the hashed
 * columns and writes the 32 digits over the placeholder at each tuple's end. Runs on the thread that hashes.
 *
 * The canonical form of a field, length and bytes with -1 for NULL, is what binary COPY sends, so all hashed
 * columns that stand together are hashed as one run of bytes. Only numeric is not: its text is hashed.
 *
 * Three walkers, one meaning: short rows that lie wholly in a slot are hashed eight at a time by `rowKernel.ts`, where
 * there is one; other rows that lie in a slot one by one; a row cut by the slot's end goes through `CutRow`, field by
 * field, and resumes in the next slot.
 */
import type { HashField } from '../plan/chunk.js';
import { CutRow } from './cutRow.js';
import { MD5_HEX_BYTES, Md5 } from './md5.js';
import {
  checkFieldCount,
  checkHashLength,
  NumericRun,
  refuseLength,
  TREATMENT,
  treatmentOf,
} from './rowFormat.js';
import { type KernelFields, kernelFields, type RowKernel } from './rowKernel.js';

/** Hashes the rows of one chunk, slot by slot in order. */
export interface RowHasher {
  /**
   * Hashes the rows in `length` bytes of DATA slot at `offset`, writing the digits in place.
   * @returns the rows whose last byte lies in the slot.
   * @throws AppError INTERNAL where the bytes are not tuples of the given fields.
   */
  hashSlot(view: DataView, offset: number, length: number): number;
  /** @returns the sums of the hashes' first and second 32-bit words, of the rows completed since the last call. */
  takeSums(): { first: number; second: number };
  /** True between two rows. */
  readonly atRowEnd: boolean;
}

/**
 * @param kernel over the memory the slots lie in; null: the loops do all
 * @returns a hasher for one chunk's rows.
 * @throws AppError INTERNAL where a hashed numeric column comes without its scale.
 */
export function createRowHasher(fields: readonly HashField[], kernel: RowKernel | null = null): RowHasher {
  return new SlotHasher(fields, kernel);
}

class SlotHasher implements RowHasher {
  readonly #treatments: Int16Array;
  /** Start and end of the runs to hash in the row at hand; a numeric field's start is inverted. */
  readonly #runs: Int32Array;
  readonly #scales: Int16Array;
  readonly #md5 = new Md5();
  readonly #numeric: NumericRun;
  readonly #cut: CutRow;
  readonly #kernel: RowKernel | null;
  readonly #fields: KernelFields | null;
  /** Sums of the first and the second words of what the kernel hashed. */
  readonly #sums = new Float64Array(2);

  constructor(fields: readonly HashField[], kernel: RowKernel | null) {
    const treatments = Int16Array.from(fields, treatmentOf);
    this.#treatments = treatments;
    this.#runs = new Int32Array(2 * fields.length + 2);
    this.#scales = new Int16Array(fields.length + 1);
    this.#numeric = new NumericRun(treatments.reduce((most, scale) => Math.max(most, scale), 0));
    this.#cut = new CutRow(treatments, this.#md5, this.#numeric);
    this.#kernel = kernel;
    this.#fields = kernelFields(treatments);
  }

  get atRowEnd(): boolean {
    return this.#cut.atRowEnd;
  }

  takeSums(): { first: number; second: number } {
    const own = this.#md5.takeSums();
    const sums = { first: own.first + this.#sums[0]!, second: own.second + this.#sums[1]! };
    this.#sums.fill(0);
    return sums;
  }

  hashSlot(view: DataView, offset: number, length: number): number {
    const kernel = this.#kernel;
    const fields = this.#fields;
    const end = offset + length;
    let p = offset;
    let rows = 0;
    if (!this.#cut.atRowEnd) {
      p = this.#cut.resume(view, p, end);
      if (!this.#cut.atRowEnd) return 0;
      rows++;
    }
    while (p < end) {
      if (kernel !== null && fields !== null) {
        p = kernel.hash(fields, p, end, this.#sums);
        rows += kernel.rows;
        if (p === end) break;
      }
      p = this.#hashRow(view, p, end);
      if (!this.#cut.atRowEnd) break;
      rows++;
    }
    return rows;
  }

  /** Hashes the row at `row`, or begins to. @returns the position after it, or `end` where it goes on */
  #hashRow(view: DataView, row: number, end: number): number {
    const treatments = this.#treatments;
    const runs = this.#runs;
    const md5 = this.#md5;
    const fieldCount = treatments.length;
    let p = row + 2;
    let run = 0;
    let runStart = -1;
    if (p <= end) checkFieldCount(view.getInt16(row, false), fieldCount);
    for (let i = 0; i < fieldCount && p + 4 <= end; i++) {
      const bytes = view.getInt32(p, false);
      const treatment = treatments[i]!;
      if (bytes < -1) refuseLength(bytes, i);
      const next = p + 4 + Math.max(bytes, 0);
      if (treatment === TREATMENT.BYTES || (treatment >= TREATMENT.NUMERIC && bytes < 0)) {
        if (runStart < 0) runStart = p;
      } else {
        if (runStart >= 0) {
          runs[run++] = runStart;
          runs[run++] = p;
          runStart = -1;
        }
        if (treatment >= TREATMENT.NUMERIC) {
          this.#scales[run >> 1] = treatment;
          runs[run++] = ~p;
          runs[run++] = next;
        }
      }
      p = next;
    }
    // A row that was left early, or whose last field overhangs, ends past the slot by these bytes at least.
    if (p + 4 + MD5_HEX_BYTES > end) return this.#cut.begin(view, row, end);
    checkHashLength(view.getInt32(p, false));
    if (runStart >= 0) {
      runs[run++] = runStart;
      runs[run++] = p;
    }
    md5.init();
    for (let i = 0; i < run; i += 2) {
      const start = runs[i]!;
      if (start >= 0) md5.update(view, start, runs[i + 1]! - start);
      else this.#numeric.hash(md5, view, ~start + 4, runs[i + 1]! - ~start - 4, this.#scales[i >> 1]!);
    }
    md5.finish(view, p + 4);
    return p + 4 + MD5_HEX_BYTES;
  }
}
