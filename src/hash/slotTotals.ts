/**
 * What the hash tier leaves of a slot whose rows nobody wants: their number and the sums of their hashes.
 *
 * Written on the thread that hashes, over the slot's first bytes, read on the main thread.
 */

/** Sums over a slot's rows: of the first and the second 32-bit word of each hash, as its digits read. */
export interface HashSums {
  rows: number;
  /** Exact: a slot holds fewer than the 2^21 rows whose words could pass 2^53. */
  first: number;
  second: number;
}

/** Takes the place of a slot's tuples, however few bytes these had: a slot has room for it. */
export function writeSlotTotals(view: DataView, offset: number, { rows, first, second }: HashSums): void {
  view.setFloat64(offset, rows, false);
  view.setFloat64(offset + 8, first, false);
  view.setFloat64(offset + 16, second, false);
}

/** @returns what `writeSlotTotals` wrote. */
export function readSlotTotals(bytes: Buffer, offset: number): HashSums {
  return {
    rows: bytes.readDoubleBE(offset),
    first: bytes.readDoubleBE(offset + 8),
    second: bytes.readDoubleBE(offset + 16),
  };
}
