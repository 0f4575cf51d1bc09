/**
 * A small assembler for WebAssembly: what the hot loops over shared memory need, written as nested calls. Any thread.
 *
 * The program generates these modules when a thread first needs them, as it generates the transcoder's JavaScript, so
 * there is no compiler and no binary file beside the sources. An expression is the bytes of its instructions, operands
 * first; a statement is one that leaves no value.
 *
 * ```ts
 * const module = assemble([
 *   define('sum', ['i32', 'i32'], 'i32', ([from, to], { local }) => {
 *     const sum = local('i32');
 *     return [
 *       loop((again) => [
 *         set(sum, i32.add(get(sum), i32.load(get(from)))),
 *         set(from, i32.add(get(from), i32.const(4))),
 *         branchIf(again, i32.ltU(get(from), get(to))),
 *       ]),
 *       get(sum),
 *     ];
 *   }),
 * ]);
 * ```
 *
 * Source: WebAssembly Core Specification, binary format, with vector (SIMD) instructions.
 */

/** Instructions: bytes, in lists of any depth. Nothing is copied until all is there: kernels are made while a run begins. */
export type Code = readonly (number | Code)[];

export type ValueType = 'i32' | 'i64' | 'v128';

/** A parameter or variable of a function. */
export interface Local {
  readonly index: number;
  readonly type: ValueType;
}

/** Where a branch may go: the end of a block, or the start of a loop. Valid inside of it only. */
export interface Label {
  readonly depth: number;
}

export interface FunctionDefinition {
  name: string;
  parameters: readonly ValueType[];
  result: ValueType | null;
  locals: readonly ValueType[];
  body: Code;
}

const TYPE_CODE: Record<ValueType, number> = { i32: 0x7f, i64: 0x7e, v128: 0x7b };
const NO_RESULT = 0x40;
const FUNCTION_TYPE = 0x60;
const END = 0x0b;

/** How many blocks are open where code is being put together: labels count from the innermost one. */
let depth = 0;

/** @returns a function; `body` gets its parameters, and `local` for further variables, which begin as zero. */
export function define(
  name: string,
  parameters: readonly ValueType[],
  result: ValueType | null,
  body: (parameters: Local[], tools: { local: (type: ValueType) => Local }) => readonly Code[],
): FunctionDefinition {
  const locals: ValueType[] = [];
  const local = (type: ValueType): Local => {
    locals.push(type);
    return { index: parameters.length + locals.length - 1, type };
  };
  depth = 0;
  const code = body(
    parameters.map((type, index) => ({ index, type })),
    { local },
  );
  return { name, parameters, result, locals, body: code };
}

/** Largest number of 64 KiB pages a module's memory may have: 2 GiB. */
export const MAX_PAGES = 32_768;

/** @returns the bytes of a module that imports a shared memory as `env.memory` and exports `functions` by name. */
export function assemble(functions: readonly FunctionDefinition[]): Uint8Array<ArrayBuffer> {
  const types = functions.map(({ parameters, result }) => [
    FUNCTION_TYPE,
    ...vector(parameters.map((type) => [TYPE_CODE[type]])),
    ...vector(result === null ? [] : [[TYPE_CODE[result]]]),
  ]);
  const memory = [...text('env'), ...text('memory'), 0x02, 0x03, ...unsigned(1), ...unsigned(MAX_PAGES)];
  const bodies = functions.map(({ locals, body }) => {
    const code = vector(locals.map((type) => [1, TYPE_CODE[type]]));
    append(code, body);
    code.push(END);
    const sized = unsigned(code.length);
    append(sized, code);
    return sized;
  });
  const bytes: number[] = [];
  append(bytes, [
    [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    section(1, vector(types)),
    section(2, vector([memory])),
    section(3, vector(functions.map((_, i) => unsigned(i)))),
    section(7, vector(functions.map(({ name }, i) => [...text(name), 0x00, ...unsigned(i)]))),
    section(10, vector(bodies)),
  ]);
  return new Uint8Array(bytes);
}

function append(bytes: number[], code: Code): void {
  for (const part of code) {
    if (typeof part === 'number') bytes.push(part);
    else append(bytes, part);
  }
}

function section(id: number, content: readonly number[]): Code {
  return [id, ...unsigned(content.length), content];
}

function vector(items: readonly (readonly number[])[]): number[] {
  const all = unsigned(items.length);
  for (const item of items) append(all, item);
  return all;
}

function text(value: string): number[] {
  const bytes = Buffer.from(value);
  return [...unsigned(bytes.length), ...bytes];
}

/** LEB128. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return bytes;
}

/** LEB128, signed. */
function signed(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    if ((rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)) {
      bytes.push(low);
      return bytes;
    }
    bytes.push(low | 0x80);
  }
}

