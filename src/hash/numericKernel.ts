/**
 * A binary numeric field as its text, in WebAssembly: what `numericText.ts` writes, for `collectKernel.ts`. Hash thread.
 *
 * Whatever that one refuses, and a zero with a sign, stops the kernel: it then comes to `numericText.ts`.
 */
import {
  block,
  branch,
  branchIf,
  type Code,
  get,
  i32,
  type Label,
  type Local,
  loop,
  set,
  when,
} from '../wasm/assembler.js';

/** Base-10000 digits, and the largest weight, that are taken. */
const MAX_GROUPS = 64;
/** The sign of numbers below zero, its bytes as read. */
const NEGATIVE = 0x0040;
const HEADER_BYTES = 8;

const int = i32.const;
const char = (text: string): Code => int(text.charCodeAt(0));

interface Place {
  /** The field's bytes, behind its length; not changed. */
  field: Local;
  /** Their number, which lies in the slot. */
  bytes: Local;
  /** Decimals to write; not changed. */
  scale: Local;
  /** Where the text goes; becomes the address after it. */
  to: Local;
  /** Where to branch with what is not taken. */
  stop: Label;
  local: (type: 'i32') => Local;
}

/** @returns the two bytes at an address as an unsigned number, high byte first. */
function bigEndian16(word: Local, address: Code, offset = 0): Code[] {
  return [
    set(word, i32.load16U(address, offset)),
    set(word, i32.or(i32.shl(i32.and(get(word), int(0xff)), int(8)), i32.shrU(get(word), int(8)))),
  ];
}

/** @returns code that writes a numeric field's text. */
export function numericText({ field, bytes, scale, to, stop, local }: Place): Code[] {
  const groups = local('i32');
  const weight = local('i32');
  const negative = local('i32');
  const first = local('i32');
  const any = local('i32');
  const group = local('i32');
  const value = local('i32');
  const text = local('i32');
  const left = local('i32');
  const add = (target: Local, amount: Code): Code => set(target, i32.add(get(target), amount));
  const write = (character: Code): Code[] => [i32.store8(get(to), character), add(to, int(1))];

  /** The base-10000 digit number `group`, zero outside of those sent, as a number and as four characters. */
  const digit = (): Code[] => [
    set(value, int(0)),
    when(i32.ltU(get(group), get(groups)), () => [
      ...bigEndian16(value, i32.add(get(field), i32.shl(get(group), int(1))), HEADER_BYTES),
      branchIf(stop, i32.gtU(get(value), int(9999))),
      set(any, i32.or(get(any), get(value))),
    ]),
    // Hundreds and the rest side by side, then the tens of both: by multiplication, exact for so small numbers.
    set(text, i32.shrU(i32.mul(get(value), int(5243)), int(19))),
    set(text, i32.or(get(text), i32.shl(i32.sub(get(value), i32.mul(get(text), int(100))), int(16)))),
    set(left, i32.and(i32.shrU(i32.mul(get(text), int(103)), int(10)), int(0x000f000f))),
    set(
      text,
      i32.add(
        i32.or(get(left), i32.shl(i32.sub(get(text), i32.mul(get(left), int(10))), int(8))),
        int(0x30303030),
      ),
    ),
  ];
  const rest = local('i32');

  return [
    ...bigEndian16(groups, get(field)),
    branchIf(stop, i32.gtU(get(groups), int(MAX_GROUPS))),
    branchIf(stop, i32.ne(get(bytes), i32.add(i32.shl(get(groups), int(1)), int(HEADER_BYTES)))),
    ...bigEndian16(weight, get(field), 2),
    set(weight, i32.sub(i32.xor(get(weight), int(0x8000)), int(0x8000))),
    branchIf(stop, i32.gtU(i32.add(get(weight), int(0x8000)), int(0x8000 + MAX_GROUPS))),
    set(negative, i32.load16U(get(field), 4)),
    when(get(negative), () => [branchIf(stop, i32.ne(get(negative), int(NEGATIVE))), ...write(char('-'))]),
    set(first, get(to)),
    set(any, int(0)),
    set(group, int(0)),
    when(i32.leU(get(weight), int(MAX_GROUPS)), () => [
      loop((next) => [
        ...digit(),
        when(
          i32.ne(get(to), get(first)),
          () => [i32.store(get(to), get(text)), add(to, int(4))],
          () => [
            when(get(value), () => [
              // Zeros in front of the first digit that is none.
              set(
                left,
                i32.add(
                  i32.ltU(get(value), int(1000)),
                  i32.add(i32.ltU(get(value), int(100)), i32.ltU(get(value), int(10))),
                ),
              ),
              i32.store(get(to), i32.shrU(get(text), i32.shl(get(left), int(3)))),
              add(to, i32.sub(int(4), get(left))),
            ]),
          ],
        ),
        add(group, int(1)),
        branchIf(next, i32.leU(get(group), get(weight))),
      ]),
    ]),
    when(i32.eq(get(to), get(first)), () => write(char('0'))),
    set(group, i32.add(get(weight), int(1))),
    set(rest, get(scale)),
    when(get(rest), () => [
      ...write(char('.')),
      block((written) => [
        loop((next) => [
          ...digit(),
          i32.store(get(to), get(text)),
          add(group, int(1)),
          when(i32.ltU(get(rest), int(4)), () => [
            // What is cut off must be zeros.
            set(left, i32.shl(get(rest), int(3))),
            branchIf(stop, i32.ne(i32.shrU(get(text), get(left)), i32.shrU(int(0x30303030), get(left)))),
            add(to, get(rest)),
            branch(written),
          ]),
          add(to, int(4)),
          set(rest, i32.sub(get(rest), int(4))),
          branchIf(next, get(rest)),
        ]),
      ]),
    ]),
    // And so must be what comes after it.
    when(i32.gtU(get(group), int(0x7fff_ffff)), () => [set(group, int(0))]),
    block((none) => [
      loop((next) => [
        branchIf(none, i32.geU(get(group), get(groups))),
        branchIf(stop, i32.load16U(i32.add(get(field), i32.shl(get(group), int(1))), HEADER_BYTES)),
        add(group, int(1)),
        branch(next),
      ]),
    ]),
    when(get(negative), () => [branchIf(stop, i32.eqz(get(any)))]),
  ];
}
