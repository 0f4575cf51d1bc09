/**
 * Puts the messages of many rows together for `md5Kernel.ts`, in WebAssembly: the runs of hashed fields of a tuple one
 * behind the other, numerics as text, and MD5's padding. The thread that hashes.
 *
 * Takes whole tuples of the expected form only. What stops it, be it a row cut by the slot's end, a long one or bytes
 * that are no tuple, is for `rowHasher.ts` to look at.
 */
import {
  block,
  branch,
  branchIf,
  type Code,
  define,
  get,
  i32,
  type Label,
  type Local,
  loop,
  set,
  v128,
  when,
} from '../wasm/assembler.js';
import {
  AREA,
  ENTRY_BYTES,
  GROUP_BYTES,
  LONGEST_MESSAGE_BYTES,
  NO_NUMERIC,
  QUEUE_MESSAGES,
  SLACK_BYTES,
} from './hashArea.js';
import { MD5_HEX_BYTES } from './md5.js';
import { numericText } from './numericKernel.js';
import { numericTextBytes } from './numericText.js';
import { MAX_SCALE } from './rowFormat.js';

const int = i32.const;

function turned(value: number): number {
  return Buffer.from(Uint32Array.of(value).buffer).readInt32BE();
}

/** @returns a word with its bytes turned round. */
function bigEndian(word: Local): Code {
  return i32.or(
    i32.rotl(i32.and(get(word), int(0x00ff00ff)), int(24)),
    i32.and(i32.rotl(get(word), int(8)), int(0x00ff00ff)),
  );
}

/** The most that a numeric adds to a message: its length, and its text at the largest scale, written four at a time. */
const LONGEST_NUMERIC_BYTES = 4 + numericTextBytes(MAX_SCALE) + 3;

/** Lengths that are compared with rather than computed with: their fields can be told from a branch predicted. */
const COMMON_LENGTHS = [4, 8];
const ZEROS = v128.const32([0, 0, 0, 0]);

/**
 * `collect(from, end, area, fields)` collects the rows that begin at `from` and end before `end`.
 *
 * @param fields the first two bytes of a tuple
 * @returns the address after the last row taken; `AREA.QUEUE_END` says how many
 */