export function get(local: Local): Code {
  return [0x20, ...unsigned(local.index)];
}

export function set(local: Local, value: Code): Code {
  return [value, 0x21, ...unsigned(local.index)];
}

/** Leaves the function with a value. */
export function leave(value: Code): Code {
  return [value, 0x0f];
}

/** Code which a branch to the label leaves at its end. */
export function block(body: (end: Label) => readonly Code[]): Code {
  return nested(0x02, body);
}

/** Code which a branch to the label begins anew. */
export function loop(body: (again: Label) => readonly Code[]): Code {
  return nested(0x03, body);
}

function nested(opcode: number, body: (label: Label) => readonly Code[]): Code {
  depth += 1;
  const code = body({ depth });
  depth -= 1;
  return [opcode, NO_RESULT, code, END];
}

/** Runs `then` where the condition is not zero, else `otherwise`. */
export function when(condition: Code, then: () => readonly Code[], otherwise?: () => readonly Code[]): Code {
  depth += 1;
  const yes = then();
  const no = otherwise === undefined ? [] : [0x05, otherwise()];
  depth -= 1;
  return [condition, 0x04, NO_RESULT, yes, no, END];
}

export function branch(label: Label): Code {
  return [0x0c, ...unsigned(depth - label.depth)];
}

export function branchIf(label: Label, condition: Code): Code {
  return [condition, 0x0d, ...unsigned(depth - label.depth)];
}

type Operation = (...operands: Code[]) => Code;

function plain(...opcode: number[]): Operation {
  return (...operands) => [operands, opcode];
}

/** A vector instruction. */
function simd(code: number): Operation {
  return plain(0xfd, ...unsigned(code));
}

/** An access to memory at `address + offset`, at any alignment. */
function access(...opcode: number[]): (address: Code, offset?: number) => Code {
  return (address, offset = 0) => [address, opcode, 0, ...unsigned(offset)];
}

function store(...opcode: number[]): (address: Code, value: Code, offset?: number) => Code {
  return (address, value, offset = 0) => [address, value, opcode, 0, ...unsigned(offset)];
}

export const i32 = {
  const: (value: number): Code => [0x41, ...signed(BigInt(value | 0))],
  load: access(0x28),
  load16U: access(0x2f),
  store: store(0x36),
  store8: store(0x3a),
  /** Zeros below the lowest one. */
  ctz: plain(0x68),
  eqz: plain(0x45),
  eq: plain(0x46),
  ne: plain(0x47),
  ltU: plain(0x49),
  gtU: plain(0x4b),
  leU: plain(0x4d),
  geU: plain(0x4f),
  add: plain(0x6a),
  sub: plain(0x6b),
  mul: plain(0x6c),
  and: plain(0x71),
  or: plain(0x72),
  xor: plain(0x73),
  shl: plain(0x74),
  shrU: plain(0x76),
  rotl: plain(0x77),
};

export const v128 = {
  load: access(0xfd, 0x00),
  store: store(0xfd, 0x0b),
  /** Stores the low eight bytes. */
  store64Low: (address: Code, value: Code, offset = 0): Code => [
    address,
    value,
    ...[0xfd, 0x5b, 0, ...unsigned(offset), 0],
  ],
  /** Four bytes, four times. */
  load32Splat: access(0xfd, 0x09),
  const32: (words: readonly number[]): Code => [
    ...[0xfd, 0x0c],
    ...Buffer.from(Int32Array.from(words, (word) => word | 0).buffer),
  ],
  and: simd(0x4e),
  andnot: simd(0x4f),
  or: simd(0x50),
  xor: simd(0x51),
  /** Bits of the first where the mask (the third) has a one, else of the second. */
  bitselect: simd(0x52),
  anyTrue: simd(0x53),
};

export const i8x16 = {
  /** The bytes of the first which the second's bytes name. */
  swizzle: simd(0x0e),
  /** The bytes of both operands, 0 to 31, in the order given. */
  shuffle: (a: Code, b: Code, order: readonly number[]): Code => [a, b, 0xfd, 0x0d, order],
  /** Units of 16 bits as bytes, those over 255 as 255. */
  narrowI16x8U: simd(0x66),
  allTrue: simd(0x63),
  bitmask: simd(0x64),
};

export const i32x4 = {
  splat: simd(0x11),
  extract: (value: Code, lane: number): Code => [value, 0xfd, 0x1b, lane],
  eq: simd(0x37),
  /** One bit a lane: its highest. */
  bitmask: simd(0xa4),
  shl: simd(0xab),
  shrU: simd(0xad),
  add: simd(0xae),
  sub: simd(0xb1),
  minU: simd(0xb7),
};

export const i64x2 = {
  /** The low two words, as units of 64 bits. */
  extendLowI32x4U: simd(0xc9),
  add: simd(0xce),
};
