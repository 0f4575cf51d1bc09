/**
 * What the row walkers share: the columns as the hash tier knows them, what is done with each, and the checks
 * that the bytes are tuples of those columns. Runs on the thread that hashes; the descriptions also on the main thread.
 */
import { AppError } from '../errors.js';
import type { HashField } from '../plan/chunk.js';
import { MD5_HEX_BYTES, type Md5 } from './md5.js';
import { numericTextBytes, writeNumericText } from './numericText.js';

/** A field's treatment, as a number for the row loop: skipped, hashed as it is, or `NUMERIC + scale`. */
export const TREATMENT = { SKIP: -2, BYTES: -1, NUMERIC: 0 } as const;

/** Far beyond any column's scale; keeps a wrong one from asking for gigabytes of zeros. */
export const MAX_SCALE = 1000;

/** @returns the treatment of a field. @throws AppError INTERNAL where a hashed numeric has no sensible scale. */
export function treatmentOf({ field, hashed, scale }: HashField): number {
  if (!hashed) return TREATMENT.SKIP;
  if (field !== 'numeric') return TREATMENT.BYTES;
  if (scale === undefined || !Number.isInteger(scale) || scale < 0 || scale > MAX_SCALE) {
    throw new AppError('INTERNAL', `a numeric column can't be hashed with a scale of ${scale}`);
  }
  return TREATMENT.NUMERIC + scale;
}

/** @throws AppError INTERNAL where a tuple does not have the fields and the row hash. */
export function checkFieldCount(found: number, fields: number): void {
  if (found !== fields + 1) {
    throw new AppError(
      'INTERNAL',
      `a tuple of ${found} fields came to be hashed where ${fields + 1} were expected`,
    );
  }
}

/** @throws AppError INTERNAL where the last field has no room for exactly the digits. */
export function checkHashLength(found: number): void {
  if (found !== MD5_HEX_BYTES) {
    throw new AppError(
      'INTERNAL',
      `a tuple leaves ${found} bytes for its row hash; it takes ${MD5_HEX_BYTES}`,
    );
  }
}

/** Raises the error for a length below -1. */
export function refuseLength(bytes: number, field: number): never {
  throw new AppError('INTERNAL', `field ${field} of a tuple has a length of ${bytes} bytes`);
}

/** Hashes numeric fields as length and text. */
export class NumericRun {
  readonly #text: Uint8Array;
  readonly #view: DataView;

  constructor(largestScale: number) {
    this.#text = new Uint8Array(4 + numericTextBytes(largestScale));
    this.#view = new DataView(this.#text.buffer);
  }

  /** Adds the numeric of `bytes` bytes at `position` to `md5`, with `scale` decimals. */
  hash(md5: Md5, view: DataView, position: number, bytes: number, scale: number): void {
    const length = writeNumericText(view, position, bytes, scale, this.#text, 4);
    this.#view.setInt32(0, length, false);
    md5.update(this.#view, 0, 4 + length);
  }
}
