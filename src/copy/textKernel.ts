/**
 * Text into UTF-8 by vector instructions, for values that lie in shared WebAssembly memory and go into the same. Hot:
 * called from `textWriters.ts` on the reader workers. Where there is no such memory, its loops do the same.
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
  type Local,
  leave,
  loop,
  set,
  v128,
  when,
} from '../wasm/assembler.js';
import { Kernel } from '../wasm/memory.js';

/** Addresses are byte offsets in the memory. */
export interface TextKernel {
  /**
   * UTF-16LE into UTF-8.
   *
   * @param bytes an even number
   * @param out has room for three bytes a unit
   * @returns the address after the text, or `TEXT_HAS_NUL`, `TEXT_LONE_SURROGATE`
   */
  utf16(from: number, bytes: number, out: number): number;
  /** Copies ASCII other than NUL, 16 bytes at a time. @returns the bytes copied, up to where there is something else */
  ascii(from: number, bytes: number, out: number): number;
}

/** U+0000 occurs, which PostgreSQL's text cannot hold. */
export const TEXT_HAS_NUL = -1;
/** A UTF-16 surrogate without its other half occurs (or an odd number of bytes), which has no UTF-8. */
export const TEXT_LONE_SURROGATE = -2;

const NOT_ASCII_UNITS = v128.const32([0xff80ff80, 0xff80ff80, 0xff80ff80, 0xff80ff80]);

const int = i32.const;

function advance(local: Local, bytes: number): Code {
  return set(local, i32.add(get(local), int(bytes)));
}

/** Writes one byte of a sequence: the marking bits and six (or fewer) of the code point from `shift` on. */
function sequenceByte(out: Local, point: Local, index: number, mark: number, shift: number): Code {
  const bits = shift === 0 ? get(point) : i32.shrU(get(point), int(shift));
  const kept = index === 0 ? bits : i32.and(bits, int(0x3f));
  return i32.store8(get(out), i32.or(kept, int(mark)), index);
}

const utf16 = () =>
  define('utf16', ['i32', 'i32', 'i32'], 'i32', ([from, bytes, out], { local }) => {
    const [src, at] = [from!, out!];
    const end = local('i32');
    const singlesEnd = local('i32');
    const unit = local('i32');
    const low = local('i32');
    const first = local('v128');
    const second = local('v128');
    const isWide = (value: Code): Code => v128.anyTrue(v128.and(value, NOT_ASCII_UNITS));
    const left = i32.sub(get(end), get(src));

    /** One unit, or two that are one code point. */
    const single = (): Code[] => [
      set(unit, i32.load16U(get(src))),
      advance(src, 2),
      when(
        i32.ltU(get(unit), int(0x80)),
        () => [
          when(i32.eqz(get(unit)), () => [leave(int(TEXT_HAS_NUL))]),
          i32.store8(get(at), get(unit)),
          advance(at, 1),
        ],
        () => [
          when(
            i32.ltU(get(unit), int(0x800)),
            () => [sequenceByte(at, unit, 0, 0xc0, 6), sequenceByte(at, unit, 1, 0x80, 0), advance(at, 2)],
            () => [
              when(
                i32.ne(i32.and(get(unit), int(0xf800)), int(0xd800)),
                () => [
                  sequenceByte(at, unit, 0, 0xe0, 12),
                  sequenceByte(at, unit, 1, 0x80, 6),
                  sequenceByte(at, unit, 2, 0x80, 0),
                  advance(at, 3),
                ],
                () => [
                  when(i32.or(i32.geU(get(unit), int(0xdc00)), i32.geU(get(src), get(end))), () => [
                    leave(int(TEXT_LONE_SURROGATE)),
                  ]),
                  set(low, i32.load16U(get(src))),
                  when(i32.ne(i32.and(get(low), int(0xfc00)), int(0xdc00)), () => [
                    leave(int(TEXT_LONE_SURROGATE)),
                  ]),
                  advance(src, 2),
                  // 0x10000 + the ten bits of each half.
                  set(
                    unit,
                    i32.add(
                      i32.add(
                        i32.shl(i32.and(get(unit), int(0x3ff)), int(10)),
                        i32.and(get(low), int(0x3ff)),
                      ),
                      int(0x10000),
                    ),
                  ),
                  sequenceByte(at, unit, 0, 0xf0, 18),
                  sequenceByte(at, unit, 1, 0x80, 12),
                  sequenceByte(at, unit, 2, 0x80, 6),
                  sequenceByte(at, unit, 3, 0x80, 0),
                  advance(at, 4),
                ],
              ),
            ],
          ),
        ],
      ),
    ];

    return [
      set(end, i32.add(get(src), get(bytes!))),
      block((done) => [
        loop((again) => [
          // Sixteen units a turn while they are ASCII. Signed is not needed: memory ends below 2 GiB.
          block((stop) => [
            loop((next) => [
              branchIf(stop, i32.ltU(left, int(32))),
              set(first, v128.load(get(src))),
              set(second, v128.load(get(src), 16)),
              branchIf(stop, isWide(v128.or(get(first), get(second)))),
              set(first, i8x16.narrowI16x8U(get(first), get(second))),
              when(i32.eqz(i8x16.allTrue(get(first))), () => [leave(int(TEXT_HAS_NUL))]),
              v128.store(get(at), get(first)),
              advance(src, 32),
              advance(at, 16),
              branch(next),
            ]),
          ]),
          // Eight, where there are no more.
          block((stop) => [
            branchIf(stop, i32.ltU(left, int(16))),
            set(first, v128.load(get(src))),
            branchIf(stop, isWide(get(first))),
            set(first, i8x16.narrowI16x8U(get(first), get(first))),
            when(i32.eqz(i8x16.allTrue(get(first))), () => [leave(int(TEXT_HAS_NUL))]),
            v128.store64Low(get(at), get(first)),
            advance(src, 16),
            advance(at, 8),
          ]),
          branchIf(done, i32.geU(get(src), get(end))),
          // And one by one up to eight, since something else is among them, or they are the last.
          set(singlesEnd, i32.add(get(src), int(16))),
          when(i32.gtU(get(singlesEnd), get(end)), () => [set(singlesEnd, get(end))]),
          loop((next) => [...single(), branchIf(next, i32.ltU(get(src), get(singlesEnd)))]),
          branchIf(again, i32.ltU(get(src), get(end))),
        ]),
      ]),
      get(at),
    ];
  });

const ascii = () =>
  define('ascii', ['i32', 'i32', 'i32'], 'i32', ([from, bytes, out], { local }) => {
    const at = local('i32');
    const value = local('v128');
    return [
      block((done) => [
        loop((next) => [
          branchIf(done, i32.ltU(i32.sub(get(bytes!), get(at)), int(16))),
          set(value, v128.load(i32.add(get(from!), get(at)))),
          branchIf(done, i8x16.bitmask(get(value))),
          branchIf(done, i32.eqz(i8x16.allTrue(get(value)))),
          v128.store(i32.add(get(out!), get(at)), get(value)),
          advance(at, 16),
          branch(next),
        ]),
      ]),
      get(at),
    ];
  });

export const textKernel = new Kernel<TextKernel>(() => [utf16(), ascii()]);
