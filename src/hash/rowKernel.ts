/**
 * The kernels that hash whole rows of a slot, eight side by side, over one lane's memory. The thread that hashes.
 *
 * One for each lane: its area of the memory is where the kernels keep everything, so chunks take turns in using it.
 */
import { Kernel } from '../wasm/memory.js';
import { collect } from './collectKernel.js';
import { AREA, ENTRY_BYTES, MAX_GROUPS, NO_NUMERIC } from './hashArea.js';
import { hashQueue, md5Constants } from './md5Kernel.js';
import { TREATMENT } from './rowFormat.js';

/** Addresses are byte offsets in the memory; `area` is where the hash tier's own part of it begins. */
interface Functions {
  collect(from: number, end: number, area: number, fields: number): number;
  hashQueue(area: number): void;
}

const kernels = new Kernel<Functions>(() => [collect(), hashQueue()]);

/** A chunk's fields as the kernels take them. */
export interface KernelFields {
  /** The first two bytes of its tuples, as a little-endian number. */
  countBytes: number;
  /** Fields skipped, fields hashed, the scale of a numeric or `NO_NUMERIC`, and so on. */
  groups: Int32Array;
}

/** @returns the fields for the kernel; null where there are too many groups of them */
export function kernelFields(treatments: Int16Array): KernelFields | null {
  const groups: [skipped: number, hashed: number, scale: number][] = [[0, 0, NO_NUMERIC]];
  for (const treatment of treatments) {
    let group = groups.at(-1)!;
    if (group[2] !== NO_NUMERIC || (treatment === TREATMENT.SKIP && group[1] > 0)) {
      group = [0, 0, NO_NUMERIC];
      groups.push(group);
    }
    if (treatment === TREATMENT.SKIP) group[0]++;
    else if (treatment === TREATMENT.BYTES) group[1]++;
    else group[2] = treatment - TREATMENT.NUMERIC;
  }
  if (groups.length > MAX_GROUPS) return null;
  const count = treatments.length + 1;
  return { countBytes: ((count & 0xff) << 8) | (count >> 8), groups: Int32Array.from(groups.flat()) };
}

export class RowKernel {
  readonly #functions: Functions;
  readonly #base: number;
  readonly #words: Int32Array;
  /** Whose groups lie in the area. */
  #fields: KernelFields | undefined;
  /** Rows hashed by the last call of `hash`. */
  rows = 0;

  /** @returns the kernels over a lane's memory, `HASH_BYTES` of it at `base`; null where there are none */
  static over(buffer: SharedArrayBuffer, base: number): RowKernel | null {
    const functions = kernels.over(buffer);
    return functions === null ? null : new RowKernel(functions, buffer, base);
  }

  private constructor(functions: Functions, buffer: SharedArrayBuffer, base: number) {
    this.#functions = functions;
    this.#base = base;
    this.#words = new Int32Array(buffer, base, AREA.QUEUE >> 2);
    this.#words.set(md5Constants(), AREA.CONSTANTS >> 2);
  }

  /**
   * Hashes rows from byte `from` on, as many of them as are short, whole before `end`, and tuples of these fields.
   * @param sums the digests' first and second words are added to
   * @returns the position after them
   */
  hash(fields: KernelFields, from: number, end: number, sums: Float64Array): number {
    const words = this.#words;
    const base = this.#base;
    if (this.#fields !== fields) {
      words.set(fields.groups, AREA.GROUPS >> 2);
      words[AREA.GROUPS_END >> 2] = base + AREA.GROUPS + 4 * fields.groups.length;
      this.#fields = fields;
    }
    this.rows = 0;
    let position = from;
    for (;;) {
      position = this.#functions.collect(position, end, base, fields.countBytes);
      const rows = (words[AREA.QUEUE_END >> 2]! - base - AREA.QUEUE) / ENTRY_BYTES;
      if (rows === 0) break;
      this.#functions.hashQueue(base);
      this.rows += rows;
    }
    for (let i = 0; i < 2; i++) {
      const low = (AREA.SUMS >> 2) + 2 * i;
      sums[i]! += (words[low]! >>> 0) + (words[low + 1]! >>> 0) * 2 ** 32;
      words[low] = 0;
      words[low + 1] = 0;
    }
    return position;
  }
}