export const collect = () =>
  define('collect', ['i32', 'i32', 'i32', 'i32'], 'i32', ([from, end, area, fields], { local }) => {
    const row = from!;
    const base = area!;
    const at = local('i32');
    const start = local('i32');
    const to = local('i32');
    const message = local('i32');
    const count = local('i32');
    const group = local('i32');
    const groupsEnd = local('i32');
    const entry = local('i32');
    const entriesEnd = local('i32');
    const stagingEnd = local('i32');
    const length = local('i32');
    const scale = local('i32');

    /** Moves `at` over so many fields; `count` is zero after it. */
    const pass = (stop: Label): Code =>
      loop((next) => [
        set(length, i32.load(get(at))),
        block((known) => [
          ...COMMON_LENGTHS.flatMap((bytes) => [
            when(i32.eq(get(length), int(turned(bytes))), () => [
              set(at, i32.add(get(at), int(4 + bytes))),
              branch(known),
            ]),
          ]),
          set(at, i32.add(get(at), int(4))),
          branchIf(known, i32.eq(get(length), int(-1))),
          set(length, bigEndian(length)),
          // Negative ones, too; and what is added never passes 2^32.
          branchIf(stop, i32.gtU(get(length), i32.sub(get(end!), get(row)))),
          set(at, i32.add(get(at), get(length))),
        ]),
        branchIf(stop, i32.gtU(get(at), get(end!))),
        set(count, i32.sub(get(count), int(1))),
        branchIf(next, get(count)),
      ]);

    /** Puts the fields from `start` to `at` behind the message. */
    const copyRun = (stop: Label): Code[] => [
      set(length, i32.sub(get(at), get(start))),
      branchIf(
        stop,
        i32.gtU(i32.add(i32.sub(get(to), get(message)), get(length)), int(LONGEST_MESSAGE_BYTES)),
      ),
      // Whatever lies behind the run comes along and is written over.
      loop((more) => [
        ...[0, 16, 32, 48].map((part) => v128.store(get(to), v128.load(get(start), part), part)),
        set(start, i32.add(get(start), int(64))),
        set(to, i32.add(get(to), int(64))),
        branchIf(more, i32.ltU(get(start), get(at))),
      ]),
      set(to, i32.add(get(to), i32.sub(get(at), get(start)))),
    ];

    /** Puts a numeric's length and text behind the message. */
    const numeric = (stop: Label): Code[] => [
      branchIf(
        stop,
        i32.gtU(i32.sub(get(to), get(message)), int(LONGEST_MESSAGE_BYTES - LONGEST_NUMERIC_BYTES)),
      ),
      set(length, i32.load(get(at))),
      set(at, i32.add(get(at), int(4))),
      when(
        i32.eq(get(length), int(-1)),
        () => [i32.store(get(to), get(length)), set(to, i32.add(get(to), int(4)))],
        () => [
          set(length, bigEndian(length)),
          branchIf(stop, i32.gtU(get(length), i32.sub(get(end!), get(row)))),
          branchIf(stop, i32.gtU(i32.add(get(at), get(length)), get(end!))),
          set(start, get(to)),
          set(to, i32.add(get(to), int(4))),
          ...numericText({ field: at, bytes: length, scale, to, stop, local }),
          set(at, i32.add(get(at), get(length))),
          set(length, i32.sub(get(to), i32.add(get(start), int(4)))),
          i32.store(get(start), bigEndian(length)),
        ],
      ),
      branchIf(stop, i32.gtU(get(at), get(end!))),
    ];

    return [
      set(entry, i32.add(get(base), int(AREA.QUEUE))),
      set(entriesEnd, i32.add(get(entry), int(ENTRY_BYTES * QUEUE_MESSAGES))),
      set(message, i32.add(get(base), int(AREA.STAGING))),
      set(stagingEnd, i32.add(get(base), int(AREA.STAGING_END - LONGEST_MESSAGE_BYTES - SLACK_BYTES))),
      block((stop) => [
        loop((nextRow) => [
          branchIf(stop, i32.eq(get(entry), get(entriesEnd))),
          branchIf(stop, i32.gtU(get(message), get(stagingEnd))),
          set(at, i32.add(get(row), int(2))),
          branchIf(stop, i32.gtU(get(at), get(end!))),
          branchIf(stop, i32.ne(i32.load16U(get(row)), get(fields!))),
          set(to, get(message)),
          set(group, i32.add(get(base), int(AREA.GROUPS))),
          set(groupsEnd, i32.load(get(base), AREA.GROUPS_END)),
          loop((nextGroup) => [
            set(count, i32.load(get(group))),
            when(get(count), () => [pass(stop)]),
            set(count, i32.load(get(group), 4)),
            when(get(count), () => [set(start, get(at)), pass(stop), ...copyRun(stop)]),
            set(scale, i32.load(get(group), 8)),
            when(i32.ne(get(scale), int(NO_NUMERIC)), () => numeric(stop)),
            set(group, i32.add(get(group), int(GROUP_BYTES))),
            branchIf(nextGroup, i32.ltU(get(group), get(groupsEnd))),
          ]),
          branchIf(stop, i32.gtU(i32.add(get(at), int(4 + MD5_HEX_BYTES)), get(end!))),
          branchIf(stop, i32.ne(i32.load(get(at)), int(turned(MD5_HEX_BYTES)))),
          // One bit, zeros up to the end of a block, and in its last eight bytes the length in bits.
          set(length, i32.sub(get(to), get(message))),
          v128.store(get(to), v128.const32([0x80, 0, 0, 0])),
          ...[16, 32, 48, 64].map((part) => v128.store(get(to), ZEROS, part)),
          i32.store(get(entry), get(message)),
          set(count, i32.shrU(i32.add(get(length), int(8 + 64)), int(6))),
          i32.store(get(entry), get(count), 4),
          i32.store(get(entry), i32.add(get(at), int(4)), 8),
          set(entry, i32.add(get(entry), int(ENTRY_BYTES))),
          set(message, i32.add(get(message), i32.shl(get(count), int(6)))),
          i32.store(i32.sub(get(message), int(8)), i32.shl(get(length), int(3))),
          set(row, i32.add(get(at), int(4 + MD5_HEX_BYTES))),
          branch(nextRow),
        ]),
      ]),
      i32.store(get(base), get(entry), AREA.QUEUE_END),
      get(row),
    ];
  });
