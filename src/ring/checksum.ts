/**
 * The CRC-32 of a chunk's tuples, which its entry in the ledger has: of long stretches by vector instructions in
 * WebAssembly, several times faster than by zlib's tables. On the thread that hands the slots to the writer, since they
 * are in its caches: the hash thread, or the reader where there is none.
 *
 * The remainder of a polynomial stays the same where a multiple of the divisor is added. One such multiple has but five
 * terms: x^300 + x^155 + x^117 + x^89 + 1. Its 128th power, which modulo 2 has the same terms with exponents 128 times as
 * large, says that a vector of 128 bits may be taken away where it is added to those 145, 183, 211 and 300 vectors
 * further on. So all but the last 300 vectors are taken away, and zlib has only these to divide.
 */
import { crc32 as plainCrc32 } from 'node:zlib';
import { block, branchIf, define, get, i32, loop, set, v128, when } from '../wasm/assembler.js';
import { Kernel } from '../wasm/memory.js';

/** Vectors from one that is taken away to those it is added to. */
const DISTANCES = [145, 183, 211, 300] as const;
const VECTOR_BYTES = 16;
/** What is left of a stretch. */
const REST_VECTORS = 300;
const REST_BYTES = REST_VECTORS * VECTOR_BYTES;
/** Vectors taken away before the last 300 of them are moved to the front; in the first-level cache with what is read. */
const STRIDE_VECTORS = 724;
/** Vectors a turn. */
const UNROLLED = 4;
const TURN_BYTES = UNROLLED * VECTOR_BYTES;

/** Byte offsets in the kernel's area: what was taken away last, and the rest. */
const HISTORY = 0;
const REST = HISTORY + REST_BYTES + STRIDE_VECTORS * VECTOR_BYTES;

/** Bytes of the kernel's own. */
export const CHECKSUM_BYTES = 24 * 1024;

/** Shorter ones zlib does as fast. */
const SHORTEST_BYTES = 4 * REST_BYTES;

interface Functions {
  /** Reduces `bytes` (a multiple of 64, more than the rest) at `from` to the rest; `register` is CRC-32's to begin with. */
  reduce(from: number, bytes: number, register: number, area: number): void;
}

const int = i32.const;
const ZEROS = v128.const32([0, 0, 0, 0]);

const reduce = () =>
  define('reduce', ['i32', 'i32', 'i32', 'i32'], null, ([from, bytes, register, area], { local }) => {
    const [at, left, base] = [from!, bytes!, area!];
    const history = local('i32');
    const end = local('i32');
    const move = local('i32');
    const add = (target: typeof at, amount: number) => set(target, i32.add(get(target), int(amount)));
    const reduced = (part: number) => {
      // Distances reach back from the end of the history's first 300 vectors at least.
      const earlier = DISTANCES.map((distance) =>
        v128.load(get(history), REST_BYTES + part - distance * VECTOR_BYTES),
      );
      return earlier.reduce((sum, vector) => v128.xor(sum, vector), v128.load(get(at), part));
    };
    const parts = Array.from({ length: UNROLLED }, (_, i) => i * VECTOR_BYTES);
    return [
      set(history, get(base)),
      set(end, i32.add(get(base), int(REST_BYTES))),
      loop((next) => [
        ...parts.map((part) => v128.store(get(history), ZEROS, part)),
        add(history, TURN_BYTES),
        branchIf(next, i32.ltU(get(history), get(end))),
      ]),
      // Nothing but the first vector is 300 behind this one.
      i32.store(get(base), get(register!)),
      set(left, i32.sub(get(left), int(REST_BYTES))),
      loop((next) => [
        set(history, get(base)),
        set(end, int(STRIDE_VECTORS * VECTOR_BYTES)),
        when(i32.gtU(get(end), get(left)), () => [set(end, get(left))]),
        set(left, i32.sub(get(left), get(end))),
        set(end, i32.add(get(end), get(base))),
        block((none) => [
          branchIf(none, i32.eq(get(end), get(base))),
          loop((more) => [
            ...parts.map((part) => v128.store(get(history), reduced(part), REST_BYTES + part)),
            add(at, TURN_BYTES),
            add(history, TURN_BYTES),
            branchIf(more, i32.ltU(get(history), get(end))),
          ]),
          set(move, get(base)),
          set(end, i32.add(get(base), int(REST_BYTES))),
          loop((more) => [
            ...parts.map((part) => v128.store(get(move), v128.load(get(history), part), part)),
            add(move, TURN_BYTES),
            add(history, TURN_BYTES),
            branchIf(more, i32.ltU(get(move), get(end))),
          ]),
        ]),
        branchIf(next, get(left)),
      ]),
      set(history, get(base)),
      set(end, i32.add(get(base), int(REST_BYTES))),
      loop((more) => [
        ...parts.flatMap((part) => [
          v128.store(get(history), reduced(part), REST + part),
          v128.store(get(history), ZEROS, REST_BYTES + part),
        ]),
        add(at, TURN_BYTES),
        add(history, TURN_BYTES),
        branchIf(more, i32.ltU(get(history), get(end))),
      ]),
    ];
  });

const crcKernel = new Kernel<Functions>(() => [reduce()]);

/**
 * @param area `CHECKSUM_BYTES` of the same memory that nobody else uses meanwhile
 * @param before the CRC-32 of what comes before these bytes; 0 where they are the first
 * @returns CRC-32, as of `zlib`
 */
export function crc32(memory: Buffer, from: number, bytes: number, area: number, before: number): number {
  const kernel = bytes < SHORTEST_BYTES ? null : crcKernel.over(memory.buffer);
  if (kernel === null) return plainCrc32(memory.subarray(from, from + bytes), before);
  const whole = bytes - (bytes % TURN_BYTES);
  kernel.reduce(from, whole, ~before, area);
  // With a register of zeros, as the one to begin with is in the rest already.
  const rest = plainCrc32(memory.subarray(area + REST, area + REST + REST_BYTES), 0xffff_ffff);
  return plainCrc32(memory.subarray(from + whole, from + bytes), rest);
}
