/**
 * MD5 (RFC 1321) of eight messages at a time by vector instructions, in WebAssembly. Hash thread.
 *
 * Each lane of two vectors works on a message of its own and takes the next one from the queue when it is done, so
 * that a long message keeps no short one waiting. Two vectors, since one alone waits for its own results most of the
 * time. Where there is no such memory, `md5.ts` does the same, one message after the other.
 */
import {
  block,
  branch,
  branchIf,
  type Code,
  define,
  get,
  i8x16,
  i32,
  i32x4,
  i64x2,
  type Local,
  loop,
  set,
  type ValueType,
  v128,
  when,
} from '../wasm/assembler.js';
import { AREA, ENTRY_BYTES, LANES } from './hashArea.js';

const SETS = LANES / 4;
const INITIAL = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476] as const;
const SHIFTS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
] as const;
/** Blocks left of a lane without a message; however many the others take, it keeps more than half of them. */
const IDLE = 0x7fffffff;

const int = i32.const;
const words = (word: number): Code => v128.const32([word, word, word, word]);

/**
 * @returns the constants as the kernel adds them: those of the last round are less by one, since it subtracts the
 *   complement of its function in place of adding the function.
 */
export function md5Constants(): Int32Array {
  return Int32Array.from({ length: 64 }, (_, i) => {
    const constant = Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32);
    return i < 48 ? constant : constant - 1;
  });
}

interface Tools {
  local: (type: ValueType) => Local;
}

/** The state words of four lanes. */
type State = readonly [Local, Local, Local, Local];

