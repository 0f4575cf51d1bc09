/**
 * Rows by an integer key, as both servers give them: packed, so that only those that differ become objects. Pure, main
 * thread.
 */
import type { RowChange } from './merge.js';

/** Bytes of a row: its key as 8 bytes in network order, the sign bit turned so that bytes sort as keys do; its digest. */
export const INTEGER_ROW_BYTES = 24;
const KEY_BYTES = 8;

/**
 * What must be done to the target to make it the source, as `mergeSides` finds it.
 *
 * @param source packed rows in the order of key, then digest, and so `target`
 */
export function integerChanges(source: Buffer, target: Buffer): RowChange[] {
  const from = viewOf(source);
  const to = viewOf(target);
  const changes: RowChange[] = [];
  let last = -1;
  let s = 0;
  let t = 0;
  const add = (change: 'insert' | 'update'): void => {
    const key = [keyAt(from, s)];
    const collides = last >= 0 && compare(from, s, from, last, KEY_BYTES) === 0;
    changes.push(collides ? { change, key, collides } : { change, key });
  };
  while (s < source.length || t < target.length) {
    const order = s === source.length ? 1 : t === target.length ? -1 : compare(from, s, to, t, KEY_BYTES);
    if (order > 0) {
      changes.push({ change: 'delete', key: [keyAt(to, t)] });
      t += INTEGER_ROW_BYTES;
      continue;
    }
    if (order < 0) add('insert');
    else {
      if (compare(from, s, to, t, INTEGER_ROW_BYTES) !== 0) add('update');
      t += INTEGER_ROW_BYTES;
    }
    last = s;
    s += INTEGER_ROW_BYTES;
  }
  return changes;
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function keyAt(rows: DataView, at: number): string {
  return String(BigInt.asIntN(64, rows.getBigUint64(at) ^ (1n << 63n)));
}

/** @returns less than, equal to or greater than 0, as the first `length` bytes of `a` are to those of `b` */
function compare(a: DataView, atA: number, b: DataView, atB: number, length: number): number {
  for (let i = 0; i < length; i += 4) {
    const difference = a.getUint32(atA + i) - b.getUint32(atB + i);
    if (difference !== 0) return difference;
  }
  return 0;
}
