/**
 * Shared memory that WebAssembly can work on, and the modules that do. Any thread.
 *
 * Where WebAssembly has no vectors, or the address space it reserves is refused (`ulimit -v`), there is only a plain
 * SharedArrayBuffer and `Kernel.over` gives null: callers then use their own loops.
 */
import { assemble, type FunctionDefinition, MAX_PAGES } from './assembler.js';

/** What is used of it; TypeScript has it among the browser's types only. */
declare global {
  namespace WebAssembly {
    class Memory {
      constructor(descriptor: { initial: number; maximum: number; shared: true });
      readonly buffer: SharedArrayBuffer;
    }
    class Module {
      constructor(bytes: Uint8Array);
    }
    class Instance {
      constructor(module: Module, imports: { env: { memory: Memory } });
      readonly exports: object;
    }
    function validate(bytes: Uint8Array): boolean;
  }
}

const PAGE_BYTES = 65_536;

/** Memory as it is sent to other threads; `memory` is missing where WebAssembly can't work on it. */
export interface SharedMemory {
  buffer: SharedArrayBuffer;
  memory?: WebAssembly.Memory;
}

/** The memories this thread has been given, by their buffers. */
const memories = new WeakMap<ArrayBufferLike, WebAssembly.Memory>();

/** @returns at least so many bytes, all zero */
export function allocateShared(bytes: number): SharedMemory {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  try {
    if (pages <= MAX_PAGES) {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      return { buffer: memory.buffer, memory };
    }
  } catch {
    // No address space for it: its own need not be contiguous with guard pages around.
  }
  return { buffer: new SharedArrayBuffer(bytes) };
}

/** Lets this thread's kernels find the memory behind a buffer. */
export function adopt({ buffer, memory }: SharedMemory): void {
  if (memory !== undefined) memories.set(buffer, memory);
}

/** From this many bytes on `fill` is quicker than `copy` (measured). */
const FILL_BYTES = 512;

/**
 * Copies `source` from `from` to `to` to `at` in `target`, which may be the same memory where the two do not overlap.
 *
 * Into shared memory the engine's own copy goes byte by byte or word by word, since another thread might look: 4 GB/s.
 * `fill` with a value of just the length is one plain copy, 20 to 80 GB/s.
 */
export function copyBytes(source: Buffer, from: number, to: number, target: Buffer, at: number): void {
  if (to - from < FILL_BYTES) source.copy(target, at, from, to);
  else target.fill(source.subarray(from, to), at, at + to - from);
}

/** Functions in WebAssembly, assembled and compiled when a thread first uses them. */
export class Kernel<Functions extends object> {
  readonly #define: () => readonly FunctionDefinition[];
  readonly #instances = new WeakMap<WebAssembly.Memory, Functions>();
  #module: WebAssembly.Module | null | undefined;

  constructor(define: () => readonly FunctionDefinition[]) {
    this.#define = define;
  }

  /** @returns the functions over an adopted memory; null where there is none, or no WebAssembly with vectors */
  over(buffer: ArrayBufferLike): Functions | null {
    const memory = memories.get(buffer);
    if (memory === undefined) return null;
    const known = this.#instances.get(memory);
    if (known !== undefined) return known;
    const module = this.#compiled();
    if (module === null) return null;
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    // Properties of `exports` itself are looked up by name at every call.
    const functions = { ...exports } as Functions;
    this.#instances.set(memory, functions);
    return functions;
  }

  #compiled(): WebAssembly.Module | null {
    if (this.#module === undefined) {
      const bytes = assemble(this.#define());
      this.#module = WebAssembly.validate(bytes) ? new WebAssembly.Module(bytes) : null;
    }
    return this.#module;
  }
}