/** Four vectors as rows of a square, turned round. */
function transposed(
  row: (index: number) => Code,
  t: readonly Local[],
  store: (i: number, v: Code) => Code,
): Code[] {
  const low = (x: Code, y: Code): Code =>
    i8x16.shuffle(x, y, [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23]);
  const high = (x: Code, y: Code): Code =>
    i8x16.shuffle(x, y, [8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31]);
  const lowHalves = (x: Code, y: Code): Code =>
    i8x16.shuffle(x, y, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
  const highHalves = (x: Code, y: Code): Code =>
    i8x16.shuffle(x, y, [8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31]);
  const [a, b, c, d, e, f] = t as [Local, Local, Local, Local, Local, Local];
  return [
    set(a, row(0)),
    set(b, row(1)),
    set(c, row(2)),
    set(d, row(3)),
    set(e, low(get(a), get(b))),
    set(f, low(get(c), get(d))),
    set(a, high(get(a), get(b))),
    set(c, high(get(c), get(d))),
    store(0, lowHalves(get(e), get(f))),
    store(1, highHalves(get(e), get(f))),
    store(2, lowHalves(get(a), get(c))),
    store(3, highHalves(get(a), get(c))),
  ];
}

/** `a + function(b, c, d)` of a round, where `a` has the message's word and the constant already. */
function mixed(round: number, a: Code, b: Local, c: Local, d: Local): Code {
  const [x, y, z] = [get(b), get(c), get(d)];
  switch (round) {
    case 0:
      return i32x4.add(a, v128.xor(z, v128.and(x, v128.xor(y, z))));
    case 1:
      // Bits of one are never bits of the other, so they may be added: what needs no `b` first.
      return i32x4.add(i32x4.add(a, v128.andnot(y, z)), v128.and(x, z));
    case 2:
      return i32x4.add(a, v128.xor(x, v128.xor(y, z)));
    default:
      return i32x4.sub(a, v128.xor(y, v128.andnot(z, x)));
  }
}

/** Words of the block that a round's first four steps take; each four steps on they are so many words further. */
const WORDS = [
  { first: [0, 1, 2, 3], further: 4 },
  { first: [1, 6, 11, 0], further: 4 },
  { first: [5, 8, 11, 14], further: 12 },
  { first: [0, 7, 14, 5], further: 12 },
] as const;

/**
 * Mixes the blocks at `AREA.BLOCKS` into the states.
 *
 * Four steps a turn: V8 orders what does not depend on each other within a turn only. Without the loop it does all steps
 * of the first vector, then all of the second, and neither fills the other's waiting times.
 */
function compress(base: Local, states: readonly State[], t: readonly Local[], tools: Tools): Code[] {
  const constant = tools.local('v128');
  const constants = tools.local('i32');
  const turn = tools.local('i32');
  const word = tools.local('i32');
  const step = (round: number, i: number): Code[] => [
    set(word, i32.and(i32.add(get(turn), int(16 * WORDS[round]!.first[i]!)), int(16 * 15))),
    set(word, i32.add(get(word), get(base))),
    set(constant, v128.load32Splat(get(constants), 4 * i)),
    ...states.flatMap((state, s) => {
      const [a, b, c, d] = [0, 1, 2, 3].map((n) => state[(n + 4 - i) & 3]!) as [Local, Local, Local, Local];
      const added = i32x4.add(v128.load(get(word), AREA.BLOCKS + 256 * s), get(constant));
      const sum = t[s]!;
      const shift = int(SHIFTS[round]![i]!);
      const rest = int(32 - SHIFTS[round]![i]!);
      return [
        set(sum, mixed(round, i32x4.add(added, get(a)), b, c, d)),
        set(a, i32x4.add(v128.or(i32x4.shl(get(sum), shift), i32x4.shrU(get(sum), rest)), get(b))),
      ];
    }),
  ];
  return [
    set(constants, i32.add(get(base), int(AREA.CONSTANTS))),
    ...WORDS.flatMap(({ further }, round) => [
      set(turn, int(0)),
      loop((again) => [
        ...[0, 1, 2, 3].flatMap((i) => step(round, i)),
        set(constants, i32.add(get(constants), int(16))),
        set(turn, i32.and(i32.add(get(turn), int(16 * further)), int(16 * 15))),
        branchIf(again, get(turn)),
      ]),
    ]),
  ];
}

/** Hashes the queue's messages, writes the digits of each, and adds its first two words to the sums. */
export const hashQueue = () =>
  define('hashQueue', ['i32'], null, ([area], { local }) => {
    const base = area!;
    const entry = local('i32');
    const queueEnd = local('i32');
    const mask = local('i32');
    const lane = local('i32');
    const blocks = local('i32');
    const turns = local('i32');
    const offset = local('i32');
    const digest = local('v128');
    const high = local('v128');
    const sums = local('v128');
    const t = Array.from({ length: 6 }, () => local('v128'));
    const left = Array.from({ length: SETS }, () => local('v128'));
    const states = left.map((): State => [local('v128'), local('v128'), local('v128'), local('v128')]);
    const started = left.map((): State => [local('v128'), local('v128'), local('v128'), local('v128')]);

    const laneWord = (): Code => i32.add(get(base), i32.shl(get(lane), int(2)));
    const nextLane = (): Code[] => [
      set(lane, i32.ctz(get(mask))),
      set(mask, i32.and(get(mask), i32.sub(get(mask), int(1)))),
    ];
    /** Gives the lane the queue's next message, or none. */
    const take = (): Code =>
      when(
        i32.ltU(get(entry), get(queueEnd)),
        () => [
          i32.store(laneWord(), i32.load(get(entry)), AREA.AT),
          i32.store(laneWord(), i32.load(get(entry), 4), AREA.LEFT),
          i32.store(laneWord(), i32.load(get(entry), 8), AREA.OUT),
          set(entry, i32.add(get(entry), int(ENTRY_BYTES))),
        ],
        () => [
          // Goes over anything that can be read; the staging part is long enough for whatever the others have left.
          i32.store(laneWord(), i32.add(get(base), int(AREA.STAGING)), AREA.AT),
          i32.store(laneWord(), int(IDLE), AREA.LEFT),
        ],
      );
    const digitTable = v128.const32([0x33323130, 0x37363534, 0x62613938, 0x66656463]);
    const nibble = words(0x0f0f0f0f);
    /** Writes the digits of the lane's digest. */
    const finish = (): Code[] => [
      set(digest, v128.load(i32.add(get(base), i32.shl(get(lane), int(4))), AREA.DIGESTS)),
      // Words as their digits read: the high byte first.
      set(
        sums,
        i64x2.add(
          get(sums),
          i64x2.extendLowI32x4U(
            i8x16.shuffle(get(digest), get(digest), [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]),
          ),
        ),
      ),
      set(high, i8x16.swizzle(digitTable, v128.and(i32x4.shrU(get(digest), int(4)), nibble))),
      set(digest, i8x16.swizzle(digitTable, v128.and(get(digest), nibble))),
      ...storeDigits(),
    ];
    const storeDigits = (): Code[] => {
      const out = i32.load(laneWord(), AREA.OUT);
      const pair = (from: number): number[] =>
        Array.from({ length: 8 }, (_, i) => [from + i, 16 + from + i]).flat();
      return [
        v128.store(out, i8x16.shuffle(get(high), get(digest), pair(0))),
        v128.store(out, i8x16.shuffle(get(high), get(digest), pair(8)), 16),
      ];
    };
    const initial = (): Code[] =>
      states.flatMap((state) => state.map((word, i) => set(word, words(INITIAL[i]!))));

    return [
      set(entry, i32.add(get(base), int(AREA.QUEUE))),
      set(queueEnd, i32.load(get(base), AREA.QUEUE_END)),
      set(sums, v128.load(get(base), AREA.SUMS)),
      ...initial(),
      set(mask, int((1 << LANES) - 1)),
      loop((again) => [...nextLane(), take(), branchIf(again, get(mask))]),
      block((done) => [
        loop((again) => [
          ...left.map((one, s) => set(one, v128.load(get(base), AREA.LEFT + 16 * s))),
          set(
            t[0]!,
            left.slice(1).reduce((least, one) => i32x4.minU(least, get(one)), get(left[0]!)),
          ),
          set(
            t[0]!,
            i32x4.minU(
              get(t[0]!),
              i8x16.shuffle(get(t[0]!), get(t[0]!), [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]),
            ),
          ),
          set(
            t[0]!,
            i32x4.minU(
              get(t[0]!),
              i8x16.shuffle(get(t[0]!), get(t[0]!), [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11]),
            ),
          ),
          set(blocks, i32x4.extract(get(t[0]!), 0)),
          branchIf(done, i32.gtU(get(blocks), int(IDLE >> 1))),
          set(turns, get(blocks)),
          set(offset, int(0)),
          loop((next) => [
            ...states.flatMap((_, s) =>
              [0, 16, 32, 48].flatMap((part) =>
                transposed(
                  (row) =>
                    v128.load(i32.add(i32.load(get(base), AREA.AT + 16 * s + 4 * row), get(offset)), part),
                  t,
                  (i, value) => v128.store(get(base), value, AREA.BLOCKS + 256 * s + 4 * part + 16 * i),
                ),
              ),
            ),
            ...states.flatMap((state, s) => state.map((word, i) => set(started[s]![i]!, get(word)))),
            ...compress(base, states, t, { local }),
            ...states.flatMap((state, s) =>
              state.map((word, i) => set(word, i32x4.add(get(word), get(started[s]![i]!)))),
            ),
            set(offset, i32.add(get(offset), int(64))),
            set(turns, i32.sub(get(turns), int(1))),
            branchIf(next, get(turns)),
          ]),
          set(mask, int(0)),
          ...states.flatMap((state, s) => [
            ...transposed(
              (row) => get(state[row]!),
              t,
              (i, value) => v128.store(get(base), value, AREA.DIGESTS + 64 * s + 16 * i),
            ),
            v128.store(
              get(base),
              i32x4.add(v128.load(get(base), AREA.AT + 16 * s), i32x4.splat(get(offset))),
              AREA.AT + 16 * s,
            ),
            set(left[s]!, i32x4.sub(get(left[s]!), i32x4.splat(get(blocks)))),
            v128.store(get(base), get(left[s]!), AREA.LEFT + 16 * s),
            set(left[s]!, i32x4.eq(get(left[s]!), words(0))),
            set(mask, i32.or(get(mask), i32.shl(i32x4.bitmask(get(left[s]!)), int(4 * s)))),
            ...state.map((word, i) =>
              set(word, v128.bitselect(words(INITIAL[i]!), get(word), get(left[s]!))),
            ),
          ]),
          loop((next) => [...nextLane(), ...finish(), take(), branchIf(next, get(mask))]),
          branch(again),
        ]),
      ]),
      v128.store(get(base), get(sums), AREA.SUMS),
    ];
  });
